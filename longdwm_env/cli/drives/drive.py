"""``longdwm drive``: a window onto a world, to drive in by hand, by a policy, or again."""

import os
import sys
from dataclasses import replace
from typing import Annotated

import tyro

from longdwm_env.agents.driving.engine.drive_options import DriveOptions
from longdwm_env.errors import InvalidConfig

DriveFlag = Annotated[DriveOptions, tyro.conf.arg(name="")]
DEFAULTS = DriveOptions()


def drive(
    options: DriveFlag = DEFAULTS,
    window: tuple[int, int] = (1200, 800),
    seconds: float = 20.0,
    display: bool = True,
    pedals: tuple[int, int] = (2, 3),
) -> int:
    """Drive in a window with keys, gamepad or wheel. H shows all keys; R records a video and a replay file.

    On a machine with no display it records a policy's drive instead, and says so.

    Args:
        options: of the drive.
        window: width and height of the window.
        seconds: how long to record where there is no display.
        display: open a window if there is a display; --no-display records in any case.
        pedals: axes of a steering wheel's throttle and brake.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    from longdwm_env.agents.driving.engine.start import check_said_of_pictures, open_session
    from longdwm_env.agents.driving.recording.headless import record_drive
    from longdwm_env.agents.driving.window.window import Window, WindowSettings
    from longdwm_env.io.human_window import no_window

    if not all(100 <= side <= 16384 for side in window):
        raise InvalidConfig(f"a window has sides of 100 to 16384 pixels, got {window}")
    if not 0 < seconds <= 86400:
        raise InvalidConfig(f"seconds is a number above 0, up to a day, got {seconds}")
    check_said_of_pictures(options.scene, options.road, options.speed)
    # Asked before a world is loaded, and its files keep their places whatever becomes of the folder it starts in.
    options = with_places(options)
    reason = no_window() if display else ""
    if display and not reason:
        session, inputs = open_session(options)
        Window(session, inputs, WindowSettings(window, pedal_axes=pedals)).run()
        return 0
    print(f"{reason}: recording instead" if display else "recording", file=sys.stderr)
    written = record_drive(open_session(options, inline=True)[0], options.out, seconds, window)
    print(f"{written.seconds:.1f} s driven, ended by {written.ended}")
    print("written:", f"  {written.video.resolve()}", f"  {written.replay.resolve()}", sep="\n")
    return 0


def with_places(options: DriveOptions) -> DriveOptions:
    """The options with their files' places in full, looked at.

    Raises:
        InvalidConfig: there is no such replay file, or nothing can be written to the folder.
    """
    from longdwm_env.io.files import check_output_folder

    check_output_folder(options.out)
    if options.replay is not None and not options.replay.is_file():
        raise InvalidConfig(f"there is no replay file {options.replay}")
    replay = None if options.replay is None else options.replay.absolute()
    return replace(options, out=options.out.absolute(), replay=replay)
