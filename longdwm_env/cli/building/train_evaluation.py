"""The last part of a rebuild: the finished pipeline, measured by the paper's protocols."""

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

from longdwm_env.cli.building.opened_recipe import opened
from longdwm_env.cli.building.train_options import DEFAULTS, Options, TrainOptions

if TYPE_CHECKING:
    from longdwm_env.training.data.clip import ClipSource
    from longdwm_env.training.workspace import Workspace

EVALUATION_SAMPLES = {"full": 40, "debug": 2}
"""Drives of the evaluation that ends a rebuild."""


def evaluation(options: Options = DEFAULTS) -> int:
    """Measure the finished pipeline by the paper's short, long, controllable and interpolation protocols.

    On scenes that it was not trained on: the simulator's test seeds, or the validation split of nuScenes. Interrupted,
    it goes on with the protocols that have not been run on these weights and as many drives.
    """
    from longdwm_env.cli.measuring import paper_metrics as metrics
    from longdwm_env.evaluation.provenance import path_hash
    from longdwm_env.io.files import atomic_write_json
    from longdwm_env.training.workspace import device_of

    begun = time.monotonic()
    recipe, workspace = opened(options)
    if options.threads is not None:
        import torch

        torch.set_num_threads(options.threads)
    out, samples = workspace.stage("evaluation"), EVALUATION_SAMPLES[recipe.size]
    device = str(device_of(options.device))
    drives = out / "drives"
    scenes = options.data if recipe.data.kind == "nuscenes" else _test_drives(workspace, drives, samples, options)
    protocol = metrics.ProtocolOptions(
        workspace.pipeline,
        workspace.baseline if workspace.done("ar-baseline") else None,
        scenes=scenes,
        samples=samples,
        out=out,
        device=device,
        dtype="bfloat16" if device == "cuda" and recipe.preset == "cogvideox-2b" else "float32",
    )
    networks = metrics.NetworkOptions(
        workspace.scorer if workspace.done("scorer") else None,
        workspace.inverse_dynamics if workspace.done("inverse-dynamics") else None,
    )
    folders = (protocol.model, protocol.baseline, networks.encoder, networks.reader)
    measured_of = [samples, str(scenes), *(None if folder is None else path_hash(folder) for folder in folders)]
    record = out / "measured.json"
    known = json.loads(record.read_text()) if record.is_file() else {}
    measured = known["protocols"] if known.get("of") == measured_of else []
    for run in (metrics.short, metrics.long, metrics.controllable, metrics.interpolation):
        if run.__name__ in measured:
            continue
        if options.minutes is not None and time.monotonic() - begun > 60 * options.minutes:
            print(f"stopped before {run.__name__}; run the command again to go on")
            return 0
        run(protocol, networks)
        measured = [*measured, run.__name__]
        atomic_write_json(record, {"of": measured_of, "protocols": measured})
    workspace.mark_done("evaluation", {"samples": protocol.samples})
    return 0


def _test_drives(workspace: "Workspace", folder: Path, wanted: int, options: TrainOptions) -> Path:
    """The simulator's test seeds, recorded once for all protocols."""
    import os

    from longdwm_env.evaluation.paper.protocols import DRIVE_FRAMES
    from longdwm_env.training.data.footage import record_enough
    from longdwm_env.training.data.simulator_footage import unseen_clips

    size = workspace.settings.image_size

    def clips(count: int) -> "ClipSource":
        return unseen_clips(count, size, DRIVE_FRAMES)

    record_enough(clips, folder, wanted, DRIVE_FRAMES, options.workers or os.cpu_count() or 1)
    return folder
