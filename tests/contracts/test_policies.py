"""Every policy keeps what a policy promises; and each broken promise is found."""

import numpy as np
import pytest

from longdwm_env.agents.naming import REGISTRY, make_policy
from longdwm_env.agents.policy import PolicyContext
from longdwm_env.contracts import BrokenPromise, check_policy
from longdwm_env.env import LongDWMEnv
from longdwm_env.scenes import ListedScenes

from ..agents.conftest import GreyWorld, straight_scene

PARAMETERS = {"mppi": ":samples=8", "cem": ":samples=8"}


@pytest.fixture(params=["trajectory", "control"])
def environment(request):
    scenes = ListedScenes([straight_scene("near", 30.0), straight_scene("far", 60.0, 5.0)])
    env = LongDWMEnv(world=GreyWorld(), scenes=scenes, max_episode_s=10.0, action_mode=request.param)
    yield env
    env.close()


@pytest.mark.parametrize("name", [*REGISTRY, "constant-velocity:noise=0.3,delay=1"])
def test_our_own_keep_their_promises(environment, name):
    spec = name + PARAMETERS.get(name, "")
    check_policy(make_policy(spec, PolicyContext.of(environment)), environment)


class Straight:
    """Keeps its promises: straight on."""

    def __init__(self, environment):
        self.action = np.zeros(environment.action_space.shape, np.float32)
        self.environment = environment

    def reset(self, observation, info):
        pass

    def act(self, observation, info):
        return self.action.copy()


class Remembers(Straight):
    def act(self, observation, info):
        self.action += 0.01
        return super().act(observation, info)


class Paints(Straight):
    def act(self, observation, info):
        observation["frames"].flags.writeable = True
        observation["frames"][:] = 0
        return super().act(observation, info)


class Drives(Straight):
    def act(self, observation, info):
        self.environment.step(self.action)
        return super().act(observation, info)


def acts(change):
    """A policy whose actions are changed."""

    def make(environment):
        policy = Straight(environment)
        policy.act = lambda *_: policy.action + np.float32(change())
        return policy

    return make


def notes(environment):
    policy = Straight(environment)
    policy.reset = lambda observation, info: info.update(seen=True)
    return policy


BROKEN = [
    (lambda _: type("Mute", (), {"reset": Straight.reset})(), "has no act"),
    (Remembers, "forgotten the episode before"),
    (acts(lambda: 0.1 * np.random.random()), "forgotten the episode before"),  # noqa: NPY002
    (acts(lambda: 1e6), "lies in the action space"),
    (Paints, "act leaves the observation"),
    (notes, "reset leaves the observation"),
    (Drives, "where it is"),
]


@pytest.mark.parametrize(("broken", "told"), BROKEN)
def test_a_broken_promise_is_found(environment, broken, told):
    check_policy(Straight(environment), environment)
    with pytest.raises(BrokenPromise, match=told):
        check_policy(broken(environment), environment)
