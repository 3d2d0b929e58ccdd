"""A kernel in somebody's program: the worker's parts put together as guests, and given back at the end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from rpyc_kernel.core.contract import WORKER_VERSION, Kind
from rpyc_kernel.errors import KernelError, RequestError
from rpyc_kernel.settings import WorkerSettings
from rpyc_kernel.system import frames, ring
from rpyc_kernel.system.originals import socket, threading
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.system.threads import make_thread
from rpyc_kernel.worker import failing, forks
from rpyc_kernel.worker.capture import Stream, current_execution, follow_threads, is_in_execution
from rpyc_kernel.worker.comms import Comms
from rpyc_kernel.worker.debugging.server import DebugServer
from rpyc_kernel.worker.event_sink import EventSink
from rpyc_kernel.worker.guest_parts import GuestEngine, GuestInterrupts, GuestLoop, route_questions, route_streams
from rpyc_kernel.worker.prompts import Prompts
from rpyc_kernel.worker.sent_calls import take_call
from rpyc_kernel.worker.serving import make_control
from rpyc_kernel.worker.staged_calls import StagedCalls

_TOLD_S = 30.0
_HUB_ENDS_S = 10.0
_LOOK_S = 0.01
_GOES_ON = b"\n"
"""Tells the hub that the program does not end with its kernel."""


class EmbeddedKernel:
    """A kernel in this process, as `embed` returns it; a context manager that closes it.

    Attributes:
        name: its name.
        is_open: whether clients can come.

    Example:
        >>> kernel = rpyc_kernel.embed("inside", namespace={"x": 6}, main="thread")  # doctest: +SKIP
        >>> kernel.close()  # doctest: +SKIP
    """

    def __init__(
        self,
        name: str,
        namespace: dict[str, Any],
        main: str,
        told: socket.socket,
        when_gone: Callable[[EmbeddedKernel], None],
    ) -> None:
        self.name = name
        self._when_gone = when_gone
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
            functools.partial(take_call, comms, staged, engine.namespace),
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
        return asyncio._get_running_loop() is self._loop.loop or not self._loop.loop.is_running()

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
            self._told.send(_GOES_ON)
            while self._told.recv(4096):
                pass
        if not self._loop.sides.describe()[0]:  # else they still write to it
            self._output.ring.close()
        self._when_gone(self)
        self._gone.set()

    def become_child(self) -> None:
        """In a forked child: it is no kernel, and prints where the program prints."""
        forks.close_in_child(self._descriptors)
        for take_back in reversed(self._take_back):
            take_back()
        self._interrupts.become_child()
        self._loop.become_child()


def _make_silent_pipe() -> int:
    read_end, write_end = os.pipe()
    os.close(write_end)
    return read_end
