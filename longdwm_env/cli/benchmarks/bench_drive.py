"""``longdwm bench drive``: how soon each world answers in the window."""

from longdwm_env.errors import InvalidConfig


def bench_drive(
    worlds: tuple[str, ...] = ("warp", "simulator"),
    control_frames: tuple[int, ...] = (1, 2, 3, 6, 12),
    seed: int = 7,
    image_size: tuple[int, int] | None = None,
    window: tuple[int, int] = (1200, 800),
    seconds: float = 20.0,
    device: str | None = None,
) -> int:
    """Measure latency from key to picture, and frame rates, in a real window with keys posted at random times.

    With SDL_VIDEODRIVER=dummy in a window that is not on the screen, which costs the machine a little less.

    Args:
        worlds: warp, simulator, or saved pipelines.
        control_frames: frames between two actions, each of which is measured.
        seed: the built-in scene to drive in.
        image_size: height and width of the pictures. Default: 192 288, or a saved pipeline's own size where it was not
            made for that.
        window: width and height of the window.
        seconds: how long to measure each.
        device: where a learned world runs, such as cuda.
    """
    import os

    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    from longdwm_env.agents.driving.engine.drive_options import DriveOptions
    from longdwm_env.agents.driving.engine.start import open_session
    from longdwm_env.agents.driving.window.latency import measure
    from longdwm_env.agents.driving.window.window import WindowSettings
    from longdwm_env.clock import FPS
    from longdwm_env.factory import shown_image_size
    from longdwm_env.io.human_window import no_window

    unseen = os.environ.get("SDL_VIDEODRIVER", "") in ("dummy", "offscreen")
    if not unseen and (reason := no_window()):
        raise InvalidConfig(
            f"latency is measured in a window, and none can open ({reason}): xvfb-run longdwm bench drive, or with "
            "SDL_VIDEODRIVER=dummy a window that is not on the screen"
        )
    print(f"cores {os.cpu_count()}, load {os.getloadavg()[0]:.1f}")
    print(f"{'world':<16}{'size':>12}{'period':>9}{'latency ms: median':>20}{'95%':>7}{'keys':>6}", end="")
    print(f"{'world fps':>11}", end="")
    print(f"{'window fps':>12}{'made in ms':>12}")
    for world in worlds:
        height, width = shown_image_size(world, image_size)
        for frames in control_frames:
            options = DriveOptions(
                world=world, seed=seed, control_period_s=frames / FPS, image_size=image_size, device=device
            )
            session, inputs = open_session(options)
            answer = measure(session, inputs, WindowSettings(window), seconds)
            print(
                f"{world:<16}{f'{height} x {width}':>12}{1000 * frames / FPS:>6.0f} ms"
                f"{1000 * answer.quantile_s(0.5):>20.0f}"
                f"{1000 * answer.quantile_s(0.95):>7.0f}{len(answer.latencies_s):>6}{answer.world_fps:>11.1f}"
                f"{answer.window_fps:>12.0f}{1000 * answer.made_in_s:>12.0f}",
                flush=True,
            )
    return 0
