"""Recipes: functions that return a complete configuration."""

from collections.abc import Callable
from dataclasses import replace

from longdwm_env.clock import FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig
from longdwm_env.models.settings import OpenChoices
from longdwm_env.training.composition.config import ComposeConfig, CompositorTraining
from longdwm_env.training.config import (
    DataConfig,
    LoopConfig,
    OptimizerConfig,
    Recipe,
    Size,
    StageConfig,
)
from longdwm_env.training.data.encoded.latents import LatentChoices
from longdwm_env.training.data.windows import Window
from longdwm_env.training.losses.codec import CodecChoices
from longdwm_env.training.losses.decoder_loss import DecoderChoices
from longdwm_env.training.losses.distilling.fewer_steps import FewStepChoices
from longdwm_env.training.stage_list import STAGES

NUSCENES_FRAMES = 22 * FRAMES_PER_INTERVAL + 1
"""More than any scene of nuScenes has."""


def mini_simulator(size: Size = "full") -> Recipe:
    """The model that ships: 144 x 96, simulator footage, in hours on two CPU cores."""
    coarse = StageConfig(
        LoopConfig(steps=7_000, batch_size=16, micro_batch_size=16, precision="bf16", checkpoint_every=250),
        OptimizerConfig(learning_rate=4e-4, warmup_steps=200, ema_decay=0.999),
        OpenChoices(text_drop_ratio=0.05, warp_drop_ratio=0.03, history_noise_max=0.05),
        # Mostly the next keyframe after the last few, as in a closed loop; sometimes the paper's twelve from one.
        windows=(
            Window(1, 1, 1.5),
            Window(2, 1, 1.0),
            Window(3, 1, 1.0),
            Window(4, 1, 4.5),
            Window(1, 12, 0.5),
            Window(4, 1, 1.5, prompt_switched=True),
        ),
        sampler_ratio=0.9,
        channel_weight_power=1.0,
    )
    # On the model's own keyframes: what a closed loop needs beyond recorded ones.
    sharpen = replace(
        coarse,
        loop=replace(coarse.loop, steps=1_200, checkpoint_every=50),
        optimizer=OptimizerConfig(learning_rate=2e-4, warmup_steps=50, ema_decay=0.999),
        choices=replace(coarse.choices, contrast_power=1.0),
        windows=(
            Window(1, 1, 0.3),
            Window(4, 1, 0.8),
            Window(4, 3, 0.4, self_rollout=True),
            Window(4, 8, 0.5, self_rollout=True),
            Window(4, 24, 0.6, self_rollout=True),
            Window(4, 1, 0.6, prompt_switched=True),
            Window(1, 1, 0.9, restyled=True),
        ),
    )
    fine = StageConfig(
        LoopConfig(steps=4_000, batch_size=8, micro_batch_size=8, precision="bf16", checkpoint_every=250),
        OptimizerConfig(learning_rate=4e-4, warmup_steps=200, ema_decay=0.999),
        OpenChoices(text_drop_ratio=0.05, warp_drop_ratio=0.03, last_frame_drop_ratio=0.15, contrast_power=1.0),
        sampler_ratio=0.9,
        # Driving, it fills the second between keyframes that the Coarse model made.
        end_noise_max=0.2,
        channel_weight_power=1.0,
    )
    codec = StageConfig(
        LoopConfig(steps=6_000, batch_size=32, micro_batch_size=32, precision="bf16", checkpoint_every=250),
        OptimizerConfig(learning_rate=4e-4, warmup_steps=100, ema_decay=0.995),
        codec=CodecChoices(edge_weight=0.25, latent_noise=0.05, latent_penalty=0.004, cycle_weight=0.2),
        pca_images=2048,
    )
    distill = replace(
        coarse,
        loop=replace(coarse.loop, steps=100, batch_size=4, micro_batch_size=4, sample_every=50, checkpoint_every=50),
        optimizer=OptimizerConfig(learning_rate=5e-5, warmup_steps=10, ema_decay=0.9),
    )
    warp = replace(
        fine,
        loop=replace(fine.loop, steps=500),
        optimizer=OptimizerConfig(learning_rate=1.5e-4, warmup_steps=50, ema_decay=0.999),
        # Mostly with the views that driving gives: of keyframes that the Coarse model made.
        choices=replace(fine.choices, warp_drop_ratio=0.0, own_keyframes_ratio=0.75),
    )
    # A teacher draws in many steps, so it has to be trained with ``sampler_ratio=0`` first.
    few_coarse, few_fine = _few_steps(
        replace(coarse, windows=coarse.windows[:5], loop=replace(coarse.loop, steps=1_500)),
        replace(fine, loop=replace(fine.loop, steps=1_500)),
        OptimizerConfig(learning_rate=1e-4, warmup_steps=50, ema_decay=0.99),
        FewStepChoices(consistency_steps=1_000),
    )
    # A third of the samples without warp, so that it can also be rolled out as the paper's peers are, from pixels
    # alone.
    baseline = replace(fine, choices=replace(fine.choices, last_frame_drop_ratio=1.0, warp_drop_ratio=0.3))
    scorer = StageConfig(
        LoopConfig(steps=4_000, batch_size=16, micro_batch_size=16, precision="bf16", sample_every=500),
        OptimizerConfig(learning_rate=1e-3, warmup_steps=50, ema_decay=0.99),
    )
    inverse_dynamics = StageConfig(
        LoopConfig(steps=2_500, batch_size=16, micro_batch_size=16, precision="bf16", checkpoint_every=100),
        OptimizerConfig(learning_rate=2e-3, warmup_steps=50, ema_decay=0.99),
    )
    recipe = Recipe(
        "mini-simulator",
        size,
        "mini",
        # Long enough for the longest roll.
        DataConfig("simulator", clips=232, twin_ratio=0.25, frames=433, latents=LatentChoices(keyframe_phases=3)),
        {
            "codec": codec,
            "coarse": coarse,
            "sharpen": sharpen,
            "fine": fine,
            "warp": warp,
            "distill": distill,
            "few-steps-coarse": few_coarse,
            "few-steps-fine": few_fine,
            "scorer": scorer,
            "inverse-dynamics": inverse_dynamics,
            "ar-baseline": baseline,
        },
        ComposeConfig(),
    )
    return _debug(recipe) if size == "debug" else recipe


def mini_nuscenes(size: Size = "full") -> Recipe:
    """The small model on nuScenes: everything as in ``mini_simulator`` but the footage."""
    data = DataConfig("nuscenes", frames=145, split="train", latents=LatentChoices(keyframe_phases=3))
    simulated = mini_simulator("full")
    stages = {
        name: _fitting(stage, data.frames)
        for name, stage in simulated.stages.items()
        if STAGES[name].learns_from != "labels"
    }
    recipe = Recipe("mini-nuscenes", size, "mini", data, stages)
    return _debug(recipe) if size == "debug" else recipe


def cogvideox_2b_nuscenes(size: Size = "full") -> Recipe:
    """LongDWM, appendix C: CogVideoX-2B at 720 x 480, 10k steps of batch 8 for each model, 500 of batch 4 to distill.

    Learning rate and warm-up are not given in the paper; these are CogVideoX's for fine-tuning.
    """
    loop = LoopConfig(
        steps=10_000,
        batch_size=8,
        micro_batch_size=1,
        precision="bf16",
        gradient_checkpointing=True,
        checkpoint_every=500,
        sample_every=1000,
    )
    optimizer = OptimizerConfig(
        learning_rate=2e-5, warmup_steps=250, schedule="constant", betas=(0.9, 0.95), ema_decay=0.0
    )
    coarse = StageConfig(loop, optimizer, OpenChoices(), windows=(Window(1, 12, 1.0), Window(4, 9, 1.0)))
    fine = StageConfig(loop, optimizer, OpenChoices(), use_warp=False)
    few_coarse, few_fine = _few_steps(
        replace(coarse, loop=replace(loop, steps=4_000)),
        replace(fine, use_warp=True, loop=replace(loop, steps=4_000)),
        replace(optimizer, learning_rate=5e-6, betas=(0.0, 0.95), ema_decay=0.99),
        FewStepChoices(consistency_steps=2_500),
    )
    decoder = StageConfig(
        LoopConfig(steps=20_000, batch_size=8, micro_batch_size=8, precision="bf16", sample_every=1000),
        OptimizerConfig(learning_rate=4e-4, warmup_steps=200, ema_decay=0.999),
    )
    recipe = Recipe(
        "cogvideox-2b-nuscenes",
        size,
        "cogvideox-2b",
        # Clips are whole scenes (20 s), so that windows begin at every keyframe, two a second, and segments at every
        # frame: "all sampling samples" and "all continuous frames" of appendix C.
        DataConfig(
            "nuscenes",
            frames=NUSCENES_FRAMES,
            split="train",
            record=False,
            latents=LatentChoices(keyframe_phases=2, segment_phases=12, precision="bf16"),
        ),
        {
            "coarse": coarse,
            "fine": fine,
            "warp": replace(fine, use_warp=True),
            "distill": replace(coarse, loop=replace(loop, steps=500, batch_size=4)),
            "few-steps-coarse": few_coarse,
            "few-steps-fine": few_fine,
            "decoder": decoder,
            "ar-baseline": replace(fine, choices=replace(fine.choices, last_frame_drop_ratio=1.0)),
        },
    )
    return _debug(recipe) if size == "debug" else recipe


def _few_steps(
    coarse: StageConfig, fine: StageConfig, optimizer: OptimizerConfig, choices: FewStepChoices
) -> tuple[StageConfig, StageConfig]:
    """Stages that teach few steps: nothing is dropped, and no loss is added, since the teacher says what is wanted."""

    def taught(stage: StageConfig) -> StageConfig:
        drops = OpenChoices(
            text_drop_ratio=0.0,
            warp_drop_ratio=stage.choices.warp_drop_ratio,
            last_frame_drop_ratio=stage.choices.last_frame_drop_ratio,
            history_noise_max=stage.choices.history_noise_max,
        )
        return replace(stage, optimizer=optimizer, choices=drops, sampler_ratio=0.0, few_steps=choices)

    return taught(coarse), taught(fine)


RECIPES: dict[str, Callable[[Size], Recipe]] = {
    "mini-simulator": mini_simulator,
    "mini-nuscenes": mini_nuscenes,
    "cogvideox-2b-nuscenes": cogvideox_2b_nuscenes,
}


def recipe(name: str, size: Size = "full") -> Recipe:
    """A recipe by name.

    Raises:
        InvalidConfig: there is no such recipe.
    """
    if name not in RECIPES:
        raise InvalidConfig(f"there is no recipe {name!r}; there are {', '.join(RECIPES)}")
    return RECIPES[name](size)


DEBUG_FRAMES = 145
"""Of a clip, at most."""


def _fitting(stage: StageConfig, frames: int) -> StageConfig:
    """A stage without the windows that are longer than a clip of so many frames."""
    most = (frames - 1) // FRAMES_PER_INTERVAL + 1
    return replace(stage, windows=tuple(w for w in stage.windows if w.history + w.future <= most))


def _debug(full: Recipe) -> Recipe:
    """The same recipe with the smallest models of its kind, four short clips and a few dozen steps."""
    frames = min(full.data.frames, DEBUG_FRAMES)
    preset = "debug-cogvideox" if full.preset == "cogvideox-2b" else "debug"
    stages = {
        name: replace(
            _fitting(stage, frames),
            loop=LoopConfig(
                steps=STAGES[name].debug_steps,
                batch_size=4,
                micro_batch_size=4,
                gradient_checkpointing=stage.loop.gradient_checkpointing,
                checkpoint_every=20,
                log_every=5,
                sample_every=STAGES[name].debug_steps,
            ),
            optimizer=replace(
                stage.optimizer,
                learning_rate=STAGES[name].debug_learning_rate,
                warmup_steps=5,
                ema_decay=0.9,
            ),
            few_steps=replace(stage.few_steps, teacher_steps=8, consistency_steps=25, critic_updates=2),
            decoder=DecoderChoices(width_scale=0.2),
            pca_images=48,
            evidence_windows=16,
        )
        for name, stage in full.stages.items()
    }
    latents = full.data.latents
    fewer = {name: min(getattr(latents, name), 2) for name in ("keyframe_phases", "segment_phases")}
    data = replace(full.data, clips=4, frames=frames, latents=replace(latents, **fewer))
    compose = None
    if full.compose is not None:
        few = CompositorTraining(batch=4, alone_steps=10, rising_steps=5, save_every=10, least_moments=8)
        compose = ComposeConfig(few, steps=30, ring=64, longest_s=(2, 3), widths=(8, 8, 8), depths=(1, 1, 1))
    return Recipe(full.name, "debug", preset, data, stages, compose)
