"""Which variables a tree has, and what becomes of its rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from qtpy.QtTest import QTest

from rpyc_kernel.core.introspection import Page, Variable
from rpyc_kernel.faces.qt import variables as module
from rpyc_kernel.faces.qt.variables import VariableExplorer
from tests.faces.qt.widgets import until


class Kernel:
    """Has as many variables as the test says, and a dict whose keys look the same."""

    name = "demo"

    def __init__(self) -> None:
        self.names = [f"v{number:05}" for number in range(3500)]
        self.same = ["0", "1", "2"]
        self.asked: list[tuple[int, int]] = []

    def variables(self, start: int, count: int) -> list[Variable]:
        self.asked.append((start, count))
        return [make_variable(name, "1") for name in self.names[start : start + count]]

    def children(self, path: str, start: int, count: int) -> Page:
        found = [make_variable("<key>", preview) for preview in self.same]
        return Page(path, len(found), start, tuple(found))


def make_variable(name: str, preview: str) -> Variable:
    kind = "dict" if name == "same" else "int"
    return Variable(name=name, path=name, type=kind, preview=preview, has_children=name == "same")


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    monkeypatch.setattr(module, "_PAUSE_MS", 0)
    return Kernel()


@pytest.fixture
def explorer(kernel: Kernel, show: Callable[..., Any]) -> VariableExplorer:
    shown: VariableExplorer = show(VariableExplorer(kernel))  # type: ignore[arg-type]
    until(lambda: rows(shown), "the variables")
    return shown


def rows(explorer: VariableExplorer) -> list[str]:
    tree = explorer.tree
    there = [tree.topLevelItem(place) for place in range(tree.topLevelItemCount())]
    return [row.text(0) for row in there if not row.isHidden()]


def test_a_filter_finds_also_what_is_not_listed_yet(explorer: VariableExplorer):
    assert rows(explorer)[-2:] == ["v00999", "… more"]
    QTest.keyClicks(explorer.filter, "v03499")
    until(lambda: rows(explorer) == ["v03499"], "the one that fits")
    until(lambda: not explorer._trouble.isVisible(), "the end of looking")
    explorer.filter.clear()
    until(lambda: rows(explorer)[-2:] == ["v00999", "… more"], "all of them")


def test_more_of_them_are_still_listed_after_the_next_execution(explorer: VariableExplorer, kernel: Kernel):
    explorer.tree.itemClicked.emit(explorer.tree.topLevelItem(1000), 0)
    until(lambda: len(rows(explorer)) == 2001, "more of them")
    kernel.names.append("v99999")
    kernel.names[0] = "first"
    explorer.refresh()
    until(lambda: rows(explorer)[0] == "first", "the change")
    assert len(rows(explorer)) == 2001


def test_what_has_the_name_of_another_has_its_own_value(explorer: VariableExplorer, kernel: Kernel):
    kernel.names = ["same"]
    explorer.refresh()
    until(lambda: rows(explorer) == ["same"], "the dict")
    row = explorer.tree.topLevelItem(0)
    row.setExpanded(True)

    def values() -> list[str]:
        return [row.child(place).text(3) for place in range(row.childCount())]

    until(lambda: values() == ["0", "1", "2"], "what is in it")
    kernel.same = ["0", "10", "20", "30"]
    explorer.refresh()
    until(lambda: "30" in values(), "what is in it now")
    assert values() == ["0", "10", "20", "30"]
