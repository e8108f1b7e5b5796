"""Drive along a given route, from wherever the car really is."""

import numpy as np
from numpy.typing import NDArray

from longdwm_env.agents.policy import PolicyContext, present_speed_mps
from longdwm_env.clock import FPS, WAYPOINT_TIMES_S
from longdwm_env.episodes.observation import Info
from longdwm_env.geometry.pose import compose, relative_to
from longdwm_env.io.routes import Route
from longdwm_env.types import FloatArray


class RouteFollower:
    """Asks for the places where the route will be in 0.5 to 2.0 s, seen from the actual ego frame.

    So errors do not add up: a car that strayed is asked to come back. After its end the route goes on as it ended.

    Args:
        route: in the ego frame of the episode's start.
        context: gives the control period; trajectory or control mode.
    """

    def __init__(self, route: Route, context: PolicyContext) -> None:
        context.require("trajectory", "control", policy="a route follower")
        self.route = route
        self._context = context
        self._world_from_start: FloatArray = np.zeros(3)
        self._frame = 0

    def reset(self, observation: object, info: Info) -> None:
        """The route starts where the car stands now."""
        self._world_from_start = np.asarray(info["ego_pose"], dtype=np.float64)[-1]
        self._frame = 0

    def act(self, observation: object, info: Info) -> NDArray[np.float32]:
        """Waypoints of the route in the actual ego frame."""
        world_from_ego = np.asarray(info["ego_pose"], dtype=np.float64)[-1]
        due = self._frame + np.round(np.array(WAYPOINT_TIMES_S) * FPS).astype(int)
        places = compose(np.broadcast_to(self._world_from_start, (len(due), 3)), self.route.poses_at(due))
        waypoints = relative_to(places, np.broadcast_to(world_from_ego, places.shape))[:, :2]
        self._frame += round(self._context.control_period_s * FPS)
        return self._context.action_from_waypoints(waypoints, present_speed_mps(observation, info))
