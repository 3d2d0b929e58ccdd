"""Being an engine, from its registration to its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import State
from rpyc_kernel.errors import RequestError
from rpyc_kernel.faces.jupyter.attachment import Attachment
from rpyc_kernel.faces.jupyter.engine.bridge import EngineBridge
from rpyc_kernel.faces.jupyter.engine.channels import EngineChannels
from rpyc_kernel.faces.jupyter.engine.controller import Controller

_WORKER_START_S = 30.0
_LOOK_S = 0.05


def serve(target: str, file: Path, *, engine_id: int | None, patience_s: float, tell: Callable[[str], object]) -> int:
    """Have a running kernel be an engine of a controller until one of both ends, or a signal comes.

    Args:
        target: the kernel's name or address.
        file: the controller's connection file for engines.
        engine_id: the engine's number, None for what the controller gives.
        patience_s: for how many seconds the controller may be silent, and the kernel's hub be gone.
        tell: told what people are to know: that it is an engine, and why no longer.

    Returns:
        The exit status: 0 when it was to end, 1 when the controller or the kernel was lost.

    Raises:
        KernelError: it did not become one; the message says why.
    """
    controller = Controller.read(file)
    attachment = Attachment.attach(target, patience_s)
    name = attachment.kernel.name
    try:
        _require_ipython(attachment.kernel)
        channels = EngineChannels(controller, engine_id, patience_s)
    except BaseException:
        attachment.close()
        raise
    tell(f"kernel {name!r} is engine {channels.engine_id} of the controller at {controller.url('registration')}")
    bridge = EngineBridge(channels, attachment, patience_s)
    status = bridge.run()
    tell(f"kernel {name!r} is engine {channels.engine_id} no longer: {bridge.end}")
    return status


def _require_ipython(kernel: KernelClient) -> None:
    """Refuse a kernel in which nothing of ipyparallel's would run: it looks for IPython's shell to push and pull."""
    deadline = time.monotonic() + _WORKER_START_S
    pause = threading.Event()
    while (status := kernel.status())["state"] == State.STARTING and time.monotonic() < deadline:
        pause.wait(_LOOK_S)  # only the worker knows what runs its code
    if status["engine"] != "ipython":
        raise RequestError(
            f"kernel {kernel.name!r} has no IPython, by which ipyparallel sets and gets variables; "
            "start it with --engine ipython"
        )
