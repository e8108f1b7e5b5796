"""Streets that the compositor's own drives go along: the simulator's, of which all is known."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from longdwm_env import clock
from longdwm_env.geometry.pose import compose
from longdwm_env.models.closed_loop.surroundings import Surroundings
from longdwm_env.simulator.conditions import Conditions, caption
from longdwm_env.simulator.drawing.camera_picture import draw_frame
from longdwm_env.simulator.scene import builtin_scene, default_camera, episode
from longdwm_env.simulator.traffic.ego_driver import STYLE_S, planned, style_at, with_style
from longdwm_env.simulator.traffic.stepping import step
from longdwm_env.simulator.traffic.traffic_state import EGO, Traffic, ego_pose
from longdwm_env.types import Camera, FloatArray, Images, ImageSize
from longdwm_env.worlds.simulator_world import actor_tracks

REACH_M = 320.0
STEP = clock.FRAMES_PER_INTERVAL
HISTORY = 4
"""Keyframes before the start, the present one included."""

BEFORE = 6
"""Frames back to the one that the matched sweep looks at."""

OTHER_RAIN = 60 * clock.FPS
"""So many frames later all is alike but for the drops of rain: indicators blink a whole number of times meanwhile."""


@dataclass(frozen=True)
class Stretch:
    """One second of a street.

    Attributes:
        surroundings: what is known of it.
        truth: the frame, (H, W, 3), that was to be seen 0 to 12 frames after its beginning.
    """

    surroundings: Surroundings
    truth: Callable[[int], Images]


class Street(Protocol):
    """Where a drive goes.

    Attributes:
        camera: of all frames.
        prompt: for the models.
        seed: of the models' noise.
        history: keyframes (H, W, 3) a second apart up to the start, the newest last.
        before: the frame of ``BEFORE`` frames ago and its pose (3,) in the street's world frame; None without one.
    """

    camera: Camera
    prompt: str
    seed: int
    history: Sequence[Images]
    before: tuple[Images, FloatArray] | None

    @property
    def ended(self) -> bool:
        """Whether no further second can be driven."""
        ...

    def here(self) -> Stretch:
        """The present moment alone; its surroundings have one pose."""
        ...

    def drive_on(self) -> Stretch:
        """Drive one second on."""
        ...


@dataclass(frozen=True)
class Knowledge:
    """What of the map a drive is given: as in the worlds that people have, often not all."""

    layout: bool
    scenery: bool
    others: bool


EVERYTHING, ROAD, NOTHING = Knowledge(True, True, True), Knowledge(True, False, True), Knowledge(False, False, False)


class SimulatedStreet:
    """A built-in scene, driven on by the simulator's drivers or along arcs that no driver would choose.

    Args:
        seed: of the scene.
        knowledge: what of the map is given.
        image_size: (height, width).
        arcs: source of random arcs; None for a driver.
        conditions: weather and time of day of what lies ahead; None for the scene's own, which the history shows.
        whole: whether stretches tell all that there is to know, whatever a drive is given.
    """

    def __init__(
        self,
        seed: int,
        knowledge: Knowledge = EVERYTHING,
        image_size: ImageSize = (96, 144),
        arcs: np.random.Generator | None = None,
        conditions: Conditions | None = None,
        whole: bool = False,
    ) -> None:
        self.seed, self.knowledge, self._whole = seed, knowledge, whole
        self._episode, scene = episode(seed), builtin_scene(seed)
        self._road_map = scene.road_map
        self.camera = default_camera(seed).fitted(image_size)
        self.conditions = self._episode.conditions if conditions is None else conditions
        self.prompt = scene.prompt if conditions is None else caption(conditions, "", "")
        self.history: Sequence[Images] = [
            scene.log.images(-STEP * back, 1, self.camera)[0] for back in reversed(range(HISTORY))
        ]
        self.past_poses = self._episode.ego_poses[[-1 - STEP * back for back in reversed(range(HISTORY))]]
        past = ego_pose(self._episode.past[-1 - BEFORE])
        self.before: tuple[Images, FloatArray] | None = (scene.log.images(-BEFORE, 1, self.camera)[0], past)
        self._now, self._frame = self._episode.past[-1], 0
        self._arcs = arcs
        self._arc = (0.0, 0.0) if arcs is None else (float(arcs.uniform(0, 16)), 0.0)

    @property
    def ended(self) -> bool:
        """Whether the ego has hit something."""
        return bool(self._now.crashed_s[EGO] > 0)

    def here(self) -> Stretch:
        """See ``Street``."""
        return self._stretch([self._now], ego_pose(self._now)[None])

    def drive_on(self) -> Stretch:
        """See ``Street``."""
        here = ego_pose(self._now)
        ahead, speeds = self._driver() if self._arcs is None else self._along_arc(self._arcs)
        poses = np.concatenate([here[None], compose(here, ahead)])
        steps = [self._now]
        for index in range(1, STEP + 1):
            ego = poses[index], float(speeds[index - 1])
            steps.append(step(self._episode.road, steps[-1], self.seed, self._frame + index, ego))
        stretch = self._stretch(steps, poses)
        self._now, self._frame = steps[-1], self._frame + STEP
        return stretch

    def _stretch(self, steps: Sequence[Traffic], poses: FloatArray) -> Stretch:
        one, frame = self._episode, self._frame
        tracks = actor_tracks(steps, one.road.table, frame)

        def truth(index: int) -> Images:
            # Where drops will be nothing tells, and they lighten: the darker of two pictures is the street without.
            numbers = (0, OTHER_RAIN) if self.conditions.weather == "rain" else (0,)
            pictures = [
                draw_frame(
                    one.road, self.seed, steps[index], frame + index + later, self.conditions, self.camera, poses[index]
                )
                for later in numbers
            ]
            return np.asarray(np.minimum.reduce(pictures), np.uint8)

        surroundings = Surroundings(
            poses,
            self._road_map.layout(poses[0, :2], REACH_M),  # type: ignore[union-attr]
            self._road_map.scenery(poses[0, :2], REACH_M),  # type: ignore[union-attr]
            tracks,
        )
        return Stretch(surroundings if self._whole else self.known_of(surroundings), truth)

    def known_here(self) -> Surroundings:
        """All that there is to know of the present moment."""
        whole, self._whole = self._whole, True
        stretch = self.here()
        self._whole = whole
        return stretch.surroundings

    def known_of(self, whole: Surroundings) -> Surroundings:
        """What of it a drive is given."""
        known = self.knowledge
        return Surroundings(
            whole.poses,
            whole.layout if known.layout else None,
            whole.scenery if known.scenery else None,
            whole.others if known.others else None,
        )

    def _driver(self) -> tuple[FloatArray, FloatArray]:
        """(12, 3) poses and (12,) speeds as the drivers of footage drive."""
        style = style_at(self.seed, self._frame)
        driven = with_style(self._now, style, self.seed, self._frame // (STYLE_S * clock.FPS))
        trajectory = planned(self._episode.road, driven, self.seed, self._frame)
        return trajectory.poses[:STEP], trajectory.speeds_mps[:STEP]

    def _along_arc(self, rng: np.random.Generator) -> tuple[FloatArray, NDArray[np.float64]]:
        """(12, 3) poses on an arc and (12,) speeds; speed and curvature change a little each second."""
        speed, curvature = self._arc
        speed = float(np.clip(speed + rng.normal(0, 1.5), 0, 20)) if rng.random() > 0.05 else 0.0
        curvature = float(np.clip(0.8 * curvature + rng.normal(0, 0.012), -0.06, 0.06))
        self._arc = speed, curvature
        along = speed * clock.FRAME_S * np.arange(1, STEP + 1)
        headings = curvature * along
        # A chord of an arc lies halfway between its ends' headings.
        chord = along * np.sinc(headings / 2 / np.pi)
        poses = np.column_stack([chord * np.cos(headings / 2), chord * np.sin(headings / 2), headings])
        return poses, np.full(STEP, speed)
