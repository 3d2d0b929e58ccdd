"""A window that times itself: ``python -m benchmarks.faces_qt ours|qtconsole NAME``; asked and answering by lines."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QEvent, QEventLoop, QObject, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from benchmarks.faces import KEY, STAMP, code_that_prints

_PATIENCE_S = 60.0


class Painted(QObject):
    """Counts the paintings of a widget."""

    def __init__(self, widget: Any) -> None:
        super().__init__()
        self.count = 0
        widget.installEventFilter(self)

    def eventFilter(self, _: QObject, event: QEvent) -> bool:  # noqa: N802 - Qt's name
        self.count += event.type() == QEvent.Type.Paint
        return False


class Window:
    """One of the windows, and where its text and its input are."""

    def __init__(self, kind: str, name: str) -> None:
        self._open = self._open_ours if kind == "ours" else self._open_qtconsole
        self._open(name)
        self.widget.resize(900, 700)
        self.widget.show()
        self._shown, self._typed = Painted(self._output.viewport()), Painted(self._input.viewport())
        self._until(self._is_at_prompt)

    def _open_ours(self, name: str) -> None:
        import rpyc_kernel
        from rpyc_kernel.qt import ConsoleWidget

        self.widget = ConsoleWidget(rpyc_kernel.connect(name))
        self._input, self._output = self.widget.editor, self.widget.transcript
        self._run, self._clear = self.widget.run, lambda: self._input.put("")
        self._is_at_prompt = lambda: self.widget._is_at_code
        self._end = self.widget.close

    def _open_qtconsole(self, _: str) -> None:
        from qtconsole.manager import QtKernelManager
        from qtconsole.rich_jupyter_widget import RichJupyterWidget

        manager = QtKernelManager(kernel_name="python3")
        manager.start_kernel()
        client = manager.client()
        client.start_channels()
        self.widget = RichJupyterWidget()
        self.widget.kernel_manager, self.widget.kernel_client = manager, client
        self._input = self._output = self.widget._control
        self._run, self._clear = self.widget.execute, lambda: setattr(self.widget, "input_buffer", "")
        self._is_at_prompt = lambda: "In [" in self._output.toPlainText() and not self.widget._executing
        self._end = lambda: (client.stop_channels(), manager.shutdown_kernel(now=True))

    def keys(self, count: int) -> list[float]:
        """Seconds from each key to the end of its painting."""
        self._clear()
        self._rest()
        return [self._time_key() for _ in range(count)]

    def lines(self, count: int) -> list[float]:
        """Seconds from each printing to the end of the line's painting."""
        self._clear()
        self._rest()
        before, found, seen = set(STAMP.findall(self._output.toPlainText())), {}, 0
        self._run(code_that_prints(count))

        def look() -> bool:
            nonlocal seen
            if self._shown.count != seen:
                at, seen = time.perf_counter(), self._shown.count
                for stamp in STAMP.findall(self._output.toPlainText()):
                    if stamp not in before:
                        found.setdefault(float(stamp), at)
            return len(found) >= count

        self._until(look)
        self._until(self._is_at_prompt)
        return [painted - printed for printed, painted in found.items()]

    def end(self) -> None:
        """Close it, and what it has started."""
        self._end()

    def _time_key(self) -> float:
        typed, painted = self._input.toPlainText().count(KEY), self._typed.count
        begin = time.perf_counter()
        QTest.keyClick(self._input, KEY)
        self._until(lambda: self._typed.count > painted and self._input.toPlainText().count(KEY) > typed)
        took = time.perf_counter() - begin
        self._rest(0.03)
        return took

    def _rest(self, for_s: float = 0.4) -> None:
        until = time.perf_counter() + for_s
        self._until(lambda: time.perf_counter() > until)

    def _until(self, condition: Callable[[], object]) -> None:
        deadline = time.perf_counter() + _PATIENCE_S
        while not condition():
            if time.perf_counter() > deadline:
                raise TimeoutError("what was typed or printed was not shown")
            QApplication.processEvents(
                QEventLoop.ProcessEventsFlag.AllEvents | QEventLoop.ProcessEventsFlag.WaitForMoreEvents
            )


def main() -> None:
    """Open the window, and obey."""
    _application = QApplication(sys.argv[:1])  # held: without it there is none
    ticking = QTimer(interval=10)  # so that waiting for events ends
    ticking.start()
    window = Window(sys.argv[1], sys.argv[2])
    for line in sys.stdin:
        what, count = line.split()
        print(json.dumps(getattr(window, what)(int(count))), flush=True)
    window.end()


if __name__ == "__main__":
    main()
