"""From a stage's newest checkpoint into the pipeline's folder."""

from collections.abc import Callable
from pathlib import Path

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.readers.inverse_dynamics import InverseDynamics
from longdwm_env.models.readers.scorer import DrivingEncoder
from longdwm_env.training.checkpoint import checkpoints, exported_weights, read_checkpoint
from longdwm_env.training.data.footage import Footage, sample_images
from longdwm_env.training.decoder import untrained_decoder
from longdwm_env.training.few_steps import FEW_STEP_STAGES, settings_after
from longdwm_env.training.scaling.lora import LoraChoices, is_lora, merge_lora
from longdwm_env.training.workspace import Workspace


def export(stage: str, workspace: Workspace, pipeline: LongDWMPipeline | None = None) -> None:
    """Put the newest checkpoint's averaged weights into the workspace's pipeline; may be called while training runs.

    Raises:
        InvalidConfig: the stage has no checkpoint yet.
    """
    found = checkpoints(workspace.stage(stage) / "checkpoints")
    if not found:
        raise InvalidConfig(f"stage {stage} in {workspace.root} has no checkpoint yet")
    checkpoint = read_checkpoint(found[-1])
    weights = exported_weights(checkpoint)
    if stage in READERS:
        network, prefix, folder = READERS[stage]
        reader = network()
        reader.load_state_dict({name.removeprefix(prefix): tensor for name, tensor in weights.items()})
        reader.save_pretrained(str(folder(workspace)), safe_serialization=True)
        return
    pipeline = pipeline or workspace.load()
    component = COMPONENTS[stage]
    if stage == "decoder" and pipeline.small_decoder is None:
        pipeline.register_modules(small_decoder=untrained_decoder(workspace, pipeline))
    module = pipeline.components[component]
    prefix = {"codec": "autoencoder.", "decoder": "decoder."}.get(stage, "transformer.")
    if stage in FEW_STEP_STAGES:
        # The critic that was trained beside it has done its work.
        weights = {name: tensor for name, tensor in weights.items() if name.startswith(prefix)}
    own = {name.removeprefix(prefix): tensor for name, tensor in weights.items()}
    if is_lora(own):
        merge_lora(module, own, LoraChoices(**checkpoint.facts["run"]["config"]["lora"]))
        own = {}
    current = module.state_dict()
    unknown = sorted(set(own) - set(current))
    if unknown:
        raise InvalidConfig(f"the checkpoint of {stage} has weights that {component} lacks: {unknown[:3]}")
    module.load_state_dict({**current, **{name: tensor.to(current[name].dtype) for name, tensor in own.items()}})
    if stage == "codec":
        footage = Footage(workspace.footage)
        module.cpu().fit_statistics(sample_images(footage, min(1024, 8 * len(footage)), seed=1))
    if stage == "ar-baseline":
        module.save_pretrained(str(workspace.baseline), safe_serialization=True)
    else:
        workspace.save_component(component, module)
    if stage in FEW_STEP_STAGES:
        settings_after(workspace, stage)


COMPONENTS = {
    "codec": "vae",
    "coarse": "coarse",
    "sharpen": "coarse",
    "fine": "fine",
    "warp": "fine",
    "distill": "coarse",
    "few-steps-coarse": "coarse",
    "few-steps-fine": "fine",
    "decoder": "small_decoder",
    "ar-baseline": "fine",
}

READERS: dict[str, tuple[Callable[[], DrivingEncoder | InverseDynamics], str, Callable[[Workspace], Path]]] = {
    "scorer": (DrivingEncoder, "encoder.", lambda workspace: workspace.scorer),
    "inverse-dynamics": (InverseDynamics, "reader.", lambda workspace: workspace.inverse_dynamics),
}
"""Stages whose result is no part of the pipeline: (network, its name within the objective, where it goes)."""
