"""The program on the page about windows runs, in a process of its own and without a display."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib.util import find_spec

import pytest

import rpyc_kernel
from tests.docs.pages import ROOT

_PATIENCE_S = 60
_RUN = """
import time

def use(application):
    "Press Run, wait until all of it is seen, and close the window."
    window.menuBar().actions()[-1].trigger()
    deadline = time.monotonic() + 50
    tree = window.variables.tree
    while "\\n42" not in window.console.transcript.toPlainText() or not tree.topLevelItemCount():
        application.processEvents()
        assert time.monotonic() < deadline, window.console.transcript.toPlainText()
    print(tree.topLevelItem(0).text(0))
    window.close()

from qtpy.QtWidgets import QApplication
QApplication.exec = use
"""


@pytest.mark.skipif(find_spec("qtpy") is None, reason="no binding of Qt is installed")
def test_the_program_of_the_page_runs_code_and_shows_what_comes_of_it(folders: object) -> None:
    (program,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "qt.md").read_text(), re.DOTALL)
    with rpyc_kernel.start("demo", timeout=_PATIENCE_S) as kernel:
        environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
        ran = subprocess.run(
            [sys.executable, "-c", _RUN + program], capture_output=True, text=True, timeout=_PATIENCE_S, env=environment
        )
        assert (ran.returncode, ran.stdout) == (0, "answer\n"), ran.stderr
        kernel.shutdown(timeout=_PATIENCE_S)
