"""Footage on a local Ray of two workers, one of which is killed while it records."""

import os
import signal
import sys
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'longdwm[cluster]'")

import ray
import torch

from longdwm_env.training.data.clip import Clip
from longdwm_env.training.data.footage import record_footage

from . import scenery
from .scenery import PaintedRoad


class Deadly(PaintedRoad):
    """Kills the process that first asks for one of its clips."""

    def __init__(self, mark: Path, **given: int) -> None:
        super().__init__(**given)
        self.mark, self.recorder = mark, os.getpid()

    def clip(self, index: int) -> Clip:
        if index == 2 and os.getpid() != self.recorder and not self.mark.exists():
            self.mark.write_text(str(os.getpid()))
            os.kill(os.getpid(), signal.SIGKILL)
        return super().clip(index)


@pytest.fixture
def two_workers():
    # Workers do not know this folder of tests; what they need of it travels with the task.
    for module in (scenery, sys.modules[__name__]):
        ray.cloudpickle.register_pickle_by_value(module)
    ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()
    for module in (scenery, sys.modules[__name__]):
        ray.cloudpickle.unregister_pickle_by_value(module)


def test_what_a_lost_worker_was_recording_is_recorded_again(two_workers, tmp_path, monkeypatch):
    monkeypatch.setattr("longdwm_env.training.data.footage.CLIPS_PER_SHARD", 2)
    mark = tmp_path / "killed"
    found = record_footage(Deadly(mark, clips=5, frames=13), tmp_path / "cluster", cluster="local")
    assert mark.read_text() != str(os.getpid()), "a worker was killed"
    wanted = record_footage(PaintedRoad(clips=5, frames=13), tmp_path / "alone")
    assert len(found) == len(wanted) == 5
    for index in range(5):
        ours, theirs = found.clip(index), wanted.clip(index)
        assert ours.key == theirs.key
        assert torch.equal(torch.from_numpy(ours.images), torch.from_numpy(theirs.images))
    assert not list((tmp_path / "cluster").glob(".*partial*"))
