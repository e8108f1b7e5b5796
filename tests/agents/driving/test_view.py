from dataclasses import replace

import numpy as np
import pygame
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.agents.driving.engine.session_commands import perform
from longdwm_env.agents.driving.input.key_commands import BINDINGS, Command, binding_of
from longdwm_env.agents.driving.input.pedals import DriverInput
from longdwm_env.agents.driving.instruments import instruments
from longdwm_env.agents.driving.instruments.road_path import commanded_poses, held_poses, ribbon
from longdwm_env.agents.driving.recording.headless import pixels
from longdwm_env.agents.driving.window import window_view as view_module
from longdwm_env.agents.driving.window.screen import screen_of
from longdwm_env.agents.driving.window.typeface import ACCENT, text
from longdwm_env.agents.driving.window.window_view import View
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.spline import trajectory_from_controls
from longdwm_env.types import EgoState

CAMERA = assumed_camera((80, 120))
WHOLE = (0.0, 0.0, 1.0)


@given(st.floats(-0.3, 0.3), st.floats(0, 20), st.floats(-3, 3), st.floats(-50, 50))
def test_path_looks_the_same_wherever_the_world_has_its_origin(steering, speed, heading, x):
    here = held_poses(np.zeros(3), steering, speed)
    pose = np.array([x, -x, heading])
    there = held_poses(pose, steering, speed)
    one = ribbon(here, np.zeros(3), CAMERA, WHOLE)
    other = ribbon(there, pose, CAMERA, WHOLE)
    assert np.allclose(one.left, other.left, atol=1e-3)
    assert np.allclose(one.right, other.right, atol=1e-3)


def test_straight_path_is_symmetric_and_a_left_turn_leads_left():
    middle = CAMERA.intrinsics.cx_px + 0.5
    path = commanded_poses(trajectory_from_controls(0.0, 0.0, EgoState(speed_mps=10.0)), np.zeros(3))
    straight, left = (ribbon(one, np.zeros(3), CAMERA, WHOLE) for one in (path, held_poses(np.zeros(3), 0.2, 8.0)))
    assert np.allclose((straight.left[:, 0] + straight.right[:, 0]) / 2, middle, atol=1e-6)
    assert (left.left[-1, 0] + left.right[-1, 0]) / 2 < middle - 10


def test_path_behind_the_camera_or_of_no_length_is_nothing():
    behind = np.column_stack([np.linspace(-20, -5, 30), np.zeros(30), np.zeros(30)])
    assert ribbon(behind, np.zeros(3), CAMERA, WHOLE) is None
    assert ribbon(np.zeros((5, 3)), np.zeros(3), CAMERA, WHOLE) is None


def test_keys_have_one_meaning_each_and_every_command_has_a_key():
    keys = [key for binding in BINDINGS for key in binding.keys]
    assert len(keys) == len(set(keys))
    assert {binding.does for binding in BINDINGS if isinstance(binding.does, Command)} == set(Command)
    assert binding_of("left").does == "left"
    assert binding_of("f12") is None
    known = {pygame.key.name(code) for code in range(128)} | {"left", "right", "up", "down", "home", "f1", "?"}
    assert set(keys) <= known


@pytest.mark.parametrize("size", [(1200, 800), (480, 320), (640, 900)])
def test_every_state_of_a_drive_can_be_drawn(started, run, size):
    session, inputs = started()
    surface, view = pygame.Surface(size), View()

    def draw():
        view.draw(surface, screen_of(session, 60.0))
        return pixels(surface)

    ready = draw()
    inputs.driver_input = DriverInput(steer=0.5, throttle=1.0)
    run(session, 1.0)
    driving = draw()
    assert not np.array_equal(ready, driving)
    assert (np.abs(driving.astype(int) - ACCENT).sum(axis=-1) < 60).any()
    perform(session, Command.PAUSE)
    paused = draw()
    view.show_instruments = False
    bare = draw()
    assert not np.array_equal(paused, bare)
    view.show_help = True
    assert draw().mean() < bare.mean()
    inputs.driver_input = DriverInput()
    view.show_help = view.show_instruments = True
    view.show_help = False
    perform(session, Command.BACK_5_S)
    draw()
    perform(session, Command.NEXT_WORLD)
    run(session, 0.1)
    draw()


@pytest.mark.parametrize("size", [(1200, 800), (480, 320), (1920, 700), (300, 900)])
@pytest.mark.parametrize("words", ["short", "a longer line with what there is to say about it", "word " * 60])
def test_the_message_covers_no_instrument(started, size, words, monkeypatch):
    session, _ = started()
    cards = []
    for module in (instruments, view_module):
        draw = module.panel
        monkeypatch.setattr(
            module,
            "panel",
            lambda surface, rect, *a, draw=draw, **k: (cards.append(rect.copy()), draw(surface, rect, *a, **k)),
        )
    session.say(words)
    screen = replace(screen_of(session, 60.0), banner="", hint="", busy="")
    View().draw(pygame.Surface(size), screen)
    *others, message = cards
    assert len(others) == 4
    for card in others[:2]:
        assert not message.colliderect(card)


def test_names_that_no_font_has_are_drawn():
    for words in ("caf\udce9", "a\x00b", "", "x" * 3000):
        assert text(words, 14).get_height() > 0
