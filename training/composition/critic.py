"""A critic of patches: does this picture look drawn by the simulator, and does it change as a drive does?"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from longdwm_env.models.compositor import Ingredients

WINDOW_PX = 9
"""Side of the window within which ``texture_distance`` measures contrast."""

LEAST_CONTRAST = 0.12
"""Standard deviation below which a picture's contrast is not raised further before it is judged."""

LEAST_LOCAL_CONTRAST = 0.016
"""Standard deviation in a window that counts like none: two of 255 levels."""


class PatchCritic(nn.Module):
    """Least squares over patches at two scales (Mao et al., "Least squares GAN", 2017; Isola et al., "pix2pix", 2017).

    With instance norm and without spectral norm: with the latter it learns nothing in minutes.

    Args:
        shown: channels beside the picture; see ``critic_views``.
        width: of the first layer.
    """

    def __init__(self, shown: int = 10, width: int = 40) -> None:
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


def critic_views(
    pictures: Tensor, keyframe: Tensor, kept: Tensor, map_picture: Tensor, wanted: Tensor
) -> tuple[Tensor, Tensor]:
    """What ``PatchCritic`` is given of pictures that were made, or of those wanted.

    Beside the picture and the map's it sees the picture's texture and how that changes against the keyframe before it,
    taken along, both by the contrast of what was wanted around each pixel: so the grain of a wet road at night, a few
    levels, is as plain to see as a skyline, and so is whether it moves with the road.

    Args:
        pictures: (B, 3, H, W).
        keyframe: (B, 3, H, W) the keyframe before, taken along: the drive's own, or that which was wanted.
        kept: (B, H, W), 1 where it shows the same.
        map_picture: (B, 4, H, W).
        wanted: (B, 3, H, W).

    Returns:
        (B, 3, H, W) the picture in the contrast of what was wanted, and (B, 10, H, W) what is shown beside it.
    """
    mean, deviation = contrast(wanted)
    local = 2 * local_variance(wanted).sqrt()
    change = kept[:, None] * _texture(pictures - keyframe) / local
    shown = torch.cat([map_picture, _texture(pictures) / local, change], dim=1)
    return (pictures - mean) / deviation * 0.5, shown


def contrast(wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, 1, 1, 1) by which pictures are judged: a night's errors count like a day's."""
    mean = wanted.mean((1, 2, 3), keepdim=True)
    return mean, wanted.std((1, 2, 3), keepdim=True).clamp(min=LEAST_CONTRAST)


def local_variance(wanted: Tensor) -> Tensor:
    """(B, 1, H, W) of the texture around each pixel, and of ``LEAST_LOCAL_CONTRAST``."""
    return _mean_around(_texture(wanted).square().mean(1, keepdim=True)) + LEAST_LOCAL_CONTRAST**2


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """A scalar of (B, C, h, w) under weights (B, 1, H, W), which are averaged to h x w."""
    return (values * F.adaptive_avg_pool2d(weights, (values.shape[-2], values.shape[-1]))).mean()


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


def texture_distance(error: Tensor, wanted: Tensor, weights: Tensor) -> Tensor:
    """How large an error's texture is, (B, 3, H, W), by the contrast of what was wanted around each pixel; a scalar.

    A wet road at night has a contrast of a few levels, and how it moves is how fast the car drives: there an error of
    a few levels counts like one of a hundred at a skyline. A picture without any texture has about 1. Squares are
    weighted by (B, 1, H, W).
    """
    squares = weights * _texture(error).square().mean(1, keepdim=True) / local_variance(wanted)
    return (F.avg_pool2d(squares, 4, 2) + 1e-3).sqrt().mean()


def motion_distance(made: Tensor, given: Ingredients, wanted: Tensor, taken: Tensor) -> Tensor:
    """How far textures move otherwise than in truth, a scalar.

    What a frame changes against the two keyframes around it, taken along, is compared with what truth changes against
    truth there, where the map says that they show the same. So what was made once goes by as the car drives, also if it
    is not what was to be seen; by the other terms alone it would be drawn anew in each frame.

    Args:
        made: (B, 3, H, W) the frames.
        given: what they were put together from; ``taken`` belongs to its first two pictures and its masks.
        wanted: (B, 3, H, W).
        taken: (B, 2, 3, H, W) what was wanted at the keyframes, taken along.
    """
    ends = [
        texture_distance((made - given.pictures[:, end]) - (wanted - taken[:, end]), wanted, given.masks[:, end, None])
        for end in range(taken.shape[1])
    ]
    return torch.stack(ends).sum()


def _texture(pictures: Tensor) -> Tensor:
    return pictures - _mean_around(pictures)


def _mean_around(pictures: Tensor) -> Tensor:
    # Along columns, then along rows: a fifth of the time.
    padded = F.pad(pictures, (WINDOW_PX // 2,) * 4, mode="reflect")
    return F.avg_pool2d(F.avg_pool2d(padded, (WINDOW_PX, 1), 1), (1, WINDOW_PX), 1)
