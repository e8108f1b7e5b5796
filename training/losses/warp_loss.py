"""Teaching the Fine model to follow warped frames: LongDWM, section 3.4.

The objective is Eq. 6 (``fine_objective``) with the warp among the conditions. The paper builds it on the trained Fine
DiT.
"""

from torch import nn

GUIDANCE_MODULES = ("warp_embed", "warp_projections", "motion_embed")
"""What section 3.4 adds to the Fine transformer: the patch embedding of the warps and their way into each block."""


def train_guidance_alone(transformer: nn.Module) -> None:
    """Keep what the Fine model knows: train the patch embedding of warps and its projections only."""
    for name, parameter in transformer.named_parameters():
        parameter.requires_grad_(name.split(".")[0] in GUIDANCE_MODULES)
