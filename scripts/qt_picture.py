"""Draws docs/img/qt.png from a real window on a real kernel: python scripts/qt_picture.py"""

import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))
os.environ["QT_QPA_PLATFORM"] = "offscreen"

from qtpy.QtWidgets import QApplication  # noqa: E402

import rpyc_kernel  # noqa: E402
from rpyc_kernel.faces.frontend.session_slot import take_session_slot  # noqa: E402
from rpyc_kernel.qt import KernelWindow  # noqa: E402

_PATIENCE_S = 60.0
_TABLE = """\
import numpy as np, pandas as pd
chance = np.random.default_rng(3)
weather = pd.DataFrame({
    "station": chance.choice(["Bern", "Graz", "Lyon", "Oslo", "Porto"], 10_000_000),
    "hour": pd.date_range("2001-01-01", periods=10_000_000, freq="min"),
    "celsius": chance.normal(11, 7, 10_000_000).round(2),
    "rain": chance.exponential(0.4, 10_000_000).round(3),
})"""
_PLOT = """\
figure, axes = plt.subplots(figsize=(5.6, 2.6))
for station, part in weather[:400_000].groupby("station"):
    axes.hist(part.celsius, bins=80, histtype="step", label=station)
axes.legend(frameon=False)
figure.tight_layout()"""


def main() -> None:
    """Have two people work in a kernel, and draw the window of one of them."""
    application = QApplication([])
    application.setStyle("Fusion")
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.environ |= {"RPYC_KERNEL_RUNTIME_DIR": f"{folder}/r", "RPYC_KERNEL_STATE_DIR": f"{folder}/s"}
        for path in (f"{folder}/r", f"{folder}/s"):
            Path(path).mkdir(mode=0o700)
        with rpyc_kernel.start("weather", engine="ipython", timeout=_PATIENCE_S) as kernel:
            try:
                kernel.execute("pass", timeout=_PATIENCE_S)
                window = KernelWindow(take_session_slot("weather", name="bob"))
                work(application, window)
                window.grab().save(str(ROOT / "docs" / "img" / "qt.png"))
                window.close()
            finally:
                kernel.shutdown(timeout=_PATIENCE_S)


def work(application: QApplication, window: KernelWindow) -> None:
    """Bring all parts of the window to show something."""

    def until(condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + _PATIENCE_S
        while not condition():
            application.processEvents()
            assert time.monotonic() < deadline, window.console.transcript.toPlainText()

    def run(code: str) -> None:
        window.console.run(code)
        until(lambda: window.console._is_at_code and window.console.transcript.is_drawn)

    window.resize(1280, 820)
    window.show()
    until(lambda: window.console._is_at_code)
    run(_TABLE)
    run("limits = {'low': -12.5, 'high': 41.0, 'stations': ['Bern', 'Graz', 'Lyon', 'Oslo', 'Porto']}")
    run("%matplotlib inline\nfrom matplotlib import pyplot as plt")
    run(_PLOT)
    with take_session_slot("weather", name="alice") as alice:
        alice.execute("weather.celsius.max()", timeout=_PATIENCE_S)
        window.open_table("weather")
        table = window.tables["weather"].widget()
        until(lambda: table.model.rowCount() > 0)
        table.column.setCurrentIndex(2)
        table.operator.setCurrentText(">")
        table.value.setText("30")
        table.apply_filter()
        table.view.horizontalHeader().sectionClicked.emit(2)
        table.view.horizontalHeader().sectionClicked.emit(2)
        tree = window.variables.tree
        until(lambda: "limits" in [tree.topLevelItem(place).text(0) for place in range(tree.topLevelItemCount())])
        for place in range(tree.topLevelItemCount()):
            if tree.topLevelItem(place).text(0) == "limits":
                tree.topLevelItem(place).setExpanded(True)
        window.console.editor.put("pd.concat(")
        until(lambda: window.console._hint.isVisible() and table.model.data(table.model.index(0, 2)) != "…")
        settled = time.monotonic() + 1
        until(lambda: time.monotonic() > settled)


if __name__ == "__main__":
    main()
