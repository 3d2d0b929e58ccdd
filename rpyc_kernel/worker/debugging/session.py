"""A client's conversation with debugpy: passed on message by message, with the little that a kernel has to add.

What is added: the kernel's own frames are left out; sources of cells are kept here; breakpoints are looked at; ending
the process is refused; an interrupt lets stopped code go; and a client that is gone leaves nothing stopped.
"""

from __future__ import annotations

import asyncio
import linecache
import selectors
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.system.originals import logging, threading
from rpyc_kernel.system.threads import make_thread
from rpyc_kernel.wire.cell_files import name_cell
from rpyc_kernel.wire.debug_adapter import DebugChannel, Message
from rpyc_kernel.worker.debugging import breakpoints
from rpyc_kernel.worker.sources import INPUTS
from rpyc_kernel.worker.user_frames import hidden

_log = logging.getLogger(__name__)
_LEAVING_S = 5.0
_FIRST_OWN_SEQ = 1_000_000_000
_LOOP = tuple(str(module.__file__) for module in (asyncio.base_events, asyncio.events, selectors))
"""The loop calls the kernel, which calls user code; where user code ends, a step shall not lead there."""
_START = str(Path(__file__).parents[3] / "__main__.py")
"""What starts the worker where it comes in a bundle: beside the package."""


class DebugSession:
    """One client's session.

    Args:
        client: who debugs.
        debuggee: debugpy.
        cells: what the paths of sources begin with that the client gives.
        runs_past: whether debugpy stops nowhere in a file.

    Attributes:
        is_leaving: whether it will end soon.
    """

    def __init__(
        self, client: DebugChannel, debuggee: DebugChannel, cells: str, runs_past: Callable[[str], bool]
    ) -> None:
        self._client = client
        self._debuggee = debuggee
        self._cells = cells
        self._runs_past = runs_past
        self.is_leaving = False
        self._is_stopped = False
        self._own_seq = _FIRST_OWN_SEQ
        self._leaving_seq = 0
        self._has_left = threading.Event()
        self._looked_at: dict[Any, list[Message | None]] = {}
        """What is wrong with breakpoints, by the number of the request."""
        self._answers = {"dumpCell": self._dump_cell, "source": self._read_source, "terminate": self._refuse}

    def run(self) -> None:
        """Pass on what the client says until it is gone, and have debugpy let everything go."""
        listening = make_thread(self._listen, "debugger-events")
        listening.start()
        try:
            while True:
                self._take(self._client.receive())
        except ConnectionLost:
            self.is_leaving = True
            self._leave()
        finally:
            self._debuggee.hang_up()
            listening.join(_LEAVING_S)

    def let_go(self) -> None:
        """Have code that is stopped go on."""
        if self._is_stopped:
            self._is_stopped = False
            self._tell("continue", {"threadId": "*"})

    # ------------------------------------------------------------------ to debugpy

    def _take(self, request: Message) -> None:
        if request.get("type") != "request":
            self._debuggee.send(request)
            return
        command, arguments = request.get("command"), request.get("arguments")
        arguments = arguments if isinstance(arguments, dict) else {}
        if fault := _find_fault(request, arguments):
            self._answer(request, {"success": False, "message": fault, "body": {}})
            return
        if command in self._answers:
            self._answer(request, self._answers[command](arguments))
            return
        if command == "attach":
            paths = (*_LOOP, _START, *(f"{prefix}**" for prefix in hidden()))
            left_out = [{"path": path, "include": False} for path in paths]
            inputs = [{"path": f"**{begin}*", "include": True} for begin in INPUTS]  # which debugpy takes for libraries
            rules = [*arguments.get("rules", ()), *inputs, *left_out]
            request["arguments"] = {"justMyCode": True, **arguments, "rules": rules}
        elif command == "setBreakpoints":
            request["arguments"], self._looked_at[request.get("seq")] = breakpoints.look_at(arguments, self._runs_past)
        elif command == "disconnect":
            self.is_leaving = True
            request["arguments"] = {**arguments, "terminateDebuggee": False}
        self._debuggee.send(request)

    def _answer(self, request: Message, answer: Message) -> None:
        to = {"type": "response", "request_seq": request.get("seq"), "command": request.get("command")}
        self._client.send(to | answer)

    def _tell(self, command: str, arguments: dict[str, Any]) -> int:
        self._own_seq += 1
        self._debuggee.send({"type": "request", "seq": self._own_seq, "command": command, "arguments": arguments})
        return self._own_seq

    def _leave(self) -> None:
        try:
            self._leaving_seq = self._tell("disconnect", {"terminateDebuggee": False})
        except ConnectionLost:
            return
        if not self._has_left.wait(_LEAVING_S):
            _log.warning("debugpy did not let go of its threads")

    # ------------------------------------------------------------------ from debugpy

    def _listen(self) -> None:
        try:
            while True:
                self._pass_on(self._debuggee.receive())
        except ConnectionLost as error:
            _log.info("debugpy has ended: %s", error)
        finally:
            self._has_left.set()
            self._client.hang_up()

    def _pass_on(self, message: Message) -> None:
        if message.get("type") == "event" and message.get("event") in ("stopped", "continued"):
            self._is_stopped = message["event"] == "stopped"
        if message.get("type") == "response" and message.get("request_seq", 0) > _FIRST_OWN_SEQ:
            if message["request_seq"] == self._leaving_seq:
                self._has_left.set()
            return
        if message.get("command") == "setBreakpoints":
            message = breakpoints.join(message, self._looked_at.pop(message.get("request_seq"), []))
        try:
            self._client.send(message)
        except ConnectionLost:
            self._client.hang_up()  # whoever reads from it sees to the rest

    # ------------------------------------------------------------------ answered here

    def _dump_cell(self, arguments: dict[str, Any]) -> Message:
        code = arguments.get("code")
        if not isinstance(code, str):
            return {"success": False, "message": "the arguments have no code", "body": {}}
        path = name_cell(self._cells, code)
        try:
            Path(path).write_text(code, "utf-8", "surrogatepass", newline="")
        except OSError as error:
            return {"success": False, "message": f"the source cannot be kept: {error}", "body": {}}
        return {"success": True, "body": {"sourcePath": path}}

    def _read_source(self, arguments: dict[str, Any]) -> Message:
        path = breakpoints.read_path(arguments)
        lines = linecache.getlines(path)
        if not lines:
            return {"success": False, "message": f"there is no source {path!r}", "body": {}}
        return {"success": True, "body": {"content": "".join(lines), "mimeType": "text/x-python"}}

    def _refuse(self, _: dict[str, Any]) -> Message:
        return {"success": False, "message": "restart or stop the kernel instead", "body": {}}


def _find_fault(request: Message, arguments: Message) -> str:
    """Why a request cannot be passed on, "" if nothing is wrong with what is looked at here."""
    number = request.get("seq")
    if type(number) is not int or not 0 <= number <= _FIRST_OWN_SEQ:
        return f"seq must be a number from 0 to {_FIRST_OWN_SEQ:,}"
    if not isinstance(request.get("command"), str):
        return "command must be a string"
    return "" if isinstance(arguments.get("rules", []), list) else "rules must be a list"
