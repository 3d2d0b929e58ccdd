"""A program opens itself: it becomes the worker of a kernel, with a hub beside it, and goes on when that is stopped."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import AsyncGenerator, Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

from rpyc_kernel.core.contract import WORKER_VERSION, Kind
from rpyc_kernel.errors import KernelError, RequestError
from rpyc_kernel.settings import WorkerSettings, check_name
from rpyc_kernel.system import frames, processes, ring
from rpyc_kernel.system.hub_start import start_hub_beside
from rpyc_kernel.system.originals import socket, threading
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.system.threads import make_thread
from rpyc_kernel.worker import failing, forks, leaving
from rpyc_kernel.worker.capture import Stream, current_execution, follow_threads, is_in_execution
from rpyc_kernel.worker.comms import Comms
from rpyc_kernel.worker.debugging.server import DebugServer
from rpyc_kernel.worker.event_sink import EventSink
from rpyc_kernel.worker.guest_parts import GuestEngine, GuestInterrupts, GuestLoop, route_questions, route_streams
from rpyc_kernel.worker.interrupts import set_handler
from rpyc_kernel.worker.prompts import Prompts
from rpyc_kernel.worker.serving import make_control
from rpyc_kernel.worker.staged_calls import StagedCalls

MAINS = ("block", "thread", "loop", "poll")
_TOLD_S = 30.0
_HUB_ENDS_S = 10.0
_CONSOLE_ENDS_S = 1.0
_open: list[EmbeddedKernel] = []
"""The one of this process, if there is one; what it takes of the program is there once."""
_forked_from: list[str] = []
_hooks: list[str] = []
_opening = threading.Lock()
_LOOK_S = 0.01


class EmbeddedKernel:
    """A kernel in this process, as `embed` returns it; a context manager that closes it.

    Attributes:
        name: its name.
        is_open: whether clients can come.

    Example:
        >>> kernel = rpyc_kernel.embed("inside", namespace={"x": 6}, main="thread")  # doctest: +SKIP
        >>> kernel.close()  # doctest: +SKIP
    """

    def __init__(self, name: str, namespace: dict[str, Any], main: str, told: socket.socket) -> None:
        self.name = name
        self._main = main
        self._closing = threading.Lock()
        self._gone = threading.Event()
        self._take_back: list[Callable[[], None]] = []
        self._told = told
        self._until_loop_ends: AsyncGenerator[None, None] | None = None
        try:
            message, listener = self._hear()
        except BaseException:
            self._told.close()
            raise
        self._build(message, listener, namespace)

    @property
    def is_open(self) -> bool:
        """Whether clients can come."""
        return not self._gone.is_set() and not self._loop.has_left

    # ------------------------------------------------------------------ beginning

    def _hear(self) -> tuple[dict[str, Any], socket.socket]:
        self._told.settimeout(_TOLD_S)
        reader = frames.DescriptorReader(self._told)
        try:
            message = reader.receive()
        except EOFError as error:
            raise KernelError(f"the hub of kernel {self.name!r} ended before it was ready: {error}") from None
        self._told.settimeout(None)
        listener = socket.socket(fileno=reader.descriptors[0])
        if message["version"] != WORKER_VERSION:
            listener.close()
            raise KernelError(f"the hub speaks version {message['version']} of the workers' protocol")
        return message, listener

    def _build(self, message: dict[str, Any], listener: socket.socket, namespace: dict[str, Any]) -> None:
        """Put the worker's parts together, in the order in which they need each other."""
        folder, generation = RuntimeFolder(Path(message["folder"])), int(message["generation"])
        settings = WorkerSettings(**message["settings"])
        ring_file = os.open(folder.ring(generation), os.O_RDWR | os.O_CLOEXEC)
        stacks_file = os.open(folder.stacks(generation), os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        # Descriptors 1 and 2 are the program's. What a hub expects of them it gets of pipes that nobody writes to.
        out, err = _make_silent_pipe(), _make_silent_pipe()
        self._descriptors = (out, err, ring_file, stacks_file)
        self._interrupts = interrupts = GuestInterrupts()
        self._output = output = EventSink(folder, generation, interrupts)
        streams = output.streams = (
            Stream("<stdout>", ring.STDOUT, 1, output.ring, interrupts),
            Stream("<stderr>", ring.STDERR, 2, output.ring, interrupts),
        )
        self._engine = engine = GuestEngine(output.emit, interrupts, settings.kept_values, namespace)
        self._prompts = prompts = Prompts(
            lambda token, execution, prompt, password: output.emit(
                Kind.INPUT_REQUESTED, execution, {"token": token, "prompt": prompt, "password": password}
            ),
            lambda token, execution: output.emit(Kind.INPUT_ANSWERED, execution, {"token": token}),
            interrupts,
        )
        staged, comms = StagedCalls(), Comms(output.emit)
        debugger = DebugServer(folder.cells, interrupts)
        self._loop = loop = GuestLoop(
            engine,
            output,
            interrupts,
            lambda token: comms.find_call(token) or staged.take(token),
            debugger,
            programs_loop=asyncio.get_running_loop() if self._main == "loop" else None,
        )
        interrupts.install(output.ring.words, loop.loop, current_execution)
        loop.when_leaving = self._when_leaving
        self._control = make_control(
            forks.keep_from_children(listener),
            folder,
            generation,
            descriptors=self._descriptors,
            loop=loop,
            engine=engine,
            prompts=prompts,
            staged=staged,
            debugger=debugger,
            first_names=frozenset(name for name in namespace if name.startswith("__")),
            methods={"interrupt": interrupts.interrupt},
            deserted=loop.leave,
        )
        forks.keep_from_children(self._told)
        _hook_forks()
        failing.spare_process(lambda _: loop.leave())
        self._take_back = [
            engine.take_back,
            interrupts.take_back,
            follow_threads(),
            route_questions(prompts),
            route_streams(*streams),
        ]
        self._control.start()

    def run(self) -> None:
        """Serve executions in this thread until the kernel is stopped, and leave everything as it was."""
        self._interrupts.settle()
        try:
            self._loop.run()
        finally:
            if not forks.is_child():
                self._loop.leave()
                self._take_apart()

    def settle(self) -> None:
        """Serve executions where this thread calls `poll`, or its loop runs."""
        self._interrupts.settle()
        if self._main == "loop":
            self._until_loop_ends = self._end_with_loop()
            with contextlib.suppress(StopIteration):  # which is how it waits
                self._until_loop_ends.__anext__().send(None)

    async def _end_with_loop(self) -> AsyncGenerator[None, None]:
        """A generator, as those are what `asyncio.run` closes before its loop; a task would be seen in the program."""
        try:
            yield
        finally:
            self._loop.leave()
            while not self._gone.is_set():
                await asyncio.sleep(_LOOK_S)

    # ------------------------------------------------------------------ what the program does with it

    def poll(self, timeout: float = 0.0) -> bool:
        """Run what clients have handed in, in this thread; for programs with a loop of their own, as that of Qt.

        Where an execution is what calls it, as when it shows a dialogue in whose loop a timer polls, nothing is done.

        Args:
            timeout: for how many seconds to wait for something to run.

        Returns:
            Whether the kernel goes on.

        Raises:
            RequestError: the kernel was not embedded with ``main="poll"``, or in another thread.

        Example:
            >>> with rpyc_kernel.embed("polled", namespace={}, main="poll") as polled:  # doctest: +SKIP
            ...     while polled.poll(0.1):
            ...         step()
        """
        if self._main != "poll":
            raise RequestError(f"kernel {self.name!r} runs by itself (main={self._main!r}); only main='poll' is polled")
        if not self._interrupts.is_settled_here:
            raise RequestError(f"kernel {self.name!r} is polled in the thread that embedded it, and in no other one")
        if self._gone.is_set():
            return False
        if self._loop.loop.is_running():
            return not self._loop.has_left
        if not self._loop.has_left:
            self._loop.turn(timeout)
        if self._loop.has_left:
            self._take_apart()
        return not self._loop.has_left

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until the kernel is stopped; whether it is.

        Args:
            timeout: for how many seconds, None without limit.
        """
        return self._gone.wait(timeout)

    def close(self) -> None:
        """Stop the kernel, and return when everything is as it was before; the program goes on.

        Executions, and other threads than that which polls, do not wait: the next `poll` gives everything back.
        """
        if forks.is_child() or self._gone.is_set():
            return
        if is_in_execution():  # who asks is what would be waited for
            self._loop.leave()
            return
        self._loop.leave()
        if self._main == "poll" and not self._interrupts.is_settled_here:
            return
        if self._main == "poll" or (self._main == "loop" and self._is_loop_free()):
            self._take_apart()
        self._gone.wait()

    def _is_loop_free(self) -> bool:
        """Whether the program's loop runs nothing that could hold it: it is this thread's, or it has ended."""
        return _running_loop() is self._loop.loop or not self._loop.loop.is_running()

    def __enter__(self) -> EmbeddedKernel:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<kernel {self.name!r} embedded in this process, {'open' if self.is_open else 'closed'}>"

    # ------------------------------------------------------------------ the end

    def _when_leaving(self) -> None:
        if self._main == "loop":
            try:
                self._loop.loop.call_soon_threadsafe(self._take_apart)
            except RuntimeError:  # the program's loop has ended; a thread that is answered to cannot wait for itself
                make_thread(self._take_apart, "embedded-end").start()

    def _take_apart(self) -> None:
        """Give everything back, on the thread where executions ran; the second time there is nothing to do."""
        if self._interrupts.running and self._main == "loop" and self._loop.loop.is_running():  # it is being cancelled
            self._loop.loop.call_later(0.01, self._take_apart)
            return
        if not self._closing.acquire(blocking=False):
            return
        for take_back in reversed(self._take_back):
            take_back()
        failing.spare_process(None)
        self._prompts.close()
        self._control.close()
        self._loop.take_apart()
        for descriptor in self._descriptors:
            os.close(descriptor)
        with contextlib.suppress(OSError), self._told:  # the hub has ended when it says no more
            self._told.settimeout(_HUB_ENDS_S)
            while self._told.recv(4096):
                pass
        if not self._loop.sides.describe()[0]:  # else they still write to it
            self._output.ring.close()
        _open.remove(self)
        self._gone.set()

    def become_child(self) -> None:
        """In a forked child: it is no kernel, and prints where the program prints."""
        for take_back in reversed(self._take_back):
            take_back()
        self._interrupts.become_child()
        self._loop.become_child()


def embed(
    name: str = "default", *, namespace: dict[str, Any] | None = None, main: str = "block"
) -> EmbeddedKernel | None:
    """Make this process the worker of a kernel: clients run code in it, see what there is, come and go.

    The program's streams, signals, arguments and settings stay its own. What it prints goes where it went; what an
    execution of a client prints goes to the clients. When the kernel is stopped, the program goes on.

    Args:
        name: the kernel's name, as of `start`.
        namespace: where executions run. None for that of the caller: at the top of a module its names themselves, in a
            function a copy of the local and global names, so that assignments do not change the function's variables.
        main: where executions run. ``block``: here, until the kernel is stopped; on a terminal a console opens.
            ``thread``: in a thread of the kernel's own, and the call returns at once. ``loop``: in the running asyncio
            loop. ``poll``: wherever the program calls `EmbeddedKernel.poll`.

    Returns:
        The kernel; None after ``block``.

    Raises:
        KernelExists: a kernel of this name runs.
        BadName: it cannot be a name.
        RequestError: an argument is wrong, the program has embedded a kernel already, or it cannot embed one.

    Example:
        >>> import threading
        >>> with rpyc_kernel.embed("inside", namespace={"x": 6}, main="thread"):  # doctest: +SKIP
        ...     threading.Event().wait(60)
    """
    check_name(name)
    if main not in MAINS:
        raise RequestError(f"main is one of 'block', 'thread', 'loop' and 'poll', not {main!r}")
    if namespace is not None and type(namespace) is not dict:
        raise RequestError(f"the namespace must be a dict, not {type(namespace).__name__}")
    if main == "loop" and _running_loop() is None:
        raise RequestError("main='loop' needs a running asyncio loop: call embed() in a coroutine or a callback of it")
    check_process(name)
    if namespace is None:
        namespace = _namespace_of_caller()
    kernel = _open_kernel(name, namespace, main, start_hub_beside(name, os.getpid(), *describe_program()))
    if main == "block":
        console = _open_console(kernel) if sys.__stdin__ is not None and _is_terminal() else contextlib.nullcontext()
        with console:
            kernel.run()
        return None
    if main != "thread":
        kernel.settle()
    return kernel


def let_end(timeout_s: float) -> None:
    """Wait for the end of a kernel that is being stopped, if there is one here; not where its executions run."""
    for kernel in list(_open):
        if not kernel.is_open:
            kernel.wait(timeout_s)


def embed_with(hub: socket.socket, name: str, namespace: dict[str, Any]) -> EmbeddedKernel:
    """Embed a kernel in a thread, as `embed`, by a hub that somebody else has started; `check_process` comes first."""
    return _open_kernel(name, namespace, "thread", hub)


def _open_kernel(name: str, namespace: dict[str, Any], main: str, hub: socket.socket) -> EmbeddedKernel:
    with _opening:
        try:
            check_process(name)  # again: another thread may have been faster
        except BaseException:
            hub.close()
            raise
        kernel = EmbeddedKernel(name, namespace, main, hub)
        _open.append(kernel)
    if main == "thread":
        make_thread(kernel.run, "embedded").start()
    return kernel


def check_process(name: str) -> None:
    """See that a kernel can be embedded in this process; raises `RequestError` where it cannot."""
    if (
        current_execution.get()
        or is_in_execution()
        or "rpyc_kernel.worker.__main__" in sys.modules
        or leaving.is_offered()
    ):
        raise RequestError("this is a kernel's own process; connect to it in place of embedding another one in it")
    if _forked_from:
        raise RequestError(
            f"this process was forked from one with the embedded kernel {_forked_from[0]!r}, and cannot have one "
            "itself; start it with subprocess or the start method 'spawn', or embed after the fork only"
        )
    if _open:
        raise RequestError(
            f"this program (process {os.getpid()}) has the embedded kernel {_open[0].name!r} already; connect to that "
            f"one, or close it before {name!r} is embedded"
        )
    forks.belong_here()


def describe_program() -> tuple[str, str]:
    """How this program was started, for people, and the folder where it works."""
    shown = " ".join([Path(sys.executable or "python").name, *getattr(sys, "argv", [])])
    return shown, processes.working_folder()


def _namespace_of_caller() -> dict[str, Any]:
    frame = sys._getframe(2)
    if frame.f_locals is frame.f_globals:
        return frame.f_globals
    return {**frame.f_globals, **frame.f_locals}


def _running_loop() -> asyncio.AbstractEventLoop | None:
    return asyncio._get_running_loop()


def _make_silent_pipe() -> int:
    read_end, write_end = os.pipe()
    os.close(write_end)
    return read_end


def _hook_forks() -> None:
    """Once for this process, as nothing takes such a hook back."""
    if not _hooks:
        _hooks.append("forks")
        os.register_at_fork(after_in_child=_become_child)


def _become_child() -> None:
    for kernel in _open:
        _forked_from[:] = [kernel.name]
        forks.close_in_child(kernel._descriptors)
        kernel.become_child()


def _is_terminal() -> bool:
    try:
        return os.isatty(0) and os.isatty(1) and sys.stdin is not None and sys.stdin.isatty()
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def _open_console(kernel: EmbeddedKernel) -> Iterator[None]:
    """A console on the program's terminal; leaving it stops the kernel, and so the program goes on."""
    process = subprocess.Popen([sys.executable, "-m", "rpyc_kernel", "console", kernel.name])

    def close_with_it() -> None:
        process.wait()
        kernel.close()

    watching = make_thread(close_with_it, "embedded-console")
    with _leaving_ctrl_c_alone():
        watching.start()
        try:
            yield
        finally:
            watching.join(_CONSOLE_ENDS_S)
            process.terminate()  # one that hopes for a hub to come back
            watching.join()


@contextlib.contextmanager
def _leaving_ctrl_c_alone() -> Iterator[None]:
    """Do nothing at a Ctrl-C, which this process hears too: the console says what it means."""
    if threading.get_ident() != threading.main_thread().ident:
        yield
        return
    before = set_handler(signal.SIGINT, lambda number, frame: None)
    try:
        yield
    finally:
        set_handler(signal.SIGINT, before or 0)
