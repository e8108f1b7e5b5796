"""The simplest driver: straight on, at the speed it has."""

import numpy as np

from longdwm_env.actions import Action
from longdwm_env.agents.policy import PolicyContext, present_speed_mps
from longdwm_env.clock import WAYPOINT_TIMES_S
from longdwm_env.episodes.observation import Info, Observation


class ConstantVelocity:
    """Keeps velocity and heading. In control mode it lets go of everything; as a command it goes straight."""

    def __init__(self, context: PolicyContext) -> None:
        context.require("trajectory", "control", "command", policy="constant velocity")
        self._context = context

    def reset(self, observation: Observation, info: Info) -> None:
        """Nothing to forget."""

    def act(self, observation: Observation, info: Info) -> Action:
        """Straight on."""
        if self._context.action_mode == "command":
            return 0
        speed = present_speed_mps(observation, info)
        ahead = speed * np.array(WAYPOINT_TIMES_S)
        return self._context.action_from_waypoints(np.stack([ahead, np.zeros_like(ahead)], axis=1), speed)
