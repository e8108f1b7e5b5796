import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from longdwm_env import EgoState, InvalidAction, InvalidConfig
from longdwm_env.actions import (
    ACTION_MODES,
    COMMANDS,
    CRUISE_MPS,
    FAR_GOAL_M,
    TURN_RADIUS_M,
    action_space,
    checked_action,
    command_waypoints,
    goal_on_road,
    goal_waypoints,
    trajectory_from_action,
)
from longdwm_env.geometry.camera import project_points
from longdwm_env.geometry.kinematics import violations

SHAPES = {"trajectory": (4, 2), "control": (2,), "goal": (2,)}

anything = st.one_of(
    st.none(),
    st.text(max_size=3),
    st.booleans(),
    st.complex_numbers(),
    st.integers(),
    st.floats(),
    st.dictionaries(st.text(max_size=2), st.floats(), max_size=2),
    st.lists(st.one_of(st.floats(), st.none(), st.lists(st.floats(), max_size=3)), max_size=5),
    npst.arrays(
        st.one_of(npst.floating_dtypes(), npst.integer_dtypes(), npst.boolean_dtypes(), npst.complex_number_dtypes()),
        npst.array_shapes(min_dims=0, max_dims=3, max_side=5),
    ),
    npst.arrays(np.float64, (4, 2), elements=st.floats(allow_nan=True, allow_infinity=True)),
    npst.arrays(np.float64, (2,), elements=st.floats(allow_nan=True, allow_infinity=True)),
)


def test_the_four_modes_of_the_contract():
    assert ACTION_MODES == ("trajectory", "control", "command", "goal")
    for mode, shape in SHAPES.items():
        space = action_space(mode)
        assert space.shape == shape
        assert space.dtype == np.float32
        assert np.isfinite(space.low).all()
        assert np.isfinite(space.high).all()
    assert action_space("command").n == 4
    with pytest.raises(InvalidConfig, match="'trajectory', 'control', 'command', 'goal'"):
        action_space("joystick")


@pytest.mark.parametrize("mode", ACTION_MODES)
@settings(max_examples=3 * settings.default.max_examples)
@given(action=anything)
def test_an_environment_that_refuses_an_action_is_as_it_was(make, kit, mode, action):
    env = _one_of(make, mode)
    env.reset(seed=0)
    state = env.unwrapped.get_state()
    try:
        checked = checked_action(mode, action)
    except InvalidAction:
        with pytest.raises(InvalidAction):
            env.step(action)
        assert env.unwrapped.get_state() is state
    else:
        assert checked in action_space(mode)
    observation, *_ = env.step(kit.actions[mode])
    assert observation in env.observation_space


_made = {}


def _one_of(make, mode):
    if mode not in _made:
        _made[mode] = make(action_mode=mode)
    return _made[mode]


@pytest.mark.parametrize(
    ("mode", "action", "message"),
    [
        ("trajectory", np.full((4, 2), np.nan), r"action\[0, 0\] \(waypoint at 0.5 s, x, .*is nan.* -20 to 120"),
        ("trajectory", [[0, 0], [1, 0], [2, 0], [3, 61]], r"action\[3, 1\] \(waypoint at 2 s, y.*is 61.* -60 to 60"),
        ("trajectory", [[0, 0], [1, 0]], r"shape \(4, 2\), got \(2, 2\)"),
        ("trajectory", [[0, 0], [1]], r"shape \(4, 2\)"),
        ("control", [0.0, np.inf], r"action\[1\] \(acceleration, m/s2\) is inf"),
        ("control", ["a", "b"], "real numbers"),
        ("command", 4, r"command 4 does not exist; allowed are 0 \(go straight\)"),
        ("command", 1.0, "whole numbers"),
        ("command", True, "whole numbers"),
        ("goal", [0.5, 1.5], r"height\) is 1.5; .* 0 to 1"),
    ],
)
def test_errors_say_which_number_is_wrong_and_what_is_allowed(mode, action, message):
    with pytest.raises(InvalidAction, match=message):
        checked_action(mode, action)


def test_rounding_is_forgiven_and_precision_changes_nothing():
    high = action_space("control").high.astype(np.float64)
    np.testing.assert_array_equal(checked_action("control", high * (1 + 1e-7)), action_space("control").high)
    with pytest.raises(InvalidAction):
        checked_action("control", high * 1.001)
    waypoints = np.random.default_rng(0).uniform(0, 20, (4, 2))
    np.testing.assert_array_equal(*(checked_action("trajectory", w) for w in (waypoints, waypoints.astype(np.float32))))


@given(speed=st.floats(0, 35), command=st.integers(0, 3), u=st.floats(0, 1), v=st.floats(0, 1))
def test_commands_and_goals_are_within_what_a_car_can_do(kit, speed, command, u, v):
    camera = kit.a_camera()
    commanded = trajectory_from_action("command", command, EgoState(speed_mps=speed), camera)
    assert commanded.projection_m < 0.05
    towards = trajectory_from_action("goal", np.array([u, v]), EgoState(speed_mps=min(speed, 20)), camera)
    assert not violations(commanded)
    assert not violations(towards)
    assert np.isfinite(towards.poses).all()


@pytest.mark.parametrize("speed", [0.0, 5.0, 15.0, 30.0])
def test_commands_do_what_they_say(speed):
    straight, left, right, stop = (command_waypoints(command, speed) for command in range(4))
    assert COMMANDS == ("go straight", "turn left", "turn right", "stop")
    np.testing.assert_allclose(straight[:, 1], 0, atol=1e-9)
    assert straight[-1, 0] >= min(2 * speed, 2 * CRUISE_MPS)
    assert left[-1, 1] > 0.2
    np.testing.assert_allclose(left, right * [1, -1])
    assert stop[-1, 0] <= straight[-1, 0]
    steps = np.linalg.norm(np.diff(stop, axis=0), axis=1)
    assert (np.diff(steps) <= 1e-9).all()
    x, y = command_waypoints(1, 5.0)[-1]
    assert (x * x + y * y) / (2 * y) == pytest.approx(TURN_RADIUS_M, rel=1e-6), "no tighter than the turning radius"


@given(u=st.floats(0, 1), v=st.floats(0.6, 1))
def test_a_goal_on_the_road_projects_back_to_its_pixel(kit, u, v):
    camera = kit.a_camera()
    x, y = goal_on_road(np.array([u, v]), camera)
    pixels, _ = project_points(camera, np.array([[x, y, 0.0]]))
    height, width = camera.intrinsics.image_size
    np.testing.assert_allclose(pixels[0], [u * width - 0.5, v * height - 0.5], atol=1e-6)


@given(u=st.floats(0, 1), v=st.floats(0, 0.5))
def test_a_goal_above_the_horizon_is_far_away_in_its_direction(kit, u, v):
    x, y = goal_on_road(np.array([u, v]), kit.a_camera())
    assert np.hypot(x, y) == pytest.approx(FAR_GOAL_M)
    assert np.sign(y) == np.sign(0.5 - u) or abs(u - 0.5) < 1e-3


def test_goals_are_on_the_side_that_was_pointed_at_and_a_near_one_stops_the_car(kit):
    camera = kit.a_camera()
    left, right = (goal_waypoints(np.array([u, 0.75]), 5.0, camera) for u in (0.2, 0.8))
    assert left[-1, 1] > 0.3
    assert right[-1, 1] < -0.3
    near, far = (goal_waypoints(np.array([0.5, v]), 4.0, camera) for v in (1.0, 0.2))
    assert near[-1, 0] < goal_on_road(np.array([0.5, 1.0]), camera)[0]
    assert far[-1, 0] > 8.0


def test_tensors_of_any_type_are_actions(kit):
    torch = pytest.importorskip("torch")
    for dtype in ("float64", "float16", "bfloat16", "float8_e4m3fn", "int64", "int8", "uint8"):
        numbers = torch.tensor(kit.ahead(6.0)).round().to(getattr(torch, dtype))
        if numbers.is_floating_point():
            numbers.requires_grad_()
        expected = numbers.detach().float().numpy()
        for given_as in (numbers, list(numbers), [list(row) for row in numbers], numbers.T.contiguous().T):
            np.testing.assert_array_equal(checked_action("trajectory", given_as), expected)


def test_tensors_in_batches_futures_and_commands(make, kit):
    torch = pytest.importorskip("torch")
    actions = torch.tensor(np.stack([kit.ahead(), kit.ahead(4.0)]), requires_grad=True)
    vector = make(vector=2)
    seen = []
    for each in (actions, list(actions), actions.detach().numpy()):
        vector.reset(seed=0)
        seen.append(vector.step(each)[0]["frames"])
    np.testing.assert_array_equal(seen[0], seen[2])
    np.testing.assert_array_equal(seen[1], seen[2])
    env = _one_of(make, "trajectory")
    env.reset(seed=0)
    futures = [env.unwrapped.imagine(each).frames for each in (actions[:, None], actions.detach().numpy()[:, None])]
    np.testing.assert_array_equal(*futures)
    assert checked_action("command", torch.tensor(2)) == 2
    assert checked_action("command", torch.tensor(2, dtype=torch.int8)) == 2


def test_tensors_without_numbers_are_refused():
    torch = pytest.importorskip("torch")
    for tensor in (torch.zeros(4, 2, device="meta"), torch.zeros(4, 2).to_sparse(), torch.zeros(4, 2) * 1j):
        with pytest.raises(InvalidAction):
            checked_action("trajectory", tensor)
    for tensor in (torch.tensor(1.0), torch.tensor([1]), torch.tensor(True)):
        with pytest.raises(InvalidAction, match="whole numbers"):
            checked_action("command", tensor)


@pytest.mark.parametrize("seed", [-1, 2**63, 1.5, "7", [1], True + 0.5])
def test_seeds_that_are_none_are_refused(make, seed):
    with pytest.raises(InvalidConfig, match="a seed is a whole number"):
        _one_of(make, "trajectory").reset(seed=seed)


def test_seeds_are_of_any_whole_type_and_options_are_a_mapping(make):
    env = _one_of(make, "trajectory")
    for seed in (np.int64(7), np.uint8(7), np.array(7)):
        env.reset(seed=seed)
        kept = env.unwrapped.get_state().seed
        assert (type(kept), kept) == (int, 7)
    for options in ([], 3, "scene", ("scene", 1), {1: 2}):
        for each in (env, make(vector=2)):
            with pytest.raises(InvalidConfig, match="option"):
                each.reset(options=options)
