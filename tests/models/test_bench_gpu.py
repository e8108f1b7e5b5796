"""scripts/gpu_check.sh, tried out without a GPU."""

import json
import os
import queue
import subprocess
import time
from pathlib import Path

import pytest

from longdwm_env.cli.benchmarks.bench_gpu import Check, _put_counts, bench_gpu
from longdwm_env.cli.benchmarks.bench_gpu_table import BEGIN, END, put_between_marks
from longdwm_env.errors import InvalidConfig
from longdwm_env.training.scaling.step_costs import COUNTED

ROOT = Path(__file__).parents[2]


def test_one_call_times_everything_and_puts_the_table_into_a_document(tmp_path):
    out, docs = tmp_path / "check.json", tmp_path / "benchmarks.md"
    docs.write_text("# Benchmarks\n\nBefore.\n")
    command = ["bash", str(ROOT / "scripts/gpu_check.sh"), "--device", "cpu", "--preset", "debug-cogvideox"]
    command += ["--steps", "2", "1", "--out", str(out), "--docs", str(docs), "--minutes", "60"]
    # Compiling would take longer than everything else; that it is asked for is what matters here.
    environment = {**os.environ, "TORCHDYNAMO_DISABLE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stderr[-2000:]
    found = json.loads(out.read_text())
    timed = [(drive["what"], drive["coarse_steps"], drive["guidance_scale"], drive["how"]) for drive in found["drives"]]
    assert ("closed-loop second", 2, 1.0, "as it is") in timed
    assert ("145 frames", 1, 6.0, "compiled") in timed
    assert len(timed) == 2 * 2 * 2
    assert not found["left_out"]
    assert {drive["frames"] for drive in found["drives"]} == {13, 145}
    assert [step["stage"] for step in found["training"]] == list(COUNTED)
    assert all(step["seconds"] > 0 and step["tflop"] > 0 and step["loss_is_finite"] for step in found["training"])
    assert all(0 < step["memory_on_paper_gb"] < 1 for step in found["training"])
    assert found["tests"]["status"] in (0, 5)
    assert found["tests"]["skipped"] > 0
    text = docs.read_text()
    assert text.startswith("# Benchmarks\n\nBefore.\n")
    assert "| distill |" in text
    assert text.index(BEGIN) < text.index("| closed-loop second | 2 | as it is |") < text.index(END)


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
    check = Check(tmp_path / "check.json", time.monotonic() + 60, {})
    done = []

    def fails():
        raise RuntimeError("out of memory\nand more")

    check.attempt("a long part", 1000.0, lambda: done.append("long"))
    check.attempt("a broken part", None, fails)
    check.attempt("a good part", 1.0, lambda: done.append("good"))
    assert done == ["good"]
    kept = json.loads(check.out.read_text())["left_out"]
    assert "takes about 1000" in kept[0]
    assert kept[1] == "a broken part: RuntimeError: out of memory"


@pytest.mark.parametrize(("seconds_left", "why"), [(0, "no time was left"), (60, "it failed")])
def test_steps_that_are_not_counted_go_without(tmp_path, seconds_left, why):
    counts = queue.Queue()
    counts.put(("fine", 4e12, 3e9))
    check = Check(tmp_path / "check.json", time.monotonic() + seconds_left, {})
    empty = {"seconds": 0.5, "tflop": None, "utilisation": None, "memory_on_paper_gb": None}
    check.training = [{"stage": name, **empty} for name in ("coarse", "fine")]
    _put_counts(check, counts, lambda: False, tflops=16.0)
    coarse, fine = json.loads(check.out.read_text())["training"]
    assert coarse["tflop"] is coarse["utilisation"] is None
    assert (fine["tflop"], fine["utilisation"], fine["memory_on_paper_gb"]) == (4.0, 0.5, 3.0)
    assert check.left_out == [f"counting steps of coarse: {why}"]


def test_without_a_gpu_it_says_how_to_try_it_out(tmp_path):
    with pytest.raises(InvalidConfig, match="--preset debug-cogvideox"):
        bench_gpu(out=tmp_path / "check.json")
    with pytest.raises(InvalidConfig, match="there are cogvideox-2b"):
        bench_gpu("mini", device="cpu")
