"""The full screen on a real terminal: what is typed, what others do, another size, an interrupt, and coming back."""

import importlib.util

import pytest

import rpyc_kernel
from tests.end_to_end.terminals import CTRL_C, ENTER, PATIENCE_S, OpenTerminal, Terminal
from tests.support.folders import Folders
from tests.support.waiting import wait_until

if importlib.util.find_spec("textual") is None:
    pytest.skip("Textual is not installed", allow_module_level=True)

# forkpty() is safe here: what it starts is replaced by the command at once.
pytestmark = pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")

CTRL_Q = "\x11"


def wait_to_see(terminal: Terminal, *parts: str) -> None:
    """Wait until all of these are on the screen at once."""
    terminal._wait(lambda: all(part in "\n".join(terminal.display) for part in parts), f"{parts} on the screen")


def find_row(terminal: Terminal, part: str) -> int:
    return next(number for number, line in enumerate(terminal.display) if part in line)


def test_a_person_works_on_a_full_screen_leaves_and_comes_back(folders: Folders, open_terminal: OpenTerminal):
    rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S).close()
    with rpyc_kernel.connect("demo", name="alice", timeout=PATIENCE_S) as kernel:
        try:
            work(kernel, open_terminal)
        finally:
            kernel.shutdown(timeout=PATIENCE_S)


def work(kernel: rpyc_kernel.KernelClient, open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("screen", "demo", "--as", "bob", rows=24, columns=80)
    wait_to_see(terminal, "| idle |", "alice", "^q Leave")
    terminal.type("answer = 6 * 7; print('it is', answer)" + ENTER)
    wait_to_see(terminal, " it is 42")
    kernel.execute("print('hello', answer)", timeout=PATIENCE_S)
    wait_to_see(terminal, "[alice] hello 42")

    terminal.resize(30, 120)
    wait_to_see(terminal, "[alice] hello 42")
    terminal._wait(lambda: find_row(terminal, "^q Leave") == 29, "the last row at the lower end")
    assert " it is 42" in "\n".join(terminal.display)

    terminal.type("import threading; print('begun'); threading.Event().wait()" + ENTER)
    wait_to_see(terminal, " begun", "busy")
    terminal.type(CTRL_C)
    wait_to_see(terminal, "goes on in the background")
    terminal.type(CTRL_C)
    wait_to_see(terminal, "interrupt execution")
    terminal.type(ENTER)
    wait_to_see(terminal, "KeyboardInterrupt", "| idle |")

    terminal.type(CTRL_Q)
    assert terminal.wait_for_end() == 0
    wait_until(
        lambda: [each["name"] for each in kernel.sessions() if each["connections"]] == ["alice"],
        PATIENCE_S,
        "bob to go",
    )
    kernel.execute("print('while you were away', answer)", timeout=PATIENCE_S)
    again = open_terminal("screen", "demo", "--as", "bob", rows=30, columns=120)
    wait_to_see(again, "[alice] while you were away 42", "| idle |")
    assert "hello 42" not in "\n".join(again.display)
    again.type("answer + 1" + ENTER)
    wait_to_see(again, " 43 ")
    again.type(CTRL_Q)
    assert again.wait_for_end() == 0
