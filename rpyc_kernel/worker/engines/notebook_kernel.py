"""What libraries look for in ``get_ipython().kernel`` where they are in a notebook."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from traitlets.config import Application

from rpyc_kernel.system.originals import threading
from rpyc_kernel.worker import imports, leaving
from rpyc_kernel.worker.bundles import clean_bundle
from rpyc_kernel.worker.comms import Messages
from rpyc_kernel.worker.engines.displays import Displays
from rpyc_kernel.worker.engines.shell_parts import Publisher
from rpyc_kernel.worker.interrupts import runs_user_code


class Session:
    """What sends messages in a kernel that speaks Jupyter's protocol itself; here those that show something."""

    def __init__(self, displays: Displays) -> None:
        self.session = os.urandom(16).hex()  # as some want a name for the kernel's life
        self._displays = displays

    def msg(
        self,
        msg_type: str,
        content: dict[str, Any] | None = None,
        parent: dict[str, Any] | None = None,
        header: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """Make a message, for `send`."""
        header = header or {"msg_id": os.urandom(16).hex(), "msg_type": msg_type, "session": self.session}
        parent = parent or {}
        return {
            "header": header,
            "msg_id": header["msg_id"],
            "msg_type": header["msg_type"],
            "parent_header": parent.get("header", parent),
            "content": content or {},
            "metadata": metadata or {},
        }

    def send(self, stream: Any, msg_or_type: Any, content: dict[str, Any] | None = None, *_: Any, **__: Any) -> None:
        """Show what a message says, or the content of one of this type, under the execution that calls.

        Raises:
            NotImplementedError: it is of a kind that shows nothing, which only the kernel itself sends.
        """
        content = content or {}
        if isinstance(msg_or_type, dict):
            msg_or_type, content = msg_or_type["header"]["msg_type"], msg_or_type["content"]
        data, metadata = content.get("data"), content.get("metadata")
        display_id = (content.get("transient") or {}).get("display_id")
        match msg_or_type:
            case "display_data" | "update_display_data":
                is_update = msg_or_type == "update_display_data"
                self._displays.publish(data, metadata, display_id=display_id, is_update=is_update)
            case "execute_result":
                self._displays.publish_as_result(data, metadata, display_id=display_id)
            case "clear_output":
                self._displays.clear(bool(content.get("wait")))
            case "stream":
                (sys.stderr if content.get("name") == "stderr" else sys.stdout).write(str(content.get("text", "")))
            case _:
                raise NotImplementedError(
                    "code can send display_data, update_display_data, execute_result, clear_output and stream through "
                    f"this kernel, not {msg_or_type!r}"
                )


class Hooked(Publisher):
    """Publishes what `display` shows, having shown it to hooks, each of its own thread."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._of_thread = threading.local()

    @property
    def session(self) -> Session:
        """Sends what hooks have kept back."""
        return self.shell.kernel.session  # type: ignore[no-any-return]

    @property
    def pub_socket(self) -> Any:
        """What code hands to `Session.send`."""
        return self.shell.kernel.iopub_socket

    @property
    def _hooks(self) -> list[Callable[[dict[str, Any]], dict[str, Any] | None]]:
        if not hasattr(self._of_thread, "hooks"):
            self._of_thread.hooks = []
        return self._of_thread.hooks  # type: ignore[no-any-return]

    def register_hook(self, hook: Callable[[dict[str, Any]], dict[str, Any] | None]) -> None:
        """Have a function see each message of this thread; it returns what is sent in its place, None for nothing."""
        self._hooks.append(hook)

    def unregister_hook(self, hook: Callable[[dict[str, Any]], dict[str, Any] | None]) -> bool:
        """Have it see none any more; False if it was not registered."""
        try:
            self._hooks.remove(hook)
        except ValueError:
            return False
        return True

    def publish(
        self, data: Any, metadata: Any = None, *rest: Any, transient: Any = None, update: bool = False, **others: Any
    ) -> None:
        """Show a MIME bundle."""
        if not self._hooks:
            super().publish(data, metadata, *rest, transient=transient, update=update, **others)
            return
        cleaned, about = clean_bundle(data, metadata)
        if cleaned or not data:
            kind = "update_display_data" if update else "display_data"
            self._send(kind, {"data": cleaned, "metadata": about, "transient": transient or {}})

    def clear_output(self, wait: bool = False) -> None:
        """Clear what was shown."""
        self._send("clear_output", {"wait": wait})

    @runs_user_code
    def _send(self, kind: str, content: dict[str, Any]) -> None:
        message: dict[str, Any] | None = self.session.msg(kind, content, parent=self.parent_header)
        for hook in [*self._hooks]:
            message = hook(message)  # type: ignore[arg-type] # it is none that is used up
            if message is None:
                return
        self.session.send(self.pub_socket, message)

    @property
    def parent_header(self) -> dict[str, Any]:
        """The header of the message to which what is shown now belongs."""
        return self.shell.kernel.get_parent()["header"]  # type: ignore[no-any-return]

    def set_parent(self, parent: dict[str, Any]) -> None:
        """Have what is shown from now on belong to an execution; see `Messages.set_parent`."""
        self.shell.kernel.set_parent(None, parent)


class NotebookKernel(Messages):
    """The kernel as code in it sees it."""

    implementation = "rpyc_kernel"
    eventloop: Any = None
    iopub_socket: Any = object()  # for code that hands it to `Session.send`

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.session = Session(shell.displays)

    def send_response(self, stream: Any, msg_or_type: Any, content: dict[str, Any] | None = None, *_: Any) -> None:
        """Send a message under the execution that calls; see `Session.send`."""
        self.session.send(stream, msg_or_type, content)

    def do_shutdown(self, restart: bool) -> dict[str, Any]:
        """End the process, as soon as what runs has ended; the kernel goes on with a new one in either case."""
        leaving.ask()
        return {"status": "ok", "restart": restart}

    def raw_input(self, prompt: Any = "") -> str:
        """Ask the client for a line."""
        return input(prompt)

    def getpass(self, prompt: str = "", stream: Any = None, **_: Any) -> str:
        """Ask the client for what is not to be shown."""
        return getpass.getpass(prompt)

    def __getattr__(self, name: str) -> Any:
        """Say of what ipykernel's kernel has besides that it is not here, and what is."""
        raise AttributeError(
            f"this kernel has no {name!r}: Jupyter's sockets and loops are in another process than your code; it has "
            + ", ".join(known for known in dir(self) if not known.startswith("_") and known != name),
            name=name,
            obj=self,
        )

    @property
    def _parent_header(self) -> dict[str, Any]:
        return self.get_parent()  # many ask for it by the name that it had before it got a function

    @property
    def parent(self) -> Any:
        """The application of ipykernel, as far as it can tell of this kernel."""
        try:
            from ipykernel.kernelapp import IPKernelApp
        except ImportError as error:
            raise AttributeError(str(error)) from None
        return IPKernelApp.instance()

    @property
    def execution_count(self) -> int:
        """How many inputs there were, and one."""
        return self.shell.execution_count  # type: ignore[no-any-return]

    @property
    def language_info(self) -> dict[str, Any]:
        """What kind of notebook it is."""
        return {
            "name": "python",
            "version": sys.version.split()[0],
            "mimetype": "text/x-python",
            "codemirror_mode": {"name": "ipython", "version": sys.version_info.major},
            "pygments_lexer": "ipython3",
            "nbconvert_exporter": "python",
            "file_extension": ".py",
        }

    @property
    def user_module(self) -> Any:
        """The module of all clients' names."""
        return self.shell.user_module

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

    Notebooks end themselves by ``IPython.Application.instance().kernel.do_shutdown(True)``. The connection file is
    Jupyter's, "" if there is none.
    """

    def install(module: ModuleType) -> None:
        # For this class alone: as the one of all `Application`s it would keep others from being run in a cell.
        kind: Any = module.IPKernelApp
        kind._instance = kind(connection_file=connection_file, kernel=shell.kernel, shell=shell)

    Application.kernel = shell.kernel  # type: ignore[attr-defined]
    imports.after({"ipykernel.kernelapp": install})
