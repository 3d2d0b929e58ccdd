"""Evaluates expressions that somebody watches, each within limits of its own, beside the code that runs.

They are code of the user's, and do what they like: raise, never come back, print, fork. So they run on a thread that
can be left behind; the next expression gets another one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rpyc_kernel.core.introspection import Watched
from rpyc_kernel.core.seconds import show_seconds
from rpyc_kernel.system.originals import queue, threading, time
from rpyc_kernel.system.threads import make_thread
from rpyc_kernel.worker import forks
from rpyc_kernel.worker.error_reports import text_of
from rpyc_kernel.worker.interrupts import Interrupts
from rpyc_kernel.worker.introspection.variables import describe

_MAX_ERROR_CHARS = 400
_MAX_LEFT = 4
"""So many threads may be left behind by expressions that do not come back."""
_LEAVE_S = 0.2
_ROUNDS = 4
"""All together may take so many times what one may."""


class Watcher:
    """Evaluates in one namespace.

    Args:
        namespace: the live one.
        interrupts: raises in the thread of an expression that is late.
    """

    def __init__(self, namespace: dict[str, Any], interrupts: Interrupts) -> None:
        self._namespace = namespace
        self._interrupts = interrupts
        self._left: list[threading.Thread] = []
        self._lock = threading.Lock()

    def evaluate(self, expressions: Sequence[str], limit_s: float) -> list[Watched]:
        """Return what they are, in order."""
        found: list[Watched] = []
        deadline = time.monotonic() + _ROUNDS * limit_s
        while len(found) < len(expressions):
            rest = expressions[len(found) :]
            why = self._why_not() if time.monotonic() < deadline else "not evaluated: those before it took too long"
            if why:
                found += [Watched(each, error=why) for each in rest]
                break
            found += self._evaluate_some(rest, limit_s, deadline)
        return found

    def _why_not(self) -> str:
        with self._lock:
            self._left = [thread for thread in self._left if thread.is_alive()]
            if len(self._left) < _MAX_LEFT:
                return ""
        return f"not evaluated: {_MAX_LEFT} expressions have not come back yet"

    def _evaluate_some(self, expressions: Sequence[str], limit_s: float, deadline: float) -> list[Watched]:
        """Up to the first that is late."""
        run = _Run(self._namespace, expressions)
        thread = make_thread(run.evaluate, "watching")
        try:
            thread.start()
        except RuntimeError:
            return [Watched(each, error="not evaluated: user code has used up the threads") for each in expressions]
        found: list[Watched] = []
        while len(found) < len(expressions):
            try:
                found.append(run.results.get(timeout=max(0.0, min(limit_s, deadline - time.monotonic()))))
            except queue.Empty:
                if not run.leave():
                    continue
                late = expressions[len(found)]
                found.append(Watched(late, error=f"did not come back within {show_seconds(limit_s)} s"))
                self._leave(thread)
                break
        return found

    def _leave(self, thread: threading.Thread) -> None:
        with self._lock:
            self._left.append(thread)
        if thread.ident is not None and thread.is_alive():
            self._interrupts.raise_in_thread(thread.ident)
            thread.join(_LEAVE_S)  # most do; then they take nothing from the next


class _Run:
    def __init__(self, namespace: dict[str, Any], expressions: Sequence[str]) -> None:
        self._namespace = namespace
        self._expressions = expressions
        self.results: queue.SimpleQueue[Watched] = queue.SimpleQueue()
        self._handing_over = threading.Lock()
        self._is_left = False

    def leave(self) -> bool:
        """Have it go no further, unless what was waited for has come just then; whether it does not."""
        with self._handing_over:
            self._is_left = self.results.empty()
            return self._is_left

    def evaluate(self) -> None:
        try:
            for expression in self._expressions:
                found = self._look(expression)
                with self._handing_over:
                    if self._is_left:  # the next one is for another thread
                        break
                    self.results.put(found)
        except KeyboardInterrupt:
            pass  # it was late, and came back just then

    def _look(self, expression: str) -> Watched:
        try:
            value = eval(compile(expression.strip(), "<watch>", "eval", dont_inherit=True), self._namespace)  # noqa: S307
            shown = describe(expression, expression, value)
            return Watched(expression, shown.type, shown.preview, is_true=_is_true(value))
        except BaseException as error:  # noqa: BLE001 - whatever user code raises is a result
            if forks.is_child():
                forks.end_child(error)
            return Watched(expression, error=_tell(error))
        finally:
            if forks.is_child():
                forks.end_child()


def _is_true(value: Any) -> bool:
    try:
        return bool(value)
    except Exception:  # noqa: BLE001 - an array is neither
        return False


def _tell(error: BaseException) -> str:
    text = error.msg if type(error) is SyntaxError else text_of(error)
    told = " ".join(f"{type(error).__name__}: {text}".split()).removesuffix(":")
    told = told if len(told) <= _MAX_ERROR_CHARS else f"{told[:_MAX_ERROR_CHARS]}..."
    return told.encode("utf-8", "backslashreplace").decode()
