import json
import re
import socket
import subprocess
import sys
import threading
import time

import av
import pygame
import pytest

from longdwm_env.agents.driving.engine.drive_options import DriveOptions
from longdwm_env.agents.driving.engine.world_worker import ThreadWorker
from longdwm_env.agents.driving.input.devices import Gamepad, SteeringWheel, is_wheel, shaped
from longdwm_env.agents.driving.input.driver_input import DriverInputs
from longdwm_env.agents.driving.input.pedals import DriverInput, merged
from longdwm_env.agents.driving.window.window import Window, WindowSettings
from longdwm_env.cli.drives.drive import drive
from longdwm_env.errors import InvalidConfig, UnknownWorld
from longdwm_env.io import human_window as render
from longdwm_env.io.human_window import no_window

SMALL = WindowSettings((480, 320))


def type_keys(session, script):
    """Post key events to the window from a thread, each when its condition holds; then close the window."""

    def post(kind, name):
        pygame.event.post(pygame.event.Event(kind, key=pygame.key.key_code(name), happened_s=time.perf_counter()))

    def run():
        try:
            for name, release, condition in script:
                deadline = time.monotonic() + 20
                while not condition() and time.monotonic() < deadline:
                    time.sleep(0.005)
                post(pygame.KEYUP if release else pygame.KEYDOWN, name)
        finally:
            pygame.event.post(pygame.event.Event(pygame.QUIT))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


def test_window_drives_by_keys(grey_session, monkeypatch, tmp_path):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    session, _ = grey_session(worker=ThreadWorker())
    inputs = DriverInputs()
    session.inputs = inputs

    def at(number):
        return lambda: session.trip is not None and session.trip.present.number >= number

    rewound = []

    def turned():
        return session.trip is not None and session.trip.present.controls.steering_rad > 0.05

    def back():
        rewound.append(session.trip.present.number)
        return session.waiting

    script = [
        ("up", False, at(0)),
        ("up", True, at(2)),
        ("left", False, at(2)),
        ("r", False, turned),
        ("h", False, turned),
        ("h", False, turned),
        ("left", True, at(6)),
        ("tab", False, at(7)),
        ("backspace", False, lambda: session.trip.present.state.world == "other" and at(9)()),
        ("right", False, back),
        ("right", True, lambda: session.trip.present.controls.steering_rad < 0),
        ("space", False, lambda: True),
        ("i", False, lambda: session.paused),
    ]
    type_keys(session, script)
    window = Window(session, inputs, SMALL)
    window.run()
    assert session.paused
    assert window.pictures > 10
    # Closing the window ended the recording.
    assert all(0 < seconds < 20 for seconds in session.latency.measurements_s)
    assert len(session.latency.measurements_s) >= 2
    (video,) = tmp_path.glob("*.mp4")
    (replay,) = tmp_path.glob("*.json")
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) >= 6
    steps = json.loads(replay.read_text())["steps"]
    assert {"drive", "back", "world"} <= {step["do"] for step in steps}


@pytest.fixture
def no_names(monkeypatch):
    monkeypatch.setattr(sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "SDL_VIDEODRIVER"):
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def test_a_display_that_leads_nowhere_is_noticed(no_names, make_environment):
    assert no_window() == "no display"
    no_names.setenv("DISPLAY", ":5678")
    # On a machine with much else to do even a refusal may take longer than a display is given.
    assert re.search("DISPLAY=:5678 (does not open|gives no answer)", no_window())
    environment = make_environment(render_mode="human")
    with pytest.raises(InvalidConfig, match=r"DISPLAY=:5678.*rgb_array"):
        environment.reset(seed=0)


def test_a_display_that_never_answers_is_given_up(no_names):
    no_names.setattr(render, "DISPLAY_ANSWERS_S", 1.0)
    no_names.setenv("SDL_VIDEODRIVER", "x11")
    for number in range(300, 400):
        try:
            silent = socket.create_server(("127.0.0.1", 6000 + number))
        except OSError:
            continue
        break
    with silent:
        no_names.setenv("DISPLAY", f"127.0.0.1:{number}")
        assert f"127.0.0.1:{number} gives no answer within 1 s" in no_window()


OPENING = """
import os, sys, threading, time
os.environ["SDL_VIDEODRIVER"] = "dummy"
import pygame
import torch
from longdwm_env.io import human_window as render
from longdwm_env.agents.driving.engine.open_worlds import Generator
from longdwm_env.cli import main

render.no_window = lambda: ""
large = torch.ones(1000, 1000)


def open_scene(self, opening):
    while True:
        torch.mm(large, large)


def escape():
    while not (pygame.display.get_init() and pygame.display.get_surface()):
        time.sleep(0.01)
    pygame.event.post(pygame.event.Event(pygame.KEYDOWN, key=pygame.K_ESCAPE))


Generator.open_scene = open_scene
threading.Thread(target=escape, daemon=True).start()
sys.exit(main(["drive", "--world", "warp", "--out", sys.argv[1]]))
"""


def test_escape_while_a_world_opens_ends_the_command(tmp_path):
    """A thread that comes back from torch while the interpreter ends would abort it: exit status 134."""
    command = [sys.executable, "-c", OPENING, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "wrong", [{"window": (0, 0)}, {"window": (1, 10**9)}, {"seconds": float("nan")}, {"seconds": -1.0}]
)
def test_sizes_and_times_that_cannot_be_are_refused(tmp_path, wrong):
    with pytest.raises(InvalidConfig):
        drive(DriveOptions("warp", "0", out=tmp_path), **wrong)


def test_without_a_display_the_drive_is_recorded_and_can_be_seen_again(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    shown = {"image_size": (32, 48), "out": tmp_path}
    assert drive(DriveOptions("warp", "0", policy="constant-velocity", **shown), (240, 160), 2.0) == 0
    said = capsys.readouterr()
    assert "recording instead" in said.err
    video, replay = tmp_path / "drive.mp4", tmp_path / "drive.json"
    assert str(video) in said.out
    with av.open(str(video)) as container:
        assert sum(1 for _ in container.decode(video=0)) == 36
    assert drive(DriveOptions(replay=replay, **shown), (240, 160), 2.0) == 0
    again = json.loads((tmp_path / "drive-2.json").read_text())
    first = json.loads(replay.read_text())
    assert again["steps"] == first["steps"][: len(again["steps"])]
    assert len(again["steps"]) >= len(first["steps"]) - 1


def test_world_that_does_not_exist_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("SDL_VIDEODRIVER", "dummy")
    with pytest.raises(UnknownWorld, match="nowhere"):
        drive(DriveOptions("nowhere", out=tmp_path))
    with pytest.raises(InvalidConfig, match="built-in"):
        drive(DriveOptions("simulator", "photo.jpg", out=tmp_path))
    with pytest.raises(InvalidConfig, match=r"0\.3"):
        drive(DriveOptions(control_period_s=0.3, out=tmp_path))
    with pytest.raises(InvalidConfig, match="replay"):
        drive(DriveOptions(replay=tmp_path / "none.json", out=tmp_path))
    assert not list(tmp_path.iterdir())


class Stick:
    """A joystick or controller with given axes."""

    def __init__(self, axes):
        self.axes = axes

    def get_axis(self, axis):
        return self.axes[axis]

    def get_numaxes(self):
        return len(self.axes)

    def get_name(self):
        return "Logitech G29 Racing Wheel"


def test_gamepad_steers_left_with_its_stick_to_the_left():
    axes = dict.fromkeys(range(6), 0)
    axes[pygame.CONTROLLER_AXIS_LEFTX] = -32768
    axes[pygame.CONTROLLER_AXIS_TRIGGERRIGHT] = 32767
    driver_input = Gamepad(Stick(axes), "pad").read()
    assert driver_input.steer == 1.0
    assert driver_input.throttle == pytest.approx(1.0, abs=1e-3)
    assert (driver_input.brake, driver_input.direct) == (0.0, True)


def test_wheel_pedals_count_only_once_they_moved():
    stick = Stick([0.5, 0.0, 0.0, 0.0])
    wheel = SteeringWheel(stick, (2, 3))
    assert wheel.read() == DriverInput(steer=-shaped(0.5, 0.01, 1.0), direct=True)
    stick.axes[2], stick.axes[3] = -1.0, 1.0
    assert (wheel.read().throttle, wheel.read().brake) == (1.0, 0.0)
    assert is_wheel(wheel.name)
    assert not is_wheel("Xbox 360 Controller")


def test_whoever_steers_hardest_steers():
    keys, stick = DriverInput(steer=-1.0, brake=0.2), DriverInput(steer=0.3, throttle=0.5, direct=True)
    assert merged([keys, stick]) == DriverInput(-1.0, 0.5, 0.2, direct=False)
    assert merged([]) == DriverInput()
