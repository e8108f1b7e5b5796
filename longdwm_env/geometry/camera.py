"""Pinhole cameras: fitting pictures to a size, assuming what was not measured, and projecting points."""

import math
from dataclasses import asdict

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from longdwm_env.types import FORWARD_WXYZ, Camera, ImageSize, Intrinsics, JsonObject, Mounting

ASSUMED_HORIZONTAL_FOV_RAD = math.radians(65.0)
"""Field of view taken for a photograph that says nothing: that of nuScenes' front camera (64.6 degrees)."""


def forward_mounting(
    translation_m: tuple[float, float, float] = Mounting().translation_m, pitch_down_rad: float = 0.0
) -> Mounting:
    """A camera that looks along the car's x axis, tilted towards the road by an angle (negative: towards the sky)."""
    cos, sin = math.cos(pitch_down_rad / 2), math.sin(pitch_down_rad / 2)
    w, x, y, z = FORWARD_WXYZ
    # The product of two quaternions: a turn about the ego's y axis after the one that looks ahead.
    return Mounting(translation_m, (cos * w - sin * y, cos * x + sin * z, cos * y + sin * w, cos * z - sin * x))


def assumed_camera(
    image_size: ImageSize,
    horizontal_fov_rad: float = ASSUMED_HORIZONTAL_FOV_RAD,
    mounting: Mounting | None = None,
    *,
    horizon: float = 0.5,
) -> Camera:
    """A camera for images that came without one: centred, square pixels, looking ahead from the windscreen.

    Args:
        image_size: (height, width) of the image that the field of view belongs to.
        horizontal_fov_rad: angle between the image's left and right edges.
        mounting: where the camera sits; by default 1.7 m ahead of the rear axle and 1.5 m above the road, tilted so
            that it sees the horizon where ``horizon`` says.
        horizon: where in the image the horizon lies, from 0 at the top to 1 at the bottom; a camera that looks level
            has it in the middle. Only used without a mounting.

    Raises:
        ValueError: a field of view or a horizon that no pinhole camera has.
    """
    intrinsics = Intrinsics.from_fov(horizontal_fov_rad, image_size)
    if not -1 < horizon < 2:
        raise ValueError(f"horizon is a share of the image's height, 0 at the top and 1 at the bottom, got {horizon!r}")
    if mounting is None:
        horizon_row = horizon * image_size[0] - 0.5
        mounting = forward_mounting(pitch_down_rad=-math.atan((horizon_row - intrinsics.cy_px) / intrinsics.fy_px))
    return Camera(intrinsics, mounting)


def fit_images(images: UInt8[np.ndarray, "*frames h w 3"], image_size: ImageSize) -> UInt8[np.ndarray, "*frames H W 3"]:
    """Crop images about their middle to a new aspect ratio and resize them by area.

    The picture's counterpart of ``Intrinsics.fitted``: what the old camera sees at a point, the new one sees where its
    intrinsics say, to a fraction of a pixel.

    Args:
        images: (T, h, w, 3) or (h, w, 3), uint8.
        image_size: (H, W).

    Returns:
        (T, H, W, 3) or (H, W, 3), uint8.
    """
    if images.shape[-3:-1] == tuple(image_size):
        return np.ascontiguousarray(images)
    if images.ndim == 3:
        return _fit_image(images, image_size)
    fitted = np.empty((len(images), *image_size, 3), np.uint8)
    for index, image in enumerate(images):
        fitted[index] = _fit_image(image, image_size)
    return fitted


def _fit_image(image: np.ndarray, image_size: ImageSize) -> np.ndarray:
    height, width = image_size
    scale = max(height / image.shape[0], width / image.shape[1])
    crop_height, crop_width = height / scale, width / scale
    top, left = (image.shape[0] - crop_height) / 2, (image.shape[1] - crop_width) / 2
    edges = np.array([top, left, crop_height, crop_width])
    if scale <= 1 and np.abs(edges - edges.round()).max() < 1e-6:
        row, column, rows, columns = edges.round().astype(int)
        cropped = image[row : row + rows, column : column + columns]
        return np.asarray(cv2.resize(cropped, (width, height), interpolation=cv2.INTER_AREA))
    # A crop that ends inside a pixel: sample at least one point per source pixel, then average whole blocks.
    samples = max(1, math.ceil(1 / scale - 1e-9))
    step = 1 / (scale * samples)
    image_from_samples = np.array([[step, 0, left + step / 2 - 0.5], [0, step, top + step / 2 - 0.5]])
    sampled = cv2.warpAffine(
        image,
        image_from_samples,
        (width * samples, height * samples),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    reduced = cv2.resize(sampled, (width, height), interpolation=cv2.INTER_AREA) if samples > 1 else sampled
    return np.asarray(reduced)


def project_points(
    camera: Camera, points_ego: Float[np.ndarray, "n 3"]
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, "n"]]:
    """Where the camera sees points of the ego frame.

    Args:
        camera: the camera.
        points_ego: (N, 3) metres in the ego frame.

    Returns:
        Pixels (N, 2) as (column, row), and depths (N,) in metres along the optical axis. A point with depth <= 0 is
        behind the camera: its pixel is NaN.
    """
    ego_from_camera = camera.mounting.ego_from_camera
    points_camera = (points_ego - ego_from_camera[:3, 3]) @ ego_from_camera[:3, :3]
    depths = points_camera[:, 2]
    in_front = depths > 0
    rays = points_camera[:, :2] / np.where(in_front, depths, np.nan)[:, None]
    intrinsics = camera.intrinsics
    pixels = rays * [intrinsics.fx_px, intrinsics.fy_px] + [intrinsics.cx_px, intrinsics.cy_px]
    return pixels, depths


def camera_to_json(camera: Camera) -> dict[str, object]:
    """A camera as JSON values, as states and drives keep it."""
    mounting = camera.mounting
    return {
        "intrinsics": asdict(camera.intrinsics),
        "mounting": {
            "translation_m": list(mounting.translation_m),
            "rotation_wxyz": list(mounting.rotation_wxyz),
        },
    }


def camera_from_json(values: JsonObject) -> Camera:
    """The camera that ``camera_to_json`` wrote."""
    return Camera(Intrinsics(**values["intrinsics"]), Mounting(**values["mounting"]))
