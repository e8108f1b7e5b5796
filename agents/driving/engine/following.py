"""Following a recorded drive, step by step, in the same session that a driver's input would move."""

from typing import Protocol

from longdwm_env.agents.driving.engine.open_worlds import Drive, OpenScene
from longdwm_env.agents.driving.engine.timeline import Moment
from longdwm_env.agents.driving.engine.trip import Trip
from longdwm_env.agents.driving.recording.journal import Journal, act_of


class Steered(Protocol):
    """What a script does to a session."""

    def newest(self, trip: Trip) -> Moment:
        """The moment that the next clip follows."""
        ...

    def ask_clip(self, drive: Drive) -> None:
        """Ask for the clip that an action leads to."""

    def change(self, world: str, prompt: str) -> None:
        """Ask for the present moment in another world or under another prompt."""

    def end_of_replay(self, why: str) -> None:
        """Stop, since the script cannot be followed."""

    def return_to(self, moment: Moment) -> None:
        """Stand at an earlier moment."""

    def open_scene(self, opening: OpenScene) -> None:
        """Ask for a scene."""


class Script:
    """A recorded drive, and how much of it is done."""

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.done = 0

    @property
    def finished(self) -> bool:
        """No step is left."""
        return self.done >= len(self.journal.steps)

    def stop(self) -> None:
        """Follow it no further."""
        self.done = len(self.journal.steps)


def follow(session: Steered, trip: Trip, script: Script) -> None:
    """Perform the next step of the script."""
    step = script.journal.steps[script.done]
    script.done += 1
    present = trip.present
    if step["do"] == "drive":
        session.ask_clip(Drive(session.newest(trip), act_of(step)))
    elif step["do"] == "world":
        session.change(step["world"], present.state.prompt)
    elif step["do"] == "prompt":
        session.change(present.state.world, step["prompt"])
    elif step["do"] == "back":
        moment = trip.moment_of_number(step["number"])
        if moment is None:
            session.end_of_replay(f"the replay goes back to action {step['number']}, which is not kept")
        else:
            session.return_to(moment)
    else:
        session.open_scene(OpenScene(present.state.world, step["seed"], step["scene"], step["prompt"]))
