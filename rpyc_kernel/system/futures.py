"""Waiting that Ctrl-C cannot break.

A KeyboardInterrupt can surface in the main thread after any bytecode. The waits of ``threading`` and
``concurrent.futures`` are written in Python, so it can surface there between taking a lock and guarding it, and the
lock then stays taken for ever. What user threads share with a connection's own threads therefore rests on single C
calls: ``with`` on a lock made in C, ``list.append``, ``lock.release``.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator
from concurrent.futures import Future, InvalidStateError
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from rpyc_kernel.core.seconds import read_seconds
from rpyc_kernel.system.originals import logging, threading

if FutureTimeoutError is TimeoutError:
    NotDone = TimeoutError
else:  # Python 3.10

    class NotDone(FutureTimeoutError, TimeoutError):  # type: ignore[no-redef,misc]
        """What is still going on when the time is over; caught by either name."""


_log = logging.getLogger(__name__)
_OF_A_FUTURE = frozenset({"_condition", "_done_callbacks", "_exception", "_result", "_state", "_waiters"})
"""What the standard library keeps in a future."""
_COMPLETING = ("set_result", "set_exception", "set_running_or_notify_cancel")


class Latch:
    """An event that happens once. Each waiter brings a lock of its own, so an interrupted one leaves nothing taken."""

    __slots__ = ("_waiters", "is_set")

    def __init__(self) -> None:
        self.is_set = False
        self._waiters: list[threading.Lock] = []

    def set(self) -> None:
        """Let it happen; wakes everybody."""
        self.is_set = True
        while self._waiters:
            try:
                waiter = self._waiters.pop()
            except IndexError:  # its waiter gave up between the two lines above
                return
            waiter.release()

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until it has happened, at most so long; return whether it has."""
        if self.is_set:
            return True
        waiter = threading.Lock()
        waiter.acquire()
        self._waiters.append(waiter)
        if self.is_set:  # and `set` may have missed this waiter
            return True
        if timeout_s is None:
            waiter.acquire()
        elif not waiter.acquire(timeout=min(max(timeout_s, 0), threading.TIMEOUT_MAX)):
            with contextlib.suppress(ValueError):
                self._waiters.remove(waiter)
        return self.is_set


class GuardedCondition(threading.Condition):
    """A condition whose ``with`` enters the lock by one C call."""

    __enter__ = property(lambda self: self._lock.__enter__)
    __exit__ = property(lambda self: self._lock.__exit__)


class _ListingUse(type):
    """Lists, in completion and in documentation, what is for those who wait, and not what completes a future."""

    def __dir__(cls) -> list[str]:
        return [name for name in super().__dir__() if name not in _COMPLETING]


class CallFuture(Future[Any], metaclass=_ListingUse):
    """A future that its completing thread can still use after a KeyboardInterrupt has hit the waiting one."""

    _done_callbacks: list[Any]

    def __init__(self) -> None:
        self._completed = Latch()
        self._begin("PENDING", None, self._wake)

    def _begin(self, state: str, failure: BaseException | None, *told: Callable[[Future[Any]], object]) -> None:
        """Set what the standard library's own beginning would, whose condition would be thrown away."""
        self._waiters: list[Any] = []
        self._done_callbacks = list(told)
        self._result: Any = None
        self._exception = failure
        self._state = state
        self._condition: threading.Condition = GuardedCondition()  # last: another thread may look for it

    def result(self, timeout: float | None = None) -> Any:
        """See ``concurrent.futures.Future``."""
        self._wait(timeout)
        return super().result(0)

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """See ``concurrent.futures.Future``."""
        self._wait(timeout)
        return super().exception(0)

    def __await__(self) -> Generator[Any, None, Any]:
        import asyncio  # here, because who awaits has it, and hubs and others save 3 MB and its import

        return asyncio.wrap_future(self).__await__()

    def cancel(self) -> bool:
        """See ``concurrent.futures.Future``; whoever waits for several futures hears of it at once."""
        is_cancelled = super().cancel()
        with self._condition:
            if self._state == "CANCELLED":
                self.set_running_or_notify_cancel()
        return is_cancelled

    def __dir__(self) -> list[str]:
        return [*dir(type(self)), *vars(self)]

    def _invoke_callbacks(self) -> None:
        """Call each, whatever another raises: the thread that does serves others, and does not end for it."""
        for callback in self._done_callbacks:
            try:
                callback(self)
            except BaseException as error:
                if isinstance(error, KeyboardInterrupt) and threading.current_thread() is threading.main_thread():
                    raise
                _log.exception("a callback of %r failed", self)

    def _wait(self, timeout: float | None) -> None:
        if timeout is not None:
            timeout = read_seconds(timeout, "timeout", may_be_past=True)  # as futures have it
        if not self._wait_completed(timeout):
            raise NotDone(f"not done within {timeout:g} s; it goes on")

    def _wait_completed(self, timeout_s: float | None) -> bool:
        return self._completed.wait(timeout_s)

    @staticmethod
    def _wake(future: Future[Any]) -> None:
        if isinstance(future, CallFuture):
            future._completed.set()


class LazyFuture(CallFuture):
    """A future that is told of by whoever reads. What others wait by is made when they ask for it; most never do.

    Whoever derives from it looks by itself, and says `_is_over` and `_get_failure`. All who are to be told without
    asking (callbacks, ``concurrent.futures.wait``, asyncio) begin by asking for the condition of the future: so
    `_begin_telling` is called once there is somebody to tell, and has `_complete` called when it is over.
    """

    def __init__(self) -> None:
        # Nothing of `CallFuture`'s and its bases': see `__getattr__`.
        self._taking = threading.Lock()

    @property
    def _is_over(self) -> bool:
        raise NotImplementedError

    def _get_failure(self) -> BaseException | None:
        """What is to be raised in place of a result; only asked when it is over."""
        raise NotImplementedError

    def _begin_telling(self) -> None:
        """Have `_complete` called when it is over, by somebody who reads."""
        raise NotImplementedError

    def __getattr__(self, name: str) -> Any:
        if name not in _OF_A_FUTURE:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if not self._is_over:
            self._begin_telling()  # first: an interrupt then leaves nobody with a future that is not completed
        while True:
            failure = self._get_failure() if (is_over := self._is_over) else None
            with self._taking:
                if "_condition" in vars(self):  # another thread has made it
                    break
                if self._is_over == is_over:
                    self._begin("FINISHED" if is_over else "PENDING", failure)
                    break
        return vars(self)[name]

    def __await__(self) -> Generator[Any, None, Any]:
        return self._wait_async().__await__()

    async def _wait_async(self) -> Any:
        import asyncio  # here, as in `CallFuture`

        try:
            await asyncio.wrap_future(self)
        except asyncio.CancelledError:
            # asyncio takes what was dropped for a cancellation of whoever waits.
            if not (self.done() and self.cancelled()):
                raise
        return await asyncio.get_running_loop().run_in_executor(None, self.result)

    def _complete(self) -> None:
        """Tell those who do not read that it is over; may be repeated."""
        failure = self._get_failure()
        with self._taking:
            is_awaited = "_condition" in vars(self)  # else it is made as that of one that is over
        if is_awaited:
            with contextlib.suppress(InvalidStateError):
                if failure is None:
                    self.set_result(None)
                else:
                    self.set_exception(failure)


def begin_completing(future: CallFuture) -> bool:
    """Whether a future may be completed; from then on it can no longer be cancelled."""
    with future._condition:
        return not future.cancelled() and future.set_running_or_notify_cancel()
