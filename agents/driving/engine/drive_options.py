"""What a person may ask of a drive, in the window and on the page: the options of ``longdwm drive`` and ``serve``."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class DriveOptions:
    """A drive.

    Attributes:
        world: mini, simulator, warp, or the folder or hub id of a saved pipeline. Default: mini; where the scene is a
            picture or video of yours, warp, or mini where a road is said.
        scene: the number of a built-in scene; or a picture, a video, a folder of them, or a nuScenes dataroot.
        seed: which scene of a source, where the scene is not a number.
        prompt: weather, time and what else the scene shall be; default: the scene's own.
        policy: drives instead of you, such as idm or constant-velocity; M takes the wheel. Default: you.
            Where a drive is recorded without a display: idm in built-in scenes, constant-velocity elsewhere.
        replay: a replay file to watch again; M takes the wheel.
        also: further worlds that Tab changes to, such as the folder of a saved pipeline.
        control_period_s: seconds between two actions: whole frames of 1/12 s. Default: one frame in warp and simulator,
            which answers soonest; a third of a second in learned worlds; half a second for policies in any world.
        image_size: height and width of the pictures. Default: 192 288, or a saved pipeline's own size where it was not
            made for that.
        device: where a learned world runs, such as cuda.
        out: folder for recordings, and for photos that are dropped on the page.
        road: that a picture or video shows: straight, a curvature in 1/m, or straight,lanes=2,width=3.2,cars=4. It gets
            a map, and with it lanes, rewards and traffic; docs/scenes.md has all words. Dropped photos get it too.
        speed: m/s at the start of a picture or video; default: its own where that is known, else 8.
    """

    world: str | None = None
    scene: str | None = None
    seed: int = 2
    prompt: str | None = None
    policy: str | None = None
    replay: Path | None = None
    also: tuple[str, ...] = ()
    control_period_s: float | None = None
    image_size: tuple[int, int] | None = None
    device: str | None = None
    out: Path = Path("outputs/drive")
    road: str | None = None
    speed: float | None = None
