"""What the rewards may know of a simulated road: where it is paved, and which lane a pose drives in."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from longdwm_env.simulator.roads.lane_table import LaneTable
from longdwm_env.types import FloatArray, LaneFit

PAVED_MARGIN_M = 0.5
"""Asphalt beyond a lane's edge; the picture has the same."""

CHUNK = 4096


@dataclass(frozen=True)
class LaneRoadMap:
    """The lanes of a road network as a ``types.RoadMap``, exact and vectorised."""

    table: LaneTable

    def drivable(self, points_m: FloatArray) -> NDArray[np.bool_]:
        """Whether each of (N, 2) points lies on a lane of any direction or the asphalt beside it; NaN does not."""
        points = np.asarray(points_m, dtype=np.float64)
        result = np.zeros(len(points), bool)
        for first in range(0, len(points), CHUNK):
            along, lateral = self.table.local(points[first : first + CHUNK])
            result[first : first + CHUNK] = self._paved(along, lateral).any(0)
        return result

    def _paved(self, along: FloatArray, lateral: FloatArray) -> NDArray[np.bool_]:
        half = self.table.widths_m[:, None] / 2 + PAVED_MARGIN_M
        return (np.abs(lateral) <= half) & (along >= -0.05) & (along <= self.table.lengths_m[:, None] + 0.05)

    def fit_lanes(self, poses: FloatArray) -> LaneFit:
        """The lane whose direction agrees with each of (N, 3) poses; NaN off the road.

        A car on the wrong side of a two-way road is measured against the lane of the right direction, so the
        lateral offset is then larger than half a lane. Where no lane of the road leads the pose's way within
        8 m (turned round on a one-way road), the nearest lane counts.
        """
        poses = np.asarray(poses, dtype=np.float64)
        fitted = np.full((3, len(poses)), np.nan)
        for first in range(0, len(poses), CHUNK):
            fitted[:, first : first + CHUNK] = self._fit(poses[first : first + CHUNK])
        return LaneFit(*fitted)

    def _fit(self, poses: FloatArray) -> FloatArray:
        along, lateral = self.table.local(poses[:, :2])
        cost, angle = self.table.mismatch(along, lateral, poses[:, 2])
        paved = self._paved(along, lateral).any(0)
        agrees = (np.abs(angle) <= np.pi / 2) & (cost < 8.0)
        cost = np.where(agrees, cost, cost + 1e3)
        lane = np.nan_to_num(cost, nan=np.inf).argmin(0)
        columns = np.arange(len(poses))
        fit = np.stack([lateral[lane, columns], angle[lane, columns], self.table.widths_m[lane]])
        fit[:, ~paved] = np.nan
        return fit
