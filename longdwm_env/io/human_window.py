"""The window of ``render_mode="human"``: the frames at their rate, the planned motion on the road, the instruments.

The picture is drawn into an array by ``overlay``; pygame only shows it. ``render_mode="rgb_array"`` does not come
through here: it is the frame itself, without drawing.
"""

import os
import subprocess
import sys
import time
from collections import deque
from functools import lru_cache
from typing import Any

from longdwm_env.clock import FPS, FRAME_S
from longdwm_env.errors import InvalidConfig, MissingDependency
from longdwm_env.geometry.pose import compose, inverse, relative_to
from longdwm_env.io.overlay import draw_instruments, draw_path, upscaled
from longdwm_env.io.words import clean
from longdwm_env.state import EnvState
from longdwm_env.types import Images, ImageSize, Trajectory

WINDOW_WIDTH_PX = 960

DISPLAY_ANSWERS_S = 4.0
"""A display that takes longer is given up: its address may lead nowhere, and then SDL waits for minutes."""

_DISPLAY_VARIABLES = ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER", "XDG_RUNTIME_DIR")

_TRY = """
import sys
import pygame
print("try", flush=True)
pygame.display.init()
pygame.display.set_mode((8, 8), pygame.HIDDEN)
# Where no display answers, newer SDL goes on to a driver that has none.
if pygame.display.get_driver() in ("dummy", "offscreen"):
    sys.exit(f"nothing but SDL's {pygame.display.get_driver()} driver does, which shows nothing")
"""


def no_window() -> str:
    """Why a window of this process would not be seen; empty where one can open.

    Found out in a process of its own: nothing within a process can end SDL's wait for a display that does not answer.
    """
    driver = os.environ.get("SDL_VIDEODRIVER", "")
    if driver in ("dummy", "offscreen"):
        return f"SDL_VIDEODRIVER={driver} shows nothing"
    named = sys.platform in ("win32", "darwin") or driver
    if not named and not (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        return "no display"
    return _tried(tuple(os.environ.get(name) for name in _DISPLAY_VARIABLES))


@lru_cache(maxsize=8)
def _tried(variables: tuple[str | None, ...]) -> str:
    """What came of opening a window under these variables, which a process started from here inherits."""
    display, wayland, driver, _ = variables
    named = {"SDL_VIDEODRIVER": driver, "DISPLAY": display, "WAYLAND_DISPLAY": wayland}
    where = ", ".join(f"{name}={clean(value, 100)}" for name, value in named.items() if value) or "the display"
    environment = {**os.environ, "PYGAME_HIDE_SUPPORT_PROMPT": "1"}
    pipes: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", _TRY], env=environment, **pipes) as trying:
        # Importing pygame may take as long as it takes; only the display has a time limit.
        trying.stdout.readline()  # type: ignore[union-attr]
        try:
            _, said = trying.communicate(timeout=DISPLAY_ANSWERS_S)
        except subprocess.TimeoutExpired:
            trying.kill()
            return f"{where} gives no answer within {DISPLAY_ANSWERS_S:g} s"
    if trying.returncode == 0:
        return ""
    reason = said.decode(errors="replace").strip().rpartition("\n")[2].removeprefix("pygame.error: ")
    return f"{where} does not open: {clean(reason, 200) or f'exit status {trying.returncode}'}"


def picture(
    state: EnvState, trajectory: Trajectory | None, index: int, image_size: ImageSize, frames_per_s: float | None
) -> Images:
    """A frame of a state as the window shows it, (H, W, 3).

    Args:
        state: the state after a period, or after reset.
        trajectory: the motion that was planned when the period began; None after reset.
        index: of the frame.
        image_size: (H, W) of the picture.
        frames_per_s: the rate to show; None to leave it out.
    """
    canvas = upscaled(state.frames[index], image_size)
    speed_mps = state.ego.speed_mps
    if trajectory is not None:
        here = state.ego_poses[index]
        world_from_start = compose(state.ego_poses[0], inverse(trajectory.poses[0]))
        ahead = compose(world_from_start[None], trajectory.poses[index + 1 :])
        draw_path(canvas, state.camera, relative_to(ahead, here[None]))
        speed_mps = float(trajectory.speeds_mps[index])
    time_s = max(0, state.frames_driven - len(state.frames) + 1 + index) / FPS
    draw_instruments(canvas, speed_mps, state.world, frames_per_s, time_s)
    return canvas


class Window:
    """A pygame window that plays each period at the frame rate, or as fast as the frames come."""

    def __init__(self, title: str, image_size: ImageSize) -> None:
        """Open it.

        Args:
            title: shown in the title bar.
            image_size: (height, width) of the frames; the window is larger, in the same proportion.

        Raises:
            MissingDependency: pygame is not installed.
            InvalidConfig: there is no display.
        """
        os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
        try:
            import pygame
        except ImportError as error:
            raise MissingDependency("render_mode='human' needs pygame: pip install pygame-ce") from error
        # Drivers that show nothing are asked for on purpose, by tests and recorders.
        reason = "" if os.environ.get("SDL_VIDEODRIVER") in ("dummy", "offscreen") else no_window()
        if reason:
            raise InvalidConfig(f"render_mode='human' needs a display ({reason}); use 'rgb_array' without one")
        height, width = image_size
        self.image_size = (round(height * WINDOW_WIDTH_PX / width), WINDOW_WIDTH_PX)
        try:
            pygame.display.init()
            self._surface: Any = pygame.display.set_mode((self.image_size[1], self.image_size[0]))
        except pygame.error as error:
            raise InvalidConfig(
                f"render_mode='human' needs a display ({error}); use 'rgb_array' without one"
            ) from error
        pygame.display.set_caption(f"LongDWM - {title}")
        self._shown_at: deque[float] = deque(maxlen=2 * FPS)
        self._due_at = time.perf_counter()

    @property
    def is_open(self) -> bool:
        """False once the user or ``close`` has closed it."""
        return self._surface is not None

    def play(self, state: EnvState, trajectory: Trajectory | None) -> None:
        """Show the frames of a state one after the other; returns when the last is on the screen.

        A window that the user closed stays closed, and the episode goes on without it.
        """
        shown = range(len(state.frames)) if trajectory is not None else [len(state.frames) - 1]
        for index in shown:
            if not self.is_open:
                return
            self._show(picture(state, trajectory, index, self.image_size, self.frames_per_s))

    @property
    def frames_per_s(self) -> float | None:
        """Frames per second of the last two seconds' worth of frames; None before there are any."""
        if len(self._shown_at) < 2:
            return None
        return (len(self._shown_at) - 1) / max(self._shown_at[-1] - self._shown_at[0], 1e-9)

    def close(self) -> None:
        """Close the window; calling it again does nothing."""
        if self._surface is not None:
            import pygame

            self._surface = None
            pygame.display.quit()

    def _show(self, canvas: Images) -> None:
        import pygame

        time.sleep(max(0.0, self._due_at - time.perf_counter()))
        self._surface.blit(pygame.image.frombuffer(canvas.tobytes(), canvas.shape[1::-1], "RGB"), (0, 0))
        pygame.display.flip()
        now = time.perf_counter()
        self._shown_at.append(now)
        # Late frames do not make the next ones hurry: the grid starts anew from a frame that came late.
        self._due_at = max(self._due_at + FRAME_S, now)
        if any(event.type == pygame.QUIT for event in pygame.event.get()):
            self.close()
