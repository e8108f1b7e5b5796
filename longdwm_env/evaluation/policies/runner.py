"""Run an evaluation: check the policies, drive what is missing, put it together, write the results."""

import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from tqdm import tqdm

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.policies.episode_metrics import FACTS
from longdwm_env.evaluation.policies.episode_store import EvaluationFolder, NotKept
from longdwm_env.evaluation.policies.evaluation_config import EpisodeResult, EvaluationConfig, Job, trials
from longdwm_env.evaluation.policies.policy_report import write_report
from longdwm_env.evaluation.policies.result_files import write_tables
from longdwm_env.evaluation.policies.summary import Record, Summary, complete, summarize
from longdwm_env.evaluation.policies.worker_pool import run_in_processes
from longdwm_env.evaluation.provenance import command, hashes, versions
from longdwm_env.io.files import check_output_folder, one_writer_of
from longdwm_env.types import SceneSource
from longdwm_env.world import WorldModel

MOST_PROCESSES = 512


def check_policies(config: EvaluationConfig, quiet: bool = False) -> list[Record]:
    """Make every policy and ask it for one action, in a process of its own.

    Args:
        config: names the policies.
        quiet: no progress bar.

    Raises:
        InvalidConfig: some cannot; the message says which and why, all at once.
    """
    tried = trials(config)
    bar = tqdm(total=len(tried), desc="trying the policies", unit="policy", disable=quiet, leave=False, file=sys.stderr)
    found = []
    with bar:
        for _, result in run_in_processes(config, tried, 1):
            found.append(result.record)
            bar.update()
    _refuse_unfit(found)
    return found


def _refuse_unfit(found: Iterable[Record]) -> None:
    problems = [f"  {record['policy']}: {record['failure']}" for record in found if record["failure"]]
    if problems:
        raise InvalidConfig("some policies cannot drive here:\n" + "\n".join(problems))


def evaluate(
    config: EvaluationConfig,
    out: Path,
    processes: int = 1,
    cluster: str | None = None,
    rank_by: str | None = None,
    quiet: bool = False,
) -> Summary:
    """Evaluate policies; a folder that holds a part of the same evaluation is gone on with.

    Args:
        config: what to run.
        out: folder for the results.
        processes: worker processes on this machine.
        cluster: "local" or the address of a Ray cluster, instead of processes.
        rank_by: a name of ``facts.FACTS``; None for the PDM score where every episode has it, else the return.
        quiet: no progress bar.

    Raises:
        InvalidConfig: the folder holds another evaluation or cannot be written to, or a policy cannot drive here.
        MissingDependency: a cluster is asked for and Ray is not installed.
        NotKept: what was driven cannot be written.
        FolderInUse: another process evaluates into the folder.
    """
    _check_rank(rank_by)
    if not 1 <= processes <= MOST_PROCESSES:
        raise InvalidConfig(f"processes must be from 1 to {MOST_PROCESSES}, got {processes}")
    with one_evaluation(out):
        read = hashes(config)
        folder = EvaluationFolder(out, config, read)
        jobs = folder.missing()
        if jobs:
            check_policies(config, quiet)
            if cluster is None:
                keep(folder, jobs, config, run_in_processes(config, jobs, processes), quiet)
            else:
                from longdwm_env.evaluation.policies.cluster import run_on_cluster

                keep(folder, jobs, config, run_on_cluster(config, jobs, cluster), quiet)
        return finish(folder, rank_by, read)


@contextmanager
def one_evaluation(out: Path) -> Iterator[None]:
    """An evaluation's folder has one writer; nothing is left of this where nothing came of the evaluation.

    Raises:
        FolderInUse: another process evaluates into it; the message says which.
        InvalidConfig: it cannot be written to.
    """
    check_output_folder(out)
    with one_writer_of(out):
        yield


def evaluate_here(
    config: EvaluationConfig,
    out: Path,
    world: WorldModel | None = None,
    source: SceneSource | None = None,
    rank_by: str | None = None,
    quiet: bool = False,
) -> Summary:
    """Evaluate in this process: for worlds and scenes that have no name. A policy that hangs, hangs the run.

    Args:
        config: what to run.
        out: folder for the results.
        world: instead of the config's.
        source: instead of the config's scenes.
        rank_by: see ``evaluate``.
        quiet: no progress bar.

    Raises:
        InvalidConfig: the folder holds another evaluation or cannot be written to, or a policy cannot drive here.
        NotKept: what was driven cannot be written.
        FolderInUse: another process evaluates into the folder.
    """
    from longdwm_env.evaluation.policies.episode_worker import Worker

    _check_rank(rank_by)
    with one_evaluation(out):
        read = hashes(config)
        folder = EvaluationFolder(out, config, read)
        jobs = folder.missing()
        if jobs:
            worker = Worker(config, world, source)
            _refuse_unfit([worker.run(trial).record for trial in trials(config)])
            keep(folder, jobs, config, ((job, worker.run(job)) for job in jobs), quiet)
        return finish(folder, rank_by, read)


def _check_rank(rank_by: str | None) -> None:
    if rank_by is not None and rank_by not in FACTS:
        raise InvalidConfig(f"there is no number {rank_by!r} to rank by; there are {', '.join(FACTS)}")


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

    Args:
        folder: with all episodes.
        rank_by: see ``evaluate``.
        read: hashes of what the episodes were driven with.

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
