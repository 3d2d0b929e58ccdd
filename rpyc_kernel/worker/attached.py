"""The side of a process that is attached to: it embeds a kernel, with a hub that whoever attaches has started.

Nothing is printed or raised here: the program knows nothing of it, and goes on meanwhile. Who attaches is asked again
at the end, so that no kernel stays that nobody was told of.
"""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from rpyc_kernel.core.contract import RELEASE, WORKER_VERSION
from rpyc_kernel.errors import RequestError
from rpyc_kernel.system import frames
from rpyc_kernel.system.originals import socket, threading

if TYPE_CHECKING:
    from rpyc_kernel.worker.embedded_kernel import EmbeddedKernel

_WAIT_S = 60.0
_ENDS_S = 10.0
_attaching = threading.Lock()


def serve(sock: socket.socket, request: dict[str, Any]) -> None:
    """Open a kernel as whoever attaches asks, and return when it is stopped; errors are theirs, too.

    Args:
        sock: to them.
        request: the kernel's ``name``, and the version of the workers' protocol that they speak, ``workers``.
    """
    sock.settimeout(_WAIT_S)
    if not _attaching.acquire(blocking=False):
        raise RequestError(f"somebody else is attaching to process {os.getpid()} at this moment; look again later")
    try:
        kernel = _open(sock, request)
    except EOFError:  # they have given up
        return
    finally:
        _attaching.release()
    if not _is_taken(sock):
        kernel.close()
    sock.close()
    kernel.wait()


def _open(sock: socket.socket, request: dict[str, Any]) -> EmbeddedKernel:
    if request["workers"] != WORKER_VERSION:
        raise RequestError(
            f"process {os.getpid()} has rpyc_kernel {RELEASE} of its own, which is not compatible with release "
            f"{request['release']} here; attach with its own: {sys.executable} -m rpyc_kernel attach {os.getpid()}"
        )
    if "rpyc_kernel.hub.hub" in sys.modules:
        raise RequestError(f"process {os.getpid()} is the hub of a kernel, which runs nobody's code; connect to that")
    from rpyc_kernel.worker import embedding  # here: it brings RPyC, of whatever release it is there

    name = request["name"]
    embedding.let_end(_ENDS_S)  # who has stopped it hears of that before all is given back
    embedding.check_process(name)
    reader = frames.DescriptorReader(sock)
    program, cwd = embedding.describe_program()
    frames.send(sock, {"program": program, "cwd": cwd})
    reader.receive()
    hub = socket.socket(fileno=reader.descriptors.pop())
    return embedding.embed_with(hub, name, vars(sys.modules["__main__"]))


def _is_taken(sock: socket.socket) -> bool:
    """Tell whoever attaches that clients can come; whether they are there to hear it."""
    try:
        frames.send(sock, {"open": True})
        frames.FrameReader(sock).receive()
    except (OSError, EOFError):
        return False
    return True
