import os
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest

pytest.importorskip("websockets", reason="websockets is not installed")

from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.server import ServerProtocol
from websockets.sync.client import connect
from websockets.sync.server import serve

from longdwm_env.agents.naming import PolicySpec, environment_needs, make_policy
from longdwm_env.agents.policy import PolicyContext, PolicyFailure
from longdwm_env.agents.remote import server as serving_module
from longdwm_env.agents.remote.client import TOKEN_VARIABLE, ask, connected
from longdwm_env.agents.remote.messages import Message, decode, encode
from longdwm_env.agents.remote.server import ROOM_BYTES, Memory, Session, start_server
from longdwm_env.agents.saved import space_to_json
from longdwm_env.errors import InvalidConfig


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


@pytest.mark.parametrize(("mode", "observed"), [("trajectory", "video"), ("control", "frame"), ("command", "video")])
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
        (lambda m: time.sleep(4) if m.type == "act" else good(m), "did not answer"),
    ],
)
def test_whatever_the_other_side_does_is_a_policy_failure(answering, make_environment, answer, reason):
    environment = make_environment()
    # Long enough for an answer on a loaded machine, where there is one.
    timeout_s = 2 if reason == "did not answer" else 60
    policy = make_policy(f"{answering(answer)}:timeout_s={timeout_s}", PolicyContext.of(environment))
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


def box(side, dtype="uint8"):
    return {"box": [0, 255], "shape": [side, side, 3], "dtype": dtype}


def hello(observation, **changed):
    values = {
        "action_mode": "trajectory",
        "control_period_s": 1.0,
        "observation_space": observation,
        "action_space": {"box": [-1, 1], "shape": [4, 2], "dtype": "float32"},
    }
    return encode(Message("hello", {**values, **changed}))


HOSTILE = {
    "many large parts": {"dict": {str(i): box(4096) for i in range(9)}},
    "more parts than arrays": {"dict": {str(i): box(1) for i in range(17)}},
    "one large part": box(20_000, "float64"),
    "parts within parts": {"dict": {"a": {"dict": {"b": {"dict": {"c": box(9)}}}}}},
    "wide numbers": {"box": [0, 1], "shape": [9], "dtype": "S100000000"},
    "objects": {"box": [0, 1], "shape": [9], "dtype": "O"},
    "more sizes than numpy has": {"box": [0, 1], "shape": [1] * 5000, "dtype": "uint8"},
    "a size with many digits": {"box": [0, 1], "shape": [10**4000], "dtype": "uint8"},
    "no number": {"discrete": 1e308},
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_what_a_hello_would_cost_is_judged_before_it_costs_it(kind):
    session = Session(PolicySpec.parse("constant-velocity"))
    message = hello(HOSTILE[kind])
    tracemalloc.start()
    answer = decode(session.answer(message))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.values["code"] == "values"
    assert peak < 20e6


def test_what_connections_announce_is_limited_together():
    memory = Memory(6 * (3 * 1000**2 + 32))
    one, other = (Session(PolicySpec.parse("constant-velocity"), memory) for _ in range(2))
    assert decode(one.answer(hello(box(1000)))).type == "ready"
    assert decode(other.answer(hello(box(1000)))).values["code"] == "busy"
    assert decode(one.answer(hello(box(1000)))).type == "ready"  # a second hello gives back what the first took
    assert decode(one.answer(hello({"discrete": -1}))).type == "error"
    assert decode(other.answer(hello(box(1000)))).type == "ready"
    other.close()
    assert decode(one.answer(hello(box(1000)))).type == "ready"


def test_messages_may_be_as_long_as_what_was_announced_and_no_longer(serving):
    poses = {"ego_pose": np.zeros((12, 3))}
    with connect(serving(), compression=None, max_size=None) as connection:
        connection.send(hello(box(1000)))
        assert decode(connection.recv()).type == "ready"
        connection.send(encode(Message("reset", {}, {"frame": np.zeros((1000, 1000, 3), np.uint8), **poses})))
        assert decode(connection.recv()).type == "ok"
        connection.send(bytes(ROOM_BYTES + 3 * 1000**2 + 1))
        with pytest.raises(ConnectionClosed, match="1009"):
            connection.recv()


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:8765"])
def test_no_page_in_a_browser_may_connect(serving, origin):
    with pytest.raises(InvalidStatus, match="403"), connect(serving(), origin=origin):
        pass


def test_a_side_that_takes_no_answers_is_cut_off(serving, monkeypatch):
    monkeypatch.setattr(serving_module, "SEND_S", 0.5)
    # A policy with a name so long that some answers fill what the system keeps for a reader that does not read.
    port = int(serving(f"constant-velocity:action_mode={'x' * 100_000}").rpartition(":")[2])
    question = encode(Message("describe"))
    frame = bytes([0x82, 0x80 | len(question), 0, 0, 0, 0]) + question
    asking = (
        "GET / HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", port)) as line:
        line.settimeout(60)
        line.sendall(asking.encode())

        def ask_without_end():
            while True:
                line.sendall(frame)
                time.sleep(0.01)

        with pytest.raises(ConnectionError):
            ask_without_end()


def test_a_client_does_not_wait_for_a_server_that_takes_nothing():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        taken = []

        def handshake():
            line, _ = listening.accept()
            taken.append(line)
            protocol = ServerProtocol()
            while not protocol.events_received():
                protocol.receive_data(line.recv(65536))
                for event in protocol.events_received():
                    protocol.send_response(protocol.accept(event))
                    line.sendall(b"".join(protocol.data_to_send()))
                    return

        threading.Thread(target=handshake, daemon=True).start()
        address = f"ws://127.0.0.1:{listening.getsockname()[1]}"
        large = Message("act", {}, {"frame": np.zeros((4000, 4000, 3), np.uint8)})
        with connected(address, 5.0) as connection, pytest.raises(PolicyFailure, match="did not answer"):
            ask(connection, large, 0.5)


STRANGE = (
    b'{"version": 1, "arrays": [], "type": "error", "code": "\\udc80", "message": "half a pair \\ud800, \\u001b[2J"}'
)


def test_what_a_remote_policy_says_is_cleaned_where_it_comes_in(answering, make_environment):
    environment = make_environment()
    answer = len(STRANGE).to_bytes(4, "little") + STRANGE
    policy = make_policy(answering(lambda m: answer if m.type == "act" else good(m)), PolicyContext.of(environment))
    observation, info = environment.reset(seed=0)
    policy.reset(observation, info)
    with pytest.raises(PolicyFailure, match="half a pair \ufffd, \ufffd") as caught:
        policy.act(observation, info)
    str(caught.value).encode("utf-8")


@pytest.mark.parametrize("address", ["ws://127.0.0.1:99999", "ws://\udce9", "ws://", "ws://[", "ws://a:b", "wss://."])
def test_an_address_that_is_none_is_a_policy_failure(make_environment, address):
    environment = make_environment()
    with pytest.raises(PolicyFailure):
        make_policy(address, PolicyContext.of(environment)).reset(*environment.reset(seed=0))


@pytest.mark.parametrize("seconds", ["0", "-1", "NaN", "1e9", "soon", "true"])
def test_a_time_limit_that_is_none_is_refused(make_environment, seconds):
    with pytest.raises(InvalidConfig, match="timeout_s"):
        make_policy(f"ws://127.0.0.1:9:timeout_s={seconds}", PolicyContext.of(make_environment()))


HANGING = """
import time
class Policy:
    def __init__(self, context): pass
    def reset(self, observation, info): time.sleep(600)
    def act(self, observation, info): return None
"""


def test_a_server_ends_when_asked_though_its_policy_hangs(tmp_path):
    (tmp_path / "hanging.py").write_text(HANGING)
    # Where the tests run in the background of a shell, the signal is ignored there and in all that they start.
    program = (
        "import signal, sys\nsignal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "from longdwm_env.cli import main\nfrom longdwm_env.cli.drives import serve_policy\n"
        "serve_policy.LAST_ANSWER_S = 0.5\n"
        f"sys.exit(main(['serve-policy', '--policy', {str(tmp_path / 'hanging.py')!r}, '--port', '0']))"
    )
    server = subprocess.Popen(
        [sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ)
    )
    address = server.stdout.readline().split()[-1]
    with connect(address, compression=None) as connection:
        connection.send(hello(box(4)))
        assert decode(connection.recv()).type == "ready"
        arrays = {"frame": np.zeros((4, 4, 3), np.uint8), "ego_pose": np.zeros((12, 3))}
        connection.send(encode(Message("reset", {}, arrays)))
        time.sleep(0.2)
        server.send_signal(signal.SIGINT)
        _, said = server.communicate(timeout=60)
    assert server.returncode == 128 + signal.SIGINT
    assert "no answer" in said
    assert "Traceback" not in said
