"""The page's server: a process of its own on 127.0.0.1, which a token opens and any foreign Host or Origin closes.

The loop writes one JSON a line to its standard input and reads commands, one a line, from its standard output. It
decides nothing: the loop and the interlock hold every condition without it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import socket
import sys
import threading
import time
from importlib import resources
from typing import TYPE_CHECKING, Any

from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.live.hub import Hub, Visit
from sharpwave.untrusted import explained, parse_json

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fastapi import FastAPI

    App = Callable[..., Awaitable[None]]

FILES = {
    "index.html": "text/html",
    "page.css": "text/css",
    "page.js": "text/javascript",
    "draw.js": "text/javascript",
    "recorded.js": "text/javascript",
    "icon.svg": "image/svg+xml",
    "uPlot.iife.min.js": "text/javascript",
    "uPlot.min.css": "text/css",
    "uPlot.LICENSE.txt": "text/plain",
}
"""All that is ever served, each from inside the installed package."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing from outside, nothing inline, and no frame around it."""
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
MOST_PAGES = 8
LARGEST_MESSAGE = 1024
GREETING_SECONDS = 5.0
PULSE = 0.25
"""Seconds after which a page hears of the server even where the loop says nothing new."""
LINGER = 3.0
"""Seconds for which the server still says that the loop has ended or died."""
WRONG_TOKEN, TOO_MANY, NONSENSE = 4401, 4429, 4400
"""Codes with which a page is turned away."""


def read_page_file(name: str) -> bytes:
    """One of the page's files, from inside the installed package.

    >>> read_page_file("uPlot.LICENSE.txt")[:15]
    b'The MIT License'
    """
    return (resources.files("sharpwave.live") / "page" / name).read_bytes()


def make_app(hub: Hub, *, token: str, port: int) -> FastAPI:
    """The web application: the page's files, and one WebSocket.

    Args:
        hub: What pages are told and may ask.
        token: What a page says first; anything else is turned away.
        port: Port of 127.0.0.1 that it is served from, which the headers `Host` and `Origin` must name.

    Raises:
        MissingExtraError: If FastAPI is not installed.
    """
    try:
        from fastapi import FastAPI
        from starlette.responses import Response
        from starlette.routing import Route, WebSocketRoute
    except ImportError:
        raise MissingExtraError("fastapi", extra="live") from None

    def serve_file(request: Any) -> Response:
        name = request.path_params.get("name") or "index.html"
        if name not in FILES:
            return Response("no such page", 404, HEADERS, "text/plain")
        return Response(read_page_file(name), 200, HEADERS, FILES[name])

    async def serve_page(websocket: Any) -> None:
        await _converse(websocket, hub, token)

    routes = [Route("/", serve_file), Route("/{name}", serve_file), WebSocketRoute("/live", serve_page)]
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, routes=routes)
    app.add_middleware(_HomeOnly, port=port)
    return app


class _HomeOnly:
    """Turns away what does not name this server as its host, or comes from a page of someone else."""

    def __init__(self, app: App, port: int) -> None:
        self.app = app
        self.hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        self.origins = {f"http://{host}" for host in self.hosts}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" or self._is_home(scope):
            await self.app(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        else:
            await send({"type": "http.response.start", "status": 421, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"this server answers to 127.0.0.1 alone"})

    def _is_home(self, scope: Any) -> bool:
        hosts = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
        origins = [value.decode("latin-1") for name, value in scope["headers"] if name == b"origin"]
        at_home = len(hosts) == 1 and hosts[0] in self.hosts and all(origin in self.origins for origin in origins)
        return at_home and (scope["type"] == "http" or len(origins) == 1)


async def _converse(websocket: Any, hub: Hub, token: str) -> None:
    """One page, from its greeting until it closes."""
    from starlette.websockets import WebSocketDisconnect

    await websocket.accept()
    try:
        greeting = await asyncio.wait_for(websocket.receive_text(), GREETING_SECONDS)
        if not _knows(greeting, token):
            return await _turn_away(websocket, WRONG_TOKEN)
    except (TimeoutError, WebSocketDisconnect, KeyError):
        return await _turn_away(websocket, WRONG_TOKEN)
    if hub.pages >= MOST_PAGES:
        return await _turn_away(websocket, TOO_MANY)
    visit = Visit()
    hub.open_page()
    telling = asyncio.create_task(_tell(websocket, hub, visit))
    try:
        while True:
            answer = hub.hear(await websocket.receive_text(), visit, now=time.monotonic())
            await websocket.send_text(json.dumps({"answer": answer}))
    except SharpwaveError:
        await _turn_away(websocket, NONSENSE)
    except (WebSocketDisconnect, RuntimeError, KeyError):
        pass
    finally:
        telling.cancel()
        hub.close_page(now=time.monotonic())
    return None


async def _turn_away(websocket: Any, code: int) -> None:
    """Close a page's socket, which may have gone already."""
    from starlette.websockets import WebSocketDisconnect

    with contextlib.suppress(RuntimeError, WebSocketDisconnect):
        await websocket.close(code)


def _knows(greeting: str, token: str) -> bool:
    try:
        with explained(
            "a greeting with a token", name="greeting of a page", fix="open the address that the loop printed"
        ):
            said = parse_json(greeting.encode("utf-8", "replace"))
    except SharpwaveError:
        return False
    word = said.get("token") if isinstance(said, dict) else None
    return isinstance(word, str) and hmac.compare_digest(word.encode("utf-8", "replace"), token.encode())


async def _tell(websocket: Any, hub: Hub, visit: Visit) -> None:
    """Tell a page what is new, ten times a second at most; a slow page delays itself alone."""
    from starlette.websockets import WebSocketDisconnect

    with contextlib.suppress(WebSocketDisconnect, RuntimeError):
        await websocket.send_text(json.dumps({"card": hub.card}))
        told_at, heard_at = -1.0, hub.heard_at
        while True:
            now = time.monotonic()
            if hub.heard_at != heard_at or now - told_at >= PULSE:
                told_at, heard_at = now, hub.heard_at
                await websocket.send_text(json.dumps(hub.tell(visit, now=now)))
            await asyncio.sleep(0.05)


def run_server(*, port: int, token: str, attended: bool) -> None:
    """Serve until the loop closes its line, and say for some seconds more that it is gone.

    Args:
        port: Port of 127.0.0.1; 0 takes a free one, which the first line on standard output names.
        token: What a page says first.
        attended: Whether the night stops when no page is open any more.
    """
    import uvicorn

    def command(name: str) -> None:
        with contextlib.suppress(OSError, ValueError):  # the loop has gone: there is nothing left to stop
            print(json.dumps({"command": name}), flush=True)

    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listening.bind(("127.0.0.1", port))
    listening.listen(64)  # from here on a page that comes early waits
    port = listening.getsockname()[1]
    hub = Hub(command, attended=attended)
    settings: dict[str, Any] = {
        **{
            "log_level": "error",
            "access_log": False,
            "server_header": False,
            "lifespan": "off",
            "proxy_headers": False,
        },
        **{"ws": "websockets-sansio", "ws_max_size": LARGEST_MESSAGE, "limit_concurrency": 64},
        **{"ws_ping_interval": 1.0, "ws_ping_timeout": 5.0},
    }
    server = uvicorn.Server(uvicorn.Config(make_app(hub, token=token, port=port), **settings))

    async def serve() -> None:
        beside = asyncio.create_task(_follow_loop(hub, server))
        await server.serve(sockets=[listening])
        beside.cancel()

    print(json.dumps({"port": port}), flush=True)
    asyncio.run(serve())


async def _follow_loop(hub: Hub, server: Any) -> None:
    """Take what the loop says, in the order in which it says it, and see when it has gone."""
    here, said = asyncio.get_running_loop(), asyncio.Queue[bytes]()

    def read() -> None:
        for line in sys.stdin.buffer:
            here.call_soon_threadsafe(said.put_nowait, line)
        here.call_soon_threadsafe(said.put_nowait, b"")

    threading.Thread(target=read, daemon=True).start()
    gone_at = None
    while True:
        with contextlib.suppress(TimeoutError):
            line = await asyncio.wait_for(said.get(), 0.1)
            if line:
                hub.take(json.loads(line), now=time.monotonic())
            else:
                hub.lose()
        now = time.monotonic()
        hub.watch(now=now)
        if hub.gone:
            gone_at = now if gone_at is None else gone_at
            server.should_exit = now - gone_at > LINGER


def main() -> None:
    """Run the server with the settings in the first line of standard input."""
    settings = json.loads(sys.stdin.buffer.readline() or b"{}")
    try:
        run_server(port=int(settings["port"]), token=str(settings["token"]), attended=bool(settings["attended"]))
    except (OSError, ImportError) as error:
        print(json.dumps({"error": str(error)}), flush=True)


if __name__ == "__main__":
    main()
