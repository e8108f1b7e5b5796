"""The depth-free warp: what the camera would see from another pose if the world were as simple as one or two planes.

LongDWM, Eq. 9, gives every pixel the same depth d: ``P_t = K (R_t K^-1 P_0 d + T_t)``. That is the homography of the
plane z = d, ``H = K (R + T n^T / d) K^-1`` with n = (0, 0, 1), so one ``cv2.warpPerspective`` does what the paper's
forward splatting does. What lies outside the source image is filled by Navier-Stokes inpainting (Bertalmio 2001).

Deviation: ``variant="ground"`` takes the road, a plane at the camera's height below it, wherever that is nearer than d,
and Eq. 9 elsewhere. It needs no depth either, only the mounting.

Deviation: Eq. 9 has no meaning once the car has driven through its plane. The plane therefore recedes when it comes
nearer than half its depth, see ``plane_depth_m``.
"""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from longdwm_env.geometry.pose import camera_from_camera
from longdwm_env.types import Camera

Variant = Literal["plane", "ground"]


@dataclass(frozen=True)
class WarpSettings:
    """How to warp.

    Attributes:
        variant: "plane" is the paper's Eq. 9; "ground" adds the road.
        depth_m: d, the depth of the plane.
        inpaint_radius_px: of ``cv2.INPAINT_NS``, at the size at which it runs.
        inpaint_width_px: the width up to which holes are filled at full size; see ``fill_holes``.
        max_zoom: how much the plane may grow or shrink at most: it lies as far off as that takes. None for the rule of
            ``plane_depth_m``.
    """

    variant: Variant = "ground"
    depth_m: float = 35.0
    inpaint_radius_px: float = 3.0
    inpaint_width_px: int = 144
    max_zoom: float | None = None

    def __post_init__(self) -> None:
        if self.variant not in ("plane", "ground"):
            raise ValueError(f"variant must be 'plane' or 'ground', got {self.variant!r}")
        if not (np.isfinite(self.depth_m) and self.depth_m > 0):
            raise ValueError(f"depth_m must be finite and above zero, got {self.depth_m!r}")
        if not self.inpaint_radius_px >= 1 or self.inpaint_width_px < 16:
            raise ValueError("inpainting needs a radius of at least 1 and a width of at least 16 pixels")
        if self.max_zoom is not None and not self.max_zoom > 1:
            raise ValueError(f"max_zoom must be above 1, got {self.max_zoom!r}")


@dataclass(frozen=True)
class Homographies:
    """Source pixels to target pixels for T poses, and which target pixels show which plane.

    A pixel is (column, row, 1). ``target_from_source @ pixel`` is positive in its last entry where the plane is in
    front of both cameras.

    Attributes:
        plane: (T, 3, 3) of Eq. 9.
        ground: (T, 3, 3) of the road, None for the variant "plane".
        on_ground: (T, 2, 3) two lines of the target image: a pixel shows the road where its products with both are
            above zero. None for the variant "plane".
    """

    plane: Float[np.ndarray, "t 3 3"]
    ground: Float[np.ndarray, "t 3 3"] | None
    on_ground: Float[np.ndarray, "t 2 3"] | None


def plane_depth_m(forward_m: Float[np.ndarray, "t"], depth_m: float) -> Float[np.ndarray, "t"]:
    """Depth of Eq. 9's plane in the source camera, (T,), after driving ``forward_m`` along its optical axis.

    It is d up to d / 2. Beyond, the plane recedes so that ``d**2 / (4 forward)`` remains before the camera: the picture
    goes on growing at a finite pace, without a jump in size or pace, and never turns inside out.
    """
    beyond = np.maximum(forward_m, depth_m / 2)
    return np.where(forward_m > depth_m / 2, beyond + depth_m**2 / (4 * beyond), depth_m)


def zoomed_depth_m(forward_m: Float[np.ndarray, "t"], depth_m: float, max_zoom: float) -> Float[np.ndarray, "t"]:
    """Depth of a plane in the source camera, (T,), that appears at most ``max_zoom`` times larger or smaller.

    It is ``depth_m`` until driving ``forward_m`` along the optical axis would change its size by more.
    """
    forward_m = np.asarray(forward_m)
    ahead = np.where(forward_m > 0, forward_m * max_zoom, -forward_m) / (max_zoom - 1)
    return np.maximum(depth_m, ahead)


def inverse(matrix: Float[np.ndarray, "3 3"]) -> Float[np.ndarray, "3 3"]:
    """The inverse of a 3 x 3 matrix; zeros where there is none.

    By OpenCV, which has a formula for it: NumPy's goes through LAPACK, whose threads wait for each other far longer.
    """
    return np.asarray(cv2.invert(matrix)[1])


def homographies(camera: Camera, poses: Float[np.ndarray, "t 3"], settings: WarpSettings) -> Homographies:
    """The homographies that take the source image to the images from other poses (LongDWM, Eq. 9).

    Args:
        camera: the camera of the source image, and of the targets.
        poses: (T, 3) of the ego in the ego frame of the source image.
        settings: how to warp.
    """
    K = camera.intrinsics.matrix
    K_inverse = inverse(K)
    target_from_source = camera_from_camera(camera, poses)
    R, T = target_from_source[:, :3, :3], target_from_source[:, :3, 3]
    forward = -np.einsum("ti,ti->t", R[:, :, 2], T)
    if settings.max_zoom is None:
        depth = plane_depth_m(forward, settings.depth_m)
    else:
        depth = zoomed_depth_m(forward, settings.depth_m, settings.max_zoom)

    def induced(normal: np.ndarray, distance: np.ndarray) -> np.ndarray:
        return np.asarray(K @ (R + T[:, :, None] * normal / distance[:, None, None]) @ K_inverse)

    plane = induced(np.array([0.0, 0.0, 1.0]), depth)
    if settings.variant == "plane":
        return Homographies(plane, None, None)

    ego_from_camera = camera.mounting.ego_from_camera
    down, height = -ego_from_camera[2, :3], ego_from_camera[2, 3]
    ground = induced(down, np.full(len(poses), height))
    # A target ray r meets the road after height / (down_t . r) and the plane after remaining / (ahead_t . r).
    down_target, ahead_target = R @ down, R[:, :, 2]
    nearer = (depth - forward)[:, None] * down_target - height * ahead_target
    return Homographies(plane, ground, np.stack([down_target, nearer], axis=1) @ K_inverse)


def warp_images(
    image: UInt8[np.ndarray, "h w 3"], camera: Camera, poses: Float[np.ndarray, "t 3"], settings: WarpSettings
) -> UInt8[np.ndarray, "t h w 3"]:
    """The image as it would look from other poses; each is made from the source, so it is interpolated once.

    Args:
        image: (H, W, 3) uint8, of the size of the camera's image.
        camera: the camera that took it.
        poses: (T, 3) of the ego in the ego frame of the image.
        settings: how to warp.

    Returns:
        (T, H, W, 3) uint8. A pose of zeros gives the image itself.

    Raises:
        ValueError: image and camera differ in size, or a pose is not finite.
    """
    warped, known = warp_and_mask(image, camera, poses, settings)
    for frame, frame_known in zip(warped, known, strict=True):
        if not frame_known.any():
            # Turned away from everything that was seen: keep sky above and road below.
            frame[:] = image.mean(axis=1, keepdims=True).round().astype(np.uint8)
        elif not frame_known.all():
            fill_holes(frame, frame_known, settings)
    return warped


def warp_and_mask(
    image: UInt8[np.ndarray, "h w 3"], camera: Camera, poses: Float[np.ndarray, "t 3"], settings: WarpSettings
) -> tuple[UInt8[np.ndarray, "t h w 3"], Bool[np.ndarray, "t h w"]]:
    """``warp_images`` before the holes are filled, and which pixels (T, H, W) show something of the source.

    What the other pixels hold means nothing.
    """
    height, width = image.shape[:2]
    if (height, width) != camera.intrinsics.image_size:
        raise ValueError(f"an image of {height} x {width} does not fit a camera of {camera.intrinsics.image_size}")
    if not np.isfinite(poses).all():
        raise ValueError("poses must be finite")
    # cv2 warps four channels in two thirds of the time of three.
    source = cv2.cvtColor(np.ascontiguousarray(image), cv2.COLOR_RGB2RGBA)
    found = homographies(camera, poses, settings)
    warped = np.empty((len(poses), height, width, 3), np.uint8)
    known = np.ones((len(poses), height, width), bool)
    target, on_road, road_known = np.empty_like(source), np.empty_like(source), np.empty((height, width), bool)
    for t in range(len(poses)):
        if not poses[t].any():
            warped[t] = image
            continue
        _through(source, found.plane[t], 0, target, known[t])
        if found.ground is not None and found.on_ground is not None:
            road = np.logical_and(*(above_zero(line, (height, width)) for line in found.on_ground[t]))
            if road.any():
                below = slice(int(road.any(axis=1).argmax()), height)
                road_known[:] = True
                _through(source, found.ground[t], below.start, on_road[below], road_known[below])
                cv2.copyTo(on_road[below], road[below].view(np.uint8), target[below])
                np.copyto(known[t, below], road_known[below], where=road[below])
        cv2.cvtColor(target, cv2.COLOR_RGBA2RGB, dst=warped[t])
    return warped, known


def _through(
    image: np.ndarray, target_from_source: np.ndarray, first_row: int, warped: np.ndarray, known: np.ndarray
) -> None:
    """Write one plane's image, from a row of the target on, and clear ``known`` where the source does not reach."""
    height, width = known.shape
    below = np.array([[1.0, 0.0, 0.0], [0.0, 1.0, first_row], [0.0, 0.0, 1.0]])
    source_from_target = inverse(target_from_source) @ below
    # Written in place: fresh memory for every frame would cost more than the warp. The border is repeated because a
    # border pixel's outer half is part of the image.
    cv2.warpPerspective(
        image,
        source_from_target,
        (width, height),
        dst=warped,
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    # A target pixel is known where -1/2 < column < W - 1/2 of the source, and the same for rows: four lines of the
    # target image. Between the first two lies only what is in front of both cameras; behind, cv2 draws a mirror image.
    column, row, sign = source_from_target
    bounds = (
        column + sign / 2,
        sign * (image.shape[1] - 0.5) - column,
        row + sign / 2,
        sign * (image.shape[0] - 0.5) - row,
    )
    corners = np.array([[0, 0, 1], [width - 1, 0, 1], [0, height - 1, 1], [width - 1, height - 1, 1]])
    for bound in bounds:
        if (corners @ bound).min() <= 0:
            _clear_beyond(bound, known)


def _clear_beyond(line: np.ndarray, known: np.ndarray) -> None:
    """Clear ``known`` (H, W) wherever a line's product with (column, row, 1) is not above zero.

    Only the columns that the line crosses are compared pixel by pixel, or the rows where it lies flatter.
    """
    if abs(line[0]) < abs(line[1]):
        line, known = line[[1, 0, 2]], known.T
    height, width = known.shape
    crossed = -(line[1] * np.array([0.0, height - 1.0]) + line[2]) / line[0] if line[0] else np.array([-np.inf, np.inf])
    first, last = (int(np.clip(edge, 0, width)) for edge in (np.floor(crossed.min()) - 1, np.ceil(crossed.max()) + 2))
    known[:, :first] &= line[0] < 0
    known[:, last:] &= line[0] > 0
    strip = line[0] * np.arange(first, last) + line[2] > (-line[1] * np.arange(height))[:, None]
    known[:, first:last] &= strip


def above_zero(line: Float[np.ndarray, "3"], image_size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """Pixels (H, W), as (column, row, 1), whose product with a line (3,) is above zero."""
    height, width = image_size
    return np.asarray((line[0] * np.arange(width) + line[2])[None, :] > (-line[1] * np.arange(height))[:, None])


def fill_holes(image: UInt8[np.ndarray, "h w 3"], known: Bool[np.ndarray, "h w"], settings: WarpSettings) -> None:
    """Fill, in place, what is not known by Navier-Stokes inpainting; some of the image must be known.

    An image wider than ``settings.inpaint_width_px`` is filled from a copy reduced by a whole factor: what comes into a
    hole of this kind is a smooth continuation of its rim, and at full size it takes time with the cube of the scale.
    """
    height, width = known.shape
    holes = (~known).view(np.uint8)
    factor = -(-width // settings.inpaint_width_px)
    if factor == 1:
        image[:] = cv2.inpaint(image, holes, settings.inpaint_radius_px, cv2.INPAINT_NS)
        return
    # Inpainting looks no further than its radius, so only the holes and their surroundings are reduced.
    margin = factor * (int(np.ceil(settings.inpaint_radius_px)) + 3)
    x, y, columns, rows = cv2.boundingRect(holes)
    left, top = max(0, x - margin) // factor * factor, max(0, y - margin) // factor * factor
    region = (slice(top, min(height, y + rows + margin)), slice(left, min(width, x + columns + margin)))
    around, holes = image[region], holes[region]
    size = (-(-around.shape[1] // factor), -(-around.shape[0] // factor))
    reduced = cv2.resize(around, size, interpolation=cv2.INTER_AREA)
    # A reduced pixel with any hole in it is a hole, unless that leaves none.
    partly = cv2.resize(holes * np.uint8(255), size, interpolation=cv2.INTER_AREA) > 0
    if partly.all():
        around[:] = cv2.inpaint(around, holes, settings.inpaint_radius_px, cv2.INPAINT_NS)
        return
    filled = cv2.inpaint(reduced, partly.view(np.uint8), settings.inpaint_radius_px, cv2.INPAINT_NS)
    enlarged = cv2.resize(filled, (around.shape[1], around.shape[0]), interpolation=cv2.INTER_LINEAR)
    cv2.copyTo(enlarged, holes, around)
