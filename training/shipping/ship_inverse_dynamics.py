"""A trained inverse-dynamics model as it is shipped; see ``ship_scorer``."""

from pathlib import Path

from longdwm_env.models.readers.inverse_dynamics import load_inverse_dynamics
from longdwm_env.training.shipping.ship_scorer import ship_network
from longdwm_env.types import JsonObject

_ABOUT = """\
# The inverse-dynamics model of LongDWM

It looks at one second of driving (12 frames of 96 x 144) with the camera that took it, and says how fast the car moves
and turns. Every speed and yaw rate is tried on the road as seen from above and on far scenery, without weights; a
small network weighs how well each explains the second.
Class: `longdwm_env.models.readers.inverse_dynamics.InverseDynamics`.

## What it is for
Did a video do what was commanded? `longdwm metrics obey` and the compliance metric rest on it.

## What it is not for
It needs the camera's intrinsics and mounting, and a flat road. It has seen the reference simulator and nothing else:
what it says of photographs and of real video has not been measured. No safety decision may rest on it.
"""


def ship_inverse_dynamics(source: Path, target: Path, training: JsonObject, quality: str | None = None) -> str:
    """Write a trained reader in bfloat16, with its configuration and card; see ``ship_network``."""
    return ship_network(load_inverse_dynamics, _ABOUT, "inverse-dynamics", source, target, training, quality)
