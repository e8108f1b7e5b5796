"""A local Ray of two workers, one of which dies while it drives or records."""

import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'longdwm[cluster]'")

import ray
import torch

import longdwm_env
from longdwm_env.evaluation.policies.cluster import run_on_cluster
from longdwm_env.evaluation.policies.episode_worker import Worker
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig, all_jobs
from longdwm_env.training.data.clip import Clip
from longdwm_env.training.data.footage import record_footage

from ..training.scenery import PaintedRoad

POLICIES = str(Path(__file__).parents[1] / "agents" / "evaluation" / "policies.py")
PHOTOGRAPHS = Path(longdwm_env.__file__).with_name("assets")
"""Scenes that need no simulator: most of the time would go into building its roads and houses, twice."""


def comparable(record):
    return {key: value for key, value in record.items() if key not in ("wall_s", "act_s")}


@pytest.fixture(scope="module")
def two_workers():
    with pytest.MonkeyPatch.context() as patch:
        # Workers import what they need of these tests.
        patch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]))
        ray.init(num_cpus=2, include_dashboard=False, log_to_driver=False, configure_logging=False)
        yield
        ray.shutdown()


def test_a_lost_workers_episodes_are_run_again(two_workers, tmp_path):
    died = tmp_path / "died"
    # Its process ends in the middle of the first episode.
    deadly = f"{POLICIES}:kind=dies-once,marker={died}"
    small = {"episodes": 2, "max_episode_s": 2.0, "image_size": (24, 36), "videos": False, "reference": None}
    config = EvaluationConfig((deadly, "random"), world="warp", scenes=str(PHOTOGRAPHS), **small)
    jobs = all_jobs(config)
    found = {job: result.record for job, result in run_on_cluster(config, jobs, "local")}
    assert died.exists()
    worker = Worker(config)
    assert set(found) == set(jobs)
    for job in jobs:
        assert comparable(found[job]) == comparable(worker.run(job).record)


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
