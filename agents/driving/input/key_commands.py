"""What keys do: one table for the window, the help overlay and the documentation."""

from dataclasses import dataclass
from enum import Enum

from longdwm_env.agents.driving.input.held_keys import DOWN, LEFT, RIGHT, UP


class Command(Enum):
    """What a key press asks the session to do."""

    PAUSE = "pause"
    SINGLE_INTERVAL = "single interval"
    BACK_1_S = "back 1 s"
    BACK_5_S = "back 5 s"
    NEXT_WORLD = "next world"
    NEXT_WEATHER = "next weather"
    NEXT_TIME = "next time of day"
    NEW_SCENE = "new scene"
    RESTART = "restart scene"
    RECORD = "record"
    TAKE_WHEEL = "take the wheel"
    HELP = "help"
    HIDE = "hide instruments"
    QUIT = "quit"


@dataclass(frozen=True)
class Binding:
    """Keys (pygame's names) that do one thing, how the help writes them, and what it says about them."""

    keys: tuple[str, ...]
    shown: str
    about: str
    does: "Command | str"


BINDINGS: tuple[Binding, ...] = (
    Binding(("left", "a"), "←  A", "steer left", LEFT),
    Binding(("right", "d"), "→  D", "steer right", RIGHT),
    Binding(("up", "w"), "↑  W", "accelerate", UP),
    Binding(("down", "s"), "↓  S", "brake", DOWN),
    Binding(("space", "p"), "Space", "pause, go on", Command.PAUSE),
    Binding((".",), ".", "drive one second, then pause", Command.SINGLE_INTERVAL),
    Binding(("backspace", "z"), "Backspace", "back 1 s; drive it again", Command.BACK_1_S),
    Binding(("x",), "X", "back 5 s", Command.BACK_5_S),
    Binding(("tab",), "Tab", "other world, same moment", Command.NEXT_WORLD),
    Binding(("v",), "V", "other weather", Command.NEXT_WEATHER),
    Binding(("t",), "T", "other time of day", Command.NEXT_TIME),
    Binding(("n",), "N", "new scene", Command.NEW_SCENE),
    Binding(("home",), "Home", "this scene from its start", Command.RESTART),
    Binding(("r",), "R", "record: video and replay file", Command.RECORD),
    Binding(("m",), "M", "wheel to me, or to the policy", Command.TAKE_WHEEL),
    Binding(("i",), "I", "hide or show the instruments", Command.HIDE),
    Binding(("h", "f1", "?"), "H", "this help", Command.HELP),
    Binding(("escape", "q"), "Esc", "quit", Command.QUIT),
)

GAMEPAD_ABOUT = (
    ("Gamepad", "left stick steers, right trigger accelerates, left trigger brakes"),
    ("Wheel", "wheel steers, pedals accelerate and brake"),
)

_OF_KEY = {key: binding for binding in BINDINGS for key in binding.keys}


def binding_of(key_name: str) -> Binding | None:
    """What a key does, by pygame's name of it; None if nothing."""
    return _OF_KEY.get(key_name)
