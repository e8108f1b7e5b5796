"""From a stage's newest checkpoint into the pipeline's folder."""

from importlib import import_module

from longdwm_env.errors import InvalidConfig
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.training.assembly.decoder import untrained_decoder
from longdwm_env.training.assembly.few_steps import settings_after
from longdwm_env.training.assembly.held import put_back
from longdwm_env.training.checkpoint import checkpoints, exported_weights, read_checkpoint
from longdwm_env.training.data.encoded.latents import LatentStore
from longdwm_env.training.data.footage import Footage, sample_images
from longdwm_env.training.scaling.lora import LoraChoices, is_lora, merge_lora
from longdwm_env.training.stage_list import stage_named
from longdwm_env.training.workspace import Workspace


def export(stage: str, workspace: Workspace, pipeline: LongDWMPipeline | None = None) -> None:
    """Put the newest checkpoint's averaged weights into the workspace's pipeline; may be called while training runs.

    Whatever stage trained the component that is there now: what belongs to its weights, steps and guidance, is put back
    with them.

    Raises:
        InvalidConfig: the stage has no checkpoint yet.
    """
    found = checkpoints(workspace.stage(stage) / "checkpoints")
    if not found:
        raise InvalidConfig(f"stage {stage} in {workspace.root} has no checkpoint yet")
    checkpoint = read_checkpoint(found[-1])
    weights = exported_weights(checkpoint)
    known = stage_named(stage)
    if known.network is not None:
        module, _, name = known.network.partition(":")
        reader = vars(import_module(module))[name]()
        reader.load_state_dict({name.removeprefix(known.weights): tensor for name, tensor in weights.items()})
        reader.save_pretrained(str(workspace.result(known)), safe_serialization=True)
        return
    pipeline = pipeline or workspace.load()
    if known.component == "small_decoder" and pipeline.small_decoder is None:
        pipeline.register_modules(small_decoder=untrained_decoder(workspace, pipeline))
    own_config = checkpoint.facts["run"]["config"]
    lora = LoraChoices(**own_config.get("lora", {}))  # runs of earlier versions know of none
    if lora.rank:
        # Changes are those of the weights that training began with, not of what was exported since.
        put_back(workspace, known, pipeline)
    component = pipeline.components[known.component]
    if known.few_steps:
        # The critic that was trained beside it has done its work.
        weights = {name: tensor for name, tensor in weights.items() if name.startswith(known.weights)}
    own = {name.removeprefix(known.weights): tensor for name, tensor in weights.items()}
    if is_lora(own):
        merge_lora(component, own, lora)
        own = {}
    current = component.state_dict()
    unknown = sorted(set(own) - set(current))
    if unknown:
        raise InvalidConfig(f"the checkpoint of {stage} has weights that {known.component} lacks: {unknown[:3]}")
    component.load_state_dict({**current, **{name: tensor.to(current[name].dtype) for name, tensor in own.items()}})
    if known.component == "vae":
        footage = Footage(workspace.footage)
        component.cpu().fit_statistics(sample_images(footage, min(1024, 8 * len(footage)), seed=1))
    before = workspace.made_by
    if known.result == "own":
        component.save_pretrained(str(workspace.result(known)), safe_serialization=True)
    else:
        workspace.save_component(known.component, component)
        workspace.note_made(known)
        if known.is_transformer:
            settings_after(workspace, known, before)
    if known.is_transformer:
        has_warps = (
            own_config.get("use_warp", True) and workspace.latents.is_dir() and LatentStore(workspace.latents).has_poses
        )
        workspace.note_training(known, has_warps)
