"""Teaching the Fine model to follow warped frames: LongDWM, section 3.4.

The objective is Eq. 6 with the warp among the conditions. The paper builds it on the trained Fine DiT.
"""

from torch import nn

from longdwm_env.training.losses.fine_objective import FineObjective

GUIDANCE_MODULES = ("warp_embed", "warp_projections", "motion_embed")
"""What section 3.4 adds to the Fine transformer: the patch embedding of the warps and their way into each block."""


def guidance_parameters(transformer: nn.Module) -> list[str]:
    """Names of the parameters that exist for the warp alone."""
    return [name for name, _ in transformer.named_parameters() if name.split(".")[0] in GUIDANCE_MODULES]


class WarpObjective(FineObjective):
    """``FineObjective`` with warps; optionally only the guidance's own parameters are trained."""

    def freeze_all_but_guidance(self) -> None:
        """Keep what the Fine model knows: train the patch embedding of warps and its projections only."""
        trained = set(guidance_parameters(self.transformer))
        for name, parameter in self.transformer.named_parameters():
            parameter.requires_grad_(name in trained)
