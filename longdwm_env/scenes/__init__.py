"""Where episodes start: the built-in scenes, a photograph, a folder of them, videos, or a nuScenes dataroot."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from longdwm_env.errors import InvalidScene
from longdwm_env.scenes.builtin import BuiltinScenes
from longdwm_env.scenes.listed import ListedScenes
from longdwm_env.types import Scene, SceneSource

__all__ = ["BuiltinScenes", "ListedScenes", "ScenesLike", "open_scenes"]

ScenesLike = None | str | Path | SceneSource | Scene | Sequence[Scene]
"""Everything that ``open_scenes`` understands."""

_ALLOWED = (
    "None for the built-in scenes; the path of an image, a video, a folder of images or videos, or a nuScenes "
    "dataroot; a Scene or several; or an object with the methods of SceneSource"
)


def open_scenes(scenes: ScenesLike = None) -> SceneSource:
    """The scene source that ``scenes`` names.

    Args:
        scenes: ``None`` for the built-in simulator scenes; a path; a ``Scene`` or a sequence of them; or a source,
            which is handed back as it is.

    Raises:
        InvalidScene: the path does not exist or holds nothing that scenes can be read from; the message names the file.
        MissingDependency: a nuScenes dataroot without nuscenes-devkit installed.
    """
    if scenes is None:
        return BuiltinScenes()
    if isinstance(scenes, (str, Path)):
        return _open_path(Path(scenes))
    if isinstance(scenes, Scene):
        return ListedScenes([scenes])
    if all(hasattr(scenes, name) for name in ("name", "__len__", "scene", "index_of_key", "index_of_seed")):
        return cast(SceneSource, scenes)
    if isinstance(scenes, Sequence) and not isinstance(scenes, (str, bytes)):
        return ListedScenes(scenes)
    raise InvalidScene(f"scenes={scenes!r} is none of: {_ALLOWED}")


def _open_path(path: Path) -> SceneSource:
    # Imported late: the built-in scenes need neither video codecs nor nuScenes tables.
    from longdwm_env.scenes.media.media_scenes import MediaScenes
    from longdwm_env.scenes.nuscenes.schema_tables import is_nuscenes

    path = path.expanduser()
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # a name that no file can have, such as one with a NUL in it
        raise InvalidScene(f"scenes={str(path)!r} cannot be a path: {error}") from error
    if not exists:
        raise InvalidScene(f"scenes={str(path)!r}: there is no such file or folder; allowed are {_ALLOWED}")
    if is_folder and is_nuscenes(path):
        from longdwm_env.scenes.nuscenes.dataroot import NuScenesScenes

        return NuScenesScenes(path)
    return MediaScenes(path)
