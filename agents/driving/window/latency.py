"""How soon a world answers: keys posted to a window at random times, timed to the first picture that shows them."""

import random
import threading
import time
from dataclasses import dataclass

import numpy as np
import pygame

from longdwm_env.agents.driving.engine.playback import LatencyMeter, of_those_made
from longdwm_env.agents.driving.engine.session import Session
from longdwm_env.agents.driving.input.driver_input import DriverInputs
from longdwm_env.agents.driving.window.window import Window, WindowSettings

BETWEEN_KEYS_S = (0.45, 1.1)
"""Time between two key events, drawn evenly: long enough that each is answered before the next."""

WARM_UP_S = 3.0

FIRST_ANSWERS = 4
"""Answers that are left out: caches fill."""


@dataclass(frozen=True)
class Answer:
    """What was measured.

    Attributes:
        latencies_s: from each key event to the first picture that shows it.
        window_fps: pictures of the window a second.
        world_fps: frames of the world a second of the clock; 12 is real time.
        made_in_s: median time that a clip took to make, without those that were there already.
    """

    latencies_s: tuple[float, ...]
    window_fps: float
    world_fps: float
    made_in_s: float

    def quantile_s(self, share: float) -> float:
        """Latency that a share of the events stayed under."""
        return float(np.quantile(self.latencies_s, share)) if self.latencies_s else float("nan")


def measure(session: Session, inputs: DriverInputs, settings: WindowSettings, seconds: float) -> Answer:
    """Drive for a while, steering a little to either side, without a person at the keys.

    Where the drive ends in a collision or beside the road it goes back, as a driver would.

    The session has a thread for its worker, and has just been opened; measuring takes ``seconds`` after a warm-up.
    """
    session.latency = LatencyMeter(window=100_000)
    window = Window(session, inputs, settings)
    keys = threading.Thread(target=_press_keys, args=(session, seconds), daemon=True)
    keys.start()
    window.run()
    keys.join()
    assert session.trip is not None
    moments = session.trip.timeline.moments
    made_in = of_those_made(moment.made_in_s for moment in moments if moment.act is not None)
    return Answer(
        latencies_s=session.latency.measurements_s[FIRST_ANSWERS:],
        window_fps=window.pictures / window.ran_s,
        world_fps=session.frames_shown / max(session.ran_s, 1e-9),
        made_in_s=float(np.median(made_in)) if made_in else float("nan"),
    )


def _press_keys(session: Session, seconds: float) -> None:
    rng = random.Random(0)
    while session.trip is None:
        time.sleep(0.05)
    end = time.perf_counter() + WARM_UP_S + seconds
    _post(pygame.KEYDOWN, pygame.K_UP)
    time.sleep(0.3)
    _post(pygame.KEYUP, pygame.K_UP)
    side = pygame.K_LEFT
    while time.perf_counter() < end:
        if session.trip is not None and session.trip.present.over:
            _post(pygame.KEYDOWN, pygame.K_x)
            time.sleep(0.3)
        _post(pygame.KEYDOWN, side)
        time.sleep(rng.uniform(*BETWEEN_KEYS_S) / 3)
        _post(pygame.KEYUP, side)
        time.sleep(rng.uniform(*BETWEEN_KEYS_S))
        side = pygame.K_RIGHT if side == pygame.K_LEFT else pygame.K_LEFT
    pygame.event.post(pygame.event.Event(pygame.QUIT))


def _post(kind: int, key: int) -> None:
    pygame.event.post(pygame.event.Event(kind, key=key, happened_s=time.perf_counter()))
