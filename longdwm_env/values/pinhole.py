"""Pinhole cameras: what an image's pixels mean, and where on the car the camera sits.

*Ego*: ISO 8855, x forward, y left, z up. *Camera*: OpenCV, x right, y down, z forward.
"""

import math
from dataclasses import dataclass, field, replace

import numpy as np

from longdwm_env.values.arrays import FloatArray, ImageSize

FORWARD_WXYZ = (0.5, -0.5, 0.5, -0.5)
"""Rotation of a camera that looks along the ego's x axis, as a unit quaternion (w, x, y, z) ego_from_camera."""


@dataclass(frozen=True)
class Intrinsics:
    """Pinhole intrinsics of an image of ``width_px`` x ``height_px``; pixel centres are at whole numbers (OpenCV)."""

    fx_px: float
    fy_px: float
    cx_px: float
    cy_px: float
    width_px: int
    height_px: int

    def __post_init__(self) -> None:
        numbers = (self.fx_px, self.fy_px, self.cx_px, self.cy_px)
        if not all(math.isfinite(n) for n in numbers) or min(self.fx_px, self.fy_px) <= 0:
            raise ValueError(f"intrinsics need finite numbers and focal lengths above zero, got {numbers}")
        if self.width_px < 1 or self.height_px < 1:
            raise ValueError(f"an image of {self.width_px} x {self.height_px} pixels has no pixels")

    @property
    def matrix(self) -> FloatArray:
        """K, (3, 3)."""
        return np.array([[self.fx_px, 0, self.cx_px], [0, self.fy_px, self.cy_px], [0, 0, 1]], dtype=np.float64)

    @property
    def image_size(self) -> ImageSize:
        """(height, width) of the image that these intrinsics belong to."""
        return self.height_px, self.width_px

    @property
    def horizontal_fov_rad(self) -> float:
        """Angle between the left and right edges of the image."""
        return 2 * math.atan(self.width_px / (2 * self.fx_px))

    @classmethod
    def from_matrix(cls, K: object, image_size: ImageSize) -> "Intrinsics":
        """From a (3, 3) camera matrix without skew, for an image of (height, width)."""
        matrix = np.asarray(K, dtype=np.float64)
        if matrix.shape != (3, 3):
            raise ValueError(f"a camera matrix is (3, 3), got {matrix.shape}")
        fx, fy, cx, cy = (float(matrix[i]) for i in ((0, 0), (1, 1), (0, 2), (1, 2)))
        return cls(fx, fy, cx, cy, image_size[1], image_size[0])

    @classmethod
    def from_fov(cls, horizontal_fov_rad: float, image_size: ImageSize) -> "Intrinsics":
        """Square pixels and a centred principal point, from the horizontal field of view."""
        height, width = image_size
        if not 0 < horizontal_fov_rad < math.pi:
            raise ValueError(f"a pinhole camera sees more than 0 and less than pi rad, got {horizontal_fov_rad!r}")
        focal = width / (2 * math.tan(horizontal_fov_rad / 2))
        return cls(focal, focal, (width - 1) / 2, (height - 1) / 2, width, height)

    def fitted(self, image_size: ImageSize) -> "Intrinsics":
        """Intrinsics after the image is cropped about its middle to the new aspect ratio and resized to fit.

        The picture's counterpart is ``geometry.camera.fit_images``.
        """
        height, width = image_size
        scale = max(height / self.height_px, width / self.width_px)
        # Pixel centres at whole numbers: the left edge of the image is at -0.5.
        left = (self.width_px * scale - width) / 2
        top = (self.height_px * scale - height) / 2
        return Intrinsics(
            self.fx_px * scale,
            self.fy_px * scale,
            (self.cx_px + 0.5) * scale - left - 0.5,
            (self.cy_px + 0.5) * scale - top - 0.5,
            width,
            height,
        )


@dataclass(frozen=True)
class Mounting:
    """Where a camera sits in the ego frame: ``ego_from_camera`` as translation in metres and unit quaternion wxyz."""

    translation_m: tuple[float, float, float] = (1.7, 0.0, 1.5)
    rotation_wxyz: tuple[float, float, float, float] = FORWARD_WXYZ

    def __post_init__(self) -> None:
        object.__setattr__(self, "translation_m", tuple(float(v) for v in self.translation_m))
        object.__setattr__(self, "rotation_wxyz", tuple(float(v) for v in self.rotation_wxyz))
        if len(self.translation_m) != 3 or len(self.rotation_wxyz) != 4:
            raise ValueError(f"a mounting has 3 numbers of translation and 4 of rotation, got {self}")
        norm = math.sqrt(sum(v * v for v in self.rotation_wxyz))
        if not abs(norm - 1) < 1e-3 or not all(math.isfinite(v) for v in self.translation_m):
            raise ValueError(f"a mounting needs a finite translation and a unit quaternion, got {self}")
        if self.translation_m[2] <= 0:
            raise ValueError(f"the camera must be above the ground, got a height of {self.translation_m[2]} m")

    @property
    def ego_from_camera(self) -> FloatArray:
        """(4, 4) transform from camera coordinates to ego coordinates."""
        w, x, y, z = np.asarray(self.rotation_wxyz) / math.sqrt(sum(v * v for v in self.rotation_wxyz))
        transform = np.eye(4)
        transform[:3, :3] = [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
        transform[:3, 3] = self.translation_m
        return transform


@dataclass(frozen=True)
class Camera:
    """A pinhole camera on the car: what it sees (intrinsics) and where it sits (mounting)."""

    intrinsics: Intrinsics
    mounting: Mounting = field(default_factory=Mounting)

    def fitted(self, image_size: ImageSize) -> "Camera":
        """The same camera for its image cropped and resized to (height, width); see ``Intrinsics.fitted``."""
        return replace(self, intrinsics=self.intrinsics.fitted(image_size))
