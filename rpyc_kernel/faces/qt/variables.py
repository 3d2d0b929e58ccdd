"""A variable explorer: what is in a kernel's namespace, and in what is in there, also while the kernel is busy."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import partial

from qtpy.QtCore import Qt, QTimer
from qtpy.QtGui import QCloseEvent, QKeySequence, QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QShortcut,
    QToolButton,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.introspection import Page, Variable
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.qt.calls import Calls
from rpyc_kernel.faces.qt.looks import faint, fixed_font
from rpyc_kernel.faces.qt.table import TableView

_PAGE = 100
_MOST = 1000
_PAUSE_MS = 200
_VARIABLE = Qt.ItemDataRole.UserRole


class VariableExplorer(QWidget):
    """Shows variables as a tree, in which containers open page by page; what has cells opens as a table.

    Args:
        kernel: a client of the kernel, which others may use, too; it is not closed with the widget.
        parent: of the widget.
        open_table: called with the path of what is to be shown as a table; by default a window opens.

    Example:
        >>> from rpyc_kernel.qt import VariableExplorer
        >>> explorer = VariableExplorer(kernel)  # in a program that has a QApplication
        >>> explorer.refresh()
        >>> explorer.close()
        True
    """

    def __init__(
        self,
        kernel: KernelClient,
        parent: QWidget | None = None,
        *,
        open_table: Callable[[str], object] | None = None,
    ) -> None:
        super().__init__(parent)
        self._kernel = kernel
        self._open_table = open_table or self._open_window
        self._calls = Calls(f"variables-{kernel.name}")
        self.destroyed.connect(self._calls.close)
        self._is_asking = self._is_out_of_date = False
        self._count = _MOST
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE_MS)
        self._pause.timeout.connect(self._go_on)
        self.filter = QLineEdit(self)
        self.filter.setPlaceholderText("Filter by name or type")
        self.filter.setClearButtonEnabled(True)
        self.filter.textChanged.connect(self._apply_filter)
        self.filter.textChanged.connect(self.refresh)  # what fits may be none of those that are there
        again = QToolButton(self)
        again.setText("⟳")
        again.setToolTip("Refresh (F5)")
        again.setAutoRaise(True)
        again.clicked.connect(self.refresh)
        shortcut = QShortcut(QKeySequence("F5"), self)
        shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)  # elsewhere it is for others
        shortcut.activated.connect(self.refresh)
        self.tree = QTreeWidget(self)
        self._trouble = QLabel(self)
        self._set_up_tree()
        row = QHBoxLayout()
        row.setContentsMargins(6, 6, 6, 2)
        row.addWidget(self.filter, 1)
        row.addWidget(again)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addLayout(row)
        column.addWidget(self.tree, 1)
        column.addWidget(self._trouble)

    def _set_up_tree(self) -> None:
        tree = self.tree
        tree.setHeaderLabels(["Name", "Type", "Size", "Value"])
        tree.setUniformRowHeights(True)
        tree.setAlternatingRowColors(True)
        tree.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        tree.setFrameShape(QTreeWidget.Shape.NoFrame)
        tree.header().setSectionResizeMode(QHeaderView.ResizeMode.Interactive)
        tree.header().setStretchLastSection(True)
        for column, width in enumerate((120, 110, 115)):
            tree.setColumnWidth(column, width)
        tree.setAccessibleName("variables")
        tree.setExpandsOnDoubleClick(False)
        tree.itemExpanded.connect(self._open)
        tree.itemDoubleClicked.connect(lambda row, _: self._activate(row))
        tree.itemClicked.connect(lambda row, _: self._load_more(row))
        self._trouble.setTextFormat(Qt.TextFormat.PlainText)
        self._trouble.setContentsMargins(8, 2, 8, 3)
        self._trouble.setWordWrap(True)
        self._trouble.hide()

    # ------------------------------------------------------------------ asking

    def refresh(self, *_: object) -> None:
        """Ask for all that is shown anew; of many calls at once, the last one counts."""
        self._is_out_of_date = True
        if self.isVisible() and not self._is_asking:
            self._is_asking, self._is_out_of_date = True, False
            if self._words and self.tree.topLevelItemCount() >= _MOST:
                self._tell("looking further …")
            self._calls.ask(partial(_look, self._kernel, self._count, self._words), self._show, self._fail)

    def showEvent(self, event: QShowEvent) -> None:  # noqa: N802 - Qt's name
        """Ask now, as somebody looks."""
        super().showEvent(event)
        self.refresh()

    def _show(self, answer: tuple[list[Variable], bool]) -> None:
        self._tell("")
        found, is_more = answer
        self._fill(self.tree.invisibleRootItem(), found, 0, "… more" if is_more else "")
        self._apply_filter()
        self._settle()

    def _fail(self, words: str) -> None:
        self._tell(words)
        self._settle()

    def _tell(self, words: str) -> None:
        self._trouble.setText(words)
        self._trouble.setVisible(bool(words))

    def _settle(self) -> None:
        """Ask again, but not at once, if something has happened meanwhile."""
        self._pause.start()

    def _go_on(self) -> None:
        self._is_asking = False
        if self._is_out_of_date:
            self.refresh()

    def _open(self, row: QTreeWidgetItem) -> None:
        variable = row.data(0, _VARIABLE)
        if isinstance(variable, Variable):
            known = sum(isinstance(row.child(place).data(0, _VARIABLE), Variable) for place in range(row.childCount()))
            self._ask_children(row, variable.path, 0, max(_PAGE, known))

    def _ask_children(self, row: QTreeWidgetItem, path: str, start: int, count: int) -> None:
        def show(page: Page) -> None:
            if _is_there(row):
                left = page.count - page.start - len(page.items)
                self._fill(row, list(page.items), page.start, f"… {left:,} more" if left > 0 else "")

        self._calls.ask(lambda: self._kernel.children(path, start, min(count, _MOST)), show, self._fail)

    def _load_more(self, row: QTreeWidgetItem) -> None:
        """A row that stands for further ones was clicked."""
        start = row.data(0, _VARIABLE)
        if not isinstance(start, int):
            return
        parent = row.parent()
        if parent is not None:
            self._ask_children(parent, parent.data(0, _VARIABLE).path, start, _PAGE)
        else:
            self._count += _MOST
            self.refresh()

    # ------------------------------------------------------------------ rows

    def _fill(self, parent: QTreeWidgetItem, found: list[Variable], start: int, more: str) -> None:
        """Have these be the children from ``start`` on; rows that were there already keep what is open in them.

        Args:
            parent: whose children.
            found: what they are.
            start: the place of the first.
            more: what stands for further ones, "" if there are none.
        """
        known: dict[str, deque[QTreeWidgetItem]] = {}  # several, as keys that differ may look the same
        for place in range(start, parent.childCount()):
            known.setdefault(parent.child(place).text(0), deque()).append(parent.child(place))
        for place, variable in enumerate(found, start):
            name = sanitize_line(variable.name)
            row = known[name].popleft() if known.get(name) else QTreeWidgetItem()
            if parent.indexOfChild(row) != place:
                is_open = row.isExpanded()
                parent.removeChild(row)
                parent.insertChild(place, row)
                row.setExpanded(is_open)
            self._write(row, variable, name)
        while parent.childCount() > start + len(found):
            parent.takeChild(parent.childCount() - 1)
        if more:
            row = QTreeWidgetItem([more])
            row.setData(0, _VARIABLE, start + len(found))
            row.setForeground(0, faint(self.palette()))
            parent.addChild(row)

    def _write(self, row: QTreeWidgetItem, variable: Variable, name: str) -> None:
        if row.data(0, _VARIABLE) == variable:
            if row.isExpanded():
                self._open(row)  # there may be others in it
            return
        size = " × ".join(f"{extent:,}" for extent in variable.shape or ())
        size = size or (f"{variable.size:,}" if variable.size is not None else "")
        for column, text in enumerate((name, _kind(variable), size, sanitize_line(variable.preview))):
            if row.text(column) != text:
                row.setText(column, text)
        row.setFont(3, fixed_font())
        row.setForeground(1, faint(self.palette()))
        row.setTextAlignment(2, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
        row.setToolTip(3, "Double-click to open as a table" if variable.has_cells else "")
        row.setData(0, _VARIABLE, variable)
        policies = QTreeWidgetItem.ChildIndicatorPolicy
        row.setChildIndicatorPolicy(
            policies.ShowIndicator if variable.has_children else policies.DontShowIndicatorWhenChildless
        )
        if not variable.has_children:
            row.takeChildren()
        elif row.isExpanded():
            self._open(row)

    def _activate(self, row: QTreeWidgetItem) -> None:
        variable = row.data(0, _VARIABLE)
        if not isinstance(variable, Variable):
            return
        if variable.has_cells:
            self._open_table(variable.path)
        else:
            row.setExpanded(not row.isExpanded())

    def _open_window(self, path: str) -> None:
        table = TableView(self._kernel, path, self)
        table.setWindowFlags(Qt.WindowType.Window)
        table.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        table.resize(800, 500)
        table.show()

    def _apply_filter(self) -> None:
        words = self._words
        for place in range(self.tree.topLevelItemCount()):
            row = self.tree.topLevelItem(place)
            variable = row.data(0, _VARIABLE)
            row.setHidden(bool(words) and isinstance(variable, Variable) and not _fits(variable, words))

    @property
    def _words(self) -> str:
        return str(self.filter.text()).lower()

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """End the threads."""
        self._calls.close()
        super().closeEvent(event)


def _look(kernel: KernelClient, count: int, words: str) -> tuple[list[Variable], bool]:
    """So many variables, and of those behind them what fits; and whether there are more."""
    found: list[Variable] = []
    start = 0
    while True:
        page = kernel.variables(start, _MOST)
        found += page if start < count else [variable for variable in page if _fits(variable, words)]
        start += len(page)
        if len(page) < _MOST:
            return found, False
        if start >= count and (not words or len(found) >= 2 * count):
            return found, True


def _fits(variable: Variable, words: str) -> bool:
    return words in variable.name.lower() or words in _kind(variable).lower()


def _kind(variable: Variable) -> str:
    return sanitize_line(variable.type + (f" {variable.dtype}" if variable.dtype else ""))


def _is_there(row: QTreeWidgetItem) -> bool:
    try:
        return row.treeWidget() is not None
    except RuntimeError:  # it was deleted
        return False
