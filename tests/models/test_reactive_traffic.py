"""A generated world's reactive traffic: the simulator's, whatever the pictures show, as a part of the state."""

import json
from dataclasses import replace

import gymnasium as gym
import numpy as np
import pytest

import longdwm_env  # noqa: F401 - registers LongDWM-v0
from longdwm_env.agents.driving.engine.driven_log import DrivenLog
from longdwm_env.errors import InvalidConfig
from longdwm_env.factory import make_world
from longdwm_env.models.world import DiffusionWorld
from longdwm_env.scenes.builtin import BuiltinScenes
from longdwm_env.simulator.roads.road_kinds import kind_of_seed
from longdwm_env.simulator.scene import episode
from longdwm_env.simulator.traffic.ego_driver import drive
from longdwm_env.state import EnvState
from longdwm_env.types import EgoState, WorldState
from longdwm_env.worlds.simulator_world import SimulatorWorld
from longdwm_env.worlds.warp_world import WarpWorld

SIZE = (32, 48)
SEED_OF = {
    kind: next(s for s in range(900_000, 901_000) if kind_of_seed(s) == kind) for kind in ("highway", "intersection")
}

pytestmark = pytest.mark.filterwarnings("ignore:the camera of scene")


@pytest.fixture(scope="module")
def world(pipeline):
    return DiffusionWorld(pipeline, "tiny")


def scene_of(seed):
    scene = BuiltinScenes().scene(seed)
    return replace(scene, camera=scene.camera.fitted(SIZE))


def same_actors(one, other):
    assert one.ids == other.ids
    for name in ("poses", "speeds_mps", "sizes_m"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.looks.keys() == other.looks.keys() == {"classes", "colours", "lights"}
    for name, values in one.looks.items():
        np.testing.assert_array_equal(values, other.looks[name])


def same_state(one, other):
    assert one.arrays.keys() == other.arrays.keys()
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, other.arrays[name])
    # Saved, tuples become lists.
    assert json.dumps(dict(one.values)) == json.dumps(dict(other.values))
    same_actors(one.actors, other.actors)


@pytest.mark.parametrize("kind", ["highway", "intersection"])
def test_road_users_are_those_of_the_simulator_under_the_same_driver(world, kind):
    seed, simulator = SEED_OF[kind], SimulatorWorld(SIZE)
    truth, state = simulator.begin(scene_of(seed), seed), world.begin(scene_of(seed), seed)
    assert state.values["traffic"] == "reactive"
    same_actors(state.actors, truth.actors)
    for count in (12, 5, 7, 12):
        trajectory = drive(truth, seed, "normal")
        (truth,), _ = simulator.advance_undrawn([truth], [trajectory], count)
        (state,), _ = world.advance([state], [trajectory], count)
        same_actors(state.actors, truth.actors)
        assert len(state.actors.poses) == count + 1


def test_replay_saving_and_batches_are_bit_identical(world, pipeline, drive_at, tmp_path):
    env = gym.make("LongDWM-v0", world=world, obs_mode="frame", max_episode_s=600.0)
    plan = np.array([[4, 0], [8, 0], [12, 0.1], [16, 0.2]], np.float32)
    _, info = env.reset(seed=SEED_OF["intersection"])
    assert info["traffic"] == "reactive"
    env.step(plan)
    state = env.unwrapped.get_state()
    state.save(tmp_path / "state.safetensors")
    loaded = EnvState.load(tmp_path / "state.safetensors")
    same_state(loaded.world_state, state.world_state)
    futures = env.unwrapped.imagine(np.stack([np.stack([plan, 0.5 * plan])] * 2))
    ends = []
    for start in (state, loaded):
        env.unwrapped.set_state(start)
        for action in (plan, 0.5 * plan):
            _, _, _, _, info = env.step(action)
        assert info["traffic"] == "reactive"
        ends.append(env.unwrapped.get_state())
    for end in (*futures.states, ends[1]):
        same_state(ends[0].world_state, end.world_state)
        np.testing.assert_array_equal(ends[0].newest_frame, end.newest_frame)
    states = [world.begin(scene_of(seed), 0) for seed in (*SEED_OF.values(), 3)]
    together, frames = world.advance(states, [drive_at(8.0)] * 3, 12)
    for index, one in enumerate(states):
        (alone,), clip = world.advance([one], [drive_at(8.0)], 12)
        same_state(alone, together[index])
        np.testing.assert_array_equal(clip[0], frames[index])


def test_collisions_with_reactive_traffic_end_an_episode(world):
    """The ego drives into the car ahead of it, which no picture decides."""
    seed = next(
        s for s in range(900_000, 900_400) if episode(s).event == "close leader" and kind_of_seed(s) == "highway"
    )
    env = gym.make("LongDWM-v0", world=world, obs_mode="frame", action_mode="control")
    _, info = env.reset(seed=seed)
    terms = []
    for _ in range(25):
        _, _, terminated, _, info = env.step(np.array([0.0, 4.0], np.float32))
        terms.append(info["reward_terms"])
        if terminated:
            break
    assert info["termination"] in ("collision", "off_road")
    assert all("collision" in term and "time_to_collision" in term for term in terms)
    assert min(term["time_to_collision"] for term in terms) < 0


def test_constant_and_no_traffic(pipeline, drive_at):
    scene = scene_of(SEED_OF["intersection"])
    constant = DiffusionWorld(pipeline, "tiny", traffic="constant")
    state = constant.begin(scene, 0)
    assert state.values["traffic"] == "constant"
    assert not [name for name in state.arrays if name.startswith("traffic.")]
    (following,), _ = constant.advance([state], [drive_at(8.0)], 12)
    assert set(following.actors.ids) <= set(state.actors.ids)
    assert (np.diff(following.actors.speeds_mps, axis=0) == 0).all()
    none = DiffusionWorld(pipeline, "tiny", traffic="none").begin(scene, 0)
    assert (none.values["traffic"], none.actors.ids) == ("none", ())


def test_a_drive_that_goes_on_elsewhere_keeps_its_road_users(world):
    """Under another prompt or in another world the picture begins anew, and the street does not."""
    seed = SEED_OF["intersection"]
    scene, simulator = scene_of(seed), SimulatorWorld(SIZE)
    truth, state = simulator.begin(scene, seed), world.begin(scene, seed)
    for _ in range(2):
        trajectory = drive(truth, seed, "normal")
        (truth,), _ = simulator.advance_undrawn([truth], [trajectory], 7)
        (state,), _ = world.advance([state], [trajectory], 7)
    x, y, heading = truth.arrays["ego_pose"]
    start = EgoState(float(x), float(y), float(heading), float(truth.arrays["speeds_mps"][0]))
    log = DrivenLog(state.arrays["frames"][-1:], truth.arrays["ego_pose"][None])
    trajectory = drive(truth, seed, "normal")
    (later,), _ = simulator.advance_undrawn([truth], [trajectory], 12)
    for driven in (truth, state):
        again = world.begin(replace(scene, log=log, start=start, driven=driven), seed)
        assert again.values["traffic"] == "reactive"
        assert set(again.values["pictured"]) <= set(driven.values.get("pictured", again.actors.ids))
        np.testing.assert_array_equal(again.arrays["track"][-1], truth.arrays["ego_pose"])
        (following,), _ = world.advance([again], [trajectory], 12)
        same_actors(following.actors, later.actors)


def test_a_drive_from_a_world_without_road_users_begins_on_an_empty_road(world):
    seed = SEED_OF["highway"]
    scene, simulator = scene_of(seed), SimulatorWorld(SIZE)
    state = world.begin(replace(scene, driven=WarpWorld(SIZE).begin(scene, 0)), seed)
    assert state.actors.ids == ()
    assert state.values["pictured"] == []
    truth, counts = simulator.begin(scene, seed), []
    for second in range(1, 31):
        trajectory = drive(truth, seed, "normal")
        (truth,), _ = simulator.advance_undrawn([truth], [trajectory], 12)
        ahead = world.road_users.ahead(state, trajectory, scene.camera, None)
        if second == 1:
            assert not np.isfinite(ahead.tracks.poses).any()
        arrays = {**state.arrays, **ahead.after(12), "track": truth.arrays["ego_pose"][None]}
        state = WorldState(arrays, state.values, ahead.tracks)
        counts.append(len(ahead.tracks.ids))
    assert max(counts[10:]) > 0


def test_pictures_have_none(world, scene_with, drive_at):
    state = world.begin(scene_with(SIZE), 0)
    (following,), _ = world.advance([state], [drive_at(8.0)], 12)
    for one in (state, following):
        assert one.values["traffic"] == "none"
        assert one.actors is None


def test_states_of_before_there_was_a_choice_go_on_as_they_did(pipeline, drive_at):
    scene = scene_of(SEED_OF["intersection"])
    constant = DiffusionWorld(pipeline, "tiny", traffic="constant")
    state = constant.begin(scene, 0)
    old_values = {name: value for name, value in state.values.items() if name != "traffic"}
    bare = replace(state.actors, classes=None, colours=None, lights=None)
    old = WorldState(state.arrays, old_values, bare)
    (expected,), frames = constant.advance([state], [drive_at(8.0)], 12)
    (following,), again = DiffusionWorld(pipeline, "tiny").advance([old], [drive_at(8.0)], 12)
    np.testing.assert_array_equal(frames, again)
    np.testing.assert_array_equal(expected.actors.poses, following.actors.poses)
    assert "pictured" not in following.values


def test_the_keyword_is_checked(world):
    with pytest.raises(InvalidConfig, match="'reactive', 'constant', 'none'"):
        gym.make("LongDWM-v0", traffic="heavy")
    with pytest.raises(InvalidConfig, match="traffic='reactive'"):
        gym.make("LongDWM-v0", world="simulator", traffic="none")
    with pytest.raises(InvalidConfig, match="a given one has its own"):
        make_world(world, traffic="none")
    assert gym.make("LongDWM-v0", world="warp", traffic="none").reset(seed=0)[1]["traffic"] == "none"
    assert gym.make("LongDWM-v0", world="simulator", traffic=None).reset(seed=0)[1]["traffic"] == "reactive"
