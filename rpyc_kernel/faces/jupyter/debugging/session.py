"""Debugging a kernel for all clients of a bridge: Jupyter's messages carry the Debug Adapter Protocol.

What the protocol has is passed on to the kernel's debugger; what Jupyter adds to it is answered here. Requests are
taken one after the other, on a thread of their own. Those that may take long, as all that let code run do, do not hold
up the next ones.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.jupyter.debugging import views
from rpyc_kernel.faces.jupyter.debugging.views import Views
from rpyc_kernel.wire.cell_files import HASH_METHOD, HASH_SEED, SUFFIX, name_cell
from rpyc_kernel.wire.debug_adapter import DebugChannel

_log = logging.getLogger(__name__)
_ANSWER_S = 15.0
_NOT_STARTED = "the debugger is not started; send 'initialize' and 'attach' first"

Message = dict[str, Any]


class Debugging:
    """The debugger of one kernel.

    Args:
        kernel: the kernel.
        ask_status: asks how it stands when its worker is up.
        publish: called with each event of the debugger, on any thread.
    """

    def __init__(
        self,
        kernel: Callable[[], KernelClient],
        ask_status: Callable[[KernelClient], dict[str, Any]],
        publish: Callable[[Message], None],
    ) -> None:
        self._kernel = kernel
        self._ask_status = ask_status
        self._publish = publish
        self._pool = ThreadPoolExecutor(1, "jupyter-debugger")
        self._lock = threading.Lock()
        self._channel: DebugChannel | None = None
        self._cells = ""
        self._numbers = itertools.count(1)
        self._pending: dict[int, Future[Message]] = {}
        self._breakpoints: dict[str, list[Message]] = {}
        self._stopped: set[int] = set()
        self._views = Views()
        self._scopes: set[int] = set()
        self._handlers: dict[str, Callable[[Message], Message | Future[Message]]] = {
            "debugInfo": self._tell_state,
            "initialize": self._initialize,
            "attach": self._attach,
            "configurationDone": lambda _: _succeed(),
            "setBreakpoints": self._set_breakpoints,
            "disconnect": self._disconnect,
            "inspectVariables": lambda _: _succeed(variables=self._views.list_variables(self._kernel())),
            "scopes": self._list_scopes,
            "variables": self._list_children,
            "richInspectVariables": self._show_richly,
            "copyToGlobals": self._copy_to_globals,
            "modules": lambda request: _succeed(**views.list_modules(self._kernel(), _arguments(request))),
        }

    def file_of(self, code: str) -> str | None:
        """The file that code is to be in, so that it stops at breakpoints; None while nobody debugs."""
        return name_cell(self._cells, code) if self._channel is not None else None

    def ask(self, request: Message) -> Future[Message]:
        """Take a request; the future has what to answer, and never fails."""
        answer: Future[Message] = Future()

        def complete(told: Message) -> None:
            common = {"type": "response", "request_seq": request.get("seq", 0), "command": request.get("command", "")}
            with suppress(RuntimeError):  # closed meanwhile
                answer.set_result({"seq": next(self._numbers), "body": {}, **told, **common})

        self._pool.submit(self._take, request, complete)
        return answer

    def close(self) -> None:
        """Let what is stopped go on."""
        self._pool.shutdown(wait=False, cancel_futures=True)
        channel = self._channel
        if channel is not None:
            channel.hang_up()

    # ------------------------------------------------------------------ requests

    def _take(self, request: Message, complete: Callable[[Message], None]) -> None:
        try:
            told = self._handlers.get(str(request.get("command")), self._forward)(request)
        except KernelError as error:
            told = _fail(str(error))
        except Exception as error:  # noqa: BLE001 - whatever a client sends, the others are served
            told = _fail(f"{type(error).__name__}: {error}")
        if isinstance(told, Future):
            told.add_done_callback(lambda done: complete(done.result()))
        else:
            complete(told)

    def _forward(self, request: Message) -> Future[Message]:
        """Pass a request on; the future has the answer, and never fails."""
        answer: Future[Message] = Future()
        number = next(self._numbers)
        with self._lock:
            channel = self._channel
            if channel is not None:
                self._pending[number] = answer
        if channel is None:
            answer.set_result(_fail(_NOT_STARTED))
            return answer
        try:
            channel.send({**request, "type": "request", "seq": number})
        except KernelError as error:
            self._complete(number, _fail(str(error)))
        return answer

    def _ask(self, command: str, arguments: Message) -> Message:
        return self._forward({"command": command, "arguments": arguments}).result(_ANSWER_S)

    def _complete(self, number: int, told: Message) -> None:
        with self._lock:
            answer = self._pending.pop(number, None)
        if answer is not None:
            answer.set_result(told)

    def _initialize(self, request: Message) -> Future[Message]:
        if self._channel is None:
            kernel = self._kernel()
            channel = kernel.open_debugger()
            self._cells = str(kernel.status()["debugger"])
            self._channel = channel
            threading.Thread(target=self._listen, args=(channel,), name="jupyter-debugger-events", daemon=True).start()
        return self._forward(request)

    def _attach(self, request: Message) -> Message:
        told = self._forward(request).result(_ANSWER_S)
        if told["success"]:
            self._ask("configurationDone", {})  # clients of Jupyter take it for done with this answer
        return told

    def _set_breakpoints(self, request: Message) -> Message:
        told = self._forward(request).result(_ANSWER_S)
        if told["success"]:
            # Some may have been moved to a line where there is code.
            places = [{"line": found["line"]} for found in told["body"]["breakpoints"] if "line" in found]
            self._breakpoints[str(request["arguments"]["source"]["path"])] = places
        return told

    def _disconnect(self, request: Message) -> Message:
        told = self._forward(request).result(_ANSWER_S)
        channel = self._channel
        if channel is not None:
            self._end(channel)
        return told

    # ------------------------------------------------------------------ what Jupyter adds

    def _tell_state(self, _: Message) -> Message:
        cells = self._cells if self._channel is not None else str(self._ask_status(self._kernel())["debugger"])
        return _succeed(
            isStarted=self._channel is not None,
            hashMethod=HASH_METHOD,
            hashSeed=HASH_SEED,
            tmpFilePrefix=cells,
            tmpFileSuffix=SUFFIX,
            breakpoints=[
                {"source": path, "breakpoints": [*places]} for path, places in [*self._breakpoints.items()] if places
            ],
            stoppedThreads=sorted(self._stopped),
            richRendering=True,
            exceptionPaths=["Python Exceptions"],
            copyToGlobals=True,
        )

    def _list_children(self, request: Message) -> Message | Future[Message]:
        arguments = _arguments(request)
        found = self._views.list_children(self._kernel(), arguments)
        if found is not None:
            return _succeed(variables=found)
        told = self._forward(request)
        return _then(told, views.without_shell) if arguments["variablesReference"] in self._scopes else told

    def _list_scopes(self, request: Message) -> Message:
        told = self._forward(request).result(_ANSWER_S)
        self._scopes |= {scope["variablesReference"] for scope in told["body"].get("scopes", ())}
        return told

    def _show_richly(self, request: Message) -> Message:
        arguments = _arguments(request)
        name, frame = str(arguments["variableName"]), arguments.get("frameId")
        if not name.isidentifier():
            return _succeed(data={}, metadata={})  # what debuggers sort variables into
        expression = views.rich_expression(name)
        if not self._stopped or frame is None:
            return _succeed(**views.read_rich(str(self._kernel().eval(expression))))
        told = self._ask("evaluate", {"expression": expression, "frameId": frame, "context": "clipboard"})
        return _succeed(**views.read_evaluated(told["body"]["result"])) if told["success"] else told

    def _copy_to_globals(self, request: Message) -> Future[Message]:
        arguments = _arguments(request)
        source, target = str(arguments["srcVariableName"]), str(arguments["dstVariableName"])
        if not source.isidentifier() or not target.isidentifier():
            raise ValueError("srcVariableName and dstVariableName must be names")
        told = {"expression": f"globals()[{target!r}]", "value": source, "frameId": arguments["srcFrameId"]}
        return self._forward({"command": "setExpression", "arguments": told})

    # ------------------------------------------------------------------ what the debugger says

    def _listen(self, channel: DebugChannel) -> None:
        try:
            while True:
                self._hear(channel.receive())
        except KernelError as error:
            _log.info("the debugger has ended: %s", error)
        finally:
            if self._end(channel):
                self._publish({"type": "event", "seq": next(self._numbers), "event": "terminated", "body": {}})
            channel.close()

    def _hear(self, message: Message) -> None:
        try:
            if message.get("type") == "response":
                self._complete(message.get("request_seq", 0), message)
            else:
                self._note(message)
                self._publish(message)
        except Exception:  # noqa: BLE001 - whatever a debugger says, what it says next is heard
            _log.exception("a message of the debugger's cannot be passed on")

    def _note(self, event: Message) -> None:
        body = event.get("body") or {}
        if event.get("event") == "stopped":
            thread = body.get("threadId")  # which is not said where all have been stopped at once
            if isinstance(thread, int):
                self._stopped.add(thread)
        elif event.get("event") == "continued":
            self._stopped = set() if body.get("allThreadsContinued") else self._stopped - {body.get("threadId")}

    def _end(self, channel: DebugChannel) -> bool:
        """The session is over; False when it was so already."""
        with self._lock:
            if self._channel is not channel:
                return False
            self._channel = None
            pending, self._pending = self._pending, {}
        self._breakpoints, self._stopped, self._scopes = {}, set(), set()
        for answer in pending.values():
            answer.set_result(_fail("the debugger has ended"))
        channel.hang_up()
        return True


def _arguments(request: Message) -> Message:
    arguments = request.get("arguments") or {}
    if not isinstance(arguments, dict):
        raise ValueError("the arguments are no object")
    return arguments


def _then(told: Future[Message], change: Callable[[Message], Message]) -> Future[Message]:
    changed: Future[Message] = Future()
    told.add_done_callback(lambda done: changed.set_result(change(done.result())))
    return changed


def _succeed(**body: Any) -> Message:
    return {"success": True, "body": body}


def _fail(message: str) -> Message:
    return {"success": False, "message": message, "body": {}}
