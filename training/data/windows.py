"""Kinds of coarse samples: how many keyframes are known, how many are made, and what is special about them."""

from dataclasses import dataclass

from longdwm_env.errors import InvalidConfig


@dataclass(frozen=True)
class Window:
    """One kind of coarse sample.

    Attributes:
        weight: how often, relative to the other windows.
        self_rollout: the model itself makes all of ``future`` but the last, and is trained on the last (``losses``).
        prompt_switched: the older part of the history, up to all of it, is of the clip's twin, so that the picture
            turns into what the prompt says. Drawn from clips that have a twin.
        restyled: the one known keyframe is the twin's of the very moment that is made, seen from where it is: how a
            drive goes on after a change of prompt (``models.conditioning.restyling``). Drawn from clips with a twin.
    """

    history: int
    future: int
    weight: float = 1.0
    self_rollout: bool = False
    prompt_switched: bool = False
    restyled: bool = False

    @property
    def name(self) -> str:
        """As on the command line, without the weight."""
        kind = "r" if self.self_rollout else "s" if self.prompt_switched else "d" if self.restyled else ""
        return f"{self.history}+{self.future}{kind}"

    @property
    def needs_twin(self) -> bool:
        """Whether it is drawn from clips that have a twin."""
        return self.prompt_switched or self.restyled

    def __post_init__(self) -> None:
        if self.history < 1 or self.future < 1 or self.weight <= 0:
            raise InvalidConfig(
                f"a window has at least one known and one new keyframe and a weight above 0, got {self}"
            )
        if self.self_rollout and self.future < 2:
            raise InvalidConfig(
                f"a self-rollout window makes at least two keyframes, the last of which is trained, got {self}"
            )
        if self.restyled and (self.history != 1 or self.future != 1):
            raise InvalidConfig(f"a restyled window has one known and one new keyframe, got {self}")
        if self.self_rollout + self.prompt_switched + self.restyled > 1:
            raise InvalidConfig(f"a window is of one kind, got {self}")
