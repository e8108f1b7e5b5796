"""Vista's annotations of nuScenes (Gao et al. 2024), as its authors publish them: ``nuScenes_val.json``.

A JSON array with an object for each sample: ``frames``, the 25 front camera pictures from a keyframe on, as nuScenes
names them; ``traj``, ten numbers, x and y in metres of the lidar now and 0.5, 1, 1.5 and 2 s on, in the lidar's frame
now (x to the right, y ahead); and others that are not read here (``speed``, ``angle``, ``cmd``, ``z``, ``goal``).
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.paper.continuations import Command
from longdwm_env.geometry.spline import plan_trajectory
from longdwm_env.types import EgoState, FloatArray, JsonObject, frozen_array

POINT_TIMES_S = (0.5, 1.0, 1.5, 2.0)
"""Of the points after the first, which is where the lidar is."""

LIDAR_AHEAD_M = 0.943713
"""How far ahead of the rear axle nuScenes' lidar stands (its ``calibrated_sensor`` table)."""

_ROUNDS = 3
"""Of finding headings and moving points from the lidar to the axle; each changes a tenth of what the last one did."""


@dataclass(frozen=True)
class VistaSample:
    """One annotated sample.

    Attributes:
        first_frame: file name of the given picture, relative to the dataroot.
        points_m: (4, 2) where the lidar will be at ``POINT_TIMES_S``: x forward, y left of where it is.
    """

    first_frame: str
    points_m: FloatArray

    def command(self, speed_mps: float, num_frames: int) -> Command:
        """The motion through the points (LongDWM, appendix A.1), of the rear axle.

        Deviation: the spline begins with the ego's present speed, and where no car could follow it the nearest motion
        that one can drive takes its place.

        Args:
            speed_mps: of the ego now.
            num_frames: to come; after the last point it goes straight on.
        """
        lidar = np.array([LIDAR_AHEAD_M, 0.0])
        points, ego = self.points_m, EgoState(0.0, 0.0, 0.0, speed_mps)
        for _ in range(_ROUNDS):
            planned = plan_trajectory(points, ego, waypoint_times_s=POINT_TIMES_S, num_frames=max(24, num_frames))
            headings = planned.poses[[5, 11, 17, 23], 2]
            turned = LIDAR_AHEAD_M * np.stack([np.cos(headings), np.sin(headings)], axis=1)
            points = self.points_m + lidar - turned
        planned = plan_trajectory(points, ego, waypoint_times_s=POINT_TIMES_S, num_frames=num_frames)
        return Command(planned.poses, planned.speeds_mps, planned.yaw_rates_radps)


def read_vista(path: Path) -> list[VistaSample]:
    """The samples of a file, in its order.

    Raises:
        InvalidConfig: there is no such file, or it is of another form; the message names the sample.
    """
    try:
        listed = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InvalidConfig(
            f"{path} cannot be read as Vista's annotations ({error}); they are a JSON file, nuScenes_val.json, that "
            "its authors publish with their code"
        ) from error
    if not isinstance(listed, list) or not listed:
        raise InvalidConfig(f"{path} must be a JSON array of samples, as Vista publishes it")
    return [_sample(path, number, entry) for number, entry in enumerate(listed)]


def _sample(path: Path, number: int, entry: JsonObject) -> VistaSample:
    try:
        first, points = entry["frames"][0], np.array(entry["traj"], np.float64)
        if not isinstance(first, str) or points.shape != (2 * len(POINT_TIMES_S) + 2,) or not np.isfinite(points).all():
            raise ValueError("frames are file names, and traj ten finite numbers")
    except (LookupError, TypeError, ValueError) as error:
        raise InvalidConfig(f"{path}: sample {number} is not of Vista's form ({error})") from error
    right, ahead = (points.reshape(-1, 2) - points[:2])[1:].T
    return VistaSample(first, frozen_array(np.stack([ahead, -right], axis=1)))
