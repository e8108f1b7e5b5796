"""``camera.json``: what a photograph or video cannot say about itself.

    {
      "intrinsics": {"fx_px": 1000, "fy_px": 1000, "cx_px": 639.5, "cy_px": 359.5, "width_px": 1280, "height_px": 720},
      "mounting": {"translation_m": [1.7, 0.0, 1.5], "rotation_wxyz": [0.5, -0.5, 0.5, -0.5]},
      "prompt": "Weather: sunny. ...",
      "speed_mps": 8.0
    }

Every entry may be left out. ``"horizontal_fov_rad": 1.2`` may stand in place of ``intrinsics``. ``NAME.camera.json``
beside ``NAME.jpg`` or ``NAME.mp4`` belongs to that file; ``camera.json`` to every file of its folder.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path

from longdwm_env.errors import InvalidScene
from longdwm_env.types import Camera, ImageSize, Intrinsics, JsonObject, Mounting

FOLDER_SIDECAR = "camera.json"
FILE_SUFFIX = ".camera.json"

_ENTRIES = ("intrinsics", "horizontal_fov_rad", "mounting", "prompt", "speed_mps")
MAX_SPEED_MPS = 70.0
MAX_FILE_BYTES = 1 << 20


@dataclass(frozen=True)
class Sidecar:
    """What stands beside a recording; ``None`` and an empty prompt where nothing does."""

    camera: Camera | None = None
    prompt: str = ""
    speed_mps: float | None = None


def read_sidecar(media: Path, image_size: ImageSize) -> Sidecar:
    """The sidecar of an image or video whose upright frames are ``image_size`` (height, width).

    Raises:
        InvalidScene: the sidecar is not valid JSON, has unknown or impossible entries, or belongs to an image of
            another shape; the message names the file.
    """
    for path in (media.with_name(media.stem + FILE_SUFFIX), media.with_name(FOLDER_SIDECAR)):
        if path.is_file():
            return read_camera_file(path, image_size)
    return Sidecar()


def read_camera_file(path: Path, image_size: ImageSize) -> Sidecar:
    """What a camera file says, for images of (height, width).

    Raises:
        InvalidScene: it is missing or broken; the message names it.
    """
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise ValueError(f"larger than {MAX_FILE_BYTES >> 20} MiB, which no camera file is")
        return _parse(json.loads(path.read_bytes()), image_size)
    except (OSError, ValueError, TypeError, LookupError, AttributeError, OverflowError, RecursionError) as error:
        raise InvalidScene(f"{path}: {error}") from error


def _parse(entries: object, image_size: ImageSize) -> Sidecar:
    if not isinstance(entries, dict):
        raise ValueError("a camera file holds one JSON object")
    unknown = sorted(set(entries) - set(_ENTRIES))
    if unknown:
        raise ValueError(f"unknown entries {unknown}; allowed are {list(_ENTRIES)}")
    intrinsics = _intrinsics(entries, image_size)
    mounting = Mounting()
    if "mounting" in entries:
        unknown = sorted(set(entries["mounting"]) - {"translation_m", "rotation_wxyz"})
        if unknown:
            raise ValueError(f"unknown entries {unknown} of mounting; allowed are translation_m and rotation_wxyz")
        mounting = Mounting(
            entries["mounting"].get("translation_m", mounting.translation_m),
            entries["mounting"].get("rotation_wxyz", mounting.rotation_wxyz),
        )
    if "mounting" in entries and intrinsics is None:
        raise ValueError("a mounting without intrinsics or horizontal_fov_rad describes no camera; add one of them")
    speed = float(entries["speed_mps"]) if "speed_mps" in entries else None
    if speed is not None and not 0 <= speed <= MAX_SPEED_MPS:
        raise ValueError(f"speed_mps is {speed}; allowed are 0 to {MAX_SPEED_MPS:g}")
    prompt = entries.get("prompt", "")
    if not isinstance(prompt, str):
        raise ValueError("prompt must be text")
    return Sidecar(None if intrinsics is None else Camera(intrinsics, mounting), prompt, speed)


def _intrinsics(entries: JsonObject, image_size: ImageSize) -> Intrinsics | None:
    if "intrinsics" in entries and "horizontal_fov_rad" in entries:
        raise ValueError("give intrinsics or horizontal_fov_rad, not both")
    if "horizontal_fov_rad" in entries:
        return Intrinsics.from_fov(float(entries["horizontal_fov_rad"]), image_size)
    if "intrinsics" not in entries:
        return None
    intrinsics = Intrinsics(**entries["intrinsics"])
    height, width = image_size
    # A calibration made at another resolution scales; one of another shape belongs to another image.
    if not math.isclose(intrinsics.width_px / intrinsics.height_px, width / height, rel_tol=0.01):
        raise ValueError(
            f"intrinsics of {intrinsics.width_px} x {intrinsics.height_px} pixels do not fit an image of "
            f"{width} x {height}"
        )
    return intrinsics if intrinsics.image_size == image_size else intrinsics.fitted(image_size)
