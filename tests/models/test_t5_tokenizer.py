"""CogVideoX-2B's folder holds its tokenizer as ``spiece.model`` alone; a fresh install opens it, by our own ways in."""

import io
import json
from pathlib import Path

import pytest
import sentencepiece
import torch

from longdwm_env.models.network.init_from_cogvideox import init_from_cogvideox
from longdwm_env.models.pipeline import LongDWMPipeline

from .test_init_from_cogvideox import save_checkpoint

SAID = ["Weather: rainy", "Time: nighttime", "Road environment: a wet city street", "Critical objects: a bus"]


def train_vocabulary(path: Path) -> None:
    """A ``spiece.model`` of T5's form: a unigram model with pad, end and unknown at 0, 1 and 2, and no beginning."""
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(SAID * 20),
        model_writer=made,
        vocab_size=60,
        hard_vocab_limit=False,
        model_type="unigram",
        pad_id=0,
        eos_id=1,
        unk_id=2,
        bos_id=-1,
        minloglevel=2,
    )
    path.write_bytes(made.getvalue())


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A CogVideoX folder whose tokenizer is what the published one is: a vocabulary and two small JSON files."""
    path = save_checkpoint(tmp_path_factory.mktemp("published") / "2b")
    tokenizer = path / "tokenizer"
    for file in tokenizer.iterdir():
        file.unlink()
    train_vocabulary(tokenizer / "spiece.model")
    named = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    config = {**named, "extra_ids": 0, "model_max_length": 226, "tokenizer_class": "T5Tokenizer"}
    (tokenizer / "tokenizer_config.json").write_text(json.dumps(config))
    (tokenizer / "special_tokens_map.json").write_text(json.dumps(named))
    index = json.loads((path / "model_index.json").read_text())
    index["tokenizer"] = ["transformers", "T5Tokenizer"]
    (path / "model_index.json").write_text(json.dumps(index))
    return path


def test_prompts_are_read_with_the_published_vocabulary(checkpoint, tmp_path):
    pipeline = LongDWMPipeline.from_pretrained(init_from_cogvideox(checkpoint, tmp_path / "started"))
    vocabulary = sentencepiece.SentencePieceProcessor(model_file=str(checkpoint / "tokenizer" / "spiece.model"))
    for text in SAID:
        ids = pipeline.tokenizer(text, padding="max_length", max_length=64, truncation=True).input_ids
        said = vocabulary.encode(text)
        assert ids[: len(said) + 1] == [*said, 1]
        assert set(ids[len(said) + 1 :]) == {0}
    embedded = pipeline.encode_text(SAID)
    assert embedded.shape == (len(SAID), 16, 32)
    assert not torch.equal(embedded[0], embedded[1])
    again = tmp_path / "again"
    pipeline.save_pretrained(str(again))
    assert torch.equal(LongDWMPipeline.from_pretrained(str(again)).encode_text(SAID), embedded)
