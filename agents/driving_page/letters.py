"""What a page receives beside the pictures: keys, worlds, recordings, and three drives of one moment."""

from collections.abc import Mapping

import numpy as np

from longdwm_env.agents.driving.input.key_commands import BINDINGS, GAMEPAD_ABOUT, Command
from longdwm_env.agents.driving_page.room import Room
from longdwm_env.agents.driving_page.wire import jpeg_of
from longdwm_env.types import Images

BRANCH_COLUMNS = 6
"""Frames of a branch come as one picture, so many in a row."""


def hello() -> Mapping[str, object]:
    """What the keys do: the window's own table."""
    keys = [
        {
            "keys": binding.keys,
            "shown": binding.shown,
            "about": binding.about,
            "does": binding.does.value if isinstance(binding.does, Command) else binding.does,
            "held": isinstance(binding.does, str),
        }
        for binding in BINDINGS
        if binding.does is not Command.QUIT
    ]
    return {"is": "hello", "keys": keys, "devices": GAMEPAD_ABOUT}


def news(room: Room, what: str) -> Mapping[str, object]:
    """What became of "worlds", "recordings" or "branches"."""
    if what == "worlds":
        return {"is": "worlds", "worlds": room.worlds}
    if what == "recordings":
        return {"is": "recordings", "files": room.recordings}
    branches = room.branches
    if branches is None:
        return {"is": "branches", "number": 0, "ways": []}
    height, width = branches.start.state.image_size
    ways = [
        {
            "name": way.name,
            "frames": sum(len(moment.frames) for moment in way.moments),
            "ends": way.moments[-1].state.reason.replace("_", " ") if way.moments else "",
        }
        for way in branches.ways
    ]
    size = {"width": width, "height": height, "columns": BRANCH_COLUMNS}
    return {"is": "branches", "number": branches.number, "ways": ways, **size}


def tiled(frames: Images) -> bytes:
    """Frames (T, H, W, 3) as one JPEG, ``BRANCH_COLUMNS`` in a row."""
    missing = -len(frames) % BRANCH_COLUMNS
    padded = np.concatenate([frames, np.zeros((missing, *frames.shape[1:]), np.uint8)])
    _, height, width, _ = frames.shape
    rows = padded.reshape(-1, BRANCH_COLUMNS, height, width, 3).swapaxes(1, 2)
    return jpeg_of(rows.reshape(-1, BRANCH_COLUMNS * width, 3))
