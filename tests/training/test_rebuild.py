"""The order of a rebuild, with commands that stand in for its parts."""

import json
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from longdwm_env.cli import train
from longdwm_env.cli.building import train_evaluation
from longdwm_env.cli.measuring import paper_metrics as metrics
from longdwm_env.cli.train import TrainOptions
from longdwm_env.training import rebuild as rebuilding
from longdwm_env.training.rebuild import StageFailed, hours, processes_of, rebuild
from longdwm_env.training.recipes import recipe
from longdwm_env.training.workspace import Workspace

from .processes import PROCESSES

RECIPE = recipe("mini-simulator", "full")

PART = """
import os, sys, time
from pathlib import Path
root, part, threads, processes = Path(sys.argv[1]), *sys.argv[2:5]
(root / "spins").write_text(os.environ["GOMP_SPINCOUNT"])
with (root / "ran").open("a") as log:
    log.write(f"{part} {threads} {processes} {os.environ.get('OMP_NUM_THREADS')}\\n")
if part in ("coarse", "fine"):
    # Each ends only once the other has begun.
    (root / part).mkdir(exist_ok=True)
    until = time.monotonic() + 60
    while not all((root / name).is_dir() for name in ("coarse", "fine")):
        if time.monotonic() > until:
            sys.exit("alone")
        time.sleep(0.01)
if (root / f"fails-{part}").is_file():
    sys.exit(2)
if not (root / f"stops-{part}").is_file():
    (root / part).mkdir(exist_ok=True)
    (root / part / "done.json").write_text("{}")
"""


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    monkeypatch.setattr(rebuilding.os, "cpu_count", lambda: 2)
    return Workspace(tmp_path)


def build(workspace: Workspace, threads: int | None = None) -> int:
    def command(part: str, threads: int | None, minutes: float | None, processes: int) -> list[str]:
        assert minutes is None
        return [sys.executable, "-S", "-c", PART, str(workspace.root), part, str(threads), str(processes)]

    return rebuild(RECIPE, workspace, command, "cpu", threads)


def ran(workspace: Workspace) -> list[list[str]]:
    return [line.split() for line in (workspace.root / "ran").read_text().splitlines()]


def test_every_part_runs_in_order_and_all_cores_are_at_work(workspace):
    assert build(workspace) == 0
    parts = ran(workspace)
    assert sorted(parts[3:5]) == [["coarse", "1", "1", "1"], ["fine", "1", "1", "1"]]
    assert parts[:3] + parts[5:] == [
        ["footage", "2", "1", "2"],
        ["codec", "2", "1", "2"],
        ["latents", "2", "1", "2"],
        ["distill", "2", "1", "2"],
        ["sharpen", "1", "2", "1"],
        ["warp", "1", "2", "1"],
        ["compose", "2", "1", "2"],
        ["scorer", "2", "1", "2"],
        ["inverse-dynamics", "2", "1", "2"],
        ["evaluation", "2", "1", "2"],
    ]
    noted = json.loads((workspace.root / "hours.json").read_text())
    assert [part for entry in noted for part in entry["parts"]] == [
        *("footage", "codec", "latents", "coarse", "fine"),
        *("distill", "sharpen", "warp", "compose", "scorer", "inverse-dynamics", "evaluation"),
    ]


def test_hours_are_those_of_all_calls_together(workspace, capsys):
    assert hours(workspace) is None
    (workspace.root / "fails-codec").touch()
    with pytest.raises(StageFailed):
        build(workspace)
    (workspace.root / "fails-codec").unlink()
    assert build(workspace) == 0
    path = workspace.root / "hours.json"
    noted = json.loads(path.read_text())
    assert [entry["parts"] for entry in noted].count(["codec"]) == 2
    assert all(entry["minutes"] >= 0 for entry in noted)
    for number, entry in enumerate(noted):
        entry["minutes"] = 60.0 if entry["parts"] == ["codec"] else 6.0
        entry["machine"] = "a laptop" if number < 2 else "a server"
    path.write_text(json.dumps(noted))
    capsys.readouterr()
    said = hours(workspace)
    assert said is not None
    assert "codec 2.00" in said
    assert "coarse and fine 0.10" in said
    assert said.startswith(f"{2 + 0.1 * (len(noted) - 2):.2f} h (")
    assert said.endswith(" on a laptop; a server")


def test_it_goes_on_with_the_part_that_failed_or_was_stopped(workspace, capsys):
    (workspace.root / "fails-fine").touch()
    with pytest.raises(StageFailed, match=r"fine ended with exit status 2.*again to go on"):
        build(workspace)
    (workspace.root / "fails-fine").unlink()
    (workspace.root / "stops-sharpen").touch()
    first = len(ran(workspace))
    assert build(workspace) == 3
    assert "stopped during sharpen" in capsys.readouterr().out
    # Footage and latents look for themselves what is there.
    assert [part[0] for part in ran(workspace)[first:]] == ["footage", "latents", "fine", "distill", "sharpen"]
    (workspace.root / "stops-sharpen").unlink()
    first = len(ran(workspace))
    assert build(workspace) == 0
    assert [part[0] for part in ran(workspace)[first:]][:3] == ["footage", "latents", "sharpen"]


def rebuild_with(part: str, folder: Path) -> None:
    """A rebuild each of whose parts is one program."""
    rebuild(recipe("mini-simulator"), Workspace(folder), lambda *_: [sys.executable, "-c", part, str(folder)], "cpu")


def begun_rebuild(part: str, folder: Path) -> Any:
    """The process of a rebuild, once its first part has begun."""
    process = PROCESSES.Process(target=rebuild_with, args=(part, folder))
    process.start()
    while not (folder / "began").exists() and process.is_alive():
        time.sleep(0.02)
    return process


def test_a_rebuild_that_is_terminated_ends_its_parts_and_notes_their_hours(tmp_path):
    """As a batch system does it: the part keeps its checkpoint, and nothing goes on alone."""
    part = "import signal, sys, time; from pathlib import Path; root = Path(sys.argv[1])\n"
    part += "signal.signal(signal.SIGTERM, lambda *_: (root / 'checkpoint').touch() or sys.exit(0))\n"
    part += "(root / 'began').touch(); time.sleep(600)"
    process = begun_rebuild(part, tmp_path)
    process.terminate()
    process.join(300)
    assert process.exitcode == 128 + signal.SIGTERM
    assert (tmp_path / "checkpoint").exists()
    assert [entry["parts"] for entry in json.loads((tmp_path / "hours.json").read_text())] == [["footage"]]


def test_a_rebuild_that_is_killed_leaves_no_part_behind(tmp_path):
    fcntl = pytest.importorskip("fcntl", reason="the part holds a lock of POSIX")
    part = "import fcntl, sys, time; from pathlib import Path\n"
    part += "from longdwm_env.io.processes import end_with_parent; end_with_parent(); root = Path(sys.argv[1])\n"
    part += "held = (root / 'held').open('w'); fcntl.flock(held, fcntl.LOCK_EX)\n"
    part += "(root / 'began').touch(); time.sleep(600)"
    process = begun_rebuild(part, tmp_path)
    process.kill()
    process.join(300)
    with (tmp_path / "held").open() as held:
        # The part lets go of it when it ends, and not before.
        fcntl.flock(held, fcntl.LOCK_EX)


@pytest.mark.parametrize(
    ("part", "cores", "processes"),
    [("sharpen", 1, 1), ("sharpen", 3, 2), ("sharpen", 64, 4), ("warp", 64, 2), ("distill", 64, 1), ("codec", 64, 1)],
)
def test_processes_divide_a_batch_and_have_enough_of_it(part, cores, processes):
    assert processes_of(RECIPE, part, cores) == processes


def test_the_command_of_a_part_that_several_processes_train(tmp_path, monkeypatch):
    commands = {}

    def note(recipe, workspace, command, *others):
        commands["one"], commands["two"] = command("sharpen", 1, 5.0, 1), command("sharpen", 1, 5.0, 2)
        return 0

    monkeypatch.setattr("longdwm_env.training.rebuild.rebuild", note)
    assert train.mini(TrainOptions("mini-simulator", "debug", tmp_path / "run")) == 0
    alone, shared = " ".join(commands["one"]), " ".join(commands["two"])
    assert "-m longdwm_env.cli.train sharpen" in alone
    assert "torch.distributed.run" not in alone
    assert "--set" not in alone
    assert (
        "-m longdwm_env.io.processes torch.distributed.run --standalone --nproc_per_node 2 -m longdwm_env.cli" in shared
    )
    assert "--set loop.micro_batch_size=2" in shared
    assert "--device cpu --threads 1" in shared


def test_an_evaluation_goes_on_where_it_was_interrupted_unless_the_weights_are_others(tmp_path, monkeypatch):
    ran: list[str] = []
    interrupted = ["controllable"]

    def protocol(name: str) -> Callable[..., int]:
        def run(*_: object) -> int:
            if name in interrupted:
                raise KeyboardInterrupt
            ran.append(name)
            return 0

        run.__name__ = name
        return run

    monkeypatch.setattr(train_evaluation, "_test_drives", lambda *_: tmp_path / "drives")
    names = ["short", "long", "controllable", "interpolation"]
    for name in names:
        monkeypatch.setattr(metrics, name, protocol(name))
    options = TrainOptions(size="debug", out=tmp_path / "mini")
    with pytest.raises(KeyboardInterrupt):
        train_evaluation.evaluation(options)
    workspace = Workspace(tmp_path / "mini")
    assert ran == names[:2]
    assert not workspace.done("evaluation")

    interrupted.clear()
    assert train_evaluation.evaluation(replace(options, minutes=0.0)) == 0
    assert ran == names[:2]
    assert not workspace.done("evaluation")
    assert train_evaluation.evaluation(options) == 0
    assert ran == names
    assert workspace.done("evaluation")

    fine = workspace.load().fine
    torch.nn.init.ones_(next(fine.parameters()))
    workspace.save_component("fine", fine)
    assert train_evaluation.evaluation(options) == 0
    assert ran == names + names
