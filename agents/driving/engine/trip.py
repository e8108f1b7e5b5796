"""A drive since its scene began: its moments, the acts that led to them, and the journal of all that was done."""

from dataclasses import dataclass, field

from longdwm_env.agents.driving.engine.open_worlds import Change, Generator, OpenScene
from longdwm_env.agents.driving.engine.timeline import Act, Moment, Timeline
from longdwm_env.agents.driving.recording.journal import Journal
from longdwm_env.clock import FPS

HISTORY_S = 4.0
"""How much of the drive another world is shown when it takes over."""


@dataclass
class Trip:
    """One drive.

    Attributes:
        timeline: the moments that can be returned to.
        path: the acts from the scene's start to now; as long as the present moment's number.
    """

    timeline: Timeline
    journal: Journal
    path: list[Act] = field(default_factory=list)

    @classmethod
    def opened(
        cls, moment: Moment, opening: OpenScene, generator: Generator, scenes: str | None, recorded: "Trip | None"
    ) -> "Trip":
        """The drive that begins at the first moment of a scene.

        Args:
            moment: the first.
            opening: how the scene was asked for.
            generator: of the moment.
            scenes: path of the scene source; None for the built-in scenes.
            recorded: the drive before, whose journal goes on; None where none is recorded.
        """
        state = moment.state
        if recorded is not None:
            journal = recorded.journal
            journal.note("scene", scene=state.scene, seed=opening.seed, prompt=opening.prompt)
            return cls(Timeline(moment), journal)
        journal = Journal(
            world=state.world,
            scene=state.scene,
            seed=opening.seed,
            prompt=opening.prompt,
            scenes=scenes,
            image_size=generator.sizes.asked,
            learned_own_size=generator.sizes.learned_own,
            control_frames=generator.control_frames,
        )
        return cls(Timeline(moment), journal)

    @property
    def present(self) -> Moment:
        """The moment whose clip is playing."""
        return self.timeline.present

    def drive_on(self, moment: Moment) -> None:
        """Go on to a moment."""
        assert moment.act is not None
        self.timeline.append(moment)
        self.path.append(moment.act)
        self.journal.drove(moment.act)

    def return_to(self, moment: Moment) -> None:
        """Go back to a kept moment; what came after it is forgotten, except by the journal."""
        self.timeline.return_to(moment)
        del self.path[moment.number :]
        self.journal.note("back", number=moment.number)

    def moment_of_number(self, number: int) -> Moment | None:
        """The kept moment after so many acts."""
        return next((moment for moment in self.timeline.moments if moment.number == number), None)

    def change_to(self, world: str, prompt: str) -> Change:
        """The request for the present moment in another world or under another prompt."""
        earlier = [moment for moment in self.timeline.moments[:-1] if moment.state.world == world]
        known = earlier[-1] if earlier else None
        frames, poses = self.timeline.recent_frames(round(HISTORY_S * FPS))
        path = tuple(self.path[0 if known is None else known.number :])
        return Change(self.present, path, world, prompt, frames, poses, known)

    def changed_to(self, moment: Moment) -> tuple[bool, bool]:
        """Take the present moment from another world or prompt; returns whether world and prompt are others."""
        before, after = self.present.state, moment.state
        self.timeline.replace_present(moment)
        if after.prompt != before.prompt:
            self.journal.note("prompt", prompt=after.prompt)
        if after.world != before.world:
            self.journal.note("world", world=after.world)
        return after.world != before.world, after.prompt != before.prompt
