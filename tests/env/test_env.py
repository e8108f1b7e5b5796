import subprocess
import sys
import warnings

import gymnasium as gym
import numpy as np
import pytest

from longdwm_env import InvalidConfig, InvalidState, LifecycleError, UnknownScene
from longdwm_env.episodes.seeding import FIRST_TEST_SEED
from longdwm_env.simulator.scene import TEST_SEEDS_START
from longdwm_env.types import ActorTracks


def drive(env, actions, seed=0, options=None):
    observation, info = env.reset(seed=seed, options=options)
    steps = [(observation, 0.0, False, False, info)]
    for action in actions:
        steps.append(env.step(action))
        if steps[-1][2] or steps[-1][3]:
            break
    return steps


def assert_same_steps(one, other):
    assert len(one) == len(other)
    for (obs_a, reward_a, *flags_a, info_a), (obs_b, reward_b, *flags_b, info_b) in zip(one, other, strict=True):
        np.testing.assert_array_equal(obs_a["frames"], obs_b["frames"])
        np.testing.assert_array_equal(obs_a["ego"], obs_b["ego"])
        np.testing.assert_array_equal(info_a["ego_pose"], info_b["ego_pose"])
        assert (reward_a, flags_a, info_a["reward_terms"]) == (reward_b, flags_b, info_b["reward_terms"])


@pytest.mark.parametrize("period_s", [1 / 12, 0.5, 1.0])
def test_the_contract_of_reset_and_step(make_in, kit, period_s):
    env = make_in(control_period_s=period_s)
    count = round(period_s * kit.fps)
    observation, info = env.reset(seed=7)
    assert observation["frames"].shape == (count, *kit.small, 3)
    assert observation["frames"].dtype == np.uint8
    assert observation["ego"].shape == (5,)
    assert observation["ego"].dtype == np.float32
    assert info["ego_pose"].shape == (count, 3)
    assert observation["ego"][4] == 0
    start = info["ego_pose"][-1]
    observation, reward, terminated, truncated, info = env.step(kit.ahead())
    assert observation in env.observation_space
    assert (type(reward), type(terminated), type(truncated)) == (float, bool, bool)
    assert observation["frames"].shape == (count, *kit.small, 3)
    assert info["ego_pose"].dtype == np.float64
    assert observation["ego"][4] == pytest.approx(period_s)
    assert np.linalg.norm(info["ego_pose"][-1, :2] - start[:2]) > 0.1
    assert set(info["timing"]) == {"geometry", "coarse", "fine", "decode", "total", "realtime_factor"}
    assert info["timing"]["total"] > 0
    names = {"progress", "comfort", "feasibility", "collision", "time_to_collision", "drivable_area", "lane_keeping"}
    assert set(info["reward_terms"]) | set(info["unavailable"]) == names
    assert not set(info["reward_terms"]) & set(info["unavailable"])
    assert all(info["unavailable"].values())


def test_the_same_seed_and_actions_give_the_same_episode(make_in, kit):
    actions = [kit.ahead(), kit.ahead(bend=0.01), kit.ahead(4.0)]
    env = make_in()
    first = drive(env, actions)
    assert_same_steps(first, drive(env, actions))
    assert_same_steps(first, drive(make_in(), actions))


def test_a_saved_state_goes_on_in_a_new_process_and_is_read_there_without_torch(make, kit, tmp_path):
    expected = {}
    for world in ("warp", "simulator"):
        env = make(world)
        env.reset(seed=5)
        env.step(kit.ahead(bend=0.002))
        env.unwrapped.get_state().save(tmp_path / f"{world}.safetensors")
        expected[world] = env.step(kit.ahead())[0]["frames"]
    program = f"""
import sys, gymnasium, numpy, longdwm_env
states = {{world: longdwm_env.EnvState.load(world + ".safetensors") for world in {list(expected)}}}
assert "torch" not in sys.modules
for world, state in states.items():
    env = gymnasium.make("LongDWM-v0", world=world, image_size={kit.small!r})
    env.unwrapped.set_state(state)
    numpy.save(world, env.step(numpy.array({kit.ahead().tolist()}, numpy.float32))[0]["frames"])
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120, cwd=tmp_path)
    for world, frames in expected.items():
        np.testing.assert_array_equal(np.load(tmp_path / f"{world}.npy"), frames)


def test_seeds_choose_the_scene_alike_in_every_world(make, kit):
    frames, keys = [], []
    for world in ("warp", "simulator"):
        observation, info = make(world).reset(seed=11)
        frames.append(observation["frames"])
        keys.append(info["scene"])
    assert keys == ["simulator:11", "simulator:11"]
    np.testing.assert_array_equal(*frames)


def test_drawn_seeds_follow_the_last_given_one_and_are_never_test_seeds(make):
    env = make(action_mode="command")
    env.reset(seed=1)
    drawn = []
    for _ in range(20):
        env.reset()
        drawn.append(env.unwrapped.get_state().seed)
    assert len(set(drawn)) > 15
    assert max(drawn) < FIRST_TEST_SEED == TEST_SEEDS_START
    env.reset(seed=1)
    env.reset()
    assert env.unwrapped.get_state().seed == drawn[0]


def test_after_reset_the_frames_are_the_log(make, kit):
    observation, info = make().reset(seed=0)
    brightness = observation["frames"][:, 0, 0, 0]
    np.testing.assert_array_equal(brightness, [97] * 8 + [97, 98, 99, 100])
    np.testing.assert_allclose(info["ego_pose"][:, 0], [-1.5] * 8 + [-1.5, -1.0, -0.5, 0.0])


def test_options_choose_scene_and_prompt(make):
    env = make()
    _, info = env.reset(seed=0, options={"scene": 1, "prompt": "Weather: snowy."})
    assert (info["scene"], info["prompt"]) == ("second", "Weather: snowy.")
    assert env.unwrapped.get_state().world_state.values["prompt"] == "Weather: snowy."
    _, info = env.reset(seed=0, options={"scene": "second"})
    assert (info["scene"], info["prompt"]) == ("second", "Weather: clear.")
    assert make(prompt="Time: night.").reset(seed=0)[1]["prompt"] == "Time: night."


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"scence": 1}, InvalidConfig, "'scene' and 'prompt'"),
        ({"scene": 1.5}, InvalidConfig, "index or a key"),
        ({"scene": True}, InvalidConfig, "index or a key"),
        ({"scene": 99}, UnknownScene, "99"),
        ({"scene": "nowhere"}, UnknownScene, "nowhere"),
        ({"prompt": 3}, InvalidConfig, "string"),
    ],
)
def test_a_reset_that_fails_changes_nothing(make, kit, options, error, message):
    env = make()
    env.reset(seed=4)
    state = env.unwrapped.get_state()
    for seed in (None, 9):
        with pytest.raises(error, match=message):
            env.reset(seed=seed, options=options)
    assert env.unwrapped.get_state() is state
    env.reset()
    drawn = env.unwrapped.get_state().seed
    env.reset(seed=4)
    env.reset()
    assert env.unwrapped.get_state().seed == drawn


def test_calls_out_of_order_say_so(make, kit):
    env = make(max_episode_s=1.0)
    base = env.unwrapped
    for call in (lambda: env.step(kit.ahead()), env.render, base.get_state, lambda: base.imagine([[kit.ahead()]])):
        with pytest.raises(LifecycleError, match="reset"):
            call()
    env.reset(seed=0)
    assert env.step(kit.ahead())[3] is True
    for call in (lambda: env.step(kit.ahead()), lambda: base.imagine([[kit.ahead()]])):
        with pytest.raises(LifecycleError, match="time_limit"):
            call()
    env.reset(seed=0)
    state = base.get_state()
    env.close()
    env.close()
    for call in (lambda: env.step(kit.ahead()), env.reset, env.render, base.get_state, lambda: base.set_state(state)):
        with pytest.raises(LifecycleError, match="closed"):
            call()


@pytest.mark.parametrize(("max_episode_s", "steps"), [(1.0, 2), (1.2, 3), (2.0, 4)])
def test_an_episode_is_truncated_at_the_first_step_that_reaches_the_limit(make, kit, max_episode_s, steps):
    env = make(max_episode_s=max_episode_s, control_period_s=0.5)
    taken = drive(env, [kit.ahead()] * 9)[1:]
    assert [step[3] for step in taken] == [False] * (steps - 1) + [True]
    assert taken[-1][4]["termination"] == "time_limit"


def test_a_collision_ends_the_episode(make, kit):
    env = make(kit.NoiseWorld(traffic=kit.standing_car(14.0)))
    taken = drive(env, [kit.ahead()] * 5)[1:]
    assert [step[2] for step in taken] == [False, True]
    assert taken[-1][4]["termination"] == "collision"
    assert taken[-1][4]["reward_terms"]["collision"] == -1
    assert taken[0][4]["reward_terms"]["collision"] == 0
    assert taken[-1][1] < taken[0][1] - 5


def test_leaving_the_road_ends_the_episode(make, kit):
    env = make()
    taken = drive(env, [kit.ahead(bend=0.05)] * 5)[1:]
    assert taken[-1][2]
    assert taken[-1][4]["termination"] == "off_road"
    assert taken[-1][4]["reward_terms"]["drivable_area"] < 0


def test_recorded_road_users_count_as_long_as_they_were_recorded(make, kit):
    recorded = kit.standing_car(17.0)(0, 13)
    scene = kit.a_scene(log=kit.GreyLog(num_future=12), actors=recorded)
    env = make(scenes=[scene])
    first, second = drive(env, [kit.ahead(5.0)] * 2)[1:]
    assert "collision" in first[4]["reward_terms"]
    assert "ends after 1 s" in second[4]["unavailable"]["collision"]


def test_a_worlds_own_traffic_goes_before_the_record(make, kit):
    recorded = kit.standing_car(8.0)(0, 40)
    scene = kit.a_scene(actors=recorded)
    assert drive(make(scenes=[scene]), [kit.ahead()])[-1][2]
    assert not drive(make(kit.NoiseWorld(traffic=kit.standing_car(90.0)), [scene]), [kit.ahead()])[-1][2]


def test_road_users_that_are_absent_are_passed_through(make, kit):
    poses = np.full((13, 1, 3), np.nan)
    actors = ActorTracks(poses, np.array([[4.0, 2.0, 1.5]]), np.full((13, 1), np.nan), ("gone",))
    terms = drive(make(scenes=[kit.a_scene(actors=actors)]), [kit.ahead()])[-1][4]["reward_terms"]
    assert terms["collision"] == 0
    assert terms["time_to_collision"] == 0


def test_an_unknown_camera_is_assumed_with_a_warning_that_says_how_to_give_it(make, kit, photograph):
    env = make("warp", scenes=str(photograph))
    with pytest.warns(UserWarning, match="camera=") as caught:
        env.reset(seed=0)
    assert "field of view of 65 degrees" in str(caught[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        given = make("warp", scenes=str(photograph), camera=kit.a_camera((80, 120)), speed_mps=5.0)
        given.reset(seed=0)
    assert given.unwrapped.get_state().camera == kit.a_camera((80, 120)).fitted(kit.small)


def test_a_photograph_has_no_map_and_no_road_users_and_says_so(make, kit, photograph):
    env = make("warp", scenes=str(photograph), camera=kit.a_camera((80, 120)))
    info = drive(env, [kit.ahead(3.0)])[-1][4]
    assert set(info["unavailable"]) == {"collision", "time_to_collision", "drivable_area", "lane_keeping"}
    assert set(info["reward_terms"]) == {"progress", "comfort", "feasibility"}


def test_observations_and_infos_belong_to_the_caller(make_in, kit):
    env = make_in()
    observation, info = env.reset(seed=2)
    state = env.unwrapped.get_state()
    frames = state.frames.copy()
    observation["frames"][:] = 0
    observation["ego"][:] = 9
    info["ego_pose"][:] = 7
    info["unavailable"]["x"] = "y"
    np.testing.assert_array_equal(state.frames, frames)
    first = env.step(kit.ahead())
    env.unwrapped.set_state(state)
    assert_same_steps([first], [env.step(kit.ahead())])


def test_a_state_of_another_world_source_or_size_is_refused(make, kit):
    env = make()
    env.reset(seed=0)
    kept = env.unwrapped.get_state()
    others = [
        make(kit.NoiseWorld((30, 40))),
        make("simulator", scenes=None),
        make(scenes=[kit.a_scene("elsewhere")]),
    ]
    for other, message in zip(others, ("image_size", "world", "elsewhere"), strict=True):
        other.reset(seed=0)
        with pytest.raises(InvalidState, match=message):
            env.unwrapped.set_state(other.unwrapped.get_state())
    with pytest.raises(InvalidState, match="EnvState"):
        env.unwrapped.set_state({"frames": 3})
    assert env.unwrapped.get_state() is kept


def test_a_state_fits_environments_that_differ_in_mode_period_and_reward(make, kit):
    env = make(control_period_s=0.5)
    env.reset(seed=0)
    other = make(action_mode="command", control_period_s=0.25, obs_mode="frame", reward={"progress": 1.0})
    other.unwrapped.set_state(env.unwrapped.get_state())
    observation, reward, *_ = other.step(0)
    assert observation.shape == (*kit.small, 3)
    assert reward > 0


def test_what_a_car_cannot_follow_is_projected_and_reported(make, kit):
    sideways = np.float32([[0, 5], [0, 10], [0, 15], [0, 20]])
    info = drive(make(), [sideways])[-1][4]
    moved = info["projection"]
    shift = np.linalg.norm(moved["requested_waypoints_m"] - moved["driven_waypoints_m"], axis=1).max()
    assert moved["distance_m"] == pytest.approx(shift)
    assert shift > 1
    assert info["reward_terms"]["feasibility"] == pytest.approx(-shift)


def test_consecutive_periods_join(make, kit):
    env = make(control_period_s=0.25)
    steps = drive(env, [kit.ahead(bend=0.005 * (-1) ** i) for i in range(8)])
    poses = np.concatenate([steps[0][4]["ego_pose"][-1:], *(step[4]["ego_pose"] for step in steps[1:])])
    gaps = np.linalg.norm(np.diff(poses[:, :2], axis=0), axis=1) * kit.fps
    assert np.abs(gaps - 6.0).max() < 0.3


def test_the_world_is_asked_in_the_agreed_way(make, kit):
    class Curious(kit.NoiseWorld):
        def begin(self, scene, seed):
            self.begun = scene, seed
            return super().begin(scene, seed)

        def advance(self, states, trajectories, num_frames):
            self.driven = trajectories, num_frames
            return super().advance(states, trajectories, num_frames)

    world = Curious()
    env = make(world, control_period_s=0.5)
    env.reset(seed=123)
    scene, seed = world.begun
    assert seed == 123
    assert scene.camera.intrinsics.image_size == kit.small
    env.step(kit.ahead())
    (trajectory,), num_frames = world.driven
    assert num_frames == 6
    assert len(trajectory.poses) >= 12


def test_a_world_that_returns_the_wrong_frames_is_named(make, kit):
    class Wrong(kit.NoiseWorld):
        def advance(self, states, trajectories, num_frames):
            following, frames = super().advance(states, trajectories, num_frames)
            return following, frames.astype(np.float32)

    env = make(Wrong())
    env.reset(seed=0)
    state = env.unwrapped.get_state()
    with pytest.raises(InvalidConfig, match="'noise' returned frames as float32"):
        env.step(kit.ahead())
    assert env.unwrapped.get_state() is state


def test_long_drives_on_a_straight_road_stay_finite(make, kit):
    env = make(action_mode="command", max_episode_s=20.0)
    steps = drive(env, [0, 0, 3, 3, 3, 3, 3, 0, 0, 0, 0])
    speeds = [step[0]["ego"][0] for step in steps]
    assert min(speeds) == pytest.approx(0, abs=0.05)
    assert speeds[-1] > 3
    assert all(np.isfinite(step[0]["ego"]).all() for step in steps)


def test_a_built_in_scene_starts_in_the_weather_that_was_asked_for():
    env = gym.make("LongDWM-v0", world="warp", prompt="Weather: clear. Time: nighttime.")
    night, _ = env.reset(seed=18)
    day, _ = env.reset(seed=18, options={"prompt": "Weather: clear. Time: daytime."})
    assert day["frames"].mean() > 1.5 * night["frames"].mean()
