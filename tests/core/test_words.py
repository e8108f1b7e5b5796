"""Words from outside, and what objects of ours say of themselves."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from longdwm_env import LongDWMEnv
from longdwm_env.episodes.starts import PromptNotUnderstoodWarning
from longdwm_env.io.words import ascii_only, clean, for_figure

ANY = st.text(st.characters(blacklist_categories=()), max_size=30)


@given(ANY)
def test_cleaned_words_can_be_written_and_stay_cleaned(words):
    shown = clean(words)
    shown.encode("utf-8")
    assert clean(shown) == shown
    assert len(shown) == len(words)
    assert not any(ord(letter) < 32 and letter not in "\t\n" for letter in shown)
    ascii_only(words).encode("ascii")
    assert for_figure(words).replace(r"\$", "").count("$") == 0


def test_words_that_need_no_cleaning_stay():
    assert clean("Straße 7,\n3 € — 道路 🚗") == "Straße 7,\n3 € — 道路 🚗"
    assert len(clean("x" * 10_000)) == 2000


@pytest.fixture(scope="module")
def environment():
    made = LongDWMEnv(world="simulator", image_size=(24, 36))
    made.reset(seed=3)
    return made


def test_states_and_futures_say_what_they_are_in_a_line_or_two(environment):
    state = environment.get_state()
    ahead = np.array([[0.5, 0], [1, 0], [1.5, 0], [2, 0]]) * 8.0
    futures = environment.imagine([[ahead, ahead]] * 3)
    for value in (state, state.world_state, state.world_state.actors, futures, futures.states[0]):
        assert 10 < len(repr(value)) < 240
        assert "\n" not in repr(value)
    assert "simulator:3" in repr(state)
    assert "3 futures of 2 periods" in repr(futures)


@pytest.mark.parametrize("prompt", ["it is snowing", "???", "Weather: hail.", "Road environment: a street."])
def test_a_prompt_of_which_nothing_is_understood_says_so_and_what_is_known(environment, prompt):
    with pytest.warns(PromptNotUnderstoodWarning, match=r"clear, fog, rain; day, dusk, night"):
        environment.reset(seed=3, options={"prompt": prompt})


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("prompt", [None, "", "  ", "a foggy street", "Weather: hail. Time: night."])
def test_a_prompt_that_is_understood_in_part_says_nothing(environment, prompt):
    environment.reset(seed=3, options={} if prompt is None else {"prompt": prompt})
