"""Training a part, and putting systems together from trained parts."""

import json
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from longdwm_env.clock import FRAMES_PER_INTERVAL
from longdwm_env.errors import InvalidConfig
from longdwm_env.evaluation.paper.systems import Autoregressive, Copy, LongDWM, Reconstruction, System, ToldAsTrained
from longdwm_env.evaluation.studies.budget import CLIP, FRAME, STAGES, Budget, larger, stage_config, study_model
from longdwm_env.evaluation.studies.study_folder import StudyFolder, save_whole
from longdwm_env.evaluation.studies.variants import PARTS, Part, PartKind, Variant
from longdwm_env.geometry.camera import assumed_camera
from longdwm_env.io.files import atomic_write_json
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.presets import build
from longdwm_env.training.checkpoint import exported_weights, read_checkpoint
from longdwm_env.training.config import Recipe
from longdwm_env.training.recipes import recipe
from longdwm_env.training.stages import run_stage
from longdwm_env.training.workspace import Workspace

CALIBRATION_STEPS = (4, 24)
"""Steps to warm up, and steps to measure."""


def train_part(
    folder: StudyFolder, name: str, seed: int, budget: Budget, device: str | None, max_seconds: float | None = None
) -> bool:
    """Train a part to its end or until the time is up; goes on where an earlier call stopped.

    Args:
        folder: of the study, with what the part starts from trained.
        name: of the part.
        seed: of weights and draws.
        budget: of the study.
        device: "cpu" keeps off an accelerator that is there.
        max_seconds: stop with a checkpoint after about this long.

    Returns:
        Whether it is finished.
    """
    part, workspace = PARTS[name], folder.part(name, seed)
    if workspace.done(STAGES[part.kind]):
        return True
    _prepare(folder, part, seed, workspace)
    return _run(folder, part, seed, budget, workspace, device, max_seconds)


def measured_costs(folder: StudyFolder, scratch: Path, device: str | None = None) -> dict[str, float]:
    """Processor seconds, measured: of a step of each kind, of a frame of video, of encoding a clip."""
    kinds: dict[PartKind, str] = {"coarse": "coarse-sweep", "fine": "fine-sweep", "autoregressive": "autoregressive"}
    kinds["distill"] = "distill"
    costs: dict[str, float] = {kind: _step_s(folder, PARTS[name], scratch, device) for kind, name in kinds.items()}
    costs[FRAME] = _frame_s(folder, scratch)
    begun = time.process_time()
    folder.encode("ground", scratch / "latents", clips=1)
    costs[CLIP] = time.process_time() - begun
    return costs


def _step_s(folder: StudyFolder, part: Part, scratch: Path, device: str | None) -> float:
    """Of a step of a part, on untrained transformers; their inputs do not change what it costs."""
    workspace = Workspace(scratch / part.kind, folder.latents("sweep"))
    _prepare(folder, part, 0, workspace, is_trial=True)
    warm, last = CALIBRATION_STEPS
    for steps in (warm, warm + last):
        _run(folder, replace(part, views="sweep"), 0, Budget({part.kind: steps}, {}), workspace, device, None)
    spent: float = json.loads((workspace.root / "compute.json").read_text())[-1]["processor_s"]
    return spent / last


def _frame_s(folder: StudyFolder, scratch: Path) -> float:
    """Of a frame of video, by untrained Coarse and Fine models."""
    workspace, image_size = Workspace(scratch / FRAME), folder.settings("none").image_size
    _prepare(folder, PARTS["coarse-ground"], 0, workspace, is_trial=True)
    pipeline = workspace.load()
    poses = np.cumsum(np.full((FRAMES_PER_INTERVAL, 3), [0.8, 0.0, 0.0]), axis=0)
    image = np.full((*image_size, 3), 128, np.uint8)
    spent = []
    for _ in range(2):
        begun = time.process_time()
        for _ in pipeline.stream(image, poses, seconds=1.0, camera=assumed_camera(image_size)):
            spent.append(time.process_time() - begun)
    return spent[-1] / FRAMES_PER_INTERVAL


def _run(
    folder: StudyFolder,
    part: Part,
    seed: int,
    budget: Budget,
    workspace: Workspace,
    device: str | None,
    max_seconds: float | None,
) -> bool:
    stage, base = STAGES[part.kind], _recipe(folder)
    config = stage_config(part, budget, seed, is_small=base.size == "debug")
    progress = run_stage(base, stage, workspace, config, device, max_seconds)
    path = workspace.root / "compute.json"
    calls = json.loads(path.read_text()) if path.is_file() else []
    calls.append({"step": progress.step, "processor_s": round(progress.processor_s, 3)})
    atomic_write_json(path, calls)
    return progress.finished


def _recipe(folder: StudyFolder) -> Recipe:
    about = folder.facts["recipe"]
    return recipe(about["recipe"], about["size"])


def _prepare(folder: StudyFolder, part: Part, seed: int, workspace: Workspace, is_trial: bool = False) -> None:
    """Make a part's pipeline: the source's codec and text, fresh transformers, or those that the part starts from."""
    if (workspace.pipeline / "model_index.json").is_file():
        return
    source, config = folder.pipeline(), study_model(folder)
    pipeline = build(config, seed, text_encoder=False)
    shared = ("vae", "text_encoder", "tokenizer", "scheduler")
    pipeline.register_modules(**{name: source.components[name] for name in shared})
    pipeline.register_to_config(settings=folder.settings(part.views).to_json())
    if part.kind == "autoregressive":
        pipeline.register_modules(fine=build_larger(folder, seed))
    if part.starts_from is not None and not is_trial:
        pipeline.register_modules(coarse=_transformer(folder, part.starts_from, seed))
    if part.teacher is not None and not is_trial:
        pipeline.register_modules(fine=_transformer(folder, part.teacher, seed))
    workspace.root.mkdir(parents=True, exist_ok=True)
    save_whole(pipeline, workspace.pipeline)


def build_larger(folder: StudyFolder, seed: int) -> LongDWMTransformer3DModel:
    """The autoregressive transformer, untrained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LongDWMTransformer3DModel(**larger(study_model(folder)).to_kwargs()).eval()


def _transformer(folder: StudyFolder, name: str, seed: int, step: int | None = None) -> LongDWMTransformer3DModel:
    """A part's trained transformer, or what it was after some step."""
    part, workspace = PARTS[name], folder.part(name, seed)
    stage = STAGES[part.kind]
    if not workspace.done(stage):
        raise InvalidConfig(f"part {name} of seed {seed} has not been trained to its end")
    component = "coarse" if stage in ("coarse", "distill") else "fine"
    path = workspace.baseline if stage == "ar-baseline" else workspace.pipeline / component
    transformer: LongDWMTransformer3DModel = LongDWMTransformer3DModel.from_pretrained(str(path)).eval()
    if step is not None:
        weights = exported_weights(read_checkpoint(workspace.stage(stage) / "checkpoints" / f"step-{step:08d}"))
        transformer.load_state_dict({name.removeprefix("transformer."): value for name, value in weights.items()})
    return transformer


def processor_minutes(folder: StudyFolder, seeds: int) -> dict[str, float]:
    """Processor minutes that each trained part took, mean over its seeds."""
    found = {}
    for name in PARTS:
        paths = [folder.part(name, seed).root / "compute.json" for seed in range(seeds)]
        spent = [sum(call["processor_s"] for call in json.loads(p.read_text())) / 60 for p in paths if p.is_file()]
        if spent:
            found[name] = sum(spent) / len(spent)
    return found


def assembled(folder: StudyFolder, variant: Variant, seed: int, budget: Budget) -> System:
    """A system from trained parts.

    Raises:
        InvalidConfig: a part has not been trained.
    """
    if variant.given == "copy":
        return Copy()
    pipeline = folder.pipeline()
    if variant.given == "codec":
        return Reconstruction(pipeline)
    if variant.given == "mini":
        return LongDWM(variant.name, pipeline, variant.at_once)
    if variant.autoregressive is not None:
        part = PARTS[variant.autoregressive]
        pipeline.register_to_config(settings=folder.settings(part.views).to_json())
        transformer = _transformer(folder, part.name, seed)
        return Autoregressive(variant.name, pipeline, transformer, part.views != "none")
    assert variant.coarse is not None
    assert variant.fine is not None
    guided = with_fine(folder, variant.fine, seed)
    step = None if variant.snapshot is None else budget.snapshot_step(variant.snapshot)
    guided.register_modules(coarse=_transformer(folder, variant.coarse, seed, step))
    if PARTS[variant.fine].views == "none":
        guided = ToldAsTrained.made_of(guided)
    return LongDWM(variant.name, guided, variant.at_once)


def with_fine(folder: StudyFolder, name: str, seed: int) -> LongDWMPipeline:
    """The source's pipeline with a trained Fine model, and with the views that it is given."""
    pipeline = folder.pipeline()
    pipeline.register_to_config(settings=folder.settings(PARTS[name].views).to_json())
    pipeline.register_modules(fine=_transformer(folder, name, seed))
    return pipeline
