"""Run an evaluation: check the policies, drive what is missing, put it together, write the results."""

import sys
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm import tqdm

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.policies.episode_metrics import METRICS
from longdwm_env.evaluation.policies.episode_store import EvaluationFolder, NotKept
from longdwm_env.evaluation.policies.evaluation_config import EpisodeResult, EvaluationConfig, Job, trials
from longdwm_env.evaluation.policies.policy_report import write_report
from longdwm_env.evaluation.policies.result_files import write_tables
from longdwm_env.evaluation.policies.summary import Summary, complete, summarize
from longdwm_env.evaluation.policies.worker_pool import run_in_processes
from longdwm_env.evaluation.provenance import command, hashes, versions
from longdwm_env.io.files import check_output_folder, one_writer_of

if TYPE_CHECKING:
    from longdwm_env.evaluation.policies.episode_worker import Worker

MOST_PROCESSES = 512


def evaluate(
    config: EvaluationConfig,
    out: Path,
    processes: int = 1,
    cluster: str | None = None,
    rank_by: str | None = None,
    quiet: bool = False,
    here: "Worker | None" = None,
) -> Summary:
    """Evaluate policies; a folder that holds a part of the same evaluation is gone on with.

    First every policy is made and asked for one action, in a process of its own.

    Args:
        config: what to run.
        out: folder for the results.
        processes: worker processes on this machine.
        cluster: "local" or the address of a Ray cluster, instead of processes.
        rank_by: a name of ``METRICS``; None for the PDM score where every episode has it, else the return.
        quiet: no progress bar.
        here: a worker of this process that drives instead, for worlds and scenes that have no name. A policy that
            hangs, hangs the run.

    Raises:
        InvalidConfig: the folder holds another evaluation or cannot be written to, or policies cannot drive here; the
            message says which and why, all at once.
        MissingDependency: a cluster is asked for and Ray is not installed.
        NotKept: what was driven cannot be written.
        FolderInUse: another process evaluates into the folder.
    """
    if rank_by is not None and rank_by not in METRICS:
        raise InvalidConfig(f"there is no number {rank_by!r} to rank by; there are {', '.join(METRICS)}")
    if not 1 <= processes <= MOST_PROCESSES:
        raise InvalidConfig(f"processes must be from 1 to {MOST_PROCESSES}, got {processes}")
    check_output_folder(out)
    with one_writer_of(out):
        read = hashes(config)
        folder = EvaluationFolder(out, config, read)
        if jobs := folder.missing():
            _check_policies(config, quiet, here)
            keep(folder, jobs, config, _results(config, jobs, processes, cluster, here), quiet)
        return finish(folder, rank_by, read)


def _check_policies(config: EvaluationConfig, quiet: bool, here: "Worker | None") -> None:
    tried, problems = trials(config), []
    bar = tqdm(total=len(tried), desc="trying the policies", unit="policy", disable=quiet, leave=False, file=sys.stderr)
    with bar:
        for job, result in _results(config, tried, 1, None, here):
            if result.record["failure"]:
                problems.append(f"  {job.policy}: {result.record['failure']}")
            bar.update()
    if problems:
        raise InvalidConfig("some policies cannot drive here:\n" + "\n".join(problems))


def _results(
    config: EvaluationConfig, jobs: list[Job], processes: int, cluster: str | None, here: "Worker | None"
) -> Generator[tuple[Job, EpisodeResult], None, None]:
    """Drive episodes, and hand back each as it ends."""
    if here is not None:
        return ((job, here.run(job)) for job in jobs)
    if cluster is None:
        return run_in_processes(config, jobs, processes)
    from longdwm_env.evaluation.policies.cluster import run_on_cluster

    return run_on_cluster(config, jobs, cluster)


def keep(
    folder: EvaluationFolder,
    jobs: list[Job],
    config: EvaluationConfig,
    results: Generator[tuple[Job, EpisodeResult], None, None],
    quiet: bool,
) -> None:
    """Write each episode as it comes, and show how far the run is.

    Raises:
        NotKept: an episode cannot be written; running workers are ended first.
    """
    title = f"episodes in {Path(config.world).name}"
    # Closed here, not when it is forgotten: an error's traceback remembers it, and workers would go on meanwhile.
    with (
        closing(results) as stream,
        tqdm(total=len(jobs), desc=title, unit="episode", disable=quiet, file=sys.stderr) as progress,
    ):
        failed = 0
        for job, result in stream:
            folder.write(job, result)
            failed += result.record["status"] == "failed"
            if failed:
                progress.set_postfix(failed=failed)
            progress.update()


def finish(folder: EvaluationFolder, rank_by: str | None, read: dict[str, str]) -> Summary:
    """Put the episodes together and write report, tables and summary.

    Raises:
        InvalidConfig: some of it has changed since, so nothing tells which episodes were driven with what.
        NotKept: the files cannot be written.
    """
    now = hashes(folder.config)
    changed = sorted(name for name in {*read, *now} if read.get(name) != now.get(name))
    if changed:
        folder.mark_mixed(changed)
        folder.refuse_mixed()
    records = complete(folder.config, folder.records())
    summary = summarize(folder.config, records, rank_by)
    origin = {"command": command(), "versions": versions(), "hashes": read}
    try:
        write_tables(folder.path, folder.config, records, summary, origin)
        write_report(folder.path, folder.config, records, summary, origin)
    except OSError as error:
        raise NotKept(
            f"the report cannot be written to {folder.path}: {error.strerror or error}. The episodes are kept: the "
            "same command writes it again"
        ) from error
    return summary
