"""What a process runs that is attached to. The text of this file is the program, for a process that has none of ours.

The process reads it in its main thread, at whatever line of Python that comes to next, with whatever locks it holds
there. So it only starts a thread; everything else is done in that one, while the program goes on. It needs the standard
library alone, and prints and raises nothing there.
"""

from __future__ import annotations

import sys
from typing import Any

_CONNECT_S = 10.0


class _Finder:
    """Finds the packages that the process's own environment lacks, where whoever attaches has them.

    Not by `sys.path`: by that the program would find everything else, too, that stands beside them.
    """

    def __init__(self, packages: dict[str, str]) -> None:
        self._packages = packages

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        """As all finders of `sys.meta_path` do."""
        folder = self._packages.get(name)
        if folder is None or path is not None:
            return None
        from importlib.machinery import PathFinder

        return PathFinder.find_spec(name, [folder], target)


def begin(request: dict[str, Any]) -> None:
    """Start to do what is asked for, and return at once."""
    try:
        import _thread

        _thread.start_new_thread(_open, (request,))
    except BaseException as error:  # noqa: BLE001 - whoever waits is told
        _refuse(_reach(request), error)


def _open(request: dict[str, Any]) -> None:
    sock = _reach(request)
    if sock is None:
        return
    finder: Any = _Finder(request["packages"])
    sys.meta_path.append(finder)
    try:
        import importlib

        attached = importlib.import_module("rpyc_kernel.worker.attached")  # this is no process that has the others
        attached.serve(sock, request)  # until the kernel is stopped: some modules are loaded when they are first used
    except BaseException as error:  # noqa: BLE001 - whoever waits is told
        _refuse(sock, error)
    finally:
        sock.close()
        sys.meta_path[:] = [each for each in sys.meta_path if each is not finder]


def _reach(request: dict[str, Any]) -> Any:
    """A socket to whoever attaches; None where nobody waits any more. Removes what has been handed over."""
    import contextlib
    import os
    import socket

    with contextlib.suppress(OSError):
        os.unlink(request["script"])
    sock = None
    try:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(_CONNECT_S)
        sock.connect(request["socket"])
    except OSError:
        if sock is not None:
            sock.close()
        with contextlib.suppress(OSError):  # who was killed has left these
            os.unlink(request["socket"])
        with contextlib.suppress(OSError):
            os.rmdir(os.path.dirname(request["script"]))
        return None
    return sock


def _refuse(sock: Any, error: BaseException) -> None:
    import contextlib
    import json

    answer = json.dumps({"error": type(error).__name__, "message": str(error)}).encode()
    with contextlib.suppress(AttributeError, OSError):  # nobody waits
        sock.sendall(len(answer).to_bytes(4, "big") + answer)
