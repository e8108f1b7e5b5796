"""What a browser may ask for, read from text that may be a stranger's: an order that holds, or a refusal."""

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_type_hints

from longdwm_env.agents.driving.engine.branching import WAYS
from longdwm_env.agents.driving.input.held_keys import DIRECTIONS
from longdwm_env.agents.driving.input.key_commands import Command
from longdwm_env.agents.driving.recording.links import MAX_LINK_CHARS
from longdwm_env.errors import LongDWMError

MAX_ORDER_CHARS = MAX_LINK_CHARS + 1000

MAX_AXES, MAX_BUTTONS, MAX_WORD_CHARS = 16, 32, 200

OWN = (Command.HELP, Command.HIDE, Command.QUIT)
"""What each page does by itself, or not at all."""


class Refused(LongDWMError, ValueError):
    """An order that cannot be followed; the message says why."""


@dataclass(frozen=True)
class Seen:
    """The picture of a broadcast is on the viewer's screen."""

    n: int


@dataclass(frozen=True)
class Key:
    """A direction key went down or up."""

    name: str
    down: bool


@dataclass(frozen=True)
class Pad:
    """Where a gamepad's or wheel's controls are; no axes: it was unplugged."""

    id: str
    standard: bool
    axes: tuple[float, ...]
    buttons: tuple[float, ...]


@dataclass(frozen=True)
class Touch:
    """Where fingers on the page's own wheel and pedals are."""

    steer: float
    throttle: float
    brake: float


@dataclass(frozen=True)
class LetGo:
    """The page lost keyboard and fingers."""


@dataclass(frozen=True)
class Press:
    """A command, as a key of the window gives it."""

    command: str


@dataclass(frozen=True)
class Back:
    """Stand at the kept moment at this time since the scene's start, or the last one before it."""

    to_s: float


@dataclass(frozen=True)
class Open:
    """Start in a scene: a built-in one or one of the server's own source by number, or a photo by its name."""

    kind: str
    which: str
    world: str


@dataclass(frozen=True)
class Replay:
    """Drive what a link holds."""

    link: str


@dataclass(frozen=True)
class Link:
    """Say the link to this drive."""


@dataclass(frozen=True)
class Branch:
    """Drive the present moment in three ways."""


@dataclass(frozen=True)
class GoOn:
    """Go on from the end of one of the three drives."""

    way: int


@dataclass(frozen=True)
class TakeSeat:
    """Take the wheel, if it is free."""


@dataclass(frozen=True)
class LeaveSeat:
    """Leave the wheel to the first viewer who takes it."""


Order = Seen | Key | Pad | Touch | LetGo | Press | Back | Open | Replay | Link | Branch | GoOn | TakeSeat | LeaveSeat

KINDS: Mapping[str, type] = {
    "seen": Seen,
    "key": Key,
    "pad": Pad,
    "touch": Touch,
    "let go": LetGo,
    "press": Press,
    "back": Back,
    "open": Open,
    "replay": Replay,
    "link": Link,
    "branch": Branch,
    "go on": GoOn,
    "take seat": TakeSeat,
    "leave seat": LeaveSeat,
}


def order_of(text: str) -> Order:
    """The order that a message holds.

    Raises:
        Refused: it holds none; the message says why.
    """
    if len(text) > MAX_ORDER_CHARS:
        raise Refused(f"an order has at most {MAX_ORDER_CHARS} characters")
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Refused("an order is JSON") from error
    if not isinstance(values, dict) or not isinstance(values.get("do"), str):
        raise Refused("an order is an object with a text 'do'")
    kind = KINDS.get(values.pop("do"))
    if kind is None:
        raise Refused(f"there is no such order; there are: {', '.join(KINDS)}")
    hints = _HINTS[kind]
    if set(values) != set(hints):
        raise Refused(f"this order has the fields {', '.join(hints) or 'none'}")
    order: Order = kind(**{name: _READ[hint](values[name]) for name, hint in hints.items()})
    _check(order)
    return order


_HINTS = {kind: get_type_hints(kind) for kind in KINDS.values()}


def _check(order: Order) -> None:
    if isinstance(order, Key) and order.name not in DIRECTIONS:
        raise Refused(f"a key's name is one of {', '.join(DIRECTIONS)}")
    if isinstance(order, Touch):
        for name, low in (("steer", -1.0), ("throttle", 0.0), ("brake", 0.0)):
            if not low <= getattr(order, name) <= 1:
                raise Refused(f"{name} is from {low:g} to 1")
    if isinstance(order, Pad) and (len(order.axes) > MAX_AXES or len(order.buttons) > MAX_BUTTONS):
        raise Refused(f"a gamepad has at most {MAX_AXES} axes and {MAX_BUTTONS} buttons")
    if isinstance(order, Press) and order.command not in [each.value for each in Command if each not in OWN]:
        raise Refused("there is no such command")
    if isinstance(order, Open) and order.kind not in ("builtin", "source", "photo"):
        raise Refused("a scene is of kind builtin, source or photo")
    if isinstance(order, GoOn) and not 0 <= order.way < len(WAYS):
        raise Refused(f"a way is from 0 to {len(WAYS) - 1}")
    texts = [value for name, value in vars(order).items() if isinstance(value, str) and name != "link"]
    if any(len(text) > MAX_WORD_CHARS for text in texts):
        raise Refused(f"a text has at most {MAX_WORD_CHARS} characters")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Refused("a text was expected")
    return value


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise Refused("true or false was expected")
    return value


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise Refused("a whole number from 0 was expected")
    return value


def _number(value: object) -> float:
    if (
        not isinstance(value, int | float)
        or isinstance(value, bool)
        or not -1e9 <= value <= 1e9
        or not math.isfinite(value)
    ):
        raise Refused("a number was expected")
    return float(value)


def _shares(value: object) -> tuple[float, ...]:
    if not isinstance(value, list):
        raise Refused("a list of numbers was expected")
    return tuple(min(1.0, max(-1.0, _number(each))) for each in value)


_READ: Mapping[object, Callable[[object], object]] = {
    str: _text,
    bool: _truth,
    int: _whole,
    float: _number,
    tuple[float, ...]: _shares,
}
