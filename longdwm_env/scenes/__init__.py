"""Where episodes start: the built-in scenes, a photograph, a folder of them, videos, or a nuScenes dataroot."""

from collections.abc import Sequence
from pathlib import Path
from typing import cast

from longdwm_env.errors import InvalidScene
from longdwm_env.io.names import printable
from longdwm_env.scenes.builtin import BuiltinScenes
from longdwm_env.scenes.listed import ListedScenes
from longdwm_env.scenes.strip_road import Road
from longdwm_env.types import Scene, SceneSource

__all__ = ["BuiltinScenes", "ListedScenes", "Road", "ScenesLike", "open_scenes"]

ScenesLike = None | str | Path | SceneSource | Scene | Sequence[Scene]
"""Everything that ``open_scenes`` understands."""

_ALLOWED = (
    "None for the built-in scenes; the path of an image, a video, a folder of images or videos, or a nuScenes "
    "dataroot; a Scene or several; or an object with the methods of SceneSource"
)


def open_scenes(
    scenes: ScenesLike = None, road: str | Road | None = None, speed_mps: float | None = None
) -> SceneSource:
    """The scene source that ``scenes`` names.

    Args:
        scenes: ``None`` for the built-in simulator scenes; a path; a ``Scene`` or a sequence of them; or a source,
            which is handed back as it is. A path may be followed by what is said of pictures:
            ``photo.jpg?road=straight&speed_mps=8``.
        road: that pictures and videos show: "straight", a curvature in 1/m, or as ``strip_road.Road`` has it; they get
            a map. None leaves them without.
        speed_mps: at their start; None for what is known of it, else assumed.

    Raises:
        InvalidConfig: ``road`` or ``speed_mps`` is not understood, or said of built-in scenes.
        InvalidScene: the path does not exist or holds nothing that scenes can be read from; the message names the file.
        MissingDependency: a nuScenes dataroot without nuscenes-devkit installed.
    """
    if road is not None or speed_mps is not None:
        return _said(scenes, road, speed_mps)
    if scenes is None:
        return BuiltinScenes()
    if isinstance(scenes, (str, Path)):
        return _open_said(str(scenes)) if "?" in str(scenes) else _open_path(Path(scenes))
    if isinstance(scenes, Scene):
        return ListedScenes([scenes])
    if all(hasattr(scenes, name) for name in ("name", "__len__", "scene", "index_of_key", "index_of_seed")):
        return cast(SceneSource, scenes)
    if isinstance(scenes, Sequence) and not isinstance(scenes, (str, bytes)):
        return ListedScenes(scenes)
    raise InvalidScene(f"scenes={scenes!r} is none of: {_ALLOWED}")


def _said(scenes: ScenesLike, road: str | Road | None, speed_mps: float | None) -> SceneSource:
    from longdwm_env.scenes.made_roads import Said, SaidScenes, with_words

    if not isinstance(road, Road) and (scenes is None or isinstance(scenes, (str, Path))):
        return open_scenes(with_words(None if scenes is None else str(scenes), road, speed_mps))
    return SaidScenes(open_scenes(scenes), Said.of(road, speed_mps))


def _open_said(path: str) -> SceneSource:
    from longdwm_env.scenes.made_roads import Said, SaidScenes, without_words

    plain, said = without_words(path)
    source = _open_path(Path(plain))
    return source if said == Said() else SaidScenes(source, said, printable(path))


def _open_path(path: Path) -> SceneSource:
    # Imported late: the built-in scenes need neither video codecs nor nuScenes tables.
    from longdwm_env.scenes.media.media_scenes import MediaScenes
    from longdwm_env.scenes.nuscenes.schema_tables import is_nuscenes

    path = path.expanduser()
    try:
        is_folder, exists = path.is_dir(), path.exists()
    except (OSError, ValueError) as error:  # a name that no file can have, such as one with a NUL in it
        said = getattr(error, "strerror", None) or error
        raise InvalidScene(f"scenes={str(path)!r:.300} cannot be a path: {said}") from error
    if not exists:
        raise InvalidScene(f"scenes={str(path)!r:.300}: there is no such file or folder; allowed are {_ALLOWED}")
    if is_folder and is_nuscenes(path):
        from longdwm_env.scenes.nuscenes.dataroot import NuScenesScenes

        return NuScenesScenes(path)
    return MediaScenes(path)
