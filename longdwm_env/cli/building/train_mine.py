"""``longdwm train mine``: a world of one's own road, from videos of it."""

import os
from pathlib import Path
from typing import Annotated

import tyro

from longdwm_env.cli.extras import need

MOST_MOMENTS = 30
"""At which the held-out part is measured."""


def mine(
    video: Annotated[list[Path], tyro.conf.UseAppendAction],
    out: Path = Path("runs/mine"),
    minutes: float = 60.0,
    held_out: float | None = None,
    height: float | None = None,
    speed: str | None = None,
    fov: float | None = None,
    horizon: float | None = None,
    mask: Path | None = None,
    moments: int = MOST_MOMENTS,
    workers: int | None = None,
) -> int:
    """From the shipped weights to a world of your road: poses, footage, its tones, before and after.

    The street that a picture shows is carried on (without a network), and a small network learns from your video how
    such pictures change along your road.

    Every part goes on where it was stopped when the same command is given again. Then drive in it: longdwm drive
    --world OUT/pipeline starts where the held-out part of the last video begins.

    Args:
        video: A video of driving; give the option again for each further one.
        out: Folder of the run.
        minutes: For all of it, at most. Training ends when nothing more is learned.
        held_out: Seconds at the end of the last video that training does not see; default 15 % of all, from 6 to 40.
        height: Of the camera above the road in metres; the scale of all speeds. 1.4 is assumed.
        speed: Instead: the mean speed in m/s, or a csv; as longdwm data poses has it.
        fov: Horizontal field of view in degrees; found where there are turns enough, else 65.
        horizon: Its place in the picture, 0 at the top and 1 at the bottom; found from the motion.
        mask: A picture, black where the videos show no world (hood, text).
        moments: Most moments of the held-out part to measure at.
        workers: Processes that record footage; default: as many as there are cores.
    """
    need("train mine", "train", "accelerate")
    from math import radians

    from longdwm_env.evaluation.own_road import RecordedDrive, measured_once, write_page
    from longdwm_env.factory import make_world
    from longdwm_env.io.files import check_output_folder, content_hash, one_writer
    from longdwm_env.models.bundled import bundled_pipeline_folder
    from longdwm_env.scenes.ego_motion import Options
    from longdwm_env.training.mine import mine_steps as steps
    from longdwm_env.training.mine.hour import Hour
    from longdwm_env.training.mine.own_videos import estimate_poses, linked_videos, longest_frames
    from longdwm_env.training.mine.recipe import mine_recipe, suffices
    from longdwm_env.training.workspace import Workspace

    options = Options(height, speed, None if fov is None else radians(fov), horizon, mask)
    count = workers or os.cpu_count() or 1
    check_output_folder(out, least_free_mb=1000.0)
    with one_writer(out, lock=".mine.lock"):
        hour, workspace = Hour(out, minutes, _say), Workspace(out)
        videos = linked_videos(video, out / "videos", held_out, _say)
        _say(f"{videos.training_s:.0f} s to learn from, {videos.held_out_s:.0f} s held out")
        _say(suffices(longest_frames(videos)))
        with hour.spending("poses"):
            videos = estimate_poses(videos, options, _say, hour.reached)
        # Said before anything else is made: without it nothing could be measured.
        drive = RecordedDrive.of(*videos.held_out, moments)
        recipe = mine_recipe()
        steps.begun(workspace, recipe, videos)
        footage = steps.make_footage(workspace, recipe, videos, hour, count)
        start = steps.put_start(workspace, videos)
        _say(f"footage: done; {hour.words()}")

        worlds = {"before": make_world("mini", None, "cpu")}
        with hour.spending("before"):
            before = measured_once(
                out / "before.json", worlds["before"], drive, content_hash(bundled_pipeline_folder())
            )
        taught = steps.teach_road(workspace, footage, hour)
        _say(f"the road's tones: {taught.step} steps, {taught.gain_db:+.2f} dB on what was kept apart; {hour.words()}")
        with hour.spending("report"):
            worlds["after"] = make_world(workspace.pipeline, None, "cpu")
            after = measured_once(out / "after.json", worlds["after"], drive, content_hash(workspace.pipeline))
            page = write_page(out / "report", before, after, drive, worlds, f"A world of {start.stem}")
    for second, (was, now) in enumerate(zip(before.world.mean(0), after.world.mean(0), strict=True), 1):
        print(f"PSNR {second} s ahead on {len(drive.moments)} held-out moments: {was:.2f} dB before, {now:.2f} after")
    print(f"written: {page.resolve()}", f"drive: longdwm drive --world {workspace.pipeline}", sep="\n")
    return 0


def _say(line: str) -> None:
    print(line, flush=True)
