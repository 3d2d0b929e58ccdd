"""Widgets on real kernels: what a person types, sees and clicks, and what happens to the kernel meanwhile."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from typing import Any

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient
from rpyc_kernel.core.introspection import Completion, Completions
from tests.end_to_end.clients import PATIENCE_S
from tests.faces.qt.widgets import process, until
from tests.support.leaks import leaving_nothing
from tests.support.processes import suspended

pytest.importorskip("qtpy", reason="no binding of Qt is installed")

from qtpy.QtCore import Qt
from qtpy.QtGui import QGuiApplication
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QLineEdit, QWidget

from rpyc_kernel.faces.frontend.session_slot import take_session_slot
from rpyc_kernel.faces.qt import typing_help
from rpyc_kernel.qt import ConsoleWidget, KernelWindow, TableView

pytestmark = pytest.mark.shares_kernel

ENTER, TAB, UP = Qt.Key.Key_Return, Qt.Key.Key_Tab, Qt.Key.Key_Up
CTRL = Qt.KeyboardModifier.ControlModifier
GATE = "import threading; gate = threading.Event()"
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURE = f"from base64 import b64decode\nclass P:\n    def _repr_png_(self): return b64decode('{PNG}')\nP()"


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """See `tests/faces/qt/conftest.py`."""
    with leaving_nothing(spared="anon_inode:[eventfd]"):
        yield


class Person:
    """Types into a console and reads it."""

    def __init__(self, console: ConsoleWidget) -> None:
        self.console = console

    @property
    def text(self) -> str:
        return str(self.console.transcript.toPlainText())

    def type(self, text: str) -> None:
        """Type, with Enter at the end of each line; each Enter is answered before the next key."""
        *lines, rest = text.split("\n")
        for line in lines:
            QTest.keyClicks(self.console.editor, line)
            QTest.keyClick(self.console.editor, ENTER)
        QTest.keyClicks(self.console.editor, rest)

    def run(self, code: str) -> None:
        """Run code as it is, and wait until it has ended."""
        self.console.run(code)
        self.wait_for_prompt()

    def wait_for(self, text: str) -> None:
        until(lambda: text in self.text, f"{text!r} in what is shown")

    def wait_for_prompt(self) -> None:
        console = self.console
        until(lambda: console._is_at_code and not console._typed_ahead and console.transcript.is_drawn, "the prompt")

    def answer(self, text: str) -> None:
        until(lambda: self.console.answer.isVisible(), "the question")
        QTest.keyClicks(self.console.answer, text)
        QTest.keyClick(self.console.answer, ENTER)


def click(button: QWidget) -> None:
    QTest.mouseClick(button, Qt.MouseButton.LeftButton)


def open_client(name: str = "bob") -> KernelClient:
    return take_session_slot("demo", name=name)


@pytest.fixture
def bob(kernel: KernelClient, show: Callable[..., Any]) -> Person:
    person = Person(show(ConsoleWidget(open_client())))
    person.wait_for_prompt()
    return person


def test_what_is_typed_runs_and_is_shown_with_what_comes_of_it(bob: Person):
    bob.type("for number in range(3):\nprint(number * 7)\n\n")
    bob.wait_for(">>> for number in range(3):\n...     print(number * 7)\n0\n7\n14")
    bob.type("1 / 0\n")
    bob.wait_for("ZeroDivisionError")
    bob.type("6 * 7\n")
    bob.wait_for("\n42")
    assert bob.console.editor.code == ""


def test_others_are_seen_with_their_names_also_while_nothing_is_typed(bob: Person, kernel: KernelClient):
    with open_client("alice") as alice:
        alice.execute("print('hello'); 5", timeout=PATIENCE_S)
        bob.wait_for("[alice] hello\n[alice] Out")
    bob.wait_for("[alice left]")


def test_tab_completes_while_the_kernel_is_busy(bob: Person):
    bob.run(GATE + "; some_name = 1; some_other = 2")
    bob.console.run("gate.wait(300)")
    bob.type("some")
    QTest.keyClick(bob.console.editor, TAB)
    until(lambda: bob.console.editor.popup.shown == ["some_name", "some_other"], "the completions")
    assert bob.console.editor.code == "some_"
    bob.type("o")
    until(lambda: bob.console.editor.popup.shown == ["some_other"], "fewer of them")
    QTest.keyClick(bob.console.editor, ENTER)
    assert bob.console.editor.code == "some_other"
    bob.console.editor.put("%jo")
    QTest.keyClick(bob.console.editor, TAB)
    until(lambda: bob.console.editor.code == "%jobs", "the command")
    bob.console.editor.put("")
    bob.console.run("gate")
    bob.console.interrupt()  # stops waiting, and gives back what waits
    bob.wait_for("goes on in the background")
    assert bob.console.editor.code == "gate"


def test_completions_that_take_longer_are_shown_though_there_were_none_at_once(
    bob: Person, monkeypatch: pytest.MonkeyPatch
):
    async def complete(*_: Any, **__: Any) -> AsyncGenerator[Completions, None]:
        yield Completions(7, 8, ())
        yield Completions(7, 8, (Completion("os", "module"), Completion("operator", "module")))
        yield Completions(7, 8, (Completion("opcode", "module"),))

    monkeypatch.setattr(typing_help, "complete", complete)
    bob.type("import o")
    QTest.keyClick(bob.console.editor, TAB)
    until(lambda: bob.console.editor.popup.shown == ["os", "operator", "opcode"], "the completions")


def test_the_signature_of_what_is_called_is_shown(bob: Person):
    bob.type("sorted([1], ")
    until(lambda: "sorted" in bob.console._help.text() and bob.console._help.isVisible(), "the signature")
    bob.console.editor.put("")
    until(lambda: not bob.console._help.isVisible(), "its end")


def test_a_question_is_answered_in_place_and_a_password_is_hidden(bob: Person):
    bob.console.run("name = input('who? ')")
    bob.answer("bob")
    bob.wait_for("who? bob")
    bob.console.run("import getpass; secret = getpass.getpass('secret: ')")
    until(lambda: bob.console.answer.isVisible(), "the question")
    assert bob.console.answer.echoMode() == QLineEdit.EchoMode.Password
    bob.answer("hidden word")
    bob.wait_for("secret: •••")
    bob.run("name, secret")
    bob.wait_for("('bob', 'hidden word')")
    assert "hidden word" not in bob.text.partition(">>> name, secret")[0]


def test_ctrl_c_stops_waiting_then_offers_to_interrupt(bob: Person):
    bob.run(GATE)
    bob.console.run("gate.wait(300)")
    until(lambda: bob.console.conversation.state.jobs.list(), "the execution")
    QTest.keyClick(bob.console.editor, Qt.Key.Key_C, CTRL)
    bob.wait_for("goes on in the background")
    bob.wait_for_prompt()
    QTest.keyClick(bob.console.editor, Qt.Key.Key_C, CTRL)
    bob.answer("")
    bob.wait_for("KeyboardInterrupt")


def test_ctrl_c_gives_up_what_is_typed_or_copies_what_is_selected(bob: Person):
    bob.type("some code")
    bob.console.editor.selectAll()
    QTest.keyClick(bob.console.editor, Qt.Key.Key_C, CTRL)
    assert bob.console.editor.code == "some code"
    bob.console.editor.put("other")
    QTest.keyClick(bob.console.editor, Qt.Key.Key_C, CTRL)
    assert bob.console.editor.code == ""


def test_what_somebody_asks_to_run_is_read_and_let_go_or_declined_by_buttons(bob: Person, kernel: KernelClient):
    bar = bob.console.asked
    assert not bar.isVisible()
    with rpyc_kernel.connect("demo", role="asker", name="agent", timeout=PATIENCE_S) as agent:
        first, second = agent.submit("asked = 6\nasked * 7"), agent.submit("asked = 0")
        until(bar.isVisible, "what is asked for")
        assert f"agent asks to run [{first.id}] asked = 6 and 1 more line" in bar._text.text()
        click(bar.approving)
        bob.wait_for(f"[{first.id}] asks to run this; the button lets it go\nasked = 6\nasked * 7")
        assert first.status == "held"
        click(bar.approving)
        assert first.result(PATIENCE_S) == 42
        until(lambda: f"[{second.id}] asked = 0" in bar._text.text(), "the next one")
        click(bar.declining)
        assert "declined by bob" in str(second.exception(PATIENCE_S))
        until(lambda: not bar.isVisible(), "that nothing is asked for")
    assert kernel.eval("asked") == 6


def test_the_past_comes_back_by_the_arrows_and_by_a_search(bob: Person):
    bob.run("first = 1")
    bob.run("second = 2")
    QTest.keyClick(bob.console.editor, UP)
    QTest.keyClick(bob.console.editor, UP)
    assert bob.console.editor.code == "first = 1"
    bob.console.editor.put("")
    QTest.keyClick(bob.console.editor, Qt.Key.Key_R, CTRL)
    QTest.keyClicks(bob.console.answer, "sec")
    QTest.keyClick(bob.console.answer, ENTER)
    assert bob.console.editor.code == "second = 2"


def test_what_code_shows_in_a_flood_leaves_the_window_alive(bob: Person):
    bob.console.run("for number in range(200_000): print('line', number, 'x' * 50)\nprint('the', 'end')")
    turns = 0
    while not (bob.text.endswith("the end") and bob.console._is_at_code):
        process()  # a key that is pressed has its turn each time
        turns += 1
        assert bob.console.transcript.document().blockCount() < 15_000
    assert turns > 20
    bob.run("'y' * 100_000_000")
    bob.wait_for("more characters>")


@pytest.mark.own_kernel
def test_a_worker_that_dies_and_a_hub_that_is_killed_are_told_and_the_window_stays(
    kernel: KernelClient,
    show: Callable[..., Any],
):
    window = show(KernelWindow(open_client()))
    bob = Person(window.console)
    bob.wait_for_prompt()
    bob.console.run("import os; os._exit(3)")
    bob.wait_for("generation 2: a new, empty namespace")
    bob.wait_for_prompt()
    os.kill(kernel.status()["hub_pid"], signal.SIGKILL)
    bob.wait_for("connection")
    bob.type("6 * 7\n")
    with rpyc_kernel.start("demo", timeout=PATIENCE_S) as again:
        bob.wait_for("connected again")
        bob.wait_for("\n42")
        again.shutdown(timeout=PATIENCE_S)
    bob.wait_for("the kernel has stopped")
    until(lambda: "no connection" in window.windowTitle(), "the end")
    assert window.isVisible()
    assert bob.console.editor.isReadOnly()
    bob.type("\n")
    QTest.keyClick(bob.console.editor, Qt.Key.Key_A, CTRL)  # it still can be copied from


@pytest.mark.own_kernel
def test_a_window_on_a_hub_that_stands_still_says_so_and_closes_at_once(kernel: KernelClient, show: Callable[..., Any]):
    window = show(KernelWindow(open_client()))
    bob = Person(window.console)
    bob.wait_for_prompt()
    hub = kernel.status()["hub_pid"]
    with suspended(hub):
        bob.type("6 * 7\n")
        bob.wait_for("the kernel has not answered yet")
        longest = []
        join = window.console._thread.join
        window.console._thread.join = lambda timeout_s: (longest.append(timeout_s), join(timeout_s))
        window.close()
        assert sum(longest) < 0.5
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith("conversation")], "the end of the thread")


def test_closing_a_window_ends_its_threads_and_nothing_in_the_kernel(
    kernel: KernelClient,
    show: Callable[..., Any],
):
    window = show(KernelWindow(open_client()))
    bob = Person(window.console)
    bob.wait_for_prompt()
    bob.run(GATE)
    bob.console.run("gate.wait(300); done = 1")
    until(lambda: kernel.status()["running"], "the execution")
    window.close()
    kernel.set_variable("came", 1)
    kernel.execution(kernel.status()["running"]["execution"])
    kernel.namespace["gate"].set()
    until(lambda: kernel.status()["state"] == "idle", "the end of the code")
    assert kernel.eval("done") == 1
    until(lambda: not [t for t in threading.enumerate() if t.name.startswith("conversation")], "the end of the thread")


def test_a_parent_that_goes_ends_the_threads_too(kernel: KernelClient, application: Any):
    parent = QWidget()
    ConsoleWidget(open_client(), parent)
    until(lambda: any(session["name"] == "bob" for session in kernel.sessions()), "bob")
    parent.deleteLater()
    until(
        lambda: (process(), not [t for t in threading.enumerate() if t.name.startswith("conversation")])[1],
        "the end of the thread",
    )


def test_keys_reach_what_they_are_for(kernel: KernelClient, show: Callable[..., Any]):
    kernel.push(keyed=[1, 2, 3])
    window = show(KernelWindow(open_client()))
    bob = Person(window.console)
    bob.wait_for_prompt()
    window.open_table("keyed")
    table = window.tables["keyed"].widget()
    until(lambda: cell(table, 0, 0) == "1", "the table")
    kernel.set_variable("keyed", 7, row=0)
    window.activateWindow()
    until(lambda: (table.view.setFocus(), table.view.hasFocus())[1], "the focus")
    QTest.keyClick(table.view, Qt.Key.Key_F5)
    until(lambda: cell(table, 0, 0) == "7", "the change")
    QGuiApplication.clipboard().setText("6 * 7")
    QTest.keyClick(window.console.transcript, Qt.Key.Key_V, CTRL)
    assert bob.console.editor.code == "6 * 7"
    usual = bob.console.editor.sizeHint().height()
    QTest.keyClick(window, Qt.Key.Key_Plus, CTRL)
    assert bob.console.editor.sizeHint().height() > usual
    QTest.keyClick(window, Qt.Key.Key_0, CTRL)
    assert bob.console.editor.sizeHint().height() == usual


def test_leaving_by_ctrl_d_closes_the_window(kernel: KernelClient, show: Callable[..., Any]):
    window = show(KernelWindow(open_client()))
    Person(window.console).wait_for_prompt()
    QTest.keyClick(window.console.editor, Qt.Key.Key_D, CTRL)
    until(lambda: not window.isVisible(), "the end of the window")


def test_variables_are_listed_and_opened_while_the_kernel_is_busy(
    kernel: KernelClient,
    show: Callable[..., Any],
):
    kernel.push(limits={"low": [1, 2], "high": 3}, many=list(range(250)))
    window = show(KernelWindow(open_client()), 1200)
    bob, tree = Person(window.console), window.variables.tree
    bob.wait_for_prompt()

    def rows() -> dict[str, Any]:
        return {tree.topLevelItem(place).text(0): tree.topLevelItem(place) for place in range(tree.topLevelItemCount())}

    until(lambda: "limits" in rows(), "the variables")
    bob.run("import threading; gate = threading.Event(); new = 1")
    until(lambda: "new" in rows(), "the new one")
    bob.console.run("gate.wait(300)")
    rows()["limits"].setExpanded(True)
    until(lambda: rows()["limits"].childCount() == 2, "what is in it")
    assert rows()["limits"].child(0).text(3) == "[1, 2]"
    rows()["many"].setExpanded(True)
    until(lambda: rows()["many"].childCount() == 101, "a page")
    assert rows()["many"].child(100).text(0) == "… 150 more"
    tree.itemClicked.emit(rows()["many"].child(100), 0)
    until(lambda: rows()["many"].childCount() == 201, "the next page")
    kernel.set_variable("new", "other")
    kernel.namespace["gate"].set()
    until(lambda: rows()["new"].text(3) == "'other'", "the change")
    assert rows()["limits"].isExpanded()
    tree.itemDoubleClicked.emit(rows()["many"], 0)
    until(lambda: window.tables["many"].widget().model.rowCount() == 250, "the table")
    window.tables["many"].close()
    until(lambda: (process(), not window.tables)[1], "its end")
    bob.run("1")


def test_help_is_there_also_while_code_asks_and_tells_the_keys_of_a_window(
    kernel: KernelClient, show: Callable[..., Any]
):
    window = show(KernelWindow(open_client()))
    bob = Person(window.console)
    bob.wait_for_prompt()
    bob.console.run("input('who? ')")
    until(lambda: window.console.answer.isVisible(), "the question")
    window.activateWindow()
    QTest.keyClick(window.console.answer, Qt.Key.Key_F1)
    bob.wait_for("F1 shows this.")
    bob.wait_for("%restart")
    assert "Ctrl-Z" not in bob.text
    bob.answer("me")
    bob.wait_for("'me'")


def test_plots_are_listed_and_the_newest_is_seen_and_saved(
    kernel: KernelClient,
    show: Callable[..., Any],
    tmp_path: Any,
):
    window = show(KernelWindow(open_client()))
    bob = Person(window.console)
    bob.wait_for_prompt()
    bob.run(PICTURE)
    until(lambda: window.plots.list.count() == 1, "the picture")
    bob.run(PICTURE)
    until(lambda: window.plots.list.currentRow() == 1, "the newest one")
    window.plots.save(str(tmp_path / "plot.png"))
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
    window.plots.copy()
    assert application_clipboard_has_image()


def application_clipboard_has_image() -> bool:
    from qtpy.QtGui import QGuiApplication

    return not QGuiApplication.clipboard().image().isNull()


def cell(table: TableView, row: int, column: int) -> str:
    return str(table.model.data(table.model.index(row, column)))


def test_ten_million_rows_open_and_scroll_to_their_end_while_the_kernel_is_busy(
    kernel: KernelClient, show: Callable[..., Any]
):
    kernel.execute("import threading; gate = threading.Event(); big = range(10_000_000); big = list(big)")
    kernel.submit("gate.wait(300)")
    with open_client() as client:
        table = show(TableView(client, "big"))
        until(lambda: table.model.rowCount() == 10_000_000, "the size")
        table.view.scrollToBottom()
        until(lambda: cell(table, 9_999_999, 0) == "9999999", "the last row")
        assert len(table.model._pages) < 10
        table.close()
    kernel.namespace["gate"].set()


def test_a_table_is_sorted_filtered_and_edited_in_the_kernel(kernel: KernelClient, show: Callable[..., Any]):
    kernel.execute("data = {'a': [3, 1], 'b': 5}; numbers = [30, 10, 20]")
    with open_client() as client:
        table = show(TableView(client, "numbers"))
        until(lambda: cell(table, 0, 0) == "30", "the cells")
        table.view.horizontalHeader().sectionClicked.emit(0)
        until(lambda: [cell(table, row, 0) for row in range(3)] == ["10", "20", "30"], "the order")
        table.operator.setCurrentText("≥")
        QTest.keyClicks(table.value, "20")
        until(lambda: table._told.text() == "2 of 3 rows × 1 column", "fewer rows")
        until(lambda: cell(table, 0, 0) == "20", "the first of them")
        assert table.model.setData(table.model.index(0, 0), "25")
        until(lambda: cell(table, 0, 0) == "25", "the new value")
        assert kernel.eval("tuple(numbers)") == (30, 10, 25)
        table.model.setData(table.model.index(0, 0), "[1, 2]")
        until(lambda: kernel.eval("str(numbers)") == "[30, 10, [1, 2]]", "any value")
        table.close()
