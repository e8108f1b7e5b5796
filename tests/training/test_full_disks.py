"""A disk that fills up while a stage, its footage or its latents are written: what was done is gone on from."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors import SafetensorError

from longdwm_env.io.refusals import refusal
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training import checkpoint
from longdwm_env.training.checkpoint import checkpoints
from longdwm_env.training.data import shards
from longdwm_env.training.data.encoded.encoding import encode_latents
from longdwm_env.training.data.encoded.latents import LatentStore
from longdwm_env.training.data.footage import record_footage

from ..core.test_full_disks import files_up_to
from .scenery import PaintedRoad
from .toy_run import toy_train


def full_after(patched: pytest.MonkeyPatch, module: Any, count: int) -> None:
    """From the so-manieth file of weights on, the system refuses to write it."""
    save: Callable[..., None] = module.save_file
    written = []

    def filling(*given: Any, **named: Any) -> None:
        written.append(given)
        if len(written) <= count:
            return save(*given, **named)
        with files_up_to(500):
            return save(*given, **named)

    patched.setattr(module, "save_file", filling)


def test_training_goes_on_from_its_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    toy_train(tmp_path / "whole")
    with monkeypatch.context() as patched:
        full_after(patched, checkpoint, 7)
        with pytest.raises(SafetensorError) as caught:
            toy_train(tmp_path / "run")
    assert refusal(caught.value) == "File too large; what was written before is kept"
    assert checkpoints(tmp_path / "run" / "checkpoints")
    assert toy_train(tmp_path / "run").finished
    whole, resumed = (
        [line.split(', "samples_per_s"')[0] for line in (tmp_path / name / "losses.jsonl").read_text().splitlines()]
        for name in ("whole", "run")
    )
    assert resumed == whole
    assert not list((tmp_path / "run" / "checkpoints").glob(".partial-*"))


def test_footage_and_latents_keep_their_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pipeline: LongDWMPipeline
) -> None:
    source = PaintedRoad(clips=10, frames=13)
    for work, folder in (
        (lambda: record_footage(source, tmp_path / "footage"), tmp_path / "footage"),
        (lambda: encode_latents(source, tmp_path / "latents", pipeline), tmp_path / "latents"),
    ):
        with monkeypatch.context() as patched:
            full_after(patched, shards, 1)
            with pytest.raises(SafetensorError) as caught:
                work()
        assert refusal(caught.value)
        (kept,) = folder.glob("shard-*.safetensors")
        made_ns = kept.stat().st_mtime_ns
        assert len(work()) == 10
        assert kept.stat().st_mtime_ns == made_ns
    assert len(LatentStore(tmp_path / "latents")) == 10
