"""When the pictures of a drive have fallen apart: five signs, each with a bound, on rendered and on real roads alike.

Four pictures a second are looked at, 96 pixels high. What they show is compared with the drive's own first second,
which was or continues a given picture. ``SIGNS`` are

- *blurred*: the logarithm of the mean slope between neighbouring pixels over the mean light, less that of the
  beginning;
- *grainy*: that of the mean curvature over the mean slope, less that of the beginning;
- *ground recoloured*: how green, or the opposite, the lower half is, less that of the beginning. Sun, shade and white
  balance move colours between blue and yellow, hardly between green and purple;
- *upside down*: how uppermost and lowest row of the picture differ in light, slope and blueness, the second from above
  and from below, and so on, inwards: the cosine between these differences now and at the beginning. It is 1 where they
  are alike, -1 in a picture turned over. To it comes a quarter of how much more the lowest quarter moves than the
  uppermost (the logarithm of their ratio, at most 1 either way): what is near moves most, and is below;
- *frozen*: how much a picture differs from the one a quarter of a second before over its mean slope, about how many
  pixels it has moved. Over slope, not contrast: a soft picture that moves as it should changes less than a sharp one.

Movement counts only while the car drives. Of each sign the median over ``WINDOW_S`` is held against the bound: light
and shade that pass, or a flash, are no collapse. The bounds lie halfway between the worst that whole drives come to,
the simulator's and real ones, and the least that they come to when they are damaged on purpose;
``scripts/collapse_bounds.py`` finds them on one half of the drives, and tries them on the other.
"""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from longdwm_env.clock import FPS
from longdwm_env.errors import InvalidConfig
from longdwm_env.types import FloatArray, Images

SIGNS = ("blurred", "grainy", "ground recoloured", "upside down", "frozen")
BOUNDS = (-0.75, 0.45, 0.34, -0.29, 0.16)
"""Of ``SIGNS``, in the units of ``Course.held``; what lies beyond is collapsed."""
WHOLE = (0.0, 0.0, 0.0, 1.0, np.inf)
"""What a drive comes to that stays as it began."""

WINDOW_S = 4.0
LEAST_SPEED_MPS = 3.0
"""A slower car may see a picture that stands still."""

EVERY = 3
"""Frames from one picture that is looked at to the next."""
MOST_SHARE = 10.0
"""Shares of a bound end there."""

_SECOND = FPS // EVERY
_WINDOW = round(WINDOW_S * _SECOND) + 1
_HEIGHT = 96
_ROWS = 8
_USUAL = np.array([0.5, 0.5, 0.15])[:, None]
"""About how much light, slope and blueness differ between rows of whole pictures."""


@dataclass(frozen=True)
class Collapse:
    """Where a drive has collapsed: seconds after its start, and by which of ``SIGNS``."""

    time_s: float
    sign: str


@dataclass(frozen=True)
class Course:
    """How a drive looks over time.

    Attributes:
        held: (N, 5) medians over ``WINDOW_S`` of what ``SIGNS`` are read from; NaN of the last where the car is slow.
    """

    held: FloatArray

    @property
    def times_s(self) -> FloatArray:
        """(N,) when each of the windows ends, in seconds after the drive's start."""
        return (np.arange(len(self.held)) + _WINDOW - 1) / _SECOND

    @cached_property
    def shares(self) -> FloatArray:
        """(N, 5) how far each sign has come: 0 as at the beginning, 1 at its bound, at most ``MOST_SHARE``."""
        bounds, whole = np.array(BOUNDS[:4]), np.array(WHOLE[:4])
        shares = (self.held[:, :4] - whole) / (bounds - whole)
        shares[:, 2] = np.abs(shares[:, 2])
        frozen = BOUNDS[4] / np.maximum(np.nan_to_num(self.held[:, 4], nan=np.inf), 1e-9)
        return np.clip(np.column_stack([shares, frozen]), 0, MOST_SHARE)

    @property
    def anomaly(self) -> FloatArray:
        """(N,) the share of the sign that has come farthest."""
        worst: FloatArray = self.shares.max(axis=1)
        return worst

    @property
    def collapse(self) -> Collapse | None:
        """When the first sign lies beyond its bound; None if none ever does."""
        beyond = np.flatnonzero(self.anomaly > 1)
        if not len(beyond):
            return None
        first = int(beyond[0])
        return Collapse(float(self.times_s[first]), SIGNS[int(self.shares[first].argmax())])


def course(frames: Images, speeds_mps: FloatArray) -> Course:
    """Describe a drive, frames (T, H, W, 3) at speeds (T,).

    Raises:
        InvalidConfig: it is too short to be judged.
    """
    if len(frames) <= (_WINDOW - 1) * EVERY:
        length_s = (len(frames) - 1) / FPS
        raise InvalidConfig(f"collapse is judged on drives of {WINDOW_S:g} s or more, got {length_s:g} s")
    pictures = [_small(frame) for frame in frames[::EVERY]]
    rows = np.stack([_rows(picture) for picture in pictures])
    light, slope, curve, colour = rows[..., 0], rows[..., 1], rows[..., 2], rows[..., 3:]
    moved = np.stack([_moved(a, b) for a, b in zip([pictures[0], *pictures[:-1]], pictures, strict=True)])
    slow = np.asarray(speeds_mps)[: len(frames)][::EVERY] < LEAST_SPEED_MPS
    slow[0] = True

    # What is added is about the least difference that can be seen, so that darkness does not make noise of nothing.
    total = slope.mean(axis=1)
    ground = np.log(colour[:, _ROWS // 2 :].mean(axis=1) + 4)
    read = np.stack(
        [
            np.log((total + 0.5) / (light.mean(axis=1) + 20)),
            np.log((curve.mean(axis=1) + 1) / (8 * total + 2)),
            ground[:, 1] - (ground[:, 0] + ground[:, 2]) / 2,
        ]
    )
    read -= read[:, :_SECOND].mean(axis=1, keepdims=True)
    steps = np.log((_quarters(moved) / (_quarters(slope) + 0.25)) + 0.05)
    below = np.where(slow, np.nan, np.clip(steps[:, -1] - steps[:, 0], -1, 1))
    motion = np.where(slow, np.nan, moved.mean(axis=1) / (total + 0.25))
    upright = _held(_likeness(light, slope, colour)) + np.nan_to_num(_held(below)) / 4
    return Course(np.column_stack([*map(_held, read), upright, _held(motion)]))


def _small(frame: Images) -> Images:
    """A picture of at most 96 rows, so that the bounds hold at every size."""
    height, width = frame.shape[:2]
    if height <= _HEIGHT:
        return frame
    return np.asarray(cv2.resize(frame, (round(width * _HEIGHT / height), _HEIGHT), interpolation=cv2.INTER_AREA))


def _grey(frame: Images) -> np.ndarray:
    return frame.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


def _rows(frame: Images) -> FloatArray:
    """(8, 6) means over strips of a picture: light, slope (grey levels a pixel), curvature, red, green, blue."""
    grey = _grey(frame)
    slope = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)) / 8
    curve = np.abs(cv2.Laplacian(grey, cv2.CV_32F))
    return _strips(np.dstack([grey, slope, curve, frame]))


def _moved(before: Images, after: Images) -> FloatArray:
    """(8,) mean differences of light."""
    return _strips(np.abs(_grey(after) - _grey(before))[..., None])[:, 0]


def _strips(picture: np.ndarray) -> FloatArray:
    """Means (8, C) over strips of a picture (H, W, C), from above."""
    return np.stack([strip.mean(axis=(0, 1), dtype=np.float64) for strip in np.array_split(picture, _ROWS)])


def _quarters(rows: FloatArray) -> FloatArray:
    """Means (T, 4) of neighbours among rows (T, 8)."""
    quarters: FloatArray = rows.reshape(len(rows), _ROWS // 2, 2).mean(axis=2)
    return quarters


def _likeness(light: FloatArray, slope: FloatArray, colour: FloatArray) -> FloatArray:
    """(T,) cosines between how upper and lower rows differ now, and how they did at the beginning."""
    blueness = np.log((colour[..., 2] + 8) / (colour[..., 0] + 8))
    looks = np.stack([np.log(light + 8), np.log(slope + 0.5), blueness], axis=1) / _USUAL
    apart = (looks - looks[..., ::-1])[..., : _ROWS // 2].reshape(len(looks), -1) / 2
    began = apart[:_SECOND].mean(axis=0)
    # What is added keeps pictures without any difference, such as a grey one, from being like or unlike anything.
    return apart @ began / (np.linalg.norm(apart, axis=1) * np.linalg.norm(began) + 0.3)


def _held(values: FloatArray) -> FloatArray:
    """Medians (N,) over windows; NaN where less than half of a window is known."""
    windows = sliding_window_view(values, _WINDOW)
    known = np.isfinite(windows).sum(axis=1) > _WINDOW // 2
    medians = np.full(len(windows), np.nan)
    medians[known] = np.nanmedian(windows[known], axis=1)
    return medians


def damaged(frames: Images, kind: str, first: int) -> Images:
    """A drive (T, H, W, 3) that collapses on purpose from a frame on, to see whether it is noticed.

    Raises:
        InvalidConfig: there is no such kind.
    """
    worse = frames.copy()
    height, width = frames.shape[1:3]
    random = np.random.default_rng(0)
    if kind == "blurred":
        worse[first:] = [cv2.GaussianBlur(frame, (0, 0), height / 16) for frame in frames[first:]]
    elif kind == "frozen":
        worse[first:] = frames[first]
    elif kind == "one colour":
        worse[first:] = frames[first].mean(axis=(0, 1)).astype(np.uint8)
    elif kind == "grey":
        worse[first:] = 128
    elif kind == "noise":
        noise = random.normal(0, 40, (len(frames) - first, height, width, 3))
        worse[first:] = np.clip(frames[first:] + noise, 0, 255)
    elif kind == "frozen noise":
        worse[first:] = np.clip(frames[first].mean(axis=(0, 1)) + random.normal(0, 40, (height, width, 3)), 0, 255)
    elif kind == "upside down":
        worse[first:] = frames[first:, ::-1]
    elif kind == "meadow":
        _grow_meadow(worse[first:], random)
    else:
        raise InvalidConfig(f"there is no damage {kind!r}; there are {', '.join(DAMAGES)}")
    return worse


def _grow_meadow(frames: Images, random: np.random.Generator) -> None:
    """Put grass as light as the ground in its place, in frames (T, H, W, 3), which are changed."""
    height, width = frames.shape[1:3]
    below = height // 2
    blades = cv2.GaussianBlur(random.normal(0, 1, (height - below, 4 * width)).astype(np.float32), (0, 0), 1.5)
    blades *= 12 / blades.std()
    for number, frame in enumerate(frames):
        light = float(_grey(frame[below:]).mean()) + np.roll(blades, -5 * number, axis=1)[:, :width]
        frame[below:] = np.clip(light[..., None] * [0.75, 1.18, 0.48], 0, 255)


DAMAGES = ("blurred", "frozen", "one colour", "grey", "noise", "frozen noise", "upside down", "meadow")
