"""``longdwm drive``: a window onto a world, to drive in by hand, by a policy, or again."""

import sys
from pathlib import Path

from longdwm_env.errors import InvalidConfig


def drive(
    world: str | None = None,
    scene: str | None = None,
    seed: int = 2,
    prompt: str | None = None,
    policy: str | None = None,
    replay: Path | None = None,
    also: tuple[str, ...] = (),
    control_period_s: float | None = None,
    image_size: tuple[int, int] | None = None,
    window: tuple[int, int] = (1200, 800),
    seconds: float = 20.0,
    display: bool = True,
    pedals: tuple[int, int] = (2, 3),
    device: str | None = None,
    out: Path = Path("outputs/drive"),
    road: str | None = None,
    speed: float | None = None,
) -> int:
    """Drive in a window with keys, gamepad or wheel. H shows all keys; R records a video and a replay file.

    On a machine with no display it records a policy's drive instead, and says so.

    Args:
        world: mini, simulator, warp, or the folder or hub id of a saved pipeline. Default: mini; where the scene is a
            picture or video of yours, warp, or mini where a road is said.
        scene: the number of a built-in scene; or a picture, a video, a folder of them, or a nuScenes dataroot.
        seed: which scene of a source, where the scene is not a number.
        prompt: weather, time and what else the scene shall be; default: the scene's own.
        policy: drives instead of you, such as idm or constant-velocity; M takes the wheel. Default: you.
            Without a display: idm in built-in scenes, constant-velocity elsewhere.
        replay: a replay file to watch again; M takes the wheel.
        also: further worlds that Tab changes to, such as the folder of a saved pipeline.
        control_period_s: seconds between two actions: whole frames of 1/12 s. Default: one frame in warp and simulator,
            which answers soonest; a third of a second in learned worlds; half a second for policies in any world.
        image_size: height and width of the pictures. Default: 192 288, or a saved pipeline's own size where it was not
            made for that.
        window: width and height of the window.
        seconds: how long to record where there is no display.
        display: open a window if there is a display; --no-display records in any case.
        pedals: axes of a steering wheel's throttle and brake.
        device: where a learned world runs, such as cuda.
        out: folder for recordings.
        road: that a picture or video shows: straight, a curvature in 1/m, or straight,lanes=2,width=3.2,cars=4. It gets
            a map, and with it lanes, rewards and traffic; docs/scenes.md has all words.
        speed: m/s at the start of a picture or video; default: its own where that is known, else 8.
    """
    import os

    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    from longdwm_env.agents.driving.engine.start import DriveOptions, check_said_of_pictures, open_session
    from longdwm_env.agents.driving.recording.headless import record_drive
    from longdwm_env.agents.driving.window.window import Window, WindowSettings
    from longdwm_env.io.files import check_output_folder
    from longdwm_env.io.human_window import no_window

    if not all(100 <= side <= 16384 for side in window):
        raise InvalidConfig(f"a window has sides of 100 to 16384 pixels, got {window}")
    if not 0 < seconds <= 86400:
        raise InvalidConfig(f"seconds is a number above 0, up to a day, got {seconds}")
    check_said_of_pictures(scene, road, speed)
    check_output_folder(out)
    if replay is not None and not replay.is_file():
        raise InvalidConfig(f"there is no replay file {replay}")
    # Asked before a world is loaded, and its files keep their places whatever becomes of the folder it starts in.
    reason = no_window() if display else ""
    out, replay = out.absolute(), None if replay is None else replay.absolute()
    options = DriveOptions(
        world=world,
        scene=scene,
        seed=seed,
        prompt=prompt,
        policy=policy,
        replay=replay,
        also=also,
        control_period_s=control_period_s,
        image_size=image_size,
        device=device,
        out=out,
        road=road,
        speed_mps=speed,
    )
    if display and not reason:
        session, inputs = open_session(options)
        Window(session, inputs, WindowSettings(window, pedal_axes=pedals)).run()
        return 0
    print(f"{reason}: recording instead" if display else "recording", file=sys.stderr)
    written = record_drive(open_session(options, inline=True)[0], out, seconds, window)
    print(f"{written.seconds:.1f} s driven, ended by {written.ended}")
    print("written:", f"  {written.video.resolve()}", f"  {written.replay.resolve()}", sep="\n")
    return 0
