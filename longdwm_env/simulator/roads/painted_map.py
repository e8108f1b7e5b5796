"""The simulated road as ``geometry.layout`` wants it: the asphalt and the lines of the picture, without the rest."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from longdwm_env.geometry.layout import CENTRE_LINE, LINE, ROAD, RoadLayout
from longdwm_env.geometry.map_view.scenery import SceneryLayer
from longdwm_env.simulator.drawing.road_paint import road_paint
from longdwm_env.simulator.roads.road_kinds import RoadPlan
from longdwm_env.simulator.roads.road_map import LaneRoadMap
from longdwm_env.simulator.roads.roadside_blocks import scenery_layer
from longdwm_env.types import FloatArray

_KIND_OF_COLOUR = {"asphalt": ROAD, "white": LINE, "yellow": CENTRE_LINE}
_OTHER = -1


@dataclass(frozen=True)
class PaintedRoadMap(LaneRoadMap):
    """A road's lanes, what is painted on them, and what stands beside them where the scene is known.

    A ``geometry.layout.DrawnRoadMap`` and a ``geometry.scenery.SceneryMap``.
    """

    road: RoadPlan
    seed: int | None = None

    def layout(self, centre_m: FloatArray, reach_m: float) -> RoadLayout:
        """Asphalt, lines and crossings within a distance of a point (2,)."""
        return self._whole.near(centre_m, reach_m)

    def scenery(self, centre_m: FloatArray, reach_m: float) -> SceneryLayer | None:
        """Houses, trees and all else within a distance of a point (2,)."""
        return None if self.seed is None else scenery_layer(self.seed, self.road.kind).near(centre_m, reach_m)

    @cached_property
    def _whole(self) -> RoadLayout:
        return road_layout(self.road)


def road_layout(road: RoadPlan) -> RoadLayout:
    """Asphalt, lines and crossings of a road, in the world frame of its scene."""
    names = ("shoulder", "asphalt", "track", "patch", "tar", "white", "yellow", "kerb")
    # The kind takes the place of the colour, so that the layout can never differ from what is drawn.
    paint = road_paint(road, 0, {name: (_KIND_OF_COLOUR.get(name, _OTHER),) * 3 for name in names})
    kinds = paint.colours[:, 0]
    told = np.isin(kinds, list(_KIND_OF_COLOUR.values()))
    return RoadLayout(paint.corners_m[told], kinds[told].astype(np.uint8))
