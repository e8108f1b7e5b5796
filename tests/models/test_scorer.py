"""The scorer: its files are loaded whole or not at all, and what it says of a window depends on that window alone."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from longdwm_env.errors import MissingWeights
from longdwm_env.models.readers import scorer
from longdwm_env.models.readers.reader_files import CONFIGURATION, WEIGHTS
from longdwm_env.models.readers.scorer import DrivingEncoder, bundled_scorer, load_scorer

WINDOWS = np.random.default_rng(0).integers(0, 256, (5, 12, 96, 144, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def encoder():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return DrivingEncoder(channels=(8, 8, 16, 16), feature_dim=16).eval()


@pytest.fixture
def folder(encoder, tmp_path):
    encoder.save_pretrained(str(tmp_path / "scorer"), safe_serialization=True)
    return tmp_path / "scorer"


@pytest.fixture
def bundled(folder, monkeypatch):
    monkeypatch.setattr(scorer, "BUNDLED", folder)
    bundled_scorer.cache_clear()
    yield folder
    bundled_scorer.cache_clear()


@pytest.mark.parametrize(
    "device",
    ["cpu", pytest.param("cuda", marks=pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU"))],
)
def test_a_window_is_judged_as_it_would_be_alone(folder, device):
    encoder = load_scorer(folder, device)
    together = encoder.judge(WINDOWS)
    for index in range(len(WINDOWS)):
        assert np.array_equal(encoder.judge(WINDOWS[index : index + 1]), together[index : index + 1])


def test_weights_that_are_not_bundled_are_named(bundled):
    (bundled / WEIGHTS).unlink()
    assert not scorer.has_bundled_scorer()
    with pytest.raises(MissingWeights, match="no trained scorer comes with this installation"):
        bundled_scorer()


@pytest.mark.parametrize("name", [CONFIGURATION, WEIGHTS])
@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe{", b"{}"])
def test_a_damaged_folder_is_refused(folder, name, content):
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(MissingWeights, match="scorer"):
        load_scorer(folder)


def test_weights_that_do_not_fit_are_never_filled_up(folder):
    whole = load_file(folder / WEIGHTS)
    for change in ({"heads.bias": None}, {"extra": torch.zeros(2)}, {"heads.bias": torch.zeros(3)}):
        tensors = {name: tensor for name, tensor in {**whole, **change}.items() if tensor is not None}
        save_file(tensors, folder / WEIGHTS)
        with pytest.raises(MissingWeights, match="does not fit"):
            load_scorer(folder)
    config = json.loads((folder / CONFIGURATION).read_text())
    (folder / CONFIGURATION).write_text(json.dumps({**config, "feature_dim": 24}))
    save_file(whole, folder / WEIGHTS)
    with pytest.raises(MissingWeights, match="does not fit"):
        load_scorer(folder)


def test_what_is_bundled_is_whole_small_and_described():
    assert np.isfinite(bundled_scorer().judge(WINDOWS)).all()
    assert sum(path.stat().st_size for path in scorer.BUNDLED.iterdir()) < 6e6
    assert "FDS is not FVD" in (scorer.BUNDLED / "MODEL_CARD.md").read_text()
