import numpy as np
import pytest

from longdwm_env.agents.naming import make_policy
from longdwm_env.agents.policies.control_sampling import action_batch
from longdwm_env.agents.policy import PolicyContext
from longdwm_env.errors import InvalidConfig


@pytest.mark.parametrize("method", ["mppi", "cem"])
def test_planners_avoid_what_constant_velocity_hits(method, make_environment, make_scene, drive):
    environment = make_environment(make_scene(ahead_m=45.0))
    context = PolicyContext.of(environment)
    infos, planned = drive(environment, make_policy(f"{method}:samples=16", context), steps=8)
    assert infos[-1]["termination"] is None
    _, straight = drive(environment, make_policy("constant-velocity", context), steps=8)
    assert planned > straight + 5


def test_planning_leaves_the_environment_alone_and_repeats_itself(make_environment):
    environment = make_environment()
    context = PolicyContext.of(environment)
    actions = []
    for _ in range(2):
        policy = make_policy("mppi:samples=8,iterations=1", context)
        observation, info = environment.reset(seed=1)
        policy.reset(observation, info)
        before = environment.get_state()
        actions.append(policy.act(observation, info))
        assert environment.get_state() is before
    np.testing.assert_array_equal(*actions)


def test_a_batch_of_controls_is_its_members(make_environment):
    for mode in ("trajectory", "control"):
        context = PolicyContext.of(make_environment(action_mode=mode))
        random = np.random.default_rng(0)
        lateral, longitudinal = random.normal(size=(2, 5, 3))
        batch = action_batch(context, lateral, longitudinal, 7.0)
        assert batch.shape == (5, 3, *context.action_space.shape)
        for row in range(5):
            alone = action_batch(context, lateral[row : row + 1], longitudinal[row : row + 1], 7.0)
            np.testing.assert_allclose(batch[row], alone[0], rtol=1e-6)
            assert all(context.action_space.contains(action) for action in batch[row])


@pytest.mark.parametrize("setting", ["samples=2", "periods=0", "temperature=0", "speed_mps=-1"])
def test_settings_that_make_no_sense_are_refused(setting, make_environment):
    with pytest.raises(InvalidConfig):
        make_policy(f"mppi:{setting}", PolicyContext.of(make_environment()))
