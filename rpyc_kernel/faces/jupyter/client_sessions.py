"""Each Jupyter client is a session of its own in the kernel: so nobody's error ends what another has queued.

Nothing in here makes the bridge's thread wait: clients join on threads of their own, and what a connection may not take
at once is handed in on one, too. The number of an execution comes with the kernel's answer, while the code runs: it
could be read with the first events, which is a wake-up less, but then somebody waits for the reply.
"""

from __future__ import annotations

import logging
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.client.launch import user_name
from rpyc_kernel.core.contract import Lane
from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.jupyter.executions import BridgedExecution
from rpyc_kernel.faces.jupyter.messages import Request
from rpyc_kernel.faces.jupyter.sockets import Sockets

_log = logging.getLogger(__name__)
_MAX_MEMBERS = 32
_MAX_UNANSWERED_CHARS = 16_384
"""What a connection takes whatever its other end does."""


def _name_of(request: Request) -> str:
    """How others are to see a client; the pages of notebooks do not know who sits before them."""
    return str(request.header.get("username") or f"{user_name()} (jupyter)")


@dataclass(eq=False)
class _Task:
    """A cell that is handed in, and how; ``stage`` makes the call first, which may take a while."""

    cell: BridgedExecution
    lane: str
    call: str | None
    stage: Callable[[KernelClient], AbstractContextManager[str]] | None
    taken: Future[int] | None = None  # its number, once it was passed on

    @property
    def chars(self) -> int:
        own = len(str(self.cell.code)) + len(self.call or "")
        return own if self.stage is None else _MAX_UNANSWERED_CHARS + 1


@dataclass(eq=False)
class _ClientSession:
    """One Jupyter client's place in the kernel.

    Attributes:
        kernel: its connection, None until it has joined.
        descriptor: by which the kernel's answers come, None until then and when there will be no more.
        waiting: what was not passed on so far, in order.
        unanswered: what was, and what has no number yet.
    """

    kernel: KernelClient | None = None
    descriptor: int | None = None
    waiting: deque[_Task] = field(default_factory=deque)
    unanswered: deque[_Task] = field(default_factory=deque)

    @property
    def tasks(self) -> list[_Task]:
        return [*self.unanswered, *self.waiting]


class ClientSessions:
    """All clients of this bridge that have run something.

    Args:
        join: connects to the kernel under a name of its own; called on other threads.
        post: has something done on the bridge's thread.
        numbered: told of a cell that the kernel has taken, and its number.
        refused: told of one that it has not taken, and why.
        channels: what the bridge waits for, and with it for the kernel's answers.
    """

    def __init__(
        self,
        join: Callable[[str], KernelClient],
        post: Callable[[Callable[[], None]], None],
        numbered: Callable[[BridgedExecution, int], None],
        refused: Callable[[BridgedExecution, Exception], None],
        channels: Sockets,
    ) -> None:
        self._join = join
        self._post = post
        self._numbered = numbered
        self._refused = refused
        self._channels = channels
        self._by_client: OrderedDict[str, _ClientSession] = OrderedDict()

    def hand_in(
        self,
        cell: BridgedExecution,
        *,
        lane: str = Lane.MAIN,
        call: str | None = None,
        stage: Callable[[KernelClient], AbstractContextManager[str]] | None = None,
    ) -> None:
        """Queue a cell's code in the kernel, or a call, or one that ``stage`` makes there, on another thread."""
        assert cell.request is not None
        client = self._of(cell.request)
        client.waiting.append(_Task(cell, lane, call, stage))
        self._advance(client)

    @contextmanager
    def in_the_name_of(self, request: Request) -> Iterator[KernelClient]:
        """A connection of the client that sent this, for other threads, since it may take long to have one.

        Raises:
            KernelError: the kernel cannot be reached.
        """
        client = self._by_client.get(request.session)
        if client is not None and client.kernel is not None and not client.kernel.is_closed:
            yield client.kernel
            return
        with self._join(_name_of(request)) as kernel:
            yield kernel

    @property
    def has_unanswered(self) -> bool:
        """Whether there are answers to come, and to be taken soon."""
        return any(client.unanswered for client in self._by_client.values())

    def take_answers(self) -> None:
        """Deal with the answers that have come."""
        for client in [*self._by_client.values()]:
            while client.unanswered and (taken := client.unanswered[0].taken) is not None and taken.done():
                self._settle(client.unanswered.popleft().cell, taken)
                self._advance(client)

    def awaits_number(self, session: str | None) -> bool:
        """Whether the kernel has yet to answer to what was handed in under this session of its own."""
        return any(
            client.unanswered and client.kernel is not None and client.kernel.session == session
            for client in self._by_client.values()
        )

    @property
    def pending(self) -> list[BridgedExecution]:
        """Everything handed in that has no number."""
        return [task.cell for client in self._by_client.values() for task in client.tasks]

    def forget_pending(self) -> None:
        """What was handed in will get no number."""
        for client in self._by_client.values():
            client.waiting.clear()
            client.unanswered.clear()

    def close(self) -> None:
        """Leave the kernel."""
        for client in self._by_client.values():
            if client.kernel is not None:
                self._ignore(client)
                client.kernel.close()
        self._by_client.clear()

    # ------------------------------------------------------------------ joining and leaving

    def _of(self, request: Request) -> _ClientSession:
        """The place of the client that sent this; it joins if it has none."""
        client = self._by_client.get(request.session)
        if client is None or (client.kernel is not None and client.kernel.is_closed):
            self._leave_oldest()
            if client is not None:
                self._ignore(client)
            client = self._by_client[request.session] = _ClientSession()
            _do_aside(self._have_it_join, client, _name_of(request))
        self._by_client.move_to_end(request.session)
        return client

    def _have_it_join(self, client: _ClientSession, name: str) -> None:
        try:
            kernel = self._join(name)
        except Exception as error:  # noqa: BLE001 - whatever it is, its client gets to know
            failed = error
            self._post(lambda: self._turn_away(client, failed))
        else:
            self._post(lambda: self._let_in(client, kernel))

    def _let_in(self, client: _ClientSession, kernel: KernelClient) -> None:
        client.kernel = kernel
        self._listen(client, kernel)
        self._advance(client)

    def _listen(self, client: _ClientSession, kernel: KernelClient) -> None:
        client.descriptor = kernel.fileno()
        self._channels.listen(client.descriptor, lambda: self._hear(client, kernel))

    def _hear(self, client: _ClientSession, kernel: KernelClient) -> None:
        is_over = kernel.is_closed  # looks, and so reads
        if is_over or kernel.fileno() != client.descriptor:
            self._ignore(client)
        if not is_over and client.descriptor is None:
            self._listen(client, kernel)

    def _ignore(self, client: _ClientSession) -> None:
        if client.descriptor is not None:
            self._channels.ignore(client.descriptor)
            client.descriptor = None

    def _turn_away(self, client: _ClientSession, error: Exception) -> None:
        for name, other in [*self._by_client.items()]:
            if other is client:
                del self._by_client[name]
        for task in client.tasks:
            self._refused(task.cell, error)

    def _leave_oldest(self) -> None:
        if len(self._by_client) < _MAX_MEMBERS:
            return
        idle = next((name for name, client in self._by_client.items() if client.kernel and not client.tasks), None)
        if idle is not None:
            client = self._by_client.pop(idle)
            self._ignore(client)
            kernel = client.kernel
            assert kernel is not None
            _do_aside(kernel.close)

    # ------------------------------------------------------------------ handing in

    def _advance(self, client: _ClientSession) -> None:
        """Pass on what waits, as far as it can be done without waiting for the kernel."""
        while client.kernel is not None and client.waiting:
            task = client.waiting[0]
            is_too_much = sum(other.chars for other in client.unanswered) + task.chars > _MAX_UNANSWERED_CHARS
            if is_too_much and client.unanswered:
                return
            client.unanswered.append(client.waiting.popleft())
            if is_too_much:
                _do_aside(self._pass_on, client.kernel, task)
            else:
                self._pass_on(client.kernel, task)

    @staticmethod
    def _pass_on(kernel: KernelClient, task: _Task) -> None:
        cell = task.cell
        assert cell.request is not None
        try:
            with nullcontext(task.call) if task.stage is None else task.stage(kernel) as call:
                task.taken = kernel.hand_in(
                    cell.code,
                    stop_on_error=call is None and bool(cell.request.content.get("stop_on_error", True)),
                    lane=task.lane,
                    call=call,
                    file=cell.file,
                    is_input=cell.is_input,
                )
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, its client gets to know
            refused: Future[int] = Future()
            refused.set_exception(error)
            task.taken = refused

    def _settle(self, cell: BridgedExecution, taken: Future[int]) -> None:
        error = taken.exception()
        if error is None:
            self._numbered(cell, int(taken.result()))
        else:
            self._refused(cell, error if isinstance(error, KernelError) else KernelError(repr(error)))


def _do_aside(work: Callable[..., None], *arguments: object) -> None:
    """Do what may take long on a thread that the process does not wait for in ending."""
    threading.Thread(target=work, args=arguments, name="jupyter-sessions", daemon=True).start()
