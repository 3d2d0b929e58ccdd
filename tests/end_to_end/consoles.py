"""Consoles on terminals of a test's own: bob's, and alice's beside it."""

from typing import Any

import pytest

import rpyc_kernel
from tests.end_to_end.terminals import OpenTerminal, Terminal
from tests.support.folders import Folders
from tests.support.waiting import wait_until

GATE = "import threading; gate = threading.Event()"
WAIT = "gate.wait(300)"


@pytest.fixture
def gated(folders: Folders) -> None:
    """A kernel named 'demo', with a gate in its namespace that code can wait at."""
    with rpyc_kernel.start("demo") as kernel:
        kernel.execute(GATE, timeout=60)


@pytest.fixture
def bob(gated: None, open_terminal: OpenTerminal) -> Terminal:
    """A console of somebody called bob."""
    return open_console(open_terminal, "bob")


@pytest.fixture
def alice(bob: Terminal, open_terminal: OpenTerminal) -> Terminal:
    """A second console beside bob's."""
    terminal = open_console(open_terminal, "alice")
    bob.wait_for(r"^\[alice joined\]$")
    return terminal


def open_console(open_terminal: OpenTerminal, name: str, *arguments: str, **options: Any) -> Terminal:
    """Open a console without colours, and wait for its prompt."""
    terminal = open_terminal("console", "demo", "--as", name, *arguments, **{"NO_COLOR": "1", **options})
    terminal.wait_for_prompt()
    return terminal


def open_gate() -> None:
    """Let whoever waits at the gate go on."""
    with rpyc_kernel.connect("demo", joins=False) as kernel:
        kernel.eval("gate.set()")


def read_status() -> dict[str, Any]:
    """The status of 'demo'."""
    with rpyc_kernel.connect("demo", joins=False) as kernel:
        return kernel.status()


def wait_until_running(execution: int) -> None:
    """Wait until this is what 'demo' runs."""
    wait_until(lambda: (read_status()["running"] or {}).get("execution") == execution, 30, f"execution {execution}")
