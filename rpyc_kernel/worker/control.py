"""The thread that always answers: it lets a hub in, and does what must work while user code runs.

What looks at the namespace may take a while, and is answered at a desk of its own.
The worker listens on a socket in the kernel's private folder. A hub connects twice: its *control* connection is
served here, its *run* connection goes to the main thread. When a hub is gone, the next one is let in the same way.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from rpyc_kernel.errors import KernelError, WorkerBusy
from rpyc_kernel.system import frames
from rpyc_kernel.system.originals import logging, socket, threading
from rpyc_kernel.system.threads import make_thread
from rpyc_kernel.worker import forks
from rpyc_kernel.worker.looking.desk import Desk, Reply
from rpyc_kernel.worker.looking.reading import is_trusted, type_name

_log = logging.getLogger(__name__)
_GREETING_S = 5.0

Method = Callable[..., Any]


class Control:
    """Listens for hubs.

    Args:
        listener: the listening socket, made by the first hub, so that it could connect before this process was ready.
        greeting: what a hub is told of this worker when it comes; evaluated then.
        descriptors: what a hub gets with the greeting: the read ends of standard output and error.
        methods: what a hub may call, by name.
        desk: answers all other questions.
        take_run: receives the run connection.
        take_descriptors: receive a client's socket, by the name of its channel.
    """

    def __init__(
        self,
        listener: socket.socket,
        greeting: Callable[[], dict[str, Any]],
        descriptors: tuple[int, ...],
        methods: dict[str, Method],
        desk: Desk,
        take_run: Callable[[socket.socket], None],
        take_descriptors: dict[str, Callable[[int], None]],
    ) -> None:
        self._greeting = greeting
        self._descriptors = descriptors
        self._methods = methods
        self._desk = desk
        self._take_run = take_run
        self._take_descriptors = take_descriptors
        self._listener = listener
        self._thread = make_thread(self._accept, "control")

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def _accept(self) -> None:
        """Let hubs in, one at a time: the lock on the runtime folder sees to it that there is only one."""
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError as error:
                # User code may have taken every descriptor; the next hub must get in when it has given some back.
                _log.error("a hub cannot be let in: %s", error)
                threading.Event().wait(0.1)
                continue
            forks.keep_from_children(sock)
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
                make_thread(self._serve, "control-hub", (sock,)).start()

    def _serve(self, sock: socket.socket) -> None:
        reader = frames.FrameReader(sock)
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

    def _handle(self, method: str, arguments: list[Any], reader: frames.FrameReader, reply: Reply) -> None:
        if method not in self._take_descriptors and method not in self._methods:
            self._desk.ask(method, arguments, reply)
            return
        try:
            if method in self._take_descriptors:
                reply(True, self._take_descriptors[method](reader.descriptors.pop(0)))
            else:
                reply(True, self._methods[method](*arguments))
        except Exception as error:  # noqa: BLE001 - the thread must go on; the hub is told
            reply(False, error)


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
    message = f": {error}" if is_trusted(type(error)) else ""  # one of the user's could run anything
    return WorkerBusy.__name__, f"the worker could not answer: {type_name(error)}{message}"
