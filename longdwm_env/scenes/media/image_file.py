"""Reading one image file: any depth, grey or colour, upright, in sRGB, and whole or not at all.

Pillow alone reads files that others made. OpenCV 4.10 and 4.11 have an open fault in their JPEG 2000 decoder
(CVE-2025-53644), and OpenCV goes by a file's content, whatever it is called.
"""

import io
import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from longdwm_env.errors import InvalidScene

MAX_IMAGE_BYTES = 256 * 1024 * 1024
MAX_IMAGE_PIXELS = 64 * 1024 * 1024
"""8192 x 8192: far above any camera on a car, far below what would exhaust memory."""
MAX_IMAGE_SIDE_PX = 16384
"""OpenCV's warps stop at 32767."""

IMAGE_SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".avif", ".heic", ".heif", ".jp2"}
)
"""What is taken for an image, those that are rejected with what to do included."""

HEAD_BYTES = 64
FORMATS = ("JPEG", "PNG", "BMP", "WEBP", "TIFF", "PPM", "AVIF")
"""Pillow's names of what is opened. Among its others are PostScript, which it hands to another program to run."""
_READ = "JPEG, PNG, WebP, TIFF, BMP, PPM and AVIF are read"
_CONVERT = "save it as JPEG or PNG first"


def read_image(path: Path) -> NDArray[np.uint8]:
    """uint8 RGB (h, w, 3) from an image file.

    EXIF orientation is applied; 16-bit images are scaled to 8, grey becomes RGB, CMYK and CIELAB are converted, and so
    are the colours of an embedded profile; transparency is dropped. Of an animation the first frame is taken.

    Raises:
        InvalidScene: the file is missing, unreadable, truncated, too large, no image, or in a format that is not read.
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
        InvalidScene: the bytes are truncated, too many pixels, no image, or in a format that is not read.
    """
    if not data:
        raise InvalidScene(f"{name} is empty")
    _refuse_unread(data, name)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # Opening reads the header alone; pixels take memory when they are loaded.
            with Image.open(io.BytesIO(data), formats=FORMATS) as picture:
                refuse_huge(name, *picture.size)
                picture.load()
                return _rgb(_upright(picture), name, picture.format)
    except InvalidScene:
        raise
    except UnidentifiedImageError as error:
        page = data[:HEAD_BYTES].lstrip().lower().startswith((b"<!doctype", b"<html", b"<?xml", b"<svg"))
        what = (
            "a web page or drawing, not a picture" if page else "no image that can be read, or damaged at its beginning"
        )
        raise InvalidScene(f"{name} is {what}; {_READ}") from error
    except Image.DecompressionBombError as error:
        raise InvalidScene(f"{name} has too many pixels; at most {MAX_IMAGE_PIXELS:,} are allowed") from error
    # Pillow's readers raise whatever their parsing of a damaged file runs into: struct.error, SyntaxError, ...
    except Exception as error:
        raise InvalidScene(f"{name} is damaged or truncated: {error}") from error


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


def starts_like_an_image(head: bytes) -> bool:
    """Whether the first ``HEAD_BYTES`` of a file are an image's, of a kind that is read or of one that is rejected."""
    return (
        head.startswith((b"\xff\xd8\xff", b"\x89PNG", b"BM", b"II*\x00", b"MM\x00*", b"P5", b"P6"))
        or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")
        or _is_jpeg_2000(head)
        or is_boxed_picture(head)
    )


def is_boxed_picture(head: bytes) -> bool:
    """Whether a file that starts like a video, with boxes, says that it is a picture: HEIC or AVIF."""
    return bool(_brands(head) & (_AVIF_BRANDS | _HEIC_BRANDS))


_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})


def _brands(head: bytes) -> frozenset[bytes]:
    """The major brand of a file of boxes, and if that is a general one for pictures, the compatible ones too."""
    if head[4:8] != b"ftyp":
        return frozenset()
    major = head[8:12]
    if major not in (b"mif1", b"msf1"):
        return frozenset({major})
    end = min(len(head), int.from_bytes(head[:4], "big"))
    return frozenset({major, *(head[i : i + 4] for i in range(16, end - 3, 4))})


def _is_jpeg_2000(head: bytes) -> bool:
    return head.startswith((b"\x00\x00\x00\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"))


def _refuse_unread(data: bytes, name: str) -> None:
    """Name the formats that are known and not read, and refuse what would take memory before its size is known."""
    head = data[:HEAD_BYTES]
    brands = _brands(head)
    if brands & _HEIC_BRANDS and not brands & _AVIF_BRANDS:
        raise InvalidScene(f"{name} is a HEIC picture, as telephones save them, which is not read here; {_CONVERT}")
    if _is_jpeg_2000(head):
        raise InvalidScene(f"{name} is a JPEG 2000 picture, which is not read here; {_CONVERT}")
    # Pillow takes memory for the whole canvas of a WebP when it opens the file.
    refuse_huge(name, *_webp_size(head))


def _webp_size(head: bytes) -> tuple[int, int]:
    """(width, height) as a WebP's header says (RFC 9649); (0, 0) for anything else."""
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP" or len(head) < 30:
        return 0, 0
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    # 14 bits a side in either of the other kinds; the lossless one has them less one, side by side.
    if head[12:16] == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    sides = int.from_bytes(head[26:28], "little"), int.from_bytes(head[28:30], "little")
    return sides[0] & 0x3FFF, sides[1] & 0x3FFF


def _upright(picture: Image.Image) -> Image.Image:
    try:
        return ImageOps.exif_transpose(picture)
    # A broken note beside the pixels says nothing about the pixels.
    except Exception:
        return picture


def _rgb(picture: Image.Image, name: str, kind: str | None) -> NDArray[np.uint8]:
    mode = picture.mode
    if mode.startswith("I;16") or (mode == "I" and kind == "PPM"):
        grey = np.asarray(picture).astype(np.int64)
        return np.repeat((grey.clip(0, 65535) >> 8).astype(np.uint8)[..., None], 3, axis=2)
    if mode in ("I", "F"):
        raise InvalidScene(f"{name} has 32-bit values, of which it does not say how bright they are; {_CONVERT}")
    profile = picture.info.get("icc_profile")
    if mode == "LAB":
        profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    elif mode in ("RGBA", "RGBX", "P", "PA"):
        picture = picture.convert("RGB")
    converted = _with_profile(picture, profile)
    if converted is None and mode == "LAB":
        raise InvalidScene(f"{name} is in CIELAB, which cannot be converted here; {_CONVERT}")
    return np.asarray((converted or picture).convert("RGB"), np.uint8)


def _with_profile(picture: Image.Image, profile: bytes | ImageCms.ImageCmsProfile | None) -> Image.Image | None:
    """The picture in sRGB if it is in the profile's colours; None if there is no profile, or not one for this kind."""
    if not profile or picture.mode not in ("RGB", "CMYK", "LAB"):
        return None
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile)) if isinstance(profile, bytes) else profile
        if given.profile.xcolor_space.strip().upper() != picture.mode:
            return None
        return ImageCms.profileToProfile(picture, given, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError):
        return None
