"""``longdwm bench serve``: how soon the page answers, and what many viewers cost the world."""

import statistics
from pathlib import Path
from typing import TYPE_CHECKING

from longdwm_env.cli.destination import holding_its
from longdwm_env.cli.extras import need
from longdwm_env.errors import InvalidConfig
from longdwm_env.types import JsonObject

if TYPE_CHECKING:
    from longdwm_env.agents.driving_page.page_latency import Measured


@holding_its("file")
def bench_serve(
    world: str = "mini",
    viewers: int = 20,
    seconds: float = 20.0,
    rounds: int = 2,
    seed: int = 7,
    image_size: tuple[int, int] | None = None,
    control_period_s: float | None = None,
    device: str | None = None,
    out: Path | None = None,
) -> int:
    """Measure the page on loopback with keys at random times: with the driver alone, then with many who look on.

    Both are measured in turns in the same run, so that a machine busy with other work counts for both alike. A picture
    counts as seen when it has arrived: a browser needs about a refresh of the screen more to show it.

    Args:
        world: mini, simulator, warp, or a saved pipeline.
        viewers: how many watch in the second measurement, the driver included.
        seconds: how long each measurement takes.
        rounds: how often both are measured.
        seed: the built-in scene to drive in.
        image_size: height and width of the pictures. Default: 192 288, or a saved pipeline's own size where it was not
            made for that.
        control_period_s: seconds between two actions; default: as longdwm serve.
        device: where a learned world runs, such as cuda.
        out: JSON file to write the results to.
    """
    need("longdwm bench serve", "serve", "starlette", "uvicorn", "websockets")
    import os
    import tempfile
    import threading

    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    from longdwm_env.agents.driving.engine.drive_options import DriveOptions
    from longdwm_env.agents.driving_page.audience import MAX_VIEWERS
    from longdwm_env.agents.driving_page.page_latency import measure
    from longdwm_env.agents.driving_page.page_server import PageServer
    from longdwm_env.io.files import atomic_write_json

    if not 2 <= viewers <= MAX_VIEWERS:
        raise InvalidConfig(f"--viewers is from 2 to {MAX_VIEWERS}, which is as many as a page lets in, got {viewers}")
    if rounds < 1 or not 0 < seconds <= 3600:
        raise InvalidConfig(f"--rounds is at least 1 and --seconds above 0, at most an hour; got {rounds}, {seconds}")
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory() as folder:
        options = DriveOptions(
            world=world,
            seed=seed,
            image_size=image_size,
            control_period_s=control_period_s,
            device=device,
            out=Path(folder),
        )
        server = PageServer(options, port=0)
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        try:
            measured = [measure(server, count, seconds) for _ in range(rounds) for count in (1, viewers)]
            generator = server.room.session.generator
            height, width = generator.world(world).image_size
            frames = generator.frames_of(world)
        finally:
            server.stop()
            thread.join(30.0)
    alone, watched = measured[::2], measured[1::2]
    results: JsonObject = {
        "world": world,
        "image_size": [height, width],
        "control_frames": frames,
        "cores": os.cpu_count(),
        "load_before": round(load, 2),
        "seconds": seconds,
        "measured": [_as_json(each) for each in measured],
        "speed_ratio": _mean(watched, "world_fps") / _mean(alone, "world_fps"),
        "making_ratio": _mean(watched, "made_in_s") / _mean(alone, "made_in_s"),
    }
    _print(results)
    if out is not None:
        atomic_write_json(out, results)
    return 0


def _mean(measured: "list[Measured]", name: str) -> float:
    return statistics.fmean(getattr(each, name) for each in measured)


def _as_json(measured: "Measured") -> JsonObject:
    latencies = sorted(measured.latencies_s)
    return {
        "viewers": measured.viewers,
        "keys": len(latencies),
        "latency_ms_median": 1000 * measured.quantile_s(0.5) if latencies else None,
        "latency_ms_95": 1000 * measured.quantile_s(0.95) if latencies else None,
        "world_fps": measured.world_fps,
        "made_in_ms": 1000 * measured.made_in_s,
        "seen_fps_lowest": min(measured.seen_fps, default=None),
        "seen_fps_median": statistics.median(measured.seen_fps) if measured.seen_fps else None,
    }


def _print(results: JsonObject) -> None:
    height, width = results["image_size"]
    print(
        f"{results['world']}, pictures {width} x {height}, {results['control_frames']} frames an action, "
        f"cores {results['cores']}, load {results['load_before']}"
    )
    print(
        f"{'viewers':>8}{'latency ms: median':>20}{'95%':>7}{'keys':>6}{'world fps':>11}"
        f"{'made in ms':>12}{'seen fps':>10}"
    )
    for each in results["measured"]:
        seen = "-" if each["seen_fps_median"] is None else f"{each['seen_fps_median']:.1f}"
        median, most = (
            "-" if each[name] is None else f"{each[name]:.0f}" for name in ("latency_ms_median", "latency_ms_95")
        )
        print(
            f"{each['viewers']:>8}{median:>20}{most:>7}{each['keys']:>6}{each['world_fps']:>11.1f}"
            f"{each['made_in_ms']:>12.0f}{seen:>10}"
        )
    print(
        f"with all viewers the world runs {results['speed_ratio']:.2f} times as fast as with one, and a clip takes "
        f"{results['making_ratio']:.2f} times as long to make"
    )
