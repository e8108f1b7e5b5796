"""The loop: learns, survives being killed, and does not care how many processes share the work."""

import itertools
import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from accelerate import Accelerator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from longdwm_env.errors import InvalidState
from longdwm_env.training import loop as loop_module
from longdwm_env.training.checkpoint import checkpoints, read_checkpoint
from longdwm_env.training.loop import train
from longdwm_env.training.run import Run, TrainingDiverged

from . import toy_run
from .processes import StartedRun
from .toy_run import LOOP, OPTIMIZER, ToyObjective, toy_draw


def curve(folder: Path) -> list[tuple[int, float, float]]:
    lines = (folder / "losses.jsonl").read_text().splitlines()
    return [(e["step"], e["loss"], e["grad_norm"]) for e in map(json.loads, lines)]


@pytest.mark.parametrize(("faster", "computed"), [(True, "bf16"), (False, "no")])
def test_bf16_is_computed_where_the_processor_is_faster_in_it(tmp_path, monkeypatch, faster, computed):
    asked: list[str] = []

    def accelerator(**settings: object) -> Accelerator:
        asked.append(str(settings["mixed_precision"]))
        # Of one process all accelerators have one precision.
        return Accelerator(**{**settings, "mixed_precision": "no"})

    monkeypatch.setattr(loop_module, "faster_in_bfloat16", lambda: faster)
    monkeypatch.setattr(loop_module, "Accelerator", accelerator)
    few = replace(LOOP, steps=2)
    train(ToyObjective(), toy_draw, replace(few, precision="bf16"), OPTIMIZER, tmp_path / "bf16", cpu=True)
    train(ToyObjective(), toy_draw, few, OPTIMIZER, tmp_path / "float32", cpu=True)
    assert asked == [computed, "no"]


def test_killed_at_any_moment_and_resumed_the_curve_goes_on_bit_for_bit(tmp_path):
    train(ToyObjective(), toy_draw, LOOP, OPTIMIZER, tmp_path / "whole", cpu=True)
    folder = tmp_path / "killed"
    for step in (6, 17):
        run = StartedRun(folder, step)
        run.processes[0].kill()
        assert run.ended() == {-signal.SIGKILL}
    assert StartedRun(folder).ended() == {0}
    assert curve(folder) == curve(tmp_path / "whole")
    leftovers = [p for p in (folder / "checkpoints").iterdir() if p.name.startswith(".partial")]
    assert not leftovers


class Unplugged(Exception):
    """As if the power had gone."""


WATCHED = replace(LOOP, steps=16, checkpoint_every=5, log_every=2, sample_every=4, tracker="tensorboard")


def files_of(folder: Path) -> dict[str, Any]:
    """What a run has written, but for speeds."""
    events = EventAccumulator(str(folder / "tracker" / "longdwm"))
    events.Reload()
    entries = [json.loads(line) for line in (folder / "losses.jsonl").read_text().splitlines()]
    return {
        "log": [{name: value for name, value in entry.items() if name != "samples_per_s"} for entry in entries],
        "validation": (folder / "validation.jsonl").read_text(),
        "pictures": {path.name: path.read_text() for path in sorted((folder / "samples").iterdir())},
        "tracker": {
            tag: [(event.step, event.value) for event in events.Scalars(tag)]
            for tag in events.Tags()["scalars"]
            if tag != "samples_per_s"
        },
    }


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folder = tmp_path_factory.mktemp("undisturbed")
    toy_run.toy_train(folder, WATCHED)
    return files_of(folder)


@pytest.mark.parametrize(
    ("doing", "at", "is_after"), [("sample", 3, True), ("log", 4, True), ("save", 4, False), ("save", 4, True)]
)
def test_every_file_of_an_interrupted_run_is_that_of_an_undisturbed_one(
    tmp_path, monkeypatch, undisturbed, doing, at, is_after
):
    whole, calls = getattr(Run, doing), itertools.count(1)

    def unplugged(run: Run, *given: Any) -> None:
        is_now = next(calls) == at
        if is_now and not is_after:
            raise Unplugged
        whole(run, *given)
        if is_now:
            raise Unplugged

    monkeypatch.setattr(Run, doing, unplugged)
    with pytest.raises(Unplugged):
        toy_run.toy_train(tmp_path, WATCHED)
    monkeypatch.setattr(Run, doing, whole)
    assert toy_run.toy_train(tmp_path, WATCHED).finished
    assert files_of(tmp_path) == undisturbed


def test_a_finished_run_that_is_called_again_knows_its_loss(tmp_path):
    first = train(ToyObjective(), toy_draw, LOOP, OPTIMIZER, tmp_path, cpu=True)
    assert train(ToyObjective(), toy_draw, LOOP, OPTIMIZER, tmp_path, cpu=True).loss == first.loss
    # A checkpoint of an earlier version does not hold it.
    state = checkpoints(tmp_path / "checkpoints")[-1] / "state.json"
    facts = json.loads(state.read_text())
    del facts["facts"]["loss"]
    state.write_text(json.dumps(facts))
    assert train(ToyObjective(), toy_draw, LOOP, OPTIMIZER, tmp_path, cpu=True).loss == first.loss
    (tmp_path / "losses.jsonl").unlink()
    assert train(ToyObjective(), toy_draw, LOOP, OPTIMIZER, tmp_path, cpu=True).loss is None


def test_two_processes_train_like_one_also_after_a_stop(tmp_path):
    micro = replace(LOOP, micro_batch_size=2)
    train(ToyObjective(dropout=0.0), toy_draw, micro, OPTIMIZER, tmp_path / "one", cpu=True)
    folder, same = tmp_path / "two", {"count": 2, "micro": 2, "dropout": 0.0}
    stopped = StartedRun(folder, 9, **same)
    for process in stopped.processes:
        process.terminate()
    stopped.gate.set()
    assert stopped.ended() == {0}
    assert json.loads((folder / "run.json").read_text())["processes"] == 2
    assert 9 <= len(curve(folder)) < LOOP.steps
    assert StartedRun(folder, **same).ended() == {0}
    one, two = curve(tmp_path / "one"), curve(folder)
    assert [step for step, _, _ in one] == [step for step, _, _ in two]
    # The same samples; sums are taken in another order.
    assert [loss for _, loss, _ in two] == pytest.approx([loss for _, loss, _ in one], rel=1e-4)


def test_another_run_in_the_same_folder_is_refused(tmp_path):
    train(ToyObjective(), toy_draw, LOOP, OPTIMIZER, tmp_path, {"stage": "coarse"}, cpu=True)
    with pytest.raises(InvalidState, match="other stage"):
        train(ToyObjective(), toy_draw, LOOP, OPTIMIZER, tmp_path, {"stage": "fine"}, cpu=True)


def test_a_loss_that_is_no_number_stops_the_run(tmp_path):
    with pytest.raises(TrainingDiverged, match="lower learning rate"):
        train(ToyObjective(scale=float("inf")), toy_draw, LOOP, OPTIMIZER, tmp_path, cpu=True)


def test_checkpoints_hold_no_pickle_and_old_ones_go(tmp_path):
    train(ToyObjective(), toy_draw, LOOP, OPTIMIZER, tmp_path, cpu=True)
    found = checkpoints(tmp_path / "checkpoints")
    assert len(found) == LOOP.keep_checkpoints
    suffixes = {path.suffix for folder in found for path in folder.iterdir()}
    assert suffixes == {".safetensors", ".json"}


def test_a_damaged_checkpoint_is_named(tmp_path):
    train(ToyObjective(), toy_draw, LOOP, OPTIMIZER, tmp_path, cpu=True)
    newest = checkpoints(tmp_path / "checkpoints")[-1]
    (newest / "weights.safetensors").write_bytes(b"broken")
    with pytest.raises(InvalidState, match=newest.name):
        read_checkpoint(newest)
