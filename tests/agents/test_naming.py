import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.agents.naming import EnvironmentNeeds, PolicySpec, environment_needs, make_policy
from longdwm_env.agents.policies.degraded import Degraded
from longdwm_env.agents.policies.privileged import LaneKeeping
from longdwm_env.agents.policy import PolicyContext
from longdwm_env.errors import InvalidConfig

WORDS = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)


@given(
    WORDS,
    st.dictionaries(WORDS, st.integers() | st.booleans() | st.floats(-10, 10, allow_nan=False), max_size=4),
)
def test_what_is_written_is_what_is_read(name, values):
    values = {key: value for key, value in values.items() if key not in ("noise", "delay", "aggression", "blind")}
    text = ",".join(f"{key}={str(value).lower()}" for key, value in values.items())
    spec = PolicySpec.parse(f"{name}:{text}" if text else name)
    assert spec.target == name
    assert dict(spec.parameters) == pytest.approx(values)


def test_degradations_and_needs_are_told_apart_from_parameters():
    spec = PolicySpec.parse("idm:speed_mps=9,noise=0.3,delay=2,action_mode=control")
    assert (spec.target, dict(spec.parameters)) == ("idm", {"speed_mps": 9})
    assert dict(spec.degradations) == {"noise": 0.3, "delay": 2}
    assert environment_needs(spec) == EnvironmentNeeds("control", None)


class Watching:
    """Says how bright its picture is, and keeps what else it was told."""

    def __init__(self, context):
        self.seen = []

    def reset(self, observation, info):
        self.seen.append(observation)

    def act(self, observation, info):
        self.seen.append(observation)
        return np.zeros((4, 2), np.float32)


@pytest.mark.parametrize("obs_mode", ["video", "frame"])
def test_a_blind_policy_sees_black_and_knows_its_motion(make_environment, obs_mode):
    environment = make_environment(obs_mode=obs_mode)
    policy = make_policy(f"{__name__}:Watching:blind=true", PolicyContext.of(environment))
    observation, info = environment.reset(seed=0)
    policy.reset(observation, info)
    policy.act(observation, info)
    for seen in policy._policy.seen:
        ours, theirs = (one["frames"] if obs_mode == "video" else one for one in (observation, seen))
        assert ours.any()
        assert not theirs.any()
        assert ours.shape == theirs.shape
        if obs_mode == "video":
            np.testing.assert_array_equal(seen["ego"], observation["ego"])


def test_blindness_goes_with_other_faults_and_is_a_name():
    assert PolicySpec.parse("idm").blinded == "idm:blind=true"
    assert PolicySpec.parse("ws://host:1:noise=0.3").blinded == "ws://host:1:noise=0.3,blind=true"
    assert PolicySpec.parse("idm:blind=true").blinded == "idm:blind=true"
    assert PolicySpec.parse("idm:blind=false,noise=1").blinded == "idm:blind=true,noise=1"


@pytest.mark.parametrize("text", ["module.sub:factory", "ws://127.0.0.1:8765", "some/file.py", "C:/model.safetensors"])
def test_colons_that_are_no_parameters_stay(text):
    assert PolicySpec.parse(text).target == text
    assert PolicySpec.parse(f"{text}:speed=3").parameters == {"speed": 3}


def test_a_file_and_a_module_bring_policies(tmp_path, make_environment):
    context = PolicyContext.of(make_environment())
    file = tmp_path / "mine.py"
    file.write_text(
        "class Policy:\n def __init__(self, context, gain=1): self.gain = gain\n"
        " def reset(self, observation, info): pass\n def act(self, observation, info): return 0\n"
    )
    assert make_policy(f"{file}:gain=3", context).gain == 3
    made = make_policy("longdwm_env.agents.policies.privileged:LaneKeeping:speed_mps=5,noise=0.1", context)
    assert isinstance(made, Degraded)
    assert isinstance(make_policy("idm", context), LaneKeeping)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no-such", "there are constant-velocity"),
        ("idm:blind=0.5", "blind is true or false"),
        ("idm:speed=9", "speed_mps"),
        ("idm:speed_mps", "not key=value"),
        ("idm:speed_mps=1,speed_mps=2", "key=value"),
        ("idm:noise=-1", "noise must be"),
        ("idm:speed_mps=-3", "above zero"),
        ("no_such_module:factory", "cannot import"),
        ("longdwm_env.agents.policies.privileged:Nothing", "LaneKeeping"),
        ("missing.py", "no such file"),
        ("missing.safetensors", "no saved policy"),
        ("model.zip", "never loads"),
        ("builtins:str", "has no reset and act"),
        (":a=1", "no name"),
    ],
)
def test_mistakes_are_named(name, message, make_environment):
    with pytest.raises(InvalidConfig, match=message):
        make_policy(name, PolicyContext.of(make_environment()))


def test_a_file_that_fails_says_how(tmp_path, make_environment):
    file = tmp_path / "broken.py"
    file.write_text("raise RuntimeError('out of coffee')")
    with pytest.raises(InvalidConfig, match="out of coffee"):
        make_policy(str(file), PolicyContext.of(make_environment()))
    file.write_text("x = 1")
    with pytest.raises(InvalidConfig, match="make_policy"):
        make_policy(str(file), PolicyContext.of(make_environment()))
