"""Widgets of Qt for a kernel, and a window of them; needs the extra ``qt``, or PyQt6 or PyQt5 with qtpy."""

from rpyc_kernel.faces.qt.console import ConsoleWidget
from rpyc_kernel.faces.qt.plots_pane import PlotsPane
from rpyc_kernel.faces.qt.table import TableView
from rpyc_kernel.faces.qt.variables import VariableExplorer
from rpyc_kernel.faces.qt.window import KernelWindow

__all__ = ["ConsoleWidget", "KernelWindow", "PlotsPane", "TableView", "VariableExplorer"]
