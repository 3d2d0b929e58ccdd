"""Widgets: the channels of the `comm` package, carried out by events and in by calls on the main thread.

What a client sends waits in the queue like code, since it runs on the same thread and may print, fail and be
interrupted like it.
"""

from __future__ import annotations

import base64
import functools
import importlib.util
from collections.abc import Callable
from typing import Any

from rpyc_kernel.core.contract import COMM_CALL, Kind
from rpyc_kernel.system.originals import json
from rpyc_kernel.wire.parent_messages import execution_of, name_message
from rpyc_kernel.worker import imports
from rpyc_kernel.worker.bundles import as_json
from rpyc_kernel.worker.capture import current_execution, printing_execution
from rpyc_kernel.worker.engine import Emit, find_shell
from rpyc_kernel.worker.interrupts import runs_user_code

_ALL_WIDGETS = "jupyter.widget.control"
"""What a page opens when it is loaded, to ask for the widgets that there are."""


class Comms:
    """The worker's end of all comms."""

    def __init__(self, emit: Emit) -> None:
        self._emit = emit
        self._manager: Any = None

    def install(self) -> None:
        """Become what the `comm` package makes, where it is installed."""
        if importlib.util.find_spec("comm") is None:
            return
        import comm
        from comm.base_comm import BaseComm

        publish = self._publish

        def publish_msg(
            opened: Any, msg_type: str, data: Any = None, metadata: Any = None, buffers: Any = None, **keys: Any
        ) -> None:
            publish(opened.comm_id, msg_type, keys.get("target_name", opened.target_name), data, metadata, buffers)

        class KernelComm(BaseComm):
            """A comm whose messages are events of the kernel."""

            @property
            def kernel(self) -> Messages | None:
                """What widgets that capture output look for, where errors inside of them can be shown."""
                return None if find_shell() is None else _MESSAGES

        KernelComm.publish_msg = publish_msg  # type: ignore[assignment,method-assign]
        self._manager = manager = comm.get_comm_manager()
        manager.register_target(_ALL_WIDGETS, _answer_without_widgets)

        def install_in(_: Any = None) -> None:
            comm.create_comm = KernelComm
            comm.get_comm_manager = lambda: manager

        def publish_from(module: Any) -> None:
            module.BaseComm.publish_msg = publish_msg

        install_in()
        # ipykernel puts its own in their place, which need its kernel. Libraries import it for nothing but its `Comm`.
        imports.after({"ipykernel.ipkernel": install_in, "ipykernel.comm.comm": publish_from})

    def find_call(self, token: str) -> Callable[[], None] | None:
        """The call that brings a client's message to its comm; None if this token is of another call."""
        if not token.startswith(COMM_CALL):
            return None
        return functools.partial(_receive, self._manager, json.loads(token[len(COMM_CALL) :]))

    def _publish(
        self, comm_id: str, message: str, target: str, data: Any, metadata: Any, buffers: list[Any] | None
    ) -> None:
        payload = {
            "comm_id": comm_id,
            "action": message.removeprefix("comm_"),
            "target": target,
            # Here, where whoever sends what cannot be sent is told; what reads as something else a page would believe.
            "data": as_json({} if data is None else data),
            "metadata": as_json(metadata or {}),
            "buffers": [base64.b64encode(memoryview(buffer).cast("B")).decode() for buffer in buffers or ()],
        }
        self._emit(Kind.COMM, printing_execution(), payload)


def _answer_without_widgets(opened: Any, _: dict[str, Any]) -> None:
    """Tell a page that asks for all widgets that there are none: those who make some answer themselves from then on."""
    opened.on_msg(lambda _: opened.send({"method": "update_states", "states": {}, "buffer_paths": []}))


@runs_user_code
def _receive(manager: Any, sent: dict[str, Any]) -> None:
    message = {
        "header": {"msg_id": "", "msg_type": f"comm_{sent['action']}"},
        "content": sent["content"],
        "metadata": sent["metadata"],
        "buffers": [memoryview(base64.b64decode(buffer)) for buffer in sent["buffers"]],
    }
    take = {"open": manager.comm_open, "msg": manager.comm_msg, "close": manager.comm_close}[sent["action"]]
    stream: Any = None  # there is no socket here, and it is not used
    take(stream, "", message)


class Messages:
    """Names the message to which what is shown now belongs, for widgets that capture output."""

    def get_parent(self, channel: str | None = None) -> dict[str, Any]:
        """A message whose id alone says something: which execution it was."""
        header = {"msg_id": name_message(current_execution.get()), "msg_type": "execute_request"}
        return {"header": header, "parent_header": {}, "metadata": {}, "content": {}}

    def set_parent(self, ident: Any, parent: dict[str, Any], channel: str = "shell") -> None:
        """Have what this thread or task shows from now on belong to an execution, while that runs.

        The parent is what `get_parent` has returned in the execution, or the header of that; ValueError where it is of
        none. What else Jupyter's kernel is given says nothing here.
        """
        header = parent.get("header", parent)
        execution = execution_of(header.get("msg_id"))
        if execution is None:
            raise ValueError(
                "output can be given to an execution by the parent that 'get_ipython().kernel.get_parent()' returns "
                f"in it, not to the message {header.get('msg_id')!r}"
            )
        current_execution.set(execution)


_MESSAGES = Messages()
