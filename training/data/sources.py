"""From a recipe's data configuration to a source of clips."""

import math
from pathlib import Path

from longdwm_env.errors import InvalidConfig
from longdwm_env.scenes.nuscenes.schema_tables import is_nuscenes
from longdwm_env.training.config import Recipe
from longdwm_env.training.data.clip import ClipSource
from longdwm_env.types import ImageSize


def open_source(
    recipe: Recipe, image_size: ImageSize, path: Path | None = None, clips: int | None = None
) -> ClipSource:
    """The footage that a recipe trains on.

    Args:
        recipe: its data configuration.
        image_size: (height, width) of the model.
        path: dataroot of nuScenes or a folder of videos; needed where the recipe is not about the simulator, and in
            its place otherwise (footage exported from the simulator is a nuScenes dataroot).
        clips: how many clips, in place of the recipe's own number; the simulator's only.

    Raises:
        InvalidConfig: a path is needed, or holds nothing usable.
    """
    data = recipe.data
    if path is None:
        if data.kind != "simulator":
            raise InvalidConfig(f"recipe {recipe.name} needs the path of its footage: --data DATAROOT")
        from longdwm_env.training.data.simulator_footage import SimulatorClips

        return SimulatorClips(clips or data.clips, image_size, data.frames)
    if not path.exists():
        raise InvalidConfig(f"{path} does not exist")
    if path.is_dir() and is_nuscenes(path):
        from longdwm_env.training.data.nuscenes import NuScenesClips

        split = data.split if data.kind == "nuscenes" else "all"
        return NuScenesClips(path, image_size, data.frames, split)
    from longdwm_env.training.data.videos import VideoClips

    return VideoClips(path, image_size, data.frames)


def twins_of(source: ClipSource, ratio: float) -> ClipSource | None:
    """The drives of the first clips of a simulator source under other conditions, or None where there are none.

    Args:
        source: of clips.
        ratio: share of its clips that have a twin; whole shards of them.
    """
    from longdwm_env.training.data.footage import CLIPS_PER_SHARD
    from longdwm_env.training.data.simulator_footage import SimulatorClips

    if not isinstance(source, SimulatorClips) or ratio == 0:
        return None
    count = min(len(source), math.ceil(ratio * len(source) / CLIPS_PER_SHARD) * CLIPS_PER_SHARD)
    return SimulatorClips(
        count, source.image_size, source.frames, source.first_seed, source.mix, source.allow_test_seeds, twins=True
    )
