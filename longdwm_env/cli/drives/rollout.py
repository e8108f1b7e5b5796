"""``longdwm rollout``: a long video without an agent, from any world, streamed to a file."""

from pathlib import Path

from longdwm_env.cli.drives.rollout_keyframes import KeyframeRun
from longdwm_env.cli.drives.rollout_run import BUILT_IN, LANE, Mode, Request, Run
from longdwm_env.errors import InvalidConfig
from longdwm_env.factory import DEFAULT_WORLD
from longdwm_env.io.files import check_output_file, check_output_folder, one_writer_of


def rollout(
    image: str,
    trajectory: str | None = None,
    seconds: float = 90.0,
    world: str = DEFAULT_WORLD,
    out: Path = Path("outputs/rollout.mp4"),
    seed: int = 7,
    prompt: str | None = None,
    image_size: tuple[int, int] | None = None,
    device: str | None = None,
    restart: bool = False,
    mode: Mode = "second",
    gaps_at_once: int | None = None,
    road: str | None = None,
    speed: float | None = None,
) -> int:
    """Drive a long way from one picture; memory does not grow with length.

    While it runs, the video so far can be watched in the file that ends in .preview.mp4. An interrupted run goes on
    where it stopped when the same command is given again.

    Args:
        image: A photograph, a video or a nuScenes folder to start from, or simulator:SEED for a built-in scene.
        trajectory: A preset (straight, left, right, slalom, stop), a pose file (JSON, KITTI, TUM), or lane to keep to
            the lane where the scene has a map; default lane in built-in scenes, straight elsewhere.
        seconds: How long to drive; whole seconds.
        world: mini, warp, simulator (built-in scenes only), or the folder of a saved pipeline.
        out: The mp4 to write.
        seed: Seed of the world's random numbers.
        prompt: Caption in the four-line form; default the scene's own.
        image_size: Height and width of the frames. Default: 192 288, or a saved pipeline's own size where it was not
            made for that, and with mode keyframes.
        device: Where a learned world runs, such as cuda.
        restart: Throw away what an interrupted run left behind.
        mode: second goes on second by second, as the environment does. keyframes is the paper's own way: twelve
            keyframes at once, then the gaps between them, and on from the last keyframe; for mini and saved pipelines.
        gaps_at_once: With mode keyframes, how many gaps the Fine model fills in one batch. Default all twelve; where
            so many do not fit into a GPU's memory, half as many are tried. On a CPU each is filled alone, which is as
            fast.
        road: that a picture or video shows: straight, a curvature in 1/m, or straight,lanes=2,width=3.2,cars=4. It gets
            a map, and with it lanes, rewards and traffic; docs/scenes.md has all words.
        speed: m/s at the start of a picture or video; default: its own where that is known, else 8.
    """
    from longdwm_env.scenes.made_roads import with_words

    if trajectory is None:
        trajectory = LANE if image.startswith(BUILT_IN) or road is not None else "straight"
    image = with_words(None if image.startswith(BUILT_IN) else image, road, speed) or image
    request = Request(image, trajectory, seconds, world, seed, prompt, image_size, device, mode)
    if gaps_at_once is not None and (mode != "keyframes" or gaps_at_once < 1):
        raise InvalidConfig(f"gaps_at_once={gaps_at_once} is at least 1, and only with mode=keyframes")
    if mode == "keyframes" and world in ("warp", "simulator"):
        raise InvalidConfig(
            f"mode=keyframes needs a world with a Coarse and a Fine model, such as mini or a saved pipeline; {world!r} "
            "goes second by second: leave mode=second"
        )
    if seconds != int(seconds) or seconds < 1:
        raise InvalidConfig(f"seconds={seconds:g} must be a whole number, at least 1")
    if world == "simulator" and not image.startswith(BUILT_IN):
        raise InvalidConfig(f"the simulator draws built-in scenes alone: give image={BUILT_IN}7, not {image!r}")
    check_output_file(out)
    run = Run(request, out) if mode == "second" else KeyframeRun(request, out, gaps_at_once)
    check_output_folder(run.folder)
    with one_writer_of(out):
        if restart:
            run.discard()
        reason = run.go_on()
        run.finish()
    print(f"{out}: {run.frames} frames" + (f"; the drive ended early: {reason}" if reason else ""))
    return 0
