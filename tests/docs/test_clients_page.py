"""The clients on the page about clients of one's own are as short as it says, and do what a user expects of them."""

from __future__ import annotations

import asyncio
import runpy
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient
from tests.docs.pages import ROOT
from tests.faces.qt.widgets import application, show, until  # noqa: F401 - fixtures
from tests.support.leaks import leaving_nothing

EXAMPLES = ROOT / "docs" / "examples"
PATIENCE_S = 60
_MOST_LINES = {"qt_shell.py": 69, "textual_shell.py": 41, "asyncio_client.py": 36, "debugger.py": 44}
_PROGRAM = (
    "def double(number):\n    parts = [number]\n    result = parts * 2\n    return result\n\n\nprint(double(3))\n"
)


@pytest.fixture(autouse=True)
def nothing_left_behind() -> Iterator[None]:
    """See `tests/faces/qt/conftest.py`."""
    with leaving_nothing(spared="anon_inode:[eventfd]"):
        yield


@pytest.fixture
def alice(kernel: KernelClient) -> Iterator[KernelClient]:
    """Somebody else in the kernel."""
    with rpyc_kernel.connect("demo", name="alice", timeout=PATIENCE_S) as client:
        yield client


def test_the_examples_are_short() -> None:
    lines = {path.name: len([line for line in path.read_text().splitlines() if line]) for path in EXAMPLES.iterdir()}
    assert lines.keys() == _MOST_LINES.keys()
    assert {name: count for name, count in lines.items() if count > _MOST_LINES[name]} == {}


def test_the_shell_in_a_window(application: Any, show: Any, alice: KernelClient) -> None:  # noqa: F811
    from qtpy.QtCore import Qt
    from qtpy.QtTest import QTest
    from qtpy.QtWidgets import QLineEdit

    shell = show(runpy.run_path(str(EXAMPLES / "qt_shell.py"))["Shell"](rpyc_kernel.connect("demo", name="bob")))

    def text() -> str:
        return "\n".join(shell.list.item(row).text() for row in range(shell.list.count()))

    def enter(line: str) -> None:
        QTest.keyClicks(shell.line, line)
        QTest.keyClick(shell.line, Qt.Key.Key_Return)

    enter("print('a'); 6 * 7")
    until(lambda: text() == "print('a'); 6 * 7\na\n42", "what came of it")
    alice.execute("print('hello'); 7 * 7", timeout=PATIENCE_S)
    until(lambda: "[alice] hello\n[alice] Out" in text(), "what alice did")
    enter("import getpass; len(getpass.getpass('secret? '))")
    until(lambda: shell.line.placeholderText() == "secret? ", "the question")
    assert shell.line.echoMode() == QLineEdit.EchoMode.Password
    enter("four")
    until(lambda: text().endswith("\n4") and shell.line.placeholderText() == ">>>", "the answer's length")
    enter("while True: pass")
    until(lambda: shell.state.own_target and shell.state.own_target.started, "the loop")
    QTest.keyClick(shell.line, Qt.Key.Key_C, Qt.KeyboardModifier.ControlModifier)
    until(lambda: "KeyboardInterrupt" in text(), "the end of the loop")


def test_the_shell_on_the_whole_terminal(alice: KernelClient) -> None:
    pytest.importorskip("textual", reason="textual is not installed")
    asyncio.run(_use_textual_shell(alice))


async def _use_textual_shell(alice: KernelClient) -> None:
    shell = runpy.run_path(str(EXAMPLES / "textual_shell.py"))["Shell"](rpyc_kernel.connect("demo", name="bob"))

    async with shell.run_test() as pilot:

        def text() -> str:
            return "".join(str(row.content) for row in shell.rows.values())

        async def wait_for(condition: Any, what: str) -> None:
            deadline = asyncio.get_running_loop().time() + PATIENCE_S
            while not condition():
                assert asyncio.get_running_loop().time() < deadline, f"{what}; there is: {text()}"
                await pilot.pause(0.01)

        async def enter(line: str) -> None:
            await wait_for(lambda: shell.line.placeholder, "the prompt")
            await pilot.press(*line, "enter")

        await enter("6*7")
        await wait_for(lambda: "6*7\n42\n" in text(), "what came of it")
        await asyncio.to_thread(alice.execute, "print('hello')", timeout=PATIENCE_S)
        await wait_for(lambda: "[alice] hello\n" in text(), "what alice did")
        await enter("input('who? ')")
        await wait_for(lambda: shell.line.placeholder == "who? ", "the question")
        await enter("bob")
        await wait_for(lambda: "'bob'\n" in text(), "the answer")
        await enter("while True: pass")
        await wait_for(lambda: shell.conversation.transcript.whose.foreground, "the loop")
        await pilot.press("ctrl+c")
        await wait_for(lambda: "goes on in the background" in text(), "the end of waiting")
        await pilot.press("ctrl+c")
        await wait_for(lambda: "interrupt execution" in shell.line.placeholder, "the offer")
        await enter("y")
        await wait_for(lambda: "KeyboardInterrupt" in text(), "the end of the loop")
        await wait_for(lambda: shell.line.placeholder == ">>> ", "the prompt")
        await pilot.press("ctrl+d")
        await wait_for(lambda: shell.return_value == "left", "the end")


def test_the_asyncio_client_shows_others_and_runs_what_is_typed(alice: KernelClient) -> None:
    with _run("asyncio_client.py", "demo") as client:
        assert client.stdin is not None
        assert client.stdout is not None
        print("6 * 7", file=client.stdin, flush=True)
        assert "42\n" in iter(client.stdout.readline, "")
        alice.execute("print('hello')", timeout=PATIENCE_S)
        assert "[alice] hello\n" in iter(client.stdout.readline, "")
        rest, errors = client.communicate("1 / 0", timeout=PATIENCE_S)
    assert "ZeroDivisionError" in rest
    assert (client.returncode, errors) == (0, "")


def test_the_asyncio_client_ends_with_its_kernel_though_nobody_types(demo: None) -> None:
    with rpyc_kernel.start("brief", timeout=PATIENCE_S) as kernel, _run("asyncio_client.py", "brief") as client:
        assert client.stdin is not None
        assert client.stdout is not None
        print("print('here')", file=client.stdin, flush=True)
        assert "here\n" in iter(client.stdout.readline, "")
        kernel.shutdown(timeout=PATIENCE_S)
        assert client.wait(PATIENCE_S) == 0
        assert "the kernel has stopped" in client.stdout.read()


def test_the_debugger_stops_shows_steps_and_goes_on(kernel: KernelClient, tmp_path: Path) -> None:
    pytest.importorskip("debugpy", reason="debugpy is not installed")
    program = tmp_path / "program.py"
    program.write_text(_PROGRAM)
    with _run("debugger.py", "demo", str(program), "3") as debugger:
        said, errors = debugger.communicate("parts[0] + 1\nnonsense\nn\nc\n", timeout=PATIENCE_S)
    assert (debugger.returncode, errors) == (0, "")
    stops = said.replace(str(program), "FILE").split("(debug) ")
    assert stops[0] == "FILE:7 in <module>\nFILE:3 in double\n    number = 3\n    parts = [3]\n"
    assert stops[1] == "4\n"
    assert "NameError" in stops[2]
    assert stops[3].endswith("FILE:4 in double\n    number = 3\n    parts = [3]\n    result = [3, 3]\n")
    assert stops[4] == "[3, 3]\n"


@contextmanager
def _run(example: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    pipe = subprocess.PIPE
    command = [sys.executable, str(EXAMPLES / example), *arguments]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield process
        finally:
            process.kill()
