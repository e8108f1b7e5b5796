"""Keyframes that have been shown are encoded once where that takes long, and nothing depends on whether they were."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from longdwm_env.models.closed_loop import generation as at_work
from longdwm_env.models.conditioning import frame_views
from longdwm_env.models.costs import recorded
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.presets import build, debug_cogvideox


@pytest.fixture(scope="module")
def pipeline():
    made = build(debug_cogvideox(), text_encoder=False)
    made.set_progress_bar_config(disable=True)
    return made


def pictures(count: int, size: tuple[int, int], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (count, *size, 3), dtype=np.uint8)


def test_a_drive_is_the_same_with_and_without(pipeline, monkeypatch):
    image = pictures(1, pipeline.settings.image_size)
    text = torch.zeros(1, 16, 32)
    drives, encoded = [], []
    for kept in (frame_views.KEPT, 0):
        monkeypatch.setattr(frame_views, "KEPT", kept)
        with recorded(pipeline) as passes:
            parts = pipeline.stream(
                image, "straight", 3.0, generator=0, keyframes_per_rollout=1, num_inference_steps=1, prompt_embeds=text
            )
            drives.append(np.concatenate(list(parts)))
        encoded.append(sum(count for done, count in passes.items() if done.part == "encode" and done.frames == 1))
    assert np.array_equal(*drives)
    # Three keyframes and three warps of them; without, the history again in each second, and each gap's first frame.
    assert encoded == [6, 12]


def test_less_history_is_a_setting_that_drives(pipeline):
    own = pipeline.settings
    image = pictures(1 + 12 * 2, own.image_size)
    seen = []
    original = at_work.Generation.coarse_inputs

    def noting(self, presents, poses):
        seen.append(len(presents[0].history))
        return original(self, presents, poses)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(at_work.Generation, "coarse_inputs", noting)
        for history in (3, 2, 1):
            settings = replace(own, history_keyframes=history)
            less = LongDWMPipeline(**pipeline.components, settings=settings.to_json())
            less.set_progress_bar_config(disable=True)
            text = torch.zeros(1, 16, 32)
            parts = less.stream(image, seconds=1.0, generator=0, keyframes_per_rollout=1, prompt_embeds=text)
            assert np.concatenate(list(parts)).shape == (12, *own.image_size, 3)
    assert seen == [3, 2, 1]
