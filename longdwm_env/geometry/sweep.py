"""Matched plane sweep: the warp of which every part takes the plane that explains how it moved before.

A depth-free warp needs one depth for all pixels (LongDWM, Eq. 9). Two frames say more: a plane that takes an earlier
frame to the present one moved that part of the picture rightly, and will again. So every plane of a sweep is tried on
the past (Collins, "A space-sweep approach to true multi-image matching", CVPR 1996), and the future is put together
from all planes, each weighted by how well it did. What drives at a constant speed is found on some plane as well,
though not on that of its true depth. No depth is learnt or estimated, and nothing is stored.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from longdwm_env.geometry.pose import camera_from_camera
from longdwm_env.geometry.warp import above_zero, inverse, zoomed_depth_m
from longdwm_env.types import Camera, FloatArray

Plane = tuple[float, float]
"""Depth in metres, and the most that the plane may grow: it lies as much farther off as that takes."""

DEFAULT_PLANES: tuple[Plane, ...] = (
    (6.0, 4.0),
    (8.0, 2.5),
    (12.0, 1.8),
    (18.0, 1.45),
    (30.0, 1.25),
    (60.0, 1.12),
    (1000.0, 1.01),
)
"""From what passes within a second to what keeps its size, such as a car ahead at our own speed."""


_SUM = np.ones((1, 3), np.float32)
_MOST_ERROR, _OUTSIDE = 250, 255
"""The largest error in quarters of a grey level, and the mark of what an image does not show."""


@dataclass(frozen=True)
class SweepSettings:
    """How planes are matched.

    Attributes:
        baseline_frames: how many frames before the present one the planes are tried on: enough to tell them apart, few
            enough for both frames to show the same things.
        blur_px: errors are averaged over about this far, at 144 pixels' width; farther in larger images.
        sharpness: between two frames, the weight of each falls by exp(-sharpness) for each grey level of error.
        road_bonus: grey levels that the road is forgiven, as it is there more often than not.
        unseen: grey levels of error of what the other frame does not show.
        relative: in predictions, the share of the mean error over all planes that is taken off each. What is flat
            agrees with every plane, and would otherwise win over whatever has detail, cars above all.
    """

    planes: tuple[Plane, ...] = DEFAULT_PLANES
    baseline_frames: int = 6
    blur_px: float = 4.0
    sharpness: float = 0.5
    road_bonus: float = 1.0
    unseen: float = 24.0
    relative: float = 0.0

    def __post_init__(self) -> None:
        planes = tuple((float(depth), float(zoom)) for depth, zoom in self.planes)
        if not planes or any(depth <= 0 or zoom <= 1 for depth, zoom in planes):
            raise ValueError(f"planes are pairs of a depth above 0 m and a zoom above 1, got {planes}")
        object.__setattr__(self, "planes", planes)
        if self.blur_px <= 0 or self.sharpness <= 0 or self.unseen < 0 or self.baseline_frames < 1:
            raise ValueError("blur_px and sharpness are above 0, unseen at least 0, baseline_frames at least 1")
        if not 0 <= self.relative <= 1:
            raise ValueError(f"relative is a share from 0 to 1, got {self.relative}")


def predicted_images(
    image: UInt8[np.ndarray, "h w 3"],
    camera: Camera,
    poses: Float[np.ndarray, "t 3"],
    before: UInt8[np.ndarray, "h w 3"],
    before_pose: Float[np.ndarray, "3"],
    fallback: UInt8[np.ndarray, "t h w 3"],
    settings: SweepSettings,
) -> UInt8[np.ndarray, "t h w 3"]:
    """The image as it will look from other poses, by the planes that explain how it came about.

    Args:
        image: (H, W, 3) the present frame.
        camera: that took it.
        poses: (T, 3) of the ego in the ego frame of ``image``.
        before: (H, W, 3) an earlier frame.
        before_pose: (3,) of the ego when it was taken, in the ego frame of ``image``.
        fallback: (T, H, W, 3) what is shown where no plane shows anything.
        settings: how planes are matched.

    Returns:
        (T, H, W, 3) uint8. Where nothing moved there is nothing to match, and all planes agree.
    """
    made = np.empty((len(poses), *image.shape), np.uint8)
    for t, pose in enumerate(poses):
        if not pose.any():
            made[t] = image
            continue
        depths = _depths(camera, pose, settings)
        judged = _judged(image, before, _induced(camera, before_pose, depths), settings)
        if settings.relative > 0:
            _make_relative(judged, settings.relative)
        made[t] = _mixed([(judged, _induced(camera, pose, depths), 1.0)], fallback[t], settings)
    return made


def images_between(
    first: UInt8[np.ndarray, "h w 3"],
    last: UInt8[np.ndarray, "h w 3"],
    camera: Camera,
    poses: Float[np.ndarray, "t 3"],
    fallback: UInt8[np.ndarray, "t-1 h w 3"],
    settings: SweepSettings,
    which: Sequence[int] | None = None,
) -> UInt8[np.ndarray, "n h w 3"]:
    """The frames between two known ones, from both of them, by the planes that take one to the other.

    Args:
        first: (H, W, 3).
        last: (H, W, 3).
        camera: that took both.
        poses: (T, 3) of the frames after ``first``, the last one being that of ``last``, in the ego frame of ``first``.
        fallback: (T - 1, H, W, 3) what is shown where no plane shows anything.
        settings: how planes are matched.
        which: indices of the poses whose frames are made; None for all but the last.

    Returns:
        (N, H, W, 3) uint8, by default N = T - 1.
    """
    end = poses[-1]
    chosen = range(len(poses) - 1) if which is None else which
    depths = _depths(camera, end, settings)
    last_from_first = _induced(camera, end, depths)
    first_from_last = np.stack([inverse(homography) for homography in last_from_first])
    ahead = _judged(first, last, last_from_first, settings)
    back = _judged(last, first, first_from_last, settings)
    made = np.empty((len(chosen), *first.shape), np.uint8)
    for place, t in enumerate(chosen):
        pose = poses[t]
        share = (t + 1) / len(poses)
        from_first = _induced(camera, pose, depths)
        ends = [(ahead, from_first, 1 - share), (back, from_first @ first_from_last, share)]
        made[place] = _mixed(ends, fallback[t], settings)
    return made


def _depths(camera: Camera, pose: Float[np.ndarray, "3"], settings: SweepSettings) -> list[float]:
    """Depths of the planes before the camera, (P,), for going to a pose."""
    target_from_source = camera_from_camera(camera, pose[None])[0]
    forward = np.array([-target_from_source[:3, 2] @ target_from_source[:3, 3]])
    return [float(zoomed_depth_m(forward, depth, zoom)[0]) for depth, zoom in settings.planes]


def _induced(camera: Camera, pose: Float[np.ndarray, "3"], depths: Sequence[float]) -> Float[np.ndarray, "v 3 3"]:
    """Homographies from the camera to the same camera at a pose: of the road, then of planes at depths."""
    K = camera.intrinsics.matrix
    target_from_source = camera_from_camera(camera, np.asarray(pose, dtype=np.float64)[None])[0]
    R, T = target_from_source[:3, :3], target_from_source[:3, 3]
    ego_from_camera = camera.mounting.ego_from_camera
    normals = [(-ego_from_camera[2, :3], ego_from_camera[2, 3]), *((np.array([0.0, 0.0, 1.0]), d) for d in depths)]
    planes = np.stack([R + np.outer(T, normal) / distance for normal, distance in normals])
    homographies: FloatArray = K @ planes @ inverse(K)
    return homographies


def _judged(
    image: UInt8[np.ndarray, "h w 3"],
    other: UInt8[np.ndarray, "h w 3"],
    other_from_image: Float[np.ndarray, "v 3 3"],
    settings: SweepSettings,
) -> UInt8[np.ndarray, "v h w 4"]:
    """The image once for each plane, with, in the fourth channel, how badly the plane says what ``other`` shows there.

    The error is the mean absolute difference around a pixel in quarters of a grey level, up to 63.
    """
    height, width = image.shape[:2]
    judged = np.empty((len(other_from_image), height, width, 4), np.uint8)
    judged[..., :3] = image
    sigma = settings.blur_px * max(1.0, width / 144)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    shown = np.dstack([other, np.full((height, width), 255, np.uint8)])
    for plane, homography in enumerate(other_from_image):
        seen = cv2.warpPerspective(shown, homography, (width, height), flags=flags)
        difference = cv2.transform(cv2.absdiff(seen[..., :3], image).astype(np.float32), _SUM) / 3
        difference[seen[..., 3] < 255] = settings.unseen
        error = cv2.GaussianBlur(difference, (0, 0), sigma) - np.float32(settings.road_bonus * (plane == 0))
        judged[plane, ..., 3] = np.clip(error * 4, 0, _MOST_ERROR)
    return judged


def _make_relative(judged: UInt8[np.ndarray, "v h w 4"], share: float) -> None:
    """Take a share of the mean error over all planes off each plane's, in place, and add what leaves none below 0."""
    errors = judged[..., 3].astype(np.float32)
    errors -= share * errors.mean(axis=0)
    judged[..., 3] = np.clip(errors - errors.min(), 0, _MOST_ERROR)


def _mixed(
    sources: Sequence[tuple[UInt8[np.ndarray, "v h w 4"], Float[np.ndarray, "v 3 3"], float]],
    fallback: UInt8[np.ndarray, "h w 3"],
    settings: SweepSettings,
) -> UInt8[np.ndarray, "h w 3"]:
    """The best plane of each image at each pixel, and where there are several images, these weighted by their errors.

    Args:
        sources: images judged plane by plane: (judged, target_from_image, share of this image).
        fallback: shown where no plane shows anything.
        settings: how sharply the better image is preferred.
    """
    height, width = fallback.shape[:2]
    best = np.empty((len(sources), height, width, 4), np.uint8)
    seen = np.empty((height, width, 4), np.uint8)
    for place, (judged, homographies, _) in enumerate(sources):
        chosen = best[place]
        for plane, homography in enumerate(homographies):
            into = chosen if plane == 0 else seen
            cv2.warpPerspective(judged[plane], homography, (width, height), dst=into, borderValue=(0, 0, 0, _OUTSIDE))
            if plane == 0:
                chosen[~_in_front(homography, (height, width)), 3] = _OUTSIDE
            else:
                better = cv2.compare(cv2.extractChannel(seen, 3), cv2.extractChannel(chosen, 3), cv2.CMP_LT)
                cv2.copyTo(seen, better, chosen)
    errors = [cv2.extractChannel(chosen, 3) for chosen in best]
    least = reduce(cv2.min, errors)
    made = best[0, ..., :3]
    if len(sources) > 1:
        falling = _falling(settings.sharpness)
        weights = [
            cv2.LUT(error - least, np.float32(share) * falling) * (error <= _MOST_ERROR)
            for error, (_, _, share) in zip(errors, sources, strict=True)
        ]
        whole = np.maximum(sum(weights), 1e-9)
        parts = [(weight / whole)[..., None] * chosen[..., :3] for weight, chosen in zip(weights, best, strict=True)]
        made = np.rint(sum(parts)).astype(np.uint8)
    np.copyto(made, fallback, where=(least > _MOST_ERROR)[..., None])
    return made


@lru_cache(maxsize=8)
def _falling(sharpness: float) -> Float[np.ndarray, "256"]:
    """(256,) float32: the weight of each error, in quarters of a grey level."""
    return np.asarray(np.exp(-sharpness * np.arange(256, dtype=np.float32) / 4))


def _in_front(target_from_image: Float[np.ndarray, "3 3"], image_size: tuple[int, int]) -> Bool[np.ndarray, "h w"]:
    """(H, W): whether a target pixel shows the plane in front of the image's camera."""
    # The last row of the inverse, but for its length.
    first, second, third = target_from_image.T
    line = np.cross(first, second)
    return above_zero(line * np.sign(line @ third), image_size)
