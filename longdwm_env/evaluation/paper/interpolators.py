"""What can fill the second between two frames: the Fine model, and doing nothing clever."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from longdwm_env.clock import FRAMES_PER_INTERVAL
from longdwm_env.evaluation.paper.continuations import Sample
from longdwm_env.geometry.pose import relative_to
from longdwm_env.geometry.warp import warp_images
from longdwm_env.models.closed_loop.samples import Gap, Sampling
from longdwm_env.models.codec.video_codec import images_from_uint8
from longdwm_env.models.conditioning.warped_pictures import clip_views
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.types import Images


class Interpolator(Protocol):
    """Fills the second between two frames."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def between(self, sample: Sample, first: Images, last: Images) -> Images:
        """The 11 frames between ``first`` and ``last``, uint8 (11, H, W, 3); poses are the sample's."""
        ...


@dataclass(frozen=True)
class FineBetween:
    """The Fine model."""

    pipeline: LongDWMPipeline
    name: str = "Fine DiT"

    @torch.no_grad()
    def between(self, sample: Sample, first: Images, last: Images) -> Images:
        """See ``Interpolator``."""
        codec, settings = self.pipeline.codec, self.pipeline.settings
        device = next(self.pipeline.vae.parameters()).device
        latent = codec.encode_keyframes(images_from_uint8(last[None, None], device))[0, 0]
        text = self.pipeline.encode_text([sample.prompt])[0]
        poses = sample.poses[:FRAMES_PER_INTERVAL]
        gap = Gap(first, last, latent, sample.camera, poses, text, sample.seed, 0, sample.layout)
        sampling = Sampling(settings.coarse_steps, settings.fine_steps)
        (clip,) = self.pipeline.generation(1).fill([gap], sampling)
        return clip[: FRAMES_PER_INTERVAL - 1]


@dataclass(frozen=True)
class Blend:
    """A linear cross-fade of the two frames."""

    name: str = "linear blending"

    def between(self, sample: Sample, first: Images, last: Images) -> Images:
        """See ``Interpolator``."""
        return _faded(np.repeat(first[None], 11, axis=0), np.repeat(last[None], 11, axis=0))


@dataclass(frozen=True)
class WarpBetween:
    """A cross-fade of both frames warped to each pose between."""

    settings: LongDWMSettings
    name: str = "warp of both ends"

    def between(self, sample: Sample, first: Images, last: Images) -> Images:
        """See ``Interpolator``."""
        poses = sample.poses[:FRAMES_PER_INTERVAL]
        forward = warp_images(first, sample.camera, poses[:-1], self.settings.warp)
        backward = warp_images(last, sample.camera, relative_to(poses[:-1], poses[-1]), self.settings.warp)
        return _faded(forward, backward)


@dataclass(frozen=True)
class SweepBetween:
    """The matched plane sweep of both frames, without a model."""

    settings: LongDWMSettings
    name: str = "matched sweep of both ends"

    def between(self, sample: Sample, first: Images, last: Images) -> Images:
        """See ``Interpolator``."""
        poses = sample.poses[:FRAMES_PER_INTERVAL]
        return clip_views(first, last, sample.camera, poses, self.settings)[-1][1:-1]


def _faded(first: Images, last: Images) -> Images:
    share = (np.arange(1, len(first) + 1) / (len(first) + 1))[:, None, None, None]
    return ((1 - share) * first + share * last).round().astype(np.uint8)
