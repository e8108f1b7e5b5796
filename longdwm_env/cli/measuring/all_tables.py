"""``longdwm metrics tables``: all tables of one set of weights, together and once."""

import json
from contextlib import redirect_stdout
from functools import lru_cache
from io import StringIO
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

import tyro

from longdwm_env.cli.measuring.world_quality import WorldOptions, check_seed, long_plan, run_of
from longdwm_env.cli.tables import command_line
from longdwm_env.episodes.kept_seeds import FIRST_SEALED_SEED
from longdwm_env.errors import InvalidConfig

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

    from longdwm_env.evaluation.drives.drive_set import DriveSet

SEALED = WorldOptions(
    against=("warp", "flat"),
    first_seed=FIRST_SEALED_SEED,
    out=Path("outputs/tables"),
    drives=Path("outputs/tables/drives"),
)

LONG = ("last", "detail", "vehicles")
"""Tables of the same long drives, which are made first and beside the other tables."""

AHEAD = 8
"""Long drives that are asked for at once."""

Name = Literal["last", "detail", "vehicles", "truth", "cars", "identity", "obey", "text"]


def tables(
    options: Annotated[WorldOptions, tyro.conf.arg(name="")] = SEALED,
    names: tuple[Name, ...] = get_args(Name),
    scenes: int = 200,
    long_drives: int = 50,
    seconds: int = 90,
    processes: int = 2,
) -> int:
    """Make all tables of a world, each as the command of its name makes it.

    Scenes from 2000000 on are sealed: what is known of them steers no development, so they are measured once for each
    set of weights. A stopped run goes on; a finished one of the same weights is not repeated.

    Args:
        options: what is measured.
        names: of the tables.
        scenes: for each table of drives of 4 s.
        long_drives: how many, for `last`, `detail` and `vehicles`.
        seconds: of each of these.
        processes: that drive at once.
    """
    from concurrent.futures import ProcessPoolExecutor
    from multiprocessing import get_context

    from longdwm_env.evaluation.drives.drive_set import MeasuredWorlds
    from longdwm_env.io.files import atomic_write_json, check_output_folder, one_writer
    from longdwm_env.io.processes import child_environment, end_with_parent

    if min(scenes, long_drives, processes) < 1:
        raise InvalidConfig("--scenes, --long-drives and --processes are 1 or more")
    if not names:
        raise InvalidConfig("--names are one or more, or left out for all tables")
    check_seed(options)
    for folder in (options.out, options.drives):
        check_output_folder(folder)
    long = [name for name in names if name in LONG]
    counts = {name: {"scenes": scenes} for name in names}
    counts |= {name: {"scenes": long_drives, "seconds": seconds} for name in long}
    with one_writer(options.out):
        measured = MeasuredWorlds(options.world, options.against, options.device)
        of = {"versions": measured.versions, "first_seed": options.first_seed, "asked": counts}
        done = options.out / "tables.json"
        if done.exists() and json.loads(done.read_text())["of"] == of:
            raise InvalidConfig(
                f"{options.out} holds all tables of these weights; another set of weights, or scenes of development "
                "(--first-seed 1000000 --out ELSEWHERE), can be measured"
            )
        with (
            child_environment(threads=1),
            ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=end_with_parent) as pool,
        ):
            others = pool.submit(_made, [name for name in names if name not in LONG], counts, options)
            if long:
                _drive_all(pool, options, long_drives, seconds)
                pool.submit(_made, long, counts, options).result()
            others.result()
        atomic_write_json(done, {"of": of, "command": command_line()})
    print(f"all tables: {options.out}")
    return 0


def _drive_all(pool: "Executor", options: WorldOptions, count: int, seconds: int) -> None:
    """Have the long drives made and kept, as many at a time as the pool has processes."""
    from tqdm import tqdm

    from longdwm_env.evaluation.drives.drive_set import TRIES_PER_DRIVE

    seeds = iter(range(options.first_seed, options.first_seed + TRIES_PER_DRIVE * count))
    under_way: list[Future[bool]] = []
    with tqdm(total=count, desc="long drives", unit="drive") as bar:
        while bar.n < count:
            wanted = min(count - bar.n, AHEAD) - len(under_way)
            under_way += [pool.submit(_driven, options, seconds, seed) for seed in islice(seeds, max(wanted, 0))]
            if not under_way:  # the table itself says that there are too few
                return
            bar.update(under_way.pop(0).result())


@lru_cache(maxsize=1)
def _long_drives(options: WorldOptions, seconds: int) -> "DriveSet":
    return run_of(options).opened(long_plan(seconds))


def _driven(options: WorldOptions, seconds: int, seed: int) -> bool:
    """Whether there is a long drive for a seed; it is then kept, in every world."""
    drives = _long_drives(options, seconds)
    if drives.truth(seed) is None:
        return False
    for world in drives.drivers:
        drives.again(world, seed)
    return True


def _made(names: list[Name], counts: dict[Name, dict[str, int]], options: WorldOptions) -> None:
    from longdwm_env.cli.measuring import world_quality

    for name in names:
        with redirect_stdout(StringIO()):
            getattr(world_quality, name)(options, **counts[name])
        print(f"{name}: {options.out / name}.md", flush=True)
