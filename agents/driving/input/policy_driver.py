"""A policy at the wheel: it sees what the environment would show it, and its actions drive the same loop."""

from typing import cast

from longdwm_env.actions import ActionMode
from longdwm_env.agents.driving.engine.open_worlds import Drive, Generator
from longdwm_env.agents.driving.engine.timeline import Act, Moment
from longdwm_env.agents.naming import PolicySpec, environment_needs, make_policy
from longdwm_env.agents.policy import Policy, PolicyContext
from longdwm_env.clock import FPS
from longdwm_env.env import LongDWMEnv
from longdwm_env.episodes.observation import ObservationMode

DEFAULT_MODE = "trajectory"


class PolicyDriver:
    """Drives by a policy that the command line names. Used by the generation thread.

    A policy may remember what it saw. When it is asked to drive on from a moment to which it did not lead (after a
    rewind, a change of world, a human at the wheel), it is reset there first.

    Raises:
        InvalidConfig: the name is not a policy; when it is first asked to drive, also that it does not fit the world.
    """

    def __init__(self, name: str, generator: Generator) -> None:
        self.name = name
        self._spec = PolicySpec.parse(name)
        self._generator = generator
        self._by_world: dict[str, tuple[LongDWMEnv, Policy]] = {}
        self._led_to: Moment | None = None

    def drive(self, moment: Moment) -> Moment:
        """The moment after the policy's next action."""
        environment, policy = self._for_world(moment)
        environment.set_state(moment.state)
        observation = environment.episodes.observation(moment.state)
        if moment is not self._led_to:
            policy.reset(observation, moment.info)
        action = policy.act(observation, moment.info)
        rules = environment.episodes
        (checked,) = rules.check_actions([action], ["action"])
        self._led_to = self._generator.drive(Drive(moment, Act(rules.action_mode, checked, rules.control_frames)))
        return self._led_to

    def _for_world(self, moment: Moment) -> tuple[LongDWMEnv, Policy]:
        world = moment.state.world
        if world not in self._by_world:
            # What a name or file asks for is checked by the environment.
            needs = environment_needs(self._spec)
            environment = LongDWMEnv(
                world=self._generator.world(world),
                scenes=self._generator.source,
                action_mode=cast(ActionMode, needs.action_mode or DEFAULT_MODE),
                obs_mode=cast(ObservationMode, needs.obs_mode or "video"),
                control_period_s=self._generator.frames_of(world) / FPS,
            )
            environment.set_state(moment.state)
            context = PolicyContext.of(environment, moment.state.camera)
            self._by_world[world] = environment, make_policy(self._spec, context)
        return self._by_world[world]
