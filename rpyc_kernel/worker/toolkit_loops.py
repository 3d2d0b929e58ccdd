"""Loops of toolkits that user code runs itself, such as `app.exec()` and `root.mainloop()`: how an interrupt ends them.

Two things are in its way. Python runs a signal's handler only where Python code runs, and a loop that waits for events
runs none: so another thread brings it some. And what is raised in a callback, the toolkit shows and forgets: so the
loop is told to end, and the exception comes behind it, in the code that has called it.
"""

from __future__ import annotations

import contextlib
import sys
from types import FrameType
from typing import Any

from rpyc_kernel.system.originals import threading

_BINDINGS = ("PySide6", "PyQt6", "PyQt5", "PySide2")
_bells: dict[str, Any] = {}


def has_called(frame: FrameType | None) -> bool:
    """Whether a loop has called what runs in this frame of the main thread, and would swallow what is raised there."""
    return any(core.QThread.currentThread().loopLevel() > 0 for core in _find_qt()) or _is_called_by_tk(frame)


def end(frame: FrameType | None) -> None:
    """Tell the loops that have called what runs in this frame of the main thread, which is this one, to end."""
    for core in _find_qt():
        core.QCoreApplication.exit(0)
    while frame is not None:
        if _is_tk(frame, "Misc", "mainloop"):
            frame.f_locals["self"].quit()
        frame = frame.f_back


def settle() -> None:
    """Let Qt's loops begin again, which all end at once after an `exit` that no loop of the application's own took."""
    for core in _find_qt():
        app = core.QCoreApplication.instance()
        run = getattr(app, "exec", None) or app.exec_
        was_blocked = app.blockSignals(True)  # nobody is to hear that the application is about to quit
        core.QTimer.singleShot(0, core.QCoreApplication.exit)
        run()
        app.blockSignals(was_blocked)


def wake() -> None:
    """Bring code of Python to loops that wait, from any thread but the main one; it may have to wait for them."""
    for name in _BINDINGS:
        with contextlib.suppress(Exception):  # it is half imported, or what user code has made of it
            _ring(name)
    frame = sys._current_frames().get(threading.main_thread().ident or 0)
    if frame is not None and _is_tk(frame, "Misc", "mainloop"):
        with contextlib.suppress(Exception):  # it has just ended
            frame.f_locals["self"].tk.call("info", "tclversion")  # any command: behind it, Tk looks for signals


def run_python(*_bell: object) -> None:
    """Do nothing: on its way here Python has run the handlers of signals."""


def _ring(name: str) -> None:
    core: Any = sys.modules.get(f"{name}.QtCore")
    app = None if core is None else core.QCoreApplication.instance()
    if app is None:
        return
    if name not in _bells:
        _bells[name] = _make_bell(core)
        _bells[name].moveToThread(app.thread())
        _bells[name].rung.connect(_bells[name].hear)  # there, as it lives there by now
    _bells[name].rung.emit()


def _make_bell(core: Any) -> Any:
    class Bell(core.QObject):  # type: ignore[misc]
        rung = core.Signal() if hasattr(core, "Signal") else core.pyqtSignal()
        hear = run_python

    return Bell()


def _find_qt() -> list[Any]:
    """The `QtCore` of each binding that has an application in this thread."""
    found = []
    for name in _BINDINGS:
        core: Any = sys.modules.get(f"{name}.QtCore")
        with contextlib.suppress(Exception):  # as above
            app = None if core is None else core.QCoreApplication.instance()
            if app is not None and app.thread() == core.QThread.currentThread():
                found.append(core)
    return found


def _is_called_by_tk(frame: FrameType | None) -> bool:
    while frame is not None and "tkinter" in sys.modules:
        if _is_tk(frame, "CallWrapper", "__call__"):
            return True
        frame = frame.f_back
    return False


def _is_tk(frame: FrameType, name: str, method: str) -> bool:
    """Whether a frame is that of a method of a class of tkinter's."""
    found = getattr(getattr(sys.modules.get("tkinter"), name, None), method, None)
    return frame.f_code is getattr(found, "__code__", None)
