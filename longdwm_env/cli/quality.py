"""``longdwm metrics truth | obey | last | detail | cars | identity | text``: how good a world is."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import tyro

from longdwm_env.cli.tables import command_line, written
from longdwm_env.errors import InvalidConfig

if TYPE_CHECKING:
    from longdwm_env.evaluation.drives.drive_set import DriveSet, Plan
    from longdwm_env.evaluation.drives.measured_worlds import MeasuredWorlds
    from longdwm_env.figures import SheetRow
    from longdwm_env.models.inverse_dynamics import InverseDynamics
    from longdwm_env.models.scorer import DrivingEncoder
    from longdwm_env.world import WorldModel

ActionMode = Literal["trajectory", "control", "command", "goal"]
"""Those of ``actions``, whose import would delay every ``--help``."""

FIRST_TEST_SEED = 1_000_000

WITHOUT_SCORER = "left out: there is no trained scorer here (--encoder)"


@dataclass(frozen=True)
class WorldOptions:
    """What is measured, and where results go.

    Attributes:
        world: mini, warp, simulator, or a saved pipeline.
        against: other worlds beside it.
        first_seed: of the built-in scenes; those from 1000000 on are kept for testing.
        encoder: folder of a trained scorer; default: the one that comes with the package.
        reader: folder of a trained inverse-dynamics model, likewise.
        device: where a learned world runs.
        out: folder of the tables and pictures.
        drives: folder of the drives; those that are there are not driven again. Delete it after a change of the code.
    """

    world: str = "mini"
    against: tuple[str, ...] = ("warp",)
    first_seed: int = FIRST_TEST_SEED
    encoder: Path | None = None
    reader: Path | None = None
    device: str | None = None
    out: Path = Path("outputs/quality")
    drives: Path = Path("outputs/quality/drives")


WorldFlag = Annotated[WorldOptions, tyro.conf.arg(name="")]


def truth(options: WorldFlag = WorldOptions(), scenes: int = 200, sheets: int = 6) -> int:
    """The same scenes and actions in the simulator and in worlds: PSNR, SSIM and FDS at 1, 2 and 4 s.

    Args:
        options: what is measured.
        scenes: how many.
        sheets: scenes that are shown on contact sheets.
    """
    from longdwm_env.evaluation.drives.plans import LogPlan
    from longdwm_env.evaluation.sheets import sheet_rows, spread
    from longdwm_env.evaluation.worlds.truth import TruthScores

    scorer = _scorer(options, needed=False)
    names, drives = _worlds(options).names, _opened(LogPlan(seconds=4), options)
    seeds = drives.seeds(scenes)
    scores = TruthScores(scorer)
    shown = spread(seeds, sheets)
    sheet: list[SheetRow] = []
    for seed in _progress(seeds, "the same again"):
        real = drives.truth(seed)
        assert real is not None
        made = {world: drives.again(world, seed) for world in names}
        scores.add(seed, real.kind, real.frames, {world: drive.frames for world, drive in made.items()})
        if seed in shown:
            sheet += sheet_rows({"truth": real, **made}, (0, 0.5, 1, 2, 4))
    facts = _facts(options, drives, seeds)
    notes = (f"FDS is {WITHOUT_SCORER}.",) if scorer is None else ()
    table = scores.table(names[0], names[1:], facts, notes)
    _show(sheet, options.out, "truth", (1 + len(names)) * 3)
    scores.scenes_table().write(options.out)
    return written(table, options.out)


def obey(
    options: WorldFlag = WorldOptions(),
    scenes: int = 200,
    modes: tuple[ActionMode, ...] = get_args(ActionMode),
    sheets: int = 1,
) -> int:
    """Speed and yaw rate that the inverse-dynamics model reads from 4 s of pictures, against what was commanded.

    Args:
        options: what is measured.
        scenes: how many for each action mode.
        modes: action modes.
        sheets: scenes of each mode that are shown on contact sheets.
    """
    from longdwm_env.evaluation.drives.plans import VariedPlan
    from longdwm_env.evaluation.sheets import sheet_rows, spread
    from longdwm_env.evaluation.worlds.controllability import Obedience

    reader, read_by = _reader(options)
    obedience, names = Obedience(reader), _worlds(options).names
    sheet: list[SheetRow] = []
    facts: dict[str, Any] = {}
    for number, mode in enumerate(modes):
        drives = _opened(VariedPlan(mode), options)
        seeds = drives.seeds(scenes)
        shown = spread(seeds[number % scenes :], sheets)
        for seed in _progress(seeds, f"{mode}: the same again"):
            made = {world: drives.again(world, seed) for world in ["simulator", *names]}
            for world, drive in made.items():
                obedience.add(world, mode, drive.frames, drive.camera, drive.speeds_mps, drive.yaw_rates_radps)
            if seed in shown:
                sheet += sheet_rows(made, (0, 1, 2, 3, 4))
        own = _facts(options, drives, seeds)
        facts |= {**own, f"seeds, {mode}": own["seeds"], f"scenes passed over, {mode}": own["scenes passed over"]}
    del facts["seeds"], facts["scenes passed over"]
    _show(sheet, options.out, "obey", 9)
    return written(obedience.table(names[0], facts | {"inverse-dynamics model": read_by}), options.out)


def last(options: WorldFlag = WorldOptions(), scenes: int = 50, seconds: int = 90) -> int:
    """Long drives: FDS late against early, collapses, memory; contact sheets of every drive.

    The simulator's sober driver drives the simulator; his actions drive the world, which goes on from its own pictures.

    Args:
        options: what is measured.
        scenes: how many drives.
        seconds: of each; the last third is compared with the first ten seconds.
    """
    from longdwm_env.evaluation.drives.plans import LEAST_MEAN_SPEED_MPS, LogPlan
    from longdwm_env.evaluation.sheets import sheet_rows
    from longdwm_env.evaluation.worlds.stability import EARLY_S, Endurance

    if seconds < 2 * EARLY_S[1]:
        raise InvalidConfig(
            f"--seconds {seconds}: early and late are told apart in drives of {2 * EARLY_S[1]} s or more"
        )
    scorer = _scorer(options, needed=False)
    names, drives = _worlds(options).names, _opened(LogPlan(seconds, "normal", False, LEAST_MEAN_SPEED_MPS), options)
    seeds = drives.seeds(scenes)
    endurance = Endurance(scorer, seconds)
    sheets: dict[str, list[SheetRow]] = {name: [] for name in names}
    times = tuple(round(part * seconds / 6, 1) for part in range(7))
    for seed in _progress(seeds, "long drives"):
        made = {world: drives.again(world, seed) for world in ["simulator", *names]}
        endurance.add(seed, {w: (d.frames, d.speeds_mps, d.seconds, d.memory_mb) for w, d in made.items()})
        for name, rows in sheets.items():
            rows += sheet_rows({name: made[name]}, times)
    facts = _facts(options, drives, seeds) | ({"FDS": WITHOUT_SCORER} if scorer is None else {})
    table = endurance.table(names[0], facts)
    for name, rows in sheets.items():
        _show(rows, options.out, f"last-{name}", 10)
    for further in (endurance.over_time(), endurance.drives_table()):
        further.write(options.out)
    return written(table, options.out)


def detail(options: WorldFlag = WorldOptions(), scenes: int = 50, seconds: int = 90, sheets: int = 6) -> int:
    """How much fine detail the pictures have, over the simulator's at the same moment, up to 90 s into a drive.

    The drives are those of `last`. Beside the worlds stands the first frame, kept as it is.

    Args:
        options: what is measured.
        scenes: how many drives.
        seconds: of each: detail is measured at 1, 2, 4, 12, 30, 60 and 90 s, as far as these go.
        sheets: scenes that are shown on contact sheets.
    """
    from longdwm_env.evaluation.drives.plans import LEAST_MEAN_SPEED_MPS, LogPlan
    from longdwm_env.evaluation.sheets import sheet_rows, spread
    from longdwm_env.evaluation.worlds.detail import Detail

    if seconds < 1:
        raise InvalidConfig(f"--seconds {seconds}: drives last a second or more")
    names, drives = _worlds(options).names, _opened(LogPlan(seconds, "normal", False, LEAST_MEAN_SPEED_MPS), options)
    seeds = drives.seeds(scenes)
    found, shown = Detail.of_length(seconds), spread(seeds, sheets)
    sheet: list[SheetRow] = []
    for seed in _progress(seeds, "detail"):
        real = drives.again("simulator", seed)
        made = {world: drives.again(world, seed) for world in names}
        found.add(seed, real.frames, {world: drive.frames for world, drive in made.items()})
        if seed in shown:
            sheet += sheet_rows({"truth": real, **made}, (0, *found.times_s))
    _show(sheet, options.out, "detail", (1 + len(names)) * 3)
    found.scenes_table().write(options.out)
    return written(found.table(names[0], _facts(options, drives, seeds)), options.out)


def cars(options: WorldFlag = WorldOptions(), scenes: int = 200, sheets: int = 6) -> int:
    """Whether the vehicle ahead is still there after 1, 2, 3 and 4 s, of a plausible size, where one may expect it.

    Args:
        options: what is measured.
        scenes: how many that have a vehicle ahead.
        sheets: scenes that are shown on contact sheets.
    """
    from longdwm_env.evaluation.drives.plans import LogPlan
    from longdwm_env.evaluation.sheets import sheet_rows, spread
    from longdwm_env.evaluation.worlds.objects import Persistence
    from longdwm_env.evaluation.worlds.vehicle_ahead import MOMENTS, taken_away, watched

    plan = LogPlan(seconds=4)
    names, drives = _worlds(options).names, _opened(plan, options)
    # The log as it is: a driver who swerves away loses his leader in the truth too.
    seeds = drives.seeds(scenes, lambda drive: watched(drive) is not None, lambda seed: not plan.perturbs(seed))
    found, shown = Persistence(), spread(seeds, sheets)
    sheet: list[SheetRow] = []
    for seed in _progress(seeds, "watching cars"):
        made = {world: drives.again(world, seed) for world in ["simulator", *names]}
        real = made["simulator"]
        vehicle = watched(real)
        assert vehicle is not None
        absent = taken_away(drives, seed, vehicle.actor)
        found.add(seed, vehicle.boxes_px, absent, {world: drive.frames[MOMENTS] for world, drive in made.items()})
        if seed in shown:
            sheet += sheet_rows(made, (0, 1, 2, 3, 4), {"simulator": vehicle.boxes_px[0]})
    _show(sheet, options.out, "cars", (1 + len(names)) * 3)
    found.scenes_table().write(options.out)
    return written(found.table(names[0], _facts(options, drives, seeds)), options.out)


def identity(options: WorldFlag = WorldOptions(), scenes: int = 200, sheets: int = 6) -> int:
    """Whether a house, tree or sign seen ahead stays the same one: its patch against the truth's at 1, 2, 3 and 4 s.

    Args:
        options: what is measured.
        scenes: how many that have things to look at.
        sheets: scenes that are shown on contact sheets.
    """
    from longdwm_env.evaluation.drives.plans import LogPlan
    from longdwm_env.evaluation.sheets import sheet_rows, spread
    from longdwm_env.evaluation.worlds.identity import MOMENTS, Identity, marked, things_ahead

    plan = LogPlan(seconds=4)
    names, drives = _worlds(options).names, _opened(plan, options)
    seeds = drives.seeds(scenes, lambda drive: any(things_ahead(drive)), lambda seed: not plan.perturbs(seed))
    found, shown = Identity(), spread(seeds, sheets)
    sheet: list[SheetRow] = []
    for seed in _progress(seeds, "things beside the road"):
        real = drives.again("simulator", seed)
        made = {world: drives.again(world, seed) for world in names}
        things = things_ahead(real)
        found.add(seed, things, real.frames[MOMENTS], {world: drive.frames[MOMENTS] for world, drive in made.items()})
        if seed in shown:
            sheet += sheet_rows({"truth": real, **made}, (0, 1, 2, 3, 4), {"truth": marked(things)})
    _show(sheet, options.out, "identity", (1 + len(names)) * 3)
    found.scenes_table().write(options.out)
    return written(found.table(names[0], names[1:], _facts(options, drives, seeds)), options.out)


def text(options: WorldFlag = WorldOptions(), scenes: int = 200, sheets: int = 1) -> int:
    """Whether the scorer recognises the prompted weather and time of day in generated pictures.

    Once with a start that is drawn as the prompt says, once with a start that shows the scene's own conditions.

    Args:
        options: what is measured.
        scenes: how many for each of the two; they take the nine conditions in turn.
        sheets: how often each of the nine conditions is shown on contact sheets.
    """
    from longdwm_env.evaluation.drives.plans import LogPlan
    from longdwm_env.evaluation.drives.prompted import CHANGED, DRAWN, asked, conditions_of
    from longdwm_env.evaluation.sheets import sheet_rows
    from longdwm_env.evaluation.worlds.recognition import Recognition

    scorer = _scorer(options)
    assert scorer is not None
    names, drives = _worlds(options).names, _opened(LogPlan(seconds=4), options)
    seeds = drives.seeds(scenes)
    recognition = Recognition(scorer)
    sheet: list[SheetRow] = []
    for number, seed in enumerate(_progress(seeds, "prompts")):
        real = drives.truth(seed)
        assert real is not None
        own = conditions_of(real.prompt)
        for way in (DRAWN, CHANGED):
            wanted = asked(own, number, way)
            worlds = ["simulator", *names] if way == DRAWN else names
            made = {world: drives.prompted(world, seed, wanted, way) for world in worlds}
            for world, drive in made.items():
                recognition.add(world, way, wanted, own, drive.frames)
            if number < 9 * sheets:
                sheet += sheet_rows({f"{world}, {way}": drive for world, drive in made.items()}, (0, 1, 2, 3, 4))
    _show(sheet, options.out, "text", 9)
    recognition.confusion().write(options.out)
    return written(recognition.table(names[0], _facts(options, drives, seeds)), options.out)


def _scorer(options: WorldOptions, needed: bool = True) -> "DrivingEncoder | None":
    from longdwm_env.models.scorer import bundled_scorer, has_bundled_scorer, load_scorer

    if options.encoder is not None:
        return load_scorer(options.encoder)
    return bundled_scorer() if needed or has_bundled_scorer() else None


def _reader(options: WorldOptions) -> "tuple[InverseDynamics, str]":
    """The inverse-dynamics model, and which it is."""
    from longdwm_env.models.inverse_dynamics import bundled_inverse_dynamics, load_inverse_dynamics
    from longdwm_env.training.data.latents import weights_hash

    reader = bundled_inverse_dynamics() if options.reader is None else load_inverse_dynamics(options.reader)
    return reader, f"{weights_hash(reader)} ({options.reader or 'bundled'})"


def _worlds(options: WorldOptions) -> "MeasuredWorlds":
    from longdwm_env.evaluation.drives.measured_worlds import MeasuredWorlds

    return MeasuredWorlds(options.world, options.against, options.device)


def _opened(plan: "Plan", options: WorldOptions) -> "DriveSet":
    return _worlds(options).drives(plan, options.drives, options.first_seed, _version)


def _version(world: "WorldModel") -> str:
    """What a world's drives depend on: the simulator's code, weights and settings of a learned one."""
    import hashlib

    from longdwm_env.factory import BUILT_IN_WORLDS
    from longdwm_env.training.data.simulator import simulator_hash

    text = simulator_hash()
    if world.name not in BUILT_IN_WORLDS:
        from longdwm_env.models.world import DiffusionWorld
        from longdwm_env.training.data.latents import weights_hash

        if isinstance(world, DiffusionWorld):
            pipeline = world.pipeline
            text += weights_hash(pipeline.coarse, pipeline.fine, pipeline.vae) + repr(pipeline.settings)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _facts(options: WorldOptions, drives: "DriveSet", seeds: list[int]) -> dict[str, Any]:
    """What the numbers depend on."""
    from longdwm_env.training.data.simulator import simulator_hash

    facts: dict[str, Any] = {
        "command": command_line(),
        "seeds": f"{seeds[0]} to {seeds[-1]}, {len(seeds)} scenes",
        "scenes passed over": drives.passed_over,
        "simulator": simulator_hash(),
        "image size": "{} x {}".format(*drives.drivers["simulator"].world.image_size),
    }
    return facts | {f"version of {name}": version for name, version in drives.store.versions.items()}


def _progress(items: list[int], label: str) -> Iterable[int]:
    from tqdm import tqdm

    return tqdm(items, desc=label, unit="scene")


def _show(rows: "list[SheetRow]", out: Path, name: str, rows_a_page: int) -> None:
    from longdwm_env.evaluation.sheets import write_sheets

    for path in write_sheets(rows, out, name, rows_a_page):
        print(f"  {path}")
