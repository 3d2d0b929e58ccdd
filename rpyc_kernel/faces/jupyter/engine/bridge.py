"""The bridge of an engine: what ipyparallel asks beyond Jupyter's messages, done by the kernel."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from typing import Any

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import Outcome
from rpyc_kernel.errors import ConnectionFailed, KernelDied, KernelError, RequestError
from rpyc_kernel.faces.jupyter import answers
from rpyc_kernel.faces.jupyter.attachment import Attachment
from rpyc_kernel.faces.jupyter.bridge import Bridge
from rpyc_kernel.faces.jupyter.engine import applying
from rpyc_kernel.faces.jupyter.engine.channels import EngineChannels
from rpyc_kernel.faces.jupyter.executions import BridgedExecution
from rpyc_kernel.faces.jupyter.messages import Request
from rpyc_kernel.faces.jupyter.parent import Parent

_MAX_REMEMBERED = 10_000
_CLEAR = """\
# ipyparallel: clear the namespace
try:
    get_ipython().reset(new_session=False)
except NameError:
    for _ in [name for name in globals() if not name.startswith("_")]:
        del globals()[_]
"""


class EngineBridge(Bridge):
    """A kernel as an engine.

    Args:
        channels: the connection to the controller; closed in the end.
        attachment: the kernel, which goes on behind the engine.
        patience_s: for how many seconds to look for a kernel whose hub was lost.
    """

    def __init__(self, channels: EngineChannels, attachment: Attachment, patience_s: float) -> None:
        self._engine_channels = channels
        self._aborted: dict[str, None] = {}  # what was taken back before it has come, too: another channel is quicker
        super().__init__(channels, attachment, Parent(), patience_s)

    def _make_handlers(self) -> dict[str, Callable[[Request], None]]:
        return {
            **super()._make_handlers(),
            "apply_request": self._apply,
            "clear_request": self._clear,
            "abort_request": self._abort,
            "signal_request": self._answering.by_control(_send_signal),
        }

    def _look_for_parent(self) -> None:
        super()._look_for_parent()
        if self._end is None and self._engine_channels.is_silent:
            self._status = 1
            self._leave(f"its controller has not been heard for {self._engine_channels.silence_s:g} s")

    # ------------------------------------------------------------------ requests

    def _execute(self, request: Request) -> None:
        # As its engines have it: code that is to show nothing has nothing aborted behind it either.
        request.content.setdefault("stop_on_error", not request.content.get("silent", False))
        if not self._is_taken_back(request):
            super()._execute(request)

    def _apply(self, request: Request) -> None:
        if self._is_taken_back(request):
            return
        request.content["silent"] = True  # what it returns is not shown, but sent
        key = str(request.header["msg_id"])
        cell = BridgedExecution(request.header, applying.describe(request.buffers), request, is_call=True)
        cell.fetch = partial(_fetch, cell, key)
        self._client_sessions.hand_in(cell, stage=partial(applying.stage, key=key, buffers=request.buffers))

    def _clear(self, request: Request) -> None:
        request.content.update(silent=True, stop_on_error=False)
        self._client_sessions.hand_in(BridgedExecution(request.header, _CLEAR, request))

    # ------------------------------------------------------------------ taking back

    def _abort(self, request: Request) -> None:
        """Take back what waits of the messages that are named, or all that the same client has sent."""
        named = request.content.get("msg_ids") or []
        ids = {named} if isinstance(named, str) else {*named}
        cells = [cell for cell in (*self._cells.unfinished.values(), *self._client_sessions.pending) if cell.request]
        if not ids:
            ids = {name for cell in cells if _sender_of(cell) == request.session for name in _ids_of(cell.request)}
        numbers = [cell.number for cell in cells if cell.number and ids & _ids_of(cell.request)]
        self._aborted.update(dict.fromkeys(ids))
        while len(self._aborted) > _MAX_REMEMBERED:
            del self._aborted[next(iter(self._aborted))]
        self._answering.by_control(lambda kernel, _: _cancel(kernel, numbers))(request)

    def _is_taken_back(self, request: Request) -> bool:
        """Whether this was taken back before it came; then it is answered."""
        if not self._forget_aborted(request):
            return False
        self._publisher.end(BridgedExecution(request.header, "", request, has_begun=True), Outcome.ABORTED)
        return True

    def _number(self, cell: BridgedExecution, number: int) -> None:
        super()._number(cell, number)
        if self._forget_aborted(cell.request):
            self._answering.tell(lambda kernel: _ignore(_cancel(kernel, [number])))

    def _forget_aborted(self, request: Request | None) -> bool:
        found = _ids_of(request) & self._aborted.keys()
        for name in found:
            del self._aborted[name]
        return bool(found)


def _fetch(cell: BridgedExecution, key: str, kernel: KernelClient) -> dict[str, Any]:
    try:
        cell.buffers = applying.fetch(kernel, key)
    except Exception as error:  # noqa: BLE001 - whatever it is, who waits is told
        cell.error = answers.describe_error("apply_request", error)
    return {}


def _send_signal(kernel: KernelClient, content: dict[str, Any]) -> dict[str, Any]:
    """Interrupt what runs, or have the kernel's process send any other signal to itself."""
    wanted = content["sig"]
    try:
        number = signal.Signals[wanted] if isinstance(wanted, str) else signal.Signals(wanted)
    except (KeyError, ValueError):
        raise RequestError(f"there is no signal {wanted!r}") from None
    if number == signal.SIGINT:
        return answers.interrupt(kernel, [None])
    with suppress(KernelDied, ConnectionFailed):  # it may not live to answer
        kernel.eval(f"__import__('os').kill(__import__('os').getpid(), {int(number)})")
    return {"status": "ok"}


def _cancel(kernel: KernelClient, numbers: Iterable[int]) -> dict[str, Any]:
    for number in numbers:
        with suppress(KernelError):  # it runs, or has ended
            kernel.cancel(number)
    return {"status": "ok"}


def _ignore(_: object) -> None:
    """What is told has no answer."""


def _sender_of(cell: BridgedExecution) -> str:
    return "" if cell.request is None else cell.request.session


def _ids_of(request: Request | None) -> set[str]:
    """What a client may call a message: schedulers that send it on to many give each copy a name of its own."""
    if request is None:
        return set()
    return {str(request.header["msg_id"]), str(request.metadata.get("original_msg_id") or request.header["msg_id"])}
