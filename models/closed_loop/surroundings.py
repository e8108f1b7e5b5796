"""What is known of the world around the next second of a drive."""

from dataclasses import dataclass

from longdwm_env.geometry.layout import RoadLayout
from longdwm_env.geometry.map_view.map_picture import MapPicture, draw_map
from longdwm_env.geometry.map_view.scenery import SceneryLayer
from longdwm_env.types import ActorTracks, Camera, FloatArray


@dataclass(frozen=True)
class Surroundings:
    """What is known of the world around the next second, in one frame of reference.

    Attributes:
        poses: (13, 3) of the ego, now and at each frame of the second.
        layout: of the road; None where there is no map.
        scenery: beside the road; None where the map does not know it.
        others: the other road users at the same 13 frames; None where they are unknown.
    """

    poses: FloatArray
    layout: RoadLayout | None = None
    scenery: SceneryLayer | None = None
    others: ActorTracks | None = None

    def shown(self, frame: int, camera: Camera) -> MapPicture:
        """What the map and the boxes show of a frame."""
        return draw_map(self.layout, self.scenery, self.others, frame, camera, self.poses[frame])

    @property
    def flags(self) -> tuple[float, float]:
        """What the map knows: "layout" and "scenery" of ``compositor.FLAGS``."""
        return float(self.layout is not None), float(self.scenery is not None)
