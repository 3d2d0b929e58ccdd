"""Windows of user code live while the main thread would wait: between executions, while one awaits, and at a prompt.

IPython's input hooks run a toolkit's loop until a descriptor can be read. The selector of the worker's loop is such a
descriptor: whatever the loop waits for ends the toolkit's turn at once, and nothing has to look up every few
milliseconds. Two things that are no descriptors are made to wake the loop: a time limit, by a thread that sleeps until
then, and a signal, by Python's wakeup descriptor, as the handler itself runs only when Python code does.

Where the loop has so much to do that it never waits, the toolkit gets a turn of what it has ready in between.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
from collections.abc import Callable
from typing import Any

from rpyc_kernel.system.originals import select, threading, time
from rpyc_kernel.worker import forks

_TURN_EVERY_S = 0.01
_SHORT_S, _LOOK_UP_S = 0.005, 0.05
"""A toolkit that returns so soon may have no window yet, and is asked again so late."""

_set_wakeup_fd = signal.set_wakeup_fd  # user code may patch `signal`
Hook = Callable[["Turn"], Any]


class Turn:
    """What an input hook asks of its caller: until when it may run.

    Args:
        descriptor: can be read when it is over.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def input_is_ready(self) -> bool:
        """Whether the turn is over."""
        return _can_read(self._descriptor, 0)


class _ShortTurn(Turn):
    """A turn that is over as soon as what is ready is done; a hook that asks before it begins would not begin."""

    _has_asked = False

    def input_is_ready(self) -> bool:
        """False for the first time."""
        has_asked, self._has_asked = self._has_asked, True
        return has_asked


class Windows:
    """The toolkit whose windows live, if any; for the main thread.

    Attributes:
        toolkit: its name as `%gui` takes it, None for none.
    """

    def __init__(self) -> None:
        self.toolkit: str | None = None
        self._hook: Hook | None = None
        self._last_turn_s = 0.0
        self._wake_descriptor = -1
        self._ready: int | None = None
        self._alarm: _Alarm | None = None

    def make_loop(self) -> asyncio.AbstractEventLoop:
        """An asyncio loop that lets windows live while it waits."""
        loop: Any = asyncio.SelectorEventLoop(_Selector(self))
        self._wake_descriptor = loop._csock.fileno()
        self._wake = loop._write_to_self
        return loop  # type: ignore[no-any-return]

    def use(self, toolkit: str | None, hook: Hook | None) -> None:
        """Let this toolkit's windows live from now on, instead of those of any other."""
        self.toolkit, self._hook = toolkit, hook
        self._last_turn_s = 0.0
        if hook is not None:
            self.take_short_turn()  # so that what follows finds the toolkit begun, such as Qt's application

    def close(self) -> None:
        """Give back what was made for the turns."""
        self.use(None, None)
        if self._ready is not None:
            os.close(self._ready)
        if self._alarm is not None:
            self._alarm.close()
        self._ready = self._alarm = None

    @property
    def are_alive(self) -> bool:
        """Whether a toolkit wants its turns, here and now."""
        return self._hook is not None and not forks.is_child()

    def live_until(self, selector: _Selector, timeout: float | None) -> None:
        """Let windows live until the selector has something ready, or the time is over."""
        deadline_s = None if timeout is None else time.monotonic() + timeout
        while not selector.look():
            left_s = None if deadline_s is None else deadline_s - time.monotonic()
            if left_s is not None:
                if left_s <= 0:
                    return
                self._alarm = self._alarm or _Alarm(self._wake)
                self._alarm.ring_after(left_s)
            self.live_until_readable(selector.fileno(), self._wake_descriptor, left_s)

    def live_until_readable(self, descriptor: int, wake_descriptor: int, timeout: float | None = None) -> None:
        """Let windows live for a turn, which ends when a descriptor can be read.

        Args:
            descriptor: the descriptor.
            wake_descriptor: what is written there makes that so: it is what a signal does.
            timeout: for how long to wait if the toolkit has nothing to run, such as Tk without a window.
        """
        began_s = time.monotonic()
        self._take_turn(Turn(descriptor), wake_descriptor)
        if time.monotonic() - began_s < _SHORT_S:
            _can_read(descriptor, _LOOK_UP_S if timeout is None else min(timeout, _LOOK_UP_S))

    def take_short_turn(self) -> None:
        """Let windows do what they have ready, where the last turn was a while ago."""
        if time.monotonic() - self._last_turn_s < _TURN_EVERY_S:
            return
        if self._ready is None:
            self._ready, end = os.pipe()
            os.close(end)  # so that it can always be read
        self._take_turn(_ShortTurn(self._ready), self._wake_descriptor)

    def _take_turn(self, turn: Turn, wake_descriptor: int) -> None:
        """Run the toolkit's loop until the turn is over, or a signal has come."""
        hook = self._hook
        assert hook is not None
        before = _set_wakeup(wake_descriptor)
        try:
            hook(turn)
        finally:
            _set_wakeup(before)
            self._last_turn_s = time.monotonic()


class _Selector(selectors.DefaultSelector):
    """The selector of the loop: where it would wait, windows live."""

    def __init__(self, windows: Windows) -> None:
        super().__init__()
        self._windows = windows

    def select(self, timeout: float | None = None) -> Any:
        """See `selectors.BaseSelector.select`."""
        windows = self._windows
        if not windows.are_alive:
            return super().select(timeout)
        if (timeout is not None and timeout <= 0) or self.look():
            windows.take_short_turn()
        else:
            windows.live_until(self, timeout)
        return self.look()

    def look(self) -> Any:
        """What is ready now."""
        return super().select(0)


class _Alarm:
    """A thread that wakes the loop at a time; the loop wakes for less, too, and then asks again.

    Args:
        wake: wakes the loop, from any thread.
    """

    def __init__(self, wake: Callable[[], object]) -> None:
        self._wake = wake
        self._condition = threading.Condition()
        self._at_s: float | None = None
        self._sleeps_until_s: float | None = None
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="rpyc-kernel-gui-alarm", daemon=True)
        self._thread.start()

    def ring_after(self, seconds: float) -> None:
        """Ring so late, and not at any other time that was asked for before."""
        with self._condition:
            self._at_s = time.monotonic() + seconds
            if self._sleeps_until_s is None or self._at_s < self._sleeps_until_s:
                self._condition.notify()

    def close(self) -> None:
        """End the thread."""
        with self._condition:
            self._is_closed = True
            self._condition.notify()
        self._thread.join()

    def _run(self) -> None:
        while self._sleep():
            self._wake()

    def _sleep(self) -> bool:
        """Sleep until it is time to ring; False at the end."""
        with self._condition:
            while not self._is_closed and (self._at_s is None or self._at_s > time.monotonic()):
                self._sleeps_until_s = self._at_s
                self._condition.wait(None if self._at_s is None else self._at_s - time.monotonic())
            self._at_s = self._sleeps_until_s = None
            return not self._is_closed


def _can_read(descriptor: int, timeout_s: float) -> bool:
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    return bool(poll.poll(timeout_s * 1000))


def _set_wakeup(descriptor: int) -> int:
    return _set_wakeup_fd(descriptor, warn_on_full_buffer=False)


windows = Windows()
"""Those of this worker."""
