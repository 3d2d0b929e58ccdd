"""The server's process: one agent on standard input and output, or some over HTTP on this machine behind a token."""

from __future__ import annotations

import hmac
import secrets
import signal
import socket
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any, Final

import anyio
import uvicorn
from mcp.server.transport_security import TransportSecuritySettings

from rpyc_kernel.faces.mcp.agents import Agents
from rpyc_kernel.faces.mcp.server import make_server
from rpyc_kernel.faces.mcp.standard_streams import serve_standard_streams

HOST: Final = "127.0.0.1"
_PATH: Final = "/mcp"
_HURRY_S: Final = 1
_ASGI = Callable[[Any, Any, Any], Awaitable[None]]


def serve_stdio(agents: Agents, name: str) -> None:
    """Serve one agent until it leaves, or a signal comes."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Python would wait for the thread that reads standard input

    async def serve() -> None:
        server = make_server(agents, name)
        try:
            await serve_standard_streams(server, agents)
        finally:
            with anyio.CancelScope(shield=True):
                await agents.close()

    anyio.run(serve)


def serve_http(agents: Agents, name: str, port: int, tell: Callable[[dict[str, Any]], None]) -> None:
    """Serve whoever has the token, until a signal comes.

    Args:
        agents: who they are.
        name: of the kernel.
        port: of the loopback address; 0 for a free one.
        tell: called with where it is served, and with the token.

    Raises:
        OSError: the port cannot be used.
    """
    token = secrets.token_urlsafe(32)
    with socket.create_server((HOST, port)) as listener:
        port = listener.getsockname()[1]
        here = f"{HOST}:{port}"
        loopback = [f"{HOST}:*", "localhost:*"]  # with any port, as it may be forwarded from another one
        security = TransportSecuritySettings(allowed_hosts=loopback, allowed_origins=[f"http://{here}"])
        app = make_server(agents, name).streamable_http_app(streamable_http_path=_PATH, transport_security=security)
        config = uvicorn.Config(
            _guard(app, token), log_level="warning", lifespan="on", timeout_graceful_shutdown=_HURRY_S
        )

        async def serve() -> None:
            tell({"url": f"http://{here}{_PATH}", "token": token})
            try:
                await _Server(config, agents).serve(sockets=[listener])
            finally:
                with anyio.CancelScope(shield=True):
                    await agents.close()

        anyio.run(serve)


class _Server(uvicorn.Server):
    """A server that ends no code when a signal ends it."""

    def __init__(self, config: uvicorn.Config, agents: Agents) -> None:
        super().__init__(config)
        self._agents = agents

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._agents.is_leaving = True
        super().handle_exit(sig, frame)


def _guard(app: _ASGI, token: str) -> _ASGI:
    """Let in only who knows the token; others learn nothing."""
    wanted = f"Bearer {token}".encode()

    async def guarded(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            given = dict(scope["headers"]).get(b"authorization", b"")
            if not hmac.compare_digest(given, wanted):
                head = [(b"content-type", b"text/plain"), (b"www-authenticate", b"Bearer")]
                await send({"type": "http.response.start", "status": 401, "headers": head})
                body = b"send the token that 'rpyc-kernel serve --mcp --http' printed, as Authorization: Bearer\n"
                await send({"type": "http.response.body", "body": body})
                return
        await app(scope, receive, send)

    return guarded
