"""Worker processes without the seconds in which each would import PyTorch."""

import pytest

from longdwm_env.training.data import workers

from .processes import PROCESSES


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers begin as copies of a process that has imported everything; ``test_workers.py`` starts them afresh too."""
    monkeypatch.setattr(workers, "get_context", lambda method: PROCESSES)
