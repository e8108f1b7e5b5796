"""With real worker processes: what one process does, many do; who dies or hangs fails alone."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

import longdwm_env
from longdwm_env.errors import LongDWMError
from longdwm_env.evaluation.policies.episode_worker import Worker
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig, all_jobs
from longdwm_env.evaluation.policies.runner import evaluate
from longdwm_env.evaluation.policies.worker_pool import run_in_processes

POLICIES = str(Path(__file__).with_name("policies.py"))
PHOTOGRAPHS = str(Path(longdwm_env.__file__).with_name("assets"))
"""Scenes that need no simulator, which each process would have to build."""

SMALL = {"episodes": 2, "max_episode_s": 3.0, "image_size": (24, 36), "videos": False, "reference": None}
SMALL |= {"world": "warp", "scenes": PHOTOGRAPHS}


def comparable(record):
    return {key: value for key, value in record.items() if key not in ("wall_s", "act_s")}


def test_processes_find_what_one_finds_and_the_bad_fail_alone(tmp_path):
    marker = tmp_path / "died"
    bad = [f"{POLICIES}:kind={kind}" for kind in ("dies", "hangs", f"dies-once,marker={marker}")]
    config = EvaluationConfig(("random", *bad), **{**SMALL, "episodes": 1}, step_timeout_s=5.0)
    found = {job.policy: result.record for job, result in run_in_processes(config, all_jobs(config), 2)}
    assert comparable(found["random"]) == comparable(Worker(config).run(all_jobs(config)[0]).record)
    assert "died" in found[bad[0]]["failure"]
    assert "no answer within 5 s" in found[bad[1]]["failure"]
    assert found[bad[2]]["status"] == "done"


@pytest.mark.parametrize("wrong", [{"world": "no-such"}, {"scenes": "no-such.jpg"}])
def test_what_does_not_exist_is_told_at_once(wrong):
    config = EvaluationConfig(("random",), **{**SMALL, **wrong})
    with pytest.raises(LongDWMError, match="no-such"):
        list(run_in_processes(config, all_jobs(config), 1))


def test_a_killed_run_ends_its_workers_and_goes_on_without_losing_or_repeating(tmp_path, monkeypatch):
    gate, out = tmp_path / "gate", tmp_path / "out"
    monkeypatch.setenv("GATE", str(gate))
    config = EvaluationConfig(("random", f"{POLICIES}:kind=waits"), **SMALL)
    program = (
        "import sys; from pathlib import Path\n"
        "from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig\n"
        "from longdwm_env.evaluation.policies.runner import evaluate\n"
        "if __name__ == '__main__': evaluate(EvaluationConfig.from_json(sys.argv[1]), Path(sys.argv[2]), quiet=True)\n"
    )
    script = tmp_path / "run.py"
    script.write_text(program)
    command = [sys.executable, str(script), config.to_json(), str(out)]
    first = subprocess.Popen(command, start_new_session=True, stderr=subprocess.DEVNULL)
    episodes = out / "episodes"
    # The second policy waits at the gate, so that there is always something left to be killed.
    while not list(episodes.glob("p*.json")) and first.poll() is None:
        time.sleep(0.02)
    workers = [
        int(one) for task in Path("/proc").glob(f"{first.pid}/task/*/children") for one in task.read_text().split()
    ]
    first.kill()
    first.wait()
    assert workers
    try:
        deadline = time.monotonic() + 60
        while any(Path(f"/proc/{worker}").exists() for worker in workers) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert not [worker for worker in workers if Path(f"/proc/{worker}").exists()]
    finally:
        with suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGKILL)
    kept = {path.name: path.read_bytes() for path in episodes.glob("p*.json")}
    assert len(kept) == 1
    gate.touch()
    worker = Worker(config)
    evaluate(config, out, quiet=True, here=worker)
    after = {path.name: path.read_bytes() for path in episodes.glob("p*.json")}
    assert len(after) == 4
    assert {name: after[name] for name in kept} == kept
    for job in all_jobs(config):
        wanted = json.loads(json.dumps({**worker.run(job).record, "video": None}))
        assert comparable(json.loads(after[f"{job.key}.json"])) == comparable(wanted)
