"""Every store keeps what a store promises; and each broken promise is found."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from longdwm_env import EnvState, InvalidConfig
from longdwm_env.agents.driving.recording.journal import Journal
from longdwm_env.contracts import BrokenPromise, check_store
from longdwm_env.env import LongDWMEnv
from longdwm_env.evaluation.drives.drive_store import DriveStore
from longdwm_env.evaluation.drives.plans import LogPlan
from longdwm_env.evaluation.drives.recorder import Driver
from longdwm_env.evaluation.policies.episode_store import EvaluationFolder
from longdwm_env.evaluation.policies.episode_worker import failed_record
from longdwm_env.evaluation.policies.evaluation_config import EpisodeResult, EvaluationConfig, all_jobs
from longdwm_env.scenes import ListedScenes
from longdwm_env.training.data.footage import Footage, record_footage

from ..agents.conftest import GreyWorld, straight_scene
from ..training.scenery import PaintedRoad


class States:
    """Saved states of an environment."""

    parts, unread = 1, ()

    def __init__(self):
        env = LongDWMEnv(world=GreyWorld(), scenes=ListedScenes([straight_scene()]))
        env.reset(seed=3)
        env.step(env.action_space.sample() * 0 + np.float32([[1, 0], [2, 0], [3, 0], [4, 0]]))
        self.state = env.get_state()
        self.contents = self.told(self.state)

    def told(self, state):
        record = state._record()
        return record, state._tensors()

    def write(self, folder, parts=None):
        folder.mkdir(exist_ok=True, parents=True)
        self.state.save(folder / "state.safetensors")

    def read(self, folder):
        return self.told(EnvState.load(folder / "state.safetensors"))


class Drives:
    """Drives of a measured world."""

    parts, unread = 2, ()

    def __init__(self):
        drive = LogPlan(seconds=1).drive(Driver("simulator", (24, 36)), 1_000_017)
        self.contents = [drive, replace(drive, frames=255 - drive.frames)]

    def write(self, folder, parts=None):
        store = DriveStore(folder, {"simulator": "v1"})
        left = [number for number in range(2) if not store.path("log", "simulator", str(number)).exists()]
        for number in left[:parts]:
            store.write("log", "simulator", str(number), self.contents[number])

    def read(self, folder):
        store = DriveStore(folder, {"simulator": "v1"})
        return [drive for number in range(2) if (drive := store.read("log", "simulator", str(number))) is not None]


class Journals:
    """Replays of a drive by hand."""

    parts, unread = 1, ()

    def __init__(self):
        self.contents = Journal("warp", "one", 0, "a prompt", None, (32, 48), 3)
        self.contents.note("prompt", prompt="another")

    def write(self, folder, parts=None):
        folder.mkdir(exist_ok=True, parents=True)
        self.contents.save(folder / "drive.json")

    def read(self, folder):
        return Journal.load(folder / "drive.json")


class Evaluations:
    """Episodes of an evaluation."""

    parts, unread = 3, ()

    def __init__(self):
        self.config = EvaluationConfig(("idm",), world="warp", episodes=3)
        self.jobs = all_jobs(self.config)
        records = [failed_record(self.config, job, "ran out of road") | {"video": None} for job in self.jobs]
        self.contents = json.loads(json.dumps(records))

    def write(self, folder, parts=None):
        kept = EvaluationFolder(folder, self.config, {})
        for job in kept.missing()[:parts]:
            kept.write(job, EpisodeResult(self.contents[self.jobs.index(job)], None))

    def read(self, folder):
        return EvaluationFolder(folder, self.config, {}).records()


class Stopped(Exception):
    """As if the power had gone."""


class Recordings:
    """Footage in shards of eight clips; a damaged shard is skipped with a report, which stands for the error here."""

    parts, unread = 2, (".lock",)

    def __init__(self, caplog):
        self.caplog = caplog
        self.source = PaintedRoad(clips=10, frames=13)
        self.contents = [self.told(self.source.clip(index)) for index in range(10)]

    def told(self, clip):
        return clip.key, clip.images, clip.poses, clip.prompt

    def write(self, folder, parts=None):
        source = self.source
        if parts is not None:

            class Interrupted(PaintedRoad):
                def clip(self, index):
                    if index >= 8 * parts:
                        raise Stopped
                    return super().clip(index)

            source = Interrupted(clips=10, frames=13)
        try:
            record_footage(source, folder)
        except Stopped:
            assert parts is not None

    def read(self, folder):
        self.caplog.clear()
        footage = Footage(folder)
        if self.caplog.text:
            raise InvalidConfig(self.caplog.text)
        return [self.told(footage.clip(index)) for index in range(len(footage))]


@pytest.mark.parametrize("make", [States, Drives, Journals, Evaluations])
def test_our_own_keep_their_promises(make, tmp_path):
    check_store(make(), tmp_path)


def test_recorded_footage_keeps_its_promises(tmp_path, caplog):
    check_store(Recordings(caplog), tmp_path)


class Numbers:
    """A store that keeps its promises: two files of numbers."""

    parts, unread = 2, ()

    def __init__(self):
        self.contents = {"a": np.arange(40.0), "b": np.arange(50.0)}

    def write(self, folder, parts=None):
        folder.mkdir(exist_ok=True, parents=True)
        left = [name for name in self.contents if not (folder / f"{name}.safetensors").exists()]
        for name in left[:parts]:
            save_file({name: self.contents[name]}, folder / f"{name}.safetensors")

    def read(self, folder):
        found = {}
        for path in sorted(folder.glob("*.safetensors")):
            try:
                found |= load_file(path)
            except Exception as error:
                raise InvalidConfig(f"{path} is damaged") from error
        return found


class Rounds(Numbers):
    def read(self, folder):
        return {name: array.astype(np.float32) for name, array in super().read(folder).items()}


class Touches(Numbers):
    def read(self, folder):
        (folder / "read").write_text("yes")
        return super().read(folder)


class StartsAgain(Numbers):
    def write(self, folder, parts=None):
        folder.mkdir(exist_ok=True, parents=True)
        there = len(list(folder.iterdir()))
        for name in list(self.contents)[:parts]:
            save_file({name: self.contents[name]}, folder / f"{name}{there}.safetensors")


class Leaks(Numbers):
    def read(self, folder):
        return {name: array for path in sorted(folder.glob("*")) for name, array in load_file(path).items()}


class Swallows(Numbers):
    def read(self, folder):
        found = {}
        for path in sorted(folder.glob("*")):
            try:
                found |= load_file(path)
            except Exception:
                continue
        return found


class Mumbles(Numbers):
    def read(self, folder):
        try:
            return super().read(folder)
        except InvalidConfig as error:
            raise InvalidConfig("something is wrong") from error


class ForgetsForGood(Numbers):
    def write(self, folder, parts=None):
        if not (folder / "a.safetensors").exists() and not (folder / "b.safetensors").exists():
            super().write(folder, None)


@pytest.mark.parametrize(
    ("broken", "told"),
    [
        (Rounds, "comes back as it was"),
        (Touches, "reading changes nothing"),
        (StartsAgain, "there are other files"),
        (Leaks, "damage is a LongDWMError"),
        (Swallows, "damage is found"),
        (Mumbles, "damage is named"),
        (ForgetsForGood, "what is missing is made again"),
    ],
)
def test_a_broken_promise_is_found(broken, told, tmp_path):
    check_store(Numbers(), tmp_path / "good")
    with pytest.raises(BrokenPromise, match=told):
        check_store(broken(), tmp_path / "bad")


def test_checked_folders_are_left_as_they_were_but_for_what_was_asked(tmp_path: Path):
    check_store(Numbers(), tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"whole", "parts-1"}
