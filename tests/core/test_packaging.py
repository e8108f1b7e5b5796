import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from longdwm_env.factory import BUILT_IN_WORLDS, DEFAULT_WORLD
from longdwm_env.models.bundled import SIZE_LIMIT_BYTES, WEIGHTS, has_bundled_pipeline

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def project():
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_every_package_folder_is_listed(project):
    """setuptools cannot find packages that are mapped one by one, so the list is written and held here."""
    found = set()
    for top, name in (
        ("longdwm_env", "longdwm_env"),
        ("models", "longdwm_env.models"),
        ("training", "longdwm_env.training"),
        ("agents", "longdwm_env.agents"),
    ):
        for init in (ROOT / top).rglob("__init__.py"):
            parts = init.parent.relative_to(ROOT / top).parts
            found.add(".".join((name, *parts)))
    assert found == set(project["tool"]["setuptools"]["packages"])


def test_every_python_folder_is_a_package():
    for top in ("longdwm_env", "models", "training", "agents"):
        for source in (ROOT / top).rglob("*.py"):
            assert (source.parent / "__init__.py").exists(), source


def test_what_is_read_at_run_time_is_shipped(project):
    shipped = project["tool"]["setuptools"]["package-data"]["longdwm_env"]
    assert "py.typed" in shipped
    assert any(pattern.startswith("assets/") for pattern in shipped)
    assert (ROOT / "longdwm_env/assets/street.jpg").exists()
    assert project["tool"]["setuptools"]["package-data"]["longdwm_env.evaluation"] == ["templates/*"]
    assert (ROOT / "longdwm_env/evaluation/templates/table.md.j2").exists()
    assert project["tool"]["setuptools"]["package-data"]["longdwm_env.agents.driving_page"] == ["page/*"]


def test_the_default_world_comes_with_the_package():
    assert DEFAULT_WORLD in BUILT_IN_WORLDS or has_bundled_pipeline()


def test_weights_stay_a_download_of_seconds():
    assert sum(path.stat().st_size for path in WEIGHTS.rglob("*") if path.is_file()) <= SIZE_LIMIT_BYTES


def test_a_checkout_finds_its_own_folders_without_an_install(tmp_path):
    """A plain install replaces an editable one; then only the folders beside the package are this checkout's own."""
    script = (
        "import sys\n"
        "sys.meta_path = [finder for finder in sys.meta_path if 'editable' not in repr(finder)]\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "from importlib.util import find_spec\n"
        "for name in ('agents.policy', 'models.settings', 'training.config'):\n"
        "    print(find_spec(f'longdwm_env.{name}').origin)\n"
    )
    found = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True)
    files = [Path(line).resolve() for line in found.stdout.split()]
    assert files == [ROOT / "agents/policy.py", ROOT / "models/settings.py", ROOT / "training/config.py"]
