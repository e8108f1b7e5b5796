"""The small model that comes with the package. Knows where it lies; imports no PyTorch.

weights/mini/     the pipeline: model_index.json, one folder a component, MODEL_CARD.md; `longdwm train ship` writes it
weights/scorer/   the scorer, see ``models.scorer``
weights/inverse-dynamics/   what reads speed and yaw rate, see ``models.inverse_dynamics``
"""

from pathlib import Path

from longdwm_env.errors import MissingWeights

WEIGHTS = Path(__file__).parent / "weights"
"""Package data: everything that is trained."""

MINI = WEIGHTS / "mini"
"""A folder that ``LongDWMPipeline.save_pretrained`` could have written, and its model card."""

SIZE_LIMIT_BYTES = 40_000_000
"""Of everything under ``WEIGHTS``, so that the wheel stays a download of seconds."""


def has_bundled_pipeline() -> bool:
    """Whether trained weights came with this package."""
    return (MINI / "model_index.json").is_file()


def bundled_pipeline_folder() -> Path:
    """The saved pipeline behind ``world="mini"``.

    Raises:
        MissingWeights: this copy of the package has none; the message says how to build it.
    """
    if not has_bundled_pipeline():
        raise MissingWeights(
            f"world='mini' needs trained weights, and {MINI} holds none. To build them: `longdwm train mini` (hours on "
            "a CPU, resumable), then `longdwm train ship` puts them there. Until then: world='simulator' or 'warp'"
        )
    return MINI
