import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env.agents.driving.engine.playback import SPARE_S, Playback
from longdwm_env.clock import FPS


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


def test_clips_that_were_there_already_do_not_make_a_slow_world_quick():
    playback = Playback()
    for index in range(50):
        playback.generation.add(0.004 if index % 2 else 1.0)
    playback.begin(6)
    assert playback.rate == pytest.approx(0.5 / (1.0 + SPARE_S)), "played slower"
    assert playback.should_ask()
    playback.advance(1.0)
    assert not playback.at_end, "it never stops"


def test_one_slow_clip_is_forgiven():
    playback = Playback()
    playback.generation.add(3.0)
    for _ in range(4):
        playback.generation.add(0.02)
    playback.begin(1)
    assert playback.rate == 1.0
    assert playback.generation.safe_s == 0.02
