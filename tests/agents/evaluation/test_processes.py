"""With real worker processes and the simulator: what one process does, many do; who dies or hangs fails alone."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from longdwm_env.errors import InvalidConfig, LongDWMError
from longdwm_env.evaluation.policies.episode_store import EvaluationFolder
from longdwm_env.evaluation.policies.episode_worker import Worker
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig, all_jobs
from longdwm_env.evaluation.policies.worker_pool import run_in_processes

POLICIES = str(Path(__file__).with_name("policies.py"))
SMALL = {"episodes": 2, "max_episode_s": 3.0, "image_size": (24, 36), "videos": False, "reference": None}


def comparable(record):
    return {key: value for key, value in record.items() if key not in ("wall_s", "act_s")}


def test_processes_find_what_one_finds_and_the_bad_fail_alone(tmp_path):
    marker = tmp_path / "died"
    bad = [f"{POLICIES}:kind={kind}" for kind in ("dies", "hangs", f"dies-once,marker={marker}")]
    config = EvaluationConfig(("random", *bad), **{**SMALL, "episodes": 1}, step_timeout_s=10.0)
    found = {job.policy: result.record for job, result in run_in_processes(config, all_jobs(config), 2)}
    assert comparable(found["random"]) == comparable(Worker(config).run(all_jobs(config)[0]).record)
    assert "died" in found[bad[0]]["failure"]
    assert "no answer within 10 s" in found[bad[1]]["failure"]
    assert found[bad[2]]["status"] == "done"


def test_a_world_that_does_not_exist_is_told_at_once():
    config = EvaluationConfig(("random",), world="no-such-world", **SMALL)
    with pytest.raises(InvalidConfig, match="no-such-world"):
        list(run_in_processes(config, all_jobs(config), 1))


def test_a_killed_run_goes_on_without_losing_or_repeating(tmp_path):
    config = EvaluationConfig(("constant-velocity", "random"), **{**SMALL, "episodes": 3})
    out = tmp_path / "out"
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
    deadline = time.monotonic() + 120
    while len(list(episodes.glob("p*.json"))) < 2 and time.monotonic() < deadline and first.poll() is None:
        time.sleep(0.02)
    os.killpg(first.pid, signal.SIGKILL)
    first.wait()
    kept = {path.name: path.read_bytes() for path in episodes.glob("p*.json")}
    assert 2 <= len(kept) < 6
    subprocess.run(command, check=True, timeout=300)
    after = {path.name: path.read_bytes() for path in episodes.glob("p*.json")}
    assert len(after) == 6
    assert {name: after[name] for name in kept} == kept
    worker = Worker(config)
    for job, record in zip(all_jobs(config), EvaluationFolder(out, config, {}).records(), strict=True):
        wanted = json.loads(json.dumps({**worker.run(job).record, "video": None}))
        assert comparable(record) == comparable(wanted)


def test_scenes_that_do_not_exist_are_told_at_once(tmp_path):
    config = EvaluationConfig(("constant-velocity",), scenes=str(tmp_path / "missing.jpg"), **SMALL)
    with pytest.raises(LongDWMError, match=r"missing\.jpg"):
        list(run_in_processes(config, all_jobs(config), 1))
