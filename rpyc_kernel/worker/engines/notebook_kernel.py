"""What libraries look for in ``get_ipython().kernel`` where they are in a notebook."""

from __future__ import annotations

import sys
import uuid
from types import ModuleType
from typing import Any

from rpyc_kernel.worker import imports
from rpyc_kernel.worker.comms import Messages
from rpyc_kernel.worker.engines.displays import Displays


class Session:
    """What sends messages in a kernel that speaks Jupyter's protocol itself; here those that show something.

    Args:
        displays: publishes rich output.
    """

    def __init__(self, displays: Displays) -> None:
        self.session = uuid.uuid4().hex  # as some want a name for the kernel's life
        self._displays = displays

    def send(self, stream: Any, msg_or_type: Any, content: dict[str, Any] | None = None, *_: Any, **__: Any) -> None:
        """Show what the message says, under the execution that calls.

        Raises:
            NotImplementedError: it is of a kind that shows nothing, which only the kernel itself sends.
        """
        told = content or {}
        data, metadata = told.get("data"), told.get("metadata")
        display_id = (told.get("transient") or {}).get("display_id")
        match msg_or_type:
            case "display_data" | "update_display_data":
                is_update = msg_or_type == "update_display_data"
                self._displays.publish(data, metadata, display_id=display_id, is_update=is_update)
            case "execute_result":
                self._displays.publish_as_result(data, metadata, display_id=display_id)
            case "clear_output":
                self._displays.clear(bool(told.get("wait")))
            case "stream":
                (sys.stderr if told.get("name") == "stderr" else sys.stdout).write(str(told.get("text", "")))
            case _:
                raise NotImplementedError(
                    "code can send display_data, update_display_data, execute_result, clear_output and stream through "
                    f"this kernel, not {msg_or_type!r}"
                )


class NotebookKernel(Messages):
    """The kernel as code in it sees it.

    Attributes:
        shell: IPython's shell.
        session: sends messages.
    """

    implementation = "rpyc_kernel"
    eventloop: Any = None
    iopub_socket: Any = object()  # for code that hands it to `Session.send`

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.session = Session(shell.displays)

    def send_response(self, stream: Any, msg_or_type: Any, content: dict[str, Any] | None = None, *_: Any) -> None:
        """Send a message under the execution that calls; see `Session.send`."""
        self.session.send(stream, msg_or_type, content)

    @property
    def user_ns(self) -> dict[str, Any]:
        """The namespace of all clients."""
        return self.shell.user_ns  # type: ignore[no-any-return]

    @property
    def comm_manager(self) -> Any:
        """What knows the widgets' channels."""
        from comm import get_comm_manager

        return get_comm_manager()


def offer_application(shell: Any, connection_file: str) -> None:
    """Have `ipykernel.get_connection_file` and the like find what they ask: by it code learns which notebook it is in.

    Args:
        shell: IPython's shell.
        connection_file: Jupyter's, "" if there is none.
    """

    def install(module: ModuleType) -> None:
        # For this class alone: as the one of all `Application`s it would keep others from being run in a cell.
        kind: Any = module.IPKernelApp
        kind._instance = kind(connection_file=connection_file, kernel=shell.kernel, shell=shell)

    imports.after({"ipykernel.kernelapp": install})
