"""``longdwm train study``: train small models side by side and say which of the paper's claims they bear out."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from longdwm_env.cli.extras import need

if TYPE_CHECKING:
    from longdwm_env.evaluation.studies.budget import Budget
    from longdwm_env.evaluation.studies.study_folder import StudyFolder

StudyName = Literal["long", "ablation", "distillation-steps", "warp", "sweep", "interpolation", "warp-alone"]


def train_study(
    source: Annotated[Path, tyro.conf.arg(name="from")],
    out: Path = Path("runs/study"),
    minutes_per_variant: float = 20.0,
    seeds: int = 3,
    only: tuple[StudyName, ...] = (),
    scenes: int = 60,
    clips: int = 0,
    jobs: int = 0,
    minutes: float | None = None,
    results: Path | None = None,
    device: Literal["cpu", "cuda"] | None = None,
    plan: bool = False,
    steps: int = 0,
) -> int:
    """Compare variants of the method: same data, same parameters, same training time, several seeds.

    Prints what it will do and how long that will take, does it, and writes a table, a plot and verdicts for each
    question. Run it again to go on, or with more seeds to be surer.

    Args:
        source: folder of ``longdwm train mini`` (or any workspace with a trained codec, footage and latents). It is
            read only.
        out: folder of the study; everything is resumed from there.
        minutes_per_variant: processor minutes that the models of a system are trained for: half for the Coarse and half
            for the Fine model, all for an autoregressive model of the size of both.
        seeds: trainings of each model.
        only: which questions; default: all.
        scenes: test drives, of the simulator's test seeds.
        clips: of the source's footage to train on; 0 for all.
        jobs: models trained or measured at a time, each on one core; 0 for as many as there are cores.
        minutes: stop after about this long; run again to go on.
        results: folder of tables and plots; default: results in the study's folder.
        device: "cpu" keeps off an accelerator that is there.
        plan: print the plan and its time, and stop.
        steps: to try everything out: this many optimizer steps of each model in place of minutes.
    """
    import os

    from longdwm_env.io.files import check_output_folder, one_writer

    target = results or out / "results"
    for destination in (out, target):
        check_output_folder(destination)
    need("train study", "train", "accelerate")
    from longdwm_env.evaluation.studies.budget import planned
    from longdwm_env.evaluation.studies.parts import measured_costs
    from longdwm_env.evaluation.studies.questions import STUDIES, chosen_studies
    from longdwm_env.evaluation.studies.schedule import Plan, run
    from longdwm_env.evaluation.studies.study_folder import StudyFolder, StudyOptions
    from longdwm_env.evaluation.studies.study_report import Results, write_report
    from longdwm_env.training.workspace import Workspace

    chosen = chosen_studies(only)
    with one_writer(out):
        folder = StudyFolder(out)
        folder.begin(Workspace(source), StudyOptions(minutes_per_variant, clips, scenes, steps=steps))
        budget = planned(folder, lambda scratch: measured_costs(folder, scratch, device))
        wanted = Plan.of(chosen, seeds)
        at_a_time = jobs or os.cpu_count() or 1
        print(wanted.left(folder).report(folder, budget, at_a_time), flush=True)
        if plan:
            return 0
        is_done = run(folder, wanted, budget, at_a_time, device, minutes)
        # All that has been measured, whatever was asked for this time: the index of verdicts is one.
        for path in write_report(Results(folder, seeds), list(STUDIES.values()), target, _facts(folder, budget, seeds)):
            print(f"  {path}")
    if not is_done:
        print("stopped before everything was done; run the command again to go on")
    return 0 if is_done else 3


def _facts(folder: "StudyFolder", budget: "Budget", seeds: int) -> dict[str, object]:
    """What the figures rest on."""
    from longdwm_env.evaluation.studies.budget import larger, study_model
    from longdwm_env.evaluation.studies.measuring import open_networks
    from longdwm_env.evaluation.studies.parts import processor_minutes
    from longdwm_env.training.data.encoded.latents import LatentStore
    from longdwm_env.training.estimate import parameter_count

    config, options, made = study_model(folder), folder.options, folder.facts
    counts = [parameter_count(model) for model in (config.coarse, config.fine, larger(config))]
    spent = ", ".join(f"{name} {minutes:.1f}" for name, minutes in processor_minutes(folder, seeds).items())
    return {
        "command": f"longdwm train study --from RUN --minutes-per-variant {options.minutes:g} --seeds {seeds} "
        f"--scenes {options.scenes}"
        + "".join(
            f" --{name} {value}" for name, value in (("clips", options.clips), ("steps", options.steps)) if value
        ),
        "parameters": "Coarse {:,}, Fine {:,}, autoregressive {:,}".format(*counts),
        "trained on": f"{len(LatentStore(folder.latents('sweep')))} clips, seeds of training 0 to {seeds - 1}",
        "steps": ", ".join(f"{kind} {count}" for kind, count in budget.steps.items()),
        "processor minutes, mean over seeds": spent or "none",
        "codec": made["codec"],
        "mini, where it is shown": made["model"],
        **open_networks(folder).facts(),
        "test seeds": f"from {options.first_seed}",
    }
