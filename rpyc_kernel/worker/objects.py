"""Live objects: what a client reaches over its own connection to the worker, beside the queue."""

from __future__ import annotations

import functools
import importlib
import itertools
from collections import deque
from typing import Any

from rpyc_kernel.core.chain_steps import Step
from rpyc_kernel.system.originals import logging, socket
from rpyc_kernel.wire.netrefs.connection import WORKER_CONFIG, Connection, Patience, connect_peer
from rpyc_kernel.wire.netrefs.references import ByReference
from rpyc_kernel.wire.netrefs.service import Service
from rpyc_kernel.worker.chains import StepFailed, run_chain
from rpyc_kernel.worker.error_reports import describe_error
from rpyc_kernel.worker.staged_calls import StagedCalls
from rpyc_kernel.worker.values import Values

_log = logging.getLogger(__name__)
_PATIENCE = Patience(
    60.0, "the client that this belongs to is stopped, its machine is gone, or the way to it is blocked"
)
"""How long a client may let code wait that calls one of its objects, for others wait behind that."""
_REMEMBERED_CHAINS = 100
"""Of those that a client has handed in to be copied, all but the last few have been asked for."""


class ObjectsService(Service):
    """The root of an objects connection: what RPyC's classic service offers, on the shared namespace.

    Args:
        namespace: the namespace of user code.
        values: the last values.
        staged: calls that wait for their turn on the main thread.
    """

    ALIASES = ("kernel",)  # type: ignore[assignment] # RPyC types its own empty tuple

    def __init__(self, namespace: dict[str, Any], values: Values, staged: StagedCalls) -> None:
        self.namespace = namespace
        self._values = values
        self._staged = staged
        self._conn: Connection | None = None
        self._chains: deque[str] = deque(maxlen=_REMEMBERED_CHAINS)

    def on_connect(self, conn: Connection) -> None:
        """Remember the connection, as classic RPyC does."""
        self._conn = conn

    def on_disconnect(self, conn: Connection) -> None:
        """Forget the chains that nobody will ask for any more."""
        for token in self._chains:
            self._staged.drop(token)

    def eval(self, expression: str) -> Any:
        """Evaluate an expression in the namespace, on this connection's thread."""
        return eval(expression, self.namespace)  # noqa: S307 - running code is the purpose

    def execute(self, code: str) -> None:
        """Execute code in the namespace, on this connection's thread."""
        exec(code, self.namespace)  # noqa: S102 - running code is the purpose

    def getmodule(self, name: Any) -> Any:
        """Import a module."""
        return importlib.import_module(".".join(name) if isinstance(name, tuple) else name)

    def getconn(self) -> Any:
        """Return this side's connection."""
        return self._conn

    def value(self, execution: int) -> Any:
        """Return the value of an execution's last expression.

        Raises:
            NotAvailable: it had none, or it is no longer kept.
        """
        return self._values.of(execution)

    def stage(self, function: Any, arguments: tuple[Any, ...], keywords: tuple[tuple[str, Any], ...]) -> str:
        """Keep a call for the main thread; the token goes through the queue."""
        return self._staged.add(functools.partial(function, *arguments, **dict(keywords)))

    def run_chain(self, steps: tuple[Step, ...], objects: tuple[Any, ...], is_proxy: bool) -> tuple[Any, Any]:
        """Do what a client has recorded, on this connection's thread.

        Args:
            steps: see `core.chain_steps`.
            objects: what they name by number.
            is_proxy: whether the value goes as a reference even if it is plain.

        Returns:
            None and the value; or the place of the step that raised, and its error's name, message, traceback, notes.
        """
        try:
            value = run_chain(steps, objects, self.namespace)
        except StepFailed as failed:
            told = describe_error(failed.error)
            return failed.place, (told["ename"], told["evalue"], told["traceback"], tuple(told["notes"]))
        return None, ByReference(value) if is_proxy else value

    def stage_chain(self, steps: tuple[Step, ...], objects: tuple[Any, ...]) -> str:
        """Keep a chain whose value is to be copied; the token goes through the bulk channel."""
        token = self._staged.add(functools.partial(run_chain, steps, objects, self.namespace))
        self._chains.append(token)
        return token


class ObjectConnections:
    """All objects connections of this worker."""

    def __init__(self, namespace: dict[str, Any], values: Values, staged: StagedCalls) -> None:
        self._parts = (namespace, values, staged)
        self._numbers = itertools.count(1)

    def add(self, sock: socket.socket) -> None:
        """Serve a client whose socket the hub handed over."""
        sock.setblocking(True)
        service = ObjectsService(*self._parts)
        connect_peer(
            sock,
            service,
            name=f"objects-{next(self._numbers)}",
            config=WORKER_CONFIG,
            request_timeout_s=None,
            patience=_PATIENCE,
        )
