"""Evidence of motion, computed once: it has no weights, so training need not compute it again in every step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from tqdm import tqdm

from longdwm_env.errors import InvalidConfig
from longdwm_env.files import atomic_path
from longdwm_env.models.codec import images_from_uint8, uint8_from_images
from longdwm_env.models.motion_volume import VALUES, WINDOW_FRAMES, YAW_RATES_RADPS, evidence
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.scorer import CORRUPTIONS
from longdwm_env.training.data.clip import camera_from_json
from longdwm_env.training.data.footage import Footage
from longdwm_env.training.draws import numbers
from longdwm_env.training.losses.encoder import corrupted
from longdwm_env.types import Images

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
    footage: Footage, pipeline: LongDWMPipeline, clips: Sequence[int], folder: Path, count: int, seed: int
) -> Evidence:
    """Evidence of windows that are drawn by number, as far as it is not in the folder.

    Args:
        footage: with the simulator's labels.
        pipeline: of the codec whose losses the reader is to bear.
        clips: to draw from.
        folder: of the results; safe to interrupt and to go on.
        count: N.
        seed: of the draws.

    Raises:
        InvalidConfig: the footage has no labels.
    """
    if not {"speed_mps", "yaw_rate_radps"} <= set(footage.entries[0].facts["labels"]):
        raise InvalidConfig(f"footage in {footage.name} lacks labels of motion; only the simulator's has them")
    parts = []
    for first in tqdm(range(0, count, BLOCK), desc=f"evidence {folder.name}", unit="block"):
        size = min(BLOCK, count - first)
        path = folder / f"{first:06d}-{size}.safetensors"
        if not path.is_file():
            drawn = [_window(footage, pipeline, clips, seed, first + number) for number in range(size)]
            values, motion = (np.stack(part) for part in zip(*drawn, strict=True))
            with atomic_path(path) as fresh:
                save_file({"values": values, "motion": motion}, fresh)
        block = load_file(path)
        parts.append((block["values"], block["motion"]))
    values, motion = (np.concatenate(part) for part in zip(*parts, strict=True))
    if values.shape[1] != VALUES:
        raise InvalidConfig(f"{folder} holds evidence of another version of this code; delete it")
    return Evidence(values, motion)


def _window(
    footage: Footage, pipeline: LongDWMPipeline, clips: Sequence[int], seed: int, number: int
) -> tuple[np.ndarray, np.ndarray]:
    rng = numbers(seed, number, "window")
    clip = clips[rng.integers(len(clips))]
    facts: Mapping[str, Any] = footage.entries[clip].facts
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
        window = through_codec(window, pipeline)
    elif kind < CODEC_RATIO + CORRUPTED_RATIO:
        name = CORRUPTIONS[rng.integers(1, len(CORRUPTIONS))]
        window = corrupted(window, name, float(rng.uniform(0.05, MOST_SEVERITY)), rng)
    found = evidence(np.ascontiguousarray(window), camera_from_json(facts["camera"]))
    return found, np.array([speed, yaw_rate], np.float32)


@torch.no_grad()
def through_codec(window: Images, pipeline: LongDWMPipeline) -> Images:
    """A window (T, H, W, 3) encoded and decoded, frame by frame."""
    codec = pipeline.codec
    images = images_from_uint8(window, pipeline.vae.device)[None]
    return uint8_from_images(codec.decode_keyframes(codec.encode_keyframes(images))[0])
