"""The pygame window: events in, pictures out. Everything between is the session's."""

import time
from dataclasses import dataclass

import pygame

from longdwm_env.agents.driving.engine.session import Session
from longdwm_env.agents.driving.engine.session_commands import finish_recording, perform
from longdwm_env.agents.driving.input.devices import connected_devices
from longdwm_env.agents.driving.input.driver_input import DriverInputs
from longdwm_env.agents.driving.input.key_commands import Command, binding_of
from longdwm_env.agents.driving.window.screen import screen_of
from longdwm_env.agents.driving.window.window_view import View
from longdwm_env.errors import InvalidConfig

TITLE = "LongDWM"


@dataclass(frozen=True)
class WindowSettings:
    """How the window opens.

    Attributes:
        size_px: (width, height).
        max_fps: redrawn this often, and whenever a clip has arrived or is to be shown; keys are read as often.
        pedal_axes: axes of a steering wheel's throttle and brake.
    """

    size_px: tuple[int, int] = (1200, 800)
    max_fps: int = 60
    pedal_axes: tuple[int, int] = (2, 3)


class Window:
    """Runs a session in a window until it is closed.

    Attributes:
        ran_s: in how many seconds.
    """

    def __init__(self, session: Session, inputs: DriverInputs, settings: WindowSettings) -> None:
        self._session, self._inputs, self._settings = session, inputs, settings
        self._view = View()
        self._open = True
        self._polled_s = 0.0
        self.pictures = 0
        self.ran_s = 0.0

    def run(self) -> None:
        """Open the window and drive until the driver quits.

        Raises:
            InvalidConfig: no window can open, or none of this size.
        """
        try:
            pygame.display.init()
            pygame.font.init()
            pygame.joystick.init()
            pygame.display.set_caption(TITLE)
            surface = pygame.display.set_mode(self._settings.size_px, pygame.RESIZABLE)
        except pygame.error as error:
            self._session.close()
            raise InvalidConfig(f"the window cannot open ({error}); --no-display records instead") from error
        try:
            clock = pygame.time.Clock()
            self._polled_s = begun_s = time.perf_counter()
            while self._open:
                self._read_events()
                self._session.tick(time.perf_counter())
                self._view.draw(surface, screen_of(self._session, clock.get_fps()))
                pygame.display.flip()
                self._session.flipped(time.perf_counter())
                self.pictures, self.ran_s = self.pictures + 1, time.perf_counter() - begun_s
                self._session.rest(self._polled_s + 1 / self._settings.max_fps - time.perf_counter())
                clock.tick()
                surface = pygame.display.get_surface() or surface
        finally:
            # The window closes at once, not when the world comes back from what it does. Not pygame.quit()
            # though: fonts and whatever else the program uses stay.
            pygame.display.quit()
            finish_recording(self._session)
            self._session.close()

    def _read_events(self) -> None:
        # An event found now may have happened right after the last look: latency counts from there, so that it is
        # never understated. Events that a measurement posts say themselves when they happened.
        earliest_s, self._polled_s = self._polled_s, time.perf_counter()
        for event in pygame.event.get():
            happened_s = event.dict.get("happened_s", earliest_s)
            if event.type == pygame.QUIT:
                self._open = False
            elif event.type == pygame.KEYDOWN:
                self._key_down(event.key, happened_s)
            elif event.type == pygame.KEYUP:
                self._key_up(event.key, happened_s)
            elif event.type == pygame.WINDOWFOCUSLOST:
                self._inputs.keys.release_all()
            elif event.type in (pygame.JOYDEVICEADDED, pygame.JOYDEVICEREMOVED):
                self._inputs.devices = connected_devices(self._settings.pedal_axes)
                names = ", ".join(device.name for device in self._inputs.devices)
                self._session.say(f"driving with {names} and keys" if names else "driving with keys")
        if self._inputs.device_moved():
            self._session.touched(earliest_s)

    def _key_down(self, key: int, at_s: float) -> None:
        binding = binding_of(pygame.key.name(key))
        if binding is None:
            return
        if isinstance(binding.does, str):
            self._inputs.keys.press(binding.does, self._polled_s)
            # A press that sets a waiting car off is not counted: the picture stood, and nothing was due.
            self._session.touched(at_s)
        elif binding.does is Command.QUIT:
            if self._view.show_help:
                self._view.show_help = False
            else:
                self._open = False
        elif binding.does is Command.HELP:
            self._view.show_help = not self._view.show_help
        elif binding.does is Command.HIDE:
            self._view.show_instruments = not self._view.show_instruments
        else:
            perform(self._session, binding.does)

    def _key_up(self, key: int, at_s: float) -> None:
        binding = binding_of(pygame.key.name(key))
        if binding is not None and isinstance(binding.does, str):
            self._inputs.keys.release(binding.does, self._polled_s)
            self._session.touched(at_s)
