"""What an evaluation runs, as plain values: it travels to workers as JSON and decides whether a run can be resumed."""

import hashlib
import json
from dataclasses import asdict, dataclass, fields

from longdwm_env.agents.policy_spec import PolicySpec
from longdwm_env.errors import InvalidConfig
from longdwm_env.io.words import clean
from longdwm_env.types import JsonObject

MOST_POLICIES, MOST_EPISODES, MOST_SECONDS = 1000, 100_000, 1e6
"""Beyond these a typing error is likelier than an intention, and the list of drives would fill the memory."""

Record = JsonObject
"""An episode as JSON values; see ``episode_worker``."""

TRIAL = -1
"""The "episode" in which a policy is only checked."""


@dataclass(frozen=True)
class EvaluationConfig:
    """Everything that decides the episodes of an evaluation.

    Attributes:
        policies: names; see ``agents.naming``.
        scenes: None for the built-in scenes, or a path.
        episodes: per policy. Episode i starts in scene ``first_scene + i`` (going round where there are fewer) with
            seed ``seed + i``, for every policy alike.
        first_scene: index of the first scene; the built-in ones for testing begin at 1,000,000.
        action_mode, obs_mode: of the environment, for policies that do not say themselves.
        reference: the driver whose progress is what can be made in a scene; None does without.
        step_timeout_s: a policy that takes longer for one step has failed.
    """

    policies: tuple[str, ...]
    world: str = "simulator"
    scenes: str | None = None
    episodes: int = 10
    first_scene: int = 0
    seed: int = 0
    control_period_s: float = 1.0
    max_episode_s: float = 20.0
    image_size: tuple[int, int] | None = None
    device: str | None = None
    prompt: str | None = None
    action_mode: str = "trajectory"
    obs_mode: str = "video"
    reference: str | None = "idm"
    videos: bool = True
    step_timeout_s: float = 120.0

    def __post_init__(self) -> None:
        for name in ("policies", "image_size"):
            if isinstance(self.__dict__[name], list):
                object.__setattr__(self, name, tuple(self.__dict__[name]))
        if not isinstance(self.policies, tuple) or not self.policies:
            raise InvalidConfig("an evaluation needs at least one policy, in a tuple of names")
        if len(self.policies) > MOST_POLICIES:
            raise InvalidConfig(f"an evaluation has at most {MOST_POLICIES} policies, got {len(self.policies)}")
        for policy in (*self.policies, *([] if self.reference is None else [self.reference])):
            PolicySpec.parse(policy)
        if len(set(self.policies)) < len(self.policies):
            raise InvalidConfig("a policy is named twice; each is evaluated once")
        for name in ("world", "action_mode", "obs_mode"):
            self._require(name, isinstance(self.__dict__[name], str), "a text")
        for name in ("scenes", "device", "prompt"):
            self._require(name, self.__dict__[name] is None or isinstance(self.__dict__[name], str), "a text or None")
        self._require("videos", type(self.videos) is bool, "true or false")
        for name, least, most in (("episodes", 1, MOST_EPISODES), ("first_scene", 0, 1 << 62), ("seed", 0, 1 << 62)):
            value = self.__dict__[name]
            self._require(name, type(value) is int and least <= value <= most, f"a whole number from {least} to {most}")
        for name in ("control_period_s", "max_episode_s", "step_timeout_s"):
            value = self.__dict__[name]
            number = isinstance(value, int | float) and not isinstance(value, bool)
            self._require(name, number and 0 < value <= MOST_SECONDS, f"a number above 0, up to {MOST_SECONDS:g}")
        size = self.image_size
        sides = isinstance(size, tuple) and len(size) == 2 and all(type(side) is int and side > 0 for side in size)
        self._require("image_size", size is None or sides, "two whole numbers, height and width, or None")

    def _require(self, name: str, fits: bool, allowed: str) -> None:
        if not fits:
            raise InvalidConfig(f"{name} must be {allowed}, got {clean(repr(self.__dict__[name]), 100)}")

    def to_json(self) -> str:
        """As text; ``from_json`` brings it back."""
        return json.dumps(asdict(self), allow_nan=False)

    @classmethod
    def from_json(cls, text: str) -> "EvaluationConfig":
        """The config that ``to_json`` wrote.

        Raises:
            InvalidConfig: it did not.
        """
        try:
            values = json.loads(text)
            return cls(**{field.name: values[field.name] for field in fields(cls)})
        except InvalidConfig:
            raise
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise InvalidConfig(f"not the configuration of an evaluation: {clean(error, 200)}") from error

    @property
    def digest(self) -> str:
        """Names this config: equal configs have equal digests."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]

    def differences(self, other: "EvaluationConfig") -> list[str]:
        """What differs, for people: "episodes: 10, was 20"."""
        ours, theirs = asdict(self), asdict(other)
        return [f"{name}: {ours[name]!r}, was {theirs[name]!r}" for name in ours if ours[name] != theirs[name]]


@dataclass(frozen=True)
class Job:
    """One episode of one policy."""

    policy: str
    episode: int
    slot: int
    """Place of the policy in the config; one beyond the last for a reference that is not evaluated itself."""

    @property
    def is_trial(self) -> bool:
        """Whether this is no episode but the check of the policy before the run."""
        return self.episode == TRIAL

    @property
    def key(self) -> str:
        """Names the episode's files."""
        return f"p{self.slot:02d}-e{self.episode:05d}"

    def to_json(self) -> str:
        """As text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Job":
        """The job that ``to_json`` wrote."""
        return cls(**json.loads(text))


def all_jobs(config: EvaluationConfig) -> list[Job]:
    """Every episode, scene by scene, so that an unfinished run has compared its policies on the same scenes."""
    return [Job(name, episode, slot) for episode in range(config.episodes) for name, slot in _drivers(config)]


def trials(config: EvaluationConfig) -> list[Job]:
    """The checks before the run, one for every policy that is named."""
    return [Job(name, TRIAL, slot) for name, slot in _drivers(config)]


def _drivers(config: EvaluationConfig) -> list[tuple[str, int]]:
    drivers = [(name, slot) for slot, name in enumerate(config.policies)]
    if config.reference is not None and config.reference not in config.policies:
        drivers.append((config.reference, len(config.policies)))
    return drivers


@dataclass(frozen=True)
class EpisodeResult:
    """What a worker hands back: a record of JSON values, and the video as mp4."""

    record: Record
    video: bytes | None = None
