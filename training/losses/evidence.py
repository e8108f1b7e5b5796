"""Evidence of motion, computed once: it has no weights, so training need not compute it again in every step."""

import json
import logging
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.numpy import load_file, save_file
from tqdm import tqdm

from longdwm_env.errors import InvalidConfig
from longdwm_env.io.files import atomic_path, atomic_write_json
from longdwm_env.models.codec.video_codec import Codec, images_from_uint8, uint8_from_images
from longdwm_env.models.readers.motion_volume import VALUES, WINDOW_FRAMES, YAW_RATES_RADPS, evidence
from longdwm_env.models.readers.scorer import CORRUPTIONS
from longdwm_env.training.data.clip import camera_from_json
from longdwm_env.training.data.footage import Footage
from longdwm_env.training.data.shards import MANIFEST
from longdwm_env.training.data.workers import side_by_side
from longdwm_env.training.draws import numbers
from longdwm_env.training.losses.encoder import corrupted
from longdwm_env.types import Images

log = logging.getLogger(__name__)

BLOCK = 64
"""Windows of a file: what is lost when the work is interrupted."""

CORRUPTED_RATIO, CODEC_RATIO, MOST_SEVERITY = 0.4, 0.25, 0.5
"""Shares of windows that are corrupted, and that have been through the codec; the others are as recorded."""
HURRIED_RATIO, MOST_SPEED_MPS = 0.15, 39.0
"""Share of windows of which every second frame is taken: motion twice as fast, up to the fastest that is tried."""


@dataclass(frozen=True)
class Evidence:
    """N windows.

    Attributes:
        values: int8 (N, VALUES), see ``motion_volume``.
        motion: float32 (N, 2) speed in m/s and yaw rate in rad/s, means over the window.
    """

    values: np.ndarray
    motion: np.ndarray


def gathered(
    footage: Footage,
    codec: Codec,
    clips: Sequence[int],
    folder: Path,
    count: int,
    seed: int,
    workers: int = 1,
    codec_hash: str = "",
) -> Evidence:
    """Evidence of windows that are drawn by number, as far as it is not in the folder.

    What is there of other footage, another codec or another version of this code is thrown away.

    Args:
        footage: with the simulator's labels.
        codec: on the CPU, whose losses the reader is to bear.
        clips: to draw from.
        folder: of the results; safe to interrupt and to go on.
        count: N.
        seed: of the draws.
        workers: processes of one thread each. Threads would wait for one another: a window is thousands of small
            steps, and with another program on one of two cores takes them five times as long as one thread.
        codec_hash: of the codec's weights.

    Raises:
        InvalidConfig: the footage has no labels.
    """
    if not {"speed_mps", "yaw_rate_radps"} <= set(footage.entries[0].facts["labels"]):
        raise InvalidConfig(f"footage in {footage.name} lacks labels of motion; only the simulator's has them")
    keys = [footage.entries[clip].facts["key"] for clip in clips]
    made_from = {"footage": footage.description(), "clips": keys, "codec": codec_hash, "seed": seed, "values": VALUES}
    _throw_away_unless(folder, json.loads(json.dumps(made_from)))
    blocks = [_Block(folder, first, min(BLOCK, count - first)) for first in range(0, count, BLOCK)]
    todo = [block for block in blocks if not block.is_whole]
    windows = _Windows(footage, codec, clips, seed)
    with tqdm(total=len(todo), desc=f"evidence {folder.name}", unit="block", disable=not todo) as bar:
        for _ in side_by_side(windows.write, [(block,) for block in todo], min(workers, len(todo))):
            bar.update()
    loaded = [load_file(block.path) for block in blocks]
    parts = [(block["values"], block["motion"]) for block in loaded]
    values, motion = (np.concatenate(part) for part in zip(*parts, strict=True))
    return Evidence(values, motion)


def _throw_away_unless(folder: Path, made_from: Mapping[str, object]) -> None:
    manifest = folder / MANIFEST
    if manifest.is_file() and json.loads(manifest.read_text()) == made_from:
        return
    if folder.exists():
        log.info("%s holds evidence of other footage or another codec; it is made again", folder)
        shutil.rmtree(folder)
    atomic_write_json(manifest, made_from)


@dataclass(frozen=True)
class _Block:
    """Some of the windows, by number."""

    folder: Path
    first: int
    count: int

    @property
    def path(self) -> Path:
        return self.folder / f"{self.first:06d}-{self.count}.safetensors"

    @property
    def is_whole(self) -> bool:
        """Whether it is there and can be read."""
        try:
            with safe_open(self.path, "numpy") as file:
                return bool(file.keys())
        except (OSError, SafetensorError):
            return False


@dataclass(frozen=True)
class _Windows:
    """Windows of footage, drawn by number; what is sent to each process."""

    footage: Footage
    codec: Codec
    clips: Sequence[int]
    seed: int

    def write(self, block: _Block) -> None:
        drawn = [self.window(block.first + number) for number in range(block.count)]
        values, motion = (np.stack(part) for part in zip(*drawn, strict=True))
        with atomic_path(block.path) as fresh:
            save_file({"values": values, "motion": motion}, fresh)

    def window(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """A window's evidence (VALUES,), and its speed and yaw rate."""
        rng = numbers(self.seed, number, "window")
        footage = self.footage
        clip = self.clips[rng.integers(len(self.clips))]
        facts = footage.entries[clip].facts
        speeds, yaw_rates = footage.label(clip, "speed_mps"), footage.label(clip, "yaw_rate_radps")
        hurried = rng.random() < HURRIED_RATIO
        for pace in (2, 1) if hurried else (1,):
            span = pace * (WINDOW_FRAMES - 1)
            if facts["frames"] <= span:
                continue
            first = int(rng.integers(facts["frames"] - span))
            # A frame's speed is that of the moment, its yaw rate that of the step before it.
            speed = pace * speeds[first : first + span + 1].mean()
            yaw_rate = pace * yaw_rates[first + 1 : first + span + 1].mean()
            if speed < MOST_SPEED_MPS and abs(yaw_rate) < YAW_RATES_RADPS[-1]:
                break
        window = footage.images(clip, range(first, first + span + 1, pace))
        kind = rng.random()
        if kind < CODEC_RATIO:
            window = through_codec(window, self.codec)
        elif kind < CODEC_RATIO + CORRUPTED_RATIO:
            name = CORRUPTIONS[rng.integers(1, len(CORRUPTIONS))]
            window = corrupted(window, name, float(rng.uniform(0.05, MOST_SEVERITY)), rng)
        found = evidence(np.ascontiguousarray(window), camera_from_json(facts["camera"]))
        return found, np.array([speed, yaw_rate], np.float32)


@torch.no_grad()
def through_codec(window: Images, codec: Codec) -> Images:
    """A window (T, H, W, 3) encoded and decoded on the CPU, frame by frame."""
    return uint8_from_images(codec.decode_keyframes(codec.encode_keyframes(images_from_uint8(window)[None]))[0])
