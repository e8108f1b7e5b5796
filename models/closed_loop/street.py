"""A drive that carries on the street of its first picture: what a state keeps of it, and its frames."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from longdwm_env import timing
from longdwm_env.geometry.pose import compose, relative_to
from longdwm_env.geometry.street_view import StreetView
from longdwm_env.models.closed_loop.lookahead import Second
from longdwm_env.models.closed_loop.street_tones import StreetTones, toned
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.types import Camera, FloatArray, WorldState, wrap_angle

STREET = "street"
"""Name of the first picture among a state's arrays, and of its place and the way since among its values."""

LOOKED_BACK_M = 3.0
"""The street bends as the car has turned over so long a way: one step alone says little."""


def with_street(state: WorldState) -> WorldState:
    """A state at the start of a drive, with the street of its present picture."""
    place = {"pose": state.arrays["track"][-1].tolist(), "driven_m": 0.0, "bend_per_m": 0.0}
    picture = state.arrays["frames"][-1].copy()
    return replace(state, arrays={**state.arrays, STREET: picture}, values={**state.values, STREET: place})


def shows_street(state: WorldState, settings: LongDWMSettings, composes: bool) -> bool:
    """Whether a drive, of a pipeline with a compositor or without, carries on a street, as nothing else is known."""
    known = "layout_corners" in state.arrays or state.actors is not None
    return settings.street_without_map and not (settings.compose_without_map and composes) and not known


def has_street(state: WorldState) -> bool:
    """Whether a state's drive carries on a street."""
    return STREET in state.arrays


def street_second(state: WorldState, ahead: FloatArray, camera: Camera, tones: StreetTones | None = None) -> Second:
    """Frames along poses (N, 3) in the present ego frame; in the tones of a road, where a network has learned them."""
    now, place = state.arrays["track"][-1], state.values[STREET]
    poses = compose(now, np.asarray(ahead, np.float64))
    driven, bends = _way(place, now, poses)
    with timing.stage("geometry"):
        view = StreetView(state.arrays[STREET], camera)
        start = np.broadcast_to(np.array(place["pose"]), poses.shape)
        frames = view.along(relative_to(poses, start), driven, bends)
    if tones is not None:
        with timing.stage("fine"):
            frames = toned(tones, frames, state.arrays[STREET], driven)
    return Second(frames, poses)


def street_driven(values: Mapping[str, Any], now: FloatArray, poses: FloatArray) -> dict[str, Any]:
    """A state's values after a car at ``now`` (3,) has driven along world poses (N, 3)."""
    driven, bends = _way(values[STREET], now, poses)
    return {**values, STREET: {**values[STREET], "driven_m": float(driven[-1]), "bend_per_m": float(bends[-1])}}


def way_along(now: FloatArray, poses: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Length of the way (N,) from a picture taken at ``now`` (3,) to poses (N, 3), and how the street bends there."""
    return _way({"driven_m": 0.0, "bend_per_m": 0.0}, now, poses)


def _way(place: Mapping[str, Any], now: FloatArray, poses: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Length of the way (N,) from the picture to world poses (N, 3), and how the street bends there in 1/m."""
    steps = np.diff(np.concatenate([now[None], poses]), axis=0)
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    bends = np.empty(len(steps))
    bend = float(place["bend_per_m"])
    for index, (length, turn) in enumerate(zip(lengths, wrap_angle(steps[:, 2]), strict=True)):
        # Over a few metres, so that a step of a hand on the wheel does not swing the whole street.
        share = min(length / LOOKED_BACK_M, 1.0)
        bend += share * (float(turn) / max(length, 1e-3) - bend) if length > 1e-3 else 0.0
        bends[index] = bend
    return place["driven_m"] + np.cumsum(lengths), bends
