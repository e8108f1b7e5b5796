"""The promises of a source of scenes and of what it gives (``longdwm_env.types``)."""

from collections.abc import Callable

import numpy as np

from longdwm_env.contracts.promises import most_different, promise, same
from longdwm_env.errors import UnknownScene
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.types import Camera, FloatArray, ImageSize, RoadMap, Scene, SceneLog, SceneSource

NO_KEY = "\N{NO ENTRY} no scene has this key"
SEEDS = (0, 1, 7, 1_000_003)
SIZE: ImageSize = (24, 36)


def check_scene_source(source: SceneSource, most: int = 4, image_size: ImageSize = SIZE) -> None:
    """Look at some of a source's scenes and see whether they are what ``types.SceneSource`` and ``Scene`` promise.

    Args:
        source: of scenes.
        most: so many of them are looked at, from the first to the last.
        image_size: (height, width) at which their pictures are looked at.

    Raises:
        BrokenPromise: a promise is not kept.
    """
    promise(isinstance(source.name, str) and source.name, f"a source's name is a text, got {source.name!r}")
    count = len(source)
    promise(count >= 1, "a source has a scene at least")
    for index in (-1, count):
        _check_unknown(lambda index=index: source.scene(index), f"scene {index} of {count}")  # type: ignore[misc]
    _check_unknown(lambda: source.index_of_key(NO_KEY), f"the scene {NO_KEY!r}")
    for seed in SEEDS:
        index = source.index_of_seed(seed)
        promise(0 <= index < count, f"index_of_seed gives an index from 0 to {count - 1}, got {index} for seed {seed}")
        promise(source.index_of_seed(seed) == index, f"a seed has one scene, but seed {seed} has two")
    keys: dict[str, int] = {}
    for index in sorted({0, min(1, count - 1), count // 2, count - 1})[:most]:
        scene = source.scene(index)
        promise(isinstance(scene, Scene), f"a source gives Scene, got {type(scene).__name__}")
        promise(scene.key not in keys, f"keys are unique, but scenes {keys.get(scene.key)} and {index} share one")
        keys[scene.key] = index
        found = source.index_of_key(scene.key)
        promise(found == index, f"a key leads back to its scene, but that of scene {index} leads to {found}")
        _check_scene(scene, source.scene(index), image_size)


def _check_unknown(ask: Callable[[], object], what: str) -> None:
    try:
        ask()
    except UnknownScene:
        return
    except Exception as error:  # the source is a user's
        promise(False, f"asked for {what}, a source raises UnknownScene, not {type(error).__name__}: {error}")
    promise(False, f"asked for {what}, a source raises UnknownScene, but it gave something")


def _check_scene(scene: Scene, again: Scene, image_size: ImageSize) -> None:
    name = f"scene {scene.key!r}"
    promise(isinstance(scene.key, str) and isinstance(scene.prompt, str), f"key and prompt of {name} are texts")
    facts = [(each.key, each.prompt, each.camera, each.start, each.actors, each.log_prompt) for each in (scene, again)]
    promise(same(*facts), f"{name} is the same at every call, but it was another the second time")
    log, camera = scene.log, (scene.camera or assumed_camera(image_size)).fitted(image_size)
    promise(log.num_past >= 0 and log.num_future >= 0, f"{name} has recorded so many frames: from 0")
    _check_pictures(log, again.log, camera, name)
    frames = log.num_past + 1 + log.num_future
    if log.ego_poses is not None:
        poses = np.asarray(log.ego_poses)
        promise(
            poses.shape == (frames, 3) and np.isfinite(poses).all(), f"ego_poses of {name} are finite, ({frames}, 3)"
        )
        difference = most_different(poses[log.num_past], scene.start.pose)
        promise(difference < 1e-3, f"{name} starts where its log is at frame 0, but it is {difference:g} away")
    if scene.actors is not None:
        known = len(scene.actors.poses)
        promise(known == log.num_future + 1, f"actors of {name} are known at frames 0 to {log.num_future}, got {known}")
    if scene.road_map is not None:
        _check_map(scene.road_map, np.stack([scene.start.pose, scene.start.pose + 1.0]), name)


def _check_pictures(log: SceneLog, again: SceneLog, camera: Camera, name: str) -> None:
    present = log.images(0, 1, camera)
    form = (1, *camera.intrinsics.image_size, 3)
    promise(
        isinstance(present, np.ndarray) and present.dtype == np.uint8 and present.shape == form,
        f"pictures of {name} are uint8 {form}, got {present.dtype} {present.shape}",
    )
    promise(same(present, again.images(0, 1, camera)), f"pictures of {name} are the same at every call")
    oldest = -log.num_past
    run = log.images(oldest - 2, 4 if log.num_past else 3, camera)
    for place in range(2):
        promise(same(run[place], run[2]), f"frames before the record of {name} repeat its first frame")
    if log.num_past:
        promise(same(run[3:], log.images(oldest + 1, 1, camera)), f"a frame of {name} is the same alone and in a run")
    try:
        log.images(log.num_future, 2, camera)
    except ValueError:
        return
    promise(False, f"frames beyond the record of {name} are a ValueError, but it gave some")


def _check_map(road_map: RoadMap, poses: FloatArray, name: str) -> None:
    on_road = np.asarray(road_map.drivable(poses[:, :2]))
    promise(
        on_road.dtype == np.bool_ and on_road.shape == (2,), f"drivable of {name}'s map gives a bool for each point"
    )
    fit = road_map.fit_lanes(poses)
    for part in ("lateral_m", "heading_error_rad", "width_m"):
        shape = np.shape(getattr(fit, part))
        promise(shape == (2,), f"fit_lanes of {name}'s map gives {part} for each pose, got {shape}")
