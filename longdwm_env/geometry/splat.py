"""The literal reading of LongDWM, Eq. 9: move every pixel, then inpaint what nothing landed on.

This is the reference that ``geometry.warp`` is held to, and what its speed is compared with. Nothing else uses it.
"""

from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from longdwm_env.geometry.pose import camera_from_camera
from longdwm_env.geometry.warp import WarpSettings
from longdwm_env.types import Camera

Sharing = Literal["nearest", "bilinear"]


def splat_image(
    image: UInt8[np.ndarray, "h w 3"],
    camera: Camera,
    pose: Float[np.ndarray, "3"],
    settings: WarpSettings,
    sharing: Sharing = "bilinear",
) -> tuple[UInt8[np.ndarray, "h w 3"], Bool[np.ndarray, "h w"]]:
    """Push every pixel forward by ``P_t = K (R_t K^-1 P_0 d + T_t)`` and fill the holes.

    A target pixel is the weighted mean of what it got.

    Args:
        image: (H, W, 3) uint8.
        camera: the camera that took it.
        pose: (3,) of the ego in the ego frame of the image.
        settings: the depth and the inpainting radius; the variant is always "plane".
        sharing: "nearest" moves each pixel to the one nearest to where it lands, which is what the formula says read
            literally; "bilinear" shares it out between the four pixels around, which is exact to a fraction of a pixel.

    Returns:
        The image (H, W, 3), and the pixels (H, W) on which something landed.
    """
    height, width = image.shape[:2]
    rows, columns = np.mgrid[0:height, 0:width]
    pixels = np.stack([columns.ravel(), rows.ravel(), np.ones(height * width)])
    K = camera.intrinsics.matrix
    target_from_source = camera_from_camera(camera, pose)
    R, T = target_from_source[:3, :3], target_from_source[:3, 3]
    moved = K @ (R @ np.linalg.inv(K) @ pixels * settings.depth_m + T[:, None])
    in_front = moved[2] > 0
    x, y = moved[:2, in_front] / moved[2, in_front]
    colours = image.reshape(-1, 3)[in_front].astype(np.float64)

    total, weight = np.zeros((height * width, 3)), np.zeros(height * width)
    if sharing == "nearest":
        x, y = np.rint(x), np.rint(y)
    left, top = np.floor(x), np.floor(y)
    neighbours = (0,) if sharing == "nearest" else (0, 1)
    for right in neighbours:
        for below in neighbours:
            column, row = left + right, top + below
            share = np.abs(1 - right - (x - left)) * np.abs(1 - below - (y - top))
            lands = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (share > 0)
            index = (row[lands] * width + column[lands]).astype(np.int64)
            weight += np.bincount(index, share[lands], height * width)
            for channel in range(3):
                given = share[lands] * colours[lands, channel]
                total[:, channel] += np.bincount(index, given, height * width)
    landed = weight > 1e-6
    splatted = np.where(landed[:, None], total / np.where(landed, weight, 1.0)[:, None], 0.0)
    holes = (~landed).reshape(height, width)
    result = np.rint(splatted).astype(np.uint8).reshape(height, width, 3)
    if holes.any():
        result = cv2.inpaint(result, holes.astype(np.uint8), settings.inpaint_radius_px, cv2.INPAINT_NS)
    return result, ~holes
