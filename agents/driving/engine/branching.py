"""Three drives of one moment: the same instant driven to the left, as it goes and to the right, for a few seconds."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from longdwm_env.agents.driving.engine.open_worlds import Drive, Generator
from longdwm_env.agents.driving.engine.session import Session
from longdwm_env.agents.driving.engine.timeline import Act, Moment
from longdwm_env.agents.driving.input.pedals import DriverInput, next_controls
from longdwm_env.clock import FPS
from longdwm_env.types import Images

SECONDS = 3.0

WAYS: tuple[tuple[str, float], ...] = (("left", 0.5), ("straight on", 0.0), ("right", -0.5))
"""The drives, and how far each turns the wheel: 1 is a full turn."""


@dataclass(frozen=True, eq=False)
class Branch:
    """One of the drives: its moments, in order. The moment that all start from is not among them."""

    name: str
    moments: tuple[Moment, ...]

    @property
    def frames(self) -> Images:
        """(T, H, W, 3) what is seen; longer or shorter than the others' where it ends in a collision."""
        return np.concatenate([moment.frames for moment in self.moments])


def branches_of(
    generator: Generator, start: Moment, progress: Callable[[str, float], None] = lambda what, share: None
) -> tuple[Branch, ...]:
    """Drive on from a moment in three ways, in one batch; the moment and the drive that it belongs to stay as they are.

    A drive that ends early, such as in a collision, is as long as it got.
    """
    frames = generator.frames_of(start.state.world)
    period_s = frames / FPS
    driven: list[list[Moment]] = [[] for _ in WAYS]
    steps = math.ceil(SECONDS / period_s)
    for step in range(steps):
        progress("three drives of this moment", step / steps)
        asked: dict[int, Drive] = {}
        for index, (_, steer) in enumerate(WAYS):
            moment = driven[index][-1] if driven[index] else start
            if not moment.over:
                # A little throttle, against the engine's drag: the three differ in nothing but the wheel.
                driver_input = DriverInput(steer, throttle=0.15)
                controls = next_controls(moment.controls, driver_input, moment.state.ego.speed_mps, period_s)
                action = np.array([controls.steering_rad, controls.acceleration_mps2], np.float32)
                asked[index] = Drive(moment, Act("control", action, frames), controls)
        if not asked:
            break
        for index, moment in zip(asked, generator.drive_all(list(asked.values())), strict=True):
            driven[index].append(moment)
    return tuple(Branch(name, tuple(moments)) for (name, _), moments in zip(WAYS, driven, strict=True))


def ask_branches(session: Session, take: Callable[[Moment, tuple[Branch, ...]], None]) -> None:
    """Stop time and ask for three drives of the present moment."""
    assert session.trip is not None
    start, generator = session.trip.present, session.generator
    session.ask(
        "three drives of this moment",
        lambda: branches_of(generator, start, generator.on_progress),
        lambda branches: take(start, branches),
    )
    session.paused, session.waiting, session.pause_at = True, False, None


def go_on(session: Session, start: Moment, branch: Branch) -> bool:
    """Stand at the end of a branch, as if it had been driven; returns False if the drive is no longer at its start."""
    trip = session.trip
    if trip is None or trip.present is not start or not branch.moments:
        return False
    session.drop_asked()
    for moment in branch.moments:
        trip.drive_on(moment)
        if session.recorder is not None:
            session.recorder.write(moment.frames)
    session.playback.hold(len(branch.moments[-1].frames))
    session.paused, session.waiting = False, session.at_wheel == "driver"
    return True
