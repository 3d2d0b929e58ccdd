"""When user code's handlers of signals run: in the middle of user code, or else in a turn of the loop.

Python runs a handler in the main thread, between any two bytecodes. One that raises, as those for time limits do, would
strike whatever of the kernel's is on top of the stack, and an execution or the whole worker would be lost. So the
handler that the system knows is one of ours, which calls the user's at once where its exception surfaces in user code.
Elsewhere it asks for a turn of the loop, which comes first while nothing runs, and has the signal come again, which
comes first while code runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import signal
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

from rpyc_kernel.system.originals import threading, time
from rpyc_kernel.worker import forks
from rpyc_kernel.worker.interrupts import handler_of, is_in_user_code, runs_user_code, send_to_thread, start_new_thread
from rpyc_kernel.worker.user_frames import is_ours

_REPEAT_AFTER_S = 0.002


class Handlers:
    """Stands between the system and the user's handlers.

    Args:
        loop: the one that the main thread runs.
        survive: takes what a handler has raised in a turn of its own.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, survive: Callable[[BaseException], None]) -> None:
        self._loop = loop
        self._survive = survive
        self._put_off: set[int] = set()
        self._with_turn: set[int] = set()

    def install(self) -> None:
        """Become what `signal.signal` and `signal.getsignal` are."""
        known_signal, known_getsignal = signal.signal, signal.getsignal

        @functools.wraps(known_signal)
        def set_guarded(signalnum: Any, handler: Any) -> Any:
            guarded = self.guard(handler) if callable(handler) and not _is_ours(handler) else handler
            return _unwrap(known_signal(signalnum, guarded))

        @functools.wraps(known_getsignal)
        def get_unwrapped(signalnum: Any) -> Any:
            return _unwrap(known_getsignal(signalnum))

        signal.signal, signal.getsignal = set_guarded, get_unwrapped

    def guard(self, handler: Callable[[int, FrameType | None], Any]) -> Guarded:
        """A handler for the system, which calls the user's when it may run."""
        return Guarded(handler, self._put_off_until_it_may)

    def _put_off_until_it_may(self, number: int) -> None:
        if number not in self._put_off:
            self._put_off.add(number)
            with contextlib.suppress(RuntimeError):  # no more threads: then the turn alone
                start_new_thread(self._repeat, (number,))  # not `threading`, whose locks the code on top may hold
        if number not in self._with_turn:
            self._with_turn.add(number)
            self._loop.call_soon_threadsafe(self._take_turn, number)

    def _repeat(self, number: int) -> None:
        time.sleep(_REPEAT_AFTER_S)
        ident = threading.main_thread().ident
        if ident is not None and self._take(number):
            send_to_thread(ident, number)

    @runs_user_code
    def _take_turn(self, number: int) -> None:
        self._with_turn.discard(number)
        guarded = handler_of(number)
        if not isinstance(guarded, Guarded) or not self._take(number):  # it is user code's no longer; or it came again
            return
        try:
            guarded.handler(number, sys._getframe())
        except BaseException as error:  # noqa: BLE001 - whatever it is
            self._survive(error)

    def _take(self, number: int) -> bool:
        """Whether it is still put off, which only one is told."""
        try:
            self._put_off.remove(number)
        except KeyError:
            return False
        return True


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
