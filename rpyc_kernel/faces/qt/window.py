"""A window on a kernel: a console, its variables, its plots, and tables."""

from __future__ import annotations

from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QCloseEvent, QKeySequence
from qtpy.QtWidgets import QDockWidget, QMainWindow, QWidget

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.frontend.conversation import LEFT, Conversation
from rpyc_kernel.faces.qt.console import ConsoleWidget
from rpyc_kernel.faces.qt.plots_pane import PlotsPane
from rpyc_kernel.faces.qt.table import TableView
from rpyc_kernel.faces.qt.variables import VariableExplorer

_SIZES = (
    ("&Larger letters", ("Ctrl++", "Ctrl+="), 1),
    ("&Smaller letters", ("Ctrl+-",), -1),
    ("&Usual letters", ("Ctrl+0",), 0),
)


class KernelWindow(QMainWindow):
    """A window for one person in one kernel. Closing it leaves the kernel running.

    Args:
        kernel: a client of the kernel, which is closed with the window; or a conversation that has not begun.
        parent: of the window.

    Attributes:
        console: the prompt and what is shown above it.
        variables: the variable explorer.
        plots: the pictures.
        tables: what is open, by path.

    Example:
        >>> from rpyc_kernel.qt import KernelWindow
        >>> window = KernelWindow(rpyc_kernel.connect("demo"))  # in a program that has a QApplication
        >>> window.show()
        >>> window.close()
        True
    """

    def __init__(self, kernel: KernelClient | Conversation, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.console = ConsoleWidget(kernel, self)
        self._kernel = self.console.conversation.kernel
        self.variables = VariableExplorer(self._kernel, self, open_table=self.open_table)
        self.plots = PlotsPane(self)
        self.tables: dict[str, QDockWidget] = {}
        self.setWindowTitle(f"{sanitize_line(self._kernel.name)} – rpyc-kernel")
        self.setDockNestingEnabled(True)
        self.setCentralWidget(self.console)
        right = Qt.DockWidgetArea.RightDockWidgetArea
        self.setCorner(Qt.Corner.BottomRightCorner, right)
        docks = [self._dock("Variables", self.variables, right), self._dock("Plots", self.plots, right)]
        self.resize(QSize(1200, 780))
        self.resizeDocks(docks, [460, 460], Qt.Orientation.Horizontal)
        self.resizeDocks(docks, [300, 480], Qt.Orientation.Vertical)
        self._make_menus(docks)
        self.console.executed.connect(self.variables.refresh)
        self.console.plots_changed.connect(self.plots.show_pictures)
        self.console.ended.connect(self._end)
        self.console.setFocus()

    def _dock(self, title: str, widget: QWidget, area: Qt.DockWidgetArea) -> QDockWidget:
        dock = QDockWidget(title, self)
        dock.setObjectName(title)
        dock.setWidget(widget)
        self.addDockWidget(area, dock)
        return dock

    def _make_menus(self, docks: list[QDockWidget]) -> None:
        kernel = self.menuBar().addMenu("&Kernel")
        kernel.addAction("&Interrupt…", self.console.interrupt)
        kernel.addAction("&Restart…", lambda: self.console.run("%restart"))
        kernel.addSeparator()
        kernel.addAction("&Leave", self.close).setShortcut(QKeySequence(QKeySequence.StandardKey.Quit))
        view = self.menuBar().addMenu("&View")
        for dock in docks:
            view.addAction(dock.toggleViewAction())
        view.addSeparator()
        for words, keys, points in _SIZES:
            zoom = view.addAction(words, lambda *_, points=points: self.console.zoom(points))
            zoom.setShortcuts([QKeySequence(key) for key in keys])
        view.addSeparator()
        view.addAction("&Clear the transcript", self.console.clear).setShortcut(QKeySequence("Ctrl+L"))
        explained = self.menuBar().addMenu("&Help").addAction("&What can be typed", self.console.explain)
        explained.setShortcut(QKeySequence("F1"))

    def open_table(self, path: str) -> None:
        """Show what a path leads to as a table, below the prompt."""
        if path not in self.tables:
            table = TableView(self._kernel, path, self)
            dock = self._dock(table.windowTitle(), table, Qt.DockWidgetArea.BottomDockWidgetArea)
            for other in self.tables.values():
                self.tabifyDockWidget(other, dock)
            if not self.tables:
                self.resizeDocks([dock], [260], Qt.Orientation.Vertical)
            self.tables[path] = dock
            self.console.executed.connect(table.refresh)
            dock.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
            dock.destroyed.connect(lambda *_: self.tables.pop(path, None))
        self.tables[path].raise_()

    def _end(self, end: str) -> None:
        if end == LEFT:
            self.close()
        else:
            self.setWindowTitle(f"{self.windowTitle()} (no connection)")

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """End the threads of all of it; nobody looks on while a kernel that does not answer is waited for."""
        self.hide()
        for widget in (self.variables, self.plots, *(dock.widget() for dock in self.tables.values()), self.console):
            widget.close()
        super().closeEvent(event)
