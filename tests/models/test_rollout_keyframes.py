"""The paper's own way of a long video: keyframes at once, the gaps in batches, and on at constant memory."""

from dataclasses import replace

import av
import numpy as np
import PIL.Image
import pytest
import torch

from longdwm_env.cli.drives import rollout_run as rollouts
from longdwm_env.cli.drives.rollout import rollout
from longdwm_env.cli.drives.rollout_keyframes import KeyframeRun
from longdwm_env.errors import InvalidConfig
from longdwm_env.models.closed_loop.long_video import begun, drive_on, rolled_on
from longdwm_env.models.inputs import Way

pytestmark = pytest.mark.filterwarnings("ignore:the camera of scene")


def frames_of(path):
    with av.open(str(path)) as video:
        return np.stack([frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)])


@pytest.fixture
def photo(picture, tmp_path):
    path = tmp_path / "street.png"
    PIL.Image.fromarray(picture((32, 48))).save(path)
    return str(path)


def drive_of(pipeline, picture, seconds):
    size = pipeline.settings.image_size
    text = torch.zeros(pipeline.coarse.config.max_text_seq_length, pipeline.coarse.config.text_embed_dim)
    return Way("slalom", seconds, None, None, None).drive(pipeline.settings, picture(size), text, 3)


def video(pipeline, drive, gaps, in_batches=False):
    generation = pipeline.generation(gaps_at_once=gaps)
    if in_batches:
        generation.gap_batch = gaps
    sampling = pipeline.sampling()
    return np.concatenate([clip for clip, _ in drive_on(generation, drive, sampling)]), generation


@pytest.fixture(scope="module")
def textless(cogvideox_pipeline):
    """The full size's classes, told nothing in words."""
    settings = cogvideox_pipeline.settings
    assert settings.guidance_scale == 1
    return cogvideox_pipeline


@pytest.fixture(scope="module")
def drive(textless, picture):
    return drive_of(textless, picture, 3.0)


@pytest.fixture(scope="module")
def one_by_one(textless, drive):
    """The video of that drive, its gaps filled one by one."""
    return video(textless, drive, 1)[0]


def test_the_video_is_the_same_bits_however_many_gaps_are_filled_at_once(textless, drive, one_by_one):
    assert one_by_one.shape == (36, 64, 96, 3)
    assert np.array_equal(video(textless, drive, 12)[0], one_by_one)


def test_where_memory_is_short_fewer_gaps_are_filled_at_once(textless, drive, one_by_one):
    generation, asked = textless.generation(), []
    generation.gap_batch = 3
    sample = generation.fine.sample

    def narrow(given, *arguments, **named):
        asked.append(len(given))
        if len(given) > 1:
            raise torch.OutOfMemoryError("not that many")
        return sample(given, *arguments, **named)

    generation.fine.sample = narrow
    made = np.concatenate([part for part, _ in drive_on(generation, drive, textless.sampling())])
    assert asked == [3, 2, 1, 1, 1]
    assert np.array_equal(made, one_by_one)

    def never(first, *arguments, **named):
        raise torch.OutOfMemoryError("not even one")

    generation.fine.sample = never
    with pytest.raises(torch.OutOfMemoryError):
        list(drive_on(generation, drive, textless.sampling()))


def test_what_is_kept_between_rollouts_does_not_grow(pipeline, picture):
    drive = drive_of(pipeline, picture, 36.0)
    generation, sampling, standing = pipeline.generation(), pipeline.sampling(), begun(drive)
    sizes = []
    while standing.driven < drive.num_frames:
        made = rolled_on(generation, drive, sampling, standing, fill=False)
        while True:
            try:
                next(made)
            except StopIteration as end:
                standing = end.value
                break
        sizes.append((standing.history.shape, standing.before[0].shape))
    assert standing.driven == 3 * 144
    assert len(set(sizes)) == 1


def test_the_papers_rollout_is_145_frames(photo, saved, tmp_path, capsys):
    out = tmp_path / "out" / "video.mp4"
    assert rollout(photo, "straight", 12.0, saved, out, mode="keyframes") == 0
    first = frames_of(out)
    assert len(first) == 145
    said = capsys.readouterr()
    assert "145 frames" in said.out
    assert "145/145" in said.err, "the bar counts the given picture too"
    assert [path.name for path in out.parent.iterdir()] == ["video.mp4"]


class Unplugged(Exception):
    pass


@pytest.fixture(scope="module")
def brief(built, tmp_path_factory):
    """A saved pipeline whose rollouts are three seconds long."""
    made, path = built("debug"), tmp_path_factory.mktemp("brief") / "tiny"
    made.register_to_config(settings=replace(made.settings, keyframes=4).to_json())
    made.save_pretrained(path)
    return str(path)


def test_an_interrupted_run_goes_on_after_its_last_rollout(photo, brief, tmp_path, monkeypatch):
    whole, out = tmp_path / "whole.mp4", tmp_path / "out" / "video.mp4"
    rollout(photo, "left", 4.0, brief, whole, mode="keyframes", gaps_at_once=5)
    one, made = KeyframeRun._rollout, []

    def unplugged(self, *arguments):
        if made:
            raise Unplugged
        made.append(1)
        return one(self, *arguments)

    monkeypatch.setattr(KeyframeRun, "_rollout", unplugged)
    with pytest.raises(Unplugged):
        rollout(photo, "left", 4.0, brief, out, mode="keyframes")
    monkeypatch.setattr(KeyframeRun, "_rollout", one)
    with pytest.raises(InvalidConfig, match="other options"):
        rollout(photo, "left", 4.0, brief, out)
    kept = out.with_name("video.mp4.parts") / "standing-00001.safetensors"
    good = kept.read_bytes()
    kept.write_bytes(b"torn")
    with pytest.raises(InvalidConfig, match="is damaged"):
        rollout(photo, "left", 4.0, brief, out, mode="keyframes")
    kept.write_bytes(good)
    rollout(photo, "left", 4.0, brief, out, mode="keyframes", gaps_at_once=1)
    first, second = (frames_of(path).astype(int) for path in (out, whole))
    assert first.shape == second.shape == (49, *first.shape[1:])
    # The encoder's rate control depends on how fast frames come, so equal frames differ a little in the file.
    assert np.abs(first - second).mean() < 2


def test_a_lane_is_driven_beforehand(saved, tmp_path):
    out = tmp_path / "video.mp4"
    rollout("simulator:3", None, 2.0, saved, out, mode="keyframes")
    assert len(frames_of(out)) == 25


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"world": "warp"}, "needs a world with a Coarse and a Fine model"),
        ({"gaps_at_once": 0}, "at least 1"),
        ({"mode": "second", "gaps_at_once": 4}, "only with mode=keyframes"),
        ({"image_size": (64, 96)}, "own size"),
    ],
)
def test_what_cannot_be_meant_is_refused(photo, saved, tmp_path, changes, message):
    given = {"image": photo, "seconds": 1.0, "world": saved, "out": tmp_path / "v.mp4", "mode": "keyframes", **changes}
    with pytest.raises(InvalidConfig, match=message):
        rollout(**given)


def test_a_run_that_an_earlier_version_left_is_gone_on_with():
    request = rollouts.Request("a.png", "left", 3.0, "warp", 7, None, None, None)
    assert "mode" not in rollouts._as_json(request)
