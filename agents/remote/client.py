"""A policy that answers over a websocket, as a policy like any other."""

import os
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

import numpy as np
from gymnasium import spaces

from longdwm_env.actions import Action
from longdwm_env.agents.policy import PolicyContext, PolicyFailure, episode_camera
from longdwm_env.agents.policy_spec import EnvironmentNeeds, PolicySpec
from longdwm_env.agents.remote.messages import (
    MAX_MESSAGE_BYTES,
    MalformedMessage,
    Message,
    camera_to_json,
    decode,
    encode,
)
from longdwm_env.agents.remote.waiting import at_most
from longdwm_env.agents.saved import space_to_json
from longdwm_env.episodes.observation import Info, Observation
from longdwm_env.errors import MissingDependency
from longdwm_env.io.words import clean

if TYPE_CHECKING:
    from websockets.sync.client import ClientConnection

TOKEN_VARIABLE = "LONGDWM_POLICY_TOKEN"
"""Environment variable with the token: in a policy's name it would end up in reports."""

SENT_INFOS = ("scene", "prompt", "seed")
"""What of the infos is sent to a remote policy, besides poses and camera."""


class RemotePolicy:
    """The client's side. Whatever goes wrong over there is a ``PolicyFailure`` here; the next episode connects anew.

    Args:
        address: ``ws://host:port`` or ``wss://host:port``.
        context: of the environment.
        timeout_s: for each answer.
        connect_timeout_s: for the connection.

    Raises:
        ValueError: a time that is no number of seconds above zero.
    """

    def __init__(
        self, address: str, context: PolicyContext, timeout_s: float = 10.0, connect_timeout_s: float = 10.0
    ) -> None:
        for name, seconds in (("timeout_s", timeout_s), ("connect_timeout_s", connect_timeout_s)):
            # A day is more than any answer takes, and less than what clocks cannot count.
            if type(seconds) not in (int, float) or not 0 < seconds <= 86400:
                raise ValueError(f"{name} is a number of seconds from above 0 to 86400, got {str(seconds)[:50]}")
        self._address, self._context = address, context
        self._timeout_s, self._connect_timeout_s = timeout_s, connect_timeout_s
        self._connection: ClientConnection | None = None
        self._held = ExitStack()

    def reset(self, observation: Observation, info: Info) -> None:
        """Tell the policy that an episode begins; connects if there is no connection.

        Raises:
            PolicyFailure: it cannot be reached, or rejects the client.
        """
        if self._connection is None:
            self._connection = self._held.enter_context(connected(self._address, self._connect_timeout_s))
            hello = {
                "action_mode": self._context.action_mode,
                "control_period_s": self._context.control_period_s,
                "observation_space": space_to_json(self._context.observation_space),
                "action_space": space_to_json(self._context.action_space),
            }
            self._ask(Message("hello", hello), "ready")
        values: dict[str, object] = {"info": {key: info[key] for key in SENT_INFOS if key in info}}
        values["camera"] = camera_to_json(episode_camera(self._context, info))
        self._ask(Message("reset", values, _arrays(observation, info)), "ok")

    def act(self, observation: Observation, info: Info) -> Action:
        """Ask for an action.

        Raises:
            PolicyFailure: no answer in time, or none that is an action.
        """
        answer = self._ask(Message("act", {}, _arrays(observation, info)), "action")
        space = self._context.action_space
        if isinstance(space, spaces.Discrete):
            number = answer.values.get("action")
            if type(number) is not int:
                self._fail(f"answered {str(number)[:100]!r} where a command is a whole number")
            return number
        action = answer.arrays.get("action")
        if action is None or action.shape != space.shape:
            given = "no array 'action'" if action is None else f"an action of shape {action.shape}"
            self._fail(f"answered {given}; expected finite numbers of shape {space.shape}")
        with np.errstate(over="ignore"):
            numbers = action.astype(np.float32)
        if not np.isfinite(numbers).all():
            self._fail("answered an action of numbers that are not finite")
        return numbers

    def close(self) -> None:
        """Hang up."""
        self._connection = None
        # However the other side takes it: the connection is no longer used.
        with suppress(Exception):
            self._held.close()

    def _ask(self, message: Message, expected: str) -> Message:
        assert self._connection is not None, "reset comes before act"
        try:
            answer = ask(self._connection, message, self._timeout_s)
        except PolicyFailure as error:
            self._fail(str(error))
        if answer.type != expected:
            self._fail(f"answered {answer.type[:50]!r} where {expected!r} was due")
        return answer

    def _fail(self, reason: str) -> NoReturn:
        self.close()
        raise PolicyFailure(f"the policy at {self._address} {clean(reason)}")


@contextmanager
def connected(address: str, timeout_s: float) -> "Iterator[ClientConnection]":
    """A connection, with the token from the environment where there is one.

    Raises:
        PolicyFailure: no server answers, or it rejects the token.
        MissingDependency: websockets is not installed.
    """
    try:
        from websockets.exceptions import WebSocketException
        from websockets.sync.client import connect
    except ImportError as error:
        raise MissingDependency("remote policies need websockets: pip install 'longdwm[remote]'") from error
    token = os.environ.get(TOKEN_VARIABLE)
    headers = {"Authorization": f"Bearer {token}"} if token else None
    with ExitStack() as stack:
        try:
            connection = stack.enter_context(
                connect(
                    address,
                    additional_headers=headers,
                    open_timeout=timeout_s,
                    close_timeout=2.0,
                    max_size=MAX_MESSAGE_BYTES,
                    compression=None,
                )
            )
        except (OSError, WebSocketException, ValueError, OverflowError) as error:
            raise PolicyFailure(f"the policy at {address} cannot be reached: {clean(error)}") from error
        yield connection


def ask(connection: "ClientConnection", message: Message, timeout_s: float) -> Message:
    """Send a message and wait for the answer.

    Raises:
        PolicyFailure: no answer in time, a closed connection, a malformed answer, or an answer that is an error.
    """
    from websockets.exceptions import WebSocketException

    try:
        with at_most(connection, timeout_s):
            connection.send(encode(message))
        answer = decode(connection.recv(timeout=timeout_s))
    except TimeoutError as error:
        raise PolicyFailure(f"did not answer {message.type!r} within {timeout_s:g} s") from error
    except (OSError, WebSocketException) as error:
        raise PolicyFailure(f"hung up: {clean(error)}") from error
    except MalformedMessage as error:
        raise PolicyFailure(f"sent a malformed message: {clean(error)}") from error
    if answer.type == "error":
        said, code = (clean(answer.values.get(name, ""), limit) for name, limit in (("message", 500), ("code", 50)))
        raise PolicyFailure(f"answered with an error ({code or 'unknown'}): {said}")
    return answer


def ask_needs(spec: PolicySpec) -> EnvironmentNeeds:
    """What environment the policy behind an address was made for.

    Raises:
        PolicyFailure: it cannot be reached.
    """
    with connected(spec.target, 10.0) as connection:
        values = ask(connection, Message("describe"), 10.0).values
    named = {key: values.get(key) for key in ("action_mode", "obs_mode")}
    return EnvironmentNeeds(**{key: value if isinstance(value, str) else None for key, value in named.items()})


def _arrays(observation: Observation, info: Info) -> dict[str, np.ndarray]:
    seen = dict(observation) if isinstance(observation, Mapping) else {"frame": observation}
    return {"ego": np.asarray(info["ego"], np.float32), **seen, "ego_pose": np.asarray(info["ego_pose"], np.float64)}
