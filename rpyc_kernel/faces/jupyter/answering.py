"""Requests and their answers: found at once or on threads that may wait for the kernel, and said in turn.

All of it belongs to the bridge's thread, but for the questions themselves.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.errors import CallTimeout
from rpyc_kernel.faces.jupyter import answers
from rpyc_kernel.faces.jupyter.messages import Header, Request
from rpyc_kernel.faces.jupyter.sockets import Sockets
from rpyc_kernel.faces.jupyter.turns import Turns

_log = logging.getLogger(__name__)
_THREADS = 4
_CONTROL_S = 3.0
"""How long who controls the kernel waits for a hub that does not answer; what was asked is done as soon as it does."""
_ANSWERED_IN_THE_END = ("execute_request", "apply_request", "clear_request", "shutdown_request")

Content = dict[str, Any]
Handler = Callable[[Request], None]
Question = Callable[[KernelClient, Content], Content]


class Answering:
    """Answers requests, each once, between saying that the kernel is busy and that it is idle.

    Args:
        channels: where answers go.
        publish_state: tells everybody that the kernel is busy, or idle, with a message.
        kernel: the kernel.
        post: has something done on the bridge's thread.
    """

    def __init__(
        self,
        channels: Sockets,
        publish_state: Callable[[str, Header], None],
        kernel: Callable[[], KernelClient],
        post: Callable[[Callable[[], None]], None],
    ) -> None:
        self._channels = channels
        self._publish_state = publish_state
        self._kernel = kernel
        self._post = post
        self._turns = Turns()
        self._limits: deque[tuple[float, Request]] = deque()
        self._askers = ThreadPoolExecutor(_THREADS, "jupyter-questions")
        # Interrupts must not wait behind completions for a worker that does not answer.
        self._controllers = ThreadPoolExecutor(_THREADS, "jupyter-control")

    # ------------------------------------------------------------------ handlers

    def at_once(self, answer: Callable[[Request], Content]) -> Handler:
        """Make a handler of requests whose answer is at hand."""

        def handle(request: Request) -> None:
            self._publish_state("busy", request.header)
            self.reply(request, answer(request))

        return handle

    def by_asking(self, question: Question) -> Handler:
        """Make a handler of requests whose answer the kernel has."""
        return self.later(lambda request: self._askers.submit(question, self._kernel(), request.content))

    def by_control(self, question: Question, *, is_limited: bool = True) -> Handler:
        """The same for what controls the kernel; unless told not to, it is not waited for without end."""

        def ask(request: Request) -> Future[Content]:
            if is_limited:
                self._limits.append((time.monotonic() + _CONTROL_S, request))
            return self._controllers.submit(question, self._kernel(), request.content)

        return self.later(ask)

    def later(self, ask: Callable[[Request], Future[Content]]) -> Handler:
        """Make a handler of requests whose answer a future will have."""

        def handle(request: Request) -> None:
            self._publish_state("busy", request.header)
            ask(request).add_done_callback(lambda done: self._post(lambda: self._answer(request, done)))

        return handle

    # ------------------------------------------------------------------ answers

    def enter(self, request: Request) -> None:
        """A request has come."""
        if _has_turn(request):
            self._turns.enter(request)

    def reply(self, request: Request, content: Content) -> None:
        """Answer, behind the answers to what was asked before; nothing if there was an answer already."""

        def say() -> None:
            self._channels.reply(request, content)
            self._publish_state("idle", request.header)

        if _has_turn(request):
            self._turns.answer(request, say)
        else:
            say()

    def fail(self, request: Request, error: Exception) -> None:
        """Answer with an error, if it is what has an answer."""
        _log.warning("%s failed: %s: %s", request.kind, type(error).__name__, error)
        if request.kind.endswith("_request"):
            self.reply(request, answers.describe_error(request.kind, error))
        else:
            self._publish_state("idle", request.header)

    def end_overdue(self) -> None:
        """Answer those whose question the kernel has not answered in time."""
        while self._limits and self._limits[0][0] <= time.monotonic():
            _, request = self._limits.popleft()
            error = CallTimeout(f"the kernel's hub has not answered within {_CONTROL_S:g} s")
            self.reply(request, answers.describe_error(request.kind, error))

    def _answer(self, request: Request, done: Future[Content]) -> None:
        error = None if done.cancelled() else done.exception()
        if isinstance(error, Exception):
            self.fail(request, error)
        elif not done.cancelled():
            self.reply(request, done.result())

    # ------------------------------------------------------------------ threads

    def ask_aside(self, question: Callable[[KernelClient], Content], then: Callable[[Content], None]) -> None:
        """Ask the kernel what no request asks; ``then`` gets the answer, nothing if there is none."""
        asked = self._askers.submit(question, self._kernel())
        asked.add_done_callback(lambda done: self._post(lambda: then({} if done.exception() else done.result())))

    def tell(self, work: Callable[[KernelClient], None]) -> None:
        """Tell the kernel something that has no answer."""
        self._controllers.submit(work, self._kernel())

    def close(self) -> None:
        """Drop what is still asked."""
        for pool in (self._askers, self._controllers):
            pool.shutdown(wait=False, cancel_futures=True)


def _has_turn(request: Request) -> bool:
    """Whether it is a question that is answered behind those that were asked before."""
    return request.kind.endswith("_request") and request.kind not in _ANSWERED_IN_THE_END
