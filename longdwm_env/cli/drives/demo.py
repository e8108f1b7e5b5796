"""``longdwm demo``: drive a picture and a built-in scene, and write what was seen and what was driven."""

from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, cast

from longdwm_env.cli.destination import holding_its

if TYPE_CHECKING:
    from longdwm_env.env import LongDWMEnv
    from longdwm_env.io.figures import DrivenPath, SheetRow
    from longdwm_env.types import Images

SHEET_COLUMNS = 7
LONGEST_TITLE = 60
"""Characters: the title is also a file's name."""


@dataclass(frozen=True)
class Recording:
    """One drive at the frame rate: its frames, the start first, where it went, and how long it took."""

    frames: "Images"
    path: "DrivenPath"
    wall_s: float


@holding_its("folder")
def demo(
    scene: Path | None = None,
    world: str | None = None,
    trajectory: str = "slalom",
    seconds: float = 8.0,
    seed: int = 24,
    horizon: float | None = None,
    out: Path = Path("outputs/demo"),
    road: str | None = None,
    speed: float | None = None,
    image_size: tuple[int, int] | None = None,
) -> int:
    """Drive along a planned trajectory; write videos, a contact sheet and a plot of commanded against driven.

    Args:
        scene: a photograph, a video or a nuScenes folder to start from; default: a bundled one, and a built-in scene.
        world: drive only this world: mini, warp, simulator, or a folder with a saved pipeline. Default: the warp of the
            picture, and the default world, with the simulator's truth below it, in the built-in scene.
        trajectory: a preset (straight, left, right, slalom, stop) or a pose file. In built-in scenes, and on
            a road that is said, the car keeps to its lane instead.
        seconds: how long to drive.
        seed: which built-in scene.
        horizon: where in the picture the horizon lies, 0 at the top to 1 at the bottom; needed where the camera looked
            up or down, or the road smears into the sky.
        out: folder for the results.
        road: that a picture or video shows: straight, a curvature in 1/m, or straight,lanes=2,width=3.2,cars=4. It gets
            a map, and with it lanes, rewards and traffic; docs/scenes.md has all words.
        speed: m/s at the start of a picture or video; default: its own where that is known, else 8.
        image_size: height and width of the pictures. Default: 192 288, or a saved pipeline's own size where it was not
            made for that.
    """
    from longdwm_env.clock import FRAME_S
    from longdwm_env.factory import DEFAULT_WORLD
    from longdwm_env.io.figures import contact_sheet, plot_paths, save_picture
    from longdwm_env.io.files import check_output_file
    from longdwm_env.io.video import write_video
    from longdwm_env.scenes.made_roads import with_words

    out = out.absolute()
    drives: list[tuple[str, str | None]]
    with_words(None if scene is None else str(scene), road, speed)  # which refuses words that no picture follows
    if scene is not None:
        drives = [(world or ("warp" if road is None else DEFAULT_WORLD), with_words(str(scene), road, speed))]
    elif world is not None:
        # The warp has no scenes of its own; in the others the truth is known of the built-in ones.
        drives = [(world, str(bundled_picture()) if world == "warp" else None)]
    else:
        builtin = dict.fromkeys((DEFAULT_WORLD, "simulator"))
        drives = [("warp", str(bundled_picture())), *((name, None) for name in builtin)]
    files = [out / f"{title_of(name, scenes)}.mp4" for name, scenes in drives]
    pages = [out / "contact_sheet.png", out / "trajectory.png"]
    for path in (*files, *pages):
        check_output_file(path)
    recordings = [drive(name, scenes, trajectory, seconds, seed, horizon, image_size) for name, scenes in drives]

    for path, recording in zip(files, recordings, strict=True):
        write_video(path, [recording.frames])
        realtime = (len(recording.frames) - 1) * FRAME_S / recording.wall_s
        print(f"{recording.path.title}: {len(recording.frames)} frames, {realtime:.1f} times real time")
    save_picture(pages[0], contact_sheet([_sheet_row(recording) for recording in recordings]))
    plot_paths(pages[1], [recording.path for recording in recordings], FRAME_S)
    print("written:", *(f"  {path.resolve()}" for path in (*files, *pages)), sep="\n")
    return 0


def bundled_picture() -> Path:
    """The photograph-like picture that ships with the package, drawn by the reference simulator."""
    return Path(str(resources.files("longdwm_env").joinpath("assets/street.jpg")))


def title_of(world: str, scenes: str | None) -> str:
    """What a drive is called, and its file."""
    from longdwm_env.io.words import clean
    from longdwm_env.scenes.made_roads import without_words

    # A pipeline's folder is not part of a file's name.
    name = Path(world).name
    return clean(name if scenes is None else f"{name}-{Path(without_words(scenes)[0]).stem}", LONGEST_TITLE)


def drive(
    world: str,
    scenes: str | None,
    trajectory: str,
    seconds: float,
    seed: int,
    horizon: float | None = None,
    image_size: tuple[int, int] | None = None,
) -> Recording:
    """Drive one world: along a route from recorded scenes, in its lane from built-in ones."""
    import time

    import gymnasium as gym
    import numpy as np
    from tqdm import tqdm

    from longdwm_env.agents.policies.privileged import LaneKeeping
    from longdwm_env.agents.policies.route_following import RouteFollower
    from longdwm_env.agents.policy import PolicyContext
    from longdwm_env.clock import FRAME_S
    from longdwm_env.factory import shown_image_size
    from longdwm_env.geometry.camera import assumed_camera
    from longdwm_env.geometry.pose import compose
    from longdwm_env.io.figures import DrivenPath
    from longdwm_env.io.routes import open_route
    from longdwm_env.scenes.made_roads import without_words

    size = shown_image_size(world, image_size)
    camera = None if horizon is None else assumed_camera(size, horizon=horizon)
    environment = gym.make(
        "longdwm_env:LongDWM-v0", world=world, scenes=scenes, max_episode_s=seconds, image_size=size, camera=camera
    )
    observation, info = environment.reset(seed=seed)
    base = cast("LongDWMEnv", environment.unwrapped)
    ego = base.get_state().ego
    context = PolicyContext.of(environment)
    policy = (
        LaneKeeping(context)
        if scenes is None or without_words(scenes)[1].road is not None
        else RouteFollower(open_route(trajectory, seconds, start_speed_mps=ego.speed_mps), context)
    )
    policy.reset(observation, info)
    frames, poses, commanded = [observation["frames"][-1:]], [ego.pose[None]], []
    speeds, planned_speeds = [np.array([ego.speed_mps])], [np.array([np.nan])]
    begun, over = time.perf_counter(), False
    with tqdm(total=round(seconds), unit="s", desc=world, leave=False) as progress:
        while not over:
            action = policy.act(observation, info)
            commanded.append(compose(poses[-1][-1], np.column_stack([action, np.zeros(len(action))]))[:, :2])
            observation, _, terminated, truncated, info = environment.step(action)
            over = terminated or truncated
            frames.append(observation["frames"])
            poses.append(info["ego_pose"])
            steps = np.linalg.norm(np.diff(np.concatenate(poses[-2:])[:, :2], axis=0), axis=1)[-len(poses[-1]) :]
            speeds.append(steps / FRAME_S)
            planned_speeds.append(info["trajectory"]["speeds_mps"][: len(steps)])
            progress.update()
    environment.close()
    return Recording(
        np.concatenate(frames),
        DrivenPath(
            title_of(world, scenes),
            np.concatenate(poses),
            tuple(commanded),
            np.concatenate(speeds),
            np.concatenate(planned_speeds),
        ),
        time.perf_counter() - begun,
    )


def _sheet_row(recording: Recording) -> "SheetRow":
    import numpy as np

    from longdwm_env.clock import FRAME_S
    from longdwm_env.io.figures import SheetRow

    picks = np.linspace(0, len(recording.frames) - 1, SHEET_COLUMNS).round().astype(int)
    captions = tuple(f"{pick * FRAME_S:.1f} s, {recording.path.speeds_mps[pick]:.1f} m/s" for pick in picks)
    return SheetRow(recording.path.title, recording.frames[picks], captions)
