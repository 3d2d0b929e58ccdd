"""The full screen in a browser: served on loopback only, and to nobody without the token.

Cookies do not tell ports apart, and any page can have a browser send requests here. So the Host of every request has to
be the address that was printed (a foreign name may lead to loopback), and the Origin of a websocket, too.
"""

from __future__ import annotations

import asyncio
import hmac
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from textual_serve.server import Server

HOST = "127.0.0.1"
_PAGES_S = 5.0
"""A program that takes longer to end does so when nobody serves its page any more."""
_STRAGGLERS_S = 0.2
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class GuardedServer(Server):
    """Serves a program to browsers that know the token.

    Args:
        command: a line for the shell; it runs once for each open page.
        port: of the loopback address, on which somebody listens already.
        title: what the page shows until the program does.
    """

    def __init__(self, command: str, port: int, title: str) -> None:
        super().__init__(command, host=HOST, port=port, title=title, public_url=f"http://{HOST}:{port}")
        self._token = secrets.token_urlsafe(32)
        self._cookie = secrets.token_urlsafe(32)
        self._cookie_name = f"rpyc_kernel_web_{port}"
        self._pages: set[asyncio.Task[Any]] = set()

    @property
    def address(self) -> str:
        """What to open in a browser; whoever has it can do all that the program can."""
        return f"{self.public_url}/?token={self._token}"

    async def make_app(self) -> web.Application:
        """The application, guarded."""
        app = await self._make_app()
        app.middlewares.append(self._guard_middleware())
        return app

    async def on_startup(self, app: web.Application) -> None:
        """Print nothing: the command does."""

    async def handle_websocket(self, request: web.Request) -> web.WebSocketResponse:
        """Run the program of a page for as long as it is open."""
        page = asyncio.current_task()
        assert page is not None
        self._pages.add(page)
        try:
            return await super().handle_websocket(request)
        finally:
            self._pages.discard(page)

    async def end_pages(self) -> None:
        """Tell the programs of all pages to end, and wait for that; to be called while pages are still listened to."""
        for page in self._pages:
            page.cancel()
        if self._pages:
            await asyncio.wait(self._pages, timeout=_PAGES_S)

    def _guard_middleware(self) -> Any:
        @web.middleware
        async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
            if request.headers.getall("Host", []) != [f"{HOST}:{self.port}"]:
                raise web.HTTPForbidden(text=f"this is served as {self.public_url} only\n")
            if request.path == "/" and _is_same(request.query.get("token", ""), self._token):
                return self._let_in()
            if not _is_same(request.cookies.get(self._cookie_name, ""), self._cookie):
                raise web.HTTPForbidden(text="open the address that 'rpyc-kernel web' printed, with its token\n")
            if request.path == "/ws" and request.headers.getall("Origin", []) != [self.public_url]:
                raise web.HTTPForbidden(text="another page may not open this\n")
            response = await handler(request)
            if not response.prepared:
                response.headers.update(self._headers)
            return response

        return guard

    def _let_in(self) -> web.Response:
        """Give the cookie, and lead to the address without the token, so that it stands in no history or picture."""
        response = web.Response(status=303, headers={"Location": "/", **self._headers})
        response.set_cookie(self._cookie_name, self._cookie, httponly=True, samesite="Strict", path="/")
        return response

    @property
    def _headers(self) -> dict[str, str]:
        """Nothing from elsewhere, in no frame, and the address told to nobody."""
        return {
            "Content-Security-Policy": "default-src 'self' data:; script-src 'self' 'unsafe-inline'; "
            f"style-src 'self' 'unsafe-inline'; connect-src 'self' ws://{HOST}:{self.port}; frame-ancestors 'none'",
            "Referrer-Policy": "no-referrer",
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }


def _is_same(given: str, secret: str) -> bool:
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), secret.encode())


def listen(port: int) -> socket.socket:
    """Listen on loopback; port 0 is any free one. Raises OSError where that cannot be."""
    return socket.create_server((HOST, port))


async def serve(server: GuardedServer, listener: socket.socket, tell: Callable[[str], object]) -> int:
    """Serve until SIGINT, SIGTERM or SIGHUP, and end the programs of all pages; says which of them it was."""
    loop = asyncio.get_running_loop()
    received: asyncio.Future[int] = loop.create_future()

    def note(number: int) -> None:
        if not received.done():
            received.set_result(number)

    for number in _ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as by nohup
            loop.add_signal_handler(number, note, number)
    # The log of requests would have the token in it.
    runner = web.AppRunner(await server.make_app(), access_log=None, shutdown_timeout=_STRAGGLERS_S)
    await runner.setup()
    site = web.SockSite(runner, listener)
    try:
        await site.start()
        tell(server.address)
        ended_by = await received
        await site.stop()
        await server.end_pages()
        return ended_by
    finally:
        await runner.cleanup()
