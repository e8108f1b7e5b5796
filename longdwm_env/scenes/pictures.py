"""Reading one image file: any depth, grey or colour, upright, and whole or not at all."""

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from longdwm_env.errors import InvalidScene

MAX_IMAGE_BYTES = 256 * 1024 * 1024
MAX_IMAGE_PIXELS = 64 * 1024 * 1024
"""8192 x 8192: far above any camera on a car, far below what would exhaust memory."""
MAX_IMAGE_SIDE_PX = 16384
"""OpenCV's warps stop at 32767."""

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"})


def read_image(path: Path) -> NDArray[np.uint8]:
    """uint8 RGB (h, w, 3) from an image file.

    EXIF orientation is applied; 16-bit images are scaled to 8, grey becomes RGB, transparency is dropped.

    Raises:
        InvalidScene: the file is missing, unreadable, truncated, too large, or no image.
    """
    try:
        size = path.stat().st_size
        if size > MAX_IMAGE_BYTES:
            raise InvalidScene(f"{path} has {size:,} bytes; an image may have at most {MAX_IMAGE_BYTES:,}")
        data = path.read_bytes()
    except OSError as error:
        raise InvalidScene(f"{path} cannot be read: {error.strerror or error}") from error
    return decode_image(data, str(path))


def decode_image(data: bytes, name: str) -> NDArray[np.uint8]:
    """uint8 RGB (h, w, 3) from an image file's bytes; ``name`` is what errors call it.

    Raises:
        InvalidScene: the bytes are truncated, too many pixels, or no image.
    """
    _refuse_damaged(data, name)
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    except cv2.error as error:
        raise InvalidScene(f"{name} cannot be decoded: {error.err}") from error
    if image is None:
        raise InvalidScene(f"{name} is not an image that OpenCV can decode")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def refuse_huge(name: str, width: int, height: int) -> None:
    """Raise unless an image or a video frame has a size that is read here.

    Raises:
        InvalidScene: more pixels, or a longer side, than allowed.
    """
    if width * height > MAX_IMAGE_PIXELS or max(width, height) > MAX_IMAGE_SIDE_PX:
        raise InvalidScene(
            f"{name} has {width} x {height} pixels; at most {MAX_IMAGE_PIXELS:,} in all, and "
            f"{MAX_IMAGE_SIDE_PX:,} a side, are allowed"
        )


def _refuse_damaged(data: bytes, name: str) -> None:
    """Raise unless the header is an image's, its size is allowed and the data are complete.

    OpenCV allocates before it looks at the data, and returns a truncated JPEG with a grey lower part as if it were
    whole. Pillow reads the header alone, and notices the missing end; JPEGs are decoded at an eighth of the size here,
    which is cheap.
    """
    if not data:
        raise InvalidScene(f"{name} is empty")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(data)) as picture:
                width, height = picture.size
                refuse_huge(name, width, height)
                if picture.format == "JPEG":
                    picture.draft(picture.mode, (max(1, width // 8), max(1, height // 8)))
                picture.load()
    except InvalidScene:
        raise
    except Image.DecompressionBombError as error:
        raise InvalidScene(f"{name} has too many pixels; at most {MAX_IMAGE_PIXELS:,} are allowed") from error
    # Pillow's readers raise whatever their parsing of a damaged file runs into: struct.error, SyntaxError, ...
    except Exception as error:
        raise InvalidScene(f"{name} is damaged, truncated or not an image: {error}") from error
