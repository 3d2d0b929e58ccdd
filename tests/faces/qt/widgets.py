"""An application without a display, and how a test waits in it. Nothing of Qt is loaded before a test asks for it."""

import os
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import pytest

from tests.support.waiting import wait_until

T = TypeVar("T")
PATIENCE_S = 60
_made: list[Any] = []


@pytest.fixture(scope="session")
def application() -> Any:
    """The one that this process has, as long as it lives: Qt takes no second one."""
    if not _made:
        os.environ["QT_QPA_PLATFORM"] = "offscreen"
        pytest.importorskip("qtpy")
        from qtpy.QtCore import qInstallMessageHandler
        from qtpy.QtWidgets import QApplication

        qInstallMessageHandler(lambda *_: None)  # "this plugin does not support raise()", and the like
        _made.append(QApplication.instance() or QApplication(["tests"]))
    return _made[0]


@pytest.fixture
def show(application: Any, caplog: pytest.LogCaptureFixture) -> Iterator[Callable[..., Any]]:
    """Shows a widget, and closes it at the end of the test; fails if a call in the thread of the widgets has failed."""
    shown: list[Any] = []

    def show_widget(widget: Any, width: int = 800, height: int = 600) -> Any:
        shown.append(widget)
        widget.resize(width, height)
        widget.show()
        return widget

    yield show_widget
    for widget in shown:
        widget.close()
        widget.deleteLater()
    process()
    assert not [record.getMessage() for record in caplog.records if "failed" in record.getMessage()]


def process() -> None:
    """Have done what waits, also what is to be deleted."""
    from qtpy.QtCore import QCoreApplication, QEvent

    QCoreApplication.processEvents()
    QCoreApplication.sendPostedEvents(None, QEvent.Type.DeferredDelete)


def until(condition: Callable[[], T], what: str = "the condition") -> T:
    """Process events until the condition holds; its first true answer."""
    from qtpy.QtCore import QCoreApplication

    def look() -> T:
        QCoreApplication.processEvents()
        return condition()

    return wait_until(look, PATIENCE_S, what)
