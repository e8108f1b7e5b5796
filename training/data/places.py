"""Where in a store of latents a sample can be drawn, what is said there, and which samples are the same one."""

from bisect import bisect_right
from dataclasses import dataclass

import torch
from torch import Tensor

from longdwm_env.clock import FRAMES_PER_INTERVAL
from longdwm_env.training.data.encoded.latents import LatentStore
from longdwm_env.types import JsonObject


@dataclass(frozen=True)
class Segment:
    """Where a segment of a clip is kept.

    Attributes:
        first: the clip's frame that it begins at.
        row: of the tensors that hold it.
        ends: name of the tensor whose rows ``row`` and ``row + 1`` are its first and last frame, encoded alone.
    """

    first: int
    row: int
    suffix: str
    ends: str


def segments_of(store: LatentStore, clip: int) -> list[Segment]:
    """All segments of a clip: first its intervals, then those of further phases, phase by phase."""
    facts = store.entries[clip].facts
    whole_seconds: JsonObject = {"offset": 0, "count": facts["intervals"], "ends": "keyframes.0", "suffix": ""}
    return [
        Segment(grid["offset"] + FRAMES_PER_INTERVAL * row, row, grid["suffix"], grid["ends"])
        for grid in facts.get("segments", [whole_seconds])
        for row in range(grid["count"])
    ]


def text_at(store: LatentStore, clip: int, frame: int) -> Tensor:
    """(W, D) embedding of what is said of starts at a clip's frame."""
    later = bisect_right(store.entries[clip].facts.get("later_texts", ()), frame)
    return store.rows(clip, "later_texts", later - 1) if later else store.tensor(clip, "text")


def moment(store: LatentStore, clip: int, frame: int) -> tuple[str, int]:
    """What a clip's frame is called in all clips of its scene or video."""
    key = store.entries[clip].facts["key"]
    scene, at, first = key.rpartition("@")
    return (scene, int(first) + frame) if at and first.isdecimal() else (key, frame)


def layout_of(
    store: LatentStore, clip: int, kind: str, suffix: str, pictures: str, rows: slice | int
) -> tuple[Tensor, Tensor]:
    """The road in some rows of a clip's pictures, and where it is known, (R,); nowhere, where the clip has no map."""
    if store.entries[clip].facts["has_layout"]:
        return store.rows(clip, f"{kind}_layout{suffix}", rows), store.rows(clip, f"{kind}_layout_mask{suffix}", rows)
    like = store.rows(clip, pictures, rows)
    return torch.zeros_like(like), like.new_zeros(len(like))
