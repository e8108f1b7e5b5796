"""``longdwm train ...``: build a world model from footage, stage by stage or all at once."""

import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from longdwm_env.cli import run
from longdwm_env.cli.building.opened_recipe import chosen_recipe, configured, need_for, opened
from longdwm_env.cli.building.train_options import DEFAULTS, Options, TrainOptions
from longdwm_env.cli.building.training_footage import (
    asked_footage,
    check_suffices,
    encode_asked,
    record_asked,
    say_what_does_not_suffice,
)
from longdwm_env.cli.commands import TRAIN, Command
from longdwm_env.cli.destination import held
from longdwm_env.cli.extras import need
from longdwm_env.io.processes import end_with_parent
from longdwm_env.training.stage_list import STAGES

if TYPE_CHECKING:
    Exported = str
    Estimated = str
else:
    # What --stage takes is what the list of stages has.
    Exported = Literal[tuple(name for name, stage in STAGES.items() if stage.is_exported)]
    Estimated = Literal[tuple(name for name, stage in STAGES.items() if stage.is_estimated)]


def _training(stage: str, about: str) -> Callable[[TrainOptions], int]:
    """The command that trains one stage."""

    def command(options: Options = DEFAULTS) -> int:
        return _stage(stage, options)

    command.__doc__ = about
    return command


codec = _training("codec", "Fit and train the small codec on footage, making the footage first where it is missing.")
coarse = _training(
    "coarse", "Train the Coarse model (LongDWM, Eq. 3 to 5), encoding footage first where that is missing."
)
sharpen = _training(
    "sharpen", "Closed-loop fine-tuning: the Coarse model learns from its own keyframes, and from their texture."
)
fine = _training("fine", "Train the Fine model (LongDWM, Eq. 6).")
warp = _training("warp", "Teach the Fine model to follow warped frames (LongDWM, section 3.4).")
distill = _training("distill", "Let the frozen Fine model teach the Coarse model (LongDWM, Eq. 7 and 8).")
scorer = _training("scorer", "Train the network that judges frames where no map is known.")
inverse_dynamics = _training("inverse-dynamics", "Train the network that reads speed and yaw rate.")
ar_baseline = _training(
    "ar-baseline", "Train the autoregressive baseline of the same size: the Fine architecture without a last frame."
)


def compose(options: Options = DEFAULTS) -> int:
    """Train the compositor on drives of its own through simulated streets, beside a critic."""
    import os

    import torch

    from longdwm_env.errors import InvalidConfig
    from longdwm_env.training.composition.stage import compose as train

    recipe, workspace = opened(options)
    if recipe.compose is None:
        raise InvalidConfig(f"recipe {recipe.name} has no compositor; mini-simulator has one")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    # One core trains, the others drive.
    workers = options.workers or max(1, (os.cpu_count() or 1) - torch.get_num_threads())
    seconds = None if options.minutes is None else 60 * options.minutes
    step, finished = train(workspace, recipe.compose, workers, seconds)
    state = "finished" if finished else "stopped; run again to go on"
    print(f"compose: {state} at step {step}; {workspace.stage('compose')}")
    return 0


def few_steps(only: Literal["both", "coarse", "fine"] = "both", options: Options = DEFAULTS) -> int:
    """Teach Coarse and Fine to draw in 1 to 4 steps without guidance: consistency, then distribution matching.

    First one, then the other; each is resumed where it stopped. How many steps: --set few_steps.steps=2.

    Args:
        only: one of the models.
        options: recipe, folder, and fields of the stages' configurations.
    """
    need("training", "train", "accelerate")
    from accelerate import PartialState

    begun = time.monotonic()
    for stage in (name for name, known in STAGES.items() if known.few_steps and only in ("both", known.component)):
        _, workspace = opened(options)
        left = None if options.minutes is None else options.minutes - (time.monotonic() - begun) / 60
        if workspace.done(stage):
            print(f"{stage}: done; {workspace.stage(stage)}")
            continue
        if left is not None and left <= 0:
            print(f"stopped before {stage}; run the command again to go on")
            return 0
        _stage(stage, replace(options, minutes=left))
        # The first of several processes says that it is done.
        PartialState().wait_for_everyone()
        if not workspace.done(stage):
            return 0
    return 0


def decoder(options: Options = DEFAULTS, published: Path | None = None) -> int:
    """Train a small streaming decoder that shows what CogVideoX's own shows; pipelines then use it.

    Args:
        options: recipe, folder, and fields of the stage's configuration.
        published: safetensors of TAEHV's decoder for CogVideoX, such as taecvx.safetensors: put into the pipeline, at
            the scale of latents that they want, in place of training.
    """
    if published is None:
        return _stage("decoder", options)
    need("train decoder", "train", "accelerate")
    from longdwm_env.training.assembly.decoder import put_published

    _, workspace = opened(options)
    found = put_published(workspace, published)
    print(
        f"decoder: {found.psnr_db:.1f} dB of the autoencoder's pictures, with latents times {found.scale:.2f}; "
        f"{workspace.pipeline / 'small_decoder'}"
    )
    return 0


def footage(options: Options = DEFAULTS, cluster: str | None = None) -> int:
    """Record the recipe's footage, as far as it is missing.

    Args:
        options: recipe and folder.
        cluster: Record on a Ray cluster instead: local, auto, or its address; --out must mean the same on all machines.
    """
    if cluster is not None:
        need("recording on a cluster", "cluster", "ray")
    recipe, workspace = opened(options)
    asked = asked_footage(recipe, workspace, options)
    say_what_does_not_suffice(recipe, workspace, asked)
    made = record_asked(recipe, workspace, options, asked, cluster)
    print(f"{len(made)} clips in {workspace.footage}")
    return 0


def latents(options: Options = DEFAULTS) -> int:
    """Encode the recipe's footage with the trained codec, as far as that is missing."""
    need("train latents", "train", "accelerate")
    recipe, workspace = opened(options)
    asked = asked_footage(recipe, workspace, options)
    say_what_does_not_suffice(recipe, workspace, asked)
    print(f"{encode_asked(recipe, workspace, options, asked)} clips in {workspace.latents}")
    return 0


def export(stage: Exported, options: Options = DEFAULTS) -> int:
    """Put a stage's newest checkpoint into the pipeline's folder while its training goes on.

    Args:
        stage: which one.
        options: recipe and folder.
    """
    need("train export", "train", "accelerate")
    from longdwm_env.training.stages import export as export_stage

    _, workspace = opened(options)
    with held(workspace.pipeline, "folder", "export"):
        export_stage(stage, workspace)
    print(f"exported to {workspace.pipeline}")
    return 0


def estimate(
    stage: Estimated = "coarse",
    options: Options = DEFAULTS,
    gpu_memory_gb: tuple[float, ...] = (80.0, 141.0),
    processes: int = 1,
) -> int:
    """Say what memory and time a stage needs, and whether it fits.

    Args:
        stage: which one.
        options: recipe, and fields of its configuration.
        gpu_memory_gb: sizes of accelerators to compare with.
        processes: accelerators that share the parameters (FSDP).
    """
    need("train estimate", "train", "accelerate")
    from longdwm_env.training.estimate import estimate_stage

    chosen = chosen_recipe(options)
    print(estimate_stage(chosen, stage, configured(chosen, stage, options), processes).report(gpu_memory_gb))
    return 0


def mini(options: Options = DEFAULTS) -> int:
    """Rebuild longdwm-mini: every stage in order, from footage to evaluation.

    These are footage, codec, coarse and fine, distillation, closed-loop fine-tuning (sharpen), warp, the compositor,
    the networks that read pictures, and the evaluation. Every part is resumed where it stopped; running the command
    again goes on.
    """
    from longdwm_env.io.files import one_writer
    from longdwm_env.training.rebuild import parts_left, rebuild

    # Of all parts, before the first: the last would find it out after hours.
    need_for(chosen_recipe(options).stages)
    recipe, workspace = opened(options)
    stages = {name: recipe.stages[name] for name in parts_left(recipe, workspace) if name in recipe.stages}
    check_suffices(workspace, asked_footage(recipe, workspace, options), stages)

    def command(part: str, threads: int | None, minutes: float | None, processes: int) -> list[str]:
        launcher = ["longdwm_env.io.processes", "torch.distributed.run", "--standalone"]
        launcher += ["--nproc_per_node", str(processes), "-m"]
        words = [sys.executable, "-m", *(launcher if processes > 1 else []), "longdwm_env.cli.train", part]
        words += ["--recipe", options.recipe, "--size", options.size]
        words += ["--out", str(workspace.root)] + (["--force"] if options.force else [])
        if processes > 1:
            words += ["--set", f"loop.micro_batch_size={recipe.stage(part).loop.batch_size // processes}"]
        given: dict[str, object] = {
            "device": "cpu" if processes > 1 else options.device,
            "threads": threads,
            "workers": options.workers,
            "clips": options.clips,
        }
        given |= {"minutes": minutes, "data": options.data}
        for name, value in given.items():
            words += [] if value is None else [f"--{name}", str(value)]
        return words

    with one_writer(workspace.root, lock=".mini.lock"):
        return rebuild(recipe, workspace, command, options.device, options.threads, options.minutes)


def _stage(name: str, options: TrainOptions) -> int:
    config = configured(chosen_recipe(options), name, options)
    need_for({name: config})
    import torch
    from accelerate import PartialState

    from longdwm_env.training.estimate import check_fits
    from longdwm_env.training.stages import run_stage, stage_writer

    if options.threads is not None:
        torch.set_num_threads(options.threads)
    recipe, workspace = opened(options)
    asked = asked_footage(recipe, workspace, options)
    check_suffices(workspace, asked, {name: config})
    if not options.force:
        check_fits(recipe, name, config, options.device)
    with stage_writer(workspace, name):
        prepare = encode_asked if STAGES[name].learns_from == "latents" else record_asked
        prepare(recipe, workspace, options, asked)
        seconds = None if options.minutes is None else 60 * options.minutes
        progress = run_stage(recipe, name, workspace, config, options.device, seconds)
    state = "finished" if progress.finished else "stopped; run again to go on"
    if not PartialState().is_main_process:
        return 0
    loss = "" if progress.loss is None else f"loss {progress.loss:.4f}, "
    speed = f"{progress.samples_per_s:.1f} samples/s"
    print(f"{name}: {state} at step {progress.step}, {loss}{speed}; {workspace.stage(name)}")
    maker = workspace.made_by.get(STAGES[name].component, name)
    if progress.finished and STAGES[name].result == "pipeline" and maker != name:
        print(
            f"the pipeline keeps what {maker} made of it since; longdwm train export --stage {name} puts this one back"
        )
    return 0


PARTS: Mapping[str, Command] = {
    **TRAIN,
    "evaluation": Command("building.train_evaluation:evaluation", "the paper's protocols on the finished pipeline"),
}
"""What ``mini`` runs, each part in a process of its own."""

if __name__ == "__main__":
    # How ``mini`` runs its parts, and what launchers of several processes run; otherwise people use ``longdwm train``.
    end_with_parent()
    sys.exit(run(f"longdwm train {sys.argv[1]}", PARTS[sys.argv[1]], sys.argv[2:]))
