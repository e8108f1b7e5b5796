"""An untrained pipeline, its latents, and worker processes without the seconds in which each would import PyTorch."""

import pytest

from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.presets import build, debug
from longdwm_env.training.data import workers

from .processes import PROCESSES


@pytest.fixture(scope="module")
def pipeline() -> LongDWMPipeline:
    """Mini's classes, tiny and untrained."""
    return build(debug())


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers begin as copies of a process that has imported everything; ``test_workers.py`` starts them afresh too."""
    monkeypatch.setattr(workers, "get_context", lambda method: PROCESSES)
