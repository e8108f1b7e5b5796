"""``geometry.warp`` for batches of tensors, on any device.

Same homographies, same known pixels, same interpolation up to OpenCV's rounding of positions to 1/32 pixel. Holes
differ: instead of being inpainted they repeat the border of the source, or the mean of the image's row where a ray
looks away from everything seen, because inpainting runs on a CPU only. The mask that comes back says which pixels to
trust.
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import grid_sample

from longdwm_env.geometry.warp import WarpSettings, homographies
from longdwm_env.types import Camera


def warp_tensors(
    images: Float[Tensor, "b c h w"],
    cameras: Sequence[Camera],
    poses: Float[np.ndarray, "b t 3"],
    settings: WarpSettings,
) -> tuple[Float[Tensor, "b t c h w"], Bool[Tensor, "b t h w"]]:
    """Each image as it would look from other poses (LongDWM, Eq. 9, or with the road; see ``geometry.warp``).

    Args:
        images: (B, C, H, W) in any range and floating type; the result is differentiable in them.
        cameras: B cameras for images of H x W.
        poses: (B, T, 3) of the ego in the ego frame of each image.
        settings: how to warp; what it says about inpainting is not used.

    Returns:
        Images (B, T, C, H, W), and which of their pixels (B, T, H, W) show something of the source. A pose of zeros
        gives the image itself.

    Raises:
        ValueError: cameras, poses and images differ in number or size, or a pose is not finite.
    """
    batch, channels, height, width = images.shape
    if len(cameras) != batch or len(poses) != batch:
        raise ValueError(f"{batch} images need as many cameras and poses, got {len(cameras)} and {len(poses)}")
    sizes = {camera.intrinsics.image_size for camera in cameras} - {(height, width)}
    if sizes:
        raise ValueError(f"images of {height} x {width} do not fit cameras of {sorted(sizes)}")
    if not np.isfinite(poses).all():
        raise ValueError("poses must be finite")
    count = poses.shape[1]
    found = [homographies(camera, rows, settings) for camera, rows in zip(cameras, poses, strict=True)]

    def tensor(matrices: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.concatenate(matrices).astype(np.float32)).to(images.device)

    rows, columns = torch.meshgrid(
        torch.arange(height, dtype=torch.float32, device=images.device),
        torch.arange(width, dtype=torch.float32, device=images.device),
        indexing="ij",
    )
    pixels = torch.stack([columns, rows, torch.ones_like(rows)]).reshape(3, -1)
    source = tensor([np.linalg.inv(entry.plane) for entry in found]) @ pixels
    if settings.variant == "ground":
        road = tensor([np.linalg.inv(entry.ground) for entry in found if entry.ground is not None]) @ pixels
        lines = tensor([entry.on_ground for entry in found if entry.on_ground is not None]) @ pixels
        source = torch.where((lines > 0).all(dim=1, keepdim=True), road, source)

    column, row, sign = source.unbind(1)
    known = (column + sign / 2 > 0) & (sign * (width - 0.5) > column)
    known &= (row + sign / 2 > 0) & (sign * (height - 0.5) > row)
    in_front = sign > 1e-6
    divisor = torch.where(in_front, sign, 1.0)
    # grid_sample counts from -1 to 1 between the centres of the outermost pixels.
    x = 2 * column / divisor / max(width - 1, 1) - 1
    y = 2 * row / divisor / max(height - 1, 1) - 1
    grid = torch.stack([x, y], dim=-1).reshape(batch, count * height, width, 2)
    sampled = grid_sample(images.float(), grid, mode="bilinear", padding_mode="border", align_corners=True)
    warped = sampled.reshape(batch, channels, count, height, width).transpose(1, 2)
    shape = (batch, count, 1, height, width)
    row_means = images.float().mean(dim=-1, keepdim=True)[:, None]
    warped = torch.where(in_front.reshape(shape), warped, row_means)
    still = torch.from_numpy(~poses.any(axis=-1)).to(images.device)[:, :, None, None, None]
    warped = torch.where(still, images.float()[:, None], warped).to(images.dtype)
    return warped, known.reshape(batch, count, height, width) | still[:, :, 0]
