"""The name of a policy, taken apart: which one, its parameters, and what environment it needs. See ``naming``."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from longdwm_env.errors import InvalidConfig
from longdwm_env.io.words import clean

REGISTRY: Mapping[str, str] = {
    "constant-velocity": "constant:ConstantVelocity",
    "random": "random_driving:RandomDriving",
    "replay": "replay:LogReplay",
    "idm": "privileged:LaneKeeping",
    "lane-camera": "lane_camera:CameraLaneKeeping",
    "mppi": "planning:mppi",
    "cem": "planning:cem",
}
"""Our own policies: name -> module of ``policies`` and factory in it. As text, so that listing imports nothing."""

DEGRADATIONS = ("noise", "delay", "aggression", "degrade_seed", "blind")
ENVIRONMENT = ("action_mode", "obs_mode")
_PARAMETERS = re.compile(r":(?=[A-Za-z_]\w*=)")


@dataclass(frozen=True)
class EnvironmentNeeds:
    """What environment a policy was made for; None leaves the choice to the caller."""

    action_mode: str | None = None
    obs_mode: str | None = None


@dataclass(frozen=True)
class PolicySpec:
    """A parsed name.

    Attributes:
        text: as it was written; what reports call the policy.
        degradations: for ``degraded``; ``blind`` among them.
        needs: of the environment, as far as the name says.
    """

    text: str
    target: str
    parameters: Mapping[str, object] = field(default_factory=dict)
    degradations: Mapping[str, object] = field(default_factory=dict)
    needs: EnvironmentNeeds = EnvironmentNeeds()

    @classmethod
    def parse(cls, text: str) -> "PolicySpec":
        """Take a name apart.

        Raises:
            InvalidConfig: a parameter that is not ``key=value``, or one given twice.
        """
        if not isinstance(text, str):
            raise InvalidConfig(f"a policy is named by a text, got {clean(repr(text), 100)}; {allowed()}")
        target, *rest = _PARAMETERS.split(text.strip(), maxsplit=1)
        parameters: dict[str, object] = {}
        for part in rest[0].split(",") if rest else ():
            key, equals, value = part.partition("=")
            if not equals or not key.strip().isidentifier() or key.strip() in parameters:
                raise InvalidConfig(f"policy {text!r}: {part!r} is not one key=value; write NAME:key=value,key=value")
            parameters[key.strip()] = _value(value.strip())
        if not target:
            raise InvalidConfig(f"policy {text!r} has no name; {allowed()}")
        degradations = {key: parameters.pop(key) for key in DEGRADATIONS if key in parameters}
        needs = EnvironmentNeeds(**{key: str(parameters.pop(key)) for key in ENVIRONMENT if key in parameters})
        return cls(text.strip(), target, parameters, degradations, needs)

    @property
    def blinded(self) -> str:
        """The name of the same policy, shown black pictures."""
        if "blind" in self.degradations:
            return re.sub(r"\bblind *=[^,]*", "blind=true", self.text)
        return f"{self.text}{',' if _PARAMETERS.search(self.text) else ':'}blind=true"

    @property
    def is_remote(self) -> bool:
        """Whether the policy runs behind a websocket."""
        return self.target.startswith(("ws://", "wss://"))


def _value(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def allowed() -> str:
    """How a policy may be named, in words."""
    return (
        f"there are {', '.join(REGISTRY)}, each with :key=value,...; module:factory; a Python file with make_policy or "
        "Policy; a .safetensors file; ws://host:port"
    )
