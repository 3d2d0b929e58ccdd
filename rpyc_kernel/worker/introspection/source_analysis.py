"""What the source alone promises, read by jedi, on a thread of its own and within a time budget.

jedi is Python and holds the interpreter lock like user code does. What it has not found in time is left out, and is
there for whoever asks the same again. It is imported when it is first asked, which takes a fifth of a second. It gets
modules, functions and plain classes of the namespace; of anything else it could run code.
"""

from __future__ import annotations

import math
import os
import re
import types
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rpyc_kernel.system.originals import futures, logging, queue, threading, time
from rpyc_kernel.system.threads import make_thread
from rpyc_kernel.worker import imports
from rpyc_kernel.worker.static_access import is_class, is_trusted_module, own_dict, type_name

_log = logging.getLogger(__name__)
_BUDGET_S = 0.2
MAX_CODE_CHARS = 100_000
_WORD = re.compile(r"[^\W\d]\w*")

Read = Callable[[Any, int, int], Any]
"""Asks a jedi script about a line, from 1, and a column."""


@dataclass(frozen=True)
class _Question:
    code: str
    cursor: int
    read: Read
    answer: futures.Future[Any] = field(default_factory=futures.Future, compare=False)


class SourceAnalyzer:
    """Reads source with jedi.

    Args:
        namespace: the live namespace.
        budget_s: how long an answer may take.
    """

    def __init__(self, namespace: dict[str, Any], budget_s: float = _BUDGET_S) -> None:
        self._namespace = namespace
        self._budget_s = budget_s
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._waiting: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
        self._newest: _Question | None = None
        self._busy_since = math.inf

    def read(self, code: str, cursor: int, read: Read, budget_s: float | None = None) -> Any:
        """Return what ``read`` finds, None if it finds nothing in time; who asks the same again gets it later."""
        limit_s = self._budget_s if budget_s is None else budget_s
        if len(code) > MAX_CODE_CHARS:
            return None
        question = self._ask(_Question(code, cursor, read))
        # Behind what has taken too long already there is nothing to wait for.
        is_late = time.monotonic() - self._busy_since > limit_s
        try:
            found = question.answer.result(0 if is_late else limit_s)
        except (futures.TimeoutError, futures.CancelledError):
            return None
        with self._lock:
            if self._newest is question:
                self._newest = None  # the namespace may be another when the same is asked again
        return found

    def _ask(self, question: _Question) -> _Question:
        """Have the question read; only the newest waits."""
        with self._lock:
            if self._newest == question:
                return self._newest
            if self._thread is None:
                thread = make_thread(self._work, "introspection-static")
                try:
                    thread.start()
                except RuntimeError:  # user code has used up the threads; there may be some for the next question
                    question.answer.cancel()
                    return question
                self._thread = thread
            if self._newest is not None:
                self._newest.answer.cancel()
            self._newest = question
        self._waiting.put(question)
        return question

    def close(self) -> None:
        """End the thread, when what it reads now is read."""
        with self._lock:
            if self._thread is not None:
                self._waiting.put(None)
                self._thread.join()
                self._thread = None

    def _work(self) -> None:
        while (question := self._waiting.get()) is not None:
            if not question.answer.set_running_or_notify_cancel():
                continue
            self._busy_since = time.monotonic()
            try:
                question.answer.set_result(self._ask_jedi(question.code, question.cursor, question.read))
            except BaseException as error:  # noqa: BLE001 - as below
                # jedi fails on much unfinished code, and it is a guess anyway. It also imports extension modules, one
                # of which may raise SystemExit; there is nothing else in this thread that could be meant by it.
                _log.debug("jedi has failed: %s", type_name(error))
                question.answer.set_result(None)
            finally:
                self._busy_since = math.inf

    @imports.for_kernel()
    def _ask_jedi(self, code: str, cursor: int, read: Read) -> Any:
        while True:
            try:
                return self._read(code, cursor, read)
            except Exception as error:
                if not _remove_unreadable(error):
                    raise

    def _read(self, code: str, cursor: int, read: Read) -> Any:
        import jedi

        before = code[:cursor]
        named = {name: self._namespace.get(name) for name in set(_WORD.findall(code))}
        shared = {name: value for name, value in named.items() if _is_harmless(value)}
        script = _restrict(jedi.Interpreter(code, [shared], project=jedi.Project(os.getcwd())))
        return read(script, before.count("\n") + 1, len(before) - (before.rfind("\n") + 1))


def open_file(text: str, file: str) -> Any:
    """A jedi script of a file; for what `SourceAnalyzer` is given to read, on its thread."""
    import jedi
    from jedi.api.environment import InterpreterEnvironment  # any other is a process of its own

    project = jedi.Project(os.getcwd())
    return _restrict(jedi.Script(text, path=file, project=project, environment=InterpreterEnvironment()))


def _restrict(script: Any) -> Any:
    """Have it run no code of what it looks at."""
    # The first is of jedi 0.20, the second of those before. The public setting is that of everybody in the process.
    for setting in ("allow_unsafe_executions", "allow_descriptor_getattr"):
        setattr(script._inference_state, setting, False)
    return script


def _remove_unreadable(error: Exception) -> bool:
    """Remove the file that jedi could not read from its cache, if that is why it failed.

    One that is being written by another process, or was when that ended, looks like any other; and what is cut off
    would fail from then on, for everybody.
    """
    trace = error.__traceback__
    while trace is not None:
        frame, trace = trace.tb_frame, trace.tb_next
        if frame.f_code.co_name == "_load_from_file_system" and frame.f_globals.get("__name__") == "parso.cache":
            try:
                os.unlink(frame.f_locals["cache_path"])
            except (OSError, KeyError, TypeError):
                return False
            return True
    return False


def _is_harmless(value: Any) -> bool:
    if is_class(value):
        return type(value) is type
    if type(value) is types.ModuleType:
        return "__getattr__" not in own_dict(value) or is_trusted_module(value)
    return type(value) is types.BuiltinFunctionType or (type(value) is types.FunctionType and not own_dict(value))
