"""What was done in a drive, step by step, and the replay file that holds it.

A replay file is JSON: where the drive began, and every step since. Worlds are deterministic, so that is enough to see
the same drive again, in the same window, and to take the wheel at any point of it.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from longdwm_env.actions import ACTION_MODES, ActionMode, checked_action
from longdwm_env.agents.driving.engine.timeline import Act
from longdwm_env.agents.driving.recording.picture_sizes import PictureSizes
from longdwm_env.clock import FRAMES_PER_INTERVAL
from longdwm_env.errors import LongDWMError
from longdwm_env.io.files import atomic_write_json
from longdwm_env.types import ImageSize, JsonObject

FORMAT = "longdwm-drive"
VERSION = 2
"""Version 1 is still read: in its drives learned worlds kept their own picture size, whatever was asked for."""

MAX_FILE_BYTES = 64 * 2**20

STEP_FIELDS: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "drive": {"mode": (str,), "action": (list, int), "frames": (int,)},
    "world": {"world": (str,)},
    "prompt": {"prompt": (str,)},
    "back": {"number": (int,)},
    "scene": {"scene": (str,), "seed": (int,), "prompt": (str, type(None))},
}
"""The kinds of steps and the JSON types of their fields."""

Step = JsonObject


class InvalidReplay(LongDWMError, ValueError):
    """A replay file that is damaged or of another kind or version."""


@dataclass
class Journal:
    """The steps of a drive since a scene began.

    Attributes:
        world, scene, seed, prompt: where it began; ``scene`` is a key, ``prompt`` None for the scene's own.
        scenes: path of the scene source, None for the built-in scenes.
        image_size: (height, width) asked for, None for what suits each world.
        learned_own_size: see ``PictureSizes.learned_own``.
        control_frames: frames between two actions of a human; None for what suits each world.
        steps: in order; ``STEP_FIELDS`` says what they hold.
        shown_from: index of the first step that belongs to the recording; those before only lead there.
    """

    world: str
    scene: str
    seed: int
    prompt: str | None
    scenes: str | None
    image_size: ImageSize | None
    control_frames: int | None
    steps: list[Step] = field(default_factory=list)
    shown_from: int = 0
    learned_own_size: bool = False

    @property
    def sizes(self) -> PictureSizes:
        """Of its pictures."""
        return PictureSizes(self.image_size, self.learned_own_size)

    def drove(self, act: Act) -> None:
        """An action was performed."""
        self.steps.append(
            {"do": "drive", "mode": act.mode, "action": np.asarray(act.action).tolist(), "frames": act.frames}
        )

    def note(self, do: str, **fields: object) -> None:
        """Anything else was done."""
        self.steps.append({"do": do, **fields})

    def save(self, path: Path) -> None:
        """Write the replay file, whole or not at all."""
        atomic_write_json(path, self.record())

    def record(self) -> JsonObject:
        """What the replay file holds, as JSON values."""
        fields = {name: self.__dict__[name] for name in self.__dataclass_fields__}
        return {"format": FORMAT, "version": VERSION, **fields}

    @staticmethod
    def load(path: Path) -> "Journal":
        """Read a replay file.

        Raises:
            FileNotFoundError: there is none.
            InvalidReplay: it is not one, or it is damaged; the message says where.
        """
        if path.stat().st_size > MAX_FILE_BYTES:
            raise InvalidReplay(f"{path}: larger than {MAX_FILE_BYTES >> 20} MiB, which no replay file is")
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise InvalidReplay(f"{path}: not JSON ({error})") from error
        try:
            return journal_of(record)
        except InvalidReplay as error:
            raise InvalidReplay(f"{path}: {error}") from error


def act_of(step: Step) -> Act:
    """The action of a drive step."""
    action = step["action"]
    return Act(step["mode"], np.asarray(action, np.float32 if isinstance(action, list) else np.int64), step["frames"])


def journal_of(record: object) -> Journal:
    """The journal that ``Journal.record`` described; the record may come from a stranger.

    Raises:
        InvalidReplay: it is damaged; the message says where.
    """
    if not isinstance(record, dict) or record.pop("format", None) != FORMAT:
        raise InvalidReplay("not a replay file of longdwm drive")
    version = record.pop("version", None)
    if version not in (1, VERSION) or isinstance(version, bool):
        raise InvalidReplay(f"it has version {version!r}, this package reads 1 and {VERSION}")
    if version == 1 and "learned_own_size" not in record:
        record["learned_own_size"] = True
    types: dict[str, tuple[type, ...]] = {
        "world": (str,),
        "scene": (str,),
        "seed": (int,),
        "prompt": (str, type(None)),
        "scenes": (str, type(None)),
        "image_size": (list, type(None)),
        "control_frames": (int, type(None)),
        "steps": (list,),
        "shown_from": (int,),
        "learned_own_size": (bool,),
    }
    _check_fields("it", record, types)
    size = record["image_size"]
    if size is not None and (len(size) != 2 or not all(type(side) is int and 0 < side <= 4096 for side in size)):
        raise InvalidReplay(f"image_size is two whole numbers, got {size!r}")
    frames = record["control_frames"]
    if record["seed"] < 0 or (frames is not None and not 1 <= frames <= FRAMES_PER_INTERVAL):
        raise InvalidReplay(f"seed {record['seed']} or control_frames {frames} is out of range")
    if not 0 <= record["shown_from"] <= len(record["steps"]):
        raise InvalidReplay(f"shown_from {record['shown_from']} is no step of {len(record['steps'])}")
    for index, step in enumerate(record["steps"]):
        _check_step(f"step {index}", step)
    return Journal(**record | {"image_size": None if size is None else (size[0], size[1])})


def _check_step(name: str, step: object) -> None:
    kind = step.get("do") if isinstance(step, dict) else None
    if not isinstance(step, dict) or not isinstance(kind, str) or kind not in STEP_FIELDS:
        raise InvalidReplay(f"{name}: {kind!r} is none of {', '.join(STEP_FIELDS)}")
    _check_fields(name, {key: value for key, value in step.items() if key != "do"}, STEP_FIELDS[kind])
    if kind == "drive":
        if step["mode"] not in ACTION_MODES or not 1 <= step["frames"] <= FRAMES_PER_INTERVAL:
            raise InvalidReplay(f"{name}: mode {step['mode']!r} or frames {step['frames']} do not exist")
        mode: ActionMode = step["mode"]
        try:
            checked_action(mode, act_of(step).action)
        except (ValueError, TypeError, OverflowError) as error:
            raise InvalidReplay(f"{name}: {error}") from error


def _check_fields(name: str, record: JsonObject, types: Mapping[str, tuple[type, ...]]) -> None:
    if set(record) != set(types):
        raise InvalidReplay(f"{name} has the fields {sorted(record)}, expected {sorted(types)}")
    for key, allowed in types.items():
        value = record[key]
        if type(value) not in allowed or (isinstance(value, float) and not math.isfinite(value)):
            raise InvalidReplay(
                f"{name}: {key} is {type(value).__name__}, expected {' or '.join(t.__name__ for t in allowed)}"
            )
