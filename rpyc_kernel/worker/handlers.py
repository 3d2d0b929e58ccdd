"""When user code's handlers of signals run: in the middle of user code, or else in a turn of the loop.

Python runs a handler in the main thread, between any two bytecodes. One that raises, as those for time limits do, would
strike whatever of the kernel's is on top of the stack, and an execution or the whole worker would be lost. So the
handler that the system knows is one of ours, which calls the user's at once where its exception surfaces in user code.
Elsewhere it asks for a turn of the loop, which comes first while nothing runs, and for a nudge in a moment, which comes
first while code runs. (The same signal again might find a handler no longer, and end the process.)
"""

from __future__ import annotations

import asyncio
import functools
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from rpyc_kernel.system.originals import threading, time
from rpyc_kernel.system.processes import NUDGE_SIGNAL
from rpyc_kernel.worker import forks
from rpyc_kernel.worker.interrupts import (
    Interrupts,
    handler_of,
    is_in_user_code,
    runs_user_code,
    send_to_thread,
    start_new_thread,
)
from rpyc_kernel.worker.user_frames import is_ours

_NUDGE_AFTER_S = 0.002


class Handlers:
    """Stands between the system and the user's handlers; ``survive`` takes what one raises in a turn of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop, survive: Callable[[BaseException], None]) -> None:
        self._loop = loop
        self._survive = survive
        self._put_off: set[int] = set()
        self._has_turn = self._will_be_nudged = False

    def install(self, interrupts: Interrupts) -> None:
        """Become what `signal.signal` and `signal.getsignal` are, and hear of the kernel's own signal."""
        known_signal, known_getsignal = signal.signal, signal.getsignal

        @functools.wraps(known_signal)
        def set_guarded(signalnum: Any, handler: Any) -> Any:
            guarded = self.guard(handler) if callable(handler) and not _is_ours(handler) else handler
            return _unwrap(known_signal(signalnum, guarded))

        @functools.wraps(known_getsignal)
        def get_unwrapped(signalnum: Any) -> Any:
            return _unwrap(known_getsignal(signalnum))

        signal.signal, signal.getsignal = set_guarded, get_unwrapped
        interrupts.nudged = self._be_nudged

    def guard(self, handler: Callable[[int, FrameType | None], Any]) -> Guarded:
        """A handler for the system, which calls the user's when it may run."""
        return Guarded(handler, self._put_off_until_it_may)

    def _put_off_until_it_may(self, number: int) -> None:
        self._put_off.add(number)
        if not self._has_turn:
            self._has_turn = True
            self._loop.call_soon_threadsafe(self._take_turn)
        self._ask_for_nudge()

    def _ask_for_nudge(self) -> None:
        if not self._will_be_nudged:
            self._will_be_nudged = True
            try:
                start_new_thread(self._nudge_soon, ())  # not `threading`, whose locks the code on top may hold
            except RuntimeError:  # no more threads: then the turn alone
                self._will_be_nudged = False

    def _nudge_soon(self) -> None:
        time.sleep(_NUDGE_AFTER_S)
        ident = threading.main_thread().ident
        self._will_be_nudged = False
        if self._put_off and ident is not None:
            send_to_thread(ident, NUDGE_SIGNAL)

    def _be_nudged(self, frame: FrameType | None) -> None:
        """A moment has passed; or the hub has sent the same."""
        if not self._put_off:
            return
        if is_in_user_code(frame):
            self._run(frame)
        else:
            self._ask_for_nudge()

    @runs_user_code
    def _take_turn(self) -> None:
        self._has_turn = False
        try:
            self._run(sys._getframe())
        except BaseException as error:  # noqa: BLE001 - whatever it is
            self._survive(error)
        if self._put_off:  # others, behind the one that has raised
            self._put_off_until_it_may(self._put_off.pop())

    @runs_user_code
    def _run(self, frame: FrameType | None) -> None:
        for number in (*self._put_off,):
            self._put_off.discard(number)
            found = handler_of(number)
            if isinstance(found, Guarded):  # else user code has taken it back meanwhile
                found.handler(number, frame)


class Guarded:
    """A user's handler, as the system knows it."""

    def __init__(self, handler: Callable[[int, FrameType | None], Any], put_off: Callable[[int], None]) -> None:
        self.handler = handler
        self._put_off = put_off

    def __call__(self, number: int, frame: FrameType | None) -> Any:
        """Run it now, or see to it that it runs soon."""
        if forks.is_child() or is_in_user_code(frame):
            return self.handler(number, frame)
        return self._put_off(number)


def _is_ours(handler: Any) -> bool:
    code = getattr(handler, "__code__", None)
    return code is not None and is_ours(code.co_filename)


def _unwrap(handler: Any) -> Any:
    return handler.handler if isinstance(handler, Guarded) else handler
