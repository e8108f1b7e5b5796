"""The recorded drive: asks for the places where the logged car went."""

import numpy as np

from longdwm_env.actions import Action
from longdwm_env.agents.policies.route_following import RouteFollower
from longdwm_env.agents.policy import PolicyContext
from longdwm_env.episodes.observation import Info, Observation
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.pose import relative_to
from longdwm_env.io.routes import Route


class LogReplay:
    """Follows the scene's log, from wherever the car really is; after its end it goes on as the log ended.

    Raises:
        InvalidConfig: at reset, if the scene's log does not say where the car went after the start.
    """

    def __init__(self, context: PolicyContext) -> None:
        context.require("trajectory", "control", policy="log replay")
        self._context = context
        self._base = context.base
        self._follower: RouteFollower | None = None

    def reset(self, observation: Observation, info: Info) -> None:
        """Open the log of the episode's scene."""
        scene = self._base.scene
        poses = scene.log.ego_poses
        if poses is None or scene.log.num_future < 1:
            raise InvalidConfig(f"scene {scene.key!r} has no log of where the car went after its start to replay")
        ahead = np.asarray(poses)[scene.log.num_past :]
        route = Route(scene.key, relative_to(ahead, np.broadcast_to(ahead[0], ahead.shape)))
        self._follower = RouteFollower(route, self._context)
        self._follower.reset(observation, info)

    def act(self, observation: Observation, info: Info) -> Action:
        """Waypoints of the logged drive in the actual ego frame."""
        assert self._follower is not None, "reset comes before act"
        return self._follower.act(observation, info)
