"""``longdwm data``: write simulator footage as a dataset, and find what is broken in one."""

import sys
from pathlib import Path
from typing import Annotated

import tyro

from longdwm_env.errors import InvalidScene
from longdwm_env.io.names import printable


def export_simulator(
    out: Path,
    scenes: int = 10,
    seconds: float = 20.0,
    seed: int = 0,
    image_size: tuple[int, int] = (96, 144),
    camera: Path | None = None,
    style: str | None = None,
) -> int:
    """Write simulator footage as a nuScenes dataset that nuscenes-devkit opens.

    Args:
        out: Folder to write; it must not exist or be empty. It appears when all is done.
        scenes: How many built-in scenes.
        seconds: Length of each; a scene ends sooner, a second after the ego has hit something.
        seed: The first scene's seed; the others follow. Seeds from 1000000 on are kept for testing.
        image_size: Height and width in pixels.
        camera: A camera.json with intrinsics and mounting; each scene's own camera without it.
        style: How the ego is driven, such as "careful"; by default a style that changes, often for the worse.
    """
    from tqdm import tqdm

    from longdwm_env.errors import InvalidConfig
    from longdwm_env.io.files import refuse_occupied
    from longdwm_env.scenes.nuscenes.export import export_nuscenes
    from longdwm_env.scenes.simulator_clips import simulator_clip

    if scenes < 1 or seed < 0:
        raise InvalidConfig(f"scenes is {scenes} and seed {seed}; at least 1 and 0 are needed")
    refuse_occupied(out)
    seeds = tqdm(range(seed, seed + scenes), "scenes", disable=None)
    export_nuscenes((simulator_clip(number, seconds, image_size, camera, style) for number in seeds), out)
    _say(f"wrote {scenes} scenes of up to {seconds:g} s to {out}; open them with scenes={str(out)!r}")
    return 0


def check(path: Annotated[Path, tyro.conf.Positional], most: int = 200) -> int:
    """Report missing tables, damaged images, broken timestamps and missing calibration, naming each file.

    Exits with 0 if all is well, 1 if anything is wrong, 2 if there is nothing to check.

    Args:
        path: A nuScenes dataroot or version folder, an image, a video, or a folder of images and videos.
        most: Most problems to print.
    """
    from longdwm_env.scenes.nuscenes.check import check_data, grouped

    try:
        report = check_data(path)
    except InvalidScene as error:
        print(f"longdwm data check: error: {error}", file=sys.stderr)
        return 2
    for line in grouped(report.problems, most):
        _say(line)
    if report.problems:
        _say(f"{path}: {len(report.problems)} problems ({report.summary})")
        return 1
    _say(f"{path}: OK ({report.summary})")
    return 0


def _say(line: str) -> None:
    """Print what a terminal of any encoding can show of a line."""
    encoding = sys.stdout.encoding or "utf-8"
    print(printable(line).encode(encoding, "backslashreplace").decode(encoding))
