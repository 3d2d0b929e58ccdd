"""Each Jupyter client is a session of its own in the kernel: so nobody's error ends what another has queued."""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from rpyc_kernel.client.hub_connection import own_error
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.client.launch import user_name
from rpyc_kernel.core.contract import Lane
from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.jupyter.channels import Request
from rpyc_kernel.faces.jupyter.executions import BridgedExecution

_log = logging.getLogger(__name__)
_MAX_MEMBERS = 32


def _name_of(request: Request) -> str:
    """How others are to see a client; the pages of notebooks do not know who sits before them."""
    return str(request.header.get("username") or f"{user_name()} (jupyter)")


class ClientSession:
    """One Jupyter client's place in the kernel.

    Attributes:
        kernel: its connection.
        pending: what it has handed in and what has no number yet, in order.
    """

    def __init__(self, kernel: KernelClient) -> None:
        self.kernel = kernel
        self.pending: deque[BridgedExecution] = deque()


class ClientSessions:
    """All clients of this bridge that have run something.

    Args:
        join: connects to the kernel under a name of its own.
        refused: told of a cell that the kernel did not take, and why; on any thread.
    """

    def __init__(
        self, join: Callable[[str], KernelClient], refused: Callable[[BridgedExecution, Exception], None]
    ) -> None:
        self._join = join
        self._refused = refused
        self._by_client: OrderedDict[str, ClientSession] = OrderedDict()

    def of(self, request: Request) -> ClientSession:
        """The place of the client that sent this; it joins if it has none.

        Raises:
            KernelError: the kernel cannot be reached.
        """
        member = self._by_client.get(request.session)
        if member is None or member.kernel.is_closed:
            self._leave_oldest()
            member = ClientSession(self._join(_name_of(request)))
            self._by_client[request.session] = member
        self._by_client.move_to_end(request.session)
        return member

    def hand_in(self, cell: BridgedExecution, *, lane: str = Lane.MAIN, call: str | None = None) -> None:
        """Queue a cell's code, or call, in the kernel; its number comes with the events."""
        assert cell.request is not None
        member = self.of(cell.request)
        stops = call is None and bool(cell.request.content.get("stop_on_error", True))
        member.pending.append(cell)

        def look(taken: Future[Any]) -> None:
            error = taken.exception()
            if error is not None:
                self._refused(cell, own_error(error) if isinstance(error, Exception) else KernelError(repr(error)))

        try:
            taking = member.kernel.hand_in(
                cell.code, stop_on_error=stops, lane=lane, call=call, file=cell.file, is_input=cell.is_input
            )
            taking.add_done_callback(look)
        except Exception as error:  # noqa: BLE001 - whatever is wrong with it, its client gets to know
            self._refused(cell, error)

    def drop(self, cell: BridgedExecution) -> bool:
        """Forget a cell that was refused; False when it is known no longer."""
        for member in self._by_client.values():
            if cell in member.pending:
                member.pending.remove(cell)
                return True
        return False

    def claim(self, session: str | None) -> BridgedExecution | None:
        """The cell whose code the kernel has queued under this session of its own, if it is one of ours."""
        for member in self._by_client.values():
            if member.kernel.session == session and member.pending:
                return member.pending.popleft()
        return None

    @property
    def pending(self) -> list[BridgedExecution]:
        """Everything handed in that has no number."""
        return [cell for member in self._by_client.values() for cell in member.pending]

    def forget_pending(self) -> None:
        """What was handed in will get no number."""
        for member in self._by_client.values():
            member.pending.clear()

    def _leave_oldest(self) -> None:
        if len(self._by_client) < _MAX_MEMBERS:
            return
        idle = next((client for client, member in self._by_client.items() if not member.pending), None)
        if idle is not None:
            self._by_client.pop(idle).kernel.close()

    def close(self) -> None:
        """Leave the kernel."""
        for member in self._by_client.values():
            member.kernel.close()
        self._by_client.clear()
