"""What is known of the world around the next second of a drive."""

from dataclasses import dataclass, field, replace

from longdwm_env.geometry.layout import RoadLayout
from longdwm_env.geometry.map_view.map_picture import MapPicture, draw_map
from longdwm_env.geometry.map_view.scenery import SceneryLayer
from longdwm_env.models.closed_loop.sky_memory import Sky
from longdwm_env.types import ActorTracks, Camera, FloatArray, Images


@dataclass(frozen=True)
class Surroundings:
    """What is known of the world around the next second, in one frame of reference.

    Attributes:
        poses: (13, 3) of the ego, now and at each frame of the second.
        layout: of the road; None where there is no map.
        scenery: beside the road; None where the map does not know it.
        others: the other road users at the same 13 frames; None where they are unknown.
        sky: as it is remembered; None where it is not.
    """

    poses: FloatArray
    layout: RoadLayout | None = None
    scenery: SceneryLayer | None = None
    others: ActorTracks | None = None
    sky: Sky | None = None
    _drawn: dict[tuple[int, Camera], MapPicture] = field(default_factory=dict, repr=False, compare=False)

    def shown(self, frame: int, camera: Camera) -> MapPicture:
        """What the map and the boxes show of a frame; drawn once."""
        if (frame, camera) not in self._drawn:
            drawn = draw_map(self.layout, self.scenery, self.others, frame, camera, self.poses[frame])
            self._drawn[frame, camera] = drawn
        return self._drawn[frame, camera]

    def looked_up(self, present: Images, camera: Camera, specks_px: float = 0.0) -> "Surroundings":
        """With the sky remembered as the present frame (H, W, 3) shows it; see ``Sky.with_seen``."""
        if self.sky is None or self.sky.seen.any():
            return self
        shown = self.shown(0, camera)
        return replace(self, sky=self.sky.with_seen(present, shown, float(self.poses[0, 2]), camera, specks_px))

    def below_the_sky(
        self, image: Images, inverse_depth: FloatArray, frame: int, camera: Camera, driven: int
    ) -> Images:
        """A frame (H, W, 3) with the sky that is remembered, so many frames after the start; see ``Sky.over``."""
        if self.sky is None:
            return image
        return self.sky.over(image, inverse_depth, float(self.poses[frame, 2]), camera, driven)

    @property
    def flags(self) -> tuple[float, float]:
        """What the map knows: "layout" and "scenery" of ``compositor.FLAGS``."""
        return float(self.layout is not None), float(self.scenery is not None)
