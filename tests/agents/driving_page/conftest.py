"""A server on loopback that drives into a photograph, and a browser's side of the conversation without a browser."""

import http.client
import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from websockets.sync.client import connect

from longdwm_env.agents.driving.engine.drive_options import DriveOptions
from longdwm_env.agents.driving_page.page_server import PageServer
from longdwm_env.io.figures import save_picture

PATIENCE_S = 40.0
"""Far longer than anything takes: these tests say what happens, not how soon."""


def street(seed: int = 0, size: tuple[int, int] = (96, 144)) -> np.ndarray:
    """A picture with something to recognise in it."""
    small = np.random.default_rng(seed).integers(0, 255, (6, 9, 3), dtype=np.uint8)
    return cv2.resize(small, size[::-1], interpolation=cv2.INTER_NEAREST)


def decoded(jpeg):
    return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)


class Client:
    """What a page says and hears."""

    def __init__(self, server: PageServer, name: str = "tester-0001") -> None:
        self.server, self.name = server, name
        self.letters: list[dict[str, Any]] = []
        self.states: list[dict[str, Any]] = []
        self.jpeg = b""
        self.acknowledge = True
        self._socket = connect(
            f"ws://127.0.0.1:{server.port}/drive?viewer={name}",
            origin=f"http://127.0.0.1:{server.port}",
            additional_headers={"Cookie": f"longdwm-{server.port}={server.token}"},
        )

    @property
    def state(self) -> dict[str, Any]:
        return self.states[-1] if self.states else {}

    def say(self, do: str, **fields: Any) -> None:
        self._socket.send(json.dumps({"do": do, **fields}))

    def hear(self, timeout_s: float = 0.05) -> bool:
        """Take in one message, if one comes."""
        try:
            message = self._socket.recv(timeout=timeout_s)
        except TimeoutError:
            return False
        if isinstance(message, str):
            self.letters.append(json.loads(message))
            return True
        length = int.from_bytes(message[:4], "big")
        self.states.append(json.loads(message[4 : 4 + length]))
        self.jpeg = message[4 + length :] or self.jpeg
        if self.acknowledge:
            self.say("seen", n=self.state["n"])
        return True

    def until(self, holds: Callable[["Client"], Any], what: str = "") -> Any:
        """Listen until something holds; returns it."""
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end:
            if found := holds(self):
                return found
            self.hear()
        raise AssertionError(f"never: {what}; last {self.state}, letters {self.letters[-3:]}")

    def letter(self, kind: str) -> dict[str, Any]:
        """The next letter of a kind that comes from now on."""
        heard = len(self.letters)
        found = self.until(lambda it: [one for one in it.letters[heard:] if one["is"] == kind], f"letter {kind}")
        return found[0]

    def ask(self, do: str, answer: str, **fields: Any) -> dict[str, Any]:
        """Say something and wait for the letter that answers it."""
        while self.hear(0.01):
            pass
        self.say(do, **fields)
        return self.letter(answer)

    @property
    def time_s(self) -> float:
        return self.state["kept_s"][-1] if self.state.get("kept_s") else 0.0

    @property
    def drives(self) -> bool:
        seats = [one for one in self.letters if one["is"] == "seats"]
        return bool(seats) and seats[-1]["driving"]

    def opened(self) -> "Client":
        self.until(lambda it: "size" in it.state, "the first picture")
        return self

    def drive(self, seconds: float) -> None:
        """Accelerate until so much time has passed in the world."""
        end_s = self.time_s + seconds
        self.say("key", name="up", down=True)
        self.until(lambda it: it.time_s >= end_s, "the car moves")
        self.say("key", name="up", down=False)

    def close(self) -> None:
        self._socket.close()


@contextmanager
def running(server: PageServer) -> Iterator[PageServer]:
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.stop()
        thread.join(PATIENCE_S)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("drives")
    save_picture(path / "street.png", street())
    return path


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[PageServer]:
    options = DriveOptions(scene=str(folder / "street.png"), image_size=(48, 72), out=folder / "out")
    with running(PageServer(options, port=0)) as served:
        yield served


@pytest.fixture
def join(server: PageServer) -> Iterator[Callable[..., Client]]:
    """Connects clients, and sees to it that none stays."""
    clients: list[Client] = []

    def make(name: str = "tester-0001") -> Client:
        clients.append(Client(server, name))
        return clients[-1].opened()

    yield make
    for client in clients:
        client.close()
    end = time.monotonic() + PATIENCE_S
    while server.audience.seats.viewers and time.monotonic() < end:
        time.sleep(0.01)
    # The next test's driver does not wait until this one's place is given up.
    server.audience.seats.driver = server.audience.seats._away = None


def request(
    server: PageServer,
    method: str,
    path: str,
    body: bytes | None = None,
    token: bool = True,
    **headers: str,
) -> tuple[int, dict[str, str], bytes]:
    """One HTTP request; header names with _ for -."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    if token:
        given.setdefault("Cookie", f"longdwm-{server.port}={server.token}")
    if method == "POST":
        given.setdefault("Origin", f"http://127.0.0.1:{server.port}")
    try:
        connection.request(method, path, body, given)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()
