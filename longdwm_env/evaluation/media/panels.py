"""Frames side by side with labels on them, on transparent ground, so that they suit light and dark pages alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from longdwm_env.agents.driving.picture import upscale
from longdwm_env.types import Images

GAP_PX = 8
RADIUS_PX = 8
LABEL_INSET_PX = 8
LABEL_PADDING_PX = (7, 4)
FONT_PX = 13
INK = (245, 247, 248, 255)
CARD = (12, 16, 20, 165)

_OVERSAMPLED = 4
"""Pillow draws corners without smoothing, so they are drawn larger and reduced."""


@dataclass(frozen=True)
class Panel:
    """A frame (h, w, 3) uint8 RGB with a label in its upper left corner and one in its lower left; "" for none."""

    frame: Images
    label: str = ""
    caption: str = ""


def board(rows: Sequence[Sequence[Panel]], width_px: int) -> NDArray[np.uint8]:
    """Rows of panels, each as many, as one picture (H, W, 4) RGBA whose gaps are transparent.

    Args:
        rows: of frames of one shape.
        width_px: of a panel; its height follows from the frame's shape.
    """
    height, width = rows[0][0].frame.shape[:2]
    size_px = width_px, round(width_px * height / width)
    lines = []
    for row in rows:
        cells = [_drawn(panel, size_px) for panel in row]
        gap = np.zeros((size_px[1], GAP_PX, 4), np.uint8)
        lines.append(np.concatenate([part for cell in cells for part in (gap, cell)][1:], axis=1))
    gap = np.zeros((GAP_PX, lines[0].shape[1], 4), np.uint8)
    return np.concatenate([part for line in lines for part in (gap, line)][1:])


def _drawn(panel: Panel, size_px: tuple[int, int]) -> NDArray[np.uint8]:
    picture = upscale(panel.frame, size_px).copy()
    if panel.label:
        _lay(picture, _tag(panel.label), top=True)
    if panel.caption:
        _lay(picture, _tag(panel.caption), top=False)
    return np.dstack([picture, _rounded(size_px, RADIUS_PX)])


def _lay(picture: Images, tag: NDArray[np.uint8], top: bool) -> None:
    """Blend a tag into a left corner, in place; what does not fit on the picture is cut off."""
    space = picture.shape[0] - LABEL_INSET_PX, picture.shape[1] - LABEL_INSET_PX
    tag = tag[: max(space[0], 0), : max(space[1], 0)]
    first = LABEL_INSET_PX if top else space[0] - tag.shape[0]
    under = picture[first : first + tag.shape[0], LABEL_INSET_PX : LABEL_INSET_PX + tag.shape[1]]
    opacity = tag[..., 3:] / 255
    under[:] = np.round(under * (1 - opacity) + tag[..., :3] * opacity)


@lru_cache(maxsize=512)
def _tag(words: str) -> NDArray[np.uint8]:
    """Words on a dark, translucent card, (h, w, 4)."""
    font = _font(FONT_PX)
    padding_x, padding_y = LABEL_PADDING_PX
    ascent, descent = font.getmetrics()
    size_px = round(font.getlength(words)) + 2 * padding_x, ascent + descent + 2 * padding_y
    card = np.empty((size_px[1], size_px[0], 4), np.uint8)
    card[:] = CARD
    card[..., 3] = _rounded(size_px, size_px[1] // 3).astype(int) * CARD[3] // 255
    text = Image.new("RGBA", size_px, (*INK[:3], 0))
    ImageDraw.Draw(text).text((padding_x, padding_y), words, INK, font)
    return np.asarray(Image.alpha_composite(Image.fromarray(card), text))


@lru_cache(maxsize=64)
def _rounded(size_px: tuple[int, int], radius_px: int) -> NDArray[np.uint8]:
    """Opacity (h, w) of a rectangle (w, h) with round corners."""
    large = Image.new("L", (size_px[0] * _OVERSAMPLED, size_px[1] * _OVERSAMPLED), 0)
    corner = large.width - 1, large.height - 1
    ImageDraw.Draw(large).rounded_rectangle(((0, 0), corner), radius_px * _OVERSAMPLED, fill=255)
    return np.asarray(large.resize(size_px, Image.Resampling.BOX))


@lru_cache(maxsize=4)
def _font(size_px: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings along, as in the driving window."""
    import matplotlib

    return ImageFont.truetype(str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf"), size_px)
