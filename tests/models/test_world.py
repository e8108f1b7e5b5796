import shutil
from copy import copy
from dataclasses import replace
from pathlib import Path

import gymnasium as gym
import numpy as np
import PIL.Image
import pytest
import torch

import longdwm_env  # noqa: F401 - registers LongDWM-v0
from longdwm_env.errors import InvalidConfig, MissingWeights, UnknownWorld
from longdwm_env.models.world import DiffusionWorld
from longdwm_env.state import EnvState

SIZE = (32, 48)

pytestmark = pytest.mark.filterwarnings("ignore:the camera of scene")


@pytest.fixture(scope="module")
def world(pipeline):
    return DiffusionWorld(pipeline, "tiny")


@pytest.fixture
def folder(saved):
    return Path(saved)


@pytest.fixture
def straight(drive_at):
    return drive_at(8.0)


def test_a_shorter_period_shows_the_beginning_of_a_longer_one(world, scene_with, straight):
    """No hidden look-ahead: what is seen of a second does not depend on how much of it is executed."""
    state = world.begin(scene_with(SIZE), 3)
    _, whole = world.advance([state], [straight], 12)
    for num_frames in (1, 5, 11):
        _, part = world.advance([state], [straight], num_frames)
        # Decoding fewer frames at once may move the last bits.
        assert np.abs(part.astype(int) - whole[:, :num_frames]).max() <= 1


def test_history_counts_whole_seconds_back_from_where_the_agent_acts(world, scene_with, straight):
    state = world.begin(scene_with(SIZE), 0)
    seen = [state.arrays["frames"][-1]]
    for _ in range(6):
        (state,), frames = world.advance([state], [straight], 5)
        seen += list(frames[0])
    present = world._present(state)
    assert np.array_equal(present.history, np.stack([seen[-25], seen[-13], seen[-1]]))


def test_road_users_drive_on_while_the_camera_sees_them(world, scene_with, straight, marked):
    scene = marked(scene_with(SIZE), [12.0, 0, 0], [-12.0, 0, 0])
    state = world.begin(scene, 3)
    assert state.actors.ids == ("car-0",), "the other one is behind"
    assert len(state.actors.poses) == 1
    (following,), _ = world.advance([state], [straight], 5)
    np.testing.assert_allclose(following.actors.poses[:, 0, 0], 12 + 8 * np.arange(6) / 12, atol=1e-6)
    (later,), _ = world.advance([following], [straight], 12)
    assert len(later.actors.poses) == 13
    assert np.array_equal(later.actors.poses[0], following.actors.poses[-1])


def test_a_world_knows_nobody_where_nobody_was_marked(world, pipeline, scene_with, straight, marked):
    (following,), _ = world.advance([world.begin(scene_with(SIZE), 3)], [straight], 12)
    assert following.actors is None
    scene = marked(scene_with(SIZE), [-12.0, 0, 0])
    (following,), _ = world.advance([world.begin(scene, 3)], [straight], 12)
    assert following.actors.poses.shape == (13, 0, 3), "no road user is there, and that is known"
    unmoved = copy(pipeline)
    unmoved.register_to_config(settings=replace(pipeline.settings, move_vehicles=False).to_json())
    assert DiffusionWorld(unmoved).begin(marked(scene_with(SIZE), [12.0, 0, 0]), 3).actors is None


def test_full_size_classes_drive_too(cogvideox_pipeline, scene_with, straight):
    size = cogvideox_pipeline.settings.image_size
    world = DiffusionWorld(cogvideox_pipeline, coarse_steps=1, fine_steps=1, guidance_scale=1.0)
    world._texts["Weather: sunny"] = torch.zeros(16, 32)
    state = world.begin(scene_with(size), 3)
    for num_frames in (12, 5):
        (state,), frames = world.advance([state], [straight], num_frames)
        assert frames.shape == (1, num_frames, *size, 3)


def test_what_does_not_fit_is_refused(world, pipeline, scene_with, straight):
    state = world.begin(scene_with(SIZE), 0)
    for num_frames in (0, 13):
        with pytest.raises(ValueError, match="1 to 12 frames"):
            world.advance([state], [straight], num_frames)
    with pytest.raises(ValueError, match="must come with a camera"):
        world.begin(scene_with((64, 96)), 0)
    with pytest.raises(InvalidConfig, match="multiples of 16"):
        DiffusionWorld(pipeline, image_size=(40, 48))
    assert DiffusionWorld(pipeline, image_size=(48, 64)).image_size == (48, 64)


def test_a_saved_world_is_the_same_world(world, folder, scene_with, straight):
    loaded = DiffusionWorld.from_pretrained(folder, device="cpu")
    state = world.begin(scene_with(SIZE), 3)
    assert np.array_equal(loaded.advance([state], [straight], 12)[1], world.advance([state], [straight], 12)[1])
    with pytest.raises(InvalidConfig, match="cannot be used on this machine"):
        DiffusionWorld.from_pretrained(folder, device="quantum")


def test_tied_weights_are_stored_once(cogvideox_pipeline, tmp_path):
    """T5's word embedding has two names and is stored under one."""
    cogvideox_pipeline.save_pretrained(tmp_path)
    assert DiffusionWorld.from_pretrained(tmp_path, device="cpu").name == str(tmp_path)


def test_gym_makes_it_and_its_states_are_saved(folder, picture, tmp_path):
    PIL.Image.fromarray(picture((64, 96))).save(tmp_path / "street.png")
    env = gym.make("LongDWM-v0", world=str(folder), scenes=str(tmp_path / "street.png"), max_episode_s=10.0)
    env.reset(seed=7)
    action = np.array([[3, 0], [6, 0], [9, 0], [12, 0]], np.float32)
    env.step(action)
    state = env.unwrapped.get_state()
    state.save(tmp_path / "state.safetensors")
    observation, _, _, _, info = env.step(action)
    assert observation["frames"].shape == (12, *SIZE, 3)
    assert info["timing"]["coarse"] > 0
    env.unwrapped.set_state(EnvState.load(tmp_path / "state.safetensors"))
    again, *_ = env.step(action)
    assert np.array_equal(again["frames"], observation["frames"])
    env.unwrapped.set_state(state)
    futures = env.unwrapped.imagine(np.stack([action[None], 0.5 * action[None]]))
    assert np.array_equal(futures.frames[0, 0], observation["frames"])
    env.close()


def copy_of(folder, tmp_path):
    return Path(shutil.copytree(folder, tmp_path / "copy"))


COARSE = "coarse/diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize(
    ("name", "change", "error", "message"),
    [
        ("model_index.json", None, UnknownWorld, "has no model_index.json"),
        ("model_index.json", b"{", MissingWeights, "model_index.json is damaged"),
        ("model_index.json", b'{"_class_name": "FluxPipeline"}', UnknownWorld, "'FluxPipeline'"),
        ("model_index.json", b'{"_class_name": "LongDWMPipeline"}', MissingWeights, "no 'settings'"),
        ("coarse/config.json", None, MissingWeights, "coarse/config.json is missing"),
        ("fine/config.json", b"{}", MissingWeights, "fine|cannot be loaded"),
        (COARSE, None, MissingWeights, f"{COARSE} is missing"),
        (COARSE, b"\x00" * 64, MissingWeights, f"{COARSE} is damaged"),
        ("vae/config.json", b'{"latent_channels": 8}', MissingWeights, "vae|cannot be loaded"),
        ("scheduler/scheduler_config.json", None, MissingWeights, "scheduler_config.json is missing"),
        ("text_encoder/diffusion_pytorch_model.safetensors", None, MissingWeights, "text_encoder"),
    ],
)
def test_a_damaged_folder_says_which_file(folder, tmp_path, name, change, error, message):
    copy = copy_of(folder, tmp_path)
    if change is None:
        (copy / name).unlink()
    else:
        (copy / name).write_bytes(change)
    with pytest.raises(error, match=message):
        DiffusionWorld.from_pretrained(copy)


@pytest.mark.parametrize("wrong", ["missing", "strange", "shape"])
def test_weights_that_do_not_fit_are_never_filled_up(folder, tmp_path, wrong):
    from safetensors.torch import load_file, save_file

    copy = copy_of(folder, tmp_path)
    weights = load_file(copy / COARSE)
    name = "proj_out.weight"
    if wrong == "missing":
        del weights[name]
    elif wrong == "strange":
        weights["extra.weight"] = torch.zeros(2)
    else:
        weights[name] = torch.zeros(3, 3)
    save_file(weights, copy / COARSE, metadata={"format": "pt"})
    with pytest.raises(MissingWeights, match=r"coarse|cannot be loaded"):
        DiffusionWorld.from_pretrained(copy)


def test_no_folder_is_no_world(tmp_path):
    with pytest.raises(UnknownWorld, match="is not a folder"):
        DiffusionWorld.from_pretrained(tmp_path / "nothing")


def test_a_default_device_of_the_caller_s_changes_nothing(folder, picture, tmp_path):
    PIL.Image.fromarray(picture((64, 96))).save(tmp_path / "street.png")
    action = np.array([[3, 0], [6, 0], [9, 0], [12, 0]], np.float32)
    reward = {"learned_danger": 1.0, "uncertainty": 1.0}

    def drive():
        options = {"world": str(folder), "scenes": str(tmp_path / "street.png"), "device": "cpu", "reward": reward}
        env = gym.make("LongDWM-v0", **options)
        env.reset(seed=7)
        observation, earned, *_ = env.step(action)
        env.unwrapped.imagine(action[None, None])
        return observation["frames"], earned

    expected = drive()
    torch.set_default_device("meta")
    try:
        frames, earned = drive()
    finally:
        torch.set_default_device(None)
    assert np.array_equal(frames, expected[0])
    assert earned == expected[1]
