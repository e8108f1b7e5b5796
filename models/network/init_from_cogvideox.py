"""Starting points for Coarse and Fine from a CogVideoX text-to-video checkpoint (LongDWM, appendix C).

Everything that is new starts at zero or is multiplied by zero, so at step 0 both models say exactly what the original
says about the same noise.
"""

import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import CogVideoXDDIMScheduler
from safetensors.torch import load_file

from longdwm_env.errors import InvalidConfig, MissingWeights
from longdwm_env.io.files import atomic_write_json
from longdwm_env.models.folder import INDEX, check_component, check_finite, weight_files
from longdwm_env.models.network.dit import LongDWMTransformer3DModel
from longdwm_env.models.presets import cogvideox_2b
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.types import JsonObject

_VOCABULARIES = ("spiece.model", "tokenizer.json")
_COPIED = ("vae", "text_encoder", "tokenizer")
_OURS = {"known_frames": True, "warp_views": 1, "motion": True}


def init_from_cogvideox(source: str | Path, out: str | Path, link: bool = False) -> Path:
    """Write a whole ``LongDWMPipeline`` folder whose models start as a CogVideoX checkpoint.

    Args:
        source: folder that ``CogVideoXPipeline.save_pretrained`` wrote (CogVideoX-2B; safetensors).
        out: folder to write; must not exist, or be empty.
        link: hard-link the text encoder, tokenizer and autoencoder instead of copying them (10 GB at full size).

    Returns:
        ``out``.

    Raises:
        MissingWeights: a file of the source is missing.
        InvalidConfig: the source is another kind of model, or ``out`` is in use.
    """
    source, out = Path(source), Path(out)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InvalidConfig(f"{out} is in use; choose a folder that does not exist yet")
    index = _source_index(source)
    transformer = starting_transformer(source / "transformer")
    settings = _settings_for(transformer, source)

    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{out.name}-", dir=out.parent) as scratch:
        folder = Path(scratch) / "pipeline"
        for name in ("coarse", "fine"):
            transformer.save_pretrained(folder / name)
        for name in _COPIED:
            shutil.copytree(source / name, folder / name, copy_function=_hard_link if link else shutil.copy2)
        # Whatever sampler the checkpoint names (some copies: a stochastic one), its noise schedule counts.
        scheduler = CogVideoXDDIMScheduler.from_pretrained(source / "scheduler")
        scheduler.save_pretrained(folder / "scheduler")
        entry = ["longdwm_env.models.network.dit", "LongDWMTransformer3DModel"]
        ours = {"coarse": entry, "fine": entry, "scheduler": ["diffusers", "CogVideoXDDIMScheduler"]}
        kept = {name: index[name] for name in _COPIED}
        head = {"_class_name": "LongDWMPipeline", "_diffusers_version": index.get("_diffusers_version", "0.30.0")}
        atomic_write_json(folder / INDEX, {**head, **kept, **ours, "settings": settings.to_json()})
        if out.exists():
            out.rmdir()
        folder.rename(out)
    return out


def starting_transformer(folder: Path) -> LongDWMTransformer3DModel:
    """CogVideoX's transformer with known frames, one warp and ego motion added, its weights in their stored type.

    Args:
        folder: a diffusers folder of ``CogVideoXTransformer3DModel``.

    Raises:
        MissingWeights: a file is missing, or a weight of CogVideoX is.
        InvalidConfig: its configuration is not CogVideoX-2B's kind.
    """
    configuration = folder / "config.json"
    if not configuration.is_file():
        raise MissingWeights(f"{configuration} is missing; expected CogVideoX's transformer in diffusers' form")
    values: JsonObject = json.loads(configuration.read_text(encoding="utf-8"))
    if values.get("_class_name") != "CogVideoXTransformer3DModel":
        raise InvalidConfig(f"{configuration} describes a {values.get('_class_name')!r}, not CogVideoX's transformer")
    given = {key: value for key, value in values.items() if not key.startswith("_")}
    files = weight_files(folder)
    if not files:
        raise MissingWeights(f"{folder} has no safetensors weights")
    weights: dict[str, torch.Tensor] = {}
    for file in files:
        weights |= load_file(file)
    check_finite(weights.items(), folder)
    try:
        model = LongDWMTransformer3DModel(**given, **_OURS)
    except (TypeError, ValueError) as error:
        raise InvalidConfig(f"{configuration}: {error}") from error
    new = {key: value for key, value in model.state_dict().items() if key.startswith(_NEW)}
    dtype = next(iter(weights.values())).dtype
    try:
        model.load_state_dict({**new, **weights}, strict=True)
    except RuntimeError as error:
        raise MissingWeights(f"{folder} does not fit its configuration: {error}") from error
    # diffusers' own `to` warns of an empty list of modules that should stay in float32.
    return torch.nn.Module.to(model, dtype)


_NEW = ("known_embed.", "warp_embed.", "warp_projections.", "motion_embed.")


def _source_index(source: Path) -> JsonObject:
    if not (source / INDEX).is_file():
        raise MissingWeights(f"{source / INDEX} is missing; expected a folder that CogVideoXPipeline wrote")
    index: JsonObject = json.loads((source / INDEX).read_text(encoding="utf-8"))
    kind = index.get("_class_name")
    if kind != "CogVideoXPipeline":
        own = (
            " It is a LongDWM pipeline already: give it to training as --initial." if kind == "LongDWMPipeline" else ""
        )
        raise InvalidConfig(
            f"{source / INDEX} describes a {kind!r}, not a 'CogVideoXPipeline': Coarse and Fine start from the "
            f"text-to-video checkpoint CogVideoX-2b.{own}"
        )
    missing = [name for name in (*_COPIED, "transformer", "scheduler") if not (source / name).is_dir()]
    if missing:
        raise MissingWeights(f"{source} lacks {', '.join(missing)}; expected a whole CogVideoX pipeline")
    for name in ("transformer", "vae", "text_encoder"):
        if not weight_files(source / name):
            raise MissingWeights(f"{source / name} has no safetensors weights, and pickled ones are never loaded")
        # Headers of all files, before any of their ten gigabytes are copied.
        check_component(source / name, name, str(index[name][1]))
    if not any((source / "tokenizer" / name).is_file() for name in _VOCABULARIES):
        raise MissingWeights(
            f"{source / 'tokenizer'} has no vocabulary ({' or '.join(_VOCABULARIES)}); the download is not whole"
        )
    return index


def _settings_for(transformer: LongDWMTransformer3DModel, source: Path) -> LongDWMSettings:
    """The preset's settings, at the picture size that the transformer's positions were made for."""
    codec = json.loads((source / "vae" / "config.json").read_text(encoding="utf-8"))
    factor = 2 ** (len(codec["block_out_channels"]) - 1)
    config = transformer.config
    size = (config.sample_height * factor, config.sample_width * factor)
    return replace(cogvideox_2b().settings, image_size=size)


def _hard_link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)
