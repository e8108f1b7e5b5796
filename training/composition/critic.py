"""A critic of patches: does this picture look drawn by the simulator, beside what the map and the last frame show?"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PatchCritic(nn.Module):
    """Least squares over patches at two scales (Mao et al., "Least squares GAN", 2017; Isola et al., "pix2pix", 2017).

    With instance norm and without spectral norm: with the latter it learns nothing in minutes.

    Args:
        shown: channels beside the picture.
        width: of the first layer.
    """

    def __init__(self, shown: int = 7, width: int = 40) -> None:
        super().__init__()

        def net() -> nn.ModuleList:
            return nn.ModuleList(
                [
                    nn.Conv2d(3 + shown, width, 4, 2, 1),
                    nn.Conv2d(width, 2 * width, 4, 2, 1),
                    nn.Conv2d(2 * width, 2 * width, 3, 1, 1),
                    nn.Conv2d(2 * width, 1, 3, 1, 1),
                ]
            )

        self.nets = nn.ModuleList([net(), net()])

    def forward(self, picture: Tensor, shown: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """Scores (B, 1, h, w) and features of pictures (B, 3, H, W) beside what is shown (B, S, H, W), by scale."""
        given = torch.cat([picture, shown], dim=1).contiguous(memory_format=torch.channels_last)
        scores, features = [], []
        for scale, net in enumerate(self.nets):
            layers = list(net.children())
            h = given if scale == 0 else F.avg_pool2d(given, 2)
            for index, layer in enumerate(layers):
                h = layer(h)
                if index < len(layers) - 1:
                    h = F.leaky_relu(F.instance_norm(h) if index else h, 0.2)
                    features.append(h)
            scores.append(h)
        return scores, features


def patch_distance(made: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """(B,) root mean squares over patches of 1, 4 and 12 pixels, of the difference and thrice of its gradients.

    Squares are weighted by (B, 1, H, W).
    """
    d = made - wanted
    across = F.pad(d[..., :, 1:] - d[..., :, :-1], (0, 1))
    down = F.pad(d[..., 1:, :] - d[..., :-1, :], (0, 0, 0, 1))
    e = weights * ((d**2).mean(1, keepdim=True) + 3 * (across**2 + down**2).mean(1, keepdim=True))
    pooled = [e if k == 1 else F.avg_pool2d(e, k, stride=k // 2) for k in (1, 4, 12)]
    return torch.stack([(p + 1e-4).sqrt().mean((1, 2, 3)) for p in pooled]).mean(0)
