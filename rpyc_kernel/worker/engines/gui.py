"""`%gui` and `%matplotlib`: which toolkit's windows live, by IPython's hooks."""

from __future__ import annotations

import os
import sys
from importlib.util import find_spec
from typing import Final

from IPython.core.error import UsageError
from IPython.terminal.pt_inputhooks import UnknownBackend, get_inputhook_name_and_func

from rpyc_kernel.system.displays import find_obstacle
from rpyc_kernel.worker import toolkit_loops
from rpyc_kernel.worker.gui_loops import Hook, Turn, windows

_WITHOUT: Final = (None, "inline", "asyncio", "widget", "ipympl", "nbagg", "notebook", "webagg", "agg")
"""What needs no loop beside the kernel's own."""
_PACKAGES = {"qt": "PySide6 or PyQt6", "tk": "tkinter, which is a part of Python", "wx": "wxPython", "gtk": "PyGObject"}


def enable(gui: str | None) -> None:
    """Let the windows of a toolkit live from now on; None lets none live.

    Raises:
        UsageError: the toolkit is not there, or has no display.
    """
    if gui in _WITHOUT:
        windows.use(None, None)
        return
    windows.use(*find_hook(gui))


def find_hook(gui: str | None) -> tuple[str, Hook]:
    """The name of a toolkit, and what runs its loop for a turn.

    Raises:
        UsageError: the toolkit is not there, or has no display.
    """
    if gui == "osx" and sys.platform != "darwin":
        raise UsageError(f"osx is the toolkit of macOS, and the kernel runs on {sys.platform}")
    if _needs_display(gui) and (obstacle := find_obstacle()):
        raise UsageError(
            f"no window can be shown where the kernel runs: {obstacle}; "
            "'%matplotlib inline' shows figures without windows"
        )
    try:
        name, hook = get_inputhook_name_and_func("gtk3" if gui == "gtk" else str(gui))
    except UnknownBackend:
        known = "qt, tk, gtk, wx, osx, asyncio and trio"
        raise UsageError(f"there is no event loop {gui!r}; those known are {known}") from None
    except (ImportError, ValueError, KeyError) as error:
        package = _PACKAGES.get(_family(gui), gui)
        raise UsageError(f"{gui} cannot be loaded where the kernel runs ({error}); it needs {package}") from None
    return name, _with_exits(hook) if _family(gui) == "qt" else hook


def _with_exits(hook: Hook) -> Hook:
    """Qt's hook, whose loop code may have kept from beginning by an `app.exit()` that no other loop took."""

    def take_turn(turn: Turn) -> None:
        hook(turn)
        if not turn.input_is_ready():
            toolkit_loops.settle()

    return take_turn


def check_figures(gui: str | None) -> None:
    """See that matplotlib's figures can be shown so, as far as is known before it is loaded.

    Raises:
        UsageError: they cannot.
    """
    if gui in ("widget", "ipympl") and find_spec("ipympl") is None:
        raise UsageError("figures as widgets take the package ipympl where the kernel runs: pip install ipympl")
    if _has_windows(gui):
        find_hook(gui)


def _has_windows(gui: str | None) -> bool:
    return _family(gui) in _PACKAGES


def _needs_display(gui: str | None) -> bool:
    platform = os.environ.get("QT_QPA_PLATFORM", "xcb").partition(":")[0]
    is_without = _family(gui) == "qt" and platform not in ("xcb", "wayland")  # such as offscreen
    return _has_windows(gui) and not is_without


def _family(gui: str | None) -> str:
    """A toolkit without its version."""
    return (gui or "").rstrip("0123456789")
