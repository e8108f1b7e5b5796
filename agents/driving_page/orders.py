"""What a browser may ask for, read from text that may be a stranger's: an order that holds, or a refusal."""

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from longdwm_env.agents.driving.engine.branching import WAYS
from longdwm_env.agents.driving.input.held_keys import DIRECTIONS
from longdwm_env.agents.driving.input.key_commands import Command
from longdwm_env.agents.driving.recording.links import MAX_LINK_CHARS
from longdwm_env.errors import LongDWMError
from longdwm_env.io.words import clean

MAX_ORDER_CHARS = MAX_LINK_CHARS + 1000

MAX_AXES, MAX_BUTTONS, MAX_WORD_CHARS = 16, 32, 200

OWN = (Command.HELP, Command.HIDE, Command.QUIT)
"""What each page does by itself, or not at all."""


class Refused(LongDWMError, ValueError):
    """An order that cannot be followed; the message says why."""


def _one_of(*words: str) -> Meta:
    return Meta(pattern=rf"\A(?:{'|'.join(map(re.escape, words))})\Z")


Word = Annotated[str, Meta(max_length=MAX_WORD_CHARS)]
Share = Annotated[float, Meta(ge=0, le=1)]


class _Order(msgspec.Struct, frozen=True, tag_field="do", forbid_unknown_fields=True):
    """An order is a JSON object; its field "do" says which."""


class Seen(_Order, tag="seen", frozen=True):
    """The picture of a broadcast is on the viewer's screen."""

    n: Annotated[int, Meta(ge=0, lt=2**53)]


class Key(_Order, tag="key", frozen=True):
    """A direction key went down or up."""

    name: Annotated[str, _one_of(*DIRECTIONS)]
    down: bool


class Pad(_Order, tag="pad", frozen=True):
    """Where a gamepad's or wheel's controls are, -1 to 1; no axes: it was unplugged."""

    id: Word
    standard: bool
    axes: Annotated[tuple[float, ...], Meta(max_length=MAX_AXES)]
    buttons: Annotated[tuple[float, ...], Meta(max_length=MAX_BUTTONS)]

    def __post_init__(self) -> None:
        for name in ("axes", "buttons"):
            msgspec.structs.force_setattr(self, name, tuple(min(1.0, max(-1.0, at)) for at in getattr(self, name)))


class Touch(_Order, tag="touch", frozen=True):
    """Where fingers on the page's own wheel and pedals are."""

    steer: Annotated[float, Meta(ge=-1, le=1)]
    throttle: Share
    brake: Share


class LetGo(_Order, tag="let go", frozen=True):
    """The page lost keyboard and fingers."""


class Press(_Order, tag="press", frozen=True):
    """A command, as a key of the window gives it."""

    command: Annotated[str, _one_of(*(each.value for each in Command if each not in OWN))]


class Back(_Order, tag="back", frozen=True):
    """Stand at the kept moment at this time since the scene's start, or the last one before it."""

    to_s: Annotated[float, Meta(ge=-1e9, le=1e9)]


class Open(_Order, tag="open", frozen=True):
    """Start in a scene: a built-in one or one of the server's own source by number, or a photo by its name."""

    kind: Literal["builtin", "source", "photo"]
    which: Word
    world: Word


class Replay(_Order, tag="replay", frozen=True):
    """Drive what a link holds."""

    link: str


class Link(_Order, tag="link", frozen=True):
    """Say the link to this drive."""


class Branch(_Order, tag="branch", frozen=True):
    """Drive the present moment in three ways."""


class GoOn(_Order, tag="go on", frozen=True):
    """Go on from the end of one of the three drives."""

    way: Annotated[int, Meta(ge=0, lt=len(WAYS))]


class TakeSeat(_Order, tag="take seat", frozen=True):
    """Take the wheel, if it is free."""


class LeaveSeat(_Order, tag="leave seat", frozen=True):
    """Leave the wheel to the first viewer who takes it."""


Order = Seen | Key | Pad | Touch | LetGo | Press | Back | Open | Replay | Link | Branch | GoOn | TakeSeat | LeaveSeat


def order_of(text: str) -> Order:
    """The order that a message holds.

    Raises:
        Refused: it holds none; the message says why.
    """
    if len(text) > MAX_ORDER_CHARS:
        raise Refused(f"an order has at most {MAX_ORDER_CHARS} characters")
    try:
        return _READER.decode(text)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise Refused(f"this is no order: {clean(error, 300)}") from error


_READER: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)
