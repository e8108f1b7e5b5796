"""The model card: what a trained pipeline is, read from the workspace it was made in. What is not known is not said."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from longdwm_env.models.pipeline import LongDWMPipeline
from longdwm_env.models.presets import parameter_counts
from longdwm_env.training.data.encoded.latents import weights_hash
from longdwm_env.training.rebuild import hours
from longdwm_env.training.stage_list import STAGES
from longdwm_env.training.workspace import Workspace
from longdwm_env.types import JsonObject

CARD = "MODEL_CARD.md"
NOT_MEASURED = "Not measured."


@dataclass(frozen=True)
class StageFacts:
    """How one stage went.

    Attributes:
        steps: made so far; None if that is not recorded.
        batch_size: samples of a step; None if that is not recorded.
        hours: of training, added up from the speed that was logged along the way; None without a log.
        finished: whether it ran to its end.
    """

    name: str
    steps: int | None
    batch_size: int | None
    hours: float | None
    finished: bool

    @classmethod
    def of(cls, workspace: Workspace, stage: str) -> "StageFacts | None":
        """From a stage's folder; None if it has not run."""
        folder = workspace.stage(stage)
        run, done = _json(folder / "run.json"), _json(folder / "done.json")
        lines = _lines(folder / "losses.jsonl")
        if not run and not done and not lines:
            return None
        batch = run.get("config", {}).get("loop", {}).get("batch_size")
        steps = done.get("steps", lines[-1]["step"] if lines else None)
        return cls(stage, steps, batch, _hours(lines, batch), bool(done))


@dataclass(frozen=True)
class ModelFacts:
    """What the workspace knows of its pipeline.

    Attributes:
        weights: hash of the weights as given.
        image_size: (height, width).
        steps: denoising steps, (Coarse, Fine).
        footage: what the footage was made from.
        simulated: whether it is the simulator's and nothing else.
        clips: how many clips the models were trained on; None if that cannot be read.
        clip_frames: frames of a clip; None if that is not recorded.
        rebuild: hours that ``train mini`` noted of its parts, and its machines; None if it noted none.
    """

    recipe: str
    parameters: dict[str, int]
    weights: str
    image_size: tuple[int, int]
    steps: tuple[int, int]
    footage: JsonObject
    simulated: bool
    clips: int | None
    clip_frames: int | None
    stages: tuple[StageFacts, ...]
    rebuild: str | None = None

    @classmethod
    def of(cls, workspace: Workspace, pipeline: LongDWMPipeline) -> "ModelFacts":
        """From a workspace and its loaded pipeline."""
        about = _json(workspace.root / "workspace.json")
        made_from = _footage(workspace)
        settings = pipeline.settings
        trained = (pipeline.vae, pipeline.text_encoder, pipeline.coarse, pipeline.fine)
        return cls(
            recipe=f"{about.get('recipe', 'unknown')} ({about.get('size', 'unknown')})",
            parameters=parameter_counts(pipeline),
            weights=weights_hash(*trained),
            image_size=settings.image_size,
            steps=(settings.coarse_steps, settings.fine_steps),
            footage=made_from,
            simulated=is_simulated(workspace),
            clips=_clips(workspace.latents),
            clip_frames=made_from.get("frames"),
            stages=tuple(
                facts for facts in (StageFacts.of(workspace, stage) for stage in _made_by()) if facts is not None
            ),
            rebuild=hours(workspace),
        )


def _made_by() -> list[str]:
    """Stages that a pipeline is made by, in their order, as far as they keep a log of the common kind."""
    made = (stage for stage in STAGES.values() if stage.rebuilt is not None and stage.assembled_by is not None)
    return [stage.name for stage in made if stage.result == "pipeline"]


def is_simulated(workspace: Workspace) -> bool:
    """Whether a workspace's footage is the simulator's and nothing else."""
    return _footage(workspace).get("source") == "simulator"


def results_in(folder: Path | None) -> list[JsonObject]:
    """Tables of results (``evaluation.report.Table`` as JSON) of a folder, in the order of their files' names."""
    if folder is None or not folder.is_dir():
        return []
    found = [_json(path) for path in sorted(folder.glob("*.json"))]
    return [table for table in found if isinstance(table.get("rows"), list) and "title" in table]


def model_card(facts: ModelFacts, weights_bytes: int, results: Sequence[JsonObject], note: str = "") -> str:
    """The card, in markdown.

    Args:
        facts: of the pipeline.
        weights_bytes: of the weights as shipped.
        results: tables to print; none leaves a line that says so.
        note: what is not recorded in the workspace and belongs to how the model was made.
    """
    height, width = facts.image_size
    total = sum(facts.parameters.values())
    counts = ", ".join(f"{name} {count:,}" for name, count in facts.parameters.items())
    parts = [
        _ABOUT.format(width=width, height=height, coarse=facts.steps[0], fine=facts.steps[1]),
        "## What it was trained on\n",
        _SIMULATED if facts.simulated else f"Footage: {facts.footage.get('source', 'not recorded')}.\n",
        *(f"- {line}" for line in _footage_lines(facts)),
        "\n## How it was made\n",
        f"- Recipe: {facts.recipe}.",
        f"- Parameters: {total:,} ({counts}), in bfloat16, {weights_bytes / 1e6:.1f} MB.",
        f"- Hash of the weights, rounded to bfloat16 and loaded as float32: {facts.weights}.",
        "- Rebuild: `longdwm train mini`, then `longdwm train ship`.",
        "",
        "| stage | steps | samples a step | hours of training | |",
        "|---|---|---|---|---|",
        *(_stage_row(stage) for stage in facts.stages),
        "",
        "Hours are added up from the speed logged in training; two stages may have run side by side.",
        *([f"\nNoted by `longdwm train mini`, waiting included: {facts.rebuild}."] if facts.rebuild else []),
        *(["", note] if note else []),
        "\n## How good it is\n",
        *(_result(table) for table in results),
        *([] if results else [NOT_MEASURED]),
        _LIMITS if facts.simulated else "",
    ]
    return "\n".join(parts).rstrip() + "\n"


_ABOUT = """\
# longdwm-mini

A small driving world model: it answers a planned trajectory with the video that follows, {width} x {height} pixels, 12
frames a second. `gym.make("LongDWM-v0", world="mini")` drives it; so does any code that loads the folder as a
`longdwm_env.models.pipeline.LongDWMPipeline`.

A Coarse model makes the next keyframe, one second ahead, from the last few and from warps of the present one; a Fine
model fills the eleven frames between; a small 2-D codec draws them. Denoising steps: Coarse {coarse}, Fine {fine}. The
method is LongDWM's (Wang, Wu, Peng, arXiv 2506.01546), with models a hundred times smaller and on other data. It
reproduces the method, not its published results. Weights are safetensors; nothing here is a pickle.
"""

_SIMULATED = """\
Footage of this repository's reference simulator and nothing else: no real video, no photograph. Scene seeds of
1,000,000 and above are kept for testing.
"""

_LIMITS = """
## Limits

- It has never seen a real street. A photograph as a start is outside of what it was trained on.
- Where a scene has a map, it is given what is painted on the road (docs/decisions/road-layout.md), and draws roads,
  lanes and crossings from that. Without a map, as from a photograph, it loses the lanes after a few seconds.
- Without a map, as from a photograph, houses and trees blur within seconds, and road users, which nothing marks, fade.
- Other road users react to the camera's car where a scene has lanes and marks them; in built-in scenes new ones come
  (docs/decisions/reactive-traffic.md); recorded ones follow their log first, and no others come there.
- It knows the simulator's roads, vehicles, weather and light, and no others; there are no pedestrians or bicycles.
- Of a prompt it understands weather (clear, rainy, foggy) and time of day (daytime, dusk, nighttime), in the words of
  docs/environment.md. It has also seen captions of road and objects, but a prompt builds no road and places no car.
- What else is behind the pixels is unknown: what is in them beside the marked road users is judged by a learned
  scorer, or not at all.
- It was made for research on world models. No safety decision may rest on it.
"""


def _footage_lines(facts: ModelFacts) -> list[str]:
    lines = []
    if facts.clips is not None and facts.clip_frames is not None:
        seconds = facts.clips * (facts.clip_frames - 1) / 12
        lines.append(f"{facts.clips:,} clips of up to {facts.clip_frames} frames, at most {seconds / 3600:.1f} hours")
    elif facts.clips is not None:
        lines.append(f"{facts.clips:,} clips")
    if "simulator" in facts.footage:
        lines.append(f"hash of the simulator's code: {facts.footage['simulator']}")
    lines += [f"{key}: {json.dumps(facts.footage[key])}" for key in ("first_seed", "mix") if key in facts.footage]
    return lines


def _stage_row(stage: StageFacts) -> str:
    hours = "not recorded" if stage.hours is None else f"{stage.hours:.2f}"
    cells = [stage.name, _known(stage.steps), _known(stage.batch_size), hours]
    return "| " + " | ".join([*cells, "finished" if stage.finished else "stopped before its end"]) + " |"


def _known(value: int | None) -> str:
    return "not recorded" if value is None else f"{value:,}"


def _result(table: JsonObject) -> str:
    rows = [row for row in table["rows"] if row.get("from", "here") == "here"]
    columns = [name for name in rows[0] if name != "from"] if rows else []
    lines = [f"### {table['title']}", ""]
    if columns:
        lines += ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
        lines += ["| " + " | ".join(_cell(row.get(name)) for name in columns) + " |" for row in rows]
    facts = {"samples": table.get("samples"), **table.get("facts", {})}
    lines += ["", *(f"- {key}: {value}" for key, value in facts.items() if value is not None)]
    lines += [f"- {note}" for note in table.get("notes", [])]
    return "\n".join([*lines, ""])


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, dict):
        low, high = value.get("low"), value.get("high")
        interval = "" if low is None or high is None else f" ({low:.4g} to {high:.4g})"
        return _cell(value.get("value")) + interval
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _hours(lines: Sequence[JsonObject], batch_size: int | None) -> float | None:
    """Hours of training from logged samples per second; steps that were made twice after a kill count once."""
    if not lines or batch_size is None:
        return None
    seconds, before = 0.0, 0
    for line in lines:
        step, speed = line.get("step"), line.get("samples_per_s")
        if step is None or not speed:
            return None
        seconds += max(0, step - before) * batch_size / speed
        before = max(before, step)
    return seconds / 3600


def _clips(latents: Path) -> int | None:
    """Clips in a folder of latents, from its shards' headers alone."""
    from longdwm_env.training.data.encoded.latents import LatentStore

    return len(LatentStore(latents)) if any(latents.glob("shard-*.safetensors")) else None


def _footage(workspace: Workspace) -> JsonObject:
    made_from = _json(workspace.footage / "manifest.json").get("made_from")
    return made_from if isinstance(made_from, dict) else {}


def _json(path: Path) -> JsonObject:
    value = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return value if isinstance(value, dict) else {}


def _lines(path: Path) -> list[JsonObject]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
