"""Drives: the same again is the same, on disk too, and nothing is driven twice."""

from dataclasses import replace

import numpy as np
import pytest

from longdwm_env.agents.driving.engine.prompt_cycling import conditions_of, with_conditions
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.drives.drive_set import ALL, CHANGED, DRAWN, DriveSet, asked
from longdwm_env.evaluation.drives.drive_store import DriveStore, read_drive, write_drive
from longdwm_env.evaluation.drives.plans import LogPlan, Rejected, VariedPlan
from longdwm_env.evaluation.drives.recorder import Driver, Recorder, joined_tracks
from longdwm_env.types import ActorTracks

from .conftest import SEED, SIZE

VERSIONS = {"simulator": "a", "warp": "b"}


def test_the_same_actions_in_the_simulator_again_give_the_same_drive(simulator, drive) -> None:
    again = simulator.again(drive)
    assert len(drive.frames) == len(drive.poses) == len(drive.speeds_mps) == 49
    assert np.array_equal(again.frames, drive.frames)
    assert np.array_equal(again.poses, drive.poses)
    assert np.array_equal(again.speeds_mps, drive.speeds_mps)
    assert np.array_equal(again.actors.poses, drive.actors.poses, equal_nan=True)


def test_another_world_drives_the_same_motion_from_the_same_start(drive) -> None:
    warp = Driver("warp", SIZE).again(drive)
    assert np.array_equal(warp.poses, drive.poses)
    assert np.array_equal(warp.yaw_rates_radps, drive.yaw_rates_radps)
    assert np.array_equal(warp.frames[0], drive.frames[0])
    assert not np.array_equal(warp.frames[-1], drive.frames[-1])
    assert warp.actors is None


class Broken(Driver):
    """A driver that must not be needed."""

    def __init__(self) -> None:
        pass

    def again(self, drive, prompt=None, redrawn=True):
        raise AssertionError("this drive was on disk")


class Given:
    """A plan that has two drives, and rejects every third scene."""

    name = "given"

    def __init__(self, drive) -> None:
        self.given, self.driven = drive, []

    def drive(self, simulator, seed):
        self.driven.append(seed)
        if seed % 3 == 0:
            raise Rejected("it ends after 1 s at most: collision")
        return replace(self.given, seed=seed)


def test_nothing_is_driven_twice(drive, tmp_path) -> None:
    store = DriveStore(tmp_path, VERSIONS)
    plan = Given(replace(drive, frames=drive.frames[:13]))
    warp = Driver("warp", SIZE)
    drives = DriveSet(plan, {"simulator": Broken(), "warp": warp}, store, first_seed=3, quiet=True)
    assert drives.seeds(3) == [4, 5, 7]
    assert plan.driven == [3, 4, 5, 6, 7]
    assert set(drives.rejected) == {3, 6}
    made = drives.again("warp", 4)

    later = DriveSet(plan, {"simulator": Broken(), "warp": Broken()}, store, first_seed=3, quiet=True)
    assert later.seeds(3) == [4, 5, 7]
    assert plan.driven == [3, 4, 5, 6, 7]
    assert set(later.rejected) == {3, 6}
    assert np.array_equal(later.again("warp", 4).frames, made.frames)
    other = DriveStore(tmp_path, {"simulator": "a", "warp": "c"})
    assert other.read("given", "warp", "4") is None, "another version of a world has drives of its own"


def test_a_set_that_cannot_be_filled_says_so(drive, tmp_path) -> None:
    plan = Given(replace(drive, frames=drive.frames[:13]))
    drives = DriveSet(plan, {"simulator": Broken()}, DriveStore(tmp_path, VERSIONS), first_seed=3, quiet=True)
    with pytest.raises(InvalidConfig, match="only 0 of 20"):
        drives.seeds(1, lambda drive: False)


@pytest.mark.parametrize("mode", ["trajectory", "control", "command", "goal"])
def test_varied_commands_stay_on_the_road_and_vary(simulator, mode) -> None:
    driven = VariedPlan(mode, seconds=3).drive(simulator, SEED)
    assert driven.action_mode == mode
    assert len(driven.actions) == 3
    assert len({str(action) for action in driven.actions}) > 1
    environment = simulator.environment(mode)
    environment.reset(seed=SEED, options={"scene": SEED})
    assert environment.scene.road_map.drivable(driven.poses[:, :2]).all()
    assert np.array_equal(simulator.again(driven).frames[-1], driven.frames[-1])


def test_every_fourth_scene_of_the_log_is_perturbed(simulator) -> None:
    kinds = set()
    for seed in (1_000_002, 1_000_003):
        plain = LogPlan(seconds=1, perturbed=False).drive(simulator, seed)
        mixed = LogPlan(seconds=1).drive(simulator, seed)
        kinds.add(mixed.kind)
        assert np.array_equal(plain.poses, mixed.poses) == (mixed.kind == "log")
    assert kinds == {"log", "perturbed"}


def test_a_drive_that_ends_early_is_refused_and_again_goes_on_anyway(simulator, drive) -> None:
    recorder = Recorder(simulator.environment("control"), SEED, "control")
    reasons = [recorder.step(np.array([0.5, 3.0], np.float32), go_on=True) for _ in range(5)]
    assert any(reasons), "full lock leaves every road"
    assert len(recorder.drive().frames) == 61
    with pytest.raises(Rejected, match="on average"):
        LogPlan(seconds=1, least_mean_speed_mps=39.0).drive(simulator, SEED)


def test_prompts_are_drawn_from_the_start_or_only_asked_for(simulator, drive) -> None:
    own = conditions_of(drive.prompt)
    wanted = asked(own, 0, CHANGED)
    short = replace(drive, actions=drive.actions[:1])
    prompt = with_conditions(drive.prompt, wanted)
    kept = simulator.again(short, prompt, redrawn=False)
    drawn = simulator.again(short, prompt, redrawn=True)
    assert conditions_of(kept.prompt) == conditions_of(drawn.prompt) == wanted != own
    assert np.array_equal(kept.frames[0], drive.frames[0])
    assert not np.array_equal(drawn.frames[0], drive.frames[0])
    # The simulator obeys at once, so both show the same from there on.
    assert np.array_equal(kept.frames[1:], drawn.frames[1:])


def test_all_conditions_are_asked_for_in_turn() -> None:
    own = ALL[4]
    assert {asked(own, number, DRAWN) for number in range(9)} == set(ALL)
    assert {asked(own, number, CHANGED) for number in range(8)} == set(ALL) - {own}


def test_tracks_are_joined_by_name() -> None:
    def tracks(names, first, frames):
        x = np.arange(first, first + frames, dtype=float)[:, None] + np.arange(len(names)) * 100
        poses = np.stack([x, x, 0 * x], axis=2)
        return ActorTracks(poses, np.ones((len(names), 3)), x, names)

    joined = joined_tracks([tracks(("a",), 0, 1), tracks(("a", "b"), 0, 3), tracks(("b",), 2, 3)])
    assert joined.ids == ("a", "b")
    assert joined.poses[:, 0, 0].tolist()[:3] == [0, 1, 2]
    assert np.isnan(joined.poses[3:, 0]).all()
    assert np.isnan(joined.poses[0, 1]).all()
    assert joined.poses[1:, 1, 0].tolist() == [101, 102, 3, 4]
    assert joined_tracks([tracks(("a",), 0, 1), None]) is None


def test_looks_are_joined_and_kept_where_they_are_known_throughout(drive, tmp_path) -> None:
    def tracks(names, frames, lit):
        lights = np.full((frames, len(names), 3), lit)
        colours = np.array([[ord(name)] * 3 for name in names])
        shape = (frames, len(names))
        return ActorTracks(
            np.zeros((*shape, 3)), np.ones((len(names), 3)), np.zeros(shape), names, None, colours, lights
        )

    joined = joined_tracks([tracks(("a",), 1, False), tracks(("b", "a"), 3, True)])
    assert joined.ids == ("a", "b")
    assert joined.classes is None
    assert joined.colours[:, 0].tolist() == [97, 98]
    assert joined.lights[:, 0, 0].tolist() == [False, True, True]
    assert joined.lights[:, 1, 0].tolist() == [False, True, True]
    write_drive(tmp_path / "drive.safetensors", replace(drive, actors=joined))
    again = read_drive(tmp_path / "drive.safetensors").actors
    assert np.array_equal(again.lights, joined.lights)
    assert np.array_equal(again.colours, joined.colours)
    assert again.classes is None
