"""Documents are true: their links lead somewhere, their code runs, their commands are understood."""

import importlib.util
import re
import shutil
import tomllib
from types import SimpleNamespace

import numpy as np
import pytest

from longdwm_env.cli.commands import COMMANDS
from longdwm_env.io.figures import save_picture
from longdwm_env.io.video import write_video

from .documents import DOCUMENTS, NOTEBOOKS, ROOT, anchors, blocks, links, parse, run, shell_lines
from .surface import commands

PLACEHOLDERS = {"KIND": "lerobot", "N": "2"}

QUICK = {
    "longdwm drive": "--no-display --seconds 0.2",
    "longdwm rollout --image photo.jpg --trajectory slalom": "--seconds 1",
    "longdwm data export-simulator": "--scenes 1 --seconds 1 --image-size 24 36",
    "longdwm data check": "",
}
"""Commands of the documents that are run, and what makes them short."""

PARSED = {
    "longdwm train": "hours; tests/training runs every stage small",
    "longdwm evaluate": "minutes, in processes of its own; tests/agents/evaluation",
    "longdwm metrics": "hours; tests/evaluation",
    "longdwm bench": "measures for minutes, and times are no matter of tests",
    "longdwm serve": "serves until it is stopped; tests/agents/driving_page",
    "longdwm rollout": "a model's long drive; tests/models/test_rollout_command.py",
    "longdwm data poses": "run in examples/train_on_your_road.ipynb",
    "longdwm data": "other people's data; tests/scenes",
}
"""Commands whose options are only taken apart, and why."""

PYTHON = {
    "examples/ppo.py": "half an hour; tests/agents/test_examples.py runs it small",
    "examples/what_the_model_sees.py": "tests/agents/test_examples.py runs it",
    "scripts/collapse_bounds.py": "minutes, over drives and footage that do not come with the package",
}

ELSEWHERE = {"ssh": "another machine", "pip": "installs", "make": "its target is looked up"}


@pytest.fixture(scope="module")
def street():
    random = np.random.default_rng(0)
    return np.kron(random.integers(0, 255, (6, 9, 3), dtype=np.uint8), np.ones((8, 8, 1), np.uint8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory, street):
    """Where the code of the documents runs: a photo, a video, a folder of them, as the documents name them."""
    path = tmp_path_factory.mktemp("reader")
    save_picture(path / "photo.jpg", street)
    write_video(path / "drive.mp4", [np.repeat(street[None], 37, axis=0)])
    (path / "pictures").mkdir()
    save_picture(path / "pictures" / "one.png", street)
    return path


@pytest.fixture(autouse=True)
def there(folder, monkeypatch):
    monkeypatch.chdir(folder)


@pytest.mark.parametrize("path", [*DOCUMENTS, *NOTEBOOKS], ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    dead = []
    for link in links(path):
        target, _, anchor = link.partition("#")
        if ":" in target or (not target and not anchor):
            continue
        file = path if not target else path.parent / target
        if not file.exists() or (anchor and file.suffix == ".md" and anchor not in anchors(file)):
            dead.append(link)
    assert dead == []


def test_what_is_named_as_a_command_is_one():
    """In documents, messages, docstrings and tables."""
    folders = ("longdwm_env", "models", "training", "agents", "examples")
    sources = [
        path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in (".py", ".j2", ".js")
    ]
    unknown = set()
    for path in [*DOCUMENTS, *NOTEBOOKS, *sources]:
        for found in re.finditer(r"[`\n ]longdwm ([a-z]+[a-z-]*)(?: ([a-z]+[a-z-]*[a-z]))?", path.read_text()):
            group = COMMANDS.get(found[1])
            known = group is not None or found[1] == "command"
            if isinstance(group, dict) and found[2] is not None:
                known = found[2] in group or found[2] in ("ship-", "ship")
            if not known:
                unknown.add(f"{path.relative_to(ROOT)}: {found[0].strip()}")
    assert unknown == set()


PLACES = ("", "longdwm_env", "models", "training", "agents")


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_source_files_that_are_named_with_their_folder_exist(path):
    named = set(re.findall(r"`([a-z_]+(?:/[a-z_0-9]+)+\.py)`", path.read_text())) - {"path/to/file.py"}
    assert {name for name in named if not any((ROOT / place / name).is_file() for place in PLACES)} == set()


def test_extras_are_written_one_way_and_exist():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    folders = ("longdwm_env", "models", "training", "agents", "examples", "docs")
    texts = [*DOCUMENTS, *NOTEBOOKS, *(path for folder in folders for path in (ROOT / folder).rglob("*.py"))]
    found = {
        (path.name, one)
        for path in texts
        for one in re.findall(r"pip install ((?!{)[^`\n]*?\[\w+\]'?)", path.read_text())
    }
    assert len(found) > 10
    for name, written in found:
        whole = re.fullmatch(r"'(longdwm|\.)\[(\w+)\]'", written.removeprefix("-c constraints.txt -e "))
        assert whole, f"{name}: {written}"
        assert whole[2] in extras, f"{name}: {written}"
        # Only of a clone, and said there, a dot may stand for the name.
        assert whole[1] == "longdwm" or name in ("README.md", "CONTRIBUTING.md"), f"{name}: {written}"


# Python

WITH_PYTHON = sorted({block.page for path in DOCUMENTS for block in blocks(path) if block.kind == "python"})


def given(page, folder):
    """What a page's code takes for granted."""
    names = {"np": np}
    if page == "docs/custom_world.md":
        specification = importlib.util.spec_from_file_location("custom_world", ROOT / "examples" / "custom_world.py")
        example = importlib.util.module_from_spec(specification)
        specification.loader.exec_module(example)
        from longdwm_env.geometry.layout import CENTRE_LINE, ROAD, RoadLayout

        ahead = np.array([[5, 0], [10, 0], [15, 0], [20, 0]], np.float32)
        names |= {
            "StillWorld": example.StillWorld,
            "MyWorld": example.StillWorld,
            "actions": np.stack([ahead] * 2)[:, None],
        }
        names |= {"self": SimpleNamespace(decoder=lambda latents: latents), "latents": np.zeros(3)}
        names |= {"ROAD": ROAD, "CENTRE_LINE": CENTRE_LINE, "RoadLayout": RoadLayout}
    if page == "docs/environment.md":
        names |= {"actions": np.array([[[[5, 0], [10, 0], [15, 0.2], [20, 0.5]]]], np.float32)}
    if page == "docs/scenes.md":
        import gymnasium as gym

        import longdwm_env  # noqa: F401

        names |= {"gym": gym, "env": gym.make("LongDWM-v0", world="simulator", image_size=(24, 36))}
    if page == "docs/policies.md":
        names |= {"model": small_ppo()}
    return names


def small_ppo():
    pytest.importorskip("stable_baselines3", reason="stable-baselines3 is not installed")
    import gymnasium as gym
    from stable_baselines3 import PPO

    from longdwm_env.agents.policies.small_view import ViewObservation

    env = ViewObservation(gym.make("LongDWM-v0", world="warp", action_mode="control", image_size=(48, 72)))
    return PPO("MultiInputPolicy", env, n_steps=2, batch_size=2, device="cpu")


NUSCENES = 'scenes="/data/nuscenes"'
"""The one file that readers must bring along; tests/scenes/test_nuscenes.py opens such folders."""


@pytest.mark.parametrize("page", WITH_PYTHON)
def test_python_runs(page, folder, recwarn):
    names = given(page, folder)
    for block in blocks(ROOT / page):
        if block.kind != "python":
            continue
        if "torchrl" in block.text and importlib.util.find_spec("torchrl") is None:
            continue  # tests/env/test_torchrl.py says that it is not installed
        text = "\n".join(line for line in block.text.splitlines() if NUSCENES not in line)
        text = text.replace("path/to/this/folder", str(block.path.parent))
        exec(compile(text, f"{page}:{block.line}", "exec"), names)
    if page == "README.md":
        assert names["futures"].frames.shape == (3, 1, 12, 96, 144, 3)
    if page == "docs/custom_world.md":
        layout = names["Avenue"]().layout(np.zeros(2), 100.0)
        assert set(layout.kinds) == {names["ROAD"], names["CENTRE_LINE"]}


# Shell

LINES = shell_lines()
LONGDWM = {f"longdwm {end}": place for line, place in LINES.items() if (end := line.partition("longdwm ")[2])}
"""Commands of ours, without what stands before them."""


def decided(line, table):
    return next((start for start in sorted(table, key=len, reverse=True) if line.startswith(start)), None)


def is_synopsis(line):
    return bool(re.search(r"\.\.\.| \| |\[--", line))


def test_each_line_is_decided_on():
    """A new line of shell is run, or only taken apart: one of the tables above says which."""
    others = [line for line in LINES if "longdwm " not in line and "longdwm_env.cli.train " not in line]
    undecided = [line for line in others if line.split()[0] not in ELSEWHERE and not any(one in line for one in PYTHON)]
    undecided += [line for line in LONGDWM if decided(line, QUICK) is None and decided(line, PARSED) is None]
    assert undecided == []
    assert len(LONGDWM) > 40


def test_make_knows_the_targets():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    named = {line.split()[1] for line in LINES if line.startswith("make ")}
    assert named
    assert named <= targets


def test_synopses_name_commands_and_options_that_exist():
    options = commands()
    for line, place in LONGDWM.items():
        for part in line.split(" ; ") if is_synopsis(line) else []:
            names = re.sub(r"\[?--.*", "", part).split()
            group = names[1]
            for name in (f"{group} {one}".strip() for one in " ".join(names[2:]).split(" | ")):
                assert name in options, f"{place}: {part}"
                known = {option.split(" = ")[0] for option in options[name]}
                assert set(re.findall(r"--[a-z0-9-]+", part)) <= known, f"{place}: {part}"


def test_commands_are_understood():
    for line, place in LONGDWM.items():
        if is_synopsis(line):
            continue
        try:
            parse([PLACEHOLDERS.get(word, word) for word in line.split()[1:]])
        except SystemExit as error:
            pytest.fail(f"{place}: {line}: {error}")
    launched = [line.partition("longdwm_env.cli.train ")[2] for line in LINES if "longdwm_env.cli.train " in line]
    assert launched
    for words in launched:
        parse(["train", *words.split()])


TRAINED = "longdwm drive --world runs/mine/pipeline"
"""Needs what an hour of ``train mine`` makes; tests/training/test_mine.py opens one."""

RUN = [line for line in LONGDWM if decided(line, QUICK) is not None and not is_synopsis(line) and line != TRAINED]


@pytest.mark.parametrize("line", RUN)
def test_commands_run(line, folder):
    if "export-simulator" in line:
        shutil.rmtree(folder / "DIR", ignore_errors=True)
    if "data check" in line:
        line = re.sub("PATH|/data/nuscenes", "pictures", line)
    for missing in re.findall(r"\S*/drive-\d+-\d+\.json", line):
        # The reader has driven before.
        assert run("longdwm drive --world warp --scene photo.jpg", QUICK["longdwm drive"]) == 0
        shutil.copy(max((folder / "outputs" / "drive").glob("*.json")), folder / missing)
    assert run(line, QUICK[decided(line, QUICK)]) == 0
