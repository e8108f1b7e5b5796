import importlib.util
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "custom_world.py"


@pytest.fixture(scope="module")
def example():
    spec = importlib.util.spec_from_file_location("custom_world", EXAMPLE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_runs():
    done = subprocess.run([sys.executable, str(EXAMPLE)], check=True, capture_output=True, text=True, timeout=120)
    assert "12 frames, reward" in done.stdout
    assert "smoothness" in done.stdout


def test_the_example_is_a_world_like_the_others(make, kit, example, tmp_path):
    env = make(example.StillWorld(kit.small), scenes=[kit.a_scene()])
    observation, _ = env.reset(seed=0)
    state = env.unwrapped.get_state()
    after, *_ = env.step(kit.ahead())
    assert (after["frames"] == observation["frames"][-1]).all()
    state.save(tmp_path / "state.safetensors")
    env.unwrapped.set_state(type(state).load(tmp_path / "state.safetensors"))
    futures = env.unwrapped.imagine(np.stack([[kit.ahead()], [kit.ahead(3.0)]]))
    np.testing.assert_array_equal(futures.frames[0], futures.frames[1])
