"""The hub's commands for a stock client that the worker serves: passed on by value, under the client's own session.

The hub holds the session, its name and its role; here is only a socket to it. No call waits on the thread that serves
the client: each is answered when the hub answers, and what the client asks meanwhile is served.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from concurrent.futures import Future
from typing import Any

from rpyc_kernel.core.commands import COMMANDS, HELLO, Command
from rpyc_kernel.errors import ConnectionLost, own_error
from rpyc_kernel.system.originals import socket
from rpyc_kernel.system.threads import make_thread
from rpyc_kernel.wire.netrefs.requests import Later
from rpyc_kernel.wire.values.client import ValueClient

_HELLO_S = 10.0
_JOIN_S = 2.0

Steps = Generator[Later, Any, Any]
"""What takes several answers of the hub: yields what it waits for, is sent the answer, and returns its own."""


class HubCalls:
    """Calls of one session to the hub, whose answers a thread of its own reads.

    Args:
        sock: connected to the hub.
        name: what the connection is called in thread names.
    """

    def __init__(self, sock: socket.socket, name: str) -> None:
        self._client = ValueClient(sock)
        self._reader = make_thread(self._read, f"{name}-hub")

    def start(self) -> None:
        """Begin to read answers, when the hub has greeted: no call has to wait for it any more."""
        self._client.call(HELLO.name, (), _HELLO_S)
        self._reader.start()

    def close(self) -> None:
        """Leave the hub; what is awaited fails."""
        self._client.close()
        if self._reader.ident is not None:
            self._reader.join(_JOIN_S)

    def ask(self, command: Command[Any], *arguments: Any) -> Later:
        """Give the hub a command."""
        answer = Later()

        def complete(done: Future[Any]) -> None:
            error = done.exception()
            if error is not None:
                answer.set_exception(_as_ours(error))
            else:
                answer.set_result(done.result())

        try:
            call = self._client.start(command.name, arguments)
        except ConnectionLost as error:
            answer.set_exception(_as_ours(error))
        else:
            call.add_done_callback(complete)
        return answer

    def _read(self) -> None:
        self._client.read_until(lambda: False)


def _as_ours(error: BaseException) -> BaseException:
    """What the client is told went wrong."""
    if isinstance(error, ConnectionLost):
        return ConnectionLost(
            "the hub that this session was with is gone, or has ended it; live objects may go on; connect again"
        )
    ours: BaseException = own_error(error)
    return ours


def go_through(steps: Steps) -> Later:
    """Do one step after the other, each when the hub has answered; the first one here and now."""
    answer = Later()

    def go_on(done: Future[Any] | None) -> None:
        try:
            if done is None:
                awaited = next(steps)
            elif (error := done.exception()) is not None:
                awaited = steps.throw(error)
            else:
                awaited = steps.send(done.result())
        except StopIteration as end:
            answer.set_result(end.value)
        except BaseException as error:  # noqa: BLE001 - whatever it is, the client waits for an answer
            answer.set_exception(error.with_traceback(None))  # the way that it went here tells the client nothing
        else:
            awaited.add_done_callback(go_on)

    go_on(None)
    return answer


class Commands:
    """All commands of the hub, as the other stock root has them; each answers plain values.

    Args:
        hub: the session's calls.
    """

    def __init__(self, hub: HubCalls) -> None:
        self._hub = hub


def _pass_on(command: Command[Any]) -> Callable[..., Later]:
    def ask(self: Commands, /, *values: Any, **named: Any) -> Later:
        return self._hub.ask(command, *_by_place(command, values, named))

    ask.__name__ = command.name
    ask.__doc__ = command.doc
    return ask


def _by_place(command: Command[Any], values: Sequence[Any], named: dict[str, Any]) -> tuple[Any, ...]:
    """All arguments by place, as calls by value take them; raises `RequestError` for what the command does not take."""
    if not named:
        return (*values,)  # the hub looks at them
    command.bind(values, named)
    return (*values, *(named.get(each.name, each.default) for each in command.parameters[len(values) :]))


for _command in COMMANDS.values():
    setattr(Commands, _command.name, _pass_on(_command))
