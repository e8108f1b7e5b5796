"""A local Ray of two workers, one of which is killed while it drives or records."""

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


def ray_workers():
    """Process ids of Ray's task workers that were started by this test's Ray."""
    found = []
    for folder in Path("/proc").iterdir():
        try:
            words = (folder / "cmdline").read_bytes()
            group = os.getsid(int(folder.name))
        except (ValueError, OSError):
            continue
        if words.startswith(b"ray::drive") and group == os.getsid(0):
            found.append(int(folder.name))
    return found


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="looks for the worker's process in /proc")
def test_a_lost_workers_episodes_are_run_again(two_workers, tmp_path):
    begun = tmp_path / "begun"
    config = EvaluationConfig(
        (f"{POLICIES}:kind=slow,marker={begun}", "random"),
        world="warp",
        scenes=str(PHOTOGRAPHS),
        episodes=2,
        max_episode_s=2.0,
        image_size=(24, 36),
        videos=False,
        reference=None,
    )
    jobs = all_jobs(config)
    found, killed = {}, []
    for job, result in run_on_cluster(config, jobs, "local"):
        found[job] = result.record
        if not killed and ray_workers():
            killed = ray_workers()[:1]
            os.kill(killed[0], signal.SIGKILL)
    assert killed
    # The one that was under way began twice.
    # Whether the killed worker had begun one when it died is a matter of timing.
    assert len(begun.read_text().splitlines()) >= config.episodes
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
