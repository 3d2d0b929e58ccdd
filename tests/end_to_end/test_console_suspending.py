"""Ctrl-Z in the console, on a real terminal with a shell that can have it go on."""

import os
import re
import signal
import termios

import pytest

import rpyc_kernel
from tests.end_to_end.consoles import WAIT, open_console, open_gate, wait_until_idle
from tests.end_to_end.terminals import CTRL_C, CTRL_D, CTRL_Z, ENTER, PATIENCE_S, OpenTerminal, Terminal
from tests.support.waiting import wait_until

# forkpty() is safe here: what it starts is replaced by the command at once.
pytestmark = pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")


@pytest.fixture
def bob(gated: None, open_terminal: OpenTerminal) -> Terminal:
    """Bob's console, run from a shell."""
    return open_console(open_terminal, "bob", has_shell=True)


def read_pid(terminal: Terminal) -> int:
    """The console's process."""
    found = re.search(r"^job (\d+)$", terminal.text, re.MULTILINE)
    assert found is not None
    return int(found[1])


def wait_for_shell(terminal: Terminal, count: int = 1) -> None:
    """Wait until the console has stopped, with the terminal as shells expect it."""
    terminal.wait_for("^stopped sane$", count)
    terminal.wait_for_prompt("shell$")
    assert termios.tcgetattr(terminal.child.child_fd)[3] & termios.ICANON


def wait_until_in_foreground(terminal: Terminal) -> None:
    """Wait until the shell has given the terminal to the console."""
    job = read_pid(terminal)
    wait_until(lambda: os.tcgetpgrp(terminal.child.child_fd) == job, PATIENCE_S, "the shell to give way")


def execute(code: str) -> None:
    """Run code in 'demo' as somebody else."""
    with rpyc_kernel.connect("demo", name="eve", timeout=PATIENCE_S) as kernel:
        kernel.execute(code, timeout=PATIENCE_S)


def test_at_the_prompt_it_stops_and_comes_back_with_what_was_typed_and_missed(bob: Terminal):
    bob.type("40 +")
    bob.wait_for_prompt(">>> 40 +")
    for count in (1, 2):
        bob.type(CTRL_Z)
        wait_for_shell(bob, count)
        execute(f"print('missed {count}')")
        assert f"] missed {count}" not in bob.text
        bob.type(ENTER)
        bob.wait_for(rf"^\[eve\] missed {count}$")
        bob.wait_for_prompt(">>> 40 +")
    bob.type(" 2" + ENTER)
    bob.wait_for("^42$")
    bob.wait_for_bar("idle")


@pytest.mark.parametrize("number", [signal.SIGTSTP, signal.SIGSTOP])
def test_stopped_from_elsewhere_it_comes_back_all_the_same(bob: Terminal, number: signal.Signals):
    bob.type("40 +")
    bob.wait_for_prompt(">>> 40 +")
    os.kill(read_pid(bob), number)
    bob.wait_for("^stopped" if number == signal.SIGSTOP else "^stopped sane$")
    bob.wait_for(r"^shell\$$")
    execute("print('missed')")
    bob.type(ENTER)
    bob.wait_for(r"^\[eve\] missed$")
    bob.wait_for_prompt(">>> 40 +")
    bob.type(" 2" + ENTER)
    bob.wait_for("^42$")


def test_while_own_code_runs_the_console_stops_and_the_code_does_not(bob: Terminal):
    bob.enter(f"print('begun'); {WAIT}; print('went on'); 'value'")
    bob.wait_for("^begun$")
    bob.type(CTRL_Z)
    wait_for_shell(bob)
    open_gate()
    execute("1")  # has run behind it
    assert "\nwent on" not in bob.text
    bob.type(ENTER)
    bob.wait_for("^went on$")  # eve's code may have been queued between this and the value
    bob.wait_for("^'value'$")
    bob.wait_for_prompt()
    bob.enter("6 * 7")
    bob.wait_for("^42$")


def test_having_gone_on_ctrl_c_means_what_it_did(bob: Terminal):
    bob.enter(f"print('begun'); {WAIT}")
    bob.wait_for("^begun$")
    bob.type(CTRL_Z)
    wait_for_shell(bob)
    bob.type(ENTER)
    wait_until_in_foreground(bob)  # a Ctrl-C before that would be the shell's
    bob.type(CTRL_C)
    bob.wait_for("^execution 2 goes on in the background")
    bob.wait_for_prompt()
    bob.type(CTRL_D)
    assert bob.wait_for_end() == 0


def test_at_a_question_it_stops_and_asks_again(bob: Terminal):
    bob.enter("name = input('Name: ')")
    bob.wait_for_prompt("Name:")
    bob.type("Ad")
    bob.wait_for_prompt("Name: Ad")
    bob.type(CTRL_Z)
    wait_for_shell(bob)
    bob.type(ENTER)
    bob.wait_for_prompt("Name: Ad")
    bob.type("a" + ENTER)
    bob.enter("name")
    bob.wait_for("^'Ada'$")


def test_in_a_flood_from_others_it_stops_and_shows_all_of_it_in_the_end(bob: Terminal, open_terminal: OpenTerminal):
    alice = open_console(open_terminal, "alice")
    bob.type("half typed")
    alice.enter("for i in range(5000): print('line', i) or (i == 2000 and gate.wait(300))")
    bob.wait_for(r"^\[alice\] line 100$")
    bob.type(CTRL_Z)
    wait_for_shell(bob)
    open_gate()
    alice.wait_for("^line 4999$")
    wait_until_idle()
    bob.type(ENTER)
    bob.wait_for(r"^\[alice\] line 4999$")
    bob.wait_for_prompt(">>> half typed")
    assert re.findall(r"^\[alice\] line (\d+)$", bob.text, re.MULTILINE) == [str(number) for number in range(5000)]
    bob.wait_for_bar("idle")
