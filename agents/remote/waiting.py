"""Time limits for what websockets does not limit: sending blocks for as long as the other side reads nothing."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

SEND_S = 30.0
"""A message has this long to leave, in all: a side that takes it byte by byte is cut off as well."""


@contextmanager
def at_most(connection: Any, seconds: float) -> Iterator[None]:
    """Cut a websockets connection when what happens inside takes longer.

    Raises:
        TimeoutError: it took longer.
    """
    over = threading.Event()

    def cut() -> None:
        over.set()
        with suppress(OSError):
            connection.socket.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Exception as error:
        if over.is_set():
            raise TimeoutError(f"nothing was taken in for {seconds:g} s") from error
        raise
    finally:
        timer.cancel()
