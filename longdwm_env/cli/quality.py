"""``longdwm metrics truth | obey | last | cars | text``: how good a world is, beside the simulator."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from longdwm_env.errors import InvalidConfig

if TYPE_CHECKING:
    from longdwm_env.agents.quality.drives import Drive
    from longdwm_env.agents.quality.sets import DriveSet, Plan
    from longdwm_env.models.scorer import DrivingEncoder
    from longdwm_env.training.metrics.report import Table

FIRST_TEST_SEED = 1_000_000


@dataclass(frozen=True)
class WorldOptions:
    """What is measured, and where results go.

    Attributes:
        world: mini, warp, simulator, or a saved pipeline.
        against: other worlds beside it.
        first_seed: of the built-in scenes; those from 1000000 on are kept for testing.
        encoder: folder of a trained scorer; default: the one that comes with the package.
        device: where a learned world runs.
        out: folder of the tables and pictures.
        drives: folder of the drives; those that are there are not driven again. Delete it after a change of the code.
    """

    world: str = "mini"
    against: tuple[str, ...] = ("warp",)
    first_seed: int = FIRST_TEST_SEED
    encoder: Path | None = None
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
    from longdwm_env.agents.quality.plans import LogPlan
    from longdwm_env.training.metrics.truth import TruthScores

    scorer = _scorer(options, needed=False)
    drives = _opened(LogPlan(seconds=4), options)
    seeds = drives.seeds(scenes)
    scores = TruthScores(scorer)
    shown = _spread(seeds, sheets)
    sheet: list[Any] = []
    for seed in _progress(seeds, "the same again"):
        real = drives.truth(seed)
        assert real is not None
        made = {world: drives.again(world, seed) for world in _worlds(options)}
        scores.add(seed, real.kind, real.frames, {world: drive.frames for world, drive in made.items()})
        if seed in shown:
            sheet += _rows({"truth": real, **made}, (0, 0.5, 1, 2, 4))
    facts = _facts(options, drives, seeds)
    world, *against = _worlds(options)
    table = scores.table(world, against, facts, _left_out(scorer))
    _sheets(sheet, options.out, "truth", (1 + len(_worlds(options))) * 3)
    scores.scenes_table().write(options.out)
    return _written(table, options.out)


def obey(
    options: WorldFlag = WorldOptions(),
    scenes: int = 200,
    modes: tuple[Literal["trajectory", "control", "command", "goal"], ...] = (
        "trajectory",
        "control",
        "command",
        "goal",
    ),
    sheets: int = 1,
) -> int:
    """Speed and yaw rate that the scorer reads from 4 s of pictures, against what was commanded.

    Args:
        options: what is measured.
        scenes: how many for each action mode.
        modes: action modes.
        sheets: scenes of each mode that are shown on contact sheets.
    """
    from longdwm_env.agents.quality.plans import VariedPlan
    from longdwm_env.training.metrics.obedience import Obedience

    scorer = _scorer(options)
    assert scorer is not None
    obedience = Obedience(scorer)
    sheet: list[Any] = []
    facts: dict[str, Any] = {}
    for number, mode in enumerate(modes):
        drives = _opened(VariedPlan(mode), options)
        seeds = drives.seeds(scenes)
        shown = _spread(seeds[number % scenes :], sheets)
        for seed in _progress(seeds, f"{mode}: the same again"):
            made = {world: drives.again(world, seed) for world in ["simulator", *_worlds(options)]}
            for world, drive in made.items():
                obedience.add(world, mode, drive.frames, drive.speeds_mps, drive.yaw_rates_radps)
            if seed in shown:
                sheet += _rows(made, (0, 1, 2, 3, 4))
        own = _facts(options, drives, seeds)
        facts |= {**own, f"seeds, {mode}": own["seeds"], f"scenes passed over, {mode}": own["scenes passed over"]}
    del facts["seeds"], facts["scenes passed over"]
    _sheets(sheet, options.out, "obey", 9)
    return _written(obedience.table(_label(options.world, options), facts), options.out)


def last(options: WorldFlag = WorldOptions(), scenes: int = 50, seconds: int = 90) -> int:
    """Long drives: FDS late against early, collapses, memory; contact sheets of every drive.

    The simulator's sober driver drives the simulator; his actions drive the world, which goes on from its own pictures.

    Args:
        options: what is measured.
        scenes: how many drives.
        seconds: of each; the last third is compared with the first ten seconds.
    """
    from longdwm_env.agents.quality.plans import LEAST_MEAN_SPEED_MPS, LogPlan
    from longdwm_env.training.metrics.endurance import EARLY_S, Endurance

    if seconds < 2 * EARLY_S[1]:
        raise InvalidConfig(
            f"--seconds {seconds}: early and late are told apart in drives of {2 * EARLY_S[1]} s or more"
        )
    scorer = _scorer(options, needed=False)
    drives = _opened(LogPlan(seconds, "normal", False, LEAST_MEAN_SPEED_MPS), options)
    seeds = drives.seeds(scenes)
    endurance = Endurance(scorer, seconds)
    sheets: dict[str, list[Any]] = {world: [] for world in _worlds(options)}
    times = tuple(round(part * seconds / 6, 1) for part in range(7))
    for seed in _progress(seeds, "long drives"):
        made = {world: drives.again(world, seed) for world in ["simulator", *_worlds(options)]}
        endurance.add(seed, {w: (d.frames, d.speeds_mps, d.seconds, d.memory_mb) for w, d in made.items()})
        for name, rows in sheets.items():
            rows += _rows({name: made[name]}, times)
    table = endurance.table(_label(options.world, options), _facts(options, drives, seeds) | _noted(scorer))
    for name, rows in sheets.items():
        _sheets(rows, options.out, f"last-{name}", 10)
    for further in (endurance.over_time(), endurance.drives_table()):
        further.write(options.out)
    return _written(table, options.out)


def cars(options: WorldFlag = WorldOptions(), scenes: int = 200, sheets: int = 6) -> int:
    """Whether the vehicle ahead is still there after 1, 2, 3 and 4 s, of a plausible size, where one may expect it.

    Args:
        options: what is measured.
        scenes: how many that have a vehicle ahead.
        sheets: scenes that are shown on contact sheets.
    """
    from longdwm_env.agents.quality.plans import LogPlan
    from longdwm_env.agents.quality.vehicles import MOMENTS, taken_away, watched
    from longdwm_env.training.metrics.persistence import Persistence

    plan = LogPlan(seconds=4)
    drives = _opened(plan, options)
    # The log as it is: a driver who swerves away loses his leader in the truth too.
    seeds = drives.seeds(scenes, lambda drive: watched(drive) is not None, lambda seed: not plan.perturbs(seed))
    found, shown = Persistence(), _spread(seeds, sheets)
    sheet: list[Any] = []
    for seed in _progress(seeds, "watching cars"):
        made = {world: drives.again(world, seed) for world in ["simulator", *_worlds(options)]}
        real = made["simulator"]
        vehicle = watched(real)
        assert vehicle is not None
        absent = taken_away(drives, seed, vehicle.actor)
        found.add(seed, vehicle.boxes_px, absent, {world: drive.frames[MOMENTS] for world, drive in made.items()})
        if seed in shown:
            sheet += _rows(made, (0, 1, 2, 3, 4), {"simulator": vehicle.boxes_px[0]})
    _sheets(sheet, options.out, "cars", (1 + len(_worlds(options))) * 3)
    found.scenes_table().write(options.out)
    facts = _facts(options, drives, seeds)
    return _written(found.table(_label(options.world, options), facts), options.out)


def text(options: WorldFlag = WorldOptions(), scenes: int = 200, sheets: int = 1) -> int:
    """Whether the scorer recognises the prompted weather and time of day in generated pictures.

    Once with a start that is drawn as the prompt says, once with a start that shows the scene's own conditions.

    Args:
        options: what is measured.
        scenes: how many for each of the two; they take the nine conditions in turn.
        sheets: how often each of the nine conditions is shown on contact sheets.
    """
    from longdwm_env.agents.quality.plans import LogPlan
    from longdwm_env.agents.quality.prompts import CHANGED, DRAWN, asked, conditions_of
    from longdwm_env.training.metrics.recognition import Recognition

    scorer = _scorer(options)
    assert scorer is not None
    drives = _opened(LogPlan(seconds=4), options)
    seeds = drives.seeds(scenes)
    recognition = Recognition(scorer)
    sheet: list[Any] = []
    for number, seed in enumerate(_progress(seeds, "prompts")):
        real = drives.truth(seed)
        assert real is not None
        own = conditions_of(real.prompt)
        for way in (DRAWN, CHANGED):
            wanted = asked(own, number, way)
            worlds = ["simulator", *_worlds(options)] if way == DRAWN else _worlds(options)
            made = {world: drives.prompted(world, seed, wanted, way) for world in worlds}
            for world, drive in made.items():
                recognition.add(world, way, wanted, own, drive.frames)
            if number < 9 * sheets:
                sheet += _rows({f"{world}, {way}": drive for world, drive in made.items()}, (0, 1, 2, 3, 4))
    _sheets(sheet, options.out, "text", 9)
    recognition.confusion().write(options.out)
    return _written(recognition.table(_label(options.world, options), _facts(options, drives, seeds)), options.out)


def _scorer(options: WorldOptions, needed: bool = True) -> "DrivingEncoder | None":
    from longdwm_env.models.scorer import bundled_scorer, has_bundled_scorer, load_scorer

    if options.encoder is not None:
        return load_scorer(options.encoder)
    return bundled_scorer() if needed or has_bundled_scorer() else None


def _noted(scorer: "DrivingEncoder | None") -> dict[str, str]:
    return {} if scorer is not None else {"FDS": "left out: there is no trained scorer here (--encoder)"}


def _left_out(scorer: "DrivingEncoder | None") -> tuple[str, ...]:
    return () if scorer is not None else ("FDS is left out: there is no trained scorer here (--encoder).",)


def _label(world: str, options: WorldOptions) -> str:
    """What a world is called in results: the last part of a path, where that is enough to tell it from the others."""
    short = Path(world).name
    alike = {other for other in (options.world, *options.against) if Path(other).name == short}
    return short if short and len(alike) == 1 else world


def _worlds(options: WorldOptions) -> list[str]:
    """What the worlds are called, the one that is measured first."""
    return list(dict.fromkeys(_label(world, options) for world in (options.world, *options.against)))


def _opened(plan: "Plan", options: WorldOptions) -> "DriveSet":
    """The drives of a plan in the simulator and in every world asked for, at the image size of the first."""
    from longdwm_env.agents.quality.drives import Driver
    from longdwm_env.agents.quality.sets import DriveSet
    from longdwm_env.agents.quality.store import DriveStore

    first = Driver(options.world, device=options.device)
    size = first.world.image_size
    drivers = {_label(name, options): Driver(name, size, _device(name, options)) for name in options.against}
    drivers |= {"simulator": Driver("simulator", size), _label(options.world, options): first}
    height, width = size
    versions = {name: f"{_version(driver.world)}-{height}x{width}" for name, driver in drivers.items()}
    return DriveSet(plan, drivers, DriveStore(options.drives, versions), options.first_seed)


def _device(name: str, options: WorldOptions) -> str | None:
    return None if name in ("warp", "simulator") else options.device


def _version(world: Any) -> str:
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
    import shlex
    import sys

    from longdwm_env.training.data.simulator import simulator_hash

    facts: dict[str, Any] = {
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]),
        "seeds": f"{seeds[0]} to {seeds[-1]}, {len(seeds)} scenes",
        "scenes passed over": f"{len(drives.refused)} ({_reasons(drives.refused)})" if drives.refused else "none",
        "simulator": simulator_hash(),
        "image size": "{} x {}".format(*drives.drivers["simulator"].world.image_size),
    }
    return facts | {f"version of {name}": version for name, version in drives.store.versions.items()}


def _reasons(refused: Mapping[int, str]) -> str:
    from collections import Counter

    counted = Counter(reason.split(": ")[-1] for reason in refused.values())
    return ", ".join(f"{reason}: {count}" for reason, count in counted.most_common())


def _spread(seeds: list[int], count: int) -> list[int]:
    """Some of the seeds, from all over the list."""
    if count < 1:
        return []
    return [seeds[i * len(seeds) // count] for i in range(min(count, len(seeds)))]


def _progress(items: list[int], label: str) -> Iterable[int]:
    from tqdm import tqdm

    return tqdm(items, desc=label, unit="scene")


def _rows(
    drives: "Mapping[str, Drive]", times_s: tuple[float, ...], boxes: Mapping[str, Any] | None = None
) -> list[Any]:
    """Rows of a contact sheet: one drive below the other at the same instants, with boxes (N, 4) where there are."""
    import cv2
    import numpy as np

    from longdwm_env.clock import FPS
    from longdwm_env.figures import SheetRow

    rows = []
    for name, drive in drives.items():
        places = [min(round(t * FPS), len(drive.frames) - 1) for t in times_s]
        captions = tuple(f"{t:g} s, {drive.speeds_mps[i]:.0f} m/s" for t, i in zip(times_s, places, strict=True))
        said = " ".join(drive.prompt.splitlines()[:2])
        title = f"{drive.seed} {name}: {drive.kind}. {said}"
        frames = drive.frames[places].copy()
        for frame, box in zip(frames, (boxes or {}).get(name, []), strict=False):
            left, top, right, bottom = np.round(box).astype(int).tolist()
            cv2.rectangle(frame, (left - 2, top - 2), (right + 2, bottom + 2), (255, 160, 0), 1)
        rows.append(SheetRow(title, frames, captions))
    return rows


def _sheets(rows: list[Any], out: Path, name: str, rows_a_page: int) -> None:
    from longdwm_env.figures import contact_sheet, save_picture

    for page, first in enumerate(range(0, len(rows), rows_a_page)):
        path = out / f"{_file_name(name)}-sheet-{page + 1}.png"
        save_picture(path, contact_sheet(rows[first : first + rows_a_page]))
        print(f"  {path}")


def _file_name(name: str) -> str:
    return name.strip("/").replace("/", "-")


def _written(table: "Table", out: Path) -> int:
    print(table.as_markdown())
    print("written:", *(f"  {path}" for path in table.write(out)), sep="\n")
    return 0
