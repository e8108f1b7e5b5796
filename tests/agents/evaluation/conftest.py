"""Reports without figures."""

import pytest

from longdwm_env.evaluation.policies import policy_report


@pytest.fixture
def plain_reports(monkeypatch):
    """Reports without their figures, which take a second each; with them: ``finished`` and ``drawn`` of the tests."""
    for name in ("ranking_figure", "terms_figure", "scenes_figure"):
        monkeypatch.setattr(policy_report, name, lambda *_: b"\x89PNG")
