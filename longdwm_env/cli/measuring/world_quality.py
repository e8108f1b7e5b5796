"""``longdwm metrics truth | footage | obey | last | detail | vehicles | cars | identity | text``: a world's quality."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import tyro

from longdwm_env.cli.destination import holding_its
from longdwm_env.cli.tables import command_line, written
from longdwm_env.clock import FPS
from longdwm_env.episodes.kept_seeds import FIRST_TEST_SEED
from longdwm_env.errors import InvalidConfig

if TYPE_CHECKING:
    from longdwm_env.evaluation.drives.plans import LogPlan
    from longdwm_env.evaluation.report import Table
    from longdwm_env.evaluation.worlds.detail import Detail
    from longdwm_env.evaluation.worlds.late_vehicles import LateVehicles
    from longdwm_env.evaluation.worlds.world_run import WorldRun
    from longdwm_env.models.readers.scorer import DrivingEncoder

ActionMode = Literal["trajectory", "control", "command", "goal"]
"""Those of ``actions``, whose import would delay every ``--help``."""


@dataclass(frozen=True)
class WorldOptions:
    """What is measured, and where results go.

    Attributes:
        world: mini, warp, simulator, or a saved pipeline.
        against: other worlds beside it; flat is what its map shows, drawn flat without a model.
        first_seed: of the built-in scenes; those from 1000000 on are kept for testing, those from 2000000 on for
            `tables`, once for each set of weights.
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

WITHOUT_SCORER = "left out: there is no trained scorer here (--encoder)"
SECONDS = (0, 1, 2, 3, 4)
"""Moments of a drive of 4 s that contact sheets show."""


@holding_its("folder")
def truth(options: WorldFlag = WorldOptions(), scenes: int = 200, sheets: int = 6) -> int:
    """The same scenes and actions in the simulator and in worlds: PSNR, SSIM and FDS at 1, 2 and 4 s.

    Args:
        options: what is measured.
        scenes: how many.
        sheets: scenes that are shown on contact sheets.
    """
    from longdwm_env.evaluation.drives.plans import LogPlan
    from longdwm_env.evaluation.sheets import spread
    from longdwm_env.evaluation.worlds.truth import TruthScores

    found, run = TruthScores(_scorer(options, needed=False)), run_of(options)
    drives = run.opened(LogPlan(seconds=4))
    seeds = drives.seeds(scenes)
    for real, made in run.driven(drives, seeds, "truth", (0, 0.5, 1, 2, 4), spread(seeds, sheets)):
        found.add(real, made)
    notes = (f"FDS is {WITHOUT_SCORER}.",) if found.encoder is None else ()
    table = found.table(run.world, run.against, run.facts(drives, seeds), notes)
    return _finished(run, table, found.scenes_table())


@holding_its("folder")
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
    from longdwm_env.evaluation.drives.drive_set import SIMULATOR
    from longdwm_env.evaluation.drives.plans import VariedPlan
    from longdwm_env.evaluation.networks import Networks, opened_reader
    from longdwm_env.evaluation.sheets import spread
    from longdwm_env.evaluation.worlds.controllability import Controllability

    reader = opened_reader(options.reader, needed=True)
    assert reader is not None
    controllability, run = Controllability(reader), run_of(options)
    facts: dict[str, object] = {}
    for number, mode in enumerate(modes):
        drives = run.opened(VariedPlan(mode))
        seeds = drives.seeds(scenes)
        for real, made in run.driven(drives, seeds, "obey", SECONDS, spread(seeds[number % scenes :], sheets)):
            controllability.add({SIMULATOR: real, **made})
        own = run.facts(drives, seeds)
        facts |= {f"seeds, {mode}": own.pop("seeds"), f"scenes skipped, {mode}": own.pop("scenes skipped")}
        facts = own | facts
    facts |= Networks(reader=reader, reader_from=str(options.reader or "bundled")).facts()
    return _finished(run, controllability.table(run.world, facts), rows_a_page=9)


@holding_its("folder")
def last(options: WorldFlag = WorldOptions(), scenes: int = 50, seconds: int = 90, data: str | None = None) -> int:
    """Long drives: FDS late against early, collapses, memory; contact sheets of every drive.

    The simulator's sober driver drives the simulator; his actions drive the world, which goes on from its own pictures.
    With --data each of your pictures is driven into instead, straight on and in a curve: does the world hold on it?

    Args:
        options: what is measured.
        scenes: how many drives, or starts of --data.
        seconds: of each; the last third is compared with the first ten seconds.
        data: Photographs and videos: a file or a folder; "photo.jpg?road=straight" says a road of it.
    """
    if data is not None:
        return _last_on_pictures(options, scenes, seconds, data)
    from longdwm_env.evaluation.drives.drive_set import SIMULATOR
    from longdwm_env.evaluation.sheets import sheet_rows
    from longdwm_env.evaluation.worlds.stability import EARLY_S, Stability

    if seconds < 2 * EARLY_S[1]:
        raise InvalidConfig(f"--seconds {seconds}: early and late differ in drives of {2 * EARLY_S[1]} s or more")
    found, run = Stability(_scorer(options, needed=False), seconds), run_of(options)
    drives = run.opened(long_plan(seconds))
    seeds = drives.seeds(scenes)
    times = tuple(round(part * seconds / 6, 1) for part in range(7))
    for real, made in run.driven(drives, seeds, "last", times, ()):
        found.add({SIMULATOR: real, **made})
        for world, drive in made.items():
            run.show(f"last-{world}", sheet_rows({world: drive}, times))
    facts = run.facts(drives, seeds) | ({"FDS": WITHOUT_SCORER} if found.encoder is None else {})
    return _finished(run, found.table(run.world, facts), found.over_time(), found.drives_table(), rows_a_page=10)


def _last_on_pictures(options: WorldOptions, scenes: int, seconds: int, data: str) -> int:
    from longdwm_env.evaluation.sheets import sheet_rows
    from longdwm_env.evaluation.worlds.picture_drives import PictureDrives, Verdicts

    run, found = run_of(options), Verdicts(seconds)
    drives = PictureDrives(data, run.worlds, options.drives, seconds, scenes)
    times = (0, 1, *(round(part * seconds / 4, 1) for part in range(1, 5)))
    for picture, way, world, drive in drives.driven():
        found.add(picture, way, world, drive)
        run.show(f"last-pictures-{world}", sheet_rows({f"{world}, {picture}": drive}, times))
    size = "{} x {}".format(*run.worlds.drivers[run.world].world.image_size)
    facts: dict[str, object] = {"command": run.command, "image size": size}
    facts |= {f"version of {name}": run.worlds.versions[name] for name in run.worlds.names}
    return _finished(run, found.table(run.worlds.names, facts), rows_a_page=14)


@holding_its("folder")
def detail(options: WorldFlag = WorldOptions(), scenes: int = 50, seconds: int = 90, sheets: int = 6) -> int:
    """How much fine detail the pictures have, over the simulator's at the same moment, up to 90 s into a drive.

    The drives are those of `last`. Beside the worlds stands the first frame, kept as it is.

    Args:
        options: what is measured.
        scenes: how many drives.
        seconds: of each: detail is measured at 1, 2, 4, 12, 30, 60 and 90 s, as far as these go.
        sheets: scenes that are shown on contact sheets.
    """
    from longdwm_env.evaluation.worlds.detail import Detail

    if seconds < 1:
        raise InvalidConfig(f"--seconds {seconds}: drives last a second or more")
    return _of_long_drives(Detail.of_length(seconds), "detail", options, scenes, seconds, sheets)


@holding_its("folder")
def vehicles(options: WorldFlag = WorldOptions(), scenes: int = 50, seconds: int = 90, sheets: int = 6) -> int:
    """How many vehicles are in view 10, 30, 60 and 90 s into a drive, how many of them are found, and keep their looks.

    The drives are those of `last`. Beside the worlds stand the simulator, and its frames without the vehicle.

    Args:
        options: what is measured.
        scenes: how many drives.
        seconds: of each.
        sheets: scenes that are shown on contact sheets.
    """
    from longdwm_env.evaluation.worlds.late_vehicles import LateVehicles

    return _of_long_drives(LateVehicles.of_length(seconds), "vehicles", options, scenes, seconds, sheets)


@holding_its("folder")
def cars(options: WorldFlag = WorldOptions(), scenes: int = 200, sheets: int = 6) -> int:
    """Whether the vehicle ahead is still there after 1, 2, 3 and 4 s, of a plausible size, where one may expect it.

    Args:
        options: what is measured.
        scenes: how many that have a vehicle ahead.
        sheets: scenes that are shown on contact sheets.
    """
    from longdwm_env.evaluation.drives.plans import LogPlan
    from longdwm_env.evaluation.sheets import spread
    from longdwm_env.evaluation.worlds.objects import Persistence
    from longdwm_env.evaluation.worlds.vehicle_ahead import boxes_ahead, marked, taken_away, watched

    plan, found, run = LogPlan(seconds=4), Persistence(), run_of(options)
    drives = run.opened(plan)
    # The log as it is: a driver who swerves away loses his leader in the truth too.
    seeds = drives.seeds(scenes, lambda drive: watched(drive) is not None, lambda seed: not plan.perturbs(seed))
    for real, made in run.driven(drives, seeds, "cars", SECONDS, spread(seeds, sheets), marked):
        found.add(real, made, boxes_ahead(real), taken_away(drives, real))
    return _finished(run, found.table(run.world, run.facts(drives, seeds)), found.scenes_table())


@holding_its("folder")
def footage(
    data: Path,
    world: str = "mini",
    against: tuple[str, ...] = (),
    road: str | None = None,
    encoder: Path | None = None,
    device: str | None = None,
    out: Path = Path("outputs/quality"),
    sheets: int = 6,
) -> int:
    """Real footage with poses: PSNR, detail and FDS at 1, 2 and 4 s, from every second of it.

    Beside the worlds stand the ground's warp of the first picture, and that picture kept.

    Args:
        data: A nuScenes dataroot, a video with poses beside it, or a folder of such videos.
        world: mini, warp, or a saved pipeline.
        against: Other worlds beside it.
        road: That is said of every start, such as straight; default: none, as for a photograph.
        encoder: Folder of a trained scorer; default: the one that comes with the package.
        device: Where a learned world runs.
        out: Folder of the table and sheets.
        sheets: Starts that are shown on contact sheets.
    """
    from tqdm import tqdm

    from longdwm_env.evaluation.sheets import spread, write_sheets
    from longdwm_env.evaluation.worlds.real_footage import TRUTH, FootageScores, recordings, shown_from
    from longdwm_env.factory import make_world
    from longdwm_env.io.figures import SheetRow
    from longdwm_env.scenes.strip_road import Road

    said = None if road is None else Road.parse(road)
    found = FootageScores(_scorer(WorldOptions(encoder=encoder), needed=False))
    first = make_world(world, None, device)
    worlds = {world: first} | {name: make_world(name, first.image_size, device) for name in against}
    starts = [(one, start) for one in recordings(data) for start in one.starts]
    rows: list[SheetRow] = []
    shown = spread(range(len(starts)), sheets)
    for number, (recording, start) in enumerate(tqdm(starts, desc="footage", unit="start")):
        scene = recording.scene(start, first.image_size, said)
        real, made = shown_from(worlds, scene)
        found.add(scene.key, real, made)
        if number in shown:
            places = [time * FPS for time in SECONDS]
            captions = tuple(f"{time} s" for time in SECONDS)
            rows += [
                SheetRow(f"{name}, {scene.key}", frames[places], captions)
                for name, frames in {TRUTH: real, **made}.items()
            ]
    for path in write_sheets(rows, out, "footage", 3 * (3 + len(worlds))):
        print(f"  {path}")
    facts = {"command": command_line(), "starts": f"{len(starts)} of {data.name}", "road": road or "none"}
    facts["image size"] = "{} x {}".format(*first.image_size)
    return written(found.table(world, facts), out)


@holding_its("folder")
def identity(options: WorldFlag = WorldOptions(), scenes: int = 200, sheets: int = 6) -> int:
    """Whether a house, tree or sign seen ahead stays the same one: its patch against the truth's at 1, 2, 3 and 4 s.

    Args:
        options: what is measured.
        scenes: how many that have things to look at.
        sheets: scenes that are shown on contact sheets.
    """
    from longdwm_env.evaluation.drives.plans import LogPlan
    from longdwm_env.evaluation.sheets import spread
    from longdwm_env.evaluation.worlds.identity import Identity, marked, things_ahead

    plan, found, run = LogPlan(seconds=4), Identity(), run_of(options)
    drives = run.opened(plan)
    seeds = drives.seeds(scenes, lambda drive: any(things_ahead(drive)), lambda seed: not plan.perturbs(seed))
    for real, made in run.driven(drives, seeds, "identity", SECONDS, spread(seeds, sheets), marked):
        found.add(real, made)
    return _finished(run, found.table(run.world, run.against, run.facts(drives, seeds)), found.scenes_table())


@holding_its("folder")
def text(options: WorldFlag = WorldOptions(), scenes: int = 200, sheets: int = 1) -> int:
    """Whether the scorer recognises the prompted weather and time of day in generated pictures.

    Once with a start that is drawn as the prompt says, once with a start that shows the scene's own conditions.

    Args:
        options: what is measured.
        scenes: how many for each of the two; they take the nine conditions in turn.
        sheets: how often each of the nine conditions is shown on contact sheets.
    """
    from tqdm import tqdm

    from longdwm_env.agents.driving.engine.prompt_cycling import conditions_of
    from longdwm_env.evaluation.drives.drive_set import ALL, CHANGED, DRAWN, SIMULATOR, asked
    from longdwm_env.evaluation.drives.plans import LogPlan
    from longdwm_env.evaluation.sheets import sheet_rows
    from longdwm_env.evaluation.worlds.recognition import Recognition

    scorer = _scorer(options)
    assert scorer is not None
    recognition, run = Recognition(scorer), run_of(options)
    drives = run.opened(LogPlan(seconds=4))
    seeds = drives.seeds(scenes)
    for number, seed in enumerate(tqdm(seeds, desc="prompts", unit="scene")):
        own = conditions_of(drives.again(SIMULATOR, seed).prompt)
        for way in (DRAWN, CHANGED):
            wanted = asked(own, number, way)
            # A start that is drawn as prompted is the simulator's own work: beside it stands the heads' accuracy.
            worlds = dict.fromkeys([SIMULATOR, *run.worlds.names] if way == DRAWN else run.worlds.names)
            made = {world: drives.prompted(world, seed, wanted, way) for world in worlds}
            recognition.add(made, way, wanted, own)
            if number < len(ALL) * sheets:
                run.show("text", sheet_rows({f"{world}, {way}": drive for world, drive in made.items()}, SECONDS))
    table = recognition.table(run.world, run.facts(drives, seeds))
    return _finished(run, table, recognition.confusion(), rows_a_page=9)


def check_seed(options: WorldOptions) -> None:
    """Raise ``InvalidConfig`` where built-in scenes have no such number."""
    from longdwm_env.state import MAX_COUNT

    if not 0 <= options.first_seed <= MAX_COUNT:
        raise InvalidConfig(f"--first-seed is a number from 0 to {MAX_COUNT}, got {options.first_seed}")


def run_of(options: WorldOptions) -> "WorldRun":
    """The worlds and folders that options name."""
    from longdwm_env.evaluation.drives.drive_set import MeasuredWorlds
    from longdwm_env.evaluation.worlds.world_run import WorldRun
    from longdwm_env.io.files import check_output_folder

    check_seed(options)
    check_output_folder(options.drives)
    worlds = MeasuredWorlds(options.world, options.against, options.device)
    return WorldRun(worlds, options.drives, options.first_seed, options.out, command_line())


def _scorer(options: WorldOptions, needed: bool = True) -> "DrivingEncoder | None":
    from longdwm_env.evaluation.networks import opened_encoder

    return opened_encoder(options.encoder, needed)


def long_plan(seconds: int) -> "LogPlan":
    """How the drives of `last` and `detail` go."""
    from longdwm_env.evaluation.drives.plans import LEAST_MEAN_SPEED_MPS, LogPlan

    return LogPlan(seconds, "normal", False, LEAST_MEAN_SPEED_MPS)


def _of_long_drives(
    found: "Detail | LateVehicles", name: str, options: WorldOptions, scenes: int, seconds: int, sheets: int
) -> int:
    """Measure the drives of `last` at the times that ``found`` asks for."""
    from longdwm_env.evaluation.sheets import spread

    run = run_of(options)
    drives = run.opened(long_plan(seconds))
    seeds = drives.seeds(scenes)
    for real, made in run.driven(drives, seeds, name, (0, *found.times_s), spread(seeds, sheets)):
        found.add(real, made)
    return _finished(run, found.table(run.world, run.facts(drives, seeds)), found.scenes_table())


def _finished(run: "WorldRun", table: "Table", *further: "Table", rows_a_page: int | None = None) -> int:
    """Write what was found; three scenes on a page of a contact sheet unless given."""
    for path in run.write(further, rows_a_page or 3 * (1 + len(run.worlds.names))):
        print(f"  {path}")
    return written(table, run.out)
