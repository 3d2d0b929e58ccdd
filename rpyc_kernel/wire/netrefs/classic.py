"""The client's connection to a worker, with the names that users of RPyC's classic mode know."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rpyc.core import consts
from rpyc.core.service import ModuleNamespace
from rpyc.utils.classic import teleport_function

from rpyc_kernel.errors import ConnectionLost, RequestError
from rpyc_kernel.system.futures import CallFuture, begin_completing
from rpyc_kernel.system.originals import socket
from rpyc_kernel.wire.channel import Channel
from rpyc_kernel.wire.netrefs.configuration import CLIENT_CONFIG
from rpyc_kernel.wire.netrefs.connection import Connection
from rpyc_kernel.wire.netrefs.heartbeat import Patience
from rpyc_kernel.wire.netrefs.references import is_netref
from rpyc_kernel.wire.netrefs.replies import Reply
from rpyc_kernel.wire.netrefs.service import VoidService


def connect_worker(
    sock: socket.socket, *, name: str, patience: Patience | None = None, explain: Callable[[], str] = lambda: ""
) -> WorkerConnection:
    """Speak RPyC with a worker over a connected socket; a request takes as long as it takes.

    Args:
        sock: the socket.
        name: what the connection is called.
        patience: how long the worker may be silent.
        explain: asked when the connection is lost what that means to people, and what they can do.
    """
    config = {
        **CLIENT_CONFIG,
        "connid": name,
        "sync_request_timeout": None,
        "patience": patience,
        "explain": functools.cache(explain),
    }
    connection = WorkerConnection(VoidService(), Channel(sock, may_peek=True), config)
    connection.start()
    return connection


class WorkerConnection(Connection):
    """A `Connection` whose ``root`` is a worker's; made by `connect_worker`.

    What classic RPyC sets up with seven round trips is fetched here when it is first asked for. ``rpyc.async_``,
    ``rpyc.timed``, ``rpyc.buffiter`` and the functions of ``rpyc.utils.classic`` take it like one of their own.
    """

    def _lost(self) -> ConnectionLost:
        explain: Any = self._config["explain"]
        explanation = "" if self._is_closing else explain()
        return ConnectionLost(f"{super()._lost()}{explanation and '; '}{explanation}")

    @functools.cached_property
    def modules(self) -> Any:
        """The worker's modules, as attributes or items; they are imported as they are asked for."""
        return ModuleNamespace(self.root.getmodule)

    @property
    def builtins(self) -> Any:
        """The worker's builtin functions."""
        return self.modules.builtins

    builtin = builtins

    @functools.cached_property
    def namespace(self) -> Any:
        """The namespace, as a live dict."""
        return self.root.namespace

    @functools.cached_property
    def eval(self) -> Any:
        """Evaluates an expression in the namespace."""
        return self.root.eval

    @functools.cached_property
    def execute(self) -> Any:
        """Executes statements in the namespace."""
        return self.root.execute

    def teleport(self, function: Callable[..., Any]) -> Any:
        """Rebuild a function of this side in the worker; both must run the same version of Python."""
        return teleport_function(self, function)


def require_remote(function: Any) -> None:
    """Refuse what would run in this process, not in the kernel.

    Raises:
        RequestError: it is no live object.
    """
    if not is_netref(function):
        raise RequestError(
            f"{function!r} is not a live object of a kernel but one of this process, where a call of it would run; "
            "define it in the kernel by execute() and call that, or call what kernel.objects.teleport(function) returns"
        )


def begin_call(function: Any, *args: Any, **kwargs: Any) -> CallFuture:
    """Call a live object, and return the future of what it returns.

    The call cannot be taken back: after ``cancel`` its result is dropped when it comes.

    Raises:
        RequestError: it is no live object.
        ConnectionLost: its connection is gone.
    """
    require_remote(function)
    connection: Connection = object.__getattribute__(function, "____conn__")
    future = CallFuture()

    def complete(reply: Reply) -> None:
        if not begin_completing(future):
            return  # cancelled; what the reply refers to is given back with it
        try:
            value = reply.value
        except BaseException as error:  # noqa: BLE001 - whatever the call raised
            future.set_exception(error)
        else:
            future.set_result(value)

    connection.async_request(consts.HANDLE_CALL, function, args, tuple(kwargs.items())).add_callback(complete)
    return future
