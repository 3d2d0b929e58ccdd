"""What a process runs that is attached to. The text of this file is the program, for a process that has none of ours.

The process reads it in its main thread, at whatever line of Python that comes to next, with whatever locks it holds
there. So it only starts a thread; everything else is done in that one, while the program goes on. It needs the standard
library alone, and prints and raises nothing there.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:  # the main thread of a program is kept from nothing that this could load
    from collections.abc import Callable
    from typing import Any

_CONNECT_S = 10.0
_MULTI_THREADED = r"This process \(pid=\d+\) is multi-threaded, use of fork"
"""What Python warns of since 3.12 where a process with threads is forked; this one may have had none."""


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
    undo: list[Callable[[], None]] = []
    try:
        import _thread
        import warnings

        filters: Any = warnings.filters
        if not any(each[1] and each[1].pattern == _MULTI_THREADED for each in filters):
            warnings.filterwarnings("ignore", _MULTI_THREADED, DeprecationWarning)
            undo.append(lambda ours=filters[0]: filters.remove(ours))  # type: ignore[misc]
        _thread.start_new_thread(_open, (request, undo))
    except BaseException as error:  # noqa: BLE001 - whoever waits is told
        _undo(undo)
        sock = _reach(request)
        if sock is not None:
            _refuse(sock, error)
            sock.close()


def _open(request: dict[str, Any], undo: list[Callable[[], None]]) -> None:
    sock = _reach(request)
    try:
        if sock is None:
            return
        finder: Any = _Finder(request["packages"])
        sys.meta_path.append(finder)
        undo.append(lambda: sys.meta_path.remove(finder))
        import importlib

        attached = importlib.import_module("rpyc_kernel.worker.attached")  # this is no process that has the others
        attached.serve(sock, request)  # until the kernel is stopped: some modules are loaded when they are first used
    except BaseException as error:  # noqa: BLE001 - whoever waits is told
        _refuse(sock, error)
    finally:
        if sock is not None:
            sock.close()
        _undo(undo)


def _undo(undo: list[Callable[[], None]]) -> None:
    import contextlib

    for take_back in undo:
        with contextlib.suppress(ValueError):  # the program has done it itself
            take_back()


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
    with contextlib.suppress(OSError):  # nobody waits any more
        sock.sendall(len(answer).to_bytes(4, "big") + answer)
