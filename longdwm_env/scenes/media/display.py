"""How a decoded video frame is shown: upright, with square pixels, one moment a picture, in standard colours."""

import struct
from fractions import Fraction

import av.filter
import cv2
import numpy as np
from numpy.typing import NDArray

from longdwm_env.scenes.media.hdr import HLG, PQ, standard_range
from longdwm_env.scenes.media.image_file import refuse_huge

_UNTAGGED, _BT709 = 2, 1
_HD_HEIGHT_PX = 720
"""From this height on, pictures that do not say so are in BT.709's colours; players hold it so too."""


def picture(path: str, frame: av.VideoFrame, pixel_shape: Fraction | None) -> NDArray[np.uint8]:
    """uint8 RGB (h, w, 3) of a decoded frame.

    HDR is toned down to the standard range. An interlaced frame shows two moments: its upper field is taken, at full
    height. Turning and mirroring are as the display matrix says, to the nearest quarter turn.

    Args:
        path: what errors call the file.
        frame: ``av.VideoFrame``.
        pixel_shape: width over height of its pixels; None for square ones. The longer side is stretched.

    Raises:
        InvalidScene: it is too large.
    """
    width, height = shown_size(frame.width, frame.height, pixel_shape)
    refuse_huge(path, width, height)
    matrix = _display_matrix(frame)
    image = _rgb(_one_moment(frame))
    if image.shape[:2] != (height, width):
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
    return np.ascontiguousarray(_turned(image, matrix))


def grey_picture(frame: av.VideoFrame, size: tuple[int, int]) -> NDArray[np.uint8]:
    """uint8 (h, w) of a decoded frame, as ``picture`` shows it, reduced to an upright (height, width)."""
    matrix = _display_matrix(frame)
    height, width = size[::-1] if _is_sideways(matrix) else size
    field = _one_moment(frame)
    grey = field.reformat(width=width, height=height, format="gray", interpolation="AREA", threads=1).to_ndarray()
    return np.ascontiguousarray(_turned(grey, matrix))


def shown_size(width: int, height: int, pixel_shape: Fraction | None) -> tuple[int, int]:
    """(width, height) with square pixels, nothing shrunk."""
    shape = pixel_shape or Fraction(1)
    if shape <= 0:
        return width, height
    return (round(width * shape), height) if shape > 1 else (width, round(height / shape))


def _rgb(frame: av.VideoFrame) -> NDArray[np.uint8]:
    transfer = int(frame.color_trc)
    if transfer in (HLG, PQ):
        return standard_range(frame.to_ndarray(format="rgb48le"), transfer)
    if int(frame.colorspace) == _UNTAGGED and frame.height >= _HD_HEIGHT_PX and not frame.format.is_rgb:
        frame.colorspace = _BT709
    return np.asarray(frame.to_ndarray(format="rgb24"), np.uint8)


def _display_matrix(frame: av.VideoFrame) -> tuple[int, int, int, int] | None:
    """(a, b, c, d) of x' = a x + c y, y' = b x + d y, in 1 / 65536; None where the frame has no matrix."""
    for data in frame.side_data:
        if data.type.name == "DISPLAYMATRIX":
            a, b, _, c, d, *_ = struct.unpack("<9i", bytes(data)[:36])
            return a, b, c, d
    return None


def _turned(image: NDArray[np.uint8], matrix: tuple[int, int, int, int] | None) -> NDArray[np.uint8]:
    if matrix is None or not any(matrix):
        return image
    a, b, c, d = matrix
    if _is_sideways(matrix):
        image, a, d = image.swapaxes(0, 1), c, b
    return image[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _is_sideways(matrix: tuple[int, int, int, int] | None) -> bool:
    if matrix is None:
        return False
    a, b, c, d = matrix
    return abs(a) + abs(d) < abs(b) + abs(c)


def _one_moment(frame: av.VideoFrame) -> av.VideoFrame:
    return _upper_field(frame) if frame.interlaced_frame and frame.height % 2 == 0 else frame


def _upper_field(frame: av.VideoFrame) -> av.VideoFrame:
    """The rows 0, 2, ... of a frame, taken before its colours are interpolated across rows."""
    graph = _field_graph(frame.width, frame.height, frame.format.name)
    graph.push(frame)
    field = graph.pull()
    field.colorspace, field.color_range = frame.colorspace, frame.color_range
    field.color_trc = frame.color_trc
    return field


def _field_graph(width: int, height: int, pixel_format: str) -> av.filter.Graph:
    graph = av.filter.Graph()
    source = graph.add_buffer(width=width, height=height, format=pixel_format, time_base=Fraction(1, 90_000))
    field, sink = graph.add("field", "top"), graph.add("buffersink")
    source.link_to(field)
    field.link_to(sink)
    graph.configure()
    return graph
