import pytest
import torch

from longdwm_env.models.conditioning.text import PromptEncoder, PromptTokenizer, encode_prompts, known_prompt

PROMPT = "Weather: rainy\nTime: nighttime\nRoad environment: wide street\nCritical objects: a white van"


@pytest.fixture(scope="module")
def tokenizer():
    return PromptTokenizer()


@pytest.fixture(scope="module")
def encoder():
    torch.manual_seed(0)
    return PromptEncoder().eval()


@pytest.fixture(scope="module")
def embed(tokenizer, encoder):
    @torch.no_grad()
    def of(*prompts):
        return encode_prompts(tokenizer, encoder, list(prompts), 64)

    return of


def test_a_word_changes_its_field_and_the_whole_only(embed):
    changed = (embed(PROMPT) - embed(PROMPT.replace("rainy", "sunny"))).abs().amax(dim=-1)[0]
    assert (changed > 1e-3).tolist() == [True, False, False, False, True]


def test_case_punctuation_and_line_form_do_not_matter(embed):
    one_line = "weather: Rainy. time: night-time."
    assert torch.equal(embed("Weather: rainy. Time: night time."), embed("Weather: rainy\nTime: night time"))
    assert embed(one_line).shape == (1, 5, 64)


@pytest.mark.parametrize("prompt", ["", "\n\n", "...", "<pad>", "天气: 雨", "\x00"])
def test_odd_prompts_are_embedded(embed, prompt):
    assert torch.isfinite(embed(prompt)).all()


def test_words_have_the_same_numbers_everywhere(tokenizer):
    assert tokenizer("Weather: rainy").input_ids == [881, 973]


@pytest.mark.parametrize(
    ("given", "known"),
    [
        ("Weather: rainy. Time: nighttime.", "Weather: Rainy.\nTime: Nighttime."),
        ("a misty evening", "Weather: Foggy.\nTime: Dusk."),
        ("snow", ""),
        ("", ""),
        ("Time: noon", "Time: Daytime."),
        (
            "Weather: Sunny. Time: Daytime. Road environment: a motorway, dry grass. Critical objects: a van.",
            "Weather: Clear.\nTime: Daytime.\nRoad environment: a motorway, dry grass.\nCritical objects: a van.",
        ),
    ],
)
def test_prompts_in_the_words_that_a_small_encoder_knows(given, known):
    assert known_prompt(given) == known
    assert known_prompt(known) == known
