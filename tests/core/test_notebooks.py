"""The notebooks run, cell by cell and in order, in this process: no kernel is needed."""

import json

import numpy as np
import pytest
from PIL import Image

from .documents import NOTEBOOKS, ROOT, run_cells


@pytest.fixture
def notebook(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(name, *changed):
        namespace = {}
        run_cells(ROOT / "examples" / f"{name}.ipynb", namespace, changed)
        return namespace

    return run


def pictures(namespace):
    return [one for one in namespace["shown"] if isinstance(one, Image.Image)]


def test_first_drive(notebook):
    found = notebook("first_drive")
    assert found["again"] is not found["first"]
    assert np.array_equal(found["first"]["frames"], found["again"]["frames"])
    sizes = [picture.size for picture in pictures(found)]
    assert sizes == [(432, 288), (432, 96), (432, 96), (432, 288)]


@pytest.mark.usefixtures("large_films")
def test_train_on_your_road(notebook, tmp_path):
    pytest.importorskip("accelerate", reason="accelerate is not installed")
    # Two steps of each stage: what they come to is looked at by tests/training.
    found = notebook(
        "train_on_your_road", ('"debug", 10', '"debug", 2'), ("--image-size 144 216", "--image-size 96 144")
    )
    motion = json.loads((tmp_path / "road" / "drive.poses.json").read_text())
    assert np.mean(np.array(motion["confidence"]) > 0.5) > 0.8
    for stage in ("codec", "coarse", "fine"):
        assert json.loads((tmp_path / "model" / stage / "done.json").read_text())["steps"] == 2
    assert len(pictures(found)) == 2
    assert found["info"]["scene"].startswith("drive.mp4")


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebooks_are_kept_without_what_they_showed(path):
    notebook = json.loads(path.read_text())
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in code)
    assert len({cell["id"] for cell in notebook["cells"]}) == len(notebook["cells"])
