import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("websockets", reason="websockets is not installed")

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.sync.server import serve

from longdwm_env.agents.naming import PolicySpec, environment_needs, make_policy
from longdwm_env.agents.policy import PolicyContext, PolicyFailure
from longdwm_env.agents.remote.client import TOKEN_VARIABLE
from longdwm_env.agents.remote.messages import MAX_MESSAGE_BYTES, Message, decode, encode
from longdwm_env.agents.remote.server import Session, start_server
from longdwm_env.agents.saved import space_to_json
from longdwm_env.errors import InvalidConfig

KINDS = st.sampled_from(["describe", "hello", "reset", "act", "bye", ""])
VALUES = st.dictionaries(
    st.sampled_from(["info", "camera", "action_mode", "control_period_s", "observation_space", "action_space", "x"]),
    st.none() | st.integers() | st.text(max_size=5) | st.lists(st.integers(), max_size=2) | st.just({"discrete": 3}),
)


@pytest.fixture
def serving():
    servers = []

    def start(policy="constant-velocity", **options):
        server = start_server(policy, port=0, **options)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"ws://127.0.0.1:{server.socket.getsockname()[1]}"

    yield start
    for server in servers:
        server.shutdown()


@pytest.fixture
def answering():
    """A websocket server that answers whatever a function says."""
    servers = []

    def start(answer):
        def converse(connection):
            try:
                while True:
                    said = answer(decode(connection.recv()))
                    connection.close() if said is None else connection.send(said)
            except ConnectionClosed:
                return

        server = serve(converse, "127.0.0.1", 0)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"ws://127.0.0.1:{server.socket.getsockname()[1]}"

    yield start
    for server in servers:
        server.shutdown()


def good(message, **changed):
    replies = {
        "hello": Message("ready"),
        "reset": Message("ok"),
        "act": Message("action", {}, {"action": np.zeros((4, 2))}),
    }
    return encode({**replies, **changed}[message.type])


@given(st.lists(st.tuples(KINDS, VALUES), max_size=4), st.binary(max_size=30))
def test_a_session_answers_everything(messages, junk):
    session = Session(PolicySpec.parse("constant-velocity"))
    for data in [*(encode(Message(kind, values)) for kind, values in messages), junk, "text", None]:
        assert decode(session.answer(data)).type in ("error", "description", "ready", "ok", "action")


@pytest.mark.parametrize("mode", ["trajectory", "control", "command"])
@pytest.mark.parametrize("observed", ["video", "frame"])
def test_a_remote_policy_drives_as_the_policy_itself(serving, make_environment, drive, mode, observed):
    environment = make_environment(action_mode=mode, obs_mode=observed)
    context = PolicyContext.of(environment)
    infos = [drive(environment, make_policy(name, context), steps=3)[0] for name in ("random", serving("random"))]
    np.testing.assert_array_equal(infos[0][-1]["ego_pose"], infos[1][-1]["ego_pose"])


def test_order_and_shapes_are_watched(make_environment):
    environment = make_environment()
    session = Session(PolicySpec.parse("constant-velocity"))
    poses, ego = np.zeros((12, 3)), np.zeros(5, np.float32)
    frames = np.zeros((12, 24, 36, 3), np.uint8)

    def code(kind, values=None, arrays=None):
        answer = decode(session.answer(encode(Message(kind, values or {}, arrays or {}))))
        return answer.values["code"] if answer.type == "error" else answer.type

    assert code("act") == "order"
    hello = {
        "action_mode": "trajectory",
        "control_period_s": 1.0,
        "observation_space": space_to_json(environment.observation_space),
        "action_space": space_to_json(environment.action_space),
    }
    assert code("hello", {**hello, "action_mode": "fly"}) == "values"
    assert code("hello", hello) == "ready"
    assert code("act", arrays={"frames": frames, "ego": ego, "ego_pose": poses}) == "order"
    assert code("reset", arrays={"frames": frames[:1], "ego": ego, "ego_pose": poses}) == "observation"
    assert code("reset", arrays={"frames": frames, "ego": ego}) == "observation"
    assert code("reset", {"camera": 3}, {"frames": frames, "ego": ego, "ego_pose": poses}) == "malformed"
    assert code("reset", arrays={"frames": frames, "ego": ego, "ego_pose": poses}) == "ok"
    assert code("act", arrays={"frames": frames, "ego": ego, "ego_pose": poses}) == "action"
    assert code("dance") == "type"


def test_policies_that_need_the_environment_say_so(serving, make_environment):
    policy = make_policy(serving("idm"), PolicyContext.of(environment := make_environment()))
    with pytest.raises(PolicyFailure, match="where there is none"):
        policy.reset(*environment.reset(seed=0))


def test_the_server_tells_what_it_needs(serving):
    address = serving("random:action_mode=control,obs_mode=frame")
    needs = environment_needs(PolicySpec.parse(address))
    assert (needs.action_mode, needs.obs_mode) == ("control", "frame")


def test_tokens(serving, make_environment, monkeypatch):
    environment = make_environment()
    address = serving(token="secret")
    for token in (None, "wrong"):
        monkeypatch.delenv(TOKEN_VARIABLE, raising=False)
        if token is not None:
            monkeypatch.setenv(TOKEN_VARIABLE, token)
        with pytest.raises(PolicyFailure, match="401"):
            make_policy(address, PolicyContext.of(environment)).reset(*environment.reset(seed=0))
    monkeypatch.setenv(TOKEN_VARIABLE, "secret")
    make_policy(address, PolicyContext.of(environment)).reset(*environment.reset(seed=0))
    with pytest.raises(InvalidConfig, match="token"):
        start_server("random", host="0.0.0.0", port=0)


def test_a_malformed_message_gets_an_answer_and_the_connection_lives(serving):
    with connect(serving()) as connection:
        for junk in (b"", b"junk" * 10, "text", b"\xff" * 100):
            connection.send(junk)
            assert decode(connection.recv()).values["code"] == "malformed"
        connection.send(encode(Message("describe")))
        assert decode(connection.recv()).type == "description"


def test_a_message_that_is_too_large_ends_the_connection(serving):
    def send_and_hear(connection):
        connection.send(bytes(MAX_MESSAGE_BYTES + 1))
        return connection.recv()

    with connect(serving(), compression=None) as connection, pytest.raises(ConnectionClosed, match="1009"):
        send_and_hear(connection)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda m: good(m, act=Message("action", {}, {"action": np.zeros((3, 2))})), "shape"),
        (lambda m: good(m, act=Message("action", {}, {"action": np.full((4, 2), np.nan)})), "finite"),
        (lambda m: good(m, act=Message("action")), "no array"),
        (lambda m: good(m, act=Message("ok")), "was due"),
        (lambda m: good(m, act=Message("error", {"code": "policy_failed", "message": "tired"})), "tired"),
        (lambda m: b"junk" * 9 if m.type == "act" else good(m), "malformed"),
        (lambda m: None if m.type == "act" else good(m), "hung up"),
        (lambda m: time.sleep(2) if m.type == "act" else good(m), "did not answer"),
    ],
)
def test_whatever_the_other_side_does_is_a_policy_failure(answering, make_environment, answer, reason):
    environment = make_environment()
    policy = make_policy(f"{answering(answer)}:timeout_s=0.3", PolicyContext.of(environment))
    observation, info = environment.reset(seed=0)
    policy.reset(observation, info)
    with pytest.raises(PolicyFailure, match=reason):
        policy.act(observation, info)
    policy.reset(observation, info)
    policy.close()


def test_nobody_there_is_a_policy_failure(make_environment):
    environment = make_environment()
    with pytest.raises(PolicyFailure, match="cannot be reached"):
        make_policy("ws://127.0.0.1:9", PolicyContext.of(environment)).reset(*environment.reset(seed=0))
