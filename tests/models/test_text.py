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


def test_one_embedding_per_field_and_one_of_the_whole(embed):
    assert embed(PROMPT, "").shape == (2, 5, 64)


def test_a_word_changes_its_field_and_the_whole_only(embed):
    changed = (embed(PROMPT) - embed(PROMPT.replace("rainy", "sunny"))).abs().amax(dim=-1)[0]
    assert (changed > 1e-3).tolist() == [True, False, False, False, True]


def test_case_punctuation_and_line_form_do_not_matter(embed):
    one_line = "weather: Rainy. time: night-time."
    assert torch.equal(embed("Weather: rainy. Time: night time."), embed("Weather: rainy\nTime: night time"))
    assert embed(one_line).shape == (1, 5, 64)


def test_a_batch_is_its_members(embed):
    both = embed(PROMPT, "Weather: foggy")
    assert torch.allclose(both[:1], embed(PROMPT), atol=1e-6)
    assert torch.allclose(both[1:], embed("Weather: foggy"), atol=1e-6)


def test_an_endless_prompt_is_cut(embed):
    assert torch.isfinite(embed("van " * 10_000)).all()


@pytest.mark.parametrize("prompt", ["", "\n\n", "...", "<pad>", "天气: 雨", "\x00"])
def test_odd_prompts_are_embedded(embed, prompt):
    assert torch.isfinite(embed(prompt)).all()


def test_words_have_the_same_numbers_everywhere(tokenizer):
    assert tokenizer("Weather: rainy").input_ids == [881, 973]


def test_both_are_saved_and_loaded(tmp_path, tokenizer, encoder):
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    encoder.save_pretrained(tmp_path / "encoder")
    again = PromptTokenizer.from_pretrained(tmp_path / "tokenizer")
    loaded = PromptEncoder.from_pretrained(tmp_path / "encoder", use_safetensors=True)
    assert again(PROMPT).input_ids == tokenizer(PROMPT).input_ids
    assert again.buckets == tokenizer.buckets
    with torch.no_grad():
        before = encode_prompts(tokenizer, encoder, [PROMPT], 64)
        assert torch.equal(encode_prompts(again, loaded, [PROMPT], 64), before)


def test_it_learns_to_tell_day_from_night():
    torch.manual_seed(0)
    tokenizer, encoder, head = PromptTokenizer(), PromptEncoder(dim=16), torch.nn.Linear(16, 1)
    prompts = [f"Weather: {w}\nTime: {t}" for w in ("sunny", "rainy", "foggy") for t in ("daytime", "nighttime")]
    labels = torch.tensor([[0.0], [1.0]] * 3)
    optimizer = torch.optim.Adam([*encoder.parameters(), *head.parameters()], lr=1e-2)
    for _ in range(40):
        optimizer.zero_grad()
        predicted = head(encode_prompts(tokenizer, encoder, prompts[:4], 16)[:, -1])
        torch.nn.functional.binary_cross_entropy_with_logits(predicted, labels[:4]).backward()
        optimizer.step()
    unseen = head(encode_prompts(tokenizer, encoder, prompts[4:], 16)[:, -1])
    assert ((unseen > 0).float() == labels[4:]).all()


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
