"""Two kernels that Jupyter starts side by side, ours through the bridge and ipykernel, and what clients do."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty
from typing import Any

import zmq
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager

from rpyc_kernel.faces.jupyter.kernelspec import make_spec

TIMEOUT_S = 60.0
OURS, PEER = "rpyc_kernel", "ipykernel"
Message = dict[str, Any]


class ManagedKernel:
    """A kernel that a manager has started, and any number of clients; a manager alone knows one.

    Args:
        manager: of the running kernel.
    """

    def __init__(self, manager: KernelManager) -> None:
        self.manager = manager
        self._context = zmq.Context()  # the manager destroys its own when it shuts down
        self._clients: list[BlockingKernelClient] = []

    def join(self) -> BlockingKernelClient:
        """A further client that listens, with a session of its own."""
        client = BlockingKernelClient(context=self._context)
        client.load_connection_info(self.manager.get_connection_info())
        client.start_channels(hb=False)  # its thread ends with an error when the channels do
        self._clients.append(client)
        return client

    def leave(self, client: BlockingKernelClient) -> None:
        """Have a client vanish."""
        client.stop_channels()
        self._clients.remove(client)

    def close(self) -> None:
        """End all of it."""
        for client in self._clients:
            client.stop_channels()
        if self.manager.has_kernel:
            self.manager.shutdown_kernel()
        self._context.destroy()


class Kernel(ManagedKernel):
    """A kernel of one kind, and its first client.

    Args:
        kind: `OURS` or `PEER`.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        manager = KernelManager(kernel_name=kind)
        nothing = open(os.devnull, "w")  # noqa: SIM115 - the kernel's own for its life
        manager.start_kernel(stdout=nothing, stderr=nothing)
        super().__init__(manager)
        self.client = self.connect()

    def connect(self) -> BlockingKernelClient:
        """A further client, that has had its first answer."""
        client = self.join()
        read_reply(client, client.kernel_info())
        return client


def read_reply(client: BlockingKernelClient, request: str, timeout_s: float = TIMEOUT_S) -> Message | None:
    """The answer to a request, or None if there is none in time."""
    return _read(client.get_shell_msg, timeout_s, lambda message: message["parent_header"].get("msg_id") == request)


def read_control(client: BlockingKernelClient, request: str, timeout_s: float = TIMEOUT_S) -> Message | None:
    """The answer to a request on the control channel, or None."""
    return _read(client.get_control_msg, timeout_s, lambda message: message["parent_header"].get("msg_id") == request)


def read_published(
    client: BlockingKernelClient, kind: str, request: str, timeout_s: float = TIMEOUT_S, **content: Any
) -> Message | None:
    """The next published message of a kind, of a request, with this content; or None."""

    def fits(message: Message) -> bool:
        is_ours = message["msg_type"] == kind and message["parent_header"].get("msg_id") == request
        return is_ours and content.items() <= message["content"].items()

    return _read(client.get_iopub_msg, timeout_s, fits)


def _read(get: Callable[..., Message], timeout_s: float, fits: Callable[[Message], bool]) -> Message | None:
    deadline = time.monotonic() + timeout_s
    while (left := deadline - time.monotonic()) > 0:
        with contextlib.suppress(Empty):
            message = get(timeout=left)
            if fits(message):
                return message
    return None


def send_control(client: BlockingKernelClient, kind: str, content: dict[str, Any] | None = None) -> str:
    """Send a request on the control channel; returns its id."""
    message = client.session.msg(kind, content or {})
    client.control_channel.send(message)
    return str(message["header"]["msg_id"])


@contextlib.contextmanager
def own_folders() -> Iterator[Path]:
    """Keep the benchmark's kernels and kernelspecs out of the user's."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="rk-bench-") as folder:
        for variable in ("RPYC_KERNEL_RUNTIME_DIR", "RPYC_KERNEL_STATE_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
            os.environ[variable] = os.path.join(folder, variable.lower())
        os.environ["JUPYTER_PATH"] = os.environ["JUPYTER_DATA_DIR"]  # goes before what the environment has itself
        argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        for kind, spec in ((OURS, make_spec()), (PEER, {"argv": argv, "display_name": PEER, "language": "python"})):
            place = Path(folder, "jupyter_data_dir", "kernels", kind)
            place.mkdir(parents=True)
            (place / "kernel.json").write_text(json.dumps(spec))
        try:
            yield Path(folder)
        finally:
            os.environ.clear()
            os.environ.update(before)
