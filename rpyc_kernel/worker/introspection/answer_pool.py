"""Where questions wait and are answered: on threads of their own, so that a slow one holds up nobody else.

Nothing that is looked at should run code that does not come back. If some does all the same, it keeps one of a few
threads, and the others go on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection
from typing import Any

from rpyc_kernel.errors import WorkerBusy
from rpyc_kernel.system.originals import queue, threading
from rpyc_kernel.system.threads import make_thread

_MAX_THREADS = 4

Answer = Callable[..., Any]
Reply = Callable[[bool, Any], None]
"""Takes whether the question was answered, and the answer, or the error."""
_Question = tuple[str, list[Any], Reply]


class AnswerPool:
    """Answers questions by name.

    Args:
        build: makes what answers each of them, when the first one comes: the modules take time to import.
        slow: those whose answers run code that may take its time; they get no thread of the others.
    """

    def __init__(self, build: Callable[[], dict[str, Answer]], slow: Collection[str] = ()) -> None:
        self._build = build
        self._building = threading.Lock()
        self._answers: dict[str, Answer] | None = None
        self._slow = frozenset(slow)
        self._quick_threads, self._slow_threads = _Threads(self._answer), _Threads(self._answer)

    def ask(self, name: str, arguments: list[Any], reply: Reply) -> None:
        """Have a question answered on another thread, where ``reply`` is called."""
        threads = self._slow_threads if name in self._slow else self._quick_threads
        if not threads.take((name, arguments, reply)):
            reply(False, WorkerBusy("the worker can start no thread to answer; user code has used them up"))

    def close(self) -> None:
        """Answer what has been asked, and end the threads."""
        for threads in (self._quick_threads, self._slow_threads):
            threads.close()

    def _answer(self, question: _Question) -> None:
        name, arguments, reply = question
        try:
            reply(True, self._find(name)(*arguments))
        except BaseException as error:  # noqa: BLE001 - the thread must go on, whatever was raised; who asked is told
            with contextlib.suppress(BaseException):
                reply(False, error)

    def _find(self, name: str) -> Answer:
        with self._building:
            if self._answers is None:
                self._answers = self._build()
        try:
            return self._answers[name]
        except KeyError:
            raise LookupError(f"this worker knows no question {name!r}") from None


class _Threads:
    """A few threads, as many as there are questions without an answer at once."""

    def __init__(self, answer: Callable[[_Question], None]) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self._waiting: queue.SimpleQueue[_Question | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unanswered = 0

    def take(self, question: _Question) -> bool:
        """Have it answered; whether there is a thread to do so."""
        with self._lock:
            self._unanswered += 1
            if len(self._threads) < min(self._unanswered, _MAX_THREADS):
                thread = make_thread(self._work, "introspection")
                with contextlib.suppress(RuntimeError):  # user code has used up the threads
                    thread.start()
                    self._threads.append(thread)
            has_threads = bool(self._threads)
            self._unanswered -= not has_threads
        if has_threads:
            self._waiting.put(question)
        return has_threads

    def close(self) -> None:
        """Answer what was taken, and end them."""
        with self._lock:
            threads, self._threads = self._threads, []
        for _ in threads:
            self._waiting.put(None)
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        while (question := self._waiting.get()) is not None:
            try:
                self._answer(question)
            finally:
                with self._lock:
                    self._unanswered -= 1
