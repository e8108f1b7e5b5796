"""Processes that tests stop, kill and start again. PyTorch is imported once, for all of them."""

import multiprocessing
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from . import sharded_run, toy_run

PROCESSES = multiprocessing.get_context("forkserver")
PROCESSES.set_forkserver_preload(
    [toy_run.__name__, sharded_run.__name__, "longdwm_env.training.rebuild", "longdwm_env.training.recipes"]
)


class StartedRun:
    """Processes of one training run; with ``stop_at``, they wait at the gate before a step once this has been made."""

    def __init__(
        self,
        folder: Path,
        stop_at: int | None = None,
        count: int = 1,
        main: Callable[..., None] = toy_run.main,
        log: Path | None = None,
        **options: Any,
    ) -> None:
        self.gate = PROCESSES.Event()
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        given = (folder, stop_at, self.gate)
        self.processes = [
            PROCESSES.Process(target=main, args=given, kwargs={"place": (rank, count, port), **options})
            for rank in range(count)
        ]
        for process in self.processes:
            process.start()
        log = log or folder / "losses.jsonl"
        while stop_at is not None and all(process.is_alive() for process in self.processes):
            if log.is_file() and len(log.read_text().splitlines()) >= stop_at:
                break
            time.sleep(0.01)

    def kill(self) -> None:
        for process in self.processes:
            process.kill()
        assert self.ended() == {-signal.SIGKILL}

    def ended(self) -> set[int | None]:
        """How they end, once they do."""
        for process in self.processes:
            process.join(900)
        return {process.exitcode for process in self.processes}
