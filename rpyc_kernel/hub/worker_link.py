"""The hub's end of the sockets to a worker: code goes out on *run*, questions and answers pass on *control*."""

from __future__ import annotations

import contextlib
import itertools
import logging
import os
import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from rpyc_kernel.core.contract import RELEASE, WORKER_VERSION
from rpyc_kernel.errors import KernelDied, VersionMismatch, WorkerBusy, from_name
from rpyc_kernel.system import frames
from rpyc_kernel.system.sending import QUIETLY
from rpyc_kernel.wire.refusal import refuse

_log = logging.getLogger(__name__)
_SENT_AT_ONCE_CHARS = 16_000
_MAX_PENDING = 64
_MAX_WAITING = 64
"""How many clients the hub holds the sockets of until the worker has taken them."""
_DESCRIPTORS = 4
_AT_ONCE = socket.MSG_DONTWAIT | QUIETLY


class WorkerLink:
    """Both sockets to one worker.

    Args:
        path: the worker's socket.
        timeout_s: how long the worker may take to greet.

    Attributes:
        greeting: what the worker said of itself.
        output_descriptors: the read ends of its standard output and error.
        ring_descriptor: the ring, whose name may be gone.
        stacks_descriptor: the file with its stacks.

    Raises:
        TimeoutError: the worker does not greet in time.
        OSError: nobody listens there, or the worker went away before it greeted.
        VersionMismatch: it is of another release, with which this one cannot speak.
    """

    def __init__(self, path: Path, timeout_s: float) -> None:
        with contextlib.ExitStack() as opened:
            self.run_socket = opened.enter_context(_connect(path, "run", timeout_s))
            self._control = opened.enter_context(_connect(path, "control", timeout_s))
            self._reader = frames.DescriptorReader(self._control)
            opened.callback(self._close_received)
            try:
                self.greeting: dict[str, Any] = self._reader.receive()
            except EOFError as error:
                if isinstance(error.__cause__, TimeoutError):
                    raise error.__cause__ from None
                raise OSError(f"the worker did not greet: {error}") from error
            _check_version(self.greeting, len(self._reader.descriptors))
            for sock in (self.run_socket, self._control):
                sock.settimeout(None)
            opened.pop_all()
        self._reader.are_expected = False
        *outputs, self.ring_descriptor, self.stacks_descriptor = self._reader.descriptors
        self.output_descriptors = tuple(outputs)
        self._outgoing: SimpleQueue[tuple[bytes, tuple[socket.socket, ...]] | None] = SimpleQueue()
        self._unsent = 0  # of those, with what is being sent
        self._closing = threading.Lock()
        self._numbers = itertools.count(1)
        self._pending: dict[int, Future[Any]] = {}
        self._waiting: set[socket.socket] = set()
        self._served: dict[int, Callable[[], None]] = {}  # until the second answer, which says that it is over
        self._is_lost = False
        self._tell_lost: Callable[[], None] = lambda: None
        self._threads = (
            threading.Thread(target=self._receive, name="worker-control", daemon=True),
            threading.Thread(target=self._transmit, name="worker-sender", daemon=True),
        )
        for thread in self._threads:
            thread.start()

    def run(
        self,
        execution: int,
        code: str,
        call: str | None,
        source: dict[str, Any] | None,
        count: int | None,
        was_held: bool,
    ) -> None:
        """Hand an execution to the worker's main thread; if it is gone, whoever watches it will say so."""
        message = [execution, code, call, source, count, was_held]
        if len(code) + len(str(source)) < _SENT_AT_ONCE_CHARS:
            self._send_run(message)
        else:
            # More than the socket holds: a worker that is stopped must not stop the hub with it.
            threading.Thread(target=self._send_run, args=(message,), name="worker-run", daemon=True).start()

    def _send_run(self, message: Any) -> None:
        try:
            frames.send(self.run_socket, message)
        except OSError:
            _log.info("execution %d could not be sent: the worker is gone", message[0])

    def request(self, method: str, *arguments: Any) -> Future[Any]:
        """Ask the worker's control thread; the future fails with `WorkerBusy` or `KernelDied`."""
        future: Future[Any] = Future()
        if len(self._pending) >= _MAX_PENDING:
            future.set_exception(WorkerBusy(f"{_MAX_PENDING} questions to the worker wait already; it does not answer"))
            return future
        self._ask(method, arguments, future)
        return future

    def _ask(
        self,
        method: str,
        arguments: tuple[Any, ...],
        answer: Future[Any],
        sockets: tuple[socket.socket, ...] = (),
        ended: Callable[[], None] | None = None,
    ) -> None:
        number = next(self._numbers)
        data = frames.encode([number, method, arguments])
        self._pending[number] = answer
        if ended is not None:
            self._served[number] = ended
        self._send(data, sockets)
        if self._is_lost:
            self._fail_all()

    def on_lost(self, tell: Callable[[], None]) -> None:
        """Have it told when the worker's control connection is over."""
        self._tell_lost = tell
        if self._is_lost:
            tell()

    def notify(self, method: str, *arguments: Any) -> None:
        """Tell the worker's control thread something, without an answer."""
        self._send(frames.encode([0, method, arguments]))

    def hand_over(
        self,
        channel: str,
        whose: tuple[str, str],
        client: socket.socket,
        *more: socket.socket,
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        """Have the worker serve a client, with further sockets where the channel needs them; the caller closes its own.

        It is the client of a session, let in by a key. Where it turns out later that the worker cannot, the client is
        told. That its connection is over is told once it is, on whatever thread notices.

        Raises:
            WorkerBusy: it does not take what came before.
            OSError: there are no descriptors left.
        """
        if len(self._waiting) >= _MAX_WAITING:
            raise WorkerBusy("the worker takes no connections at the moment: it is stopped by the system, or stuck")
        with contextlib.ExitStack() as opened:
            kept, *others = (opened.enter_context(sock.dup()) for sock in (client, *more))
            opened.pop_all()
        self._waiting.add(kept)
        answer: Future[Any] = Future()
        answer.add_done_callback(lambda done: self._let_go(kept, others, done.exception()))
        self._ask(channel, (*whose, 1 + len(others)), answer, (kept, *others), ended)

    def _let_go(self, client: socket.socket, more: list[socket.socket], error: BaseException | None) -> None:
        """Close the hub's own of a client's sockets, which the worker has taken, or tell the client why not."""
        self._waiting.discard(client)
        for sock in more:
            sock.close()
        if error is None:
            client.close()
        else:
            refuse(client, f"the worker cannot serve this connection: {error}")

    def close(self) -> None:
        """Close both sockets and join the threads."""
        with self._closing:
            self._is_lost = True
            self._outgoing.put(None)
        for sock in (self._control, self.run_socket):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._control.close()
        self.run_socket.close()

    def abandon(self) -> None:
        """Close all, with the descriptors that came with the greeting."""
        self.close()
        self._close_received()

    def _close_received(self) -> None:
        for descriptor in self._reader.descriptors:
            os.close(descriptor)

    def _send(self, data: bytes, sockets: tuple[socket.socket, ...] = ()) -> None:
        """Send what is taken at once, and leave the rest: a worker that does not read must not stop the hub with it."""
        with self._closing:
            if self._is_lost:
                return
            if not (self._unsent or sockets):
                with contextlib.suppress(OSError):  # where there is no room; the sender meets any other one, too
                    data = data[self._control.send(data, _AT_ONCE) :]
                if not data:
                    return
            self._unsent += 1
            self._outgoing.put((data, sockets))

    def _transmit(self) -> None:
        while (item := self._outgoing.get()) is not None:
            data, sockets = item
            try:
                frames.send_encoded(self._control, data, [sock.fileno() for sock in sockets])
            except OSError:
                self._is_lost = True
                self._fail_all()
            with self._closing:
                self._unsent -= 1

    def _receive(self) -> None:
        try:
            while True:
                number, succeeded, answer = self._reader.receive()
                error = None if succeeded else from_name(*answer)  # or whoever asked is answered at the end
                future = self._pending.pop(number, None)
                if future is None or not succeeded:
                    self._tell_ended(number)
                if future is None or not future.set_running_or_notify_cancel():
                    continue
                if error is None:
                    future.set_result(answer)
                else:
                    future.set_exception(error)
        except (EOFError, OSError):
            pass
        except Exception:  # noqa: BLE001 - user code can write to any descriptor of its process
            _log.exception("the worker's answers make no sense; it is asked nothing more")
        finally:
            self._is_lost = True
            self._fail_all()
            self._tell_lost()

    def _tell_ended(self, number: int) -> None:
        """If it is a client that was handed over, it is served no more."""
        ended = self._served.pop(number, None)
        if ended is not None:
            ended()

    def _fail_all(self) -> None:
        for number in list(self._served):
            self._tell_ended(number)
        for number in list(self._pending):
            future = self._pending.pop(number, None)
            if future is not None and future.set_running_or_notify_cancel():
                future.set_exception(KernelDied("the worker ended before it answered"))


def _check_version(greeting: dict[str, Any], descriptors: int) -> None:
    """Refuse a worker that speaks otherwise; nothing of what it says is guessed at."""
    version = greeting.get("version", 0)
    if version == WORKER_VERSION:
        if descriptors != _DESCRIPTORS:
            raise OSError("the worker's descriptors did not arrive; this process has too many open")
        if greeting["release"] != RELEASE:
            _log.warning("the worker is of release %s, this hub of %s", greeting["release"], RELEASE)
        return
    raise VersionMismatch(
        f"the worker (process {greeting.get('pid', 'unknown')}) is of release {greeting.get('release', 'unknown')} and "
        f"speaks version {version} of the workers' protocol; this is release {RELEASE}, which speaks version "
        f"{WORKER_VERSION}"
    )


def _connect(path: Path, channel: str, timeout_s: float) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(timeout_s)
    try:
        sock.connect(str(path))
        frames.send(sock, channel)
    except BlockingIOError:  # those who came before were not let in yet
        sock.close()
        raise TimeoutError("the worker lets nobody in") from None
    except OSError:
        sock.close()
        raise
    return sock
