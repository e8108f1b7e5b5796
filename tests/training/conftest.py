"""An untrained pipeline, latents of the full size's kind, and workers that begin with PyTorch imported."""

import pytest

from longdwm_env.models.presets import build, debug
from longdwm_env.training.data import workers
from longdwm_env.training.recipes import recipe
from longdwm_env.training.stages import prepare_latents
from longdwm_env.training.workspace import Workspace

from .processes import PROCESSES
from .scenery import PaintedRoad


@pytest.fixture(scope="module")
def pipeline():
    """Mini's classes, tiny and untrained."""
    return build(debug())


@pytest.fixture
def forked_workers(monkeypatch):
    """Workers begin as copies of a process that has imported everything; ``test_workers.py`` starts them afresh too."""
    monkeypatch.setattr(workers, "get_context", lambda method: PROCESSES)


@pytest.fixture(scope="session")
def encoded(tmp_path_factory):
    """A workspace of the paper's recipe at debug size with latents of two clips of three seconds, to be copied."""
    made, workspace = recipe("cogvideox-2b-nuscenes", "debug"), Workspace(tmp_path_factory.mktemp("encoded"))
    workspace.prepare(made)
    prepare_latents(made, workspace, PaintedRoad(clips=2, frames=37, image_size=workspace.load().settings.image_size))
    return workspace.root
