"""Bad policies, messages, answers, files and settings, on seeds: our own errors come of them, and nothing else.

``LONGDWM_FUZZ_CASES=20000`` in the environment tries as many of each (CONTRIBUTING.md).
"""

import json
import random
import struct

import numpy as np

from longdwm_env.agents.naming import PolicySpec
from longdwm_env.agents.policy import PolicyContext
from longdwm_env.agents.remote.client import RemotePolicy
from longdwm_env.agents.remote.messages import Message, decode, encode
from longdwm_env.agents.remote.server import Session
from longdwm_env.agents.saved import space_to_json
from longdwm_env.errors import LongDWMError
from longdwm_env.evaluation.policies.episode_worker import Worker
from longdwm_env.evaluation.policies.evaluation_config import EvaluationConfig, Job
from longdwm_env.scenes import ListedScenes

from .damage import anything, array, cases, changed


def message(chance: random.Random, kinds, values, good=None) -> bytes:
    """A message of our own format, damaged now and then, with ``good`` arrays or any others."""
    header = {"version": 1, "type": chance.choice(kinds), "arrays": [], **values}
    blobs = []
    named = dict(good) if good and chance.random() < 0.5 else {}
    for name in chance.sample(["frames", "frame", "ego", "ego_pose", "action"], chance.randrange(3)):
        named[name] = array(chance)
    for name, given in named.items():
        header["arrays"].append({"name": name, "dtype": given.dtype.name, "shape": list(given.shape)})
        blobs.append(given.tobytes())
    for _ in range(chance.randrange(3)):
        header = changed(chance, header)
    text = json.dumps(header).encode()
    data = bytearray(b"".join([struct.pack("<I", len(text)), text, *blobs]))
    if chance.random() < 0.2:
        data[chance.randrange(len(data))] = chance.randrange(256)
    return bytes(data[: chance.randrange(len(data))] if chance.random() < 0.05 else data)


def test_sessions_of_the_server(make_environment):
    environment = make_environment()
    hello = {
        "action_mode": "trajectory",
        "control_period_s": 1.0,
        "observation_space": space_to_json(environment.observation_space),
        "action_space": space_to_json(environment.action_space),
    }
    observation, info = environment.reset(seed=0)
    arrays = {**observation, "ego_pose": info["ego_pose"]}
    camera = {"intrinsics": [50, 50, 18, 12], "width_px": 36, "height_px": 24, "translation_m": [1.7, 0.0, 1.5]}
    told = {"info": {"scene": "x", "seed": 3}, "camera": {**camera, "rotation_wxyz": [0.5, -0.5, 0.5, -0.5]}}
    answered = set()
    for chance in cases():
        session = Session(PolicySpec.parse(chance.choice(["random", "lane-camera", "constant-velocity", "idm"])))
        if chance.random() < 0.8:
            session.answer(encode(Message("hello", hello)))
        if chance.random() < 0.5:
            session.answer(encode(Message("reset", told, arrays)))
        for _ in range(2):
            answer = decode(
                session.answer(message(chance, ["describe", "hello", "reset", "act"], {**hello, **told}, arrays))
            )
            answered.add(answer.values.get("code", answer.type))
        session.close()
    assert {"malformed", "values", "observation", "action", "ready"} <= answered


class Told:
    """A connection on which the other side has said something already."""

    def __init__(self, said):
        self.said = said

    def send(self, data):
        pass

    def recv(self, timeout):
        return self.said


def test_answers_of_remote_policies(make_environment):
    environment = make_environment()
    commands = make_environment(action_mode="command")
    outcomes = set()
    for chance in cases():
        driven = chance.choice([environment, commands])
        observation, info = driven.reset(seed=0)
        policy = RemotePolicy("ws://nowhere:1", PolicyContext.of(driven))
        policy._connection = Told(
            message(chance, ["action", "action", "error"], {"action": 2, "code": "x", "message": "y"})
        )
        try:
            driven.step(policy.act(observation, info))
        except LongDWMError as error:
            str(error).encode("utf-8")
            outcomes.add("refused")
        else:
            outcomes.add("driven")
    assert outcomes == {"refused", "driven"}


class Odd:
    """A policy whose actions and errors are whatever chance says."""

    def __init__(self, chance):
        self.chance = chance

    def reset(self, observation, info):
        if self.chance.random() < 0.05:
            raise self.chance.choice(
                [KeyError("x"), SystemExit(1), MemoryError(), RecursionError("\ud800"), StopIteration()]
            )

    def act(self, observation, info):
        kind = self.chance.randrange(8)
        if kind == 0:
            raise self.chance.choice([ValueError("\udce9"), SystemExit(), AssertionError()])
        if kind == 1:
            return anything(self.chance)
        if kind == 2:
            return array(self.chance)
        if kind == 3:
            return np.array(["a", "b"])
        if kind == 4:
            return object()
        return np.full((4, 2), self.chance.choice([1.0, 5.0, 1e30, -3.0]), np.float32)


def test_policies_of_all_kinds_in_an_evaluation(make_scene, grey_world, monkeypatch):
    config = EvaluationConfig(("odd",), world="grey", max_episode_s=3.0, videos=False, reference=None)
    worker = Worker(config, grey_world, ListedScenes([make_scene()]))
    seen = set()
    for chance in cases():
        monkeypatch.setattr(
            "longdwm_env.evaluation.policies.episode_worker.make_policy", lambda *_, chance=chance: Odd(chance)
        )
        record = worker.run(Job("odd", 0, 0)).record
        json.dumps(record, allow_nan=False)
        record["failure"].encode("utf-8")
        seen.add(record["status"])
    assert seen == {"failed", "done"}
