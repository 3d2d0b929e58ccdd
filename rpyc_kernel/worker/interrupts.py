"""When an interrupt may strike: only the execution it was meant for, and only inside user code.

The hub writes the number of the execution into the ring's header and sends a signal of its own. Python runs the handler
in the main thread, between two bytecodes of whatever runs there. It raises only if that execution still runs and the
innermost of our own frames, seen from the top of the stack, is one that runs user code. If our code is on top (a stream
in the middle of a write), the interrupt is pending: `check` raises it where our code says that it is safe, and the
signal is repeated. An awaiting execution has no frame on the stack: its task is cancelled.

SIGINT is never the hub's, and so needs no aim: it is user code's own (`_thread.interrupt_main`, `signal.raise_signal`,
a `kill` from elsewhere), and strikes what runs, as in any program; while nothing runs it is ignored. Where user code
has put a handler of its own in place of ours, an interrupt of the hub becomes a SIGINT, unless it is forced.

A signal that comes just before a C call begins to wait does not end that wait, and its handler runs only afterwards. If
the number is not taken in time, the hub therefore nudges the worker by a signal that does nothing else. Before that it
asks the control thread to `insist`, which wakes the loops of toolkits that user code runs; see `toolkit_loops`.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found] # typeshed has none
import _thread
import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import Callable
from os import getpid  # not what user code may put in its place
from types import CodeType, FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from rpyc_kernel.system.originals import threading, time
from rpyc_kernel.system.processes import INTERRUPT_SIGNAL, NUDGE_SIGNAL, children_of, has_children
from rpyc_kernel.system.ring import MAX_SPARED, WORD_FORCE, WORD_INTERRUPT, WORD_RUNNING, WORD_SIDES, WORD_SPARED, WORDS
from rpyc_kernel.worker import toolkit_loops
from rpyc_kernel.worker.user_frames import LOOPS

if TYPE_CHECKING:
    from contextvars import ContextVar

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# The rest of the package is a library to user code: a call to an object in a client waits in `wire`, by what it has
# from `system.futures`, and may be interrupted there.
_OURS = tuple(os.path.join(_PACKAGE, folder, "") for folder in ("worker", "system"))
_WAITED_IN = os.path.join(_PACKAGE, "system", "futures.py")
_runs_user_code: set[CodeType] = set()
_may_interrupt: set[CodeType] = set()
_passed_over: set[str] = set()
_kept_out: tuple[str, ...] = ()
_EXPRESSION = "<string>"
_REPEAT_AFTER_S = 0.002
_CALLBACK_S, _CALLBACK_AGAIN_S = 0.02, 1.0
"""How long a toolkit's callback may take to return before it is struck itself, and then to leave by that."""
# User code may patch `signal`.
handler_of, set_handler, send_to_thread = _signal.getsignal, _signal.signal, _signal.pthread_kill
_raise_signal, _raise_interrupt = _signal.raise_signal, _signal.default_int_handler
get_trace, set_trace = sys.gettrace, sys.settrace
start_new_thread = _thread.start_new_thread  # a debugger puts another in its place, which shows it the thread
_F = TypeVar("_F", bound=Callable[..., Any])


def runs_user_code(function: _F) -> _F:
    """Mark a function of ours whose callees are user code: they may be interrupted, it may not."""
    _runs_user_code.add(function.__code__)
    return function


def may_interrupt(function: _F) -> _F:
    """Mark a function of ours that waits on behalf of user code, and may be interrupted itself."""
    _may_interrupt.add(function.__code__)
    return function


def keep_out(folder: str) -> None:
    """Never raise in what is called by the frames of a folder, but for expressions that they evaluate."""
    global _kept_out
    _kept_out = (*{*_kept_out, os.path.join(folder, "")},)


def pass_over(*files: str) -> None:
    """Take the frames of these files for neither user code nor ours: what calls them decides."""
    _passed_over.update(files)


class Interrupts:
    """The state of interruption of the worker's main thread.

    Attributes:
        was_cancelled: an interrupt has cancelled the task of what runs.
        insists: the next cancellation of its task is to arrive as KeyboardInterrupt.
        nudged: called by the handler of the signal that does nothing, with the frame that it has found.
        let_go: called on another thread as long as an interrupt waits for what holds user code up, such as a debugger.
    """

    def __init__(self) -> None:
        self.is_pending = False
        self.was_cancelled = self.insists = False
        self.let_go: Callable[[], None] = lambda: None
        self.nudged: Callable[[FrameType | None], None] = lambda frame: None
        self._words: Any = [0] * WORDS
        self._callback_until_s: float | None = None
        self._has_ended_loops = False
        self._traced: list[FrameType] = []
        self._execution = 0
        self._task: asyncio.Task[Any] | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._current: ContextVar[int] | None = None

    def install(self, words: Any, loop: asyncio.AbstractEventLoop, current: ContextVar[int]) -> None:
        """Take over the signals, in the main thread."""
        self._words, self._loop, self._current = words, loop, current
        set_handler(signal.SIGINT, self._handle_own)
        self._take_over()

    def _take_over(self) -> None:
        for number, handler in ((INTERRUPT_SIGNAL, self._handle_aimed), (NUDGE_SIGNAL, self._handle_nudge)):
            if handler_of(number) != handler:
                set_handler(number, handler)

    def become_child(self) -> None:
        """In a forked child: nobody aims at it, so SIGINT is what it is to any program, unless user code took it."""
        self.is_pending = False
        self._execution, self._task = 0, None
        self._words = [0] * WORDS
        if handler_of(signal.SIGINT) == self._handle_own:
            set_handler(signal.SIGINT, _raise_interrupt)
        for number in (INTERRUPT_SIGNAL, NUDGE_SIGNAL):
            set_handler(number, _signal.SIG_DFL)  # the number, as C takes no name for it

    def begin(self, execution: int) -> None:
        """From now on ``execution`` is what runs on the main thread."""
        self.is_pending = self.was_cancelled = self.insists = False
        self._callback_until_s = None
        self._take_over()  # code that resets all signals means its own
        # What was started before is in the background: the hub leaves it alone when it interrupts this execution.
        spared = children_of(getpid())[:MAX_SPARED] if has_children() else []
        self._words[WORD_SPARED] = len(spared)
        for place, pid in enumerate(spared, WORD_SPARED + 1):
            self._words[place] = pid
        self._execution = self._words[WORD_RUNNING] = execution
        if self._words[WORD_INTERRUPT] == execution:  # the signal was faster than the code
            self._postpone()

    def begin_task(self, task: asyncio.Task[Any]) -> None:
        """The running execution goes on as a task."""
        self._task = task
        if self.is_pending:
            self._take()
            self._cancel(self._execution)

    def end(self) -> None:
        """Nothing runs; what is pending has come too late."""
        self._execution = self._words[WORD_RUNNING] = 0
        self._task = None
        self.is_pending = False
        if self._has_ended_loops:
            self._has_ended_loops = False
            self._stop_waiting()
            toolkit_loops.settle()

    def insist(self, execution: int) -> None:
        """Wake what may keep an interrupt of this execution from being heard, from any thread."""
        if self._execution == execution and self._words[WORD_INTERRUPT] == execution:
            start_new_thread(toolkit_loops.wake, ())

    def tell_sides(self, count: int) -> None:
        """Let the hub see how many side lanes run, should it come to the worker by no other way."""
        self._words[WORD_SIDES] = count

    def check(self) -> None:
        """Raise a pending interrupt here, if this is the main thread."""
        if self.is_pending and threading.get_ident() == threading.main_thread().ident:
            if self._is_called_by_loop(sys._getframe()):
                return  # the repeated signal sees to that
            self._take()
            raise KeyboardInterrupt

    def raise_in_thread(self, thread_id: int) -> None:
        """Raise KeyboardInterrupt in a thread at its next bytecode; it cannot be raised inside a C call."""
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread_id), ctypes.py_object(KeyboardInterrupt))

    def cancel(self) -> bool:
        """Cancel the task of the running execution, if any: the interrupt struck another task that it has started."""
        return self._cancel(self._execution)

    def _handle_own(self, _number: int, frame: FrameType | None) -> None:
        if self._execution:
            self._strike(frame)

    def _handle_aimed(self, _number: int, frame: FrameType | None) -> None:
        if self._execution and self._words[WORD_INTERRUPT] == self._execution:
            if self._is_taken_over() and not self._words[WORD_FORCE]:
                self._take()
                _raise_signal(signal.SIGINT)
                return
            self.was_cancelled |= bool(self._words[WORD_FORCE])
            self._strike(frame)
        elif self.is_pending:
            self._strike(frame)

    def _handle_nudge(self, _number: int, frame: FrameType | None) -> None:
        self.nudged(frame)

    def _is_taken_over(self) -> bool:
        # The system's default is no handler: whoever wants Ctrl-C to end the program does not want the kernel ended.
        found = handler_of(signal.SIGINT)
        return getattr(found, "handler", found) not in (self._handle_own, _raise_interrupt, signal.SIG_DFL)

    def _strike(self, frame: FrameType | None) -> None:
        execution = self._execution
        if self._task is not None and self._current is not None and self._current.get() != execution:
            assert self._loop is not None
            self._take()
            self._loop.call_soon_threadsafe(self._cancel, execution)
        elif not is_in_user_code(frame) or self._waits_for_loop(frame):
            self._postpone()
        else:
            self._take()
            raise KeyboardInterrupt

    def _waits_for_loop(self, frame: FrameType | None) -> bool:
        """Whether a toolkit's loop is to end first; a callback that keeps it from ending is struck as well."""
        if not self._is_called_by_loop(frame):
            return False
        toolkit_loops.end(frame)
        self._has_ended_loops = True
        self._lie_in_wait(frame)
        now_s = time.monotonic()
        if self._callback_until_s is None:
            self._callback_until_s = now_s + _CALLBACK_S
        if now_s >= self._callback_until_s:
            self._callback_until_s = now_s + _CALLBACK_AGAIN_S
            self._postpone()
            raise KeyboardInterrupt
        return True

    def _is_called_by_loop(self, frame: FrameType | None) -> bool:
        return toolkit_loops.has_called(frame)

    def _lie_in_wait(self, frame: FrameType | None) -> None:
        """Strike right behind the loop: what follows it must not run, which the repeated signal comes too late for."""
        if get_trace() is not None:  # a debugger's
            return
        while frame is not None:
            if not _is_ours(frame.f_code):
                frame.f_trace, frame.f_trace_opcodes = self._strike_behind_loop, True
                self._traced.append(frame)
            frame = frame.f_back
        set_trace(self._strike_behind_loop)

    def _strike_behind_loop(self, frame: FrameType, event: str, _value: Any) -> Any:
        """Called with each step of those that may have called the loop."""
        if event == "call":
            return None  # and not with those of others
        if self.is_pending and is_in_user_code(frame) and not self._is_called_by_loop(frame):
            self._take()
            raise KeyboardInterrupt
        return self._strike_behind_loop

    def _stop_waiting(self) -> None:
        if get_trace() == self._strike_behind_loop:
            set_trace(None)
        for frame in self._traced:
            frame.f_trace, frame.f_trace_opcodes = None, False
        self._traced.clear()

    def _postpone(self) -> None:
        self.is_pending = True
        with contextlib.suppress(RuntimeError):  # no more threads: then `check` alone
            # Not `threading`, whose locks the interrupted code may hold.
            start_new_thread(self._repeat, ())

    def _repeat(self) -> None:
        time.sleep(_REPEAT_AFTER_S)
        ident = threading.main_thread().ident
        if self.is_pending and ident is not None:
            self.let_go()
            send_to_thread(ident, INTERRUPT_SIGNAL)
            toolkit_loops.wake()

    def _take(self) -> None:
        self.is_pending = False
        self._words[WORD_INTERRUPT] = 0
        self._callback_until_s = None
        self._stop_waiting()

    def _cancel(self, execution: int) -> bool:
        if self._task is None or self._execution != execution:
            return False
        # Code that has taken one cancellation for its own gets what it cannot take for one, as at any second Ctrl-C.
        self.insists = self.was_cancelled
        self.was_cancelled = True
        self._task.cancel()
        return True


may_interrupt(toolkit_loops.run_python)


def is_in_user_code(frame: FrameType | None) -> bool:
    """Whether an exception raised in this frame surfaces in user code, and nowhere before."""
    has_user_frame = False
    called = ""
    while frame is not None:
        code = frame.f_code
        if code in _may_interrupt:
            return True
        if _is_ours(code):
            return has_user_frame and code in _runs_user_code
        if code.co_filename.startswith(_kept_out):
            return called == _EXPRESSION
        # In the loop, which also works within the context of a task, an exception would lose the task's next step.
        if code.co_filename not in _passed_over and not code.co_filename.startswith(LOOPS):
            has_user_frame = True
        called = code.co_filename
        frame = frame.f_back
    return has_user_frame  # a stack beside ours, as greenlets have: what is raised there gets to who waits for it


def without_loop(error: BaseException) -> BaseException:
    """Leave out the frames of the event loop through which a handler was reached; returns the error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None and _is_loops(trace.tb_frame.f_code):
        trace = trace.tb_next
    return error.with_traceback(trace)


def _is_loops(code: CodeType) -> bool:
    return _is_ours(code) or code.co_filename.startswith(LOOPS)


def _is_ours(code: CodeType) -> bool:
    return code.co_filename.startswith(_OURS) and code.co_filename != _WAITED_IN
