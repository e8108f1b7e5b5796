"""A drive on a machine with no display: the same session and the same pictures, written to a video."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pygame
from tqdm import tqdm

from longdwm_env.agents.driving.engine.session import Session
from longdwm_env.agents.driving.recording.video_recorder import unused_stem
from longdwm_env.agents.driving.window.screen import screen_of
from longdwm_env.agents.driving.window.window_view import View
from longdwm_env.clock import FPS
from longdwm_env.io.video import growing_video
from longdwm_env.types import Images


@dataclass(frozen=True)
class Written:
    """What a drive without a display left behind."""

    video: Path
    replay: Path
    seconds: float
    ended: str


def record_drive(session: Session, folder: Path, seconds: float, size_px: tuple[int, int] = (1200, 800)) -> Written:
    """Drive for a while and write what the window would have shown, and the replay file.

    The session's worker must answer at once (``InlineWorker``): time here is the video's, not the clock's.

    Args:
        session: with a policy or a replay at the wheel.
        folder: for the files.
        seconds: how long to drive; a replay, or an episode that ends, may be shorter.
        size_px: (width, height) of the video.

    Raises:
        LongDWMError: the policy cannot drive here, such as a lane keeper where there is no lane; nothing is written.
    """
    view, surface = View(), pygame.Surface(size_px)
    stem = unused_stem(folder, "drive")
    written = Written(folder / f"{stem}.mp4", folder / f"{stem}.json", 0.0, "")
    frames, ended = 0, "time"
    wanted = round(seconds * FPS)
    with (
        growing_video(written.video, (size_px[1], size_px[0]), scale=1) as video,
        tqdm(total=wanted, desc="recording", unit="frame", leave=False) as bar,
    ):
        while frames < wanted and ended == "time":
            # Once to let time pass and ask, then to take in the answers: no time passes between.
            session.tick(frames / FPS)
            while session.awaits_answer or session.catching_up:
                session.tick(frames / FPS)
            failed = session.fault if session.at_wheel == "policy" else None
            if failed is not None and (session.trip is None or session.trip.present.state.frames_driven == 0):
                raise failed
            view.draw(surface, screen_of(session, float(FPS)))
            video.write(pixels(surface))
            frames += 1
            bar.update()
            if failed is not None:
                ended = str(failed)
            elif session.waiting or session.paused:
                ended = "replay"
            elif session.trip is not None and session.trip.present.over and session.playback.at_end:
                ended = session.trip.present.state.reason
        video.write(np.repeat(pixels(surface)[None], FPS, axis=0))
    assert session.trip is not None
    session.trip.journal.save(written.replay)
    session.close()
    return Written(written.video, written.replay, frames / FPS, ended)


def pixels(surface: pygame.Surface) -> Images:
    """(H, W, 3) uint8 RGB of a surface."""
    return np.ascontiguousarray(pygame.surfarray.array3d(surface).swapaxes(0, 1))
