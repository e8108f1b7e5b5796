"""The built-in scenes driven on by the simulator's own drivers, as footage for a dataset."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from longdwm_env.clock import FRAMES_PER_INTERVAL, frames_in
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.pose import compose
from longdwm_env.scenes.footage_chunks import Clip, FootageChunk
from longdwm_env.scenes.media.sidecar import read_camera_file
from longdwm_env.simulator.roads.road_map import LaneRoadMap
from longdwm_env.simulator.scene import builtin_scene, default_camera, episode
from longdwm_env.simulator.traffic.ego_driver import AFTERMATH_FRAMES, drive
from longdwm_env.simulator.traffic.traffic_state import EGO
from longdwm_env.simulator.traffic.vehicle_kinds import STYLES
from longdwm_env.types import ImageSize, Scene
from longdwm_env.worlds.simulator_world import SimulatorWorld

MOST_SECONDS = 600.0
SHORTEST_SIDE_PX, LONGEST_SIDE_PX = 16, 4096


def simulator_clip(
    seed: int, seconds: float, image_size: ImageSize, camera_file: Path | None = None, style: str | None = None
) -> Clip:
    """The footage of one built-in scene from its start on.

    Args:
        seed: of the scene.
        seconds: how long, a whole number of frames; it ends sooner, soon after the ego has hit something.
        image_size: (height, width).
        camera_file: in the form of ``sidecar``; the scene's own camera is used if it is None or names none.
        style: of the driver; None for one that changes every few seconds, see ``simulator.traffic.ego_driver``.

    Raises:
        InvalidConfig: a length, an image size or a style that is not allowed.
        InvalidScene: the camera file is broken.
    """
    if not 0 < seconds <= MOST_SECONDS:
        raise InvalidConfig(f"seconds is {seconds!r}; allowed are more than 0, at most {MOST_SECONDS:g}")
    if not all(side in range(SHORTEST_SIDE_PX, LONGEST_SIDE_PX + 1) for side in image_size):
        raise InvalidConfig(f"image size {image_size}: sides of {SHORTEST_SIDE_PX} to {LONGEST_SIDE_PX} are allowed")
    if style is not None and style not in STYLES:
        raise InvalidConfig(f"there is no driving style {style!r}; choose one of {', '.join(STYLES)}")
    try:
        num_frames = frames_in(seconds)
    except ValueError as error:
        raise InvalidConfig(str(error)) from error
    camera = None if camera_file is None else read_camera_file(camera_file, image_size).camera
    if camera is None:
        camera = default_camera(seed).fitted(image_size)
    scene = replace(builtin_scene(seed), camera=camera)
    road_map = LaneRoadMap(episode(seed).road.table)
    return Clip(seed, camera, scene.prompt, road_map, _chunks(scene, seed, num_frames, image_size, style))


def _chunks(
    scene: Scene, seed: int, num_frames: int, image_size: ImageSize, style: str | None
) -> Iterator[FootageChunk]:
    """The start, then an interval at a time."""
    assert scene.camera is not None
    world = SimulatorWorld(image_size)
    state = world.begin(scene, seed)
    assert state.actors is not None
    yield FootageChunk(scene.log.images(0, 1, scene.camera), scene.start.pose[None], state.actors)
    done, aftermath = 0, 0
    while done < num_frames and aftermath < AFTERMATH_FRAMES:
        count = min(FRAMES_PER_INTERVAL, num_frames - done)
        trajectory = drive(state, seed, style)
        poses = compose(state.arrays["ego_pose"], trajectory.poses[:count])
        (state,), frames = world.advance([state], [trajectory], count)
        assert state.actors is not None
        # The first entry is the frame before those just generated.
        yield FootageChunk(frames[0], poses, state.actors.during(slice(1, None)))
        aftermath += count if state.arrays["crashed_s"][EGO] > 0 else 0
        done += count
