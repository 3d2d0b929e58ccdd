"""A worker's parts, polite: as a guest in somebody's program they take over nothing that is the program's.

What the program prints, reads, and does with its signals stays as it was. Only what comes of an execution of a client,
which a context variable tells, goes the kernel's way.
"""

from __future__ import annotations

import asyncio
import builtins
import contextlib
import getpass
import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from rpyc_kernel.system.originals import socket, threading, time
from rpyc_kernel.system.processes import INTERRUPT_SIGNAL
from rpyc_kernel.system.ring import WORD_INTERRUPT, WORDS
from rpyc_kernel.worker import forks
from rpyc_kernel.worker.capture import Stream, is_in_execution
from rpyc_kernel.worker.engine import Emit
from rpyc_kernel.worker.engines.plain import PlainEngine
from rpyc_kernel.worker.interrupts import (
    Interrupts,
    handler_of,
    is_in_user_code,
    runs_user_code,
    send_to_thread,
    set_handler,
    start_new_thread,
)
from rpyc_kernel.worker.main_loop import MainLoop
from rpyc_kernel.worker.prompts import Prompts

_AGAIN_S = 0.005
_SHOWN = ("display", "update_display", "clear_output", "Out")


class GuestEngine(PlainEngine):
    """Runs code in a namespace of the program's; ``__main__`` stays the program's own."""

    def __init__(self, emit: Emit, interrupts: Interrupts, kept_values: int, namespace: dict[str, Any]) -> None:
        self._given = namespace
        self._builtins = {name: vars(builtins)[name] for name in _SHOWN if name in vars(builtins)}
        self._last: Any = namespace
        super().__init__(emit, interrupts, kept_values)

    def _make_namespace(self) -> dict[str, Any]:
        return self._given

    def _remember(self, value: Any) -> None:
        # Not in `builtins`, where programs that are translated have a function of that name; nor over one here.
        if self.namespace.get("_", self._last) is self._last:
            self.namespace["_"] = self._last = value

    def take_back(self) -> None:
        """Leave `builtins` as they were."""
        for name in _SHOWN:
            vars(builtins).pop(name, None)
        vars(builtins).update(self._builtins)
        if self.namespace.get("_", self) is self._last:
            del self.namespace["_"]


class GuestInterrupts(Interrupts):
    """Strikes an execution of a client and nothing else, and leaves SIGINT and its handlers to the program.

    In the main thread a signal of the kernel's own wakes what waits. In any other there are no signals: an exception
    comes at the next bytecode.
    """

    def __init__(self) -> None:
        super().__init__()
        self._thread = threading.get_ident()
        self._has_signals = False
        self._handler_before: Any = None
        self._striking = threading.Lock()

    def settle(self) -> None:
        """On the thread where executions will run."""
        self._thread = threading.get_ident()
        self._has_signals = self._thread == threading.main_thread().ident
        self._take_over()

    def install(self, words: Any, loop: asyncio.AbstractEventLoop, current: Any) -> None:
        """Know what is aimed at, and how."""
        self._words, self._loop, self._current = words, loop, current

    @property
    def is_settled_here(self) -> bool:
        """Whether executions run on the thread that asks."""
        return self._thread == threading.get_ident()

    def _take_over(self) -> None:
        if self._has_signals and handler_of(INTERRUPT_SIGNAL) != self._handle_aimed:
            self._handler_before = set_handler(INTERRUPT_SIGNAL, self._handle_aimed)

    def begin(self, execution: int) -> None:
        """From now on ``execution`` runs; an interrupt may have been faster."""
        super().begin(execution)
        if self._words[WORD_INTERRUPT] == execution:
            self.interrupt(execution)

    def _is_taken_over(self) -> bool:
        return False  # the program's handlers are for the program's own signals

    @property
    def running(self) -> int:
        """What runs on the main lane, 0 for nothing."""
        return self._execution

    def interrupt(self, execution: int) -> None:
        """Interrupt an execution, if it is the one that runs, from any thread."""
        if execution and execution == self._execution:
            self._words[WORD_INTERRUPT] = execution
            start_new_thread(self._insist, (execution,))

    def _insist(self, execution: int) -> None:
        while self._execution == execution and self._words[WORD_INTERRUPT] == execution:
            with self._striking:
                if self._execution == execution:
                    self._strike_once(execution)
            time.sleep(_AGAIN_S)

    def _strike_once(self, execution: int) -> None:
        if not self._has_signals:
            self._strike_elsewhere(execution, sys._current_frames().get(self._thread))
        elif handler_of(INTERRUPT_SIGNAL) == self._handle_aimed:  # else it would end the program
            send_to_thread(self._thread, INTERRUPT_SIGNAL)

    def _strike_elsewhere(self, execution: int, frame: FrameType | None) -> None:
        if is_in_user_code(frame):
            self._take()
            self.raise_in_thread(self._thread)
        elif self._task is not None and self._loop is not None:
            self._take()
            self._loop.call_soon_threadsafe(self._cancel, execution)

    def _postpone(self) -> None:
        """Whoever insists comes again."""

    def _is_called_by_loop(self, frame: FrameType | None) -> bool:
        return False  # so that none is ended: it may be the program's own

    def become_child(self) -> None:
        """In a forked child nobody aims at it."""
        self._execution, self._task, self._words = 0, None, [0] * WORDS

    def take_back(self) -> None:
        """Leave the signal as it was."""
        with self._striking:
            self._execution, self._words = 0, [0] * WORDS
        # In no other thread can it be done; there the handler, which has nothing to aim at, stays.
        if self._has_signals and self.is_settled_here and handler_of(INTERRUPT_SIGNAL) == self._handle_aimed:
            set_handler(INTERRUPT_SIGNAL, self._handler_before or 0)  # which is the system's default


class GuestLoop(MainLoop):
    """Runs executions in a loop of its own, or in the program's, which it never stops.

    Attributes:
        has_left: the kernel has been told to leave.
        when_leaving: called on any thread then.
        programs_loop: the program's, None where it has its own.
    """

    _interrupts: GuestInterrupts

    def __init__(self, *arguments: Any, programs_loop: asyncio.AbstractEventLoop | None, **keywords: Any) -> None:
        self.programs_loop = programs_loop
        self.when_leaving: Callable[[], None] = lambda: None
        self._turns = 0
        self._arriving: socket.socket | None = None
        super().__init__(*arguments, **keywords)

    def _make_loop(self) -> asyncio.AbstractEventLoop:
        return self.programs_loop or asyncio.new_event_loop()

    @property
    def has_left(self) -> bool:
        """Whether it was told to leave."""
        return self._is_leaving

    def _keep_listening(self) -> None:
        """A loop of the program's is not ours to mend."""

    @runs_user_code
    def run(self) -> None:
        """Run the loop in this thread until the kernel is told to leave; raises what is the program's own."""
        while not self._is_leaving:
            self.turn(None)

    @runs_user_code
    def turn(self, timeout_s: float | None) -> None:
        """Run what waits, and what comes within the time until something has run; None until told to stop."""
        timer = None if timeout_s is None else self.loop.call_later(timeout_s, self.loop.stop)
        self._turns += timeout_s is not None
        try:
            with _outside_loops():
                self.loop.run_forever()
        except KeyboardInterrupt as error:
            if forks.is_child() or not self._interrupts.running:
                raise
            self.survive(error)
        finally:
            self._turns -= timeout_s is not None
            if timer is not None:
                timer.cancel()

    def _finish(self, execution: int, outcome: str, started: float) -> None:
        super()._finish(execution, outcome, started)
        if self._turns:
            self.loop.stop()

    def leave(self) -> None:
        """Take no more, from any thread, and interrupt what runs."""
        if self._is_leaving:
            return
        self._is_leaving = True
        self._waiting.clear()
        self._interrupts.interrupt(self._interrupts.running)
        if self.programs_loop is None:
            with contextlib.suppress(RuntimeError):  # it is closed
                self.loop.call_soon_threadsafe(self.loop.stop)
        self.when_leaving()

    def take_apart(self) -> None:
        """Leave the hub and the loop, on the thread where it ran."""
        self._forget_hub()
        if self.programs_loop is not None:
            if self._arriving is not None:  # the program's loop may have ended before it came to that
                self._arriving.close()
            return
        with _outside_loops():
            # Whoever asked to leave has stopped the loop, and a hub may have come that nothing has listened to yet.
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
            left = asyncio.all_tasks(self.loop)
            for task in left:
                task.cancel()
            if left:
                with contextlib.suppress(RuntimeError):  # who asked to leave was slow to stop the loop
                    self.loop.run_until_complete(asyncio.wait(left))
        self.loop.close()

    def take_hub(self, sock: socket.socket) -> None:
        """Listen to a hub, from any thread; where the program has closed its loop, the kernel ends."""
        self._arriving = sock
        try:
            super().take_hub(sock)
        except RuntimeError:
            self.leave()

    def _listen(self, sock: socket.socket) -> None:
        if self._is_leaving:
            sock.close()
        else:
            super()._listen(sock)

    def become_child(self) -> None:
        """In a forked child: listen to no hub; what was called goes on to its end."""
        self._hub = self._reader = None
        self._waiting.clear()
        self._is_leaving = True


@contextlib.contextmanager
def _outside_loops() -> Iterator[None]:
    """Let a loop run in a callback of another one, which waits for it."""
    outer = asyncio._get_running_loop()
    asyncio._set_running_loop(None)
    try:
        yield
    finally:
        asyncio._set_running_loop(outer)


class Routed:
    """``sys.stdout`` or ``sys.stderr`` of a program: its own, but for what an execution does with it."""

    def __init__(self, own: Any, kernels: Stream) -> None:
        self._own = own
        self._kernels = kernels

    def __getattr__(self, name: str) -> Any:
        return getattr(self._kernels if is_in_execution() and not forks.is_child() else self._own, name)

    def __iter__(self) -> Any:
        return iter(self._own)


def route_streams(out: Stream, err: Stream) -> Callable[[], None]:
    """Have executions print into the kernel; returns what takes it back."""
    routed = {"stdout": Routed(sys.stdout, out), "stderr": Routed(sys.stderr, err)}
    own = {name: getattr(sys, name) for name in routed}
    for name, stream in routed.items():
        setattr(sys, name, stream)

    def take_back() -> None:
        for name, stream in routed.items():
            if getattr(sys, name) is stream:
                setattr(sys, name, own[name])

    return take_back


def route_questions(prompts: Prompts) -> Callable[[], None]:
    """Have `input` and `getpass` ask clients in executions; returns what takes it back."""
    own_input, own_getpass = builtins.input, getpass.getpass

    @runs_user_code
    def read_line(prompt: object = "", /) -> str:
        return prompts.read_line(str(prompt)) if is_in_execution() else own_input(prompt)

    @runs_user_code
    def read_password(*arguments: Any, **keywords: Any) -> str:
        if not is_in_execution():
            return own_getpass(*arguments, **keywords)
        prompt = arguments[0] if arguments else keywords.get("prompt", "Password: ")
        return prompts.read_line(str(prompt), password=True)

    builtins.input, getpass.getpass = read_line, read_password

    def take_back() -> None:
        if builtins.input is read_line:
            builtins.input = own_input
        if getpass.getpass is read_password:
            getpass.getpass = own_getpass

    return take_back
