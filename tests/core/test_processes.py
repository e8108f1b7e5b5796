"""What child processes are told by their environment, and that this process is told nothing."""

import os
import signal
import subprocess
import sys

import pytest

from longdwm_env.io.processes import THREAD_VARIABLES, child_environment

NAMES = (*THREAD_VARIABLES, "TQDM_DISABLE")


def told_to_a_child():
    code = f"import os; print([os.environ.get(name, 'unset') for name in {NAMES!r}])"
    return subprocess.run([sys.executable, "-S", "-c", code], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(autouse=True)
def surroundings(monkeypatch):
    """One of the variables is set beforehand, the others are not."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")


def test_children_keep_to_their_threads():
    with child_environment(threads=2):
        assert told_to_a_child() == str(["2", "2", "2", "unset"])
    with child_environment(threads=1, progress_bars=False):
        assert told_to_a_child() == str(["1", "1", "1", "1"])


def test_afterwards_everything_is_as_it_was():
    before = dict(os.environ)
    with pytest.raises(ArithmeticError), child_environment(threads=1, progress_bars=False):
        raise ArithmeticError("no")
    assert dict(os.environ) == before


CHILD = """
import signal, sys, time
{first}
from longdwm_env.io import processes
{before}
processes.end_with_parent()
print("child", flush=True)
{then}
"""
PARENT = """
import os, subprocess, sys
from longdwm_env.io.processes import child_of_this
subprocess.Popen([sys.executable, {words}], env=os.environ | {told}).wait()
"""
SLEEP = "time.sleep(600)"
WAIT_FOR_SIGTERM = "signal.sigwait({signal.SIGTERM}); print('asked', flush=True)"
DEAF = "signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True)); [time.sleep(0.1) for _ in range(6000)]"
WITHOUT_KERNEL = "processes._ask_the_kernel = lambda: None; processes.GRACE_S = 0.5"


def ends_after_its_parent_was_killed(words, told="child_of_this()"):
    """What a child says, line by line, to its end, which closes the pipe."""
    code = PARENT.format(words=words, told=told)
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "child\n"
    process.send_signal(signal.SIGKILL)
    return process.communicate(timeout=60)[0]


@pytest.mark.parametrize("before", ["", WITHOUT_KERNEL])
def test_it_is_asked_first_so_that_it_may_keep_what_it_has(before):
    # Before libraries are imported: their threads would take the signal in place of the one that waits for it.
    block = "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})"
    child = CHILD.format(first=block, before=before, then=WAIT_FOR_SIGTERM)
    assert ends_after_its_parent_was_killed(repr("-c") + "," + repr(child)) == "asked\n"


def test_one_that_does_not_listen_ends_all_the_same():
    said = ends_after_its_parent_was_killed(
        repr("-c") + "," + repr(CHILD.format(first="", before=WITHOUT_KERNEL, then=DEAF))
    )
    assert said.startswith("asked\n")


def test_launched_processes_end_with_their_launcher():
    child = CHILD.format(first="", before="", then=SLEEP)
    told = "{'LOCAL_RANK': '0'}"
    assert ends_after_its_parent_was_killed(repr("-c") + "," + repr(child), told) == ""


def test_what_was_started_by_hand_goes_on():
    code = CHILD.format(first="", before="", then="print(len(__import__('threading').enumerate()), flush=True)")
    environment = {name: value for name, value in os.environ.items() if name != "LOCAL_RANK"}
    said = subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True, text=True)
    assert said.stdout.split() == ["child", "1"]


def test_a_module_can_be_run_so_that_it_ends_with_its_parent(tmp_path, monkeypatch):
    (tmp_path / "endless.py").write_text("import sys, time\nprint(sys.argv[1], flush=True)\ntime.sleep(600)\n")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]))
    words = "'-m', 'longdwm_env.io.processes', 'endless', 'child'"
    assert ends_after_its_parent_was_killed(words) == ""
