"""Lane keeping from the camera alone, by the lane that one image shows (``scenes.lane_seen``); no map."""

import math

import numpy as np

from longdwm_env.actions import Action
from longdwm_env.agents.policy import PolicyContext, episode_camera, last_frames, present_speed_mps
from longdwm_env.clock import WAYPOINT_TIMES_S
from longdwm_env.episodes.observation import Info, Observation
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.kinematics import LIMITS
from longdwm_env.scenes.lane_seen import LaneSeen, find_lane
from longdwm_env.types import Camera


class CameraLaneKeeping:
    """Keeps to the middle of the lane that it sees, for which the camera must be known; sees no traffic."""

    def __init__(self, context: PolicyContext, speed_mps: float = 10.0) -> None:
        context.require("trajectory", "control", policy="camera lane keeping")
        if isinstance(speed_mps, bool) or not 0 < speed_mps <= LIMITS.max_speed_mps:
            raise InvalidConfig(f"the desired speed is above 0, up to {LIMITS.max_speed_mps:g} m/s, got {speed_mps!r}")
        self._context = context
        self._speed_mps = speed_mps
        self._camera: Camera | None = None
        self._seen = LaneSeen()

    def reset(self, observation: Observation, info: Info) -> None:
        """Look up the episode's camera; forget the lane."""
        self._camera = episode_camera(self._context, info)
        self._seen = LaneSeen()

    def act(self, observation: Observation, info: Info) -> Action:
        """Waypoints along the middle of the lane; straight on where none is seen."""
        assert self._camera is not None, "reset comes before act"
        seen = find_lane(last_frames(observation)[-1], self._camera)
        if seen.confidence > 0:
            # A second of memory smooths what single images get wrong.
            share = 0.7 if self._seen.confidence > 0 else 1.0
            self._seen = LaneSeen(
                *(
                    share * new + (1 - share) * old
                    for new, old in zip(vars(seen).values(), vars(self._seen).values(), strict=True)
                )
            )
        else:
            self._seen = LaneSeen()
        speed = present_speed_mps(observation, info)
        bend = math.sqrt(2.0 / max(abs(self._seen.curvature_per_m), 1e-4))
        target = min(self._speed_mps, bend, LIMITS.max_speed_mps)
        acceleration = float(np.clip(target - speed, -2.0, 1.0))
        times = np.array(WAYPOINT_TIMES_S)
        ahead = np.maximum.accumulate(np.maximum(speed * times + acceleration * times**2 / 2, 0.0))
        # The offset is closed over about two seconds, by a curve that starts along the car's heading.
        share_back = np.clip(ahead / max(10.0, 2.0 * speed), 0.0, 1.0)
        easing = share_back * share_back * (3 - 2 * share_back)
        return self._context.action_from_waypoints(
            np.stack([ahead, easing * self._seen.lateral_m(ahead)], axis=1), speed
        )


__all__ = ["CameraLaneKeeping", "LaneSeen", "find_lane"]
