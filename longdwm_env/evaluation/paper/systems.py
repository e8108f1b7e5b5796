"""What can continue a drive: the model, its baselines, and doing nothing clever."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from longdwm_env.clock import FPS, FRAMES_PER_INTERVAL
from longdwm_env.evaluation.paper.continuations import Sample
from longdwm_env.evaluation.peers import Peer, roll_out
from longdwm_env.geometry.camera import fit_images
from longdwm_env.geometry.pose import relative_to
from longdwm_env.geometry.warp import warp_images
from longdwm_env.models.codec.video_codec import Codec, images_from_uint8, uint8_from_images
from longdwm_env.models.conditioning.denoiser_inputs import Conditioning, fine_conditioning, motion_features
from longdwm_env.models.conditioning.warped_pictures import clip_warps, layout_pictures
from longdwm_env.models.network.denoiser import Denoiser
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.training.draws import normal
from longdwm_env.training.workspace import trained_with_warp
from longdwm_env.types import Images

SEGMENT = FRAMES_PER_INTERVAL + 1


class System(Protocol):
    """Continues drives."""

    @property
    def name(self) -> str:
        """What tables call it."""
        ...

    def continued(self, sample: Sample, num_frames: int) -> Images:
        """The ``num_frames`` frames after the sample's image, uint8 (num_frames, H, W, 3)."""
        ...


@dataclass(frozen=True)
class LongDWM:
    """The whole model: keyframes by the Coarse model, the rest by the Fine model.

    Attributes:
        at_once: keyframes of one rollout; None for the paper's twelve, 1 for a second at a time as in a closed loop.
    """

    name: str
    pipeline: LongDWMPipeline
    at_once: int | None = None

    def continued(self, sample: Sample, num_frames: int) -> Images:
        """See ``System``."""
        seconds = -(-num_frames // FRAMES_PER_INTERVAL)
        parts = self.pipeline.stream(
            sample.image,
            sample.poses[: seconds * FRAMES_PER_INTERVAL],
            seconds=seconds * FRAMES_PER_INTERVAL / FPS,
            prompt=sample.prompt,
            camera=sample.camera,
            generator=sample.seed,
            keyframes_per_rollout=self.at_once,
            layout=sample.layout,
        )
        return np.concatenate(list(parts))[:num_frames]


class _Unguided(Denoiser):
    def sample(self, conditioning: Conditioning, *arguments: Any, **named: Any) -> Tensor:
        return super().sample(_unguided(conditioning), *arguments, **named)


def _unguided(conditioning: Conditioning) -> Conditioning:
    given = conditioning.without_warp(torch.zeros(len(conditioning)))
    return replace(given, warp=given.warp[:, :, :1], warp_mask=given.warp_mask[:, :, :1])


class ToldAsTrained(LongDWMPipeline):
    """A pipeline whose Coarse or Fine model, or both, is given neither warps nor motion: one that was trained without.

    What is given in their place is what training with ``use_warp=False`` gives.
    """

    coarse_with_warp = fine_with_warp = False

    @classmethod
    def made_of(cls, pipeline: LongDWMPipeline, coarse: bool = False, fine: bool = False) -> LongDWMPipeline:
        """The same components and settings."""
        if coarse and fine:
            return pipeline
        made = cls(**pipeline.components, settings=pipeline.settings.to_json())
        made.coarse_with_warp, made.fine_with_warp = coarse, fine
        return made

    @property
    def coarse_model(self) -> Denoiser:
        """The Coarse model, as it was trained."""
        return (Denoiser if self.coarse_with_warp else _Unguided)(self.coarse, self.scheduler)

    @property
    def fine_model(self) -> Denoiser:
        """The Fine model, as it was trained."""
        return (Denoiser if self.fine_with_warp else _Unguided)(self.fine, self.scheduler)


@dataclass(frozen=True)
class Autoregressive:
    """The same-size baseline: the Fine architecture alone, each second continued from its own last frame.

    It is given what it was trained with: the warped frames of the commanded trajectory too, so that the hierarchy is
    all that differs, unless it was trained without; and guided as the pipeline is.
    """

    name: str
    pipeline: LongDWMPipeline
    transformer: LongDWMTransformer3DModel
    use_warp: bool = True

    @torch.no_grad()
    def continued(self, sample: Sample, num_frames: int) -> Images:
        """See ``System``."""
        pipeline, codec, settings = self.pipeline, self.pipeline.codec, self.pipeline.settings
        device, dtype = self.transformer.device, self.transformer.dtype
        model = Denoiser(self.transformer, pipeline.scheduler)
        scale = settings.guidance_scale
        text = pipeline.encode_text([sample.prompt]).to(dtype)
        away = None if scale == 1 else pipeline.encode_text([""]).to(dtype)
        image, made, origin = sample.image, [], np.zeros(3)
        for second in range(-(-num_frames // FRAMES_PER_INTERVAL)):
            first_frame = second * FRAMES_PER_INTERVAL
            ahead = relative_to(sample.poses[first_frame : first_frame + FRAMES_PER_INTERVAL], origin)
            first = codec.encode_keyframes(images_from_uint8(image[None, None], device))[:, 0].to(dtype)
            warp = motion = between = None
            if self.use_warp:
                warp = codec.encode_clip(
                    images_from_uint8(clip_warps(image, sample.camera, ahead, settings)[None], device)
                ).to(dtype)
                # What is matched lies between two frames, of which one is known: the warp takes its place.
                between = None if settings.matched_sweep is None else warp
                ends = list(codec.last_frames(SEGMENT))
                every = np.concatenate([np.zeros((1, 3)), ahead])
                motion = torch.from_numpy(motion_features(every[ends]))[None].to(device, dtype)
            count = codec.latent_frames(SEGMENT)
            noise = normal(sample.seed, [second], "autoregressive", (count, *first.shape[1:])).to(device, dtype)
            layout, layout_mask = self._layout(sample, first_frame, codec, device)
            given = fine_conditioning(
                first,
                None,
                count,
                text,
                warp,
                motion=motion,
                between=between,
                held_ends=self.transformer.config.held_views,
                layout=layout,
                layout_mask=layout_mask,
            )
            latents = model.sample(given, noise, settings.fine_steps, scale, away)
            clip = uint8_from_images(codec.decode_clip(latents, SEGMENT))[0, 1:]
            made.append(clip)
            image, origin = clip[-1], sample.poses[first_frame + FRAMES_PER_INTERVAL - 1]
        return np.concatenate(made)[:num_frames]

    def _layout(
        self, sample: Sample, first: int, codec: Codec, device: torch.device | str
    ) -> tuple[Tensor | None, Tensor | None]:
        """The road's layout in the second from a frame on, (1, F, C, h, w), and where it is known, (1, F)."""
        if not self.transformer.config.layout_view:
            return None, None
        poses = np.concatenate([np.zeros((1, 3)), sample.poses])[first : first + SEGMENT]
        drawn, known = layout_pictures(sample.layout, sample.camera, poses)
        ends = list(codec.last_frames(SEGMENT))
        latents = codec.encode_clip(images_from_uint8(drawn[None], device))
        return latents, torch.from_numpy(known[ends])[None].to(device)


@dataclass(frozen=True)
class Warp:
    """The depth-free warp alone, from second to second as the ``warp`` world does it."""

    settings: LongDWMSettings
    name: str = "warp"

    def continued(self, sample: Sample, num_frames: int) -> Images:
        """See ``System``."""
        image, made, origin = sample.image, [], np.zeros(3)
        for first in range(0, num_frames, FRAMES_PER_INTERVAL):
            ahead = relative_to(sample.poses[first : first + FRAMES_PER_INTERVAL], origin)
            clip = warp_images(image, sample.camera, ahead, self.settings.warp)
            made.append(clip)
            image, origin = clip[-1], sample.poses[first + FRAMES_PER_INTERVAL - 1]
        return np.concatenate(made)[:num_frames]


@dataclass(frozen=True)
class Copy:
    """The given frame, held."""

    name: str = "copy of the first frame"

    def continued(self, sample: Sample, num_frames: int) -> Images:
        """See ``System``."""
        return np.repeat(sample.image[None], num_frames, axis=0)


@dataclass(frozen=True)
class Reconstruction:
    """The truth through the codec: what no model of this codec can beat ("Reconstruction" of Table 1)."""

    pipeline: LongDWMPipeline
    name: str = "codec reconstruction"

    @torch.no_grad()
    def continued(self, sample: Sample, num_frames: int) -> Images:
        """See ``System``."""
        codec = self.pipeline.codec
        device = next(self.pipeline.vae.parameters()).device
        made = []
        for first in range(0, num_frames, FRAMES_PER_INTERVAL):
            # A second at a time, which bounds memory; each frame is encoded alone.
            part = sample.truth[None, first : min(first + FRAMES_PER_INTERVAL, num_frames)]
            latents = codec.encode_keyframes(images_from_uint8(part, device))
            made.append(uint8_from_images(codec.decode_keyframes(latents))[0])
        return np.concatenate(made)


@dataclass(frozen=True)
class PeerRolledOut:
    """Another image-to-video model of Table 2, rolled out from its own last frames as Table 11 says.

    It runs as its authors trained it: at its own picture size, steps and guidance, and without a trajectory. Its frames
    are then fitted to the samples' size.
    """

    name: str
    peer: Peer
    weights: str = ""

    def continued(self, sample: Sample, num_frames: int) -> Images:
        """See ``System``."""
        made = np.concatenate(list(roll_out(self.peer, sample.image, num_frames, sample.prompt, sample.seed)))
        height, width = sample.image.shape[:2]
        return fit_images(made, (height, width))


def same_size_baseline(pipeline: LongDWMPipeline, folder: Path | None) -> list[System]:
    """The trained baseline of a folder, given what it was trained with; none without one."""
    if folder is None:
        return []
    loaded = LongDWMTransformer3DModel.from_pretrained(str(folder), torch_dtype=pipeline.coarse.dtype)
    transformer = loaded.eval().to(pipeline.device)
    use_warp = trained_with_warp(folder).get("ar-baseline", True)
    return [Autoregressive("autoregressive, same size", pipeline, transformer, use_warp)]


def as_trained(pipeline: LongDWMPipeline, folder: Path) -> LongDWMPipeline:
    """A pipeline whose models are given warps and motion only where they were trained with them.

    Args:
        pipeline: loaded from the folder.
        folder: which says how each of its models was trained; where it does not, both are given all.
    """
    with_warp = trained_with_warp(folder)
    return ToldAsTrained.made_of(pipeline, with_warp.get("coarse", True), with_warp.get("fine", True))


def compared_systems(pipeline: LongDWMPipeline, baseline: Path | None, peers: Sequence[System] = ()) -> list[System]:
    """The model, at once and second by second, its baselines, and what no model of its codec can beat."""
    return [
        LongDWM("LongDWM, twelve keyframes at once", pipeline),
        LongDWM("LongDWM, second by second", pipeline, at_once=1),
        *same_size_baseline(pipeline, baseline),
        *peers,
        Warp(pipeline.settings),
        Copy(),
        Reconstruction(pipeline),
    ]
