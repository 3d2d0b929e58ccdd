"""What it costs to colour code while it is typed."""

from collections.abc import Callable
from typing import Any

import pytest
from qtpy.QtGui import QGuiApplication

from rpyc_kernel.faces.qt.editor import Editor


class Counting:
    """A document that counts how often all of it is read."""

    def __init__(self, document: Any) -> None:
        self._document = document
        self.readings = 0

    def __getattr__(self, name: str) -> Any:
        self.readings += name == "toPlainText"
        return getattr(self._document, name)


@pytest.mark.parametrize(("count", "readings"), [(500, 1), (10_000, 0)])
def test_all_of_what_is_pasted_is_read_once_at_most_and_not_for_each_line(
    show: Callable[..., Any], count: int, readings: int
):
    editor = show(Editor(lambda code: f"\x1b[31m{code}\x1b[0m"))
    document = Counting(editor.document())
    editor._highlighter.document = lambda: document
    lines = "\n".join(f"v{number} = 1" for number in range(count))
    QGuiApplication.clipboard().setText(lines)
    editor.paste()
    assert document.readings == readings
    assert editor.code == lines
    editor.put("x\ny")
    formats = editor.document().findBlockByNumber(1).layout().formats()
    assert [(part.start, part.length) for part in formats] == [(0, 1)]
