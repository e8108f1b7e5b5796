import inspect
import re
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from longdwm_env import InvalidConfig, InvalidScene, LongDWMEnv, LongDWMVectorEnv, MissingWeights, UnknownWorld
from longdwm_env.env_options import EnvOptions
from longdwm_env.factory import DEFAULT_IMAGE_SIZE, DEFAULT_WORLD, make_world


@pytest.mark.parametrize(
    ("keywords", "message"),
    [
        ({"action_mode": "fly"}, "'fly' does not exist; there are 'trajectory', 'control', 'command', 'goal'"),
        ({"action_mode": None}, "None does not exist"),
        ({"obs_mode": "audio"}, "'audio' does not exist; there are 'video', 'frame'"),
        ({"obs_mode": ["video"]}, "does not exist"),
        ({"control_period_s": 0.1}, "whole number of frames of 1/12 s"),
        ({"control_period_s": 2.0}, "up to an interval of 1 s|from one to an interval of 1 s"),
        ({"control_period_s": 0}, "whole number of frames"),
        ({"control_period_s": float("nan")}, "whole number of frames"),
        ({"control_period_s": "fast"}, "whole number of frames"),
        ({"max_episode_s": 0}, "above 0"),
        ({"max_episode_s": float("inf")}, "finite"),
        ({"max_episode_s": "long"}, "finite"),
        ({"max_episode_s": 10**400}, "finite"),
        ({"max_episode_s": 1e308}, "at most"),
        ({"image_size": 96}, "height, width"),
        ({"image_size": (96, 144, 3)}, "height, width"),
        ({"image_size": (0, 144)}, "whole numbers from 1"),
        ({"image_size": (96.5, 144)}, "whole numbers from 1"),
        ({"image_size": (96, 10**6)}, "4096"),
        ({"camera": "front"}, "longdwm_env.Camera"),
        ({"prompt": 3}, "string"),
        ({"device": 0}, "'cuda'"),
        ({"device": "cuda"}, "runs on the CPU"),
        ({"reward": {"speed": 1.0}}, "the terms are progress"),
        ({"render_mode": "ansi"}, "'rgb_array', 'human'"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*render_mode.*:UserWarning")
def test_bad_keywords_are_refused_at_once_and_say_what_exists(make, keywords, message):
    with pytest.raises(InvalidConfig, match=message):
        make("warp", **keywords)


@pytest.mark.parametrize("world", ["matrix", "", "./nowhere", "a/b/c", "x" * 5000, "\0", 3, None, object()])
def test_an_unknown_world_lists_those_that_exist(world):
    with pytest.raises(UnknownWorld, match=r"'simulator', 'warp', .*saved pipeline.*WorldModel"):
        make_world(world)


def test_mini_without_weights_says_how_to_build_them(monkeypatch, tmp_path):
    from longdwm_env.models import bundled

    monkeypatch.setattr(bundled, "MINI", tmp_path / "mini")
    with pytest.raises(MissingWeights, match=r"longdwm train mini.*longdwm train ship"):
        make_world("mini")


def test_an_unknown_keyword_is_named(make):
    with pytest.raises(TypeError, match="wheels"):
        make("warp", wheels=4)


def test_scenes_that_do_not_exist(make, tmp_path):
    with pytest.raises(InvalidScene, match="nowhere"):
        make("warp", scenes=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("name", ["warp", "simulator"])
def test_built_in_worlds_draw_any_size(name):
    assert make_world(name).image_size == DEFAULT_IMAGE_SIZE
    assert make_world(name, (30, 50)).image_size == (30, 50)


def test_a_given_world_keeps_its_size(kit):
    world = kit.NoiseWorld((20, 30))
    assert make_world(world) is world
    assert make_world(world, (20, 30)) is world
    with pytest.raises(InvalidConfig, match=r"\(40, 40\) does not fit world 'noise'"):
        make_world(world, (40, 40))


def test_numpy_numbers_are_numbers(make):
    env = make("warp", image_size=np.array([40, 60]), control_period_s=np.float32(0.5), max_episode_s=np.int64(3))
    assert env.observation_space["frames"].shape == (6, 40, 60, 3)


def test_the_default_world_draws_its_own_size(make):
    import gymnasium as gym

    env = gym.make("LongDWM-v0")
    assert env.unwrapped.world.name == DEFAULT_WORLD
    assert env.observation_space["frames"].shape == (12, 96, 144, 3)
    env.close()


def test_both_environments_take_the_keywords_of_one_list_with_its_defaults():
    listed = {field.name: field.default for field in fields(EnvOptions)}
    for kind, first in ((LongDWMEnv, []), (LongDWMVectorEnv, ["num_envs", "autoreset_mode"])):
        taken = inspect.signature(kind).parameters
        assert list(taken) == [*first, *listed]
        assert {name: taken[name].default for name in listed} == listed


def test_the_document_lists_each_keyword_with_its_default():
    page = (Path(__file__).parents[2] / "docs" / "environment.md").read_text()
    table = page.partition("## Keywords")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| `(\w+)` \| `([^`]+)` \|", table, re.MULTILINE)
    assert rows == [(field.name, repr(field.default).replace("'", '"')) for field in fields(EnvOptions)]


def test_an_environment_says_what_it_was_made_with(make):
    made = make("warp", max_episode_s=7.0).unwrapped.options
    assert (made.world, made.max_episode_s, made.prompt) == ("warp", 7.0, None)
    # In their order too, as ever.
    assert LongDWMEnv("warp", None, "control").options == EnvOptions(world="warp", action_mode="control")
