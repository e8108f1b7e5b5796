"""Strange words, damaged records, long names: what the report of an evaluation makes of them."""

import json
import re
import shutil
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.policies.evaluation_config import all_jobs
from longdwm_env.evaluation.policies.policy_figures import terms_figure
from longdwm_env.evaluation.policies.policy_report import write_report
from longdwm_env.evaluation.policies.summary import complete, summarize

from .tiny_runs import CONFIG, POLICIES


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("raises", "out of coffee"),
        ("nonsense", "InvalidAction"),
        ("surrogate", "half a pair"),
        ("exits", "SystemExit"),
        ("unspeakable", "Unspeakable"),
    ],
)
def test_a_policy_that_fails_fails_its_episodes_only_and_whatever_it_says_is_reported(go, kind, told):
    bad = f"{POLICIES}:kind={kind}"
    summary, out = go(replace(CONFIG, policies=("constant-velocity", bad)))
    assert [policy.policy for policy in summary.policies] == ["constant-velocity", bad]
    failed = summary.policies[1]
    assert (sum(failed.failures.values()), failed.terms["return"].estimate) == (2, None)
    assert told in next(iter(failed.failures))
    page = (out / "report.html").read_text(encoding="utf-8")
    assert told in page
    assert "2 episodes failed" in page
    assert not re.search(r"[\x00-\x08\x1b\ud800-\udfff]", page)
    assert told in (out / "episodes.csv").read_text(encoding="utf-8")
    json.loads((out / "summary.json").read_text())


def test_a_report_of_failures_only_is_written(drawn):
    summary, out = drawn(replace(CONFIG, policies=(f"{POLICIES}:kind=raises",)))
    assert summary.policies[0].terms["return"].estimate is None
    assert "out of coffee" in (out / "report.html").read_text()


def test_a_run_that_already_holds_such_words_is_reported(go):
    """As runs of earlier versions do."""
    config = replace(CONFIG, policies=("constant-velocity", f"{POLICIES}:kind=raises"))
    _, out = go(config)
    record = out / "episodes" / "p01-e00000.json"
    record.write_text(record.read_text().replace("out of coffee", "out of \\ud800"))
    (out / "report.html").unlink()
    go(config)
    assert "out of \ufffd" in (out / "report.html").read_text(encoding="utf-8")


def test_names_of_scenes_and_policies_may_hold_anything(drawn, tmp_path):
    policy = tmp_path / "$x$ & <b>\udce9.py"
    shutil.copy(POLICIES, policy)
    _, out = drawn(replace(CONFIG, policies=(f"{policy}:kind=good",)), keys=("caf\udce9.jpg", "$\\frac$ & <i>"))
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "$x$ &amp; &lt;b&gt;\ufffd.py" in page
    assert "<b>\ufffd" not in page


def test_a_policy_that_leaves_the_folder_finds_its_file_again(go, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(POLICIES, tmp_path / "policy.py")
    summary, _ = go(replace(CONFIG, policies=("policy.py:kind=leaves,at=1", "constant-velocity")), out=Path("out"))
    assert all(not policy.failures for policy in summary.policies)
    assert (tmp_path / "out" / "report.html").is_file()


DAMAGE = {
    "a list": [],
    "nothing": {},
    "another policy's": {"policy": "idm"},
    "NaN": {"numbers": {"return": float("nan"), "duration_s": 1.0}},
    "too long": {"numbers": {"return": 10**400, "duration_s": 1.0}},
    "words": {"numbers": {"return": "many", "duration_s": 1.0}},
    "no numbers": {"numbers": {}},
    "no path": {"path": [[1, 2]]},
    "a foreign video": {"video": "../../secret.mp4"},
}


def test_a_record_that_is_none_is_named(go):
    config = replace(CONFIG, policies=("constant-velocity",))
    _, out = go(config)
    record = out / "episodes" / "p00-e00000.json"
    good, said = record.read_text(), {}
    for damage, change in DAMAGE.items():
        record.write_text(json.dumps(json.loads(good) | change if isinstance(change, dict) and change else change))
        try:
            go(config)
        except InvalidConfig as error:
            said[damage] = str(error)
    assert [damage for damage in DAMAGE if "p00-e00000.json is damaged" not in said.get(damage, "")] == []


def test_a_lost_video_leaves_the_report_without_it(go):
    config = replace(CONFIG, policies=("constant-velocity",), videos=True)
    _, out = go(config)
    for video in (out / "videos").iterdir():
        video.unlink()
    go(config)
    assert "No videos were recorded" in (out / "report.html").read_text()


class Cells(HTMLParser):
    """Widths of tables, a line of text being as wide as its letters at the page's sizes allow."""

    def __init__(self):
        super().__init__()
        self.tables, self.row, self.small, self.wraps, self.cell = [], [], False, False, None

    def handle_starttag(self, tag, attrs):
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.row = []
            self.tables[-1].append(self.row)
        elif tag in ("td", "th"):
            self.row.append(0.0)
            self.cell = tag
        elif tag == "small":
            self.small, self.wraps = True, ("class", "why") in attrs
        elif tag == "code":
            self.wraps = True

    def handle_endtag(self, tag):
        if tag in ("small", "code"):
            self.small = self.wraps = False
        elif tag == self.cell:
            self.cell = None

    def handle_data(self, data):
        if self.cell is None:
            return
        letters = max(map(len, data.split()), default=0) if self.cell == "th" else len(data)
        width = letters * (7.0 if self.small else 8.3)
        self.row[-1] = max(self.row[-1], min(width, 17 * 16) if self.wraps else width)

    def widths(self):
        """Pixels of each table: its columns' widest cells and their padding."""
        for rows in self.tables:
            columns = max(map(len, rows))
            yield sum(max((row[i] for row in rows if i < len(row)), default=0) + 19.2 for i in range(columns))


def test_every_table_fits_1300_pixels(finished_records, tmp_path):
    config, records = finished_records
    records = complete(config, records)
    origin = {"command": "longdwm " * 20, "versions": {}, "hashes": {}}
    write_report(tmp_path, config, records, summarize(config, records), origin)
    cells = Cells()
    page = (tmp_path / "report.html").read_text()
    cells.feed(page.partition("Where this comes from")[0])
    assert len(cells.tables) >= 5
    assert max(cells.widths()) < 1300
    for name in ("PDM score", "lane offset", "FDE", "duration"):
        assert f">{name}<" in page


@pytest.fixture
def finished_records():
    """Made-up records with every number there is, long names and long reasons."""
    from longdwm_env.evaluation.policies.episode_metrics import METRICS

    policies = tuple(f"a.module.of.somebody:factory:weight={i},temperature=0.123456" for i in range(4))
    config = replace(CONFIG, policies=policies, episodes=6)
    records = []
    for job in all_jobs(config):
        numbers = {name: -123.456 * (job.episode + 1) / (job.slot + 7) for name in METRICS if name != "pdm_score"}
        record = {
            "policy": job.policy,
            "episode": job.episode,
            "slot": job.slot,
            "scene": f"scene-{job.episode}",
            "seed": job.episode,
            "status": "done" if job.episode else "failed",
            "ended": ("collision", "off_road", "time_limit")[job.episode % 3],
            "failure": "" if job.episode else "RuntimeError: " + "a_very_long_word" * 30,
            "numbers": {**numbers, "pdm_score": 0.123456} if job.episode else {},
            "unavailable": {},
            "path": [[0, 0, 0]],
            "speeds_mps": [0.0],
            "act_s": 0.1,
            "wall_s": 1.0,
        }
        records.append(record)
    return config, records


def test_axes_show_no_distance_below_zero_and_no_share_above_one(go, monkeypatch):
    from matplotlib.figure import Figure

    figures = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda figure, *a, **k: (figures.append(figure), save(figure, *a, **k))[1])
    summary, _ = go()
    terms_figure(summary, ["infeasible_m", "off_road_share", "comfort"])
    distance, share, comfort = figures[-1].axes
    for axes in (distance, share, comfort):
        shown = axes.get_xlim()
        ticks = [tick for tick in axes.get_xticks() if shown[0] <= tick <= shown[1]]
        assert len(ticks) >= 2
        assert min(ticks) >= 0
        assert axes is distance or max(ticks) <= 1
