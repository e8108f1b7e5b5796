"""Serve a policy to evaluations elsewhere: one thread and one policy for each connection.

A message is judged by what it would cost before it costs it: how long it may be depends on what was announced, and what
all connections announce together is limited too.
"""

import hmac
import http
import logging
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from gymnasium import spaces

from longdwm_env.agents.loopback import is_loopback
from longdwm_env.agents.naming import PolicySpec, environment_needs, make_policy
from longdwm_env.agents.policy import Policy, PolicyContext
from longdwm_env.agents.remote.client import SENT_INFOS
from longdwm_env.agents.remote.messages import (
    MAX_HEADER_BYTES,
    MAX_MESSAGE_BYTES,
    MalformedMessage,
    Message,
    camera_from_json,
    decode,
    encode,
)
from longdwm_env.agents.remote.waiting import SEND_S, at_most
from longdwm_env.agents.saved import space_bytes, space_from_json
from longdwm_env.episodes.observation import Info, Observation
from longdwm_env.errors import InvalidConfig, LongDWMError, MissingDependency
from longdwm_env.io.words import clean
from longdwm_env.types import Camera

if TYPE_CHECKING:
    from websockets.http11 import Request, Response
    from websockets.sync.server import Server, ServerConnection

log = logging.getLogger(__name__)

IDLE_S = 600.0
"""A connection without a message for so long is closed."""

MAX_CONNECTIONS = 16

MAX_HELD_BYTES = 1 << 30
"""What the spaces of all connections take in memory, together."""

COPIES = 6
"""Bytes that a space takes for each byte of an observation: its bounds, which of them are finite, and making them."""

ROOM_BYTES = 4 + MAX_HEADER_BYTES + (1 << 20)
"""Of a message beside the observation: its header, the poses and the ego's motion."""


class Memory:
    """Bytes that may still be taken, shared by all connections."""

    def __init__(self, free: int = MAX_HELD_BYTES) -> None:
        self._free, self._lock = free, threading.Lock()

    def exchange(self, given_back: int, taken: int) -> bool:
        """Give back and take at once; False, and nothing done, where there is not enough."""
        with self._lock:
            if taken > self._free + given_back:
                return False
            self._free += given_back - taken
            return True


class Refusal(LongDWMError):
    """What the client receives when its message cannot be answered: a code and a message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Session:
    """One connection's policy and what may come next. Pure bookkeeping: bytes in, bytes out.

    Attributes:
        longest_bytes: of a message that could be answered now.
    """

    def __init__(self, spec: PolicySpec, memory: Memory | None = None) -> None:
        self._spec, self._memory, self._held = spec, memory or Memory(), 0
        self.longest_bytes = ROOM_BYTES
        self._policy: Policy | None = None
        self._context: PolicyContext | None = None
        self._driving = False
        self._infos: dict[str, object] = {}

    def answer(self, data: object) -> bytes:
        """The answer to a message. Whatever the message, there is one."""
        try:
            reply = self._reply(decode(data))
            return encode(reply)
        except MalformedMessage as error:
            return _error("malformed", str(error))
        except Refusal as error:
            return _error(error.code, str(error))
        except LongDWMError as error:
            return _error("policy", str(error))
        except (Exception, SystemExit) as error:  # the policy is the user's: what it raises is for its episode only
            log.exception("the policy failed")
            return _error("policy_failed", f"{type(error).__name__}: {clean(error)}")

    def close(self) -> None:
        """Let go of what was announced."""
        self._forget()

    def _forget(self) -> None:
        self._policy = self._context = None
        self._driving = False
        self._memory.exchange(self._held, 0)
        self._held, self.longest_bytes = 0, ROOM_BYTES

    def _reply(self, message: Message) -> Message:
        if message.type == "describe":
            needs = environment_needs(self._spec)
            described = {"policy": self._spec.text, "action_mode": needs.action_mode, "obs_mode": needs.obs_mode}
            return Message("description", described)
        if message.type == "hello":
            return self._hello(message)
        if message.type == "reset":
            return self._reset(message)
        if message.type == "act":
            return self._act(message)
        raise Refusal("type", f"there is no message {message.type[:50]!r}; there are describe, hello, reset, act")

    def _hello(self, message: Message) -> Message:
        values = message.values
        self._forget()
        try:
            described = [values[key] for key in ("observation_space", "action_space")]
            observed_bytes, acts_bytes = (space_bytes(space) for space in described)
            cost = COPIES * (observed_bytes + acts_bytes)
            if not self._memory.exchange(0, cost):
                raise Refusal("busy", f"{cost} bytes are not free: other connections announced large observations")
            self._held = cost
            observed, acts = (space_from_json(space) for space in described)
            context = PolicyContext(observed, acts, values["action_mode"], float(values["control_period_s"]))
        except KeyError as error:
            raise Refusal("values", f"hello needs {error}") from error
        except (InvalidConfig, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise Refusal("values", str(error)) from error
        self._policy, self._context = make_policy(self._spec, context), context
        self.longest_bytes = min(ROOM_BYTES + observed_bytes, MAX_MESSAGE_BYTES)
        return Message("ready", {"policy": self._spec.text})

    def _reset(self, message: Message) -> Message:
        policy, _ = self._introduced()
        infos = message.values.get("info", {})
        if not isinstance(infos, dict):
            raise Refusal("values", "'info' is a JSON object")
        self._infos = {name: infos[name] for name in SENT_INFOS if name in infos}
        if message.values.get("camera") is not None:
            self._infos["camera"] = self._fitting(camera_from_json(message.values["camera"]))
        self._driving = False
        policy.reset(*self._seen(message.arrays))
        self._driving = True
        return Message("ok")

    def _act(self, message: Message) -> Message:
        policy, context = self._introduced()
        if not self._driving:
            raise Refusal("order", "reset comes before act")
        action = policy.act(*self._seen(message.arrays))
        if isinstance(context.action_space, spaces.Discrete):
            return Message("action", {"action": int(action)})
        return Message("action", {}, {"action": np.asarray(action, np.float32)})

    def _fitting(self, camera: Camera) -> Camera:
        """The camera, if it is that of the announced pictures: what a policy makes of it is as large as they are."""
        assert self._context is not None
        space = self._context.observation_space
        parts = space.spaces.values() if isinstance(space, spaces.Dict) else [space]
        sizes = [tuple(part.shape[-3:-1]) for part in parts if part.shape is not None and len(part.shape) >= 3]
        if camera.intrinsics.image_size not in sizes:
            raise Refusal("values", f"the camera is of {camera.intrinsics.image_size} pixels, the pictures of {sizes}")
        return camera

    def _introduced(self) -> tuple[Policy, PolicyContext]:
        if self._policy is None or self._context is None:
            raise Refusal("order", "hello comes first")
        return self._policy, self._context

    def _seen(self, arrays: Mapping[str, np.ndarray]) -> tuple[Observation, Info]:
        assert self._context is not None
        space = self._context.observation_space
        wanted = dict(space.spaces) if isinstance(space, spaces.Dict) else {"frame": space}
        observation = {}
        for name, part in wanted.items():
            array = arrays.get(name)
            if array is None or array.shape != part.shape or array.dtype != part.dtype:
                given = "nothing" if array is None else f"{array.dtype} {array.shape}"
                raise Refusal("observation", f"array {name!r} is {given}, expected {part.dtype} {part.shape}")
            observation[name] = array
        poses = arrays.get("ego_pose")
        if poses is None or poses.ndim != 2 or poses.shape[1] != 3 or not len(poses) or not np.isfinite(poses).all():
            raise Refusal("observation", "array 'ego_pose' is finite numbers (T, 3)")
        seen = observation if isinstance(space, spaces.Dict) else observation["frame"]
        info = {**self._infos, "ego_pose": poses}
        # Earlier clients send the ego's motion only as a part of the observation.
        ego = arrays.get("ego")
        if ego is not None:
            if ego.shape != (5,) or not np.isfinite(ego).all():
                raise Refusal("observation", "array 'ego' is five finite numbers")
            info["ego"] = ego
        return seen, info


def _error(code: str, message: str) -> bytes:
    return encode(Message("error", {"code": code, "message": clean(message)}))


def start_server(policy: str, host: str = "127.0.0.1", port: int = 8765, token: str | None = None) -> "Server":
    """Open the socket; ``serve_forever()`` of what is returned answers until ``shutdown()``.

    Args:
        policy: its name; see ``naming``.
        host: loopback by default. Any other needs a token.
        port: 0 picks a free one.
        token: that clients must present as ``Authorization: Bearer TOKEN``.

    Raises:
        InvalidConfig: an open address without a token, a policy that does not exist, or a port that cannot be had.
        MissingDependency: websockets is not installed.
    """
    try:
        from websockets.sync.server import serve
    except ImportError as error:
        raise MissingDependency("serving policies needs websockets: pip install 'longdwm[remote]'") from error
    if not token and not is_loopback(host):
        raise InvalidConfig(f"host={host!r} can be reached from other machines, so a token is needed")
    spec = PolicySpec.parse(policy)
    if spec.is_remote:
        raise InvalidConfig("a remote policy cannot be served again; name the policy itself")
    environment_needs(spec)
    places, memory = threading.BoundedSemaphore(MAX_CONNECTIONS), Memory()

    def check(connection: "ServerConnection", request: "Request") -> "Response | None":
        given = request.headers.get("Authorization", "")
        if token and not hmac.compare_digest(given.encode(), f"Bearer {token}".encode()):
            return connection.respond(http.HTTPStatus.UNAUTHORIZED, "wrong or missing token\n")
        return None

    def converse(connection: "ServerConnection") -> None:
        if not places.acquire(blocking=False):
            connection.close(1013, f"at most {MAX_CONNECTIONS} connections at once")
            return
        session = Session(spec, memory)
        try:
            _converse(connection, session)
        finally:
            session.close()
            places.release()

    try:
        return serve(
            converse,
            host,
            port,
            process_request=check,
            # Browsers name the page that asks: whatever page is open there, it may not talk to a policy here.
            origins=[None],
            max_size=ROOM_BYTES,
            # One message is read while the one before is answered.
            max_queue=1,
            compression=None,
            open_timeout=10,
            close_timeout=2,
        )
    except (OSError, OverflowError, ValueError) as error:
        raise InvalidConfig(f"cannot listen on {host}:{port}: {error}") from error


def _converse(connection: "ServerConnection", session: Session) -> None:
    from websockets.exceptions import ConnectionClosed

    try:
        while True:
            answer = session.answer(connection.recv(timeout=IDLE_S))
            _limit(connection, session.longest_bytes)
            with at_most(connection, SEND_S):
                connection.send(answer)
    except TimeoutError:
        with at_most(connection, SEND_S):
            connection.close(1001, f"nothing was asked for {IDLE_S:g} s, or no answer taken for {SEND_S:g} s")
    except ConnectionClosed:
        return


def _limit(connection: "ServerConnection", size: int) -> None:
    """Longer messages than this end the connection before they are read."""
    protocol: Any = connection.protocol
    # Called the one or the other, depending on the version of websockets.
    for name in ("max_message_size", "max_size"):
        if hasattr(protocol, name):
            setattr(protocol, name, size)
