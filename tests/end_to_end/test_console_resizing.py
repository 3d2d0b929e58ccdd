"""A window that changes its size while output flows."""

import re

import pytest

from tests.end_to_end.consoles import open_console, open_gate
from tests.end_to_end.terminals import ENTER, OpenTerminal, Terminal

# forkpty() is safe here: what it starts is replaced by the command at once.
pytestmark = pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")

SIZES = [(20, 60), (40, 120), (12, 45), (30, 100)]
LINES, STOP_AFTER = 6000, 3000
FLOOD = f"for i in range({LINES}): print('line', i) or (i == {STOP_AFTER} and gate.wait(300))"


def resize_in_the_flood(terminal: Terminal, tag: str) -> None:
    """Change the size again and again while lines come, and once more when the rest is still to come."""
    for number, (rows, columns) in enumerate(SIZES):
        terminal.wait_for(rf"^{tag}line {number * 100}")
        terminal.resize(rows, columns)
    terminal.wait_for(rf"^{tag}line {STOP_AFTER}$")
    terminal.resize(24, 80)
    open_gate()
    terminal.wait_for(rf"^{tag}line {LINES - 1}$")


def last_lines(terminal: Terminal, tag: str, count: int) -> list[str]:
    """The last lines of the flood, as they stand above the prompt."""
    return re.findall(rf"^{tag}line \d+$", terminal.text, re.MULTILINE)[-count:]


def test_in_a_flood_from_others_the_prompt_and_the_bar_end_where_they_belong(
    bob: Terminal, open_terminal: OpenTerminal
):
    alice = open_console(open_terminal, "alice")
    bob.type("40 +")
    bob.wait_for_prompt(">>> 40 +")
    alice.enter(FLOOD)
    resize_in_the_flood(bob, r"\[alice\] ")
    bob.wait_for_prompt(">>> 40 +")
    bob.wait_for_bar(r"^ demo \| generation 1 \| idle \| 2 here: bob, alice$")
    assert last_lines(bob, r"\[alice\] ", 20) == [f"[alice] line {number}" for number in range(LINES - 20, LINES)]
    assert bob.lines[-1].startswith(">>> 40 +")
    assert bob.lines[-2] == f"[alice] line {LINES - 1}"
    bob.type(" 2" + ENTER)
    bob.wait_for("^42$")


def test_in_a_flood_of_ones_own_the_prompt_comes_back_below_it(bob: Terminal):
    bob.enter(FLOOD)
    resize_in_the_flood(bob, "")
    bob.wait_for_prompt()
    bob.wait_for_bar(r"^ demo \| generation 1 \| idle \| 1 here: bob$")
    assert last_lines(bob, "", 100) == [f"line {number}" for number in range(LINES - 100, LINES)]
    bob.enter("6 * 7")
    bob.wait_for("^42$")


def test_a_smaller_window_while_a_display_changes_leaves_prompt_and_bar_intact(bob: Terminal):
    bob.enter("from IPython.display import clear_output")
    bob.wait_for_prompt()
    bob.paste(
        "for i in range(600):\n    clear_output(wait=True)\n"
        "    print(*(f'at {i} row {row}' for row in range(8)), sep='\\n')\n"
        "    if i == 300: gate.wait(300)\nNone;"
    )
    bob.wait_for(r"^\.\.\. None;$")
    bob.type(ENTER)
    bob.wait_for(r"^\[3\] at 300 row 7$")
    for rows, columns in SIZES:
        bob.resize(rows, columns)
    open_gate()
    bob.wait_for(r"^\[3\] at 599 row 7\n\[3\] finished: ok after .*\n>>>$")
    bob.wait_for_bar(r"^ demo \| generation 1 \| idle \| 1 here: bob$")
    assert [line for line in bob.lines if "at 599 row" in line] == [f"[3] at 599 row {row}" for row in range(8)]
