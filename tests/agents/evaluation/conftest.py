"""Evaluations in this process, and reports without figures."""

import pytest

from longdwm_env.evaluation.policies import policy_report
from longdwm_env.evaluation.policies.episode_worker import Worker
from longdwm_env.evaluation.policies.runner import evaluate
from longdwm_env.scenes import ListedScenes

from .tiny_runs import CONFIG


@pytest.fixture
def plain_reports(monkeypatch):
    """Reports without their figures, which take a second each; with them: ``finished`` and ``drawn`` of the tests."""
    for name in ("ranking_figure", "terms_figure", "scenes_figure"):
        monkeypatch.setattr(policy_report, name, lambda *_: b"\x89PNG")


@pytest.fixture
def drawn(grey_world, make_scene, tmp_path):
    """Evaluates in this process; returns the summary and the folder."""

    def run(config=CONFIG, out=tmp_path / "out", keys=("one", "two")):
        scenes = ListedScenes([make_scene(key, ahead_m=60.0) for key in keys])
        return evaluate(config, out, quiet=True, here=Worker(config, grey_world, scenes)), out

    return run


@pytest.fixture
def go(drawn, plain_reports):
    """The same without figures."""
    return drawn
