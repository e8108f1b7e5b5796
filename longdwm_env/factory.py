"""The one place that joins names to worlds. What needs torch is imported when it is asked for."""

from pathlib import Path

from longdwm_env.errors import InvalidConfig, MissingDependency, UnknownWorld
from longdwm_env.io.names import is_folder
from longdwm_env.traffic.meanwhile import TrafficKind
from longdwm_env.types import MAX_SIDE_PX, ImageSize
from longdwm_env.world import Scorer, WorldModel

DEFAULT_WORLD = "mini"
"""What ``gym.make``, ``longdwm demo`` and ``longdwm drive`` show unless another is given."""

MINI = "mini"
"""The small generative world that comes with the package."""

DEFAULT_IMAGE_SIZE: ImageSize = (96, 144)
"""(height, width) of worlds that draw any size."""

SHOWN_IMAGE_SIZE: ImageSize = (192, 288)
"""(height, width) that people are shown, in every world that makes it."""

BUILT_IN_WORLDS = ("simulator", "warp")
"""Worlds without learning: they run on the CPU and draw any size."""


def make_world(
    world: str | Path | WorldModel,
    image_size: ImageSize | None = None,
    device: str | None = None,
    traffic: TrafficKind | None = None,
) -> WorldModel:
    """The world that the environment's ``world`` keyword asks for.

    Args:
        world: "mini", "simulator", "warp", the path or hub id of a saved pipeline, or an object that follows
            ``WorldModel``.
        image_size: (height, width) of its frames; None for the world's own.
        device: where a learned world runs, such as "cuda"; the others run on the CPU and take none.
        traffic: of a learned world, "reactive", "constant" or "none"; None for what a scene has. The simulator's is
            always reactive, and the warp world has none.

    Raises:
        UnknownWorld: there is no such world; the message lists those that exist.
        InvalidConfig: the world does not have this image size or traffic, or takes no device.
        MissingWeights: the world's weights are missing or damaged.
    """
    if not isinstance(world, str | Path):
        if traffic is not None:
            raise InvalidConfig(f"traffic={traffic!r} is for worlds that are named; a given one has its own")
        return _given_world(world, image_size)
    name = str(world)
    if name in BUILT_IN_WORLDS:
        if device not in (None, "cpu"):
            raise InvalidConfig(f"world={name!r} runs on the CPU; device={device!r} is for learned worlds")
        only = {"simulator": "reactive", "warp": "none"}[name]
        if traffic not in (None, only):
            raise InvalidConfig(f"world={name!r} has traffic={only!r}; traffic={traffic!r} is for learned worlds")
        return _built_in_world(name, image_size or DEFAULT_IMAGE_SIZE)
    if name != MINI and not _is_pipeline(name):
        raise UnknownWorld(f"world={name!r} does not exist. {_listed()}")
    try:
        from longdwm_env.models.bundled import bundled_pipeline_folder
        from longdwm_env.models.world import DiffusionWorld
    except ModuleNotFoundError as error:
        raise MissingDependency(f"world={name!r} is a saved pipeline, which needs {error.name}") from error
    folder = bundled_pipeline_folder() if name == MINI else name
    return DiffusionWorld.from_pretrained(folder, device=device, image_size=image_size, name=name, traffic=traffic)


def shown_image_size(world: str | Path, image_size: ImageSize | None = None) -> ImageSize:
    """The picture size (height, width) at which a person is shown a world, in every command that shows one.

    Args:
        world: as for ``make_world``, by name.
        image_size: what was asked for; None for 192 x 288, or, in a saved pipeline that was not made for it, its own.

    Raises:
        UnknownWorld: there is no such world.
        MissingWeights: the world's folder is damaged.
        InvalidConfig: sides that no picture has.
    """
    if image_size is not None:
        if not all(1 <= side <= MAX_SIDE_PX for side in image_size):
            height, width = image_size
            raise InvalidConfig(
                f"pictures of {height} x {width} are not made: height and width are from 1 to {MAX_SIDE_PX} pixels"
            )
        return image_size
    name = str(world)
    if name in BUILT_IN_WORLDS:
        return SHOWN_IMAGE_SIZE
    if name != MINI and not _is_pipeline(name):
        raise UnknownWorld(f"world={name!r} does not exist. {_listed()}")
    sizes = _sizes_of(name)
    return SHOWN_IMAGE_SIZE if SHOWN_IMAGE_SIZE in sizes else sizes[0]


def own_image_size(world: str | Path) -> ImageSize:
    """The picture size (height, width) of a world where none is asked for, as in ``gym.make``.

    Raises:
        UnknownWorld: there is no such world.
        MissingWeights: the world's folder is damaged.
    """
    name = str(world)
    return DEFAULT_IMAGE_SIZE if name in BUILT_IN_WORLDS else _sizes_of(name)[0]


def _sizes_of(name: str) -> tuple[ImageSize, ...]:
    try:
        from longdwm_env.models.bundled import bundled_pipeline_folder
        from longdwm_env.models.saved_pipelines import made_sizes
    except ModuleNotFoundError as error:
        raise MissingDependency(f"world={name!r} is a saved pipeline, which needs {error.name}") from error
    return made_sizes(bundled_pipeline_folder() if name == MINI else name)


def world_folder(world: str) -> Path | None:
    """The folder of weights behind a world's name, where it is one on this machine: what a run's results depend on."""
    if world in BUILT_IN_WORLDS:
        return None
    if world == MINI:
        from longdwm_env.models.bundled import bundled_pipeline_folder

        return bundled_pipeline_folder()
    return Path(world) if is_folder(world) else None


def make_scorer(device: str = "cpu") -> Scorer:
    """The network that judges pixels where there is no geometry to judge; loaded once per process and device.

    Raises:
        MissingWeights: no trained weights came with this installation.
        MissingDependency: a package that it needs is not installed.
    """
    try:
        from longdwm_env.models.readers.scorer import bundled_scorer
    except ModuleNotFoundError as error:
        raise MissingDependency(f"the learned scorer needs {error.name}") from error
    return bundled_scorer(device)


def _built_in_world(name: str, image_size: ImageSize) -> WorldModel:
    if name == "warp":
        from longdwm_env.worlds.warp_world import WarpWorld

        return WarpWorld(image_size)
    from longdwm_env.worlds.simulator_world import SimulatorWorld

    return SimulatorWorld(image_size)


def _given_world(world: object, image_size: ImageSize | None) -> WorldModel:
    if not isinstance(world, WorldModel):
        missing = [name for name in ("name", "image_size", "begin", "advance") if not hasattr(world, name)]
        lacks = ", ".join(missing)
        raise UnknownWorld(f"world={world!r} lacks {lacks} of longdwm_env.world.WorldModel. {_listed()}")
    if image_size is not None and tuple(world.image_size) != tuple(image_size):
        raise InvalidConfig(f"image_size={image_size} does not fit world {world.name!r}, which has {world.image_size}")
    return world


def _is_pipeline(name: str) -> bool:
    """Any folder, whose loading says what it lacks, or something that reads like ``owner/name`` on a hub."""
    if name and is_folder(name):
        return True
    owner, slash, model = name.partition("/")
    return bool(slash and owner and model) and "/" not in model and not owner.startswith((".", "~")) and " " not in name


def _listed() -> str:
    names = ", ".join(map(repr, (MINI, *BUILT_IN_WORLDS)))
    return (
        f"There are {names}, the folder or hub id of a saved pipeline, and any object that"
        " follows longdwm_env.world.WorldModel"
    )
