"""A local Ray of two workers, one of which is killed while it drives."""

import os
import signal
from pathlib import Path

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'longdwm[cluster]'")

import ray

import longdwm_env
from longdwm_env.evaluation.policies.cluster import run_on_cluster
from longdwm_env.evaluation.policies.episode_worker import Worker
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig, all_jobs

POLICIES = str(Path(__file__).with_name("policies.py"))
PHOTOGRAPHS = Path(longdwm_env.__file__).with_name("assets")
"""Scenes that need no simulator: most of the time would go into building its roads and houses, twice."""


def comparable(record):
    return {key: value for key, value in record.items() if key not in ("wall_s", "act_s")}


@pytest.fixture
def two_workers():
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
        episodes=3,
        max_episode_s=3.0,
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
