"""Many machines: episodes as Ray tasks. A worker loads its world once; a lost worker's episodes are run again."""

from collections import deque
from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING

from longdwm_env.errors import MissingDependency
from longdwm_env.evaluation.policies.evaluation_config import EpisodeResult, EvaluationConfig, Job, Record

if TYPE_CHECKING:
    from longdwm_env.evaluation.policies.episode_worker import Worker

RETRIES = 3
"""How often an episode is begun again when the worker under it is lost."""

_workers: dict[str, "Worker"] = {}
"""This process's worker, by the config's digest: tasks of one evaluation that come here share the loaded world."""


def drive(config_json: str, job_json: str) -> tuple[Record, bytes | None]:
    """What a task does: one episode, in this process's world."""
    from longdwm_env.evaluation.policies.episode_worker import Worker

    config = EvaluationConfig.from_json(config_json)
    if config.digest not in _workers:
        _workers.clear()
        _workers[config.digest] = Worker(config)
    result = _workers[config.digest].run(Job.from_json(job_json))
    return result.record, result.video


def run_on_cluster(
    config: EvaluationConfig, jobs: Sequence[Job], cluster: str
) -> Generator[tuple[Job, EpisodeResult], None, None]:
    """Drive episodes as Ray tasks and hand back each as it ends, in any order. The results are those of one process.

    Args:
        config: of the evaluation; its paths must mean the same on every machine.
        jobs: the episodes.
        cluster: "local" for this machine, "auto" for the cluster that this machine belongs to, or an address.

    Raises:
        MissingDependency: Ray is not installed.
    """
    try:
        import ray
    except ImportError as error:
        raise MissingDependency("evaluating on a cluster needs Ray: pip install 'longdwm[cluster]'") from error
    from longdwm_env.evaluation.policies.episode_worker import failed_record

    ours = not ray.is_initialized()
    if ours:
        ray.init(address=None if cluster == "local" else cluster, include_dashboard=False, log_to_driver=False)
    try:
        task = ray.remote(num_cpus=1, max_retries=RETRIES)(drive)
        waiting = deque(jobs)
        at_once = max(2, 2 * int(ray.cluster_resources().get("CPU", 1)))
        running: dict[ray.ObjectRef, Job] = {}
        text = config.to_json()
        while waiting or running:
            while waiting and len(running) < at_once:
                job = waiting.popleft()
                running[task.remote(text, job.to_json())] = job
            done, _ = ray.wait(list(running), num_returns=1, timeout=1.0)
            for reference in done:
                job = running.pop(reference)
                try:
                    yield job, EpisodeResult(*ray.get(reference))
                except ray.exceptions.WorkerCrashedError:
                    reason = f"its worker died, {RETRIES + 1} times in a row"
                    yield job, EpisodeResult(failed_record(config, job, reason))
    finally:
        if ours:
            ray.shutdown()
