"""Cross-granularity distillation: the frozen Fine model teaches the Coarse model. LongDWM, Eq. 7 and 8, section 3.3."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.codec.video_codec import Codec
from longdwm_env.models.conditioning.denoiser_inputs import coarse_conditioning, fine_conditioning
from longdwm_env.models.network.denoiser import Denoiser
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.network.sampler import Scheduler, add_noise
from longdwm_env.training.data.batches import DistillBatch
from longdwm_env.training.data.encoded.latents import SEGMENT_FRAMES
from longdwm_env.training.draws import normal
from longdwm_env.training.losses.objective import NoiseChoices, Objective, draw_timesteps, squared_error

DistillTarget = Literal["latent", "reencoded"]


@dataclass(frozen=True)
class DistillChoices:
    """What the paper leaves open about distillation.

    Attributes:
        teacher_sees_last: whether the teacher is given each segment's last frame. Open in the paper. False: a teacher
            that sees the answer can only repeat it, and Eq. 8 would be Eq. 3 once more; without it, its one-step
            prediction carries the smooth motion that the Coarse model is to learn.
        use_warp: give teacher and student the warps.
        target: what of a segment the student's later keyframes are compared with. "latent": its last latent, which is
            the paper's text. A codec with temporal compression puts the segment's last four frames into it, while the
            student's keyframe is the latent of one frame alone; the two are not the same thing. "reencoded": the
            teacher's segment is decoded, and its last frame encoded alone, as keyframes are. Without temporal
            compression both are the same but for what the codec loses.
    """

    teacher_sees_last: bool = False
    use_warp: bool = True
    target: DistillTarget = "latent"

    def __post_init__(self) -> None:
        if self.target not in get_args(DistillTarget):
            raise InvalidConfig(f"distill_target is one of {get_args(DistillTarget)}, got {self.target!r}")


def gather_ends(segments: Tensor) -> Tensor:
    """The keyframes' latents among those of consecutive segments: ``[c1, c2, ..., cK]`` of LongDWM, Eq. 8.

    c1 is the first latent of the first segment, c(k + 1) the last latent of segment k. (A keyframe inside the clip is
    also the first latent of the next segment; there the teacher is given it, so nothing can be learnt from that one.)

    Args:
        segments: (B, K - 1, L, ...) with segments in order.

    Returns:
        (B, K, ...).
    """
    return torch.cat([segments[:, :1, 0], segments[:, :, -1]], dim=1)


def shared_noise(seed: int, counts: tuple[int, ...], segments: int, latent_shape: tuple[int, ...]) -> Tensor:
    """One noise tensor per clip, shared by all of its segments: (B, segments, L, C, h, w)."""
    noise = normal(seed, counts, "noise", latent_shape)
    return noise[:, None].expand(-1, segments, *latent_shape)


def distill_loss(teacher: Tensor, student: Tensor) -> Tensor:
    """LongDWM, Eq. 8: ``L_distill = || D_f_frozen(v_dt)[c1..cK] - D_c(v_dt[c1..cK]) ||^2``.

    The norm is a mean over elements, so that the learning rate does not depend on the picture's size.

    Args:
        teacher: (B, K, C, h, w) one-step predictions of the frozen Fine model at the keyframes; no gradient flows
            there.
        student: (B, K, C, h, w) one-step prediction of the Coarse model.
    """
    return squared_error(student, teacher.detach())


class DistillObjective(Objective):
    """Eq. 8 on clips of 145 frames.

    Args:
        student: the Coarse transformer, trained.
        teacher: the Fine transformer; frozen here.
        scheduler: of the pipeline.
        noise: how timesteps are drawn.
        choices: what the paper leaves open.
        seed: of the run.
        last_is_exact: see ``FineObjective``.
        codec: of the pipeline, for the target "reencoded".

    Raises:
        InvalidConfig: the target needs the codec, and there is none.
    """

    component = "coarse"

    def __init__(
        self,
        student: LongDWMTransformer3DModel,
        teacher: LongDWMTransformer3DModel,
        scheduler: Scheduler,
        noise: NoiseChoices,
        choices: DistillChoices,
        seed: int,
        last_is_exact: bool,
        codec: Codec | None = None,
    ) -> None:
        super().__init__(seed)
        if choices.target == "reencoded" and codec is None:
            raise InvalidConfig("distill_target=reencoded decodes the teacher's segments, so it needs the codec")
        self.transformer = student
        teacher.requires_grad_(False)
        teacher.eval()
        # Tuples hide the teacher and the codec from nn.Module: they are neither trained nor saved with the student.
        self._teacher, self._codec = (Denoiser(teacher, scheduler),), (codec,)
        self.model = Denoiser(student, scheduler)
        self.scheduler, self.noise, self.choices, self.last_is_exact = scheduler, noise, choices, last_is_exact

    def forward(self, batch: DistillBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Eq. 8 of one batch."""
        coarse, fine = batch.coarse, batch.fine
        clips, keyframes = coarse.clean.shape[:2]
        segments = keyframes - 1
        latent_shape = tuple(fine.clean.shape[1:])
        # One timestep and one noise tensor per clip, shared by all its segments and by the student.
        timesteps = draw_timesteps(self.scheduler, self.noise, self.seed, batch.counts, fine.clean.device)
        noise = shared_noise(self.seed, batch.counts, segments, latent_shape).to(fine.clean.device)
        teacher = self._teach(batch, noise.flatten(0, 1), timesteps.repeat_interleave(segments))
        teacher = teacher.unflatten(0, (clips, segments))
        targets = gather_ends(teacher)
        if self.choices.target == "reencoded":
            targets = torch.cat([targets[:, :1], self._reencoded(teacher)], dim=1)
        student_noise = gather_ends(noise)
        noisy = add_noise(self.scheduler, coarse.clean, student_noise, timesteps)
        given = coarse_conditioning(
            coarse.clean[:, : coarse.history],
            keyframes,
            coarse.text,
            **coarse.views(with_layout=self.transformer.config.layout_view, with_warp=self.choices.use_warp),
        )
        predicted = self.model.predict_clean(noisy, timesteps, given)
        loss = distill_loss(targets, predicted)
        made = 1 - given.exact_mask
        # How far what is taught, and what the student makes of it, are from the recorded keyframes.
        taught, recorded = (squared_error(keyframes, coarse.clean, made) for keyframes in (targets, predicted.detach()))
        return loss, {"distill": loss.detach(), "taught": taught, "recorded": recorded}

    @torch.no_grad()
    def _reencoded(self, segments: Tensor) -> Tensor:
        """(B, K - 1, L, C, h, w) segments -> (B, K - 1, C, h, w): the last frame of each, encoded alone."""
        (codec,) = self._codec
        assert codec is not None
        wanted = slice(SEGMENT_FRAMES - 1, SEGMENT_FRAMES)
        made = []
        # One after the other: decoded pictures of all segments of a clip at once would be most of the memory.
        for segment in segments.flatten(0, 1):
            last = codec.decode_clip(segment[None], SEGMENT_FRAMES, wanted)
            made.append(codec.encode_keyframes(last)[0, 0].to(segment.dtype))
        return torch.stack(made).unflatten(0, segments.shape[:2])

    @torch.no_grad()
    def _teach(self, batch: DistillBatch, noise: Tensor, timesteps: Tensor) -> Tensor:
        """(B * segments, L, C, h, w) one-step predictions of the frozen Fine model, each segment alone."""
        fine, use_warp = batch.fine, self.choices.use_warp and batch.fine.warps is not None
        sees_last = self.choices.teacher_sees_last
        teacher = self._teacher[0]
        teacher.transformer.to(fine.clean.device)
        config = teacher.transformer.config
        given = fine_conditioning(
            fine.first,
            fine.last if sees_last else None,
            fine.clean.shape[1],
            fine.text,
            motion=fine.motion if use_warp else None,
            last_is_exact=self.last_is_exact,
            held_ends=config.held_views,
            **fine.views(with_last=sees_last, with_layout=config.layout_view, with_warp=use_warp),
        )
        noisy = add_noise(self.scheduler, fine.clean, noise, timesteps)
        return teacher.predict_clean(noisy, timesteps, given)
