"""How soon the page answers, alone and with many who look on: a driver who presses keys, and viewers in a process.

Nothing is drawn at the other end: a picture counts as seen when it has arrived. What a browser needs to show it, about
a refresh of the screen, comes on top.
"""

import asyncio
import json
import multiprocessing
import random
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection

import numpy as np
from websockets.asyncio.client import connect as connect_later
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from longdwm_env.agents.driving.engine.playback import LatencyMeter, of_those_made
from longdwm_env.agents.driving_page.page_server import PageServer
from longdwm_env.errors import LongDWMError
from longdwm_env.types import JsonObject

BETWEEN_KEYS_S = (0.45, 1.1)
"""Time between two key events, drawn evenly; as in the window's measurement."""

PATIENCE_S = 600.0
"""A first scene may have to load a large world."""


@dataclass(frozen=True)
class Address:
    """Where a server is, and what it wants to be shown."""

    port: int
    token: str

    def socket(self, name: str) -> JsonObject:
        """Arguments of a connection, for a viewer of this name."""
        return {
            "uri": f"ws://127.0.0.1:{self.port}/drive?viewer={name}",
            "origin": f"http://127.0.0.1:{self.port}",
            "additional_headers": {"Cookie": f"longdwm-{self.port}={self.token}"},
            "max_size": 2**24,
        }


@dataclass(frozen=True)
class Measured:
    """What was measured while so many looked on.

    Attributes:
        viewers: how many, the driver included.
        latencies_s: from the arrival of each key at the server to the word that the first picture with it is seen.
        world_fps: frames of the world a second of the clock; 12 is real time.
        made_in_s: median time that a clip took to make, without those that were there already.
        seen_fps: pictures a second that arrived at each who looks on, lowest first.
    """

    viewers: int
    latencies_s: tuple[float, ...]
    world_fps: float
    made_in_s: float
    seen_fps: tuple[float, ...]

    def quantile_s(self, share: float) -> float:
        """Latency that a share of the keys stayed under; NaN without keys."""
        return float(np.quantile(self.latencies_s, share)) if self.latencies_s else float("nan")


class Driver:
    """A connection at the wheel, and what has arrived there."""

    def __init__(self, address: Address) -> None:
        self.state: JsonObject = {}
        self.drives = threading.Event()
        self.opened = threading.Event()
        self._open = ExitStack()
        self._socket: ClientConnection = self._open.enter_context(connect(**address.socket("bench-driver")))
        self._ears = threading.Thread(target=self._hear, daemon=True)
        self._ears.start()

    def say(self, do: str, **fields: object) -> None:
        """Send an order."""
        self._socket.send(json.dumps({"do": do, **fields}))

    def close(self) -> None:
        """Leave."""
        self._open.close()
        self._ears.join(5.0)

    def _hear(self) -> None:
        try:
            for message in self._socket:
                if isinstance(message, str):
                    letter = json.loads(message)
                    if letter["is"] == "seats" and letter["driving"]:
                        self.drives.set()
                    continue
                self.state = _state(message)
                self.say("seen", n=self.state["n"])
                if "size" in self.state:
                    self.opened.set()
        except ConnectionClosed:
            return

    def drive(self, seconds: float) -> None:
        """Steer a little to either side for a while; where the drive ends, it goes back."""
        rng, side = random.Random(0), "left"
        end = time.perf_counter() + seconds
        self._hold("up", 0.3)
        while time.perf_counter() < end:
            if self.state.get("status") == "ended":
                self.say("press", command="back 5 s")
            self._hold(side, rng.uniform(*BETWEEN_KEYS_S) / 3)
            time.sleep(rng.uniform(*BETWEEN_KEYS_S))
            side = "right" if side == "left" else "left"
        self.say("let go")

    def _hold(self, name: str, seconds: float) -> None:
        self.say("key", name=name, down=True)
        time.sleep(seconds)
        self.say("key", name=name, down=False)


def measure(server: PageServer, viewers: int, seconds: float) -> Measured:
    """Drive for a while in a running server, with others looking on.

    Raises:
        LongDWMError: the scene does not open, or the wheel is not free.
    """
    address = Address(server.port, server.token)
    driver = Driver(address)
    try:
        if not (driver.opened.wait(PATIENCE_S) and driver.drives.wait(30.0)):
            raise LongDWMError("the page showed no picture, or did not give the wheel to the measurement")
        with _looking_on(address, viewers - 1) as others:
            session = server.room.session
            session.latency = LatencyMeter(window=100_000)
            shown, ran_s = session.frames_shown, session.ran_s
            others.send("begin")
            driver.drive(seconds)
            others.send("end")
            seen_fps = others.recv()
            shown, ran_s = session.frames_shown - shown, session.ran_s - ran_s
        assert session.trip is not None
        made = of_those_made(each.made_in_s for each in session.trip.timeline.moments if each.act is not None)
        return Measured(
            viewers,
            session.latency.measurements_s,
            shown / max(ran_s, 1e-9),
            float(np.median(made)) if made else float("nan"),
            tuple(sorted(seen_fps)),
        )
    finally:
        driver.close()


@contextmanager
def _looking_on(address: Address, count: int) -> Iterator[Connection]:
    """So many viewers in a process of their own, which takes "begin" and "end" and then tells what each has seen."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_look_on, args=(address, count, there), daemon=True)
    process.start()
    try:
        if not here.poll(PATIENCE_S):
            raise LongDWMError("those who look on did not come")
        here.recv()
        yield here
    finally:
        here.close()
        process.join(10.0)
        if process.is_alive():
            process.kill()


def _look_on(address: Address, count: int, pipe: Connection) -> None:
    asyncio.run(_all_look_on(address, count, pipe))


async def _all_look_on(address: Address, count: int, pipe: Connection) -> None:
    pictures = [0] * count
    here = [asyncio.Event() for _ in range(count)]

    async def look(index: int) -> None:
        async with connect_later(**address.socket(f"bench-looker-{index}")) as socket:
            try:
                async for message in socket:
                    if isinstance(message, bytes):
                        pictures[index] += _has_picture(message)
                        await socket.send(json.dumps({"do": "seen", "n": _state(message)["n"]}))
                        here[index].set()
            except ConnectionClosed:
                return

    tasks = [asyncio.create_task(look(index)) for index in range(count)]
    await asyncio.gather(*(each.wait() for each in here))
    pipe.send("here")
    try:
        await asyncio.to_thread(pipe.recv)
        before, begun_s = list(pictures), time.perf_counter()
        await asyncio.to_thread(pipe.recv)
        took_s = time.perf_counter() - begun_s
        pipe.send([(after - earlier) / took_s for after, earlier in zip(pictures, before, strict=True)])
    except EOFError:
        pass  # the measurement has ended early
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _state(message: bytes) -> JsonObject:
    length = int.from_bytes(message[:4], "big")
    state: JsonObject = json.loads(message[4 : 4 + length])
    return state


def _has_picture(message: bytes) -> bool:
    return len(message) > 4 + int.from_bytes(message[:4], "big")
