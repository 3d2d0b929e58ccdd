"""The five sockets that a Jupyter kernel listens on."""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Sequence
from typing import Any

import zmq

from rpyc_kernel.errors import RequestError
from rpyc_kernel.faces.jupyter.connection_info import ConnectionInfo
from rpyc_kernel.faces.jupyter.messages import Header, Request
from rpyc_kernel.faces.jupyter.sockets import Sockets

_EARLY_S = 3.0
_MAX_EARLY = 1000
_MONITOR_EVENT = struct.Struct("=Hi")
"""What a socket says of its connections: event and descriptor. ZeroMQ's own reader would bring asyncio."""


class Channels(Sockets):
    """Bound sockets.

    Args:
        info: where, and with which keys.

    Raises:
        RequestError: an address is in use, or cannot be.
    """

    def __init__(self, info: ConnectionInfo) -> None:
        super().__init__(info.key.encode(), info.signature_scheme)
        self.ports = info.ports
        self._subscribers = 0
        # Clients that were there before the sockets find each of them at another moment, and iopub may be the last.
        self._early: list[tuple[Any, ...]] = []
        self._early_until: float | None = None
        # Which connections the clients' requests came by: the only sign of a client that is gone.
        self._peers: dict[int, bytes] = {}
        try:
            for name in ("control", "shell", "stdin"):
                self._take_requests(name, self._bind(info, name, zmq.ROUTER))
            self._iopub = self._bind(info, "iopub", zmq.XPUB)
            self._heartbeat = self._bind(info, "hb", zmq.ROUTER)
        except BaseException:
            self.close()
            raise
        self._monitor = self._requests["shell"].get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._closing.callback(self._monitor.close)
        self._closing.callback(self._requests["shell"].disable_monitor)
        self.listen(self._heartbeat, self._echo)
        self.listen(self._iopub, self._take_subscription)
        self.listen(self._monitor, self._forget_peer)

    def _bind(self, info: ConnectionInfo, name: str, kind: int) -> zmq.Socket[Any]:
        opened = self._open(kind)
        if kind == zmq.XPUB:
            opened.setsockopt(zmq.XPUB_MANUAL, 1)  # lets what came before be sent to a newcomer alone
        else:
            opened.router_handover = 1  # a client that reconnects takes its identity with it
            opened.router_mandatory = 1  # says so when a client is gone
        if info.curve_secretkey:
            opened.curve_server = True
            opened.curve_secretkey = info.curve_secretkey.encode()
            opened.curve_publickey = info.curve_publickey.encode()
        try:
            opened.bind(info.url(name))
        except zmq.ZMQError as error:
            raise RequestError(f"cannot listen on {info.url(name)} for {name}: {error}") from None
        return opened

    def _echo(self) -> None:
        with contextlib.suppress(zmq.ZMQError):
            self._heartbeat.send_multipart(self._heartbeat.recv_multipart())

    def _take_subscription(self) -> None:
        message = self._iopub.recv()
        is_new, topic = message[:1] == b"\x01", message[1:]
        if not is_new or topic:
            self._iopub.setsockopt(zmq.SUBSCRIBE if is_new else zmq.UNSUBSCRIBE, topic or self._topic)
            return
        self._subscribers += 1
        only = b"newcomer-%d." % self._subscribers
        for accepted in (self._topic, only):
            self._iopub.setsockopt(zmq.SUBSCRIBE, accepted)

        def publish_to_newcomer(
            kind: str, content: dict[str, Any], parent: Header | None = None, metadata: Any = None, buffers: Any = ()
        ) -> None:
            self._send(self._iopub, [only + kind.encode()], kind, content, parent, metadata, buffers)

        self.welcome(publish_to_newcomer)

    def _note_peer(self, request: Request, frame: zmq.Frame) -> None:
        if request.channel == "shell":
            self._peers[frame.get(zmq.SRCFD)] = request.identity[0]

    def _forget_peer(self) -> None:
        while self._monitor.poll(0):
            event, _ = self._monitor.recv_multipart()
            _, descriptor = _MONITOR_EVENT.unpack(event)
            self._peers.pop(descriptor, None)

    def is_there(self, identity: list[bytes]) -> bool:
        """Whether the client with this identity is still connected."""
        return identity[0] in self._peers.values()

    def publish(
        self,
        kind: str,
        content: dict[str, Any],
        parent: Header | None,
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
    ) -> None:
        """Send a message to every subscriber."""
        if self._early_until is None:
            self._early_until = time.monotonic() + _EARLY_S
        self._early.append((kind, content, parent, metadata, buffers))
        if not self._is_early:
            self._early, self._early_until = [], 0.0
        super().publish(kind, content, parent, metadata, buffers)

    @property
    def early(self) -> list[tuple[Any, ...]]:
        """All that was published so far, in the first moments; nothing later, or if it is too much."""
        return self._early if self._is_early else []

    @property
    def _is_early(self) -> bool:
        return len(self._early) < _MAX_EARLY and time.monotonic() < (self._early_until or 0.0)
