"""Ctrl-Z: the process stops, as every program on a terminal does, and goes on where it was."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

_NOTICE_S = 0.5


class Suspending:
    """Stops this process on request, and has it ``resume`` when others have stopped it.

    Its ``stop`` gives the terminal back, calls what it is given, and takes the terminal again.
    """

    def __init__(self, stop: Callable[[Callable[[], None]], object], resume: Callable[[], object]) -> None:
        self._stop = stop
        self._resume = resume
        self._loop = asyncio.get_running_loop()
        self._loop.add_signal_handler(signal.SIGTSTP, self.stop)
        self._loop.add_signal_handler(signal.SIGCONT, self._notice)
        self._was_asked = False

    def stop(self) -> None:
        """Stop until somebody has this process go on."""
        self._stop(lambda: self._stop_now(os.getpid()))

    def stop_all(self) -> None:
        """Stop with all that the shell runs together with this process."""
        self._stop(lambda: self._stop_now(0))

    def _stop_now(self, whom: int) -> None:
        self._loop.remove_signal_handler(signal.SIGTSTP)
        self._was_asked = True
        os.kill(whom, signal.SIGTSTP)
        self._loop.add_signal_handler(signal.SIGTSTP, self.stop)
        # Where nobody could have it go on, it has not stopped, and no SIGCONT has come. One that has come is noticed
        # first, however late the loop is.
        self._loop.call_later(_NOTICE_S, self._loop.call_soon, self._expect_nothing)

    def _expect_nothing(self) -> None:
        self._was_asked = False

    def _notice(self) -> None:
        if not self._was_asked:
            self._resume()
        self._was_asked = False
