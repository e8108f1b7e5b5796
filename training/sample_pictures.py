"""Sample pictures of a run: what was recorded, what the warp says, what the model makes, one below the other."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import cast

import numpy as np
import torch
from accelerate import PartialState
from torch import Tensor

from longdwm_env.io.figures import SheetRow, contact_sheet, save_picture
from longdwm_env.models.codec.video_codec import uint8_from_images
from longdwm_env.models.conditioning.denoiser_inputs import coarse_conditioning, fine_conditioning
from longdwm_env.models.network.denoiser import Denoiser
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.data.batches import Batch, CoarseBatch, DistillBatch, FineBatch
from longdwm_env.training.draws import normal
from longdwm_env.training.losses.codec import CodecObjective, ImageBatch
from longdwm_env.training.losses.decoder_loss import DecoderBatch, DecoderObjective
from longdwm_env.training.losses.distilling.fewer_steps import FewStepBatch
from longdwm_env.training.losses.objective import Objective
from longdwm_env.types import Images

SAMPLES = 3
FIRST_SAMPLE = 2**40
"""Numbers of the samples that are drawn: beyond any that a run trains on."""


class PictureWriter:
    """Writes one contact sheet whenever it is called with a step."""

    def __init__(
        self,
        stage: str,
        objective: Objective,
        draw: Callable[[int, Sequence[int]], Batch],
        pipeline: LongDWMPipeline,
        folder: Path,
    ) -> None:
        self.stage, self.objective, self.draw, self.pipeline, self.folder = stage, objective, draw, pipeline, folder

    @torch.no_grad()
    def __call__(self, step: int) -> None:
        """Write ``step-00001000.png``."""
        counts = list(range(FIRST_SAMPLE, FIRST_SAMPLE + SAMPLES))
        window = 0
        batch = self.draw(window, counts)
        while isinstance(batch, CoarseBatch) and batch.self_rollout:
            window += 1
            batch = self.draw(window, counts)
        device = next(self.objective.parameters()).device
        self.pipeline.vae.to(device)
        rows: list[SheetRow] = []
        batch = batch.to(device)
        if isinstance(batch, FewStepBatch):
            batch = batch.sample
        if isinstance(batch, DistillBatch):
            batch = batch.coarse
        if isinstance(batch, CoarseBatch):
            rows = self._coarse(batch)
        elif isinstance(batch, FineBatch):
            rows = self._fine(batch)
        elif isinstance(batch, ImageBatch) and isinstance(self.objective, CodecObjective):
            made = self.objective.autoencoder(batch.images).sample
            names = tuple("" for _ in counts)
            rows = [
                SheetRow(f"{self.stage}, step {step}: recorded", uint8_from_images(batch.images), names),
                SheetRow("decoded", uint8_from_images(made), names),
            ]
        elif isinstance(batch, DecoderBatch) and isinstance(self.objective, DecoderObjective):
            rows = self._decoded(batch, self.objective, step)
        if rows and PartialState().is_main_process:
            save_picture(self.folder / f"step-{step:08d}.png", contact_sheet(rows))

    def _decoded(self, batch: DecoderBatch, objective: DecoderObjective, step: int) -> list[SheetRow]:
        """The last frame of each sample by both decoders."""
        names = tuple("" for _ in batch.counts)
        shown = {"the autoencoder": objective.decode(batch.latents, batch.num_frames)}
        shown["the small decoder"] = objective.decoder.decode(batch.latents, batch.num_frames)
        title = f"{self.stage}, step {step}: "
        return [SheetRow(title + name, uint8_from_images(made[:, -1]), names) for name, made in shown.items()]

    def _coarse(self, batch: CoarseBatch) -> list[SheetRow]:
        model = cast(Denoiser, self.objective.model)
        given = coarse_conditioning(
            batch.clean[:, : batch.history],
            batch.clean.shape[1],
            batch.text,
            **batch.views(with_layout=model.transformer.config.layout_view),
        )
        noise = normal(0, batch.counts, "picture", batch.clean.shape[1:]).to(batch.clean)
        made = model.sample(given, noise, self.pipeline.settings.coarse_steps)
        codec = self.pipeline.codec
        rows = []
        for index in range(len(made)):
            captions = tuple(
                f"{k - batch.history + 1:+d} s" + (" (given)" if k < batch.history else "")
                for k in range(batch.clean.shape[1])
            )
            parts = {"recorded": batch.clean, "warp": given.warp[:, :, 0], "made": made}
            if model.transformer.config.layout_view and batch.warp is not None:
                parts["layout"] = given.warp[:, :, -1]
            for name, latents in parts.items():
                rows.append(
                    _row(f"sample {index}: {name}", codec.decode_keyframes(latents[index : index + 1]), captions)
                )
        return rows

    def _fine(self, batch: FineBatch) -> list[SheetRow]:
        codec, frames = self.pipeline.codec, 13
        model = cast(Denoiser, self.objective.model)
        last_is_exact = batch.clean.shape[1] == frames
        given = fine_conditioning(
            batch.first,
            batch.last,
            batch.clean.shape[1],
            batch.text,
            motion=batch.motion,
            last_is_exact=last_is_exact,
            held_ends=model.transformer.config.held_views,
            **batch.views(with_last=True, with_layout=model.transformer.config.layout_view),
        )
        noise = normal(0, batch.counts, "picture", batch.clean.shape[1:]).to(batch.clean)
        made = model.sample(given, noise, self.pipeline.settings.fine_steps)
        shown = [0, 2, 4, 6, 8, 10, 12]
        rows = []
        for index in range(len(made)):
            for name, latents in {"recorded": batch.clean, "warp": given.warp[:, :, 0], "made": made}.items():
                images = codec.decode_clip(latents[index : index + 1], frames)[:, shown]
                rows.append(_row(f"sample {index}: {name}", images, tuple(f"frame {f}" for f in shown)))
        return rows


def _row(title: str, images: Tensor, captions: tuple[str, ...]) -> SheetRow:
    frames: Images = uint8_from_images(images[0])
    return SheetRow(title, np.ascontiguousarray(frames), captions)
