"""``longdwm serve``: the driving window as a page in a browser."""

from pathlib import Path

from longdwm_env.cli.extras import need
from longdwm_env.errors import InvalidConfig
from longdwm_env.io.files import check_output_folder


def serve(
    world: str | None = None,
    scene: str | None = None,
    seed: int = 2,
    prompt: str | None = None,
    policy: str | None = None,
    replay: Path | None = None,
    also: tuple[str, ...] = (),
    control_period_s: float | None = None,
    image_size: tuple[int, int] | None = None,
    device: str | None = None,
    out: Path = Path("outputs/drive"),
    host: str = "127.0.0.1",
    port: int = 8600,
    token_file: Path | None = None,
    browser: bool = True,
    road: str | None = None,
    speed: float | None = None,
) -> int:
    """Drive in a browser with keys, gamepad or touch; others may look on. Stops with Ctrl-C.

    Prints the address, which holds a token: only who has the token can drive.

    Args:
        world: mini, simulator, warp, or the folder or hub id of a saved pipeline. Default: mini; where the scene is a
            picture or video of yours, warp, or mini where a road is said.
        scene: the number of a built-in scene; or a picture, a video, a folder of them, or a nuScenes dataroot.
        seed: which scene of a source, where the scene is not a number.
        prompt: weather, time and what else the scene shall be; default: the scene's own.
        policy: who drives instead of you (M takes the wheel), such as idm or constant-velocity.
        replay: a replay file to watch again; M takes the wheel.
        also: further worlds that Tab changes to, such as the folder of a saved pipeline.
        control_period_s: seconds between two actions: whole frames of 1/12 s. Default: as longdwm drive.
        image_size: height and width of the pictures. Default: 192 288, or a saved pipeline's own size where it was not
            made for that.
        device: where a learned world runs, such as cuda.
        out: folder for recordings, and for photos that are dropped on the page.
        host: address to listen on. Any but loopback can be reached by others, over a connection that is not encrypted.
        port: 0 picks a free one.
        token_file: file whose first line is the token; without it, one is made up at every start.
        browser: open the page in a browser, if there is a display; --no-browser only prints the address.
        road: that a picture or video shows: straight, a curvature in 1/m, or straight,lanes=2,width=3.2,cars=4. It gets
            a map, and with it lanes, rewards and traffic; docs/scenes.md has all words. Dropped photos get it too.
        speed: m/s at the start of a picture or video; default: its own where that is known, else 8.
    """
    need("longdwm serve", "serve", "starlette", "uvicorn", "websockets")
    if replay is not None and not replay.is_file():
        raise InvalidConfig(f"there is no replay file {replay}")
    if not 0 <= port < 65536:
        raise InvalidConfig(f"--port is from 0 to 65535, got {port}")
    token = None if token_file is None else _token_in(token_file)
    check_output_folder(out)

    import os
    import threading
    import webbrowser

    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    from longdwm_env.agents.driving.engine.start import DriveOptions
    from longdwm_env.agents.driving_page.page_server import PageServer
    from longdwm_env.io.human_window import no_window

    options = DriveOptions(
        world=world,
        scene=scene,
        seed=seed,
        prompt=prompt,
        policy=policy,
        replay=replay,
        also=also,
        control_period_s=control_period_s,
        image_size=image_size,
        device=device,
        out=out,
        road=road,
        speed_mps=speed,
    )
    server = PageServer(options, host, port, token)
    print(f"drive at {server.address}", flush=True)
    if browser and not no_window():
        threading.Thread(target=webbrowser.open, args=(server.address,), daemon=True).start()
    try:
        server.run()
    except KeyboardInterrupt:
        print("stopped")
    return 0


def _token_in(path: Path) -> str:
    try:
        token = path.read_text().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"the token file {path} cannot be read: {error}") from error
    if not (token and all(character.isalnum() or character in "-_" for character in token) and token.isascii()):
        raise InvalidConfig(f"the first line of {path} is no token: letters, digits, - and _ of ASCII")
    return token
