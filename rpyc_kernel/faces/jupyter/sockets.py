"""Messages on some sockets, and one wait for all that may come.

All of it belongs to one thread, but for `Sockets.wake`.
"""

from __future__ import annotations

import contextlib
import logging
import math
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import zmq

from rpyc_kernel.faces.jupyter.messages import Header, Messages, Request

_log = logging.getLogger(__name__)
_LINGER_MS = 1000
_MAX_COPIED_BYTES = 65_536

_send_frame: Callable[..., Any] = zmq.backend.Socket.send
"""Without what pyzmq does in Python for each frame, which takes twice as long as the rest: a cell is some forty."""


class Sockets:
    """The sockets of a kernel: by some come requests, by one goes what all are to hear.

    Args:
        key: the secret that messages are signed with; empty leaves them unsigned.
        scheme: ``hmac-`` and the name of a hash.

    Attributes:
        welcome: called for each new subscriber of everything, where the sockets know of any, with a function that
            publishes to that one alone: message type, content, parent header.
        waited_s: for how long `receive` has waited, all in all, whatever came.
        ports: by the names that Jupyter has for them.

    Raises:
        RequestError: there is no such hash.
    """

    def __init__(self, key: bytes, scheme: str) -> None:
        self.welcome: Callable[[Callable[..., None]], None] = lambda _: None
        self.waited_s = 0.0
        self.ports: dict[str, Any] = {}
        self._messages = Messages(key, scheme)
        self._topic = b"kernel."
        self._named: dict[str, Any] = {}  # what stands in the metadata of each message
        self._requests: dict[str, zmq.Socket[Any]] = {}
        self._iopub: zmq.Socket[Any]
        self._closing = contextlib.ExitStack()
        self._context = zmq.Context()
        self._closing.callback(self._context.term)
        self._poller = zmq.Poller()
        self._hearers: dict[Any, Callable[[], object]] = {}
        self._wake_in, self._wake_out = (self._closing.enter_context(end) for end in socket.socketpair())
        self._wake_in.setblocking(False)
        self._wake_out.setblocking(False)
        self.listen(self._wake_in.fileno(), self._note_waking)

    def _open(self, kind: int) -> zmq.Socket[Any]:
        opened = self._context.socket(kind)
        self._closing.callback(opened.close)
        opened.linger = _LINGER_MS
        # Any limit would lose messages of slow subscribers, and make others wait for a client that takes no replies.
        opened.sndhwm = 0
        return opened

    def _take_requests(self, name: str, channel: zmq.Socket[Any]) -> None:
        """Have `receive` yield what comes by this; what was said first comes first."""
        self._requests[name] = channel
        self._poller.register(channel, zmq.POLLIN)

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
        self._note_peer(request, frames[-1])
        return request

    def _note_peer(self, request: Request, frame: zmq.Frame) -> None:
        """A request has come, of which this is the last frame."""

    def is_there(self, identity: list[bytes]) -> bool:
        """Whether the client with this identity is still connected, as far as is known."""
        return True

    @property
    def early(self) -> list[tuple[Any, ...]]:
        """All that was published so far, in the first moments, where newcomers are to have it."""
        return []

    def _note_waking(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_in.recv(4096)

    # ------------------------------------------------------------------ sending

    def reply(
        self,
        request: Request,
        content: dict[str, Any],
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
    ) -> None:
        """Answer a request; a client that is gone needs no answer."""
        kind = request.kind.removesuffix("_request") + "_reply"
        self.send(request.channel, kind, content, request.header, request.identity, metadata, buffers)

    def send(
        self,
        channel: str,
        kind: str,
        content: dict[str, Any],
        parent: Header,
        identity: list[bytes],
        metadata: dict[str, Any] | None = None,
        buffers: Sequence[bytes] = (),
    ) -> str | None:
        """Send a message to one client; returns the message's id, None when the client is gone."""
        msg_id = self._messages.new_id()
        try:
            self._send(self._requests[channel], identity, kind, content, parent, metadata, buffers, msg_id)
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
        self._send(self._iopub, [self._topic + kind.encode()], kind, content, parent, metadata, buffers)

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
        if self._named:
            metadata = {**self._named, **(metadata or {})}
        *frames, last = *identity, *self._messages.write(kind, content, parent, metadata, msg_id), *buffers
        for frame in frames:
            _send_frame(opened, frame, zmq.SNDMORE, copy=len(frame) < _MAX_COPIED_BYTES)
        _send_frame(opened, last, copy=len(last) < _MAX_COPIED_BYTES)

    def close(self) -> None:
        """Close all sockets, after what was sent has had a moment to go out."""
        self._closing.close()
