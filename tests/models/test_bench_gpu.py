"""The check of a GPU, tried out without one."""

import functools
import json
import multiprocessing
import queue
import subprocess
import time
from pathlib import Path

import pytest

from longdwm_env.cli.benchmarks import bench_full_size, bench_on_paper
from longdwm_env.cli.benchmarks import bench_gpu as bench
from longdwm_env.cli.benchmarks.bench_gpu_table import BEGIN, END, put_between_marks
from longdwm_env.errors import InvalidConfig
from longdwm_env.models import speed
from longdwm_env.models.network import module_costs
from longdwm_env.training.scaling import step_costs

ROOT = Path(__file__).parents[2]


@pytest.fixture
def brief(monkeypatch, tmp_path):
    """The check with two stages to train, drives of two seconds, a file of tests that ends at once, and no compiler.

    What was asked to be compiled comes out.
    """
    monkeypatch.setattr(step_costs, "COUNTED", ("coarse", "distill"))
    monkeypatch.setattr(bench_on_paper, "DRIVES", {"two seconds": (2.0, None), "closed-loop second": (1.0, 1)})
    (tmp_path / "test_skipped.py").write_text("import pytest\n\n\n@pytest.mark.skip\ndef test_gpu(): ...\n")
    monkeypatch.setattr(bench, "TESTS", str(tmp_path / "test_skipped.py"))
    compiled = []
    monkeypatch.setattr(speed, "speed_up", lambda model, **switches: compiled.append(switches))
    counted_once = functools.cache(bench_full_size.denoiser_operations)
    monkeypatch.setattr(bench_full_size, "denoiser_operations", counted_once)
    # Looking for garbage would take a third of the time.
    monkeypatch.setattr(module_costs.gc, "collect", lambda: 0)
    # What counts the steps begins as a copy of this process, with what was changed above.
    forked = multiprocessing.get_context("fork")
    monkeypatch.setattr(bench.multiprocessing, "get_context", lambda method: forked)
    return compiled


def test_one_call_times_everything_and_puts_the_table_into_a_document(brief, tmp_path):
    out, docs = tmp_path / "check.json", tmp_path / "benchmarks.md"
    docs.write_text("# Benchmarks\n\nBefore.\n")
    assert bench.bench_gpu("debug-cogvideox", "cpu", 60, (2, 1), out=out, docs=docs) == 0
    found = json.loads(out.read_text())
    timed = [(drive["what"], drive["coarse_steps"], drive["guidance_scale"], drive["how"]) for drive in found["drives"]]
    assert ("closed-loop second", 2, 1.0, "as it is") in timed
    assert ("two seconds", 1, 6.0, "compiled") in timed
    assert len(timed) == 2 * 2 * 2
    assert brief == [{"compile_blocks": True}] * 4, "both models, without guidance and with it"
    assert not found["left_out"]
    assert [step["stage"] for step in found["training"]] == ["coarse", "distill"]
    assert all(step["seconds"] > 0 and step["tflop"] > 0 and step["loss_is_finite"] for step in found["training"])
    assert all(0 < step["memory_on_paper_gb"] < 1 for step in found["training"])
    assert found["tests"]["status"] in (0, 5)
    assert found["tests"]["skipped"] > 0
    text = docs.read_text()
    assert text.startswith("# Benchmarks\n\nBefore.\n")
    assert "| distill |" in text
    assert text.index(BEGIN) < text.index("| closed-loop second | 2 | as it is |") < text.index(END)


def test_the_script_calls_it():
    command = ["bash", str(ROOT / "scripts/gpu_check.sh"), "--help"]
    assert "debug-cogvideox" in subprocess.run(command, capture_output=True, text=True, check=True).stdout


def test_a_table_takes_the_place_of_the_one_before(tmp_path):
    docs = tmp_path / "benchmarks.md"
    for table in ("first\n", "second\n"):
        put_between_marks(docs, table)
    assert docs.read_text().count(BEGIN) == 1
    assert "first" not in docs.read_text()
    docs.write_text(f"only {BEGIN}")
    with pytest.raises(InvalidConfig, match="one is missing"):
        put_between_marks(docs, "third")


def test_what_fails_or_does_not_fit_into_the_time_is_told_and_stops_nothing(tmp_path):
    check = bench.Check(tmp_path / "check.json", time.monotonic() + 60, {})
    done = []
    check.attempt("a long part", 1000.0, lambda: done.append("long"))
    check.attempt("a broken part", None, lambda: 1 / 0)
    check.attempt("a good part", 1.0, lambda: done.append("good"))
    assert done == ["good"]
    kept = json.loads(check.out.read_text())["left_out"]
    assert "takes about 1000" in kept[0]
    assert kept[1] == "a broken part: ZeroDivisionError: division by zero"


@pytest.mark.parametrize(("seconds_left", "why"), [(0, "no time was left"), (60, "it failed")])
def test_steps_that_are_not_counted_go_without(tmp_path, seconds_left, why):
    counts = queue.Queue()
    counts.put(("fine", 4e12, 3e9))
    check = bench.Check(tmp_path / "check.json", time.monotonic() + seconds_left, {})
    empty = {"seconds": 0.5, "tflop": None, "utilisation": None, "memory_on_paper_gb": None}
    check.training = [{"stage": name, **empty} for name in ("coarse", "fine")]
    bench._put_counts(check, counts, lambda: False, tflops=16.0)
    coarse, fine = json.loads(check.out.read_text())["training"]
    assert coarse["tflop"] is coarse["utilisation"] is None
    assert (fine["tflop"], fine["utilisation"], fine["memory_on_paper_gb"]) == (4.0, 0.5, 3.0)
    assert check.left_out == [f"counting steps of coarse: {why}"]


def test_without_a_gpu_it_says_how_to_try_it_out(tmp_path):
    with pytest.raises(InvalidConfig, match="--preset debug-cogvideox"):
        bench.bench_gpu(out=tmp_path / "check.json")
    with pytest.raises(InvalidConfig, match="there are cogvideox-2b"):
        bench.bench_gpu("mini", device="cpu")
