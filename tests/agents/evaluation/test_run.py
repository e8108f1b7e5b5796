import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.policies.episode_worker import Worker
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig, Job, all_jobs
from longdwm_env.evaluation.policies.runner import evaluate
from longdwm_env.scenes import ListedScenes

POLICIES = str(Path(__file__).with_name("policies.py"))
CONFIG = EvaluationConfig(("idm", "constant-velocity"), world="grey", episodes=3, max_episode_s=8.0)


@pytest.fixture
def source(make_scene):
    return ListedScenes([make_scene(f"scene{i}", ahead_m=45.0 + 5 * i) for i in range(3)])


@pytest.fixture
def run(grey_world, source, tmp_path, plain_reports):
    def go(config=CONFIG, out="out", scenes=source):
        summary = evaluate(config, tmp_path / out, quiet=True, here=Worker(config, grey_world, scenes))
        return summary, tmp_path / out

    return go


@pytest.fixture(scope="module")
def finished(tmp_path_factory, make_scene, grey_world):
    """The summary and folder of one finished run, which tests copy if they change it."""
    out = tmp_path_factory.mktemp("finished")
    scenes = ListedScenes([make_scene(f"scene{i}", ahead_m=45.0 + 5 * i) for i in range(3)])
    return evaluate(CONFIG, out, quiet=True, here=Worker(CONFIG, grey_world, scenes)), out


@pytest.fixture
def copied(finished, tmp_path):
    shutil.copytree(finished[1], tmp_path / "out")
    return tmp_path / "out"


def records(folder):
    return [json.loads(path.read_text()) for path in sorted((folder / "episodes").iterdir())]


def without_times(record):
    return {key: value for key, value in record.items() if key not in ("wall_s", "act_s")}


def test_the_better_driver_wins_and_every_file_is_there(finished):
    summary, out = finished
    assert summary.ranked_by == "pdm_score"
    assert [policy.policy for policy in summary.policies] == ["idm", "constant-velocity"]
    best, worst = summary.policies
    assert best.terms["pdm_score"].estimate.mean > 0.5 > worst.terms["pdm_score"].estimate.mean == 0.0
    assert worst.terms["collision"].estimate.mean == 1.0
    assert worst.endings == {"collision": 3}
    difference = summary.differences["idm", "constant-velocity"]
    assert difference.low > 0
    rows = list(csv.DictReader((out / "episodes.csv").open()))
    assert len(rows) == 6
    assert {row["scene"] for row in rows} == {"scene0", "scene1", "scene2"}
    told = json.loads((out / "summary.json").read_text())
    assert told["policies"][0]["policy"] == "idm"
    assert {"command", "versions", "hashes"} <= set(told)


def test_the_report_needs_nothing_beside_it(finished):
    page = (finished[1] / "report.html").read_text()
    assert page.count("data:video/mp4") == 4
    assert "data:image/png" in page
    assert not re.search(r'(src|href)="(?!data:)', page)


def test_what_a_scene_cannot_support_is_missing_and_counted(run, make_scene):
    scenes = ListedScenes([make_scene("bare", ahead_m=None, mapped=False), make_scene("full", ahead_m=200.0)])
    config = replace(CONFIG, policies=("constant-velocity",), reference=None, episodes=2)
    summary, out = run(config, scenes=scenes)
    terms = summary.policies[0].terms
    assert summary.ranked_by == "return"
    assert (terms["collision"].unavailable, terms["collision"].estimate.count) == (1, 1)
    assert terms["pdm_score"].estimate is None
    assert terms["pdm_score"].unavailable == 2
    assert "no map" in next(iter(terms["off_road"].reasons))
    row = next(csv.DictReader((out / "episodes.csv").open()))
    assert row["collision"] == row["pdm_score"] == ""
    assert float(row["ade_m"]) == pytest.approx(0.0, abs=1e-6)


def test_a_finished_run_is_not_driven_again(run, finished, copied, monkeypatch):
    before = {path.name: path.stat().st_mtime_ns for path in (copied / "episodes").iterdir()}
    monkeypatch.setattr(Worker, "run", lambda *_: pytest.fail("an episode was driven again"))
    assert run()[0] == finished[0]
    assert {path.name: path.stat().st_mtime_ns for path in (copied / "episodes").iterdir()} == before


def test_a_run_goes_on_where_it_stopped(run, finished, copied):
    (copied / "episodes" / "p01-e00001.json").unlink()
    run()
    assert [without_times(r) for r in records(copied)] == [without_times(r) for r in records(finished[1])]


def test_another_evaluation_is_not_mixed_in(run, copied):
    with pytest.raises(InvalidConfig, match="episodes: 4, was 3"):
        run(replace(CONFIG, episodes=4))


def test_unfit_policies_are_all_named_before_the_run(run):
    with pytest.raises(InvalidConfig, match=r"(?s)no-such.*out of coffee"):
        run(replace(CONFIG, policies=("idm", "no-such", f"{POLICIES}:kind=raises,at=1")))


def test_episodes_do_not_depend_on_what_was_driven_before(grey_world, source):
    config = replace(CONFIG, policies=("random", "idm:noise=0.3"), videos=False)
    jobs = all_jobs(config)
    worker = Worker(config, grey_world, source)
    shared = [worker.run(job).record for job in jobs]
    alone = [Worker(config, grey_world, source).run(job).record for job in reversed(jobs)]
    assert [without_times(r) for r in shared] == [without_times(r) for r in reversed(alone)]


def test_a_config_comes_back_and_refuses_nonsense():
    assert EvaluationConfig.from_json(CONFIG.to_json()) == CONFIG
    assert Job.from_json(Job("idm", 3, 1).to_json()) == Job("idm", 3, 1)
    for wrong in ({"policies": ()}, {"policies": ("idm", "idm")}, {"episodes": 0}, {"max_episode_s": np.nan}):
        with pytest.raises(InvalidConfig):
            replace(CONFIG, **wrong)
