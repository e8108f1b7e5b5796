"""Two processes on one folder: the second is told who is there; and destinations are looked at before the work."""

import json
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from longdwm_env import files
from longdwm_env.cli import load, main
from longdwm_env.cli.commands import COMMANDS as COMMANDS_OF_ALL
from longdwm_env.errors import FolderInUse, InvalidConfig
from longdwm_env.evaluation.policies.episode_worker import Worker
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig
from longdwm_env.evaluation.policies.runner import evaluate
from longdwm_env.io.files import folder_appearing, one_writer_of
from longdwm_env.scenes import ListedScenes
from longdwm_env.scenes.nuscenes.export import export_nuscenes

CONFIG = EvaluationConfig(
    ("constant-velocity",), world="grey", episodes=1, max_episode_s=2.0, videos=False, reference=None
)
HOLDING = """
import sys, time
from contextlib import ExitStack
from longdwm_env.io.files import one_writer_of
with ExitStack() as all_parts:
    for part in sys.argv[2:]:
        all_parts.enter_context(one_writer_of(sys.argv[1], part))
    print("held", flush=True)
    time.sleep(600)
"""


@contextmanager
def holding(out, *parts):
    process = subprocess.Popen([sys.executable, "-c", HOLDING, str(out), *parts], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


@pytest.fixture
def held(tmp_path, monkeypatch):
    """The process that writes to ``tmp_path / "out"``."""
    monkeypatch.setattr(files, "PATIENCE_S", 0.2)
    with holding(tmp_path / "out", "") as process:
        yield process


def test_the_second_evaluation_is_told_who_is_there(held, tmp_path, grey_world, make_scene):
    scenes = ListedScenes([make_scene()])
    for work in (
        lambda: evaluate(CONFIG, tmp_path / "out", quiet=True),
        lambda: evaluate(CONFIG, tmp_path / "out", quiet=True, here=Worker(CONFIG, grey_world, scenes)),
    ):
        with pytest.raises(FolderInUse, match=f"process {held.pid}"):
            work()
    held.kill()
    held.wait()
    evaluate(CONFIG, tmp_path / "out", quiet=True, here=Worker(CONFIG, grey_world, scenes))
    assert (tmp_path / "out" / "report.html").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"], "nothing of the lock is left"


def test_so_is_the_second_that_makes_a_dataset(held, tmp_path):
    with pytest.raises(FolderInUse, match=f"process {held.pid}"):
        export_nuscenes([], tmp_path / "out")
    with pytest.raises(FolderInUse, match=f"process {held.pid}"), folder_appearing(tmp_path / "out"):
        raise AssertionError("nothing is begun")
    held.kill()
    held.wait()
    assert not [path for path in tmp_path.iterdir() if "unfinished" in path.name]


def test_one_that_waited_does_not_write_over_what_the_first_made(tmp_path):
    def first():
        with folder_appearing(tmp_path / "out") as unfinished:
            (unfinished / "theirs").touch()

    first()
    with pytest.raises(InvalidConfig, match="not an empty folder"):
        first()
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["theirs"]


def test_the_same_process_may_ask_again_and_others_find_nothing(tmp_path):
    with one_writer_of(tmp_path / "a"), one_writer_of(tmp_path / "b"):
        assert {path.name for path in tmp_path.iterdir()} == {".a.lock", ".a.lock.json", ".b.lock", ".b.lock.json"}
    assert list(tmp_path.iterdir()) == []


HOLDS_PART = ("demo", "media", "metrics", "metrics scorer", "metrics inverse-dynamics", "metrics short")
HOLDS_PART += tuple(
    f"metrics {name}" for name in ("truth", "obey", "last", "detail", "vehicles", "cars", "identity", "text", "footage")
)
HOLDS_PART += tuple(f"metrics {name}" for name in ("ablation", "controllable", "distillation-steps", "interpolation"))
HOLDS_PART += ("metrics long", "metrics steps", "metrics win-rates", "data export-lerobot", "train init")
HOLDS_FILE = ("data annotate", "train policy", "metrics compare-page")
HOLDS_FILE += tuple(f"bench {name}" for name in ("world", "full-size", "serve", "gpu"))


def test_so_is_the_second_command_that_fills_a_folder_of_tables_or_pictures(tmp_path, capsys, monkeypatch):
    """Before any of its work; and where others write, nothing is left behind."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "PATIENCE_S", 0.05)
    functions = {name: load(command_of(name)).__name__ for name in HOLDS_PART}
    with holding(tmp_path / "out", "", *functions.values()) as process:
        for name in (*HOLDS_PART, *HOLDS_FILE):
            assert main([*name.split(), *COMMANDS[name], "--out", "out"]) == 2, name
            told = capsys.readouterr().err.strip().splitlines()
            assert f"process {process.pid}" in told[-1], told
            assert len(told) == 1


def test_different_tables_may_be_made_in_one_folder_at_once(tmp_path):
    with holding(tmp_path / "made" / "out", "truth"), one_writer_of(tmp_path / "made" / "out", "obey"):
        pass
    assert not list((tmp_path / "made").glob("*obey*"))


def test_a_folder_made_for_a_lock_alone_goes_with_it(tmp_path):
    with one_writer_of(tmp_path / "a" / "b" / "out"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []
    with one_writer_of(tmp_path / "a" / "b" / "out"):
        (tmp_path / "a" / "b" / "out").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["out"]


def command_of(name):
    found = COMMANDS_OF_ALL
    for word in name.split():
        found = found[word]
    return found[""] if isinstance(found, dict) else found


MODEL = ["--model", "."]
DEBUG = ["--size", "debug"]
STAGES = ("ar-baseline", "coarse", "codec", "compose", "distill", "few-steps", "fine", "footage", "inverse-dynamics")
STAGES += ("latents", "mini", "scorer", "sharpen", "warp", "ship", "ship-scorer", "ship-inverse-dynamics")
COMMANDS = {
    "rollout": ["--image", "simulator:7", "--world", "simulator"],
    "evaluate": ["--policy", "idm"],
    "drive": [],
    "serve": [],
    "demo": [],
    "media": [],
    "data export-simulator": [],
    "data export-lerobot": [],
    "data import": ["pictures", "."],
    "data annotate": [".", "--model", "."],
    **{f"train {name}": DEBUG for name in STAGES},
    "train decoder": ["--recipe", "cogvideox-2b-nuscenes", *DEBUG],
    "train export": ["--stage", "coarse", *DEBUG],
    "train mine": ["--video", "."],
    "train study": ["--from", "."],
    "train policy": [],
    "train init": ["--from-cogvideox", "."],
    "metrics": ["--real", ".", "--generated", "."],
    **{f"metrics {name}": [] for name in ("truth", "obey", "detail", "identity", "last", "cars", "text", "tables")},
    "metrics vehicles": [],
    "metrics footage": ["--data", "."],
    **{f"metrics {name}": MODEL for name in ("short", "long", "ablation", "controllable", "distillation-steps")},
    **{f"metrics {name}": MODEL for name in ("interpolation", "steps")},
    **{f"metrics {name}": [] for name in ("scorer", "inverse-dynamics")},
    "metrics win-rates": ["--key", ".", "--answers", "."],
    "metrics compare-page": ["--first", ".", "--second", "."],
    **{f"bench {name}": [] for name in ("world", "full-size", "serve", "gpu")},
}
OTHERS = {f"metrics {name}": "--drives" for name in ("truth", "obey", "detail", "identity", "last", "cars", "text")}
OTHERS |= {
    "metrics vehicles": "--drives",
    "metrics tables": "--drives",
    "train study": "--results",
    "bench gpu": "--docs",
}
OTHERS |= {f"train {name}": "--to" for name in ("ship", "ship-scorer", "ship-inverse-dynamics")}
WRITE_NOTHING = {"train estimate"}


def test_every_command_that_says_where_its_results_go_is_tried_here():
    surface = json.loads((Path(__file__).parents[2] / "core" / "surface.json").read_text())["commands"]
    said = {name for name, options in surface.items() if any(one.startswith("--out ") for one in options)}
    assert said == COMMANDS.keys() | WRITE_NOTHING
    named = ("--drives ", "--to ", "--docs ")
    assert OTHERS.keys() - {"train study"} == {
        name for name, options in surface.items() if any(one.startswith(named) for one in options)
    }


PLACES = [(name, "--out") for name in COMMANDS] + list(OTHERS.items())


@pytest.mark.parametrize(("name", "option"), PLACES, ids=lambda word: word)
def test_a_destination_that_cannot_be_is_said_in_one_line_before_the_work(name, option, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    # A handler of this test's output would outlive it.
    monkeypatch.setattr("logging.basicConfig", lambda **_: None)
    # Where the GPU's bench finds none it would end before anything else.
    words = [*COMMANDS[name], *(["--device", "cpu", "--preset", "debug-cogvideox"] if name == "bench gpu" else [])]
    assert main([*name.split(), *words, option, str(tmp_path / "file" / "out")]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert "is a file" in told[-1], told
    assert len(told) == 1


def test_motion_of_a_video_is_estimated_once_at_a_time_and_only_where_it_can_be_kept(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(files, "PATIENCE_S", 0.05)
    (tmp_path / "drive.mp4").touch()
    with holding(tmp_path / "drive.poses.json", "") as process:
        assert main(["data", "poses", str(tmp_path)]) == 2
        assert f"process {process.pid}" in capsys.readouterr().err
    (tmp_path / "drive.poses.json").mkdir()
    assert main(["data", "poses", str(tmp_path), "--overwrite"]) == 2
    assert "it is a folder" in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["metrics", "short", "--model", "none"],
        ["metrics", "short", "--model", "empty"],
        ["metrics", "win-rates", "--key", "none", "--answers", "none"],
        ["metrics", "tables", "--first-seed", "-1"],
        ["metrics", "tables", "--first-seed", "9" * 20],
        ["metrics", "tables", "--names"],
        ["metrics", "truth", "--first-seed", "-1"],
        ["metrics", "win-rates", "--key", "json", "--answers", "json"],
        ["train", "study", "--from", "none"],
        ["train", "study", "--from", "empty"],
        ["train", "codec", "--size", "debug", "--initial", "none", "--out", "made"],
        ["train", "codec", "--size", "debug", "--initial", "empty", "--out", "made"],
        ["rollout", "--image", "simulator:7", "--world", "warp", "--trajectory", "x" * 5000],
        ["drive", "--no-display", "--replay", "x" * 5000],
    ],
    ids=lambda words: " ".join(words)[:40],
)
def test_inputs_that_are_not_there_or_are_something_else_are_one_line(words, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "json").write_text('{"names": 3}')
    assert main(words) in (1, 2)
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("INFO")]
    assert len(said) == 1
    assert said[0].startswith("longdwm ")
