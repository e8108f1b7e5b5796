"""The folder of a model in the making: footage, latents, one folder per stage, and the pipeline that grows out of them.

footage/            recorded clips
latents/            encoded clips
codec/ coarse/ ...  each stage's checkpoints, log, samples
pipeline/           the pipeline so far; each stage puts its component there
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from longdwm_env.errors import InvalidConfig, UnknownWorld
from longdwm_env.io.files import atomic_write_json, content_hash, one_writer
from longdwm_env.models.conditioning.text import PromptTokenizer
from longdwm_env.models.folder import INDEX, check_pipeline_folder
from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.presets import PRESETS, build
from longdwm_env.models.saved_pipelines import saved_pipeline
from longdwm_env.models.settings import LongDWMSettings
from longdwm_env.training.config import Recipe, as_json
from longdwm_env.training.stage_list import STAGES, Stage

CODECS = {"cogvideox-2b": "AutoencoderKLCogVideoX", "debug-cogvideox": "AutoencoderKLCogVideoX"}
"""Autoencoders of presets; all others have mini's."""

TRAINED_WITH = "trained_with_warp.json"
"""Beside a pipeline's components: which were trained with warps."""

MADE_BY = "made_by.json"
"""Beside a pipeline's components: which stage trained the weights that each has now."""


@dataclass(frozen=True)
class Workspace:
    """Paths of one model in the making.

    Attributes:
        shared_latents: encoded clips that several workspaces train on, in place of its own.
    """

    root: Path
    shared_latents: Path | None = None

    @property
    def footage(self) -> Path:
        """Recorded clips."""
        return self.root / "footage"

    @property
    def latents(self) -> Path:
        """Encoded clips."""
        return self.shared_latents or self.root / "latents"

    @property
    def pipeline(self) -> Path:
        """The pipeline so far."""
        return self.root / "pipeline"

    @property
    def scorer(self) -> Path:
        """The trained video encoder of metrics and scoring."""
        return self.result(STAGES["scorer"])

    @property
    def inverse_dynamics(self) -> Path:
        """The trained reader of motion."""
        return self.result(STAGES["inverse-dynamics"])

    @property
    def baseline(self) -> Path:
        """The trained autoregressive baseline's transformer."""
        return self.result(STAGES["ar-baseline"])

    def result(self, stage: Stage) -> Path:
        """The folder that a stage's result goes to."""
        return self.pipeline if stage.result == "pipeline" else self.stage(stage.name) / "model"

    def stage(self, name: str) -> Path:
        """A stage's own folder."""
        return self.root / name

    def prepare(self, recipe: Recipe, initial: Path | None = None, seed: int = 0) -> None:
        """Create the folder with an untrained pipeline, unless it is there already.

        Raises:
            InvalidConfig: the folder is of another recipe.
        """
        with one_writer(self.root, wait=True, lock=".prepare.lock"):
            self._prepare(recipe, initial, seed)

    def _prepare(self, recipe: Recipe, initial: Path | None, seed: int) -> None:
        about = {"recipe": recipe.name, "size": recipe.size, "preset": recipe.preset}
        path = self.root / "workspace.json"
        if path.is_file():
            found = json.loads(path.read_text())
            begun_with = found.pop("initial", None)
            if found != about:
                raise InvalidConfig(f"{self.root} belongs to {found}, not to {about}; name another folder")
            if initial is not None and begun_with not in (None, _hash(initial)):
                raise InvalidConfig(f"{self.root} was begun with another pipeline than {initial}; name another folder")
            about |= {"initial": begun_with} if begun_with is not None else {}
        if not (self.pipeline / "model_index.json").is_file():
            if initial is not None:
                _check_initial(initial, recipe)
                made = saved_pipeline(initial)
                about["initial"] = _hash(initial)
            elif recipe.preset == "cogvideox-2b":
                raise InvalidConfig(
                    "cogvideox-2b starts from CogVideoX-2B, not from random weights: make a pipeline of it with "
                    "`longdwm train init` and give its folder as --initial"
                )
            else:
                made = build(PRESETS[recipe.preset](), seed)
            if made.tokenizer is None:
                # The small stand-in for T5 has no vocabulary of its own; the mini's tokenizer needs none.
                buckets = int(made.text_encoder.config.vocab_size) - PromptTokenizer.num_special_words
                made.register_modules(tokenizer=PromptTokenizer(buckets))
            made.save_pretrained(str(self.pipeline), safe_serialization=True)
        if not path.is_file() or json.loads(path.read_text()) != about:
            atomic_write_json(path, about)

    @property
    def settings(self) -> LongDWMSettings:
        """Of the pipeline so far, without its weights."""
        index = json.loads((self.pipeline / INDEX).read_text(encoding="utf-8"))
        return LongDWMSettings.from_json(index["settings"])

    def load(self, **components: object) -> LongDWMPipeline:
        """The pipeline so far.

        Raises:
            InvalidConfig: there is none.
        """
        if not (self.pipeline / "model_index.json").is_file():
            raise InvalidConfig(f"{self.root} is no folder of a model in the making: it holds no pipeline")
        return LongDWMPipeline.from_pretrained(str(self.pipeline), **components)

    def save_component(self, name: str, module: nn.Module) -> None:
        """Put a trained component into the pipeline's folder.

        The files are written beside it and renamed, so a pipeline loaded meanwhile sees the old component or the new.
        One that the pipeline did not have is named in its index, last.
        """
        target = self.pipeline / name
        fresh = self.pipeline / f".{name}-new"
        module.save_pretrained(str(fresh), safe_serialization=True)  # type: ignore[operator]
        target.mkdir(exist_ok=True)
        for file in sorted(fresh.iterdir()):
            file.replace(target / file.name)
        fresh.rmdir()
        path = self.pipeline / "model_index.json"
        index = json.loads(path.read_text())
        if index.get(name, [None])[-1] is None:
            atomic_write_json(path, {**index, name: [type(module).__module__, type(module).__name__]})

    def note_training(self, stage: Stage, use_warp: bool) -> None:
        """Remember beside what a stage trained whether that was with warps, for what measures it."""
        folder = self.result(stage)
        trained = stage.component if stage.result == "pipeline" else stage.name
        self._note(folder / TRAINED_WITH, trained, use_warp)

    @property
    def made_by(self) -> dict[str, str]:
        """Which stage trained the pipeline's components as they are now, as far as that was noted."""
        return {name: str(stage) for name, stage in _noted(self.pipeline / MADE_BY).items()}

    def note_made(self, stage: Stage) -> None:
        """Remember that the pipeline's component is now what a stage trained."""
        self._note(self.pipeline / MADE_BY, stage.component, stage.name)

    def _note(self, path: Path, name: str, value: object) -> None:
        # Stages that train side by side may end in the same moment.
        with one_writer(self.root, wait=True, lock=".notes.lock"):
            atomic_write_json(path, {**_noted(path), name: value})

    def done(self, stage: str) -> bool:
        """Whether a stage has run to its end."""
        return (self.stage(stage) / "done.json").is_file()

    def mark_done(self, stage: str, facts: Mapping[str, object]) -> None:
        """Remember that a stage has run to its end."""
        atomic_write_json(self.stage(stage) / "done.json", as_json(facts))


def trained_with_warp(folder: Path) -> dict[str, bool]:
    """Which models of a pipeline's or baseline's folder were trained with warps, as far as that was noted."""
    return {name: bool(with_warp) for name, with_warp in _noted(folder / TRAINED_WITH).items()}


def _noted(path: Path) -> dict[str, object]:
    """A note beside components, by their names; nothing where there is none."""
    if not path.is_file():
        return {}
    try:
        return {str(name): value for name, value in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise InvalidConfig(f"{path} is damaged ({error}); it says how the models beside it were trained") from error


def _check_initial(folder: Path, recipe: Recipe) -> None:
    """Reject a folder that is no whole pipeline, or one of another kind than the recipe trains."""
    try:
        check_pipeline_folder(folder)
    except UnknownWorld as error:
        raise InvalidConfig(f"--initial: {error}") from error
    index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
    codec, wanted = index["vae"][1], CODECS.get(recipe.preset, "MiniAutoencoder")
    if codec != wanted:
        raise InvalidConfig(
            f"--initial: {folder} has the autoencoder {codec}, and the recipe {recipe.name} trains models of {wanted}; "
            "give a pipeline of that kind, or take another recipe"
        )


def _hash(pipeline: Path) -> str:
    if not pipeline.is_dir():
        raise InvalidConfig(f"{pipeline} is no folder of a saved pipeline")
    return content_hash(pipeline)


def device_of(name: str | None) -> torch.device:
    """The device to train on: the one named, else an accelerator if there is one."""
    if name is not None:
        return torch.device(name)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
