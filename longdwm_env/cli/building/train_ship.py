"""``longdwm train ship | ship-scorer | ship-inverse-dynamics``: from a trained workspace into the package."""

from pathlib import Path

from longdwm_env.cli.building.opened_recipe import opened
from longdwm_env.cli.building.train_options import DEFAULTS, Options
from longdwm_env.cli.destination import held


def ship(
    options: Options = DEFAULTS, to: Path | None = None, results: Path = Path("docs/results"), note: str = ""
) -> int:
    """Put the trained pipeline where the package ships it from: bfloat16, at most 40 MB with the readers, a model card.

    Args:
        options: recipe and folder.
        to: folder to write; default: the one behind world="mini".
        results: folder of result tables (JSON) for the card; without any the card says that nothing was measured.
        note: for the card: how the model was made, beyond what the folder has recorded.
    """
    from longdwm_env.models.bundled import MINI
    from longdwm_env.training.shipping.ship import ship as ship_pipeline

    target = to or MINI
    with held(target, "folder", "ship"):
        _, workspace = opened(options)
        size = ship_pipeline(workspace, target, results, note=note)
    print(f"{size / 1e6:.1f} MB written to {target}")
    return 0


def ship_scorer(options: Options = DEFAULTS, to: Path | None = None, samples: int = 40) -> int:
    """Put the trained scorer where the package ships it from: bfloat16, configuration, a card with what was measured.

    Args:
        options: recipe and folder.
        to: folder to write; default: the one that ``models.scorer.bundled_scorer`` reads.
        samples: drives of the simulator's test seeds to measure it on; 0 measures nothing, and the card says so.
    """
    return _shipped("scorer", options, to, samples)


def ship_inverse_dynamics(options: Options = DEFAULTS, to: Path | None = None, samples: int = 40) -> int:
    """Put the trained inverse-dynamics model where the package ships it from, as ``ship-scorer`` does with the scorer.

    Args:
        options: recipe and folder.
        to: folder to write; default: the one that ``models.inverse_dynamics.bundled_inverse_dynamics`` reads.
        samples: drives of the simulator's test seeds to measure it on; 0 measures nothing, and the card says so.
    """
    return _shipped("inverse-dynamics", options, to, samples)


def _shipped(stage: str, options: Options, to: Path | None, samples: int) -> int:
    import tempfile

    from longdwm_env.evaluation.networks import Networks
    from longdwm_env.evaluation.reader_quality import quality_on_test_seeds
    from longdwm_env.models.readers.scorer import DrivingEncoder
    from longdwm_env.training.shipping.ship_reader import READERS, ship_reader, training_facts

    load, bundled, _ = READERS[stage]
    target = to or bundled
    with held(target, "folder", "ship"):
        _, workspace = opened(options)
        source = workspace.scorer if stage == "scorer" else workspace.inverse_dynamics
        facts = training_facts(workspace.stage(stage))
        quality = None
        if samples:
            # What is measured is what is shipped: after rounding to bfloat16.
            with tempfile.TemporaryDirectory() as rounded:
                ship_reader(stage, source, Path(rounded), facts)
                network = load(Path(rounded))
                if isinstance(network, DrivingEncoder):
                    networks = Networks(encoder=network)
                else:
                    networks = Networks(reader=network)
                quality = quality_on_test_seeds(networks, samples).as_markdown()
            print(quality)
        exported = ship_reader(stage, source, target, facts, quality)
    print(f"{stage} {exported} exported to {target}")
    return 0
