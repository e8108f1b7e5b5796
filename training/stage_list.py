"""The stages of training, an entry each: commands, recipes, estimates, export, model cards and tests read it here.

A new stage is a function that puts its objective and samples together (see ``training.assembly``) and an entry.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from longdwm_env.errors import InvalidConfig


@dataclass(frozen=True)
class Stage:
    """What is known of a stage before anything is loaded.

    Attributes:
        name: in commands and recipes, and of its folder in a workspace.
        component: of the pipeline, which it trains; or a network of its own ("scorer", "inverse-dynamics").
        assembled_by: ``module:function`` in ``training.assembly``, which gives an ``Assembled``; None of a stage whose
            loop is its own (``training.composition.stage``), configured by ``ComposeConfig``. All others are
            configured by ``StageConfig``.
        learns_from: what has to be made first. Labels are the simulator's ground truth; drives are the stage's own.
        sample: what it learns from at a time: keyframes in "windows" that its configuration lists, those of a "whole"
            drive, the "segment" between two keyframes, or "pictures".
        result: the folder that its result goes to: the pipeline's, or the stage's own.
        network: ``module:class`` of a network that is no part of the pipeline.
        weights: what the names of its weights begin with in the objective.
        few_steps: whether it teaches its component to be drawn in few steps.
        rebuilt: how ``longdwm train mini`` runs it, on a CPU: "alone", "beside" the one after it, in "processes" that
            share its batches; None where it does not.
        debug_steps: optimizer steps of a recipe's debug size.
        debug_learning_rate: of the debug size; less where it goes on from trained weights.
    """

    name: str
    component: str
    assembled_by: str | None
    learns_from: Literal["footage", "labels", "latents", "drives"]
    sample: Literal["pictures", "windows", "whole", "segment"]
    result: Literal["pipeline", "own"] = "pipeline"
    network: str | None = None
    weights: str = "transformer."
    few_steps: bool = False
    rebuilt: Literal["alone", "beside", "processes"] | None = None
    debug_steps: int = 60
    debug_learning_rate: float = 2e-3

    @property
    def is_transformer(self) -> bool:
        """Whether a diffusion transformer is trained, Coarse or Fine, on latents."""
        return self.component in ("coarse", "fine")

    @property
    def is_estimated(self) -> bool:
        """Whether what it needs is said before it starts."""
        return self.is_transformer or self.component == "small_decoder"

    @property
    def is_exported(self) -> bool:
        """Whether its newest weights may be put where others read them while its training goes on."""
        return self.assembled_by is not None and (self.result == "pipeline" or self.network is not None)


_STAGES = (
    Stage(
        "codec",
        "vae",
        "footage_stages:codec",
        learns_from="footage",
        sample="pictures",
        weights="autoencoder.",
        rebuilt="alone",
    ),
    Stage(
        "coarse",
        "coarse",
        "latent_stages:coarse",
        learns_from="latents",
        sample="windows",
        rebuilt="beside",
        debug_steps=80,
    ),
    Stage("fine", "fine", "latent_stages:fine", learns_from="latents", sample="segment", rebuilt="beside"),
    Stage(
        "distill",
        "coarse",
        "latent_stages:distill",
        learns_from="latents",
        sample="whole",
        rebuilt="processes",
        debug_steps=20,
        debug_learning_rate=5e-4,
    ),
    Stage(
        "sharpen",
        "coarse",
        "latent_stages:coarse",
        learns_from="latents",
        sample="windows",
        rebuilt="processes",
        debug_steps=30,
        debug_learning_rate=5e-4,
    ),
    Stage(
        "warp",
        "fine",
        "latent_stages:fine",
        learns_from="latents",
        sample="segment",
        rebuilt="processes",
        debug_steps=30,
    ),
    Stage("compose", "compositor", None, learns_from="drives", sample="pictures", rebuilt="alone"),
    Stage(
        "few-steps-coarse",
        "coarse",
        "few_steps:few_steps",
        learns_from="latents",
        sample="windows",
        few_steps=True,
        debug_steps=40,
        debug_learning_rate=5e-4,
    ),
    Stage(
        "few-steps-fine",
        "fine",
        "few_steps:few_steps",
        learns_from="latents",
        sample="segment",
        few_steps=True,
        debug_steps=40,
        debug_learning_rate=5e-4,
    ),
    Stage(
        "decoder",
        "small_decoder",
        "decoder:decoder",
        learns_from="latents",
        sample="pictures",
        weights="decoder.",
    ),
    Stage(
        "scorer",
        "scorer",
        "footage_stages:scorer",
        learns_from="labels",
        sample="pictures",
        result="own",
        network="longdwm_env.models.readers.scorer:DrivingEncoder",
        weights="encoder.",
        rebuilt="alone",
    ),
    Stage(
        "inverse-dynamics",
        "inverse-dynamics",
        "footage_stages:inverse_dynamics",
        learns_from="labels",
        sample="pictures",
        result="own",
        network="longdwm_env.models.readers.inverse_dynamics:InverseDynamics",
        weights="reader.",
        rebuilt="alone",
        debug_steps=30,
    ),
    Stage("ar-baseline", "fine", "latent_stages:fine", learns_from="latents", sample="segment", result="own"),
)
"""In the order in which a model is made."""

STAGES: Mapping[str, Stage] = {stage.name: stage for stage in _STAGES}


def stage_named(name: str) -> Stage:
    """A stage by its name.

    Raises:
        InvalidConfig: there is none.
    """
    if name not in STAGES:
        raise InvalidConfig(f"there is no stage {name!r}; there are {', '.join(STAGES)}")
    return STAGES[name]
