"""Environments in other processes: sent there whole, or started there by Gymnasium and Stable-Baselines3."""

import pickle
import subprocess
import sys

import cloudpickle
import gymnasium as gym
import numpy as np
import pytest

from longdwm_env.scenes import open_scenes
from longdwm_env.worlds.warp_world import WarpWorld

SIZE = (32, 48)
LIBRARIES = (pickle, cloudpickle)


@pytest.fixture
def keywords(kind, photograph):
    return {
        "names": lambda: {"world": "simulator", "image_size": SIZE},
        "photograph": lambda: {"world": "warp", "image_size": SIZE, "scenes": str(photograph)},
        "objects": lambda: {"world": WarpWorld(SIZE), "scenes": open_scenes(photograph)},
    }[kind]()


@pytest.mark.parametrize(("kind", "count"), [("names", 0), ("photograph", 2), ("objects", 0), ("objects", 2)])
@pytest.mark.filterwarnings("ignore::longdwm_env.AssumedCameraWarning")
def test_an_environment_that_was_sent_goes_on_as_the_one_that_stayed(make, kit, keywords, count):
    env = make(vector=count, **keywords)
    unused = [library.loads(library.dumps(env)) for library in LIBRARIES]
    assert all(one.action_space == env.action_space for one in unused)
    env.action_space.seed(3)
    env.reset(seed=5)
    sent = [library.loads(library.dumps(env)) for library in LIBRARIES]
    action = np.stack([kit.ahead()] * count) if count else kit.ahead()
    for _ in range(2):
        here = env.step(action)
        for one in sent:
            there = one.step(action)
            np.testing.assert_array_equal(here[0]["frames"], there[0]["frames"])
            np.testing.assert_array_equal(here[1], there[1])
    drawn, scene = env.action_space.sample(), env.reset()[1]["scene"]
    for one in sent:
        np.testing.assert_array_equal(one.action_space.sample(), drawn)
        np.testing.assert_array_equal(one.reset()[1]["scene"], scene)
    for each in (*unused, *sent):
        each.close()


def test_a_closed_environment_stays_closed(make):
    env = make("warp")
    env.close()
    sent = pickle.loads(pickle.dumps(env))
    with pytest.raises(Exception, match="closed"):
        sent.reset()


def test_stable_baselines3_starts_it_in_new_processes(kit):
    vec_env = pytest.importorskip("stable_baselines3.common.vec_env", reason="stable-baselines3 is not installed")

    def start():
        return gym.make("longdwm_env:LongDWM-v0", world="warp", image_size=SIZE, obs_mode="frame")

    envs = vec_env.SubprocVecEnv([start], start_method="spawn")
    try:
        assert envs.reset().shape == (1, *SIZE, 3)
        assert envs.step(kit.ahead()[None])[0].shape == (1, *SIZE, 3)
    finally:
        envs.close()


ASYNC = """
import faulthandler, sys
import gymnasium as gym, numpy as np
import longdwm_env

if __name__ == "__main__":
    faulthandler.dump_traceback_later(900, exit=True)
    ahead = np.array([[3, 0], [6, 0], [9, 0], [12, 0]], np.float32)
    # A process that has used a world has its threads, which a forked process does not. One that starts afresh, as
    # above, has no such difference.
    used = gym.make("LongDWM-v0", world="mini")
    used.reset(seed=0)
    alone = used.step(ahead)[0]["frames"]
    envs = gym.make_vec("LongDWM-v0", num_envs=1, world="mini", vectorization_mode="async")
    envs.reset(seed=[0])
    together = envs.step(ahead[None])[0]["frames"]
    envs.close()
    assert np.array_equal(together[0], alone)
    print("as alone")
"""


def test_gymnasiums_asynchronous_vector_runs_mini(tmp_path):
    """By default Gymnasium forks; the child of a process with OpenMP's threads waited for them for ever."""
    pytest.importorskip("torch")
    script = tmp_path / "drive.py"
    script.write_text(ASYNC)
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=1000, check=False)
    assert done.stdout.strip().endswith("as alone"), done.stderr[-2000:]
