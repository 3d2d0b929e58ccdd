"""What the bridge says of the kernel and of itself."""

from __future__ import annotations

import os
import socket
import sys
from contextlib import suppress
from typing import Any

import rpyc_kernel
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.jupyter.messages import PROTOCOL

_LIKE_IPYKERNEL = "7.4.0"
_FEATURES = ["kernel subshells"]

Content = dict[str, Any]


def describe_kernel(name: str, status: Content, *, is_own: bool) -> Content:
    """Answer ``kernel_info_request``.

    Args:
        name: the kernel's.
        status: how it stands.
        is_own: whether it is the notebook's own, and ends with it.
    """
    version = status["python"] or sys.version.split()[0]
    is_ipython = status["engine"] == "ipython"
    return {
        "status": "ok",
        "protocol_version": PROTOCOL,
        "implementation": "rpyc_kernel",
        # Clients compare it with releases of IPython's kernel, to know what they may ask for.
        "implementation_version": f"{_LIKE_IPYKERNEL}+rpyc.kernel.{rpyc_kernel.__version__}",
        "language_info": {
            "name": "python",
            "version": version,
            "mimetype": "text/x-python",
            "file_extension": ".py",
            "pygments_lexer": "ipython3" if is_ipython else "python3",
            "codemirror_mode": {"name": "ipython" if is_ipython else "python", "version": 3},
            "nbconvert_exporter": "python",
        },
        "banner": f"Python {version} in {'its own' if is_own else 'the shared'} kernel {name!r}",
        "help_links": [{"text": "Python Reference", "url": f"https://docs.python.org/{version.rpartition('.')[0]}"}],
        "debugger": bool(status["debugger"]),
        "supported_features": [*_FEATURES, "debugger"] if status["debugger"] else _FEATURES,
    }


def describe_error(kind: str, error: Exception) -> Content:
    """The answer to a request that failed."""
    name = type(error).__name__
    content = {"status": "error", "ename": name, "evalue": str(error), "traceback": [f"{name}: {error}"]}
    if kind == "is_complete_request":
        return {"status": "unknown"}
    return {**content, "execution_count": 0, "payload": []} if kind == "execute_request" else content


def find_beginning(kernel: KernelClient) -> int:
    """The number of the event before the first of everything that is unfinished."""
    last = int(kernel.status()["last"])
    unfinished = list_unfinished(kernel)
    past = kernel.history(limit=100_000) if unfinished else []
    return min((entry.seq - 1 for entry in past if entry.execution in unfinished), default=last)


def list_unfinished(kernel: KernelClient) -> set[int]:
    """The numbers of all executions that run or wait."""
    status = kernel.status()
    running = [status["running"]] if status["running"] else []
    return {item["execution"] for item in (*running, *kernel.queue(), *status["side"])}


def find_place(kernel: KernelClient, cursor: int) -> int:
    """Where to go on with the events of a kernel's next hub, which may have begun to count anew."""
    return cursor if cursor <= int(kernel.status()["last"]) else 0


def interrupt(kernel: KernelClient, executions: list[int | None]) -> Content:
    """Interrupt these; None is what runs on the main lane. What has ended meanwhile needs no interrupt."""
    for execution in executions:
        with suppress(KernelError):
            kernel.interrupt(execution, wait=0)
    return {"status": "ok"}


def measure_usage(kernel: KernelClient) -> Content:
    """Answer ``usage_request``: of the worker, as the hub and this process see it from outside."""
    pid = kernel.status()["worker_pid"]
    usage: Content = {"hostname": socket.gethostname(), "pid": pid, "cpu_count": os.cpu_count()}
    try:
        import psutil
    except ImportError:
        return usage
    usage["host_cpu_percent"] = usage["cpu_percent"] = psutil.cpu_percent()
    usage["host_virtual_memory"] = dict(psutil.virtual_memory()._asdict())
    with suppress(psutil.Error):
        family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
        usage["kernel_memory"] = sum(_memory_of(process) for process in family)
        usage["kernel_cpu"] = sum(process.cpu_percent(0.01) for process in family)
    return usage


def _memory_of(process: Any) -> int:
    full = process.memory_full_info()
    return int(getattr(full, "pss", full.rss))
