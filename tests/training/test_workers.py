"""Processes that make shards."""

import os
import subprocess
import sys
from pathlib import Path

from longdwm_env.training.data.workers import worker_pool

ENDLESS = """
import os, time
from longdwm_env.training.data.workers import worker_pool
if __name__ == "__main__":
    with worker_pool(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600).result()
"""


def test_workers_have_the_threads_that_they_are_given() -> None:
    with worker_pool(1, 2) as pool:
        assert pool.submit(os.getenv, "OMP_NUM_THREADS").result() == "2"
        assert pool.submit(os.getpid).result() != os.getpid()


def test_nobody_goes_on_after_the_one_that_began_it_was_killed(tmp_path: Path) -> None:
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert int(process.stdout.readline()) != process.pid
    process.kill()
    # The worker's end of the pipe is closed when it ends, and not before.
    assert process.communicate(timeout=60)[0] == ""
