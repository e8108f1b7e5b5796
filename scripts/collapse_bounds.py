"""The bounds of the detector of collapse, longdwm_env/evaluation/worlds/collapse.py: found on drives, tried on others.

    longdwm metrics last --world warp --scenes 20 --seconds 30 --first-seed 1600000 --out OUT --drives DRIVES
    longdwm data poses drive.mp4
    python scripts/collapse_bounds.py --simulator DRIVES/normal-30s/simulator-* --real drive.mp4

Every second drive of the simulator, and every second stretch of 20 s of each recording, sets the bounds; the others try
them. For each sign the bound is halfway between the worst that a whole drive comes to and the least that one comes to
which is damaged so that this sign should show, from half time on. Of movement it is halfway between the logarithms,
with 0.05 added. Nothing is written.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from longdwm_env.clock import FPS
from longdwm_env.evaluation.drives.drive_store import read_drive
from longdwm_env.evaluation.worlds import collapse
from longdwm_env.evaluation.worlds.real_footage import recordings
from longdwm_env.types import FloatArray, Images

STRETCH_S = 20
SHORTEST_S = 6
SHOWS = ("blurred", "noise", "meadow", "upside down", "frozen")
"""The damage in which each sign should show."""
SIZE = (96, 144)

Footage = tuple[str, Images, FloatArray]


def simulated(folder: Path) -> Iterator[Footage]:
    """Drives kept by ``longdwm metrics last``."""
    for path in sorted(folder.glob("*.safetensors")):
        drive = read_drive(path)
        yield path.stem, drive.frames, drive.speeds_mps


def recorded(path: Path) -> Iterator[Footage]:
    """Stretches of footage with poses."""
    for recording in recordings(path):
        scene = recording.scene(FPS, SIZE)
        assert scene.camera is not None
        steps = np.diff(recording.poses[FPS:, :2], axis=0)
        speeds = np.hypot(steps[:, 0], steps[:, 1]) * FPS
        for first in range(0, len(speeds), STRETCH_S * FPS):
            length = min(STRETCH_S * FPS, len(speeds) - first)
            if length >= SHORTEST_S * FPS:
                frames = scene.log.images(first, length, scene.camera)
                yield f"{recording.name}@{1 + first / FPS:g}", frames, speeds[first : first + length]


def worst(held: FloatArray) -> FloatArray:
    """(5,) the farthest that each sign comes to on a drive, on the side of its bound; NaN of a car that stands."""
    motion = held[np.isfinite(held[:, 4]), 4]
    slowest = motion.min() if len(motion) else np.nan
    return np.array([held[:, 0].min(), held[:, 1].max(), np.abs(held[:, 2]).max(), held[:, 3].min(), slowest])


def main() -> int:
    """Print bounds, and what they make of the other half."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--simulator", type=Path, nargs="+", default=[], help="folders of drives in the simulator")
    parser.add_argument("--real", type=Path, nargs="+", default=[], help="videos with poses, or a nuScenes dataroot")
    parser.add_argument("--only-try", type=Path, nargs="+", default=[], help="likewise, none of which sets a bound")
    given = parser.parse_args()
    sets: list[tuple[str, Iterator[Footage], int]] = [(path.name, simulated(path), 2) for path in given.simulator]
    sets += [(path.name, recorded(path), 2) for path in given.real]
    sets += [(path.name, recorded(path), 0) for path in given.only_try]
    whole, broken, trials = [], [], []
    for name, drives, every in sets:
        for number, (drive, frames, speeds) in enumerate(drives):
            half = len(frames) // 2
            courses = {"": collapse.course(frames, speeds)}
            for kind in collapse.DAMAGES:
                courses[kind] = collapse.course(collapse.damaged(frames, kind, half), speeds)
            print(name, drive, np.round(worst(courses[""].held), 2), flush=True)
            if every and number % every == 0:
                whole.append(worst(courses[""].held))
                broken.append([worst(courses[kind].held)[place] for place, kind in enumerate(SHOWS)])
            else:
                trials.append((name, courses))
    sides = np.array([-1, 1, 1, -1, -1])
    least = sides * np.nanmin(sides * np.array(broken), axis=0)
    most = sides * np.nanmax(sides * np.array(whole), axis=0)
    bounds = (most + least) / 2
    bounds[4] = np.sqrt((most[4] + 0.05) * (least[4] + 0.05)) - 0.05
    for sign, *values in zip(collapse.SIGNS, most, least, bounds, collapse.BOUNDS, strict=True):
        print("{:17s} whole {:.2f}, damaged {:.2f}: bound {:.2f} (now {:.2f})".format(sign, *values))
    for name in dict.fromkeys(name for name, _ in trials):
        ours = [courses for one, courses in trials if one == name]
        counts = {kind or "whole": sum(one[kind].collapse is not None for one in ours) for kind in ours[0]}
        print(f"{name}, {len(ours)} others, collapsed:", ", ".join(f"{kind} {n}" for kind, n in counts.items()))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
