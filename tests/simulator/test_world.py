import os
import subprocess
import sys

import numpy as np
import pytest

from longdwm_env.errors import InvalidScene
from longdwm_env.geometry.pose import relative_to
from longdwm_env.simulator import scene as scene_module
from longdwm_env.simulator.roads.road_kinds import ROAD_KINDS, kind_of_seed
from longdwm_env.simulator.scene import builtin_scene, default_camera, episode
from longdwm_env.simulator.traffic.ego_driver import drive
from longdwm_env.types import EgoState, Scene, Trajectory
from longdwm_env.worlds.simulator_world import SimulatorWorld

SIZE = (48, 72)
SEEDS = [next(seed for seed in range(400) if kind_of_seed(seed) == kind) for kind in ROAD_KINDS]


def begun(seed, size=SIZE):
    scene = builtin_scene(seed)
    return SimulatorWorld(size).begin(scene, 0)


def later_part(trajectory, done):
    here = trajectory.poses[done - 1]
    return Trajectory(
        trajectory.waypoints_m,
        relative_to(trajectory.poses[done:], here[None]),
        trajectory.speeds_mps[done:],
        trajectory.accelerations_mps2[done:],
        trajectory.yaw_rates_radps[done:],
        trajectory.waypoints_m,
    )


@pytest.mark.parametrize("seed", SEEDS[:2])
def test_two_half_seconds_make_a_second(seed):
    world, state = SimulatorWorld(SIZE), begun(seed)
    trajectory = drive(state, seed)
    (whole,), frames = world.advance([state], [trajectory], 12)
    (half,), first = world.advance([state], [trajectory], 6)
    (both,), second = world.advance([half], [later_part(trajectory, 6)], 6)
    # Composing two poses rounds differently from one: far below a micrometre, and so at most single grey levels.
    np.testing.assert_allclose(whole.arrays["positions_m"], both.arrays["positions_m"], atol=1e-7)
    np.testing.assert_allclose(whole.arrays["ego_pose"], both.arrays["ego_pose"], atol=1e-9)
    joined = np.concatenate([first[0], second[0]]).astype(int)
    assert np.abs(joined - frames[0]).max() <= 3


def test_the_ego_follows_its_trajectory_exactly():
    seed = SEEDS[0]
    state = begun(seed)
    trajectory = drive(state, seed)
    (after,), _ = SimulatorWorld(SIZE).advance([state], [trajectory], 12)
    moved = relative_to(after.arrays["ego_pose"], state.arrays["ego_pose"])
    np.testing.assert_allclose(moved, trajectory.poses[11], atol=1e-9)


def test_same_frames_in_another_process():
    code = (
        "import hashlib; from longdwm_env.simulator.traffic.ego_driver import drive;"
        "from longdwm_env.simulator.scene import builtin_scene;"
        "from longdwm_env.worlds.simulator_world import SimulatorWorld;"
        f"world = SimulatorWorld({SIZE}); state = world.begin(builtin_scene({SEEDS[3]}), 0);"
        f"(state,), frames = world.advance([state], [drive(state, {SEEDS[3]})], 12);"
        "print(hashlib.sha256(frames.tobytes() + state.arrays['ego_pose'].tobytes()).hexdigest())"
    )
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    import hashlib

    state = begun(SEEDS[3])
    (after,), frames = SimulatorWorld(SIZE).advance([state], [drive(state, SEEDS[3])], 12)
    digest = hashlib.sha256(frames.tobytes() + after.arrays["ego_pose"].tobytes()).hexdigest()
    assert out.stdout.split()[-1] == digest


def test_log_ends_where_the_world_begins():
    seed = SEEDS[4]
    scene = builtin_scene(seed)
    assert scene.log.num_past >= 48
    assert scene.log.ego_poses.shape == (scene.log.num_past + 1, 3)
    np.testing.assert_array_equal(scene.log.ego_poses[-1], scene.start.pose)
    camera = scene.camera.fitted(SIZE)
    frames = scene.log.images(-scene.log.num_past - 1, 2, camera)
    np.testing.assert_array_equal(frames[0], frames[1])
    with pytest.raises(ValueError, match="record ends"):
        scene.log.images(0, 2, camera)


def test_frames_before_the_start_are_drawn_once_and_belong_to_who_asked(monkeypatch):
    drawn, draw = [], scene_module.draw_frame
    monkeypatch.setattr(scene_module, "draw_frame", lambda *given: drawn.append(1) or draw(*given))
    scene_module._past_frame.cache_clear()
    log, camera = builtin_scene(SEEDS[0]).log, default_camera(SEEDS[0], (24, 36))
    first = log.images(-2, 3, camera)
    wanted = first.copy()
    first[:] = 0
    np.testing.assert_array_equal(log.images(-2, 3, camera), wanted)
    assert len(drawn) == 3
    assert not np.array_equal(log.prompted("Weather: Foggy.").images(-2, 3, camera), wanted)


def test_prompt_changes_the_conditions():
    scene = builtin_scene(SEEDS[0])
    night = scene.with_prompt("Time: nighttime. Weather: foggy.")
    state = SimulatorWorld(SIZE).begin(night, 0)
    assert (state.values["weather"], state.values["time_of_day"]) == ("fog", "night")
    own = scene.with_prompt("Road environment: a road")
    assert own.log.conditions == episode(SEEDS[0]).conditions


def test_only_builtin_scenes():
    scene = builtin_scene(SEEDS[0])
    with pytest.raises(InvalidScene, match="own scenes"):
        SimulatorWorld().begin(Scene("photo.png", scene.log, default_camera(0), EgoState()), 0)
    with pytest.raises(InvalidScene, match="numbered from 0"):
        builtin_scene(-1)
