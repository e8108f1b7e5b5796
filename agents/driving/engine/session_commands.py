"""What each key does to a session."""

from collections.abc import Callable, Mapping

from longdwm_env.agents.driving.engine import prompt_cycling as prompts
from longdwm_env.agents.driving.engine.open_worlds import OpenScene
from longdwm_env.agents.driving.engine.session import Session
from longdwm_env.agents.driving.engine.timeline import Moment
from longdwm_env.agents.driving.engine.trip import Trip
from longdwm_env.agents.driving.input.key_commands import Command
from longdwm_env.agents.driving.recording.video_recorder import Recorder
from longdwm_env.clock import FRAMES_PER_INTERVAL


def perform(session: Session, command: Command) -> None:
    """Do what a key asks for. Help, hide and quit are the window's own and do nothing here."""
    action = _ACTIONS.get(command)
    if action is None or session.trip is None:
        return
    if session.following and command not in _WHILE_FOLLOWING:
        session.say("a replay is playing: M takes the wheel")
        return
    action(session, session.trip)


def finish_recording(session: Session) -> None:
    """Write video and replay file, if a recording runs."""
    recorder, session.recorder = session.recorder, None
    if recorder is None or session.trip is None:
        return
    try:
        try:
            video = recorder.close()
        finally:
            # A replay is small, and may be kept where a video has no room.
            session.trip.journal.save(recorder.replay_path)
    except (OSError, ValueError) as error:
        session.say(f"the recording broke off: {error}", warning=True)
    else:
        session.say(f"written: {video} and {recorder.replay_path.name}", warning=True)


def _pause(session: Session, trip: Trip) -> None:
    session.pause_at = None
    if session.waiting:
        session.waiting = False
    else:
        session.paused = not session.paused


def _single_interval(session: Session, trip: Trip) -> None:
    session.pause_at = trip.present.state.frames_driven + FRAMES_PER_INTERVAL
    session.paused = session.waiting = False


def _back(seconds: float) -> Callable[[Session, Trip], None]:
    def go(session: Session, trip: Trip) -> None:
        before_s = trip.present.time_s
        session.return_to(trip.timeline.back(seconds))
        session.waiting = True
        gone_s = before_s - trip.present.time_s
        session.say(f"back {gone_s:.1f} s" if gone_s else "this is as far back as it goes")

    return go


def _next_world(session: Session, trip: Trip) -> None:
    present = trip.present.state
    tried = session.tried_world
    # A world that could not be at this moment is not tried again before the others.
    last = tried[1] if tried is not None and tried[0] is trip.present else present.world
    index = session.worlds.index(last) if last in session.worlds else -1
    world = session.worlds[(index + 1) % len(session.worlds)]
    if world == present.world:
        session.tried_world = None
        session.say("there is no other world to change to")
        return
    session.tried_world = trip.present, world
    session.change(world, present.prompt, lambda *_: session.say(f"{world}, same moment"))


def _change_prompt(changed: Callable[[str], str]) -> Callable[[Session, Trip], None]:
    def go(session: Session, trip: Trip) -> None:
        state = trip.present.state
        prompt = changed(state.prompt)
        conditions = prompts.conditions_of(prompt)
        said = f"{conditions.weather}, {conditions.time_of_day}"
        if state.world == "warp":
            said += ": warp only moves the picture; other worlds will show it"
        session.change(state.world, prompt, lambda *_: session.say(said))

    return go


def _new_scene(session: Session, trip: Trip) -> None:
    state = trip.present.state
    left = prompts.conditions_of(state.prompt)

    def say(moment: Moment) -> None:
        # What the driver chose with V and T was of the scene before: a new one brings its own.
        conditions = prompts.conditions_of(moment.state.prompt)
        kept = "" if conditions == left else "   V and T change it"
        session.say(f"new scene: {conditions.weather}, {conditions.time_of_day}{kept}")

    session.open_scene(OpenScene(state.world, state.seed + 1), say)


def _restart(session: Session, trip: Trip) -> None:
    state = trip.present.state
    session.open_scene(OpenScene(state.world, state.seed, state.scene, state.prompt))


def _record(session: Session, trip: Trip) -> None:
    if session.recorder is not None:
        finish_recording(session)
        return
    session.recorder = Recorder(session.out, trip.present.state.image_size)
    session.recorder.write(trip.present.frames[-1:])
    trip.journal.shown_from = len(trip.journal.steps)
    session.say("recording")


def _take_wheel(session: Session, trip: Trip) -> None:
    if session.at_wheel != "driver":
        session.drop_asked()
        session.at_wheel, session.waiting = "driver", False
        session.say("the wheel is yours")
    elif session.policy is None:
        session.say("the wheel is yours already: no policy was named (--policy)")
    else:
        session.drop_asked()
        session.at_wheel, session.waiting = "policy", False
        session.say(f"{session.policy.name} drives")


_WHILE_FOLLOWING = (Command.PAUSE, Command.TAKE_WHEEL, Command.RECORD, Command.SINGLE_INTERVAL)

_ACTIONS: Mapping[Command, Callable[[Session, Trip], None]] = {
    Command.PAUSE: _pause,
    Command.SINGLE_INTERVAL: _single_interval,
    Command.BACK_1_S: _back(1.0),
    Command.BACK_5_S: _back(5.0),
    Command.NEXT_WORLD: _next_world,
    Command.NEXT_WEATHER: _change_prompt(prompts.next_weather),
    Command.NEXT_TIME: _change_prompt(prompts.next_time_of_day),
    Command.NEW_SCENE: _new_scene,
    Command.RESTART: _restart,
    Command.RECORD: _record,
    Command.TAKE_WHEEL: _take_wheel,
}
