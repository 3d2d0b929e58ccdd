"""Live objects of a kernel: one client's connection to its worker, and questions to it that have a time limit."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Any

from rpyc_kernel.client.answers import read_hello
from rpyc_kernel.client.hub_connection import SILENCE_ADVICE
from rpyc_kernel.core import commands
from rpyc_kernel.core.commands import Command
from rpyc_kernel.core.seconds import show_seconds
from rpyc_kernel.errors import CallTimeout, ConnectionLost, KernelError, WorkerBusy, own_error
from rpyc_kernel.settings import ClientSettings
from rpyc_kernel.wire import handshake
from rpyc_kernel.wire.netrefs.heartbeat import Patience

if TYPE_CHECKING:  # all of RPyC, loaded with the first connection
    from rpyc_kernel.wire.netrefs.classic import WorkerConnection


_EXPLAINED_S = 0.5
"""For how long the hub may be asked what became of a worker, while somebody waits for an error."""


class LiveObjects:
    """The objects connection, made when first used and again after it broke.

    A worker may be silent for minutes: C code can hold the interpreter lock, a debugger the process. So where nothing
    comes from it, the hub is asked; while that answers, the wait goes on. Unless the worker answers, too, by way of the
    hub: then it is not busy, and nothing comes by this connection any more.

    Args:
        enter: connects a socket of a channel, within so many seconds.
        settings: how patient to be.
        ask: gives the hub a command; must not wait.
        returns: how often the connection to the hub has been made again. What broke it has most likely broken this one,
            too, though nothing came to say so: a hub that answers by a later connection vouches for nothing.
    """

    def __init__(
        self,
        enter: Callable[[int, float], socket.socket],
        settings: ClientSettings,
        ask: Callable[[Command[Any]], Future[Any]],
        returns: Callable[[], int],
    ) -> None:
        self._enter = enter
        self._settings = settings
        self._ask = ask
        self._returns = returns
        self._lock = threading.Lock()
        self._made: WorkerConnection | None = None

    def connect(self, timeout_s: float | None = None) -> WorkerConnection:
        """Return the connection.

        Raises:
            ConnectionFailed: there is none to be had in this time.
        """
        from rpyc_kernel.wire.netrefs.classic import connect_worker

        limit_s = self._settings.timeout_s if timeout_s is None else min(timeout_s, self._settings.timeout_s)
        # By one call in C, which Ctrl-C cannot break: another thread holds it for as long as it connects, at most.
        with self._lock:
            if self._made is None or self._made.closed:
                patience = Patience(
                    self._settings.silence_s, SILENCE_ADVICE, self._prepare_vouching(), partial(self._ask, commands.CWD)
                )
                sock = self._enter(handshake.OBJECTS, limit_s)
                self._made = connect_worker(
                    sock, name="rpyc_kernel-objects", patience=patience, explain=self._prepare_explanation()
                )
            return self._made

    def _prepare_vouching(self) -> Callable[[], Future[Any]]:
        before = self._returns()

        def vouch() -> Future[Any]:
            if self._returns() != before:
                raise ConnectionLost("the hub was lost meanwhile")
            return self._ask(commands.HELLO)

        return vouch

    def _prepare_explanation(self) -> Callable[[], str]:
        """What says of the connection that is made now, when it is lost, what became of its objects."""
        before = self._ask_hub()

        def explain() -> str:
            then, now = _read_generation(before), _read_generation(self._ask_hub())
            if then and now > then:
                return f"the worker was restarted, generation {now}, and its objects are gone: make them again"
            return "its objects are gone with it: take them anew, as from kernel.namespace"

        return explain

    def _ask_hub(self) -> Future[Any] | None:
        try:
            return self._ask(commands.HELLO)
        except KernelError:
            return None

    def ask(self, target: str | None, method: str, *args: Any, timeout_s: float | None = None) -> Any:
        """Call a method of the worker's root, or of an attribute of it, and return what that returns.

        Args:
            target: the attribute, None for the root.
            method: its name.
            *args: what it gets.
            timeout_s: for all of it, connecting included; None for the client's own.

        Raises:
            WorkerBusy: no answer came in time.
            ConnectionFailed: there is no connection to the worker.
        """
        limit_s = self._settings.timeout_s if timeout_s is None else timeout_s
        deadline = time.monotonic() + limit_s
        connection = self.connect(limit_s)
        try:
            return connection.ask(target, method, *args, timeout_s=max(0.0, deadline - time.monotonic()))
        except CallTimeout:
            raise WorkerBusy(
                f"the worker did not answer within {show_seconds(limit_s)} s, but it may still do what was asked: "
                "it takes longer, or code holds the interpreter lock, and stack() shows which; "
                "pass a longer timeout, or wait"
            ) from None
        except Exception as error:
            ours = own_error(error)
            if ours is not error:
                raise ours from None
            raise

    def close(self) -> None:
        """Close the connection, if there is one."""
        made, self._made = self._made, None
        if made is not None:
            made.close()


def _read_generation(asked: Future[Any] | None) -> int:
    """The generation that the hub has told, 0 where it has told none in time."""
    if asked is None:
        return 0
    try:
        return int(read_hello(asked.result(_EXPLAINED_S))["generation"])
    except Exception:  # noqa: BLE001 - whatever it is, there is no answer
        return 0
