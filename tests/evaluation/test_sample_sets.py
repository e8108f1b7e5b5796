"""The paper's sample sets of nuScenes (appendix D), and captions on their whole way."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from longdwm_env.cli.data.data_sets import export_simulator
from longdwm_env.errors import InvalidConfig, InvalidScene
from longdwm_env.evaluation.paper.continuations import sample_at
from longdwm_env.evaluation.paper.opening import protocol_clips
from longdwm_env.evaluation.paper.sample_sets import THIRDS, NuScenesStarts
from longdwm_env.evaluation.paper.vista import LIDAR_AHEAD_M, VistaSample, read_vista
from longdwm_env.models.presets import build, debug
from longdwm_env.models.readers.captioning import annotate
from longdwm_env.scenes import open_scenes
from longdwm_env.scenes.captions import CAPTIONS_FILE, Captions
from longdwm_env.scenes.nuscenes.dataroot import NuScenesScenes
from longdwm_env.training.config import DataConfig, Recipe
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.encoded.latents import LatentChoices
from longdwm_env.training.data.nuscenes import NuScenesClips
from longdwm_env.training.data.places import moment, segments_of
from longdwm_env.training.data.samplers import CoarseSampler, FineSampler
from longdwm_env.training.data.sources import open_source
from longdwm_env.training.data.windows import Window

pytest.importorskip("nuscenes", reason="nuScenes is read through nuscenes-devkit")

SIZE = (32, 48)


@pytest.fixture(scope="module")
def dataroot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scenes of 15 s; of such a dataset the second is for validation."""
    out = tmp_path_factory.mktemp("nuscenes") / "dataset"
    assert export_simulator(out, scenes=2, seconds=15.0, image_size=SIZE) == 0
    return out


@pytest.fixture(scope="module")
def scenes(dataroot: Path) -> NuScenesScenes:
    return NuScenesScenes(dataroot)


def keyframes_with(scenes: NuScenesScenes, name: str, frames: int) -> list[int]:
    return [k for k in scenes.keyframes(name) if k + frames <= len(scenes.frame_files(name))]


def test_the_papers_sets_are_all_theirs_and_no_others(dataroot: Path, scenes: NuScenesScenes) -> None:
    (val,) = NuScenesClips(dataroot, SIZE, split="val").scene_names
    every = keyframes_with(scenes, val, 25)
    # The last two seconds have no start: that is how 6,019 samples of nuScenes' split become 5,369.
    assert 0 < len(scenes.keyframes(val)) - len(every) <= 5
    short = NuScenesStarts(dataroot, SIZE, 25, "every keyframe")
    assert len(short) == len(every)
    long = NuScenesStarts(dataroot, SIZE, 121, "first five")
    assert len(long) == 5
    third = NuScenesStarts(dataroot, SIZE, 25, "every third")
    assert len(third) == sum(place < len(every) for place in THIRDS)
    whole = NuScenesStarts(dataroot, SIZE, 25, "first five", split="all")
    assert len(whole) == 10, "five of each scene"
    for source, places in ((short, every), (long, every[:5]), (third, [every[p] for p in THIRDS if p < len(every)])):
        for index in (0, len(source) - 1):
            clip = source.clip(index)
            log = scenes.scene_from(val, places[index]).log
            assert np.array_equal(clip.images[0], log.images(0, 1, clip.camera)[0])
            assert len(clip.images) == source.frames
            assert clip.key.startswith(f"{val}@")
            assert sample_at(source, index, source.frames - 1, seed=0) is not None


def test_a_camera_that_triggers_early_loses_no_start(dataroot: Path, scenes: NuScenesScenes, tmp_path: Path) -> None:
    """Of the last start the pictures span a little less than 24 frames of the clock: it still has all of them."""
    hasty = Path(shutil.copytree(dataroot, tmp_path / "hasty"))
    (table,) = hasty.glob("v1.0-*/sample_data.json")
    (val,) = NuScenesClips(dataroot, SIZE, split="val").scene_names
    last_file = scenes.frame_files(val)[-1]
    records = json.loads(table.read_text())
    for record in records:
        if record["filename"] == last_file:
            record["timestamp"] -= 60_000
    table.write_text(json.dumps(records))
    files = len(scenes.frame_files(val))
    frames = files - scenes.keyframes(val)[-3]
    plain, early = (NuScenesStarts(root, SIZE, frames, "every keyframe") for root in (dataroot, hasty))
    assert len(plain) == len(early)
    one, other = plain.clip(len(plain) - 1), early.clip(len(early) - 1)
    assert np.array_equal(one.images, other.images)
    assert other.poses == pytest.approx(one.poses, abs=0.2)


def test_a_flag_makes_them_smaller(dataroot: Path) -> None:
    whole = protocol_clips(dataroot, SIZE, "every keyframe", 25)
    few = protocol_clips(dataroot, SIZE, "every keyframe", 25, samples=4)
    assert len(few) == 4 < len(whole)
    keys = [whole.clip(len(whole) * n // 4).key for n in range(4)]
    assert [few.clip(n).key for n in range(4)] == keys, "evenly drawn"
    assert few.description() != whole.description()
    with pytest.raises(InvalidConfig, match="at least 1"):
        protocol_clips(dataroot, SIZE, "every keyframe", 25, samples=0)


def annotated(scenes: NuScenesScenes, name: str, path: Path, turn_m: float = 0.0) -> Path:
    """A file of the form that Vista is published in: straight ahead at 5 m/s, or bending to the right."""
    files, listed = scenes.frame_files(name), []
    for first in keyframes_with(scenes, name, 25):
        times = np.array([0.0, 0.5, 1.0, 1.5, 2.0])
        right, ahead = turn_m * times**2, 5.0 * times
        listed.append(
            {
                "frames": files[first : first + 25],
                "traj": np.stack([right, ahead], axis=1).reshape(-1).tolist(),
                "speed": [5.0] * 5,
                "angle": [0.0] * 5,
                "z": 20.0,
                "goal": [800.0, 450.0],
                "cmd": 3,
            }
        )
    path.write_text(json.dumps(listed))
    return path


def test_vistas_trajectories_are_what_is_asked_for(dataroot: Path, scenes: NuScenesScenes, tmp_path: Path) -> None:
    (val,) = NuScenesClips(dataroot, SIZE, split="val").scene_names
    file = annotated(scenes, val, tmp_path / "nuScenes_val.json", turn_m=0.4)
    source = NuScenesStarts(dataroot, SIZE, 25, "every third", vista=file)
    plain = NuScenesStarts(dataroot, SIZE, 25, "every third")
    assert [source.clip(i).key for i in range(len(source))] == [plain.clip(i).key for i in range(len(plain))]
    assert source.description() != plain.description()
    sample, recorded = sample_at(source, 1, 24, 0), sample_at(plain, 1, 24, 0)
    assert sample is not None
    assert recorded is not None
    assert np.array_equal(sample.real, recorded.real), "the pictures are the recorded ones"
    assert not np.allclose(sample.poses, recorded.poses)
    assert sample.poses.shape == (24, 3)
    assert sample.poses[-1, 1] < -0.5, "x of Vista's lidar is to the right"


def test_a_path_of_the_lidar_becomes_one_of_the_axle() -> None:
    times = np.array([0.5, 1.0, 1.5, 2.0])
    angle = 0.25 * times
    centre = 5.0 / 0.25 * np.stack([np.sin(angle), 1 - np.cos(angle)], axis=1)
    turned = LIDAR_AHEAD_M * np.stack([np.cos(angle) - 1, np.sin(angle)], axis=1)
    command = VistaSample("picture.jpg", centre + turned).command(5.0, 24)
    assert command.poses[[5, 11, 17, 23], :2] == pytest.approx(centre, abs=0.03)
    assert command.yaw_rates_radps == pytest.approx(np.full(24, 0.25), abs=0.05)


def test_a_file_of_another_form_is_refused(dataroot: Path, scenes: NuScenesScenes, tmp_path: Path) -> None:
    path = tmp_path / "nuScenes_val.json"
    for text, said in (("{", "cannot be read"), ("[]", "array of samples"), ('[{"frames": []}]', "sample 0")):
        path.write_text(text)
        with pytest.raises(InvalidConfig, match=said):
            read_vista(path)
    path.write_text(json.dumps([{"frames": ["samples/CAM_FRONT/other.jpg"], "traj": [0.0] * 10}]))
    with pytest.raises(InvalidConfig, match=r"none of them in .*nuScenes_val\.json for val"):
        NuScenesStarts(dataroot, SIZE, 25, "every third", vista=path)


class Describing:
    """Says of each clip what no other clip is told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def describe(self, clips):
        fresh = [f"Weather: kind {len(self.said) + n}" for n in range(len(clips))]
        self.said += fresh
        return fresh


def test_a_caption_goes_the_whole_way(dataroot: Path, tmp_path: Path) -> None:
    """What ``data annotate`` writes for each start is what training and evaluation read for that start."""
    told = Path(shutil.copytree(dataroot, tmp_path / "told"))
    (next(told.glob("v1.0-*")) / CAPTIONS_FILE).unlink(missing_ok=True)
    captions = annotate(open_scenes(told), Describing(), told / CAPTIONS_FILE, batch_size=8)
    assert json.loads((told / CAPTIONS_FILE).read_text()) == captions
    scenes = open_scenes(told)
    for index in range(len(scenes)):
        scene = scenes.scene(index)
        assert scene.prompt == captions[scene.key]
    (val,) = NuScenesClips(told, SIZE, split="val").scene_names

    starts = NuScenesStarts(told, SIZE, 25, "every keyframe")
    read = {clip.key: clip.prompt for clip in (starts.clip(i) for i in range(len(starts)))}
    own = {key: text for key, text in captions.items() if key.startswith(f"{val}@")}
    assert len(own) > 15
    assert {key: read[key] for key in own if key in read} == {key: own[key] for key in own if key in read}
    first = f"{val}@0.000"
    assert read[first] == captions[val], "before the first start: what is said of the scene"

    pipeline = build(debug())
    store = encode_latents(
        NuScenesClips(told, SIZE, frames=265, split="val"),
        tmp_path / "latents",
        pipeline,
        LatentChoices(keyframe_phases=2, segment_phases=3),
    )
    texts = {text: pipeline.encode_text([text])[0].half().float() for text in captions.values()}
    coarse = CoarseSampler(store, [Window(1, 12)], seed=0)
    window = coarse.windows[0]
    for clip, phase, keyframe in coarse._places[13, False]:
        batch = coarse.at([(clip, phase, keyframe)], window, [0])
        seconds = moment(store, clip, coarse._frame(clip, phase, keyframe))[1] / 12
        assert torch.equal(batch.text[0], texts[Captions(captions).at(val, seconds)])
    fine = FineSampler(store, pipeline.codec.last_frames(13), seed=0)
    for number in (0, 10, 30):
        batch = fine.at([(0, number)], [0])
        seconds = moment(store, 0, segments_of(store, 0)[number].first)[1] / 12
        assert torch.equal(batch.text[0], texts[Captions(captions).at(val, seconds)])


def test_captions_of_other_scenes_and_missing_sweeps_are_said(dataroot: Path, tmp_path: Path) -> None:
    told = Path(shutil.copytree(dataroot, tmp_path / "told"))
    (next(told.glob("v1.0-*")) / CAPTIONS_FILE).unlink(missing_ok=True)
    (told / CAPTIONS_FILE).write_text(json.dumps({"scene-9999": "Weather: fog", "scene-9999@1.000": "Weather: fog"}))
    with pytest.raises(InvalidScene, match=r"2 captions, and none .*longdwm data annotate DATAROOT"):
        NuScenesScenes(told)
    (told / CAPTIONS_FILE).unlink()
    assert len(NuScenesClips(told, SIZE, frames=265, split="all")) == 2
    shutil.rmtree(told / "sweeps" / "CAM_FRONT")
    recipe = Recipe("of-nuscenes", "debug", "debug", DataConfig("nuscenes"), {})
    with pytest.raises(InvalidScene, match=r"All of them are sweeps.*unpack the sweeps too"):
        open_source(recipe, SIZE, told)
    with pytest.raises(InvalidScene, match=r"All of them are sweeps"):
        NuScenesStarts(told, SIZE, 25, "every keyframe")
