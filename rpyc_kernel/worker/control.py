"""The thread that always answers: it lets a hub in, and does what must work while user code runs.

What looks at the namespace may take a while, and is answered by threads of their own.

The worker listens on a socket in the kernel's private folder. A hub connects twice: its *control* connection is served
here, its *run* connection goes to the main thread. When a hub is gone, the next one is let in the same way.

The folder may vanish. A hub notices and asks for a new socket; while there is no hub, the worker looks by itself.
"""

from __future__ import annotations

import contextlib
import os
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rpyc_kernel.errors import KernelError, WorkerBusy
from rpyc_kernel.system import frames
from rpyc_kernel.system.originals import logging, select, socket, threading
from rpyc_kernel.system.runtime_folder import RuntimeFolder, listen
from rpyc_kernel.system.threads import make_thread
from rpyc_kernel.wire.refusal import refuse
from rpyc_kernel.worker import failing, forks
from rpyc_kernel.worker.error_reports import describe_briefly
from rpyc_kernel.worker.introspection.answer_pool import AnswerPool, Reply
from rpyc_kernel.worker.static_access import type_name

_log = logging.getLogger(__name__)
_GREETING_S = 5.0
_ENDS_S = 1.0
_BACKLOG = 8
_LOOK_MS = 1000

Method = Callable[..., Any]


class Control:
    """Listens for hubs.

    Args:
        listener: the listening socket, made by the first hub, so that it could connect before this process was ready.
        folder: where the listener's socket is; it may move.
        greeting: what a hub is told of this worker when it comes; evaluated then.
        descriptors: what a hub gets with the greeting: the read ends of standard output and error, the
            ring and the file with stacks.
        methods: what a hub may call, by name.
        answer_pool: answers all other questions.
        take_run: receives the run connection.
        take_clients: serve a client's socket, and what sockets come with it, by the name of the channel, on a thread of
            its own; who raises has not kept them.
        deserted: called when a hub is gone.
    """

    def __init__(
        self,
        listener: socket.socket,
        folder: RuntimeFolder,
        greeting: Callable[[], dict[str, Any]],
        descriptors: tuple[int, ...],
        methods: dict[str, Method],
        answer_pool: AnswerPool,
        take_run: Callable[[socket.socket], None],
        take_clients: dict[str, Callable[..., None]],
        deserted: Callable[[], None] = lambda: None,
    ) -> None:
        self._greeting = greeting
        self._descriptors = descriptors
        self._methods: dict[str, Method] = {**methods, "listen": self._listen_in, "end_clients": self._end_clients}
        self._answer_pool = answer_pool
        self._take_run = take_run
        self._take_clients = take_clients
        # Whose each is, its session and the key it was let in by; no socket is kept open by it.
        self._clients: weakref.WeakKeyDictionary[socket.socket, tuple[str, str]] = weakref.WeakKeyDictionary()
        self._listener = listener
        self._folder = folder
        self._deserted = deserted
        self._is_asked = self._is_closing = False
        self._serving: dict[socket.socket, threading.Thread] = {}
        self._hubs = 0
        self._counting = threading.Lock()
        self._wake_in, self._wake_out = socket.socketpair()
        for end in (self._wake_in, self._wake_out):
            end.setblocking(False)
            forks.keep_from_children(end)
        self._thread = make_thread(self._accept, "control")

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    @failing.vital
    def _accept(self) -> None:
        """Let hubs in, one at a time: the lock on the runtime folder sees to it that there is only one."""
        logged = ""
        while not self._is_closing:
            try:
                sock = self._wait()
            except OSError as error:
                # User code may have taken every descriptor; the next hub must get in when it has given some back.
                if str(error) != logged:
                    _log.error("a hub cannot be let in: %s", error)
                logged = str(error)
                threading.Event().wait(0.1)
                continue
            logged = ""
            if sock is None:
                continue
            sock = forks.keep_from_children(sock)
            sock.settimeout(_GREETING_S)
            try:
                channel = frames.FrameReader(sock).receive()
            except (EOFError, ValueError):
                sock.close()
                continue
            sock.settimeout(None)
            if channel == "run":
                self._take_run(sock)
            else:
                self._serving = {known: thread for known, thread in self._serving.items() if thread.is_alive()}
                self._serving[sock] = make_thread(self._serve, "control-hub", (sock,))
                self._serving[sock].start()

    def _wait(self) -> socket.socket | None:
        """Wait for a connection; None when there was something else to see to."""
        waiting = select.poll()
        waiting.register(self._listener, select.POLLIN)
        waiting.register(self._wake_in, select.POLLIN)
        ready = {descriptor for descriptor, _ in waiting.poll(None if self._hubs else _LOOK_MS)}
        if self._wake_in.fileno() in ready:
            self._wake_in.recv(4096)
            if self._is_closing:
                return None
        if self._is_asked or not (self._hubs or self._folder.worker_socket.is_socket()):
            self._listen_again()
            return None
        return self._listener.accept()[0] if self._listener.fileno() in ready else None

    def _listen_again(self) -> None:
        """Make the socket anew, with its folder if need be, where hubs will look for it."""
        self._is_asked = False
        try:
            self._folder.settle()
            fresh = listen(self._folder.worker_socket, _BACKLOG)
        except (OSError, KernelError) as error:
            _log.error("the worker cannot listen: %s", error)  # it is tried again in a second
            return
        self._listener.close()
        self._listener = forks.keep_from_children(fresh)

    def _listen_in(self, path: str) -> None:
        """Listen in another folder, or in the same one again."""
        self._folder.path = Path(path)
        self._is_asked = True
        self._wake()

    def close(self) -> None:
        """Let nobody in any more, end all connections, and give back what belongs to them."""
        self._is_closing = True
        self._wake()
        self._thread.join()
        self._end_clients(None, None)
        for sock, thread in self._serving.items():
            with contextlib.suppress(OSError):  # the hub is gone
                sock.shutdown(socket.SHUT_RDWR)
            if thread.is_alive():  # it may never have started, in a process that has too many
                thread.join(_ENDS_S)
        for sock in (self._listener, self._wake_in, self._wake_out):
            sock.close()
        self._answer_pool.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):  # a full one wakes as well
            self._wake_out.send(b"!")

    def _count_hubs(self, change: int) -> None:
        with self._counting:
            self._hubs += change
        self._wake()

    @failing.vital
    def _serve(self, sock: socket.socket) -> None:
        self._count_hubs(1)
        reader = frames.DescriptorReader(sock)
        sending = threading.Lock()
        try:
            frames.send(sock, self._greeting(), self._descriptors)
            while True:
                number, method, arguments = reader.receive()
                self._handle(method, arguments, reader, _reply_to(sock, sending, number))
        except (EOFError, OSError):
            _log.info("the hub is gone; waiting for the next one")
        finally:
            sock.close()
            self._count_hubs(-1)
            self._deserted()

    def _handle(self, method: str, arguments: list[Any], reader: frames.DescriptorReader, reply: Reply) -> None:
        if method not in self._take_clients and method not in self._methods:
            self._answer_pool.ask(method, arguments, reply)
            return
        try:
            if method in self._take_clients:
                self._let_in(method, reader.descriptors, lambda: reply(True, None), *arguments)
                reply(True, None)
            else:
                reply(True, self._methods[method](*arguments))
        except BaseException as error:  # noqa: BLE001 - the thread must go on, whatever user code raises in it
            reply(False, error)

    def _let_in(
        self, channel: str, descriptors: list[int], ended: Callable[[], None], session: str, key: str, count: int
    ) -> None:
        """Serve a client on a thread of its own: it may have to wait for an import that user code holds up."""
        sockets = _take_sockets(descriptors, count)
        try:
            client, *more = sockets
            client = forks.keep_from_children(client)
            client.ended = ended  # not before: one that has to take another number is closed for that
            sockets = [client, *map(forks.keep_from_children, more)]
            self._clients[client] = session, key
            make_thread(self._serve_client, channel, (channel, sockets)).start()
        except BaseException as error:  # noqa: BLE001 - as below
            _turn_away(channel, sockets, error)

    def _end_clients(self, session: str | None, key: str | None) -> None:
        """End the connections of a session, or those of who was let in by a key."""
        for sock, whose in list(self._clients.items()):
            if session in (None, whose[0]) and key in (None, whose[1]):
                with contextlib.suppress(OSError):  # it has ended
                    sock.shutdown(socket.SHUT_RDWR)

    def _serve_client(self, channel: str, sockets: list[_Client]) -> None:
        try:
            self._take_clients[channel](*sockets)
        except BaseException as error:  # noqa: BLE001 - the top of a thread; the client is told
            _turn_away(channel, sockets, error)


class _Client(socket.socket):
    """A client's socket, or one that comes with it; tells that it is closed where there is somebody to tell."""

    ended: Callable[[], None] | None = None

    def close(self) -> None:
        """See the class above."""
        super().close()
        ended, self.ended = self.ended, None
        if ended is not None and not forks.is_child():
            ended()


def _take_sockets(descriptors: list[int], count: int) -> list[_Client]:
    """Make sockets of the first so many descriptors that have come; raises `WorkerBusy` where some are missing."""
    taken, descriptors[:count] = descriptors[:count], []
    sockets: list[_Client] = []
    try:
        if len(taken) < count:
            raise WorkerBusy("its process has as many files open as it may")
        for descriptor in taken:
            sockets.append(_Client(fileno=descriptor))
    except BaseException:  # of an audit hook of user code, say
        for sock in sockets:
            sock.close()
        for descriptor in taken[len(sockets) :]:
            os.close(descriptor)
        raise
    return sockets


def _turn_away(channel: str, sockets: list[_Client], error: BaseException) -> None:
    """Tell a client why it is not served: it waits, and the hub has handed it over and does not hear of it.

    User code has taken RPyC away, or every descriptor or thread, or something that the kernel needs.
    """
    _log.warning("a client of channel %s cannot be served: %s", channel, type_name(error))
    client, *more = sockets
    refuse(client, f"the worker cannot serve this connection: {describe_briefly(error)}")
    for sock in more:
        sock.close()


def _reply_to(sock: socket.socket, sending: threading.Lock, number: int) -> Reply:
    """What sends the answer to a question, from any thread; nobody waits for that to question 0."""

    def reply(succeeded: bool, answer: Any) -> None:
        if isinstance(answer, BaseException):
            _log.warning("a question could not be answered: %s", type_name(answer))
            answer = _describe(answer)
        if number:
            with sending, contextlib.suppress(OSError):  # the hub is gone, and with it whoever asked
                frames.send(sock, [number, succeeded, answer])

    return reply


def _describe(error: BaseException) -> tuple[str, str]:
    """The name and the message of an error of ours, which the hub raises again."""
    if isinstance(error, KernelError):
        return type(error).__name__, str(error)
    return WorkerBusy.__name__, f"the worker could not answer: {describe_briefly(error)}"
