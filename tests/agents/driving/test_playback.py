import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.agents.driving.engine.playback import SPARE_S, LatencyMeter, Playback
from longdwm_env.clock import FPS


@given(st.integers(1, 12), st.lists(st.floats(0.001, 0.05), min_size=1, max_size=60))
def test_frames_come_in_order_and_stay_inside_the_clip(length, ticks):
    playback = Playback()
    playback.begin(length)
    frames = []
    for elapsed in ticks:
        playback.advance(elapsed)
        frames.append(playback.frame)
    assert frames == sorted(frames)
    assert all(0 <= frame < length for frame in frames)


@given(st.integers(1, 12))
def test_clip_lasts_its_length_at_real_time(length):
    playback = Playback()
    playback.begin(length)
    assert playback.remaining_s == pytest.approx(length / FPS)
    playback.advance(length / FPS - 1e-6)
    assert not playback.at_end
    playback.advance(2e-6)
    assert playback.at_end


def test_asks_just_in_time():
    playback = Playback()
    for _ in range(50):
        playback.generation.add(0.05)
    playback.begin(6)
    playback.advance(0.5 - 0.05 - SPARE_S - 0.02)
    assert not playback.should_ask()
    playback.advance(0.021)
    assert playback.should_ask()


def test_uncertain_generation_is_asked_earlier():
    steady, shaky = Playback(), Playback()
    for index in range(50):
        steady.generation.add(0.05)
        shaky.generation.add(0.02 if index % 2 else 0.08)
    assert shaky.generation.typical_s == pytest.approx(steady.generation.typical_s)
    assert shaky.generation.safe_s > steady.generation.safe_s + 0.02


def test_slow_world_is_played_slower_and_never_stops():
    playback = Playback()
    for _ in range(50):
        playback.generation.add(1.0)
    playback.begin(6)
    assert playback.rate == pytest.approx(0.5 / (1.0 + SPARE_S))
    assert playback.should_ask()
    playback.advance(1.0)
    assert not playback.at_end


def test_clips_that_were_there_already_do_not_make_a_slow_world_quick():
    playback = Playback()
    for index in range(50):
        playback.generation.add(0.004 if index % 2 else 1.0)
    playback.begin(6)
    assert playback.rate == pytest.approx(0.5 / (1.0 + SPARE_S))
    assert playback.should_ask()


def test_lateness_is_carried_over_only_when_small():
    playback = Playback()
    playback.begin(3)
    playback.advance(3.2 / FPS)
    playback.begin(3)
    assert playback.position == pytest.approx(0.2)
    playback.advance(3.5 / FPS)
    playback.begin(3)
    assert playback.position == pytest.approx(0.7)
    playback.advance(5.0 / FPS)
    playback.begin(3)
    assert playback.position == 0.0


def test_waiting_counts_time_beyond_the_end():
    playback = Playback()
    playback.begin(3)
    playback.advance(3 / FPS + 0.1)
    playback.advance(0.1)
    assert playback.waited_s == pytest.approx(0.2)


def test_latency_counts_the_first_change_since_the_last_request():
    meter = LatencyMeter()
    assert meter.take() is None
    meter.event(1.0)
    meter.event(1.1)
    assert meter.take() == 1.0
    assert meter.take() is None
    assert math.isnan(meter.median_s)
    for seconds in (0.2, 0.1, 0.3):
        meter.add(seconds)
    assert (meter.last_s, meter.median_s) == (0.3, 0.2)


def test_one_slow_clip_is_forgiven():
    playback = Playback()
    playback.generation.add(3.0)
    for _ in range(4):
        playback.generation.add(0.02)
    playback.begin(1)
    assert playback.rate == 1.0
    assert playback.generation.safe_s == 0.02
