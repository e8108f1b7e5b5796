import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = ("longdwm_env", "models", "training", "agents", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The package as a wheel installs it, built from a copy so that nothing is written into the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        source = ROOT / name
        if source.is_dir():
            left_out = shutil.ignore_patterns("__pycache__", "*.safetensors")
            shutil.copytree(source, folder / "source" / name, ignore=left_out)
        else:
            shutil.copy(source, folder / "source" / name)
    build = f"from setuptools.build_meta import build_wheel; build_wheel({str(folder)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=folder / "source", check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    # Nothing in it is compiled, so to install it is to unpack it.
    shutil.unpack_archive(wheel, folder / "site", "zip")
    return folder / "site"


def test_a_wheel_works_beside_a_users_own_models_folder(site, tmp_path):
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "__init__.py").write_text("mine = True\n")
    (tmp_path / "agents.py").write_text("mine = True\n")
    code = f"""
import models, agents, longdwm_env, gymnasium
from pathlib import Path
assert models.mine and agents.mine
assert Path(longdwm_env.__file__).is_relative_to({str(site)!r}), longdwm_env.__file__
import longdwm_env.agents.policy, longdwm_env.training
assert Path(longdwm_env.agents.policy.__file__).is_relative_to({str(site)!r})
assert Path(longdwm_env.__file__).with_name("py.typed").exists(), "it says that it is typed"
from longdwm_env.cli.drives.demo import bundled_picture
environment = gymnasium.make("LongDWM-v0", world="warp", scenes=str(bundled_picture()))
observation, _ = environment.reset(seed=1)
observation = environment.step(environment.action_space.sample())[0]
assert observation["frames"].shape == (12, 96, 144, 3)
"""
    environment = {**os.environ, "PYTHONPATH": str(site)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, check=True)
