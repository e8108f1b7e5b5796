"""Who may talk to the server: the right host, the right origin, and holders of the token."""

import hmac
import html
import ipaddress
import socket
from collections.abc import Mapping
from contextlib import suppress
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from h11 import LocalProtocolError
from starlette.datastructures import Headers, QueryParams
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from longdwm_env.agents.loopback import is_loopback

SHORTEST_TOKEN = 16

HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""With every answer: the page takes nothing from elsewhere, and nothing elsewhere takes it in."""

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")


def _name_in(host_header: str) -> str:
    """The name in a Host header or a netloc, without its port; empty if it is none."""
    try:
        return (urlsplit(f"//{host_header}").hostname or "").rstrip(".")
    except ValueError:
        return ""


def _netloc_of(origin: str) -> str:
    """Name and port in an Origin header; empty if it is none."""
    try:
        return urlsplit(origin).netloc
    except ValueError:
        return ""


def _names(host: str) -> frozenset[str]:
    """The names that the machine is asked for by, where it listens on ``host``."""
    if is_loopback(host):
        return frozenset(LOOPBACK_NAMES)
    own = {host, socket.gethostname(), socket.getfqdn(), *LOOPBACK_NAMES}
    return frozenset(name.lower() for name in own)


class Guard:
    """Lets requests through to an app that name this machine, come from its own page and bring the token.

    The host is checked because a page elsewhere can have its own name resolve to this machine's address; the origin,
    because a page elsewhere can send requests here with this browser's cookie.

    Args:
        app: behind it.
        host: the address that is listened on. For all addresses of the machine any literal address is let through.
        port: that is listened on; browsers keep one jar of cookies for all ports.
        token: that a browser brings once in the address, and then in a cookie; programs as ``Authorization: Bearer``.
    """

    def __init__(self, app: ASGIApp, host: str, port: int, token: str) -> None:
        self._app, self._token = app, token
        self._names = _names(host)
        self._any_address = host in ("0.0.0.0", "::")
        self._cookie = f"longdwm-{port}"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check a request, and pass it on or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        # uvicorn has answered a body that is no HTTP by itself, and raises at whatever is answered after that.
        with suppress(LocalProtocolError):
            await self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:

        async def send_with_headers(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                added = [(name.lower().encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *added]}
            await send(message)

        refusal = self._refusal(scope)
        if refusal is None:
            await self._app(scope, receive, send_with_headers)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008, "reason": "refused"})
        else:
            await refusal(scope, receive, send_with_headers)

    def _refusal(self, scope: Scope) -> Response | None:
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if len(headers.getlist("host")) != 1 or not self._is_ours(_name_in(host)):
            return PlainTextResponse(f"this server does not answer for {host[:80]!r}\n", 421)
        asks = scope["type"] == "http" and scope["method"] in ("GET", "HEAD")
        if not asks and _netloc_of(headers.get("origin", "")) != host:
            return PlainTextResponse("only the server's own page may ask for this\n", 403)
        given = QueryParams(scope["query_string"]).get("token")
        if asks and scope["path"] == "/" and given is not None and self._is_token(given):
            # The token leaves the address at once, so that it is not copied with it. The browser keeps what follows #.
            answer = RedirectResponse("/", 303)
            answer.set_cookie(self._cookie, self._token, httponly=True, samesite="lax", path="/")
            return answer
        bearer = headers.get("authorization", "").removeprefix("Bearer ")
        if not (self._is_token(self._in_cookie(headers.get("cookie", ""))) or self._is_token(bearer)):
            return HTMLResponse(_page_without_token(), 401)
        return None

    def _is_ours(self, name: str) -> bool:
        if name.lower() in self._names:
            return True
        if not self._any_address:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return False
        return True

    def _in_cookie(self, header: str) -> str:
        try:
            kept = SimpleCookie(header).get(self._cookie)
        except CookieError:
            return ""
        return "" if kept is None else kept.value

    def _is_token(self, given: str) -> bool:
        return hmac.compare_digest(given.encode("utf-8", "surrogateescape"), self._token.encode())


def _page_without_token() -> str:
    said = html.escape("Open the address that longdwm serve has printed: it ends in ?token=...")
    return f"<!doctype html><html lang=en><meta charset=utf-8><title>LongDWM</title><p>{said}</p>\n"
