"""What a pipeline on the hub says of itself, and the file by which diffusers alone can open it."""

from pathlib import Path

import torch
from diffusers import DiffusionPipeline
from huggingface_hub import ModelCard, ModelCardData

from longdwm_env.models.settings import LongDWMSettings

CARD = "README.md"
"""What the hub shows."""

OWN_CARD = "MODEL_CARD.md"
"""What ``longdwm train ship`` writes beside weights: how they were made and what was measured of them."""

OPENER = "pipeline.py"
"""What ``DiffusionPipeline.from_pretrained(..., custom_pipeline="pipeline", trust_remote_code=True)`` runs."""

OPENER_TEXT = '''"""The class of this pipeline, for diffusers: it comes with the package longdwm."""

from longdwm_env.models.pipeline import LongDWMPipeline  # noqa: F401
'''

TAGS = ["longdwm", "world-model", "autonomous-driving", "gymnasium"]

PIPELINE_USE = """\
import gymnasium as gym
import longdwm_env

env = gym.make("LongDWM-v0", world="mini")             # or the path or hub id of this folder
"""

_UNWRITTEN = "[More Information Needed]"


def is_unwritten(card: Path) -> bool:
    """Whether a card is missing, or still the form that diffusers fills in for a new repository."""
    return not card.is_file() or _UNWRITTEN in card.read_text(encoding="utf-8")


def weights_readme(card: str, use: str, library: str, task: str) -> str:
    """What a hub shows of weights that ship: what they are and how they are used, from the card beside them.

    Args:
        card: text of ``OWN_CARD``; its title and first paragraph are taken.
        use: Python code.
        library: that loads them, as hubs name it.
        task: what they do, as hubs name it.
    """
    title, about, *_ = card.split("\n\n")
    data = ModelCardData(license="apache-2.0", library_name=library, pipeline_tag=task, tags=TAGS)
    return (
        f"---\n{data.to_yaml()}\n---\n\n{title}\n\n{about.strip()}\n\n```python\n{use.strip()}\n```\n\n"
        f"How it was made, what was measured of it and what it cannot do: [{OWN_CARD}]({OWN_CARD}).\n"
    )


def hub_card(pipeline: DiffusionPipeline, settings: LongDWMSettings, repo_id: str) -> ModelCard:
    """The card of a pipeline: how to use it and its size; and the card that lay beside its weights, where one did."""
    height, width = settings.image_size
    sizes = {
        name: sum(weight.numel() for weight in part.parameters())
        for name, part in pipeline.components.items()
        if isinstance(part, torch.nn.Module)
    }
    parameters = ", ".join(f"{name} {count:,}" for name, count in sizes.items())
    own = Path(str(pipeline.config.get("_name_or_path") or "")) / OWN_CARD
    about = own.read_text(encoding="utf-8") if own.is_file() else "# A LongDWM pipeline\n\nA driving world model.\n"
    data = ModelCardData(
        library_name="diffusers",
        pipeline_tag="image-to-video",
        tags=TAGS,
    )
    return ModelCard(
        f"---\n{data.to_yaml()}\n---\n\n{about.rstrip()}\n\n"
        "## Use\n\n"
        "With `pip install longdwm`, as a Gymnasium environment:\n\n"
        "```python\n"
        "import gymnasium as gym\n"
        "import longdwm_env\n\n"
        f'env = gym.make("LongDWM-v0", world="{repo_id}")\n'
        "```\n\n"
        "and as a diffusers pipeline:\n\n"
        "```python\n"
        "from longdwm_env.models.pipeline import LongDWMPipeline\n\n"
        f'pipeline = LongDWMPipeline.from_pretrained("{repo_id}")\n'
        "```\n\n"
        f"Pictures of {width} x {height} pixels, 12 a second; {sum(sizes.values()):,} parameters ({parameters}); "
        f"denoising steps: Coarse {settings.coarse_steps}, Fine {settings.fine_steps}.\n"
    )
