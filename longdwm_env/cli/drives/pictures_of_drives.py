"""``longdwm media``: the pictures of README and model cards, from any world."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from longdwm_env.cli.destination import holding_its
from longdwm_env.errors import InvalidConfig
from longdwm_env.types import Images, JsonObject

if TYPE_CHECKING:
    from longdwm_env.evaluation.drives.recorder import Drive

FIRST_STAYS_S, LAST_STAYS_S = 1.0, 1.2
"""How much longer a film rests at its start and at its end."""


@holding_its("folder")
def media(
    world: str = "mini",
    out: Path = Path("docs/media"),
    parts: tuple[Literal["drive", "directions", "weather"], ...] = ("drive", "directions", "weather"),
    drive_scene: int = 1_000_036,
    drive_seconds: int = 10,
    beside: tuple[Literal["simulator", "warp"], ...] = ("simulator",),
    directions_scene: int = 1_000_224,
    directions_seconds: int = 3,
    aside_m: float = 3.5,
    weather_scene: int = 1_000_016,
    weather_seconds: int = 4,
    weather_start: Literal["kept", "redrawn"] = "kept",
    quality: int = 60,
    device: str | None = None,
    image_size: tuple[int, int] | None = None,
) -> int:
    """Show a world: a long drive, one moment driven in three directions, one moment in sun, fog and night.

    Each as a sheet (NAME-sheet.webp) and as a film (NAME.webp) that browsers and GitHub show inline. Scenes are
    built-in ones that nothing was trained on; the same command makes the same pictures. media.json says what was shown.

    Args:
        world: mini, warp, simulator, or a saved pipeline.
        out: folder for the pictures.
        parts: which of the three.
        drive_scene: seed of the long drive's scene, from 1000000 on. The simulator's own driver drives it; his actions
            then drive the world, which goes on from its own pictures.
        drive_seconds: of the long drive.
        beside: worlds that are shown beside it, driven by the same actions.
        directions_scene: seed of the scene that is driven to the left, straight on and to the right.
        directions_seconds: of these drives.
        aside_m: how far from the middle of its lane the car ends up to the left and right.
        weather_scene: seed of the scene that is driven in sun, fog and night.
        weather_seconds: of these drives.
        weather_start: kept: the frames before the start stay as they were and only the prompt changes. redrawn: the
            simulator draws them as the prompt says.
        quality: of the compression, 0 to 100.
        device: where a learned world runs.
        image_size: height and width of the pictures. Default: 192 288, or a saved pipeline's own size where it was not
            made for that.
    """
    from tqdm import tqdm

    from longdwm_env.evaluation.drives.recorder import Driver
    from longdwm_env.evaluation.media import pages
    from longdwm_env.evaluation.media import shown_drives as drives
    from longdwm_env.evaluation.media.webp import write_animation, write_picture
    from longdwm_env.factory import shown_image_size
    from longdwm_env.io.files import atomic_write_json, check_output_file

    out = out.absolute()
    for name in ("media.json", *(f"{part}{ending}" for part in parts for ending in ("-sheet.webp", ".webp"))):
        check_output_file(out / name)
    if min(drive_seconds, directions_seconds, weather_seconds) < 1 or not 0 <= quality <= 100:
        raise InvalidConfig("drives last a second or more, and quality is a number from 0 to 100")
    driver = Driver(world, shown_image_size(world, image_size), device)
    size = driver.world.image_size
    simulator = driver if world == "simulator" else Driver("simulator", size)
    name = Path(world).name
    facts: JsonObject = {"world": name, "image_size": list(size)}
    files: list[Path] = []

    bar = tqdm(total=len(parts), desc="media", unit="part")

    def write(part: str, sheet: Images, film: Sequence[Images]) -> None:
        files.extend([out / f"{part}-sheet.webp", out / f"{part}.webp"])
        write_picture(files[-2], sheet, quality)
        write_animation(files[-1], film, quality, FIRST_STAYS_S, LAST_STAYS_S)
        bar.update()

    if "drive" in parts:
        truth = drives.log_drive(simulator, drive_scene, drive_seconds)
        shown: dict[str, Drive] = {name: truth if driver is simulator else driver.again(truth)}
        for other in beside:
            if other not in shown:
                shown[other] = truth if other == "simulator" else Driver(other, size).again(truth)
        write("drive", pages.drive_sheet(shown), pages.drive_film(shown))
        facts["drive"] = {"scene": drive_scene, "seconds": drive_seconds, "worlds": list(shown), "prompt": truth.prompt}
    if "directions" in parts:
        shown = drives.driven_in_directions(driver, directions_scene, directions_seconds, aside_m)
        write("directions", pages.column_sheet(shown, paths=True), pages.column_film(shown, paths=True))
        facts["directions"] = {"scene": directions_scene, "seconds": directions_seconds, "aside_m": aside_m}
    if "weather" in parts:
        truth = drives.log_drive(simulator, weather_scene, weather_seconds)
        shown = drives.driven_under_skies(driver, truth, weather_start)
        write("weather", pages.column_sheet(shown, paths=False), pages.column_film(shown, paths=False))
        prompts = {sky: drive.prompt for sky, drive in shown.items()}
        weather = {"scene": weather_scene, "seconds": weather_seconds, "start": weather_start, "prompts": prompts}
        facts["weather"] = weather
    bar.close()
    atomic_write_json(out / "media.json", facts)
    print("written:", *(f"  {path}  {path.stat().st_size / 1000:.0f} kB" for path in files), sep="\n")
    return 0
