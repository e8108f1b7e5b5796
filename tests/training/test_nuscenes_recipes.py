"""The nuScenes recipes at debug size, by the way of the command line, on a dataset that nuscenes-devkit reads."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from longdwm_env.cli import load, train
from longdwm_env.cli.data.data_sets import export_simulator
from longdwm_env.cli.train import TrainOptions
from longdwm_env.errors import InvalidConfig
from longdwm_env.geometry.layout import REACH_M
from longdwm_env.models.presets import build, debug
from longdwm_env.scenes.nuscenes.schema_tables import find_version
from longdwm_env.training.data.clip import Clip
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.encoded.latents import LatentStore, scene_of
from longdwm_env.training.data.footage import Footage
from longdwm_env.training.data.nuscenes import NuScenesClips, split_scenes
from longdwm_env.training.workspace import Workspace, trained_with_warp

from ..scenes.expansion import LOCATION, install_expansion
from .scenery import PaintedRoad

pytest.importorskip("nuscenes", reason="the recipes read their footage through nuscenes-devkit")

MODEL_SIZE = (32, 48)


@pytest.fixture(scope="module")
def dataroot(tmp_path_factory):
    """Two scenes of 14 s, of which the second is for validation."""
    out = tmp_path_factory.mktemp("nuscenes") / "dataset"
    assert export_simulator(out, scenes=2, seconds=14.0, image_size=MODEL_SIZE) == 0
    return out


def run_few(stage: str, options: TrainOptions, steps: int = 2) -> None:
    """Run a stage's command with few steps; that stages learn is held by ``test_stages``."""
    assert options.out is not None
    fewer = tuple(f"loop.{name}={steps}" for name in ("steps", "sample_every", "checkpoint_every"))
    told = replace(options, set=(*fewer, "loop.tracker=none"))
    assert load(train.PARTS[stage])(told) == 0
    workspace = Workspace(options.out)
    assert workspace.done(stage)
    lines = (workspace.stage(stage) / "validation.jsonl").read_text().splitlines()
    assert np.isfinite([json.loads(line)["loss"] for line in lines]).tolist() == [True, True]


def test_mini_nuscenes_runs_at_every_stage(dataroot, tmp_path):
    options = TrainOptions("mini-nuscenes", "debug", tmp_path / "run", dataroot, device="cpu", workers=1)
    assert train.footage(options) == 0
    for stage in ("codec", "coarse", "fine", "warp", "distill"):
        run_few(stage, options)
    workspace = Workspace(tmp_path / "run")
    latents, footage = LatentStore(workspace.latents), Footage(workspace.footage)
    trained_on = {scene_of(entry.facts["key"]) for entry in (*latents.entries, *footage.entries)}
    assert trained_on == set(NuScenesClips(dataroot, MODEL_SIZE, split="train").scene_names)
    assert latents.has_poses


def test_the_papers_recipe_reads_nuscenes(dataroot, tmp_path):
    options = TrainOptions("cogvideox-2b-nuscenes", "debug", tmp_path / "run", dataroot, device="cpu", workers=1)
    for stage in ("coarse", "fine", "warp", "distill"):
        run_few(stage, options)
        noted = trained_with_warp(tmp_path / "run" / "pipeline")
        assert noted == {"coarse": True, **({} if stage == "coarse" else {"fine": stage != "fine"})}, stage
    # Full-size frames are not recorded; they are read from the dataset when they are encoded.
    assert not (tmp_path / "run" / "footage").exists()


def test_clips_know_the_road_where_the_map_expansion_is_installed(dataroot, tmp_path):
    plain = NuScenesClips(dataroot, MODEL_SIZE, frames=25, split="all")
    first, expanded = plain.clip(0), Path(shutil.copytree(dataroot, tmp_path / "expanded"))
    assert first.layout is None
    assert first.poses is not None
    install_expansion(expanded, find_version(expanded)[1], tuple(first.poses[0]), ends_m=2000.0)
    source = NuScenesClips(expanded, MODEL_SIZE, frames=25, split="all")
    clip = source.clip(0)
    assert np.array_equal(clip.poses, first.poses)
    assert clip.layout is not None
    assert clip.layout.shows_road(first.poses[0])
    # The road goes on for two kilometres; the clip keeps what comes into view.
    ahead = clip.layout.seen_from(first.poses[-1]).corners_m[..., 0].max()
    assert REACH_M <= ahead < REACH_M + 100
    described, before = source.description(), plain.description()
    assert described.pop("contents") != before.pop("contents"), (
        "the files of the map are part of what clips are made of"
    )
    assert described == {**before, "map_expansion": [LOCATION]}


@pytest.mark.parametrize("count", [2, 5, 23])
def test_scenes_of_ones_own_stay_in_their_split_when_others_are_appended(count):
    few = [f"scene-{number:07d}" for number in range(count)]
    more = [f"scene-{number:07d}" for number in range(2 * count)]
    for split, other in (("train", "val"), ("val", "train")):
        assert split_scenes(split, few)
        assert set(split_scenes(split, few)) <= set(split_scenes(split, more))
        assert not set(split_scenes(split, few)) & set(split_scenes(other, more))


class ManyClipsPerScene(PaintedRoad):
    """Clips that are cut from a few scenes, named as nuScenes' are."""

    def clip(self, index: int) -> Clip:
        clip = super().clip(index)
        return replace(clip, key=f"scene-{index // 4:04d}@{12 * (index % 4)}")


def test_clips_of_one_scene_are_not_split_into_training_and_validation(tmp_path):
    store = encode_latents(ManyClipsPerScene(clips=32, frames=13), tmp_path / "latents", build(debug()))
    seen, unseen = ({scene_of(e.facts["key"]) for e in part.entries} for part in store.split(0.3))
    assert seen
    assert unseen
    assert not seen & unseen
    assert len(seen | unseen) == 8


def test_clips_know_the_annotated_road_users(dataroot):
    """At each of a clip's frames, and none where the scene's own start is later than the clip's."""
    clips = NuScenesClips(dataroot, MODEL_SIZE, frames=49, split="all")
    marked = 0
    for index in range(len(clips)):
        clip = clips.clip(index)
        assert clip.actors is not None
        near = np.linalg.norm(clip.actors.poses[..., :2] - clip.poses[:, None, :2], axis=2)
        marked += int(np.isfinite(near).sum())
        assert np.nanmin(near, initial=np.inf) > 1, "the ego is not one of the others"
        assert np.nanmin(near, initial=np.inf) < 200
    assert marked > 0


def test_the_recipes_say_that_they_need_a_dataset(tmp_path):
    options = TrainOptions("mini-nuscenes", "debug", tmp_path / "run", device="cpu")
    with pytest.raises(InvalidConfig, match="--data DATAROOT"):
        train.footage(options)


def test_one_scene_is_not_enough_to_validate():
    assert split_scenes("train", ["scene-of-ones-own"]) == ["scene-of-ones-own"]
    with pytest.raises(InvalidConfig, match="two scenes or more"):
        split_scenes("val", ["scene-of-ones-own"])
