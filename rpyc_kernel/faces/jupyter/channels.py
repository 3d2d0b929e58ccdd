"""The five sockets of a Jupyter kernel, and messages on them.

All of it belongs to one thread, but for `Channels.wake`.
"""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import zmq

from rpyc_kernel.errors import RequestError
from rpyc_kernel.faces.jupyter.connection_info import ConnectionInfo
from rpyc_kernel.faces.jupyter.messages import Header, Messages, Request

_log = logging.getLogger(__name__)
_LINGER_MS = 1000
_TOPIC = b"kernel."
_EARLY_S = 3.0
_MAX_EARLY = 1000
_MAX_COPIED_BYTES = 65_536
_MONITOR_EVENT = struct.Struct("=Hi")
"""What a socket says of its connections: event and descriptor. ZeroMQ's own reader would bring asyncio."""

_send_frame: Callable[..., Any] = zmq.backend.Socket.send
"""Without what pyzmq does in Python for each frame, which takes twice as long as the rest: a cell is some forty."""


class Channels:
    """Bound sockets.

    Args:
        info: where, and with which keys.

    Attributes:
        info: the same.
        welcome: called for each new subscriber of everything, with a function that publishes to that one alone:
            message type, content, parent header.
        waited_s: for how long `receive` has waited, all in all, whatever came.

    Raises:
        RequestError: an address is in use, or cannot be.
    """

    def __init__(self, info: ConnectionInfo) -> None:
        self.info = info
        self.welcome: Callable[[Callable[..., None]], None] = lambda _: None
        self.waited_s = 0.0
        self._messages = Messages(info.key.encode(), info.signature_scheme)
        self._subscribers = 0
        # Clients that were there before the sockets find each of them at another moment, and iopub may be the last.
        self._early: list[tuple[Any, ...]] = []
        self._early_until: float | None = None
        self._closing = contextlib.ExitStack()
        self._context = zmq.Context()
        self._closing.callback(self._context.term)
        # Which connections the clients' requests came by: the only sign of a client that is gone.
        self._peers: dict[int, bytes] = {}
        try:
            self._requests = {name: self._bind(info, name, zmq.ROUTER) for name in ("control", "shell", "stdin")}
            self._iopub = self._bind(info, "iopub", zmq.XPUB)
            self._heartbeat = self._bind(info, "hb", zmq.ROUTER)
            self._wake_in, self._wake_out = (self._closing.enter_context(end) for end in socket.socketpair())
        except BaseException:
            self.close()
            raise
        self._monitor = self._requests["shell"].get_monitor_socket(zmq.EVENT_DISCONNECTED)
        self._closing.callback(self._monitor.close)
        self._closing.callback(self._requests["shell"].disable_monitor)
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self._poller = zmq.Poller()
        for channel in self._requests.values():
            self._poller.register(channel, zmq.POLLIN)
        self._hearers: dict[Any, Callable[[], object]] = {}
        self.listen(self._wake_in.fileno(), self._note_waking)
        self.listen(self._heartbeat, self._echo)
        self.listen(self._iopub, self._take_subscription)
        self.listen(self._monitor, self._forget_peer)

    def _bind(self, info: ConnectionInfo, name: str, kind: int) -> zmq.Socket[Any]:
        opened = self._context.socket(kind)
        self._closing.callback(opened.close)
        opened.linger = _LINGER_MS
        # Any limit would lose messages of slow subscribers, and make others wait for a client that takes no replies.
        opened.sndhwm = 0
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

    # ------------------------------------------------------------------ receiving

    def listen(self, source: Any, hear: Callable[[], object]) -> None:
        """Have `receive` call this when a descriptor, or a socket of ZeroMQ's, can be read."""
        self._hearers[source] = hear
        self._poller.register(source, zmq.POLLIN)

    def ignore(self, source: Any) -> None:
        """Do so no longer; to be said before it is closed, or before the next `receive`."""
        if self._hearers.pop(source, None) is not None:
            self._poller.unregister(source)

    def wake(self) -> None:
        """End a `receive` that waits; from any thread."""
        with contextlib.suppress(OSError):  # full: it will wake all the same; closed: nobody waits
            self._wake_out.send(b"!")

    def receive(self, timeout_s: float) -> Iterator[Request]:
        """Wait for messages, and yield at most one of each channel, control first; all else that comes is heard."""
        begin = time.monotonic()
        ready = dict(self._poller.poll(math.ceil(timeout_s * 1000)))
        # No longer than it was to take: who stops a process takes nothing off its clock.
        self.waited_s += min(timeout_s, time.monotonic() - begin)
        for source in ready:
            if source in self._hearers:
                self._hearers[source]()
        for name, channel in self._requests.items():
            if channel in ready:
                request = self._read(name, channel)
                if request is not None:
                    yield request

    def has_more(self, name: str) -> bool:
        """Whether there is a message on a channel that was not received."""
        return bool(self._requests[name].poll(0))

    def _read(self, name: str, channel: zmq.Socket[Any]) -> Request | None:
        """Read a message; what is no valid one is logged, and nothing else happens."""
        frames = [channel.recv(copy=False)]
        while frames[-1].more:
            frames.append(channel.recv(copy=False))
        try:
            request = self._messages.read(name, [frame.bytes for frame in frames])
        except (ValueError, RecursionError) as error:  # anybody can send anything
            _log.warning("a message on %s was dropped: %s: %s", name, type(error).__name__, error)
            return None
        if name == "shell":
            self._peers[frames[-1].get(zmq.SRCFD)] = request.identity[0]
        return request

    def _note_waking(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_in.recv(4096)

    def _echo(self) -> None:
        with contextlib.suppress(zmq.ZMQError):
            self._heartbeat.send_multipart(self._heartbeat.recv_multipart())

    def _take_subscription(self) -> None:
        message = self._iopub.recv()
        is_new, topic = message[:1] == b"\x01", message[1:]
        if not is_new or topic:
            self._iopub.setsockopt(zmq.SUBSCRIBE if is_new else zmq.UNSUBSCRIBE, topic or _TOPIC)
            return
        self._subscribers += 1
        only = b"newcomer-%d." % self._subscribers
        for accepted in (_TOPIC, only):
            self._iopub.setsockopt(zmq.SUBSCRIBE, accepted)

        def publish_to_newcomer(
            kind: str, content: dict[str, Any], parent: Header | None = None, metadata: Any = None, buffers: Any = ()
        ) -> None:
            self._send(self._iopub, [only + kind.encode()], kind, content, parent, metadata, buffers)

        self.welcome(publish_to_newcomer)

    def _forget_peer(self) -> None:
        while self._monitor.poll(0):
            event, _ = self._monitor.recv_multipart()
            _, descriptor = _MONITOR_EVENT.unpack(event)
            self._peers.pop(descriptor, None)

    def is_there(self, identity: list[bytes]) -> bool:
        """Whether the client with this identity is still connected."""
        return identity[0] in self._peers.values()

    # ------------------------------------------------------------------ sending

    def reply(self, request: Request, content: dict[str, Any], metadata: dict[str, Any] | None = None) -> None:
        """Answer a request; a client that is gone needs no answer."""
        kind = request.kind.removesuffix("_request") + "_reply"
        self.send(request.channel, kind, content, request.header, request.identity, metadata)

    def send(
        self,
        channel: str,
        kind: str,
        content: dict[str, Any],
        parent: Header,
        identity: list[bytes],
        metadata: dict[str, Any] | None = None,
    ) -> str | None:
        """Send a message to one client; returns the message's id, None when the client is gone."""
        msg_id = self._messages.new_id()
        try:
            self._send(self._requests[channel], identity, kind, content, parent, metadata, msg_id=msg_id)
        except zmq.ZMQError as error:
            _log.info("%s was for a client that is gone: %s", kind, error)
            return None
        return msg_id

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
        self._send(self._iopub, [_TOPIC + kind.encode()], kind, content, parent, metadata, buffers)

    def _send(
        self,
        opened: zmq.Socket[Any],
        identity: list[bytes],
        kind: str,
        content: dict[str, Any],
        parent: Header | None,
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
        msg_id: str | None = None,
    ) -> None:
        *frames, last = *identity, *self._messages.write(kind, content, parent, metadata, msg_id), *buffers
        for frame in frames:
            _send_frame(opened, frame, zmq.SNDMORE, copy=len(frame) < _MAX_COPIED_BYTES)
        _send_frame(opened, last, copy=len(last) < _MAX_COPIED_BYTES)

    @property
    def early(self) -> list[tuple[Any, ...]]:
        """All that was published so far, in the first moments; nothing later, or if it is too much."""
        return self._early if self._is_early else []

    @property
    def _is_early(self) -> bool:
        return len(self._early) < _MAX_EARLY and time.monotonic() < (self._early_until or 0.0)

    def close(self) -> None:
        """Close all sockets, after what was sent has had a moment to go out."""
        self._closing.close()
