"""The Qt console, without a screen, on our kernel."""

import os
import subprocess
import sys

import pytest

from tests.end_to_end.notebooks import PATIENCE_S, Open

_PROGRAM = """
import sys
from qtpy import QtCore, QtWidgets
from qtconsole.manager import QtKernelManager
from qtconsole.rich_jupyter_widget import RichJupyterWidget

application = QtWidgets.QApplication([])
manager = QtKernelManager(kernel_name="rpyc_kernel")
manager.start_kernel()
client = manager.client()
client.start_channels()
widget = RichJupyterWidget()
widget.kernel_manager, widget.kernel_client = manager, client
said = {"In [": lambda: widget.execute("6 * 7"), "42": lambda: widget.execute("print('do' + 'ne')"), "done": None}

def look():
    text = widget._control.toPlainText()
    waited = next(iter(said))
    if waited in text:
        act = said.pop(waited)
        if act is None:
            print(text)
            application.quit()
        else:
            act()

timer = QtCore.QTimer()
timer.timeout.connect(look)
timer.start(20)
QtCore.QTimer.singleShot(25_000, lambda: (print(widget._control.toPlainText()), application.exit(1)))
status = application.exec()
client.stop_channels()
manager.shutdown_kernel()
sys.exit(status)
"""


def test_the_qt_console_runs_code(open_notebook: Open) -> None:
    pytest.importorskip("qtconsole")
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "QT_API": "pyside6"}
    ended = subprocess.run(
        [sys.executable, "-c", _PROGRAM],
        env=environment, capture_output=True, text=True, timeout=2 * PATIENCE_S, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "]: 42" in ended.stdout
