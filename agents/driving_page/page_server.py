"""The server: the page, its scenes and files, and one websocket for each viewer."""

import asyncio
import re
import secrets
import socket as sockets
import threading
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import asdict
from functools import partial
from importlib.resources import files

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from longdwm_env.agents.driving.engine.drive_options import DriveOptions
from longdwm_env.agents.driving_page import orders
from longdwm_env.agents.driving_page.audience import Audience, Viewer
from longdwm_env.agents.driving_page.guard import SHORTEST_TOKEN, Guard
from longdwm_env.agents.driving_page.letters import hello, news, tiled
from longdwm_env.agents.driving_page.orders import MAX_ORDER_CHARS, Refused, order_of
from longdwm_env.agents.driving_page.page_starts import Starts
from longdwm_env.agents.driving_page.photos import MAX_PHOTO_BYTES, Photos
from longdwm_env.agents.driving_page.picture_scenery import Scenery
from longdwm_env.agents.driving_page.room import Room
from longdwm_env.agents.driving_page.wire import Broadcast
from longdwm_env.agents.loopback import is_loopback
from longdwm_env.errors import InvalidConfig, LongDWMError

PAGE = {
    "": ("index.html", "text/html"),
    "page.css": ("page.css", "text/css"),
    "page.js": ("page.js", "text/javascript"),
    "picture.js": ("picture.js", "text/javascript"),
    "hands.js": ("hands.js", "text/javascript"),
    "dialogs.js": ("dialogs.js", "text/javascript"),
}
"""The page's files by their address; no other file of the folder is served."""

VIEWER_NAME = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)

REPLACED = 4001
"""Websocket code: another connection took this one's name, or it did not read what it was sent."""


class PageServer:
    """Everything between the network and the room.

    Args:
        options: of the drive.
        host, port: to listen on; port 0 picks a free one.
        token: to be shown; None makes one up.

    Raises:
        InvalidConfig: the address cannot be had, or the token is too short for one that others can reach.
    """

    def __init__(
        self, options: DriveOptions, host: str = "127.0.0.1", port: int = 8600, token: str | None = None
    ) -> None:
        if token is not None and len(token) < SHORTEST_TOKEN and not is_loopback(host):
            raise InvalidConfig(f"a token for {host} needs {SHORTEST_TOKEN} characters; without one, one is made up")
        self.token = secrets.token_urlsafe(24) if token is None else token
        self.socket = _listening(host, port)
        self.host, self.port = host, self.socket.getsockname()[1]
        self.failure: BaseException | None = None
        self._ends = threading.Event()
        try:
            self.photos = Photos(options.out / "photos")
            self.room = Room(options, self.photos, self._published, self._announced, self._room_ended)
            self.scenery = Scenery(Starts(options, self.photos).source, self.photos)
        except BaseException:
            self.socket.close()
            raise
        self.audience = Audience()
        self._loop: asyncio.AbstractEventLoop | None = None
        config = uvicorn.Config(
            Guard(self._app(), host, self.port, self.token),
            log_level="warning",
            access_log=False,  # addresses hold the token
            server_header=False,
            proxy_headers=False,
            ws="websockets-sansio",
            ws_max_size=4 * MAX_ORDER_CHARS,  # bytes, of characters
            ws_max_queue=16,
            ws_per_message_deflate=False,  # pictures are packed already
            limit_concurrency=256,
            h11_max_incomplete_event_size=16 * 1024,
            timeout_graceful_shutdown=2,
        )
        self._uvicorn = uvicorn.Server(config)

    @property
    def address(self) -> str:
        """Where to go with a browser, with the token."""
        name = {"0.0.0.0": sockets.gethostname(), "::": sockets.gethostname()}.get(self.host, self.host)
        return f"http://{f'[{name}]' if ':' in name else name}:{self.port}/?token={self.token}"

    def run(self) -> None:
        """Serve until Ctrl-C, ``stop``, or a first scene that cannot be opened.

        Raises:
            Exception: what kept the first scene from opening.
        """
        try:
            self._uvicorn.run(sockets=[self.socket])
        finally:
            self.socket.close()
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """End ``run``, from any thread."""
        self._uvicorn.should_exit = True

    def _app(self) -> Starlette:
        return Starlette(
            routes=[
                *(Route(f"/{name}", partial(_page_file, name)) for name in PAGE),
                Route("/scenes", self._scenes),
                Route("/thumbnails/{kind}/{which}", self._thumbnail),
                Route("/branches/{number}/{way}", self._branch),
                Route("/recordings/{name}", self._recording),
                Route("/photos", self._photo, methods=["POST"]),
                WebSocketRoute("/drive", self._drive),
            ],
            lifespan=self._lifespan,
        )

    @asynccontextmanager
    async def _lifespan(self, app: Starlette) -> AsyncIterator[None]:
        self._loop = asyncio.get_running_loop()
        self.room.start()
        drawing = threading.Thread(target=self.scenery.draw_ahead, args=(self._drive_stands,), daemon=True)
        drawing.start()
        yield
        self._ends.set()
        await asyncio.to_thread(self.room.close)
        await asyncio.to_thread(drawing.join, 5.0)

    def _drive_stands(self) -> bool:
        """Wait until the drive stands, so that pictures of scenes take none of its time; False once the server ends."""
        while not self._ends.is_set():
            session = self.room.session
            if session.trip is not None and not session.running:
                return True
            self._ends.wait(0.2)
        return False

    # From the room's thread

    def _soon(self, do: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(do)

    def _published(self, broadcast: Broadcast) -> None:
        self._soon(partial(self.audience.publish, broadcast))

    def _announced(self, what: str) -> None:
        self._soon(lambda: self.audience.tell(news(self.room, what)))

    def _room_ended(self, error: BaseException | None) -> None:
        self.failure = error
        self.stop()

    # Requests

    async def _scenes(self, request: Request) -> Response:
        choices = await run_in_threadpool(self.scenery.choices)
        return JSONResponse([asdict(choice) for choice in choices])

    async def _thumbnail(self, request: Request) -> Response:
        kind, which = (request.path_params[name] for name in ("kind", "which"))
        try:
            return Response(await run_in_threadpool(self.scenery.thumbnail, kind, which), media_type="image/jpeg")
        except LongDWMError as error:
            return PlainTextResponse(f"{error}\n", 404)
        except asyncio.CancelledError:  # the server ends, and does not wait for pictures
            return PlainTextResponse("the server ends\n", 503)

    async def _branch(self, request: Request) -> Response:
        branches = self.room.branches
        number, way = request.path_params["number"], request.path_params["way"]
        ways = () if branches is None or str(branches.number) != number else branches.ways
        found = [each for place, each in enumerate(ways) if str(place) == way]
        if not found:
            return PlainTextResponse("these drives are gone\n", 404)
        return Response(await run_in_threadpool(tiled, found[0].frames), media_type="image/jpeg")

    async def _recording(self, request: Request) -> Response:
        name = request.path_params["name"]
        # Only what this server wrote itself, by the very name that it gave: nothing is looked up in the folder.
        path = self.room.options.out / name
        if name not in self.room.recordings or path.is_symlink() or not path.is_file():
            return PlainTextResponse("there is no such recording\n", 404)
        return FileResponse(path, filename=name)

    async def _photo(self, request: Request) -> Response:
        length = request.headers.get("content-length", "")
        if length.isascii() and length.isdigit() and int(length[:12]) > MAX_PHOTO_BYTES:
            return JSONResponse({"why": f"a photo has at most {MAX_PHOTO_BYTES >> 20} MiB"}, 413)
        try:
            return JSONResponse({"photo": await self.photos.receive(request.stream())})
        except Refused as error:
            return JSONResponse({"why": str(error)}, 400)
        except ClientDisconnect:
            return PlainTextResponse("the sender is gone\n", 400)

    async def _drive(self, socket: WebSocket) -> None:
        name = socket.query_params.get("viewer", "")
        if not VIEWER_NAME.fullmatch(name) or (self.audience.full and name not in self.audience.seats.viewers):
            await socket.close(1013 if VIEWER_NAME.fullmatch(name) else 1008)
            return
        await socket.accept()
        viewer = Viewer(name, socket)
        viewer.tell(hello())
        self.audience.join(viewer)
        for what in ("worlds", "recordings"):
            viewer.tell(news(self.room, what))
        self.room.watched_by(len(self.audience.seats.viewers))
        parts = [asyncio.create_task(viewer.send_all()), asyncio.create_task(self._hear(viewer))]
        try:
            done, _ = await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
            for part in done:
                if not isinstance(part.exception(), WebSocketDisconnect | RuntimeError | OSError | None):
                    raise part.exception() or AssertionError
        finally:
            for part in parts:
                part.cancel()
            await asyncio.gather(*parts, return_exceptions=True)
            if self.audience.leave(viewer):
                self.room.let_go()
            self.room.watched_by(len(self.audience.seats.viewers))
        await _close(socket, REPLACED if viewer.gone else 1008)

    async def _hear(self, viewer: Viewer) -> None:
        """Follow a viewer's orders until it says no more."""
        while not viewer.gone:
            message = await viewer.socket.receive()
            text = message.get("text")
            if text is None or not viewer.may_order():
                return
            try:
                self._follow(viewer, order_of(text))
            except Refused as error:
                viewer.tell({"is": "refused", "why": str(error)})

    def _follow(self, viewer: Viewer, order: orders.Order) -> None:
        seats = self.audience.seats
        now_s = time.monotonic()
        driving = seats.driver == viewer.name
        match order:
            case orders.Seen(n):
                viewer.seen(n)
                if driving:
                    self.room.order(order, lambda letter: None)
            case orders.TakeSeat():
                if not driving:
                    if not seats.take(viewer.name, now_s):
                        raise Refused("the wheel is not free")
                    self.room.let_go()
                    self.audience.tell_seats()
            case orders.Link():
                self.room.order(order, lambda letter: self._soon(partial(viewer.tell, letter)))
            case _ if not driving:
                raise Refused("another viewer is at the wheel")
            case orders.LeaveSeat():
                seats.hand_over(viewer.name)
                self.room.let_go()
                self.audience.tell_seats()
            case _:
                seats.moved(viewer.name, now_s)
                self.room.order(order, lambda letter: self._soon(partial(viewer.tell, letter)))


async def _page_file(name: str, request: Request) -> Response:
    file, kind = PAGE[name]
    return Response((files(__package__) / "page" / file).read_bytes(), media_type=kind)


async def _close(socket: WebSocket, code: int) -> None:
    try:
        await socket.close(code)
    except (RuntimeError, OSError, WebSocketDisconnect):
        return  # the other side was quicker


def _listening(host: str, port: int) -> sockets.socket:
    try:
        family = sockets.getaddrinfo(host, port, type=sockets.SOCK_STREAM, flags=sockets.AI_PASSIVE)[0][0]
        listening = sockets.socket(family, sockets.SOCK_STREAM)
        try:
            listening.setsockopt(sockets.SOL_SOCKET, sockets.SO_REUSEADDR, 1)
            listening.bind((host, port))
            # From here on a browser that is opened at once waits instead of being turned away.
            listening.listen(128)
        except BaseException:
            listening.close()
            raise
    except (OSError, OverflowError, UnicodeError) as error:
        raise InvalidConfig(f"cannot listen on {host}:{port} ({error}); --port 0 picks a free one") from error
    return listening
