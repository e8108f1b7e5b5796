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
from longdwm_env.agents.driving.window.upscaling import fitted_rect, upscale
from longdwm_env.agents.driving.window.window_view import View
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.geometry.spline import trajectory_from_controls
from longdwm_env.types import EgoState

CAMERA = assumed_camera((80, 120))
WHOLE = (0.0, 0.0, 1.0)


@given(st.integers(1, 200), st.integers(1, 200), st.integers(40, 2000), st.integers(40, 2000))
def test_picture_fills_the_window_and_keeps_its_shape(height, width, window_width, window_height):
    left, top, shown_width, shown_height = fitted_rect((height, width), (window_width, window_height))
    assert left >= 0
    assert top >= 0
    assert left + shown_width <= window_width
    assert top + shown_height <= window_height
    assert shown_width == window_width or shown_height == window_height
    assert abs(shown_width / width - shown_height / height) <= 1.01 / min(width, height)


@pytest.mark.parametrize("size", [(30, 20), (60, 40), (240, 160)])
def test_upscaling_keeps_flat_areas_and_mean(size):
    image = np.full((40, 60, 3), (10, 120, 250), np.uint8)
    assert (upscale(image, size) == (10, 120, 250)).all()
    noise = np.random.default_rng(0).integers(60, 190, (40, 60, 3), dtype=np.uint8)
    large = upscale(noise, size)
    assert large.shape == (size[1], size[0], 3)
    assert large.mean() == pytest.approx(noise.mean(), abs=1.0)


def test_straight_path_is_symmetric_and_narrows():
    path = commanded_poses(trajectory_from_controls(0.0, 0.0, EgoState(speed_mps=10.0)), np.zeros(3))
    lane = ribbon(path, np.zeros(3), CAMERA, WHOLE)
    middle = CAMERA.intrinsics.cx_px + 0.5
    assert np.allclose((lane.left[:, 0] + lane.right[:, 0]) / 2, middle, atol=1e-6)
    assert (np.diff(lane.right[:, 0] - lane.left[:, 0]) < 0).all()
    assert len(lane.marks) == 4


@given(st.floats(-0.3, 0.3), st.floats(0, 20), st.floats(-3, 3), st.floats(-50, 50))
def test_path_looks_the_same_wherever_the_world_has_its_origin(steering, speed, heading, x):
    here = held_poses(np.zeros(3), steering, speed)
    pose = np.array([x, -x, heading])
    there = held_poses(pose, steering, speed)
    one = ribbon(here, np.zeros(3), CAMERA, WHOLE)
    other = ribbon(there, pose, CAMERA, WHOLE)
    assert np.allclose(one.left, other.left, atol=1e-3)
    assert np.allclose(one.right, other.right, atol=1e-3)


def test_left_turn_leads_left():
    path = held_poses(np.zeros(3), 0.2, 8.0)
    lane = ribbon(path, np.zeros(3), CAMERA, WHOLE)
    assert lane.left[-1, 0] < lane.left[0, 0] + 200
    assert (lane.left[-1, 0] + lane.right[-1, 0]) / 2 < CAMERA.intrinsics.cx_px - 10


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


def test_screen_says_when_nothing_is_open_yet(grey_session):
    session, _ = grey_session()
    screen = screen_of(session, 0.0)
    assert screen.moment is None
    assert screen.banner
    View().draw(pygame.Surface((320, 200)), screen)


def test_picture_is_upscaled_once_a_frame(started):
    session, _ = started()
    surface, view = pygame.Surface((240, 160)), View()
    assert view.draw(surface, screen_of(session, 60.0))
    assert not view.draw(surface, screen_of(session, 60.0))


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
