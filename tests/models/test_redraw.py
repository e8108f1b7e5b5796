"""A prompt that is changed on the way: the present picture is drawn again, and the drive goes on from there."""

import inspect
import json
from dataclasses import replace

import gymnasium as gym
import numpy as np
import PIL.Image
import pytest
import torch

import longdwm_env  # noqa: F401 - registers LongDWM-v0
from longdwm_env.models.conditioning.restyling import DRIVING_GUIDANCE_SCALE
from longdwm_env.models.world import DiffusionWorld

SIZE = (32, 48)
FOG = "Weather: foggy\nTime: nighttime"


@pytest.fixture(scope="module")
def world(pipeline):
    return DiffusionWorld(pipeline, "tiny")


@pytest.fixture
def straight(drive_at):
    return drive_at(8.0)


@pytest.mark.parametrize("num_past", [0, 30])
def test_a_changed_prompt_redraws_the_present_frame(world, scene_with, straight, num_past):
    scene = scene_with(SIZE, num_past=num_past, prompt="Weather: clear")
    changed = scene.with_prompt(FOG)
    assert (changed.prompt, changed.log_prompt) == (FOG, scene.prompt)
    was, state = world.begin(scene, 0), world.begin(changed, 0)
    assert state.values["prompt"] == FOG
    assert state.arrays["frames"].shape == (1, *SIZE, 3), "what else was seen shows the old weather"
    assert not np.array_equal(state.arrays["frames"][-1], was.arrays["frames"][-1])
    again = world.begin(changed, 0)
    assert np.array_equal(again.arrays["frames"], state.arrays["frames"])
    world.advance([state], [straight], 12)


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        ("Weather: clear", "Weather: clear"),
        ("a misty night", FOG),
        ("Weather: clear", "Time: nighttime"),
        ("Road environment: a street", FOG),
        ("", FOG),
    ],
)
def test_a_prompt_that_contradicts_nothing_redraws_nothing(world, scene_with, shown, told):
    """What was not known of a picture, the prompt may be telling."""
    scene = scene_with(SIZE, num_past=30, prompt=shown)
    assert np.array_equal(
        world.begin(scene.with_prompt(told), 0).arrays["frames"], world.begin(scene, 0).arrays["frames"]
    )


def spy(monkeypatch, model, method, note):
    """Call ``note`` with the arguments by name at each call of a method, then the method."""
    make = getattr(model, method)

    def spied(*args, **kwargs):
        note(inspect.signature(make).bind(*args, **kwargs).arguments)
        return make(*args, **kwargs)

    monkeypatch.setattr(model, method, spied)


@pytest.fixture
def guidances(world, monkeypatch):
    """How strongly each keyframe and each second between was guided, in the order in which they were made."""
    given = []
    coarse, fine = world._generation.coarse, world._generation.fine
    spy(monkeypatch, coarse, "sample", lambda told: given.append(("coarse", told["guidance_scale"])))
    spy(monkeypatch, fine, "sample", lambda told: given.append(("fine", told["guidance_scale"])))
    return given


def test_keyframes_are_guided_for_three_seconds_after_a_change(world, scene_with, straight, guidances):
    scene = scene_with(SIZE, num_past=30, prompt="Weather: clear")
    world.advance([world.begin(scene, 0)], [straight], 12)
    assert guidances == [("coarse", 1.0), ("fine", 1.0)], "no prompt was changed"
    state = world.begin(scene.with_prompt(FOG), 0)
    guidances.clear()
    for _ in range(4):
        (state,), _ = world.advance([state], [straight], 12)
    strong = ("coarse", DRIVING_GUIDANCE_SCALE)
    assert guidances == 3 * [strong, ("fine", 1.0)] + [("coarse", 1.0), ("fine", 1.0)]
    assert DRIVING_GUIDANCE_SCALE > 1


def test_passes_of_several_samples_are_guided_alike(pipeline, scene_with, straight, monkeypatch):
    world = DiffusionWorld(pipeline, "tiny", micro_batch=2)
    scene = scene_with(SIZE, num_past=0, prompt="Weather: clear")
    states = [world.begin(scene, 1), world.begin(scene.with_prompt(FOG), 1), world.begin(scene, 2)]
    given = []
    note = lambda told: given.append((told["guidance_scale"], told["conditioning"].text))  # noqa: E731
    spy(monkeypatch, world._generation.coarse, "sample", note)
    world.advance(states, [straight] * 3, 12)
    assert sorted(scale for scale, _ in given) == [1.0, DRIVING_GUIDANCE_SCALE]
    for scale, texts in given:
        prompt = FOG if scale == DRIVING_GUIDANCE_SCALE else scene.prompt
        assert all(torch.equal(text, world._text(prompt)) for text in texts)


def test_a_saved_state_remembers_that_its_prompt_was_changed(world, scene_with, straight):
    state = world.begin(scene_with(SIZE, num_past=30, prompt="Weather: clear").with_prompt(FOG), 0)
    kept = replace(state, values=json.loads(json.dumps(dict(state.values))))
    frames = [world.advance([each], [straight], 12)[1] for each in (state, kept)]
    assert np.array_equal(*frames)
    forgotten = replace(state, values={name: value for name, value in state.values.items() if name != "redrawn"})
    assert not np.array_equal(world.advance([forgotten], [straight], 12)[1], frames[0])


def test_a_reset_under_another_prompt_shows_what_is_gone_on_from(pipeline, picture, tmp_path):
    pipeline.save_pretrained(tmp_path / "tiny")
    PIL.Image.fromarray(picture((64, 96))).save(tmp_path / "street.png")
    (tmp_path / "camera.json").write_text(json.dumps({"horizontal_fov_rad": 1.2, "prompt": "Weather: clear"}))
    env = gym.make("LongDWM-v0", world=str(tmp_path / "tiny"), scenes=str(tmp_path / "street.png"), obs_mode="frame")
    own, _ = env.reset(seed=7)
    turned, info = env.reset(seed=7, options={"prompt": FOG})
    assert info["prompt"] == FOG
    assert not np.array_equal(turned, own)
    assert np.array_equal(turned, env.unwrapped.get_state().world_state.arrays["frames"][-1])
