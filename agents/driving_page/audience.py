"""Those who look on: what each is sent, and at what pace. Lives in the server's event loop."""

import asyncio
import json
import time
from collections import deque
from collections.abc import Mapping

from starlette.websockets import WebSocket

from longdwm_env.agents.driving_page.seats import Seats
from longdwm_env.agents.driving_page.wire import Broadcast

MAX_VIEWERS = 64

IN_FLIGHT = 2
"""Broadcasts sent to a viewer and not yet on its screen. Behind a slow network the newest goes next, never a queue."""

MAX_LETTERS = 64
"""A viewer who does not read as many as this is cut off."""

ORDERS_PER_S, ORDERS_AT_ONCE = 200.0, 400.0
"""A gamepad speaks sixty times a second, and every picture is answered."""


class Viewer:
    """One connection."""

    def __init__(self, name: str, socket: WebSocket) -> None:
        self.name, self.socket = name, socket
        self.gone = False
        self._wake = asyncio.Event()
        self._letters: deque[str] = deque()
        self._latest: Broadcast | None = None
        self._sent: deque[int] = deque()
        self._picture = 0
        self._last = 0
        self._allowance, self._counted_s = ORDERS_AT_ONCE, time.monotonic()

    def tell(self, letter: Mapping[str, object]) -> None:
        """Send words; they all arrive, in order."""
        if len(self._letters) < MAX_LETTERS:
            self._letters.append(json.dumps(letter))
        else:
            self.gone = True
        self._wake.set()

    def show(self, broadcast: Broadcast) -> None:
        """Send a broadcast when the viewer is ready, unless a newer one comes first."""
        self._latest = broadcast
        self._wake.set()

    def seen(self, number: int) -> None:
        """A broadcast is on the viewer's screen."""
        while self._sent and self._sent[0] <= number:
            self._sent.popleft()
        self._wake.set()

    def may_order(self) -> bool:
        """Whether the viewer has not asked for too much at once."""
        now_s = time.monotonic()
        earned = (now_s - self._counted_s) * ORDERS_PER_S
        self._allowance, self._counted_s = min(ORDERS_AT_ONCE, self._allowance + earned) - 1, now_s
        return self._allowance >= 0

    def leave(self) -> None:
        """End the connection as soon as it may."""
        self.gone = True
        self._wake.set()

    async def send_all(self) -> None:
        """Send whatever there is to send until the viewer is gone."""
        while not self.gone:
            await self._wake.wait()
            self._wake.clear()
            while self._letters:
                await self.socket.send_text(self._letters.popleft())
            latest = self._latest
            if latest is not None and latest.number > self._last and len(self._sent) < IN_FLIGHT:
                message = latest.message(self._picture)
                self._last, self._picture = latest.number, latest.picture
                self._sent.append(latest.number)
                await self.socket.send_bytes(message)


class Audience:
    """All viewers, and which of them drives."""

    def __init__(self) -> None:
        self.seats: Seats[Viewer] = Seats()
        self.latest: Broadcast | None = None

    @property
    def full(self) -> bool:
        """No more may look on."""
        return len(self.seats.viewers) >= MAX_VIEWERS

    def join(self, viewer: Viewer) -> None:
        """Add a viewer."""
        before = self.seats.join(viewer.name, viewer, time.monotonic())
        if before is not None:
            before.leave()
        if self.latest is not None:
            viewer.show(self.latest)
        self.tell_seats()

    def leave(self, viewer: Viewer) -> bool:
        """A connection ended; returns whether it was the driver's."""
        drove = self.seats.driver == viewer.name
        self.seats.leave(viewer.name, viewer, time.monotonic())
        self.tell_seats()
        return drove and self.seats.driver is None

    def publish(self, broadcast: Broadcast) -> None:
        """Show a broadcast to all."""
        self.latest = broadcast
        for viewer in self.seats.viewers.values():
            viewer.show(broadcast)

    def tell(self, letter: Mapping[str, object]) -> None:
        """Send words to all."""
        for viewer in self.seats.viewers.values():
            viewer.tell(letter)

    def tell_seats(self) -> None:
        """Tell all how many look on, and each whether it drives."""
        for name, viewer in self.seats.viewers.items():
            viewer.tell(
                {
                    "is": "seats",
                    "driving": self.seats.driver == name,
                    "free": self.seats.driver is None,
                    "viewers": len(self.seats.viewers),
                }
            )
