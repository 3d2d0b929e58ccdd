"""An RPyC connection that its users cannot break: stock wire format, threads of its own.

    users' threads ──► outbox ───────────────► socket     (what it does not take at once: by the writer thread)
    users' threads ◄── replies ◄── reading ◄── socket     (by the requests thread, or its standby, the reader thread)
                   requests ◄──────┘
    requests thread: serves the peer's requests one by one, in the order of their arrival, and reads in between

* A user's thread leaves its frame to the outbox and waits for the reply. It never receives and never serves requests,
  so Ctrl-C leaves the stream in step, and two threads that wait for each other's calls both get on.
* The requests thread, while it waits for a reply, serves what arrives, on the same stack as in stock RPyC: calls nest
  to any depth.
* While a request runs for more than some milliseconds, the reader thread reads instead: it delivers replies to those
  who wait for them, and answers what needs no user code (ping, root, inspect). See ``Reading``.

What this cannot do: a request that blocks without waiting for a reply holds up those behind it, and of two nested
requests the outer goes on only when the inner is done. Where two callbacks need each other's progress, give each a
connection, or a thread.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from os import getpid  # not what user code may put in its place
from types import FunctionType, MappingProxyType
from typing import Any, Final

from rpyc.core import consts, protocol

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.system.futures import Latch
from rpyc_kernel.system.originals import logging, socket, threading, time
from rpyc_kernel.system.threads import make_thread, start_threads
from rpyc_kernel.wire import messages, remote_errors
from rpyc_kernel.wire.channel import DEFAULT_MAX_FRAME_BYTES, Channel, FrameTooLarge
from rpyc_kernel.wire.messages import IdPack, Package
from rpyc_kernel.wire.netrefs.configuration import CLIENT_CONFIG, WORKER_CONFIG
from rpyc_kernel.wire.netrefs.handlers import Handlers
from rpyc_kernel.wire.netrefs.heartbeat import Heartbeat, Patience
from rpyc_kernel.wire.netrefs.job_queue import JobQueue
from rpyc_kernel.wire.netrefs.pending import PendingRequests
from rpyc_kernel.wire.netrefs.references import References
from rpyc_kernel.wire.netrefs.replies import Reply
from rpyc_kernel.wire.netrefs.requests import RequestServer
from rpyc_kernel.wire.outbox import Outbox

__all__ = ["CLIENT_CONFIG", "WORKER_CONFIG", "Connection", "Patience", "connect_peer"]

_log = logging.getLogger(__name__)

_INIT: Final = protocol.Connection.__init__
_begin: Final = FunctionType(
    _INIT.__code__, {**vars(protocol), "Condition": threading.Condition}, "begin", _INIT.__defaults__, _INIT.__closure__
)
"""How a stock connection begins, with a condition that does not ask a lock of user code's for more than it has."""
_FLUSH_S: Final = 0.25
_JOIN_S: Final = 2.0
_LAST_WORDS_S: Final = 1.0
_CLOSE: Final = (consts.HANDLE_CLOSE, (consts.LABEL_VALUE, ()))
_PING: Final = (consts.HANDLE_PING, (consts.LABEL_VALUE, ("",)))


def connect_peer(
    sock: socket.socket,
    service: Any,
    *,
    name: str,
    config: Mapping[str, Any],
    request_timeout_s: float | None = None,
    patience: Patience | None = None,
    max_frame_bytes: int = DEFAULT_MAX_FRAME_BYTES,
) -> Connection:
    """Speak RPyC over a connected socket, with threads named after ``name``.

    Args:
        sock: The socket; the connection owns it from here on.
        service: What the peer gets as its ``root``: an RPyC service, or its class.
        name: What the connection is called in thread names and logs.
        config: ``CLIENT_CONFIG``, ``WORKER_CONFIG`` or any RPyC configuration.
        request_timeout_s: How long a synchronous request may take; None means as long as it takes.
        patience: How long the peer may be silent while something is awaited of it; None means for ever.
        max_frame_bytes: The largest message sent or accepted.

    Raises whatever the service's ``on_connect`` raises.
    """
    root = service() if isinstance(service, type) else service
    channel = Channel(sock, max_frame_bytes=max_frame_bytes, may_peek=bool(config.get("callers_read")))
    settings = {**config, "connid": name, "sync_request_timeout": request_timeout_s, "patience": patience}
    connection = Connection(root, channel, settings)
    connection.start()
    return connection


class Connection(Handlers):
    """A connection with threads of its own; see the module's description. Made by ``connect_peer``.

    It lives until it is closed or lost: dropping the last reference to it does not close it.
    """

    _channel: Channel

    def __init__(self, root: Any, channel: Channel, config: Mapping[str, Any] = MappingProxyType({})) -> None:
        _begin(self, root, channel, {**config, "bind_threads": False})
        self.name = str(self._config["connid"])
        self._outbox = Outbox(channel, bury=self._bury)
        self.references = References(self, self._inspect, self._give_back, self._outbox.leave)
        self._local_objects = self.references.exports
        self._jobs = JobQueue(channel, self._read)
        self._reading = self._jobs.reading
        self._pending = PendingRequests(self.references, self._jobs.wake)
        self._requests = RequestServer(self, self.references, self._jobs, self._outbox, channel)
        self._is_closing = False
        self._loss = ""
        self._targets: dict[str, Any] = {}
        self._over = Latch()
        self._welcome = Latch()
        self._welcome_error: BaseException | None = None
        self._pid = getpid()
        self._given_back = Reply(self)
        self._given_back(False, None)
        self._server = self._make_thread("requests", self._jobs.run)
        self._writer = self._make_thread("writer", self._write)
        self._standby = self._make_thread("reader", self._reading.stand_by)
        self._jobs.put(self._greet)
        self._own_threads = (self._server, self._writer, self._standby)

    def __del__(self) -> None:
        """Nothing: stock RPyC would make a call from here."""

    # ---- life ----

    def start(self) -> None:
        """Start the threads and let the service greet the peer; raises what its ``on_connect`` raises."""
        try:
            start_threads(*self._own_threads)
            self._welcome.wait()
        except BaseException:
            self.close()
            raise
        if self._welcome_error is not None:
            self.close()
            raise self._welcome_error

    def close(self) -> None:
        """Cut the connection, whatever the peer is doing, and join the threads.

        What is queued is sent if the peer takes it at once, requests not yet begun are dropped, and everything still
        awaited fails with ``ConnectionLost``. May be called from anywhere, any number of times.
        """
        if getpid() != self._pid:
            self._abandon()
            return
        if not self._is_closing:
            self._is_closing = True
            self._say_farewell()
            self._lose("it was closed here")
            self._requests.stop()
            self._outbox.put(messages.encode_request(self._get_seq_id(), *_CLOSE))
        self._outbox.close()
        self._join(self._writer, _FLUSH_S)
        self._channel.close()
        self._reading.summon()  # nobody may be reading, and who reads ends the connection
        if self._server.ident is None:  # the threads could not be started
            self._end("it never began")
        for thread in self._own_threads:
            self._join(thread, _JOIN_S)
            if thread.is_alive():
                _log.debug("%s: closed, but %s is still busy", self.name, thread.name)

    def _say_farewell(self) -> None:
        hook: Any = self._config.get("before_closed")
        if hook is None or self._closed:
            return
        with contextlib.suppress(EOFError, TimeoutError):  # as in stock RPyC; but a busy peer is not waited for
            if self._remote_root is None:
                self._remote_root = self.async_request(consts.HANDLE_GETROOT, timeout=_JOIN_S).value
            hook(self._remote_root)

    def _abandon(self) -> None:
        """In a forked child: let go of the socket without ending the parent's connection."""
        self._is_closing = True
        self._lose("it was closed here")
        self._channel.abandon()

    def _make_thread(self, role: str, target: Callable[[], None]) -> threading.Thread:
        return make_thread(target, f"{self.name}-{role}")

    def _join(self, thread: threading.Thread, timeout_s: float) -> None:
        if thread.ident is not None and thread.ident != threading.get_ident():
            thread.join(timeout_s)

    def _end(self, reason: str) -> None:
        """Answer every waiter, now that nothing can arrive any more."""
        self._reading.stop()
        self._lose(reason)
        self._channel.close()
        self._outbox.close()
        self._pending.fail_all(self._lost)
        self._over.set()
        self._jobs.put(self._finish)

    def _finish(self) -> None:
        self._jobs.finish()
        try:
            self._local_root.on_disconnect(self)
        except Exception:  # noqa: BLE001 - the service's own
            _log.exception("%s: on_disconnect raised", self.name)
        self._remote_root = self._local_root = None
        self._targets.clear()
        self.references.clear()

    def _lose(self, reason: str) -> None:
        self._loss = self._loss or reason  # first: who finds it closed asks why
        self._closed = True

    def _lost(self) -> ConnectionLost:
        return ConnectionLost(f"the connection {self.name!r} is gone: {self._loss}")

    # ---- what stock RPyC does on users' threads ----

    def serve(self, timeout: Any = 1, wait_for_lock: bool = True, waiting: Callable[[], bool] = lambda: True) -> bool:
        """Wait for the end of the connection, for so long; what comes in is served by its own threads.

        Inside a request, the requests behind it are served meanwhile.
        """
        if self._closed:
            raise self._lost()
        self.wait_for(self._over, protocol.Timeout(timeout).timeleft())
        return False

    def serve_all(self) -> None:
        """Wait for the end of the connection, and close this side of it."""
        self.wait_for(self._over, None)
        self.close()

    def serve_threaded(self, thread_count: int = 10) -> None:
        """Wait for the end of the connection, and close this side of it."""
        self.serve_all()

    # ---- requests to the peer ----

    @property
    def _request_timeout_s(self) -> float | None:
        timeout_s: Any = self._config["sync_request_timeout"]  # users of RPyC change it there
        return None if timeout_s is None else float(timeout_s)

    def sync_request(self, handler: int, *args: Any) -> Any:
        """Make a request and wait for its result; raises what it raises."""
        return self._request(handler, args, self._request_timeout_s, is_awaited=True).value

    def async_request(self, handler: int, *args: Any, timeout: float | None = None) -> Reply:
        """Make a request and return its ``Reply`` at once; waits only while too much is queued already."""
        return self._request(handler, args, timeout, is_awaited=False)

    def _request(self, handler: int, args: tuple[Any, ...], timeout_s: float | None, *, is_awaited: bool) -> Reply:
        """Make a request; where it is awaited, here and now, its reply may be read on this thread."""
        if handler == consts.HANDLE_DEL:  # from a netref's `__del__`; but `Proxies` has seen to that
            return self._given_back
        self._wait_for_room(self._request_timeout_s if timeout_s is None else timeout_s)
        reply = Reply(self, timeout_s)
        given: list[IdPack] = []
        seq = self._get_seq_id()
        try:
            frame = messages.encode_request(seq, handler, self.references.box(args, given))
            # Who is given an object calls it before the reply comes, and that is for the requests thread to read.
            if is_awaited and not given and self._may_read:
                self._reading.call(
                    lambda: self._send_request(seq, frame, reply),
                    lambda lease: self._pending.receive_one(seq, reply, self._channel, lease),
                )
            else:
                self._send_request(seq, frame, reply)
        except Exception:  # an interrupt may have come after the frame was queued: then the references are given
            self.references.take_back(given)
            raise
        return reply

    @property
    def _may_read(self) -> bool:
        """Whether this thread may read what it asks for: a user's."""
        is_possible = self._channel.readiness is not None and getpid() == self._pid
        return is_possible and not (self._jobs.is_in_job or self._reading.is_own_thread)

    def ask(self, target: str | None, method: str, *args: Any, timeout_s: float) -> Any:
        """Call a method of the peer's root, or of one of its attributes, within one time limit; raises what it raises.

        Raises:
            CallTimeout: No reply came in time.
        """
        deadline = time.monotonic() + timeout_s

        def left_s() -> float:
            return max(0.0, deadline - time.monotonic())

        if self._remote_root is None:
            self._remote_root = self._request(consts.HANDLE_GETROOT, (), left_s(), is_awaited=True).value
        called = self._remote_root
        if target is not None:
            called = self._targets.get(target)
            if called is None:
                reply = self._request(consts.HANDLE_GETATTR, (self._remote_root, target), left_s(), is_awaited=True)
                called = self._targets[target] = reply.value
        asked = (called, method, args, ())
        return self._request(consts.HANDLE_CALLATTR, asked, left_s(), is_awaited=True).value

    def _wait_for_room(self, timeout_s: float | None) -> None:
        try:
            self._outbox.wait_for_room(timeout_s)
        except ConnectionLost:
            raise self._lost() from None

    def _send_request(self, seq: int, frame: bytes, pending: Reply) -> None:
        self._channel.check_size(frame)
        if getpid() != self._pid:
            raise ConnectionLost(f"the connection {self.name!r} belongs to process {self._pid}, not to this fork of it")
        self._pending.add(seq, pending)
        try:
            if self._closed:  # asked after the entry was made: the end of the connection sees the entry or is seen here
                raise self._lost()
            self._outbox.put(frame)
        except BaseException:
            self._pending.drop(seq)
            raise

    def wait_for(self, latch: Latch, timeout_s: float | None) -> None:
        """Wait for a reply; the requests thread serves what arrives meanwhile."""
        if self._jobs.is_in_job:
            self._jobs.wait_for(latch, timeout_s)
        elif self._reading.is_own_thread or threading.get_ident() == self._writer.ident:
            raise RuntimeError(f"{self.name}: its own thread would wait for itself; wait on another thread")
        else:
            latch.wait(timeout_s)

    def wait_idly(self, latch: Latch, timeout_s: float | None) -> None:
        """Wait for a reply; nothing is served meanwhile."""
        if self._jobs.is_in_job:
            self._jobs.wait_idly(latch, timeout_s)
        else:
            latch.wait(timeout_s)

    def load_error(self, dumped: Any) -> BaseException:
        """The exception that the peer has dumped."""
        return remote_errors.load(dumped, self._config)

    def run_soon(self, job: Callable[[], None]) -> None:
        """Run the job on the requests thread, in its turn, and not while that waits for a reply; for whoever reads."""
        self._jobs.put(job, nests=False)

    # ---- the threads ----

    def _read(self) -> None:
        """Receive a message and deal with it, or end the connection; on the thread that holds the baton."""
        try:
            self._receive(self._channel.recv())
            self._jobs.hold_back(self._may_pause, self._ping)
        except ConnectionLost as error:
            _log.debug("%s: ended: %s", self.name, error)
            self._end(str(error))
        except FrameTooLarge as error:
            _log.error("%s: cut, because %s", self.name, error)
            self._end(str(error))
        except BaseException as error:  # noqa: BLE001 - the top of a thread
            _log.exception("%s: cut, because of an internal error", self.name)
            self._end(repr(error))

    def _may_pause(self) -> bool:
        # Where this side waits for a reply, or for the peer to take what was sent, it has to go on reading. And the
        # requests thread cannot wait for itself.
        is_server = threading.get_ident() == self._server.ident
        return not (is_server or self._pending or self._outbox.is_full or self._closed)

    def _write(self) -> None:
        patience: Any = self._config.get("patience")
        try:
            if patience is None:
                self._outbox.run()
            else:
                self._outbox.run(Heartbeat(patience, self._look_for_life, self._ping, self._give_up).pulse)
        except ConnectionLost as error:
            _log.debug("%s: the writer ended: %s", self.name, error)
            # What the peer has said before it went is still to be read, and tells more. If it has not gone, it is cut.
            self._over.wait(_LAST_WORDS_S)
            self._give_up(str(error))
        except BaseException as error:  # noqa: BLE001 - a callback of a future
            _log.exception("%s: cut, because of an internal error", self.name)
            self._give_up(repr(error))

    def _look_for_life(self) -> object:
        # While the peer takes a long message, it cannot answer what is asked behind it.
        if self._pending.is_awaited or self._outbox.is_full:
            return self._channel.received_bytes, self._outbox.stage
        return None

    def _ping(self) -> None:
        # Nobody waits for the reply, so it needs no place among those that are awaited.
        self._outbox.put_uncounted(messages.encode_request(self._get_seq_id(), *_PING))

    def _give_up(self, reason: str) -> None:
        self._loss = self._loss or reason
        self._channel.close()  # whoever reads notices, and ends the connection

    def _greet(self) -> None:
        try:
            self._local_root.on_connect(self)
        except BaseException as error:  # noqa: BLE001 - raised by `start`
            self._welcome_error = error
        self._welcome.set()

    def _receive(self, data: bytes | bytearray) -> None:
        try:
            kind, seq, payload = messages.decode(data)
        except messages.UnreadableMessage as error:
            if error.kind == consts.MSG_REQUEST:
                self._requests.answer_error(error.seq, error)
            else:
                self._pending.fail(error.seq, error)
            return
        if kind == consts.MSG_REQUEST:
            self._requests.receive(seq, payload, len(data))
        else:
            self._pending.receive(kind, seq, payload)

    def _handle_close(self) -> None:
        self._lose("the peer closed it")
        self._channel.close()

    # ---- references ----

    @property
    def _has_peer(self) -> bool:
        return not self._closed and getpid() == self._pid

    def _inspect(self, id_pack: IdPack, timeout_s: float | None) -> Any:
        """Ask the peer for the methods of its object; nothing is served meanwhile, as the peer needs nothing for it."""
        limit_s = self._request_timeout_s if timeout_s is None else timeout_s
        reply = self._request(consts.HANDLE_INSPECT, (id_pack,), limit_s, is_awaited=True)
        reply.wait_idly()
        return reply.value

    def _box(self, obj: Any) -> Package:
        return self.references.box(obj, [])

    def _unbox(self, package: Any) -> Any:
        resolved = self.references.resolve(package)
        return self.references.build(resolved, self.references.find_sources(resolved))

    def _bury(self, ref: Any) -> list[bytes]:
        frames = self.references.bury(ref)
        return frames if self._has_peer else []

    def _give_back(self, id_pack: IdPack, count: int) -> None:
        if self._has_peer:
            self._outbox.put_uncounted(messages.deletion(id_pack, count))
