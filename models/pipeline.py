"""The diffusers pipeline: its components at work, and long videos without an agent."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib import import_module
from itertools import count
from typing import Any, Literal

import diffusers
import torch
from diffusers import AutoencoderKLCogVideoX
from diffusers.callbacks import MultiPipelineCallbacks, PipelineCallback
from torch import Tensor

from longdwm_env.geometry.layout import RoadLayout
from longdwm_env.models.closed_loop.composition import FrameComposer
from longdwm_env.models.closed_loop.generation import Generation
from longdwm_env.models.closed_loop.long_video import drive_on, passes
from longdwm_env.models.closed_loop.sample_threads import SampleThreads
from longdwm_env.models.closed_loop.samples import Sampling
from longdwm_env.models.closed_loop.street_tones import StreetTones
from longdwm_env.models.codec.cpu_codec import quick_on_cpu
from longdwm_env.models.codec.mini_codec import MiniAutoencoder
from longdwm_env.models.codec.small_decoder import SmallDecoder
from longdwm_env.models.codec.video_codec import Codec, CogVideoXCodec
from longdwm_env.models.compositor import Compositor
from longdwm_env.models.conditioning.text import PromptEncoder, encode_prompts
from longdwm_env.models.inputs import (
    LongDWMPipelineOutput,
    Picture,
    Videos,
    Way,
    as_list,
    check_call,
    output_from_parts,
    seed_from,
    seeds_from,
    steps_from,
)
from longdwm_env.models.network.denoiser import Denoiser
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.network.sampler import steps_of
from longdwm_env.models.safetensors_pipeline import SafetensorsPipeline
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.types import Camera, FloatArray, Images, Trajectory

# Diffusers makes a saved part only of a module that is imported, and pipelines saved earlier name these.
for _name in ("dit", "mini_codec", "text"):
    import_module(f"longdwm_env.models.{_name}")

OutputType = Literal["pil", "np", "pt", "latent"]
Callback = Callable[..., dict[str, Tensor] | None]


class LongDWMPipeline(SafetensorsPipeline):
    """Long driving videos from one picture and a trajectory.

    Args:
        tokenizer: of the text encoder; None where prompts come as embeddings.
        text_encoder: ``PromptEncoder`` (mini) or ``T5EncoderModel``.
        vae: ``MiniAutoencoder`` or ``AutoencoderKLCogVideoX``.
        coarse: transformer of the Coarse model.
        fine: transformer of the Fine model.
        scheduler: a deterministic scheduler; its ``prediction_type`` is what both transformers were trained for.
        settings: ``LongDWMSettings`` as JSON values.
        compositor: puts the frames of a drive together at full resolution; None where the Fine model makes them.
        small_decoder: decodes in place of CogVideoX's autoencoder (``longdwm train decoder``). None for the
            autoencoder's own decoder: ``from_pretrained(folder, small_decoder=None)`` leaves out a saved one.
        street_tones: what ``longdwm train mine`` has learned of one road; None where no road was learned.
    """

    model_cpu_offload_seq = "text_encoder->coarse->fine->vae"
    _optional_components = ["tokenizer", "text_encoder", "compositor", "small_decoder", "street_tones"]  # noqa: RUF012 - diffusers' own convention
    _callback_tensor_inputs = ["latents"]  # noqa: RUF012 - diffusers' own convention

    def __init__(
        self,
        tokenizer: Any,
        text_encoder: PromptEncoder | torch.nn.Module | None,
        vae: AutoencoderKLCogVideoX | MiniAutoencoder,
        coarse: LongDWMTransformer3DModel,
        fine: LongDWMTransformer3DModel,
        scheduler: Any,
        settings: dict[str, object] | None = None,
        compositor: Compositor | None = None,
        small_decoder: SmallDecoder | None = None,
        street_tones: StreetTones | None = None,
    ) -> None:
        super().__init__()
        if settings is None:
            raise ValueError("a pipeline needs settings; see LongDWMSettings.to_json")
        if small_decoder is not None and not isinstance(vae, AutoencoderKLCogVideoX):
            raise ValueError("a small_decoder decodes the latents of AutoencoderKLCogVideoX, and of no other codec")
        self.register_modules(
            tokenizer=tokenizer,
            text_encoder=text_encoder,
            vae=vae,
            coarse=coarse,
            fine=fine,
            scheduler=scheduler,
            compositor=compositor,
            small_decoder=small_decoder,
            street_tones=street_tones,
        )
        self.register_to_config(settings=LongDWMSettings.from_json(settings).to_json())
        self._guidance_scale = self.settings.guidance_scale
        self._interrupt = False
        self._num_timesteps = 0

    @property
    def codec(self) -> Codec:
        """The autoencoder as a codec."""
        if isinstance(self.vae, AutoencoderKLCogVideoX):
            return CogVideoXCodec(self.vae, self.small_decoder)
        return self.vae

    @property
    def coarse_model(self) -> Denoiser:
        """The Coarse model."""
        return Denoiser(self.coarse, self.scheduler)

    @property
    def fine_model(self) -> Denoiser:
        """The Fine model."""
        return Denoiser(self.fine, self.scheduler)

    @property
    def guidance_scale(self) -> float:
        """Of the call in progress, or the last one."""
        return self._guidance_scale

    @property
    def do_classifier_free_guidance(self) -> bool:
        """Whether the call in progress guides."""
        return self._guidance_scale != 1

    @property
    def num_timesteps(self) -> int:
        """Denoising steps of the call in progress or the last one: of all passes of both models, for all pictures."""
        return self._num_timesteps

    @property
    def interrupt(self) -> bool:
        """Set ``_interrupt`` in a callback to stop after the rollout in progress."""
        return self._interrupt

    def encode_text(self, prompts: Sequence[str]) -> Tensor:
        """Embeddings of prompts, (B, S, D).

        Raises:
            ValueError: the pipeline was built without a text encoder or tokenizer.
        """
        if self.tokenizer is None or self.text_encoder is None:
            raise ValueError("this pipeline has no tokenizer or no text encoder: give prompt_embeds")
        task = partial(self._encoded_text, list(prompts))
        # With its last bits all that is generated would depend on the number of threads.
        return SampleThreads(torch.get_num_threads()).run([task])[0] if self._in_threads else task()

    @torch.no_grad()
    def _encoded_text(self, prompts: list[str]) -> Tensor:
        return encode_prompts(self.tokenizer, self.text_encoder, prompts, self.prompt_tokens, self._execution_device)

    @property
    def _in_threads(self) -> bool:
        """Whether samples are made side by side, each by one thread: by a small model on a CPU."""
        return isinstance(self.vae, MiniAutoencoder) and self._execution_device.type == "cpu"

    @property
    def prompt_tokens(self) -> int:
        """Tokens that a prompt is cut or padded to; mini's encoder pools any number of them into five."""
        return 64 if isinstance(self.vae, MiniAutoencoder) else self.coarse.config.max_text_seq_length

    def generation(self, micro_batch: int | None = None, gaps_at_once: int | None = None) -> Generation:
        """Coarse model, Fine model and codec at work on this pipeline's device.

        Args:
            micro_batch: samples in each pass, filled up where there are fewer. None: eight where a small model runs on
                a GPU, which one sample does not keep busy; else one, as larger ones gain nothing.
            gaps_at_once: gaps in each pass of the Fine model; None for ``micro_batch``. On a CPU a gap is always filled
                alone: that is as fast, and the frames are then the same bits whatever is asked for.
        """
        if gaps_at_once is not None and gaps_at_once < 1:
            raise ValueError(f"gaps_at_once is at least 1, got {gaps_at_once}")
        device = self._execution_device
        codec, small, on_cpu = self.codec, isinstance(self.vae, MiniAutoencoder), device.type == "cpu"
        if micro_batch is None:
            micro_batch = 8 if small and not on_cpu else 1
        if isinstance(codec, MiniAutoencoder) and on_cpu:
            codec = quick_on_cpu(codec)
        gap_batch = None if on_cpu else gaps_at_once
        if gap_batch is not None and gap_batch > 1 and isinstance(self.vae, AutoencoderKLCogVideoX):
            # Transformers gain from a batch; the autoencoder does not, and twelve clips at once would not fit.
            self.vae.enable_slicing()
        made = Generation(
            self.coarse_model, self.fine_model, codec, self.settings, device, self.coarse.dtype, micro_batch,
            in_threads=self._in_threads, gap_batch=gap_batch,
        )  # fmt: skip
        if self.compositor is not None:
            made.composer = FrameComposer(self.compositor, device)
        return made

    @torch.no_grad()
    def stream(
        self,
        image: Picture,
        trajectory: str | Trajectory | FloatArray = "straight",
        seconds: float = 90.0,
        prompt: str = "",
        negative_prompt: str = "",
        camera: Camera | None = None,
        num_inference_steps: int | tuple[int, int] | None = None,
        guidance_scale: float | None = None,
        generator: torch.Generator | int | None = None,
        keyframes_per_rollout: int | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        callback_on_step_end: Callback | None = None,
        micro_batch: int | None = None,
        layout: RoadLayout | None = None,
        gaps_at_once: int | None = None,
    ) -> Iterator[Images]:
        """One long video, second by second, in constant memory.

        Args:
            image: where to start: a picture (PIL, uint8 (H, W, 3), float (3, H, W) in [0, 1]), or uint8 (N, H, W, 3)
                frames that led there, 12 a second, the newest last.
            trajectory: a preset's name or a pose file (``routes.open_route``), poses (T, 3) at 12 Hz of the frames to
                come in the ego frame of the image, or a planned ``Trajectory``; at least ``seconds`` long.
            seconds: length, a whole number of frames.
            prompt: caption in the four-line form.
            negative_prompt: what to guide away from.
            camera: of the image at its own size; None assumes a field of view.
            num_inference_steps: of both models, or (Coarse, Fine); None for the pipeline's own.
            guidance_scale: None for the pipeline's own.
            generator: source of the seed, or the seed.
            keyframes_per_rollout: keyframes made at once before the gaps are filled. None: K - 1 = 12, as in the paper;
                1 goes second by second with the last few keyframes in view, as a closed loop does.
            prompt_embeds: (1, S, D) in place of ``prompt``.
            negative_prompt_embeds: (1, S, D) in place of ``negative_prompt``.
            callback_on_step_end: called as in diffusers, ``(pipeline, step, timestep, {"latents": ...})``, with steps
                that run from 0 to ``num_timesteps - 1``; what it returns as "latents", if anything, goes on in their
                place, and a ``_guidance_scale`` that it sets holds from the next step on.
            micro_batch: see ``generation``.
            layout: of the road, in the ego frame of the image, for models that know it (``settings.road_layout``); None
                where there is no map.
            gaps_at_once: see ``generation``; where so many do not fit into a GPU's memory, half as many are tried.

        Yields:
            uint8 (T, H, W, 3), T = 12 but for a last part: the frames after the image, ``seconds`` * 12 in all.
        """
        text, generation, sampling = self._call(
            [prompt], prompt_embeds, [negative_prompt], negative_prompt_embeds, guidance_scale, num_inference_steps,
            callback_on_step_end, ("latents",), micro_batch, gaps_at_once,
        )  # fmt: skip
        way = Way(trajectory, seconds, camera, keyframes_per_rollout, layout)
        self._num_timesteps = self._steps(generation, sampling, way)
        drive = way.drive(self.settings, image, text[0], seed_from(generator))
        self._interrupt = False
        for clip, _ in drive_on(generation, drive, sampling, lambda: self._interrupt):
            yield clip
        self.maybe_free_model_hooks()

    @torch.no_grad()
    def __call__(
        self,
        image: Picture | Sequence[Picture],
        trajectory: str | Trajectory | FloatArray = "straight",
        seconds: float = 90.0,
        prompt: str | Sequence[str] = "",
        negative_prompt: str | Sequence[str] = "",
        camera: Camera | None = None,
        num_inference_steps: int | tuple[int, int] | None = None,
        guidance_scale: float | None = None,
        generator: torch.Generator | Sequence[torch.Generator] | int | Sequence[int] | None = None,
        keyframes_per_rollout: int | None = None,
        prompt_embeds: Tensor | None = None,
        negative_prompt_embeds: Tensor | None = None,
        output_type: OutputType = "pil",
        return_dict: bool = True,
        callback_on_step_end: Callback | None = None,
        callback_on_step_end_tensor_inputs: Sequence[str] | None = ("latents",),
        micro_batch: int | None = None,
        layout: RoadLayout | None = None,
        gaps_at_once: int | None = None,
    ) -> LongDWMPipelineOutput | tuple[Videos]:
        """Whole videos at once; ``stream`` is the one for long ones, and says what all its arguments are.

        ``image``, ``prompt``, ``negative_prompt`` and ``generator`` may be lists of B, for as many videos; one
        generator gives each picture another seed. ``prompt_embeds`` are (B, S, D). All else is the same for all.
        ``output_type``: see ``LongDWMPipelineOutput``; "latent" makes keyframes alone. ``return_dict``: False returns a
        tuple. ``callback_on_step_end_tensor_inputs``: which tensors the callback gets: ``latents``, or None for none.

        Returns:
            The frames after the image, ``seconds`` * 12 for each video.

        Raises:
            ValueError: an argument is out of range; the message says what is allowed.
        """
        images = as_list(image, 1)
        batch = len(images)
        prompts, negatives = as_list(prompt, batch), as_list(negative_prompt, batch)
        shown = callback_on_step_end_tensor_inputs
        if isinstance(callback_on_step_end, PipelineCallback | MultiPipelineCallbacks):
            shown = callback_on_step_end.tensor_inputs
        check_call(prompts, batch, output_type, shown, self._callback_tensor_inputs)
        text, generation, sampling = self._call(
            prompts, prompt_embeds, negatives, negative_prompt_embeds, guidance_scale, num_inference_steps,
            callback_on_step_end, shown or (), micro_batch, gaps_at_once,
        )  # fmt: skip
        seeds = seeds_from(generator, batch)
        way, fill = Way(trajectory, seconds, camera, keyframes_per_rollout, layout), output_type != "latent"
        self._num_timesteps = batch * self._steps(generation, sampling, way, fill)
        self._interrupt = False
        videos = []
        with self.progress_bar(total=batch * way.whole_seconds) as progress:
            for index, picture in enumerate(images):
                drive = way.drive(self.settings, picture, text[index], seeds[index])
                parts = []
                for clip, latent in drive_on(generation, drive, sampling.only(index), lambda: self._interrupt, fill):
                    parts.append(clip if fill else latent[None].cpu())
                    progress.update()
                videos.append(parts)
        self.maybe_free_model_hooks()
        frames = output_from_parts(videos, output_type)
        return LongDWMPipelineOutput(frames=frames) if return_dict else (frames,)

    def _call(
        self,
        prompts: Sequence[str],
        prompt_embeds: Tensor | None,
        negatives: Sequence[str],
        negative_prompt_embeds: Tensor | None,
        guidance_scale: float | None,
        num_inference_steps: int | tuple[int, int] | None,
        callback: Callback | None,
        shown: Sequence[str],
        micro_batch: int | None,
        gaps_at_once: int | None,
    ) -> tuple[Tensor, Generation, Sampling]:
        """Embeddings (B, S, D), models that look up the scale before each step, and how they sample."""
        text = self._embed(prompts, prompt_embeds)
        unconditional = self._guide(guidance_scale, negatives, negative_prompt_embeds, callback)
        generation = self.generation(micro_batch, gaps_at_once)
        generation.coarse.guidance = generation.fine.guidance = lambda: self._guidance_scale
        if callback is not None:  # it counts steps
            generation.threads = SampleThreads(1)
        coarse, fine = steps_from(self.settings, num_inference_steps)
        numbers = count()

        def on_step(step: int, timestep: int, latents: Tensor) -> Tensor | None:
            if callback is None:
                return None
            answer = callback(self, next(numbers), timestep, {"latents": latents} if "latents" in shown else {})
            return None if answer is None else answer.get("latents")

        return text, generation, Sampling(coarse, fine, self._guidance_scale, unconditional, on_step, on_step)

    def _embed(self, prompts: Sequence[str], given: Tensor | None) -> Tensor:
        """(B, S, D) from prompts, or what was given in their place."""
        if given is not None:
            return given.to(self._execution_device, self.coarse.dtype).expand(len(prompts), -1, -1)
        return self.encode_text(prompts).to(self.coarse.dtype)

    def _guide(
        self, guidance_scale: float | None, negatives: Sequence[str], given: Tensor | None, callback: Callback | None
    ) -> Tensor | None:
        """Set the scale of this call; the embedding to guide away from, None where no guidance can begin."""
        self._guidance_scale = self.settings.guidance_scale if guidance_scale is None else float(guidance_scale)
        may_begin = callback is not None and (given is not None or self.text_encoder is not None)
        return self._embed(negatives, given) if self.do_classifier_free_guidance or may_begin else None

    def sampling(self) -> Sampling:
        """The pipeline's own steps and guidance, with the empty prompt to guide away from."""
        unconditional = self._guide(None, [""], None, None)
        return Sampling(*steps_from(self.settings, None), self._guidance_scale, unconditional)

    def _steps(self, generation: Generation, sampling: Sampling, way: Way, fill: bool = True) -> int:
        """Denoising steps of one video, of all passes of both models."""
        coarse, fine = passes(generation, way.num_frames, way.rollout_length(self.settings), fill)
        steps = [steps_of(self.scheduler, asked) for asked in (sampling.coarse_steps, sampling.fine_steps)]
        return coarse * steps[0] + fine * steps[1]


# ``DiffusionPipeline.from_pretrained`` looks for a saved pipeline's class among the names of diffusers.
diffusers.LongDWMPipeline = LongDWMPipeline
