"""What is asked of one kernel in a loop: each question has its turn, and its answer comes by a call."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Final

from rpyc_kernel.client.answers import reader_of
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core import commands
from rpyc_kernel.core.commands import Command
from rpyc_kernel.faces.stdio.peer import Request

_MAX_ASKED: Final = 32
"""A hub refuses more questions than 64 to its worker at once; who asks here has a turn."""

Tell = Callable[[Any, "BaseException | None"], None]
"""Takes the answer, or the error."""
Read = Callable[[Any], Any]
"""Makes of what has crossed what is told."""


class Question:
    """A command that is given to a kernel.

    Args:
        command: the command.
        arguments: what it takes, as it crosses.
        tell: called in the loop with what has come of it; but not where it was dropped before it was asked.
        read: reads the answer, else as the table says.

    Attributes:
        is_dropped: whether nobody wants it asked any more.
    """

    __slots__ = ("arguments", "command", "is_dropped", "read", "tell")

    def __init__(self, command: Command[Any], arguments: Sequence[Any], tell: Tell, read: Read | None = None) -> None:
        self.command = command
        self.arguments = arguments
        self.tell = tell
        self.read = read or reader_of(command)
        self.is_dropped = False


class Questions:
    """Asks one kernel; to be made in the loop, and used there.

    Args:
        client: the connection.
        sent: called when something was asked, which may have found the connection lost.
    """

    def __init__(self, client: KernelClient, sent: Callable[[], None]) -> None:
        self._client = client
        self._sent = sent
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._asked = 0  # of the worker, and not yet answered
        self._waiting: deque[Question] = deque()

    def start(self, command: Command[Any], *arguments: Any, read: Read | None = None) -> asyncio.Future[Any]:
        """Ask, and return a future of the answer; whoever cancels it soon enough has it not asked."""
        answered: asyncio.Future[Any] = self._loop.create_future()

        def tell(answer: Any, error: BaseException | None) -> None:
            if answered.done():
                return
            if error is None:
                answered.set_result(answer)
            else:
                answered.set_exception(error)

        def drop(_: asyncio.Future[Any]) -> None:
            question.is_dropped = True

        question = Question(command, arguments, tell, read)
        answered.add_done_callback(drop)
        self.begin(question)
        return answered

    def begin_for(self, request: Request, question: Question) -> None:
        """Ask for a client, which may take its request back; whoever takes the answer looks whether it has."""

        def cancel() -> None:
            question.is_dropped = True
            request.on_cancel = None
            request.cancel()

        request.on_cancel = cancel
        self.begin(question)

    def begin(self, question: Question) -> None:
        """Ask, when the question has its turn."""
        if question.command.by_worker:
            if self._asked >= _MAX_ASKED:
                self._waiting.append(question)
                return
            self._asked += 1
        self._ask(question)

    def _ask(self, question: Question) -> None:
        """Ask, when there is a connection."""
        if question.is_dropped:
            self._give_turn(question)
        elif question.command.is_repeatable or self._client.is_connected:
            self._send(question)
        else:
            # It must not be asked twice; this may be, and is answered when the connection is there again.
            self.begin(Question(commands.HELLO, (), lambda _, error: self._ask_again(question, error)))

    def _ask_again(self, question: Question, error: BaseException | None) -> None:
        if error is None:
            self._loop.call_soon(self._ask, question)  # who reads answers must not wait, as who sends may
        else:
            self._give_turn(question)
            question.tell(None, error)

    def _send(self, question: Question) -> None:
        try:
            call = self._client.begin(question.command, *question.arguments)
        except Exception as error:  # noqa: BLE001 - whoever asked is told
            self._give_turn(question)
            question.tell(None, error)
            return
        call.add_done_callback(lambda _: self._hear(question, call))
        self._sent()

    def _hear(self, question: Question, call: Future[Any]) -> None:
        """It is answered, on whichever thread."""
        if threading.get_ident() == self._thread:
            self._take(question, call)
        else:
            with contextlib.suppress(RuntimeError):  # the loop is over
                self._loop.call_soon_threadsafe(self._take, question, call)

    def _take(self, question: Question, call: Future[Any]) -> None:
        self._give_turn(question)
        try:
            answer = question.read(call.result())
        except Exception as error:  # noqa: BLE001 - as above
            question.tell(None, error)
        else:
            question.tell(answer, None)

    def _give_turn(self, question: Question) -> None:
        """Give the next one the turn of a question that is over."""
        if not question.command.by_worker:
            return
        if self._waiting:
            self._loop.call_soon(self._ask, self._waiting.popleft())  # not at once, as above
        else:
            self._asked -= 1
