"""Full disks, changed files, strange words: what an evaluation makes of them."""

import errno
import json
import multiprocessing
import os
import re
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation import provenance
from longdwm_env.evaluation.policies import runner as running
from longdwm_env.evaluation.policies.episode_store import EvaluationFolder, NotKept
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig, all_jobs
from longdwm_env.evaluation.policies.policy_figures import terms_figure
from longdwm_env.evaluation.policies.policy_report import write_report
from longdwm_env.evaluation.policies.runner import evaluate, evaluate_here
from longdwm_env.evaluation.policies.summary import complete, summarize
from longdwm_env.io.figures import save_picture
from longdwm_env.scenes import ListedScenes

POLICIES = str(Path(__file__).with_name("policies.py"))
CONFIG = EvaluationConfig(
    ("idm", "constant-velocity"), world="grey", episodes=2, max_episode_s=3.0, videos=False, reference=None
)
SMALL = {"episodes": 2, "max_episode_s": 2.0, "image_size": (24, 36), "videos": False, "reference": None}
GREY = np.full((48, 72, 3), 90, np.uint8)


@pytest.fixture
def drawn(grey_world, make_scene, tmp_path):
    """Evaluates in this process; returns the summary and the folder."""

    def run(config=CONFIG, out=tmp_path / "out", keys=("one", "two")):
        scenes = ListedScenes([make_scene(key, ahead_m=60.0) for key in keys])
        return evaluate_here(config, out, grey_world, scenes, quiet=True), out

    return run


@pytest.fixture
def go(drawn, plain_reports):
    """The same without figures."""
    return drawn


def full_disk_after(count, monkeypatch):
    """The disk is full from the ``count``-th written file on."""
    written = []

    def write(path, data):
        written.append(path)
        if len(written) > count:
            raise OSError(errno.ENOSPC, "No space left on device", str(path))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)

    monkeypatch.setattr("longdwm_env.evaluation.policies.episode_store.atomic_write_bytes", write)
    monkeypatch.setattr(
        "longdwm_env.evaluation.policies.episode_store.atomic_write_json",
        lambda path, value: write(path, json.dumps(value).encode()),
    )


@pytest.mark.usefixtures("plain_reports")
def test_a_full_disk_ends_the_run_with_the_reason_and_its_workers_and_keeps_what_was_done(monkeypatch, tmp_path):
    config = EvaluationConfig(("constant-velocity", "random"), world="warp", scenes=str(tmp_path / "a.png"), **SMALL)
    save_picture(tmp_path / "a.png", GREY)
    with monkeypatch.context() as patched:
        full_disk_after(2, patched)
        with pytest.raises(NotKept, match=r"No space left on device.*kept") as caught:
            evaluate(config, tmp_path / "out", processes=2, quiet=True)
    assert caught.traceback  # the error, and so the frames that knew the workers, is still remembered here
    assert multiprocessing.active_children() == []
    kept = {path.name: path.read_bytes() for path in (tmp_path / "out" / "episodes").iterdir()}
    assert len(kept) == 1
    assert len(evaluate(config, tmp_path / "out", quiet=True).policies) == 2
    for name, data in kept.items():
        assert (tmp_path / "out" / "episodes" / name).read_bytes() == data


def test_a_report_that_cannot_be_written_says_so_and_can_be_written_later(go, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(running, "write_report", full)
        with pytest.raises(NotKept, match="report"):
            go()
    _, out = go()
    assert (out / "report.html").is_file()


def test_workers_end_with_a_killed_parent(tmp_path):
    script = tmp_path / "run.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\n"
        "from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig, all_jobs\n"
        "from longdwm_env.evaluation.policies.worker_pool import run_in_processes\n"
        "if __name__ == '__main__':\n"
        "    config = EvaluationConfig.from_json(sys.argv[1])\n"
        "    list(run_in_processes(config, all_jobs(config), 1))\n"
    )
    marker = tmp_path / "pid"
    save_picture(tmp_path / "a.png", GREY)
    hangs = f"{tmp_path / 'hangs.py'}:marker={marker}"
    (tmp_path / "hangs.py").write_text(
        "import os, time\nfrom pathlib import Path\n"
        "class Policy:\n"
        "    def __init__(self, context, marker): self.marker = Path(marker)\n"
        "    def reset(self, observation, info):\n"
        "        self.marker.with_suffix('.tmp').write_text(str(os.getpid()))\n"
        "        self.marker.with_suffix('.tmp').rename(self.marker)\n"
        "        time.sleep(600)\n"
        "    def act(self, observation, info): return None\n"
    )
    config = EvaluationConfig((hangs,), world="warp", scenes=str(tmp_path / "a.png"), **{**SMALL, "episodes": 1})
    parent = subprocess.Popen([sys.executable, str(script), config.to_json()])
    assert wait_until(marker.exists, 120)
    parent.kill()
    parent.wait()
    worker = int(marker.read_text())
    assert wait_until(lambda: not is_running(worker), 60)


def wait_until(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


def is_running(process):
    try:
        return b"Z" not in Path(f"/proc/{process}/stat").read_bytes().rpartition(b")")[2].split()[:1]
    except OSError:
        return False


def test_a_run_that_could_not_begin_refuses_no_other(go, tmp_path):
    with pytest.raises(InvalidConfig, match="no-such"):
        go(replace(CONFIG, policies=("no-such",)))
    assert not (tmp_path / "out").exists()
    summary, _ = go()
    assert len(summary.policies) == 2


def test_what_was_asked_when_nothing_came_of_it_refuses_no_other(go, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "evaluation.json").write_text(json.dumps({"config": {}, "hashes": {}}))
    summary, _ = go()
    assert len(summary.policies) == 2


def test_records_without_what_was_asked_are_not_taken_for_ours(go, tmp_path):
    _, out = go()
    (out / "evaluation.json").unlink()
    with pytest.raises(InvalidConfig, match="not the record"):
        go()


@pytest.mark.parametrize("below", ["", "out"])
def test_a_destination_that_cannot_be_is_told_before_driving(go, tmp_path, below, monkeypatch):
    monkeypatch.setattr("longdwm_env.evaluation.policies.episode_worker.Worker.run", lambda *_: pytest.fail("driven"))
    (tmp_path / "file").write_text("mine")
    with pytest.raises(InvalidConfig, match="file"):
        go(out=tmp_path / "file" / below)
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.usefixtures("plain_reports")
def test_a_changed_picture_policy_or_camera_file_is_another_evaluation(tmp_path):
    picture, policy = tmp_path / "a.png", tmp_path / "policy.py"
    save_picture(picture, GREY)
    shutil.copy(POLICIES, policy)
    config = EvaluationConfig((f"{policy}:kind=good", "random"), world="warp", scenes=str(picture), **SMALL)
    evaluate_here(config, tmp_path / "out", quiet=True)
    before = picture.read_bytes()
    save_picture(picture, GREY + 20)
    with pytest.raises(InvalidConfig, match=r"scenes .*a\.png have changed"):
        evaluate_here(config, tmp_path / "out", quiet=True)
    picture.write_bytes(before)
    evaluate_here(config, tmp_path / "out", quiet=True)
    (tmp_path / "a.camera.json").write_text('{"speed_mps": 3.0}')
    with pytest.raises(InvalidConfig, match=r"a\.png have changed"):
        evaluate_here(config, tmp_path / "out", quiet=True)
    (tmp_path / "a.camera.json").unlink()
    policy.write_text(policy.read_text() + "\n# another\n")
    with pytest.raises(InvalidConfig, match=r"policy\.py.* have changed"):
        evaluate_here(config, tmp_path / "out", quiet=True)


def test_what_changes_during_a_run_is_never_reported_as_one(go, tmp_path, monkeypatch):
    policy = tmp_path / "policy.py"
    shutil.copy(POLICIES, policy)
    config = replace(CONFIG, policies=(f"{policy}:kind=good", "constant-velocity"))
    original = policy.read_text()
    write = EvaluationFolder.write

    def changing(folder, job, result):
        write(folder, job, result)
        policy.write_text(original + "\n# another\n")

    with monkeypatch.context() as patched:
        patched.setattr(EvaluationFolder, "write", changing)
        with pytest.raises(InvalidConfig, match="changed while"):
            go(config)
    for text in (original, original + "\n# another\n"):
        policy.write_text(text)
        with pytest.raises(InvalidConfig, match="chang"):
            go(config)
    assert not (tmp_path / "out" / "report.html").exists()


def test_files_of_modules_parameters_and_weights_are_part_of_a_run(tmp_path, monkeypatch):
    package = tmp_path / "drivers_of_a_test"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('looked at, not run')")
    (package / "fast.py").write_text("x = 1")
    (tmp_path / "net.bin").write_bytes(b"weights")
    monkeypatch.syspath_prepend(str(tmp_path))
    policy = f"drivers_of_a_test.fast:make:net={tmp_path / 'net.bin'}"
    config = EvaluationConfig((policy, "idm", "ws://nowhere:1"), world="mini", reference=None)
    first = provenance.hashes(config)
    assert {policy, f"{policy} net", "mini"} == set(first)
    (package / "fast.py").write_text("x = 2")
    (tmp_path / "net.bin").write_bytes(b"others")
    second = provenance.hashes(config)
    assert {name for name in first if first[name] != second[name]} == {policy, f"{policy} net"}


def test_folders_named_like_our_worlds_and_policies_are_not_looked_at(tmp_path, monkeypatch):
    for name in ("simulator", "idm"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    monkeypatch.chdir(tmp_path)
    assert provenance.hashes(EvaluationConfig(("idm",))) == {}


def test_a_large_dataset_is_told_by_size_and_time_beyond_what_is_read(tmp_path, monkeypatch):
    monkeypatch.setattr(provenance, "LARGEST_READ_BYTES", 4)
    for name in ("a", "b"):
        (tmp_path / name).write_bytes(b"1234")
        os.utime(tmp_path / name, (1, 1))
    (tmp_path / "again").symlink_to(tmp_path, target_is_directory=True)
    first = provenance.scenes_hash(tmp_path)
    (tmp_path / "a").write_bytes(b"4321")
    os.utime(tmp_path / "a", (1, 1))
    second = provenance.scenes_hash(tmp_path)
    os.utime(tmp_path / "b", (2, 2))
    assert len({first, second, provenance.scenes_hash(tmp_path)}) == 3


@pytest.mark.parametrize(
    ("kind", "told"), [("surrogate", "half a pair"), ("exits", "SystemExit"), ("unspeakable", "Unspeakable")]
)
def test_whatever_a_policy_says_the_report_is_written(go, kind, told):
    bad = f"{POLICIES}:kind={kind}"
    summary, out = go(replace(CONFIG, policies=("constant-velocity", bad)))
    assert told in next(iter(summary.policies[1].failures))
    page = (out / "report.html").read_text(encoding="utf-8")
    assert told in page
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
    from longdwm_env.evaluation.policies.episode_metrics import FACTS

    policies = tuple(f"a.module.of.somebody:factory:weight={i},temperature=0.123456" for i in range(4))
    config = replace(CONFIG, policies=policies, episodes=6)
    records = []
    for job in all_jobs(config):
        numbers = {name: -123.456 * (job.episode + 1) / (job.slot + 7) for name in FACTS if name != "pdm_score"}
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
