"""Where an episode starts: in which scene, under which prompt, through which camera, and what came before."""

import warnings
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from longdwm_env.episodes.lazy_frames import Frames
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.camera import ASSUMED_HORIZONTAL_FOV_RAD, assumed_camera
from longdwm_env.io.words import clean
from longdwm_env.scenes.recorded_log import RecordedLog
from longdwm_env.scenes.vanishing import turned_towards, vanishing_point
from longdwm_env.simulator.conditions import TIMES_OF_DAY, WEATHERS, parts_from_prompt
from longdwm_env.types import Camera, FloatArray, ImageSize, PromptedLog, Scene, SceneSource, WorldState
from longdwm_env.world import GenerativeWorld, WorldModel


class AssumedCameraWarning(UserWarning):
    """A scene came without a camera, so one was assumed."""


class AssumedSpeedWarning(UserWarning):
    """A photograph does not say how fast the car was, so a speed was assumed."""


class PromptNotUnderstoodWarning(UserWarning):
    """Nothing of a prompt is among the words that the world knows."""


def checked_options(options: object) -> Mapping[str, object]:
    """The options of a reset; none for None.

    Raises:
        InvalidConfig: they are no mapping.
    """
    if options is None:
        return {}
    if not isinstance(options, Mapping):
        raise InvalidConfig(f"the options of a reset are a dict or None, got {type(options).__name__}")
    return options


def chosen_start(
    source: SceneSource, seed: int, options: Mapping[str, object], prompt: str | None
) -> tuple[int, str | None]:
    """The index of the scene that an episode starts in, and its prompt; None for the scene's own.

    Args:
        source: of the scenes.
        seed: chooses the scene, unless the options do.
        options: of reset: "scene" (index or key) and "prompt", both optional.
        prompt: without one among the options.

    Raises:
        InvalidConfig: an option that does not exist or is of the wrong kind.
        UnknownScene: the source has no scene of this key.
    """
    unknown = [key for key in options if key not in ("scene", "prompt")]
    if unknown:
        raise InvalidConfig(f"reset option {unknown[0]!r} does not exist; there are 'scene' and 'prompt'")
    scene, wanted = options.get("scene"), options.get("prompt", prompt)
    if wanted is not None and not isinstance(wanted, str):
        raise InvalidConfig(f"the prompt must be a string, got {wanted!r}")
    if scene is None:
        return source.index_of_seed(seed), wanted
    if isinstance(scene, str):
        return source.index_of_key(scene), wanted
    if isinstance(scene, int | np.integer) and not isinstance(scene, bool):
        return int(scene), wanted
    raise InvalidConfig(f"the scene must be an index or a key, got {scene!r}")


def camera_for_want_of_one(scene: Scene, image_size: ImageSize) -> Camera:
    """The camera that is assumed for a scene without one, with a warning to the caller of reset.

    Its horizon is where the lines of the present picture meet, where they do; a warp about another horizon is wrong
    everywhere. The picture is looked at as it was recorded: made small, the lines of some are gone.
    """
    picture = scene.log.present_picture() if isinstance(scene.log, RecordedLog) else None
    camera = assumed_camera(image_size if picture is None else (picture.shape[0], picture.shape[1]))
    point = None if picture is None else vanishing_point(picture)
    if point is not None:
        mounting = turned_towards(point, camera.intrinsics, camera.mounting.translation_m)
        camera = replace(camera, mounting=mounting)
    camera = camera.fitted(image_size)
    horizon = "a level view are" if point is None else "a horizon where the picture's lines meet are"
    warnings.warn(
        f"the camera of scene {scene.key!r} is not known; a horizontal field of view of "
        f"{np.degrees(ASSUMED_HORIZONTAL_FOV_RAD):.0f} degrees and {horizon} assumed. To give it: gym.make(..., camera="
        "Camera(Intrinsics.from_fov(radians, image_size), Mounting(...))), or a camera.json beside the file",
        AssumedCameraWarning,
        stacklevel=4,  # above Episodes.begin and the environment's reset
    )
    return camera


def warn_of_assumed_speed(scene: Scene) -> None:
    """Say so where the speed at a scene's start is assumed."""
    if scene.assumed_speed:
        warnings.warn(
            f"the speed at the start of scene {scene.key!r} is not known; {scene.start.speed_mps:g} m/s is assumed. To "
            'give it: speed_mps=... or --speed, or "speed_mps" in a camera.json beside the file',
            AssumedSpeedWarning,
            stacklevel=4,  # above Episodes.begin and the environment's reset
        )


def warn_of_unknown_words(prompt: str | None, state: WorldState) -> None:
    """Say so where a world that reads weather and time of day only finds neither in a prompt, with what there is."""
    # A world says what it took from a prompt: itself as "prompt", or, the simulator, as "weather" and "time_of_day".
    understood = "" if "weather" in state.values else state.values.get("prompt", prompt)
    if prompt is None or not prompt.strip() or understood or any(parts_from_prompt(prompt)):
        return
    warnings.warn(
        f"nothing of the prompt {clean(prompt, 100)!r} was understood; known are "
        f"{', '.join(WEATHERS)}; {', '.join(TIMES_OF_DAY)}, as in 'Weather: rain. Time: night.'",
        PromptNotUnderstoodWarning,
        stacklevel=4,  # above Episodes.begin and the environment's reset
    )


def logged_clip(scene: Scene, count: int, camera: Camera) -> Frames:
    """The last ``count`` frames up to a scene's start."""
    log = scene.log
    if not isinstance(log, PromptedLog):
        return Frames.of(log.images(1 - count, count, camera))
    # Like the world that it comes from, a log that is drawn waits until it is looked at.
    return Frames(count, camera.intrinsics.image_size, lambda index: log.images(1 - count + index, 1, camera)[0])


def as_begun(clip: Frames, world: WorldModel, state: WorldState, scene: Scene) -> Frames:
    """A clip up to where a world began; its newest frame as the world drew it again, where the prompt was changed."""
    if scene.log_prompt is None or not isinstance(world, GenerativeWorld):
        return clip
    images = clip.images.copy()
    images[-1:] = world.recent_frames(state, 1)
    return Frames.of(images)


def logged_poses(scene: Scene, count: int) -> FloatArray:
    """Poses (count, 3) of the frames up to a scene's start; its first known one where the record does not reach."""
    log = scene.log
    if log.ego_poses is None:
        return np.repeat(scene.start.pose[None], count, axis=0)
    return np.asarray(log.ego_poses)[np.maximum(np.arange(1 - count, 1) + log.num_past, 0)]
