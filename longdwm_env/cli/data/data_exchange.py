"""``longdwm data poses`` and ``import``: the footage of other people, in the form that training reads."""

import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import tyro

from longdwm_env.cli.destination import held
from longdwm_env.errors import InvalidConfig, InvalidScene

if TYPE_CHECKING:
    from tqdm import tqdm


def poses(
    videos: Annotated[tuple[Path, ...], tyro.conf.Positional],
    height: float | None = None,
    speed: str | None = None,
    fov: float | None = None,
    horizon: float | None = None,
    mask: Path | None = None,
    ahead: float = 1.7,
    plot: bool = True,
    overwrite: bool = False,
) -> int:
    """Estimate speed and yaw rate of videos from their pictures alone, and write them beside each as NAME.poses.json.

    A video that cannot be read, or of which most frames cannot be trusted, is named with the reason and skipped.
    Exits with 0 if every video has poses now, 1 if some were skipped, 2 if all were.

    Args:
        videos: Video files, or folders of them.
        height: Of the camera above the road in metres; the scale of all speeds. 1.4 is assumed.
        speed: Instead: the mean speed in m/s, or a csv with the columns time_s and speed_mps (or speed_kmh, speed_mph).
            Without it, subtitles with speeds or GPS in the file or in an .srt beside it are used.
        fov: Horizontal field of view in degrees; found from turns where there are enough, else 65 is assumed.
        horizon: Its place in the picture, 0 at the top and 1 at the bottom; found from the motion.
        mask: A picture, black where the video shows no world (hood, text); both are looked for besides.
        ahead: How far the camera is ahead of the rear axle in metres.
        plot: Draw NAME.poses.png.
        overwrite: Replace poses that are there already.
    """
    from math import radians

    from tqdm import tqdm

    from longdwm_env.scenes.ego_motion import SUFFIX, Options, write_video_poses
    from longdwm_env.scenes.media.media_scenes import is_video, media_files

    options = Options(height, speed, None if fov is None else radians(fov), horizon, mask, ahead, plot)
    files: list[Path] = []
    for path in videos:
        files += [file for file in media_files(path) if path.is_file() or is_video(file)]
    if not files:
        raise InvalidConfig("there is no video to look at; name files, or folders that hold some")
    skipped = 0
    for file in files:
        if file.with_suffix(SUFFIX).exists() and not overwrite:
            print(f"{file.with_suffix(SUFFIX)} is there already; --overwrite replaces it")
            continue
        try:
            with (
                held(file.with_suffix(SUFFIX), "file"),
                tqdm(desc=f"looking at {file.name}", unit="s", leave=False) as bar,
            ):
                report = write_video_poses(file, options, partial(_reached, bar))
        except InvalidScene as error:
            print(f"skipped: {error}", file=sys.stderr)
            skipped += 1
            continue
        motion = report.motion
        print(
            f"{file}: {motion.times_s[-1]:.1f} s, {motion.speeds_mps.mean() * 3.6:.0f} km/h on average, "
            f"{motion.trusted_share:.0%} of the frames trusted, {len(motion.cuts_s)} cuts; scale from "
            f"{report.scale_from}; field of view {motion.found.focal_from}, horizon from {motion.found.horizon_from}"
        )
        print("  wrote " + ", ".join(str(path) for path in report.written))
    return 2 if skipped == len(files) else 1 if skipped else 0


def import_data(
    kind: Annotated[
        Literal["lerobot", "comma2k19", "kitti-raw", "kitti-odometry", "pictures", "nuscenes"], tyro.conf.Positional
    ],
    path: Annotated[Path, tyro.conf.Positional],
    out: Path,
    camera: str | None = None,
    most: int | None = None,
) -> int:
    """Bring a data set into the form that training reads: a folder of videos with poses and cameras beside them.

    Args:
        kind: Its format.
        path: Its folder.
        out: Folder to write; it must not exist or be empty. It appears when all is done.
        camera: Which camera, where there are several: a LeRobot feature, or a KITTI folder such as image_02.
        most: Most drives to bring.
    """
    from longdwm_env.scenes.datasets import import_drives

    report = import_drives(kind, path, out, camera, most)
    for line in report.skipped:
        print(f"skipped: {line}", file=sys.stderr)
    if report.drives:
        print(f"wrote {report.drives} drives, {report.seconds:.0f} s, to {out}; {report.posed} of them with poses")
    print(f"licence of the source: {report.licence}")
    return 0


def _reached(bar: "tqdm[NoReturn]", time_s: float) -> None:
    bar.update(round(time_s) - bar.n)
