"""The simplest driver: straight on, at the speed it has."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from longdwm_env.agents.policy import PolicyContext, present_speed_mps
from longdwm_env.clock import WAYPOINT_TIMES_S


class ConstantVelocity:
    """Keeps velocity and heading. In control mode it lets go of everything; as a command it goes straight."""

    def __init__(self, context: PolicyContext) -> None:
        context.require("trajectory", "control", "command", policy="constant velocity")
        self._context = context

    def reset(self, observation: Any, info: Mapping[str, Any]) -> None:
        """Nothing to forget."""

    def act(self, observation: Any, info: Mapping[str, Any]) -> Any:
        """Straight on."""
        if self._context.action_mode == "command":
            return 0
        speed = present_speed_mps(observation, info)
        ahead = speed * np.array(WAYPOINT_TIMES_S)
        return self._context.action_from_waypoints(np.stack([ahead, np.zeros_like(ahead)], axis=1), speed)
