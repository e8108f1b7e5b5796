"""Two processes on one folder: the second is told who is there; and destinations are looked at before the work."""

import subprocess
import sys

import pytest

from longdwm_env import files
from longdwm_env.cli import main
from longdwm_env.errors import FolderInUse, InvalidConfig
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig
from longdwm_env.evaluation.policies.runner import evaluate, evaluate_here
from longdwm_env.io.files import folder_appearing, one_writer_of
from longdwm_env.scenes import ListedScenes
from longdwm_env.scenes.nuscenes.export import export_nuscenes

CONFIG = EvaluationConfig(
    ("constant-velocity",), world="grey", episodes=1, max_episode_s=2.0, videos=False, reference=None
)
HOLDING = """
import sys, time
from longdwm_env.io.files import one_writer_of
with one_writer_of(sys.argv[1]):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def held(tmp_path, monkeypatch):
    """The process that writes to ``tmp_path / "out"``."""
    monkeypatch.setattr(files, "PATIENCE_S", 0.2)
    out = str(tmp_path / "out")
    process = subprocess.Popen([sys.executable, "-c", HOLDING, out], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.wait()


def test_the_second_evaluation_is_told_who_is_there(held, tmp_path, grey_world, make_scene):
    scenes = ListedScenes([make_scene()])
    for work in (
        lambda: evaluate(CONFIG, tmp_path / "out", quiet=True),
        lambda: evaluate_here(CONFIG, tmp_path / "out", grey_world, scenes, quiet=True),
    ):
        with pytest.raises(FolderInUse, match=f"process {held.pid}"):
            work()
    held.kill()
    held.wait()
    evaluate_here(CONFIG, tmp_path / "out", grey_world, scenes, quiet=True)
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


COMMANDS = {
    "rollout": ["--image", "simulator:7", "--world", "simulator"],
    "evaluate": ["--policy", "idm"],
    "drive": [],
    "serve": [],
    "demo": [],
    "media": [],
    "data export-simulator": [],
    "data import": ["pictures", "."],
    "data annotate": [".", "--model", "."],
    "train footage": ["--size", "debug"],
    "train study": ["--from", "."],
    "train policy": [],
    "train init": ["--from-cogvideox", "."],
    "metrics": ["--real", ".", "--generated", "."],
    "metrics truth": [],
    "metrics obey": [],
    "metrics detail": [],
    "metrics identity": [],
    "metrics last": [],
    "metrics cars": [],
    "metrics text": [],
    "metrics short": ["--model", "."],
    "metrics scorer": [],
    "metrics inverse-dynamics": [],
    "metrics compare-page": ["--first", ".", "--second", "."],
    "bench world": [],
    "bench full-size": [],
}


@pytest.mark.parametrize("name", COMMANDS)
def test_a_destination_that_cannot_be_is_said_in_one_line_before_the_work(name, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    words = COMMANDS[name]
    assert main([*name.split(), *words, "--out", str(tmp_path / "file" / "out")]) == 2
    told = capsys.readouterr().err.strip().splitlines()
    assert "is a file" in told[-1], told
    assert len(told) == 1


@pytest.mark.parametrize(
    "words",
    [
        ["metrics", "short", "--model", "none"],
        ["metrics", "short", "--model", "empty"],
        ["metrics", "win-rates", "--key", "none", "--answers", "none"],
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
