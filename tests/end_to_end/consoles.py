"""Consoles on terminals of a test's own: bob's, and alice's beside it."""

from typing import Any

import pytest

import rpyc_kernel
from tests.end_to_end.terminals import PATIENCE_S, OpenTerminal, Terminal
from tests.support.folders import Folders
from tests.support.waiting import wait_until

GATE = "import threading; gate = threading.Event()"
WAIT = "gate.wait(300)"


@pytest.fixture
def gated(folders: Folders) -> None:
    """A kernel named 'demo', with a gate in its namespace that code can wait at."""
    with rpyc_kernel.start("demo", timeout=PATIENCE_S) as kernel:
        kernel.execute(GATE, timeout=PATIENCE_S)


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
    with rpyc_kernel.connect("demo", joins=False, timeout=PATIENCE_S) as kernel:
        kernel.eval("gate.set()")


def read_status() -> dict[str, Any]:
    """The status of 'demo'."""
    with rpyc_kernel.connect("demo", joins=False, timeout=PATIENCE_S) as kernel:
        return kernel.status()


def wait_until_running(execution: int) -> None:
    """Wait until this is what 'demo' runs; its code may not have begun in the worker yet."""
    wait_until(
        lambda: (read_status()["running"] or {}).get("execution") == execution, PATIENCE_S, f"execution {execution}"
    )


def wait_until_idle() -> None:
    """Wait until 'demo' runs nothing: what code shows last is shown before its end is known."""
    wait_until(lambda: read_status()["state"] == "idle", PATIENCE_S, "the end of what runs")


def wait_until_left(session: str) -> None:
    """Wait until 'demo' knows that the session's client is gone, however it went."""

    def has_left() -> bool:
        present = {known["id"] for known in read_status()["sessions"] if known["connections"]}
        return session not in present

    wait_until(has_left, PATIENCE_S, f"the end of {session}")
