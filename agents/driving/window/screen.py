"""Everything that one picture of the window shows, as a value taken from a session."""

from dataclasses import dataclass

from longdwm_env.agents.driving.engine import prompt_cycling as prompts
from longdwm_env.agents.driving.engine.session import Note, Session
from longdwm_env.agents.driving.engine.timeline import Moment
from longdwm_env.clock import FPS

ENDINGS = {
    "collision": "Collision",
    "off_road": "Off the road",
    "time_limit": "Time is up",
}


@dataclass(frozen=True, eq=False)
class Screen:
    """What to draw.

    Attributes:
        moment: the clip that plays, and the frame of it that is shown; None while the first scene opens.
        driver, conditions: who drives; weather and time of day.
        next_steering_rad: where the front wheels will point by the present input.
        steer, throttle, brake: what the driver asks for.
        status: "", or why time stands still.
        banner, hint: a large line and a small one in the middle; empty for none.
        busy: what the generation is doing besides driving.
        drawn_fps: pictures of the window a second.
        world_fps: frames of the world a second of the clock; 12 is real time.
        latency_s, median_latency_s: from key to picture; NaN before the first.
        made_in_s, period_s: how long the last clip took to make, and how long it plays.
        stalled: the picture stands because the next clip is late.
        kept_s: times of the moments that can be returned to.
    """

    moment: Moment | None
    frame: int = 0
    driver: str = "you"
    conditions: str = ""
    next_steering_rad: float = 0.0
    steer: float = 0.0
    throttle: float = 0.0
    brake: float = 0.0
    status: str = ""
    banner: str = ""
    hint: str = ""
    note: Note | None = None
    busy: str = ""
    recording: bool = False
    drawn_fps: float = 0.0
    world_fps: float = 0.0
    latency_s: float = float("nan")
    median_latency_s: float = float("nan")
    made_in_s: float = 0.0
    period_s: float = 0.0
    stalled: bool = False
    kept_s: tuple[float, ...] = ()

    @property
    def time_s(self) -> float:
        """Seconds since the scene's start, of the frame shown."""
        if self.moment is None:
            return 0.0
        return max(0.0, self.moment.time_s - (len(self.moment.frames) - 1 - self.frame) / FPS)

    @property
    def shown_steering_rad(self) -> float | None:
        """Where the front wheels will point, if it is shown: the driver is at the wheel."""
        return round(self.next_steering_rad, 4) if self.driver == "you" else None


def screen_of(session: Session, drawn_fps: float) -> Screen:
    """What a session has to show now."""
    if session.trip is None:
        # The dots move, so that a long opening does not look like a frozen window.
        dots = "." * (1 + int(2 * session.now_s) % 3)
        return Screen(None, banner="LongDWM", hint=f"{session.busy or 'opening the scene'} {dots}")
    moment, playback = session.trip.present, session.playback
    state, next_controls = moment.state, session.next_controls
    conditions = prompts.conditions_of(state.prompt)
    banner, hint, status = _standing(session, moment)
    return Screen(
        moment=moment,
        frame=playback.frame,
        driver=session.driver,
        conditions=f"{conditions.weather}, {conditions.time_of_day}" if state.prompt else "",
        next_steering_rad=next_controls.steering_rad,
        steer=session.driver_input.steer,
        throttle=session.driver_input.throttle,
        brake=session.driver_input.brake,
        status=status,
        banner=banner,
        hint=hint,
        note=session.note,
        busy=session.busy,
        recording=session.recorder is not None,
        drawn_fps=drawn_fps,
        world_fps=FPS * playback.rate,
        latency_s=session.latency.last_s,
        median_latency_s=session.latency.median_s,
        made_in_s=moment.made_in_s,
        period_s=len(moment.frames) / FPS,
        stalled=session.running and not moment.over and playback.waited_s > 0,
        kept_s=tuple(kept.time_s for kept in session.trip.timeline.moments),
    )


def _standing(session: Session, moment: Moment) -> tuple[str, str, str]:
    """Banner, hint and status of a drive that stands still; empty while it runs."""
    if session.catching_up:
        return "", "going to where the recording begins", "catching up"
    if moment.over and session.playback.at_end:
        return ENDINGS[moment.state.reason], "Backspace: back 1 s and drive it again      N: new scene", "ended"
    if session.paused:
        return "Paused", "Space: go on      .: one second", "paused"
    if session.waiting and moment.number == 0 and session.at_wheel == "driver":
        return "Ready", "Arrow keys or WASD to drive      H: all keys", "ready"
    if session.waiting:
        return "", "drive on with any arrow key, or Space", "waiting"
    return "", "", ""
