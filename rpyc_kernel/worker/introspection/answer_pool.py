"""Where questions wait and are answered: on threads of their own, so that a slow one holds up nobody else.

Nothing that is looked at should run code that does not come back. If some does all the same, it keeps one of a few
threads, and the others go on.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from rpyc_kernel.errors import WorkerBusy
from rpyc_kernel.system.originals import queue, threading
from rpyc_kernel.system.threads import make_thread

_MAX_THREADS = 4

Answer = Callable[..., Any]
Reply = Callable[[bool, Any], None]
"""Takes whether the question was answered, and the answer, or the error."""


class AnswerPool:
    """Answers questions by name.

    Args:
        build: makes what answers each of them, when the first one comes: the modules take time to import.
    """

    def __init__(self, build: Callable[[], dict[str, Answer]]) -> None:
        self._build = build
        self._lock = threading.Lock()
        self._building = threading.Lock()
        self._answers: dict[str, Answer] | None = None
        self._waiting: queue.SimpleQueue[tuple[str, list[Any], Reply] | None] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._unanswered = 0

    def ask(self, name: str, arguments: list[Any], reply: Reply) -> None:
        """Have a question answered on another thread, where ``reply`` is called."""
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
            self._waiting.put((name, arguments, reply))
        else:
            reply(False, WorkerBusy("the worker can start no thread to answer; user code has used them up"))

    def close(self) -> None:
        """Answer what has been asked, and end the threads."""
        with self._lock:
            threads, self._threads = self._threads, []
        for _ in threads:
            self._waiting.put(None)
        for thread in threads:
            thread.join()

    def _work(self) -> None:
        while (waiting := self._waiting.get()) is not None:
            name, arguments, reply = waiting
            try:
                reply(True, self._find(name)(*arguments))
            except BaseException as error:  # noqa: BLE001 - the thread must go on, whatever was raised; who asked is told
                with contextlib.suppress(BaseException):
                    reply(False, error)
            finally:
                with self._lock:
                    self._unanswered -= 1

    def _find(self, name: str) -> Answer:
        with self._building:
            if self._answers is None:
                self._answers = self._build()
        try:
            return self._answers[name]
        except KeyError:
            raise LookupError(f"this worker knows no question {name!r}") from None
