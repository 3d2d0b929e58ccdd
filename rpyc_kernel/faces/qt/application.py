"""A window as a program of its own: whether there can be one, and its life."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from types import FrameType

from rpyc_kernel.faces.frontend.conversation import Conversation
from rpyc_kernel.system.displays import find_obstacle
from rpyc_kernel.system.own_command import way_to_install

_INSTALL = f"install one with: {way_to_install('qt')}"
_DISPLAYS = ("xcb", "wayland")
_PROBE = "from qtpy.QtWidgets import QApplication; QApplication([])"
_PROBE_S = 30.0
_LEAVING_S = 3.0
_BROKEN = "6.12.0"
"""Each call of it takes away a reference to None, which Python counts up to 3.11."""


def find_hindrance(environment: Mapping[str, str]) -> str:
    """Why no window can be opened, and what to do about it; "" if one can.

    Qt ends a process that has no display, so another one tries first.
    """
    try:
        import qtpy.QtWidgets
    except ImportError as error:
        reason = str(error).strip().partition("\n")[0]
        return f"there is no binding of Qt that works ({reason}); {_INSTALL}"
    if (qtpy.API_NAME, qtpy.PYSIDE_VERSION) == ("PySide6", _BROKEN) and sys.version_info < (3, 12):
        return (
            f"PySide6 {_BROKEN} ends programs of this Python after a while; "
            f"{sys.executable} -m pip install 'PySide6-Essentials!={_BROKEN}'"
        )
    platform = environment.get("QT_QPA_PLATFORM", "")
    if sys.platform == "darwin" or (platform and not platform.startswith(_DISPLAYS)):
        return ""
    if obstacle := find_obstacle(environment):
        return f"{obstacle}; by SSH, 'ssh -X' brings a display, and 'rpyc-kernel screen' needs none"
    try:
        tried = subprocess.run(
            [sys.executable, "-c", _PROBE], capture_output=True, text=True, errors="replace", timeout=_PROBE_S
        )
    except subprocess.TimeoutExpired:
        return f"the display {environment.get('DISPLAY') or environment.get('WAYLAND_DISPLAY')} does not answer"
    if tried.returncode == 0:
        return ""
    lines = [line.strip() for line in tried.stderr.splitlines() if line.strip()]
    reason = next((line for line in lines if "display" in line or "cursor" in line), lines[0] if lines else "")
    return f"Qt cannot open a window: {reason or f'it ended with status {tried.returncode}'}"


def run_window(conversation: Conversation) -> int | None:
    """Open a window, and wait until it is closed; returns the signal that has ended it, if one has."""
    from qtpy.QtCore import QLoggingCategory, QSocketNotifier
    from qtpy.QtWidgets import QApplication

    from rpyc_kernel.faces.qt.window import KernelWindow

    application = QApplication.instance() or QApplication(["rpyc-kernel"])
    application.setApplicationName("rpyc-kernel")
    # Of a broken picture it would write all that is in it to the terminal that the window was opened from.
    QLoggingCategory.setFilterRules("qt.svg=false\nqt.gui.imageio=false")
    window = KernelWindow(conversation)
    received: list[int] = []

    def take(number: int, _: FrameType | None) -> None:
        received.append(number)
        window.close()

    # While the window waits, no Python runs; a byte in a socket has Qt call some, and then a signal is handled.
    waiting, waking = socket.socketpair()
    waking.setblocking(False)
    notifier = QSocketNotifier(waiting.fileno(), QSocketNotifier.Type.Read)
    notifier.activated.connect(lambda *_: waiting.recv(100))
    earlier = [(number, signal.signal(number, take)) for number in (signal.SIGINT, signal.SIGTERM)]
    earlier_waking = signal.set_wakeup_fd(waking.fileno())
    try:
        window.show()
        application.exec()
    finally:
        signal.set_wakeup_fd(earlier_waking)
        for number, handler in earlier:
            signal.signal(number, handler)
        notifier.setEnabled(False)
        window.close()
        window.console.wait_for_end(_LEAVING_S)
        waiting.close()
        waking.close()
    return received[0] if received else None
