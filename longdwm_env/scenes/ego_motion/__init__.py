"""Ego motion from pictures alone: what ``longdwm data poses`` writes beside a video."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from longdwm_env.errors import InvalidConfig, InvalidScene
from longdwm_env.io.files import atomic_path, atomic_write_json, content_hash
from longdwm_env.io.pieces import Pieces
from longdwm_env.scenes.ego_motion.known_speeds import read_speeds
from longdwm_env.scenes.ego_motion.motion_estimate import Given, Motion, estimate_motion
from longdwm_env.scenes.ego_motion.pose_footage import Footage, VideoFootage
from longdwm_env.scenes.ego_motion.poses_file import SUFFIX, TRUSTED, integrated, write_poses
from longdwm_env.scenes.media.image_file import read_image
from longdwm_env.scenes.media.sidecar import FILE_SUFFIX, FOLDER_SIDECAR, read_sidecar
from longdwm_env.types import FORWARD_WXYZ, FloatArray, ImageSize

__all__ = ["SUFFIX", "Given", "Motion", "Options", "PosesReport", "estimate_motion", "write_video_poses"]

FEWEST_TRUSTED = 0.5
"""A recording of which less can be trusted is left out."""

_SAME_SHAPE = 0.03


@dataclass(frozen=True)
class Options:
    """What a person may say of a video; None where nothing is known.

    Attributes:
        height_m: of the camera above the road.
        speed: mean speed in m/s as text, or the path of a csv; see ``known_speeds.read_speeds``.
        horizon: its place in the picture, 0 at the top and 1 at the bottom.
        mask: a picture, black where the video shows no world.
        ahead_m: how far the camera is ahead of the rear axle, where no camera file says it.
        plot: whether to draw a plot as well.
    """

    height_m: float | None = None
    speed: str | None = None
    horizontal_fov_rad: float | None = None
    horizon: float | None = None
    mask: Path | None = None
    ahead_m: float = 1.7
    plot: bool = True

    def __post_init__(self) -> None:
        if self.height_m is not None and not 0.3 <= self.height_m <= 5:
            raise InvalidConfig(f"a camera {self.height_m:g} m above the road is given; allowed are 0.3 to 5")
        if self.horizontal_fov_rad is not None and not 0.2 <= self.horizontal_fov_rad <= 2.5:
            raise InvalidConfig(
                f"a field of view of {np.degrees(self.horizontal_fov_rad):.0f} degrees is given; allowed are 12 to 143"
            )
        if self.horizon is not None and not 0 < self.horizon < 1:
            raise InvalidConfig(
                f"the horizon is a share of the picture's height above 0 and below 1, got {self.horizon}"
            )


@dataclass(frozen=True)
class PosesReport:
    """What became of one video."""

    written: tuple[Path, ...]
    motion: Motion
    scale_from: str


def write_video_poses(
    video: Path, options: Options, watch: Callable[[float], None] = lambda time_s: None, keep: Path | None = None
) -> PosesReport:
    """Estimate a video's ego motion and write it beside the video, with a plot and, where there is none, a camera file.

    Args:
        video: the file.
        options: what is known of its camera and speed.
        watch: called with the time of each frame that is read; all are read twice.
        keep: folder for what has been found of the video, by which an estimate that was stopped goes on; it is gone
            when all is done.

    Raises:
        InvalidScene: the video cannot be read, is too short, or most of its frames cannot be trusted; nothing is
            written then.
        InvalidConfig: an option makes no sense.
    """
    footage = VideoFootage(video, watch)
    sidecar = read_sidecar(video, footage.image_size)
    known = read_speeds(options.speed, video)
    given = Given(sidecar.camera, options.horizontal_fov_rad, options.horizon, options.height_m, options.ahead_m)
    mask = _read_mask(options.mask, video, footage.image_size)
    pieces = Pieces(keep, "" if keep is None else _about(video, given, mask))
    motion = estimate_motion(footage, given, mask, pieces)
    scale_from = f"camera height {motion.view.height_m:.2f} m, {motion.height_from}"
    if known is not None:
        motion, scale_from = scaled_by(motion, *known)
    if motion.trusted_share < FEWEST_TRUSTED:
        pieces.clear()
        raise InvalidScene(
            f"{video} is left out: {1 - motion.trusted_share:.0%} of its frames cannot be trusted "
            f"({motion.main_reason})"
        )
    written = [video.with_suffix(SUFFIX)]
    camera = camera_entries(motion, footage)
    write_poses(
        written[0],
        motion.times_s,
        motion.speeds_mps,
        motion.yaw_rates_radps,
        motion.confidence,
        motion.cuts_s,
        footage.last_s,
        {
            "method": "pictures",
            "scale": scale_from,
            "focal": motion.found.focal_from,
            "horizon": motion.found.horizon_from,
            "camera": camera,
        },
    )
    if not any(video.with_name(name).is_file() for name in (video.stem + FILE_SUFFIX, FOLDER_SIDECAR)):
        written.append(video.with_name(video.stem + FILE_SUFFIX))
        atomic_write_json(written[-1], camera)
    if options.plot:
        written.append(video.with_suffix(".poses.png"))
        plot_motion(motion, written[-1], f"{video.name}: {scale_from}")
    pieces.clear()
    return PosesReport(tuple(written), motion, scale_from)


def _about(video: Path, given: Given, mask: NDArray[np.uint8] | None) -> str:
    shown = b"" if mask is None else mask.tobytes()
    return hashlib.blake2b(f"{content_hash(video)} {given}".encode() + shown, digest_size=12).hexdigest()


def scaled_by(motion: Motion, times_s: FloatArray, speeds_mps: FloatArray) -> tuple[Motion, str]:
    """Motion whose lengths agree with measured speeds; see ``known_speeds.read_speeds``.

    Speeds given over time replace those of the picture where there are any; where the two differ by much, the frame is
    not trusted.

    Raises:
        InvalidConfig: the speeds say nothing of this drive.
    """
    sure = motion.confidence >= TRUSTED
    if np.isnan(times_s).any():
        seen = float(motion.speeds_mps[sure].mean()) if sure.any() else 0.0
        if seen < 0.2:
            raise InvalidConfig("a speed is given, but the car is not seen to move")
        scaled = motion.scaled(float(speeds_mps[0]) / seen)
        return scaled, f"mean speed {speeds_mps[0]:.2f} m/s, given: the camera is {scaled.view.height_m:.2f} m high"
    inside = (motion.times_s >= times_s[0] - 0.5) & (motion.times_s <= times_s[-1] + 0.5)
    measured = np.interp(motion.times_s, times_s, speeds_mps)
    usable = inside & sure & (measured > 1.0) & (motion.speeds_mps > 0.3)
    if usable.sum() < 12:
        raise InvalidConfig("the speeds given have next to no moving frame in common with what is seen of the drive")
    factor = float(np.median(measured[usable] / motion.speeds_mps[usable]))
    scaled = motion.scaled(factor)
    off = np.abs(scaled.speeds_mps - measured) > 0.4 * measured + 1.5
    confidence = np.where(inside & off, np.minimum(scaled.confidence, 0.3), scaled.confidence)
    reasons = tuple(
        "the speed given contradicts the picture" if o else r for o, r in zip(inside & off, scaled.reasons, strict=True)
    )
    speeds = np.where(inside, measured, scaled.speeds_mps)
    return (
        replace(scaled, speeds_mps=speeds, confidence=confidence, reasons=reasons),
        f"speeds given: the camera is {scaled.view.height_m:.2f} m high",
    )


def camera_entries(motion: Motion, footage: Footage) -> dict[str, object]:
    """A camera file's entries for the camera that was found, for images of the recording's own size."""
    height, width = footage.image_size
    scale = width / motion.view.size[1]
    focal = motion.view.focal_px * scale
    column, row = ((motion.view.centre_px + 0.5) * scale - 0.5).tolist()
    pitch = -float(np.arctan(motion.found.focus[1]))
    turned = Rotation.from_euler("ZY", [motion.view.yaw_rad, pitch])
    forward = Rotation.from_quat([*FORWARD_WXYZ[1:], FORWARD_WXYZ[0]])
    x, y, z, w = (turned * forward).as_quat()
    return {
        "intrinsics": {
            "fx_px": focal,
            "fy_px": focal,
            "cx_px": column,
            "cy_px": row,
            "width_px": width,
            "height_px": height,
        },
        "mounting": {
            "translation_m": [motion.view.ahead_m, 0.0, motion.view.height_m],
            "rotation_wxyz": [float(w), float(x), float(y), float(z)],
        },
    }


def plot_motion(motion: Motion, path: Path, title: str) -> None:
    """Speed, yaw rate, confidence and the way driven, as a picture."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 6), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplot_mosaic("aad;bbd;ccd")
    sure = motion.confidence >= TRUSTED
    for name, values, label in (
        ("a", motion.speeds_mps * 3.6, "km/h"),
        ("b", np.degrees(motion.yaw_rates_radps), "degrees/s, left is up"),
        ("c", motion.confidence, "confidence"),
    ):
        axes[name].plot(motion.times_s, values, linewidth=1)
        axes[name].fill_between(
            motion.times_s, 0, 1, where=~sure, transform=axes[name].get_xaxis_transform(), color="tab:red", alpha=0.15
        )
        for cut in motion.cuts_s:
            axes[name].axvline(cut, color="black", linestyle=":")
        axes[name].set_ylabel(label)
    axes["c"].set_xlabel("s (red: not trusted)")
    way = integrated(motion.times_s, motion.speeds_mps, motion.yaw_rates_radps)
    axes["d"].plot(-way[:, 1], way[:, 0], linewidth=1)
    axes["d"].set_aspect("equal", adjustable="datalim")
    axes["d"].set_xlabel("m, from above; starts upwards at 0, 0")
    figure.suptitle(title, fontsize=9)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=100)


def _read_mask(path: Path | None, video: Path, size: ImageSize) -> NDArray[np.uint8] | None:
    """255 where a video shows the world, 0 elsewhere.

    Raises:
        InvalidConfig: the mask is of another shape than the video's pictures (height, width), or hides all of them.
        InvalidScene: it is no picture.
    """
    if path is None:
        return None
    grey = cv2.cvtColor(read_image(path), cv2.COLOR_RGB2GRAY)
    height, width = grey.shape
    if abs(height * size[1] / (width * size[0]) - 1) > _SAME_SHAPE:
        raise InvalidConfig(
            f"the mask {path} has {width} x {height} pixels, and the pictures of {video} have {size[1]} x {size[0]}: "
            "draw it on one of these pictures; any size of that shape will do"
        )
    mask = np.where(grey > 127, np.uint8(255), np.uint8(0))
    if not mask.any():
        raise InvalidConfig(f"the mask {path} is black everywhere; it must be white where the video shows the world")
    return mask
