"""Processes that make shards."""

import os
import subprocess
import sys
from functools import partial

import pytest

from longdwm_env.training.data.workers import side_by_side

ENDLESS = """
import os, time
from longdwm_env.training.data.workers import worker_pool
if __name__ == "__main__":
    with worker_pool(1) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        pool.submit(time.sleep, 600).result()
"""


def test_nobody_goes_on_after_the_one_that_began_it_was_killed(tmp_path):
    script = tmp_path / "endless.py"
    script.write_text(ENDLESS)
    process = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert int(process.stdout.readline()) != process.pid
    process.kill()
    # The worker's end of the pipe is closed when it ends, and not before.
    assert process.communicate(timeout=60)[0] == ""


@pytest.mark.usefixtures("forked_workers")
def test_what_is_made_side_by_side_comes_in_order_from_other_processes():
    made = list(side_by_side(partial(_where, "here"), [(number,) for number in range(5)], 2))
    assert [(text, number) for text, number, _ in made] == [("here", number) for number in range(5)]
    assert os.getpid() not in {process for _, _, process in made}
    alone = list(side_by_side(partial(_where, "here"), [(3,)], 1))
    assert alone == [("here", 3, os.getpid())]


@pytest.mark.usefixtures("forked_workers")
def test_the_error_of_a_task_made_side_by_side_is_raised():
    with pytest.raises(ValueError, match="seven"):
        list(side_by_side(_fails_at_seven, [(6,), (7,)], 2))


def _where(text: str, number: int) -> tuple[str, int, int]:
    return text, number, os.getpid()


def _fails_at_seven(number: int) -> int:
    if number == 7:
        raise ValueError("seven")
    return number
