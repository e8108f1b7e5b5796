"""``longdwm serve``: the driving window as a page in a browser."""

import os
import threading
import webbrowser
from pathlib import Path

from longdwm_env.cli.drives.drive import DEFAULTS, DriveFlag, with_places
from longdwm_env.cli.extras import need
from longdwm_env.errors import InvalidConfig


def serve(
    options: DriveFlag = DEFAULTS,
    host: str = "127.0.0.1",
    port: int = 8600,
    token_file: Path | None = None,
    browser: bool = True,
) -> int:
    """Drive in a browser with keys, gamepad or touch; others may look on. Stops with Ctrl-C.

    Prints the address, which holds a token: only who has the token can drive.

    Args:
        options: of the drive.
        host: address to listen on. Any but loopback can be reached by others, over a connection that is not encrypted.
        port: 0 picks a free one.
        token_file: file whose first line is the token; without it, one is made up at every start.
        browser: open the page in a browser, if there is a display; --no-browser only prints the address.
    """
    need("longdwm serve", "serve", "starlette", "uvicorn", "websockets")
    if not 0 <= port < 65536:
        raise InvalidConfig(f"--port is from 0 to 65535, got {port}")
    token = None if token_file is None else _token_in(token_file)
    options = with_places(options)
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    from longdwm_env.agents.driving_page.page_server import PageServer
    from longdwm_env.io.human_window import no_window

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
    token = first_line(path)
    if not (token and all(character.isalnum() or character in "-_" for character in token) and token.isascii()):
        raise InvalidConfig(f"the first line of {path} is no token: letters, digits, - and _ of ASCII")
    return token


def first_line(path: Path) -> str:
    """What a token file says.

    Raises:
        InvalidConfig: it cannot be read.
    """
    try:
        return path.read_text().partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidConfig(f"the token file {path} cannot be read: {error}") from error
