import json

import numpy as np
import PIL.Image
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaNextVideoConfig,
    LlavaNextVideoForConditionalGeneration,
    PreTrainedTokenizerFast,
)

from longdwm_env.cli.data.annotate import annotate as command
from longdwm_env.errors import InvalidScene, MissingWeights
from longdwm_env.models.readers.captioning import FIELDS, QUESTION, Annotator, annotate, four_lines, read_captions
from longdwm_env.scenes import open_scenes

WORDS = [
    "<pad>",
    "</s>",
    "<unk>",
    "<video>",
    "<image>",
    *["Weather:", "sunny", "Time:", "night", "ASSISTANT:", "car", "road"],
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("llava")
    config = LlavaNextVideoConfig(
        vision_config=CLIPVisionConfig(
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            image_size=28,
            patch_size=7,
        ),
        text_config=LlamaConfig(
            vocab_size=len(WORDS),
            hidden_size=16,
            intermediate_size=32,
            num_hidden_layers=2,
            num_attention_heads=2,
            num_key_value_heads=2,
            bos_token_id=1,
            eos_token_id=1,
            pad_token_id=0,
        ),
        video_token_index=3,
        image_token_index=4,
        image_grid_pinpoints=[[28, 28]],
    )
    LlavaNextVideoForConditionalGeneration(config).save_pretrained(path, safe_serialization=True)
    words = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def annotator(folder):
    return Annotator.from_pretrained(folder, device="cpu", max_new_tokens=6)


@pytest.fixture
def photos(picture, tmp_path):
    path = tmp_path / "photos"
    path.mkdir()
    for index in range(3):
        PIL.Image.fromarray(picture((40, 60), index)).save(path / f"{index}.png")
    return path


def test_the_question_is_the_paper_s():
    assert QUESTION.count("<video>") == 1
    assert QUESTION.endswith("ASSISTANT:")
    assert all(f"  {name}:" in QUESTION for name in FIELDS)


def test_answers_become_four_lines():
    answer = "ASSISTANT: Weather: rainy\n  Time: night time \nRoad environment: wet\nCritical objects: a car, a\nvan"
    expected = "Weather: rainy\nTime: night time\nRoad environment: wet\nCritical objects: a car, a van"
    assert four_lines(answer) == expected
    assert four_lines(expected) == expected
    assert four_lines("time: noon weather: fog").splitlines()[:2] == ["Weather: fog", "Time: noon"]
    assert four_lines("").splitlines() == [f"{name}: unknown" for name in FIELDS]


def test_pixels_are_what_clip_expects(annotator):
    grey = annotator.pixel_values(np.full((2, 40, 60, 3), 128, np.uint8))
    assert grey.shape == (2, 3, 28, 28)
    expected = (128 / 255 - np.array([0.48145466, 0.4578275, 0.40821073])) / [0.26862954, 0.26130258, 0.27577711]
    assert np.allclose(grey[0, :, 0, 0], expected, atol=1e-5)


def test_a_batch_is_described(annotator, picture):
    clips = [np.stack([picture((40, 60), seed + i) for i in range(8)]) for seed in (0, 9)]
    together = annotator.describe(clips)
    assert len(together) == 2
    assert all([line.split(":")[0] for line in text.splitlines()] == list(FIELDS) for text in together)
    assert together == [annotator.describe([clip])[0] for clip in clips]


class Stopping:
    """Describes a few clips and then breaks off, as an interrupted run does."""

    def __init__(self, allowed):
        self.allowed = allowed
        self.seen = 0

    def describe(self, clips):
        if self.seen + len(clips) > self.allowed:
            raise KeyboardInterrupt
        self.seen += len(clips)
        return [four_lines(f"Weather: {clip[0, 0, 0, 0]}") for clip in clips]


def test_an_interrupted_run_goes_on_where_it_was(photos, tmp_path):
    scenes, out = open_scenes(photos), tmp_path / "captions.json"
    with pytest.raises(KeyboardInterrupt):
        annotate(scenes, Stopping(2), out, batch_size=1)
    assert len(read_captions(out)) == 2
    rest, done = Stopping(1), []
    captions = annotate(scenes, rest, out, batch_size=2, progress=done.append)
    assert rest.seen == 1
    assert done[-1] == 3
    assert captions == read_captions(out) == json.loads(out.read_text())
    assert set(captions) == {scenes.scene(index).key for index in range(3)}
    assert annotate(scenes, Stopping(0), out) == captions


@pytest.mark.parametrize("damage", ["{", "[1]", '{"a": 1}', "\x00"])
def test_a_damaged_file_of_captions_is_not_overwritten(photos, tmp_path, damage):
    out = tmp_path / "captions.json"
    out.write_text(damage)
    with pytest.raises(InvalidScene, match=r"captions.json"):
        annotate(open_scenes(photos), Stopping(9), out)
    assert out.read_text() == damage


def test_the_command_writes_captions(folder, photos, tmp_path, capsys):
    out = tmp_path / "captions.json"
    assert command(photos, folder, out, batch_size=2, device="cpu", max_new_tokens=2) == 0
    assert len(read_captions(out)) == 3
    assert "3 captions" in capsys.readouterr().out


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(MissingWeights, match=r"config.json is missing"):
        Annotator.from_pretrained(tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(MissingWeights, match="cannot be loaded"):
        Annotator.from_pretrained(tmp_path)
