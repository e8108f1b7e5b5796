"""What child processes are told by their environment, and that this process is told nothing."""

import os
import subprocess
import sys

import pytest

from longdwm_env.processes import THREAD_VARIABLES, child_environment

NAMES = (*THREAD_VARIABLES, "TQDM_DISABLE")


def told_to_a_child():
    code = f"import os; print([os.environ.get(name, 'unset') for name in {NAMES!r}])"
    return subprocess.run([sys.executable, "-S", "-c", code], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """One of the variables is set beforehand, the others are not."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")


def test_children_keep_to_their_threads():
    with child_environment(threads=2):
        assert told_to_a_child() == str(["2", "2", "2", "unset"])
    with child_environment(threads=1, progress_bars=False):
        assert told_to_a_child() == str(["1", "1", "1", "1"])


def test_afterwards_everything_is_as_it_was():
    before = dict(os.environ)
    with pytest.raises(ArithmeticError), child_environment(threads=1, progress_bars=False):
        raise ArithmeticError("no")
    assert dict(os.environ) == before
