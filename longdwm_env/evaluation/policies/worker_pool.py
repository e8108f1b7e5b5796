"""Worker processes: started afresh (spawn), watched, and replaced when they die or hang.

What travels between the processes is JSON and video bytes. A worker that dies takes its episode with it, which is
driven once more by another; one that gives no sign of life within the step's time-out is killed, and its episode has
failed.
"""

import json
import signal
import time
import traceback
from collections import deque
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

import cv2

from longdwm_env.errors import InvalidConfig, LongDWMError
from longdwm_env.evaluation.policies.evaluation_config import EpisodeResult, EvaluationConfig, Job
from longdwm_env.io.processes import child_environment, end_with_parent
from longdwm_env.io.words import clean

START_S = 600.0
"""A worker has this long to load its world."""

ATTEMPTS = 2
"""How often an episode is begun at most when workers die under it."""


class EvaluationBroken(LongDWMError, RuntimeError):
    """The world or the measuring failed, which no policy is to blame for; finished episodes are kept."""


@dataclass
class _Running:
    """A worker process and what it does."""

    process: BaseProcess
    connection: Connection
    heard_s: float
    job: Job | None = None
    ready: bool = False
    pending: EpisodeResult | None = None


def run_in_processes(
    config: EvaluationConfig, jobs: Sequence[Job], processes: int
) -> Generator[tuple[Job, EpisodeResult], None, None]:
    """Drive episodes in worker processes and hand back each as it ends, in any order.

    Args:
        config: of the evaluation.
        jobs: the episodes.
        processes: how many, at least 1.

    Raises:
        InvalidConfig: a worker cannot load the world or the scenes.
        EvaluationBroken: the world failed while it was driven.
    """
    from longdwm_env.evaluation.policies.episode_worker import failed_record

    waiting = deque((job, 1) for job in jobs)
    attempts: dict[str, int] = {}
    workers: list[_Running] = []
    try:
        while waiting or any(worker.job for worker in workers):
            while len(workers) < min(processes, len(waiting) + sum(worker.job is not None for worker in workers)):
                workers.append(_start(config))
            for worker in workers:
                if worker.ready and worker.job is None and waiting:
                    worker.job, attempts_so_far = waiting.popleft()
                    attempts[worker.job.key] = attempts_so_far
                    worker.connection.send_bytes(worker.job.to_json().encode())
                    worker.heard_s = time.monotonic()
            wait([worker.connection for worker in workers], timeout=0.5)
            for worker in list(workers):
                lost = _listen(worker)
                yield from _finished(worker)
                limit = config.step_timeout_s if worker.ready else START_S
                busy = worker.job is not None or not worker.ready
                hangs = busy and time.monotonic() - worker.heard_s > limit
                if not (lost or hangs):
                    continue
                workers.remove(worker)
                _stop(worker)
                if worker.job is None:
                    if not worker.ready:
                        reason = _reason(worker, hangs, limit)
                        raise InvalidConfig(
                            f"a worker could not load world {config.world!r} and its scenes: it {reason}"
                        )
                    continue
                if not hangs and attempts[worker.job.key] < ATTEMPTS:
                    waiting.appendleft((worker.job, attempts[worker.job.key] + 1))
                else:
                    reason = f"the policy's worker {_reason(worker, hangs, limit)}"
                    yield worker.job, EpisodeResult(failed_record(config, worker.job, reason))
    finally:
        for worker in workers:
            _stop(worker)


def _reason(worker: _Running, hangs: bool, limit_s: float) -> str:
    return f"gave no answer within {limit_s:g} s" if hangs else f"died (exit status {worker.process.exitcode})"


def _start(config: EvaluationConfig) -> _Running:
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, config.to_json()))
    with child_environment(threads=1):
        process.start()
    theirs.close()
    return _Running(process, ours, time.monotonic())


def _stop(worker: _Running) -> None:
    worker.process.kill()
    worker.process.join()
    worker.connection.close()


def _listen(worker: _Running) -> bool:
    """Take in what a worker has said; True if it is lost."""
    try:
        while worker.connection.poll():
            message = json.loads(worker.connection.recv_bytes())
            worker.heard_s = time.monotonic()
            if message["type"] == "ready":
                worker.ready = True
            elif message["type"] == "unfit":
                raise InvalidConfig(message["problem"])
            elif message["type"] == "broken":
                raise EvaluationBroken(message["problem"])
            elif message["type"] == "done":
                video = worker.connection.recv_bytes() if message["video"] else None
                worker.pending = EpisodeResult(message["record"], video)
                return False
    except (EOFError, OSError):
        worker.process.join(timeout=5.0)
        return True
    return False


def _finished(worker: _Running) -> Generator[tuple[Job, EpisodeResult], None, None]:
    if worker.pending is not None and worker.job is not None:
        job, pending = worker.job, worker.pending
        worker.job, worker.pending = None, None
        yield job, pending


def serve(connection: Connection, config_json: str) -> None:
    """What a worker process does: load the world, then drive jobs until there are no more."""
    # Ctrl-C goes to the whole group; the parent decides what becomes of its workers.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    end_with_parent()
    cv2.setNumThreads(1)
    from longdwm_env.evaluation.policies.episode_worker import Worker

    def say(message: Mapping[str, object]) -> None:
        connection.send_bytes(json.dumps(message).encode())

    try:
        worker = Worker(EvaluationConfig.from_json(config_json))
    except LongDWMError as error:
        say({"type": "unfit", "problem": clean(error)})
        return
    say({"type": "ready"})
    try:
        while True:
            job = Job.from_json(connection.recv_bytes().decode())
            try:
                result = worker.run(job, lambda: say({"type": "step"}))
            except Exception as error:  # no policy's fault, so the run ends, and says where
                traced = "".join(traceback.format_exception(error)).strip()
                say({"type": "broken", "problem": f"{job.policy}, episode {job.episode}: {traced}"})
                return
            say({"type": "done", "record": result.record, "video": result.video is not None})
            if result.video is not None:
                connection.send_bytes(result.video)
    except (EOFError, BrokenPipeError):
        return
