"""Ctrl-C and Ctrl-D in whatever state the console is: neither harms, is lost, or does what another state means.

What Ctrl-C does to code that is waited for is in test_console.py.
"""

import os
import signal

import pytest

import rpyc_kernel
from tests.end_to_end.commands import run_command
from tests.end_to_end.consoles import (
    WAIT,
    open_console,
    open_gate,
    read_status,
    wait_until_idle,
    wait_until_running,
)
from tests.end_to_end.terminals import CTRL_C, CTRL_D, ENTER, PATIENCE_S, TAB, OpenTerminal, Terminal

# forkpty() is safe here: what it starts is replaced by the command at once.
pytestmark = pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")

KEYS = pytest.mark.parametrize("key", [CTRL_C, CTRL_D], ids=["ctrl-c", "ctrl-d"])


def prove_well(terminal: Terminal) -> None:
    """See that the console takes code, and that its answer belongs to it."""
    terminal.enter("'all ' + 'is well'")
    terminal.wait_for("^'all is well'$")
    terminal.wait_for_prompt()


# ---------------------------------------------------------------------- while something is typed


def test_ctrl_d_behind_some_text_does_not_leave(bob: Terminal):
    bob.type("half typed")
    bob.wait_for_prompt(">>> half typed")
    bob.type(CTRL_D + "!")
    bob.wait_for_prompt(">>> half typed!")
    bob.type(CTRL_C)
    prove_well(bob)


def test_ctrl_c_gives_up_several_lines_at_once(bob: Terminal):
    bob.enter("if True:")
    bob.wait_for_prompt("...")
    bob.type("print('nev' + 'er')")
    bob.wait_for_prompt("...     print('nev' + 'er')")
    bob.type(CTRL_C)
    prove_well(bob)
    assert "never" not in bob.text


def test_ctrl_d_in_the_middle_of_several_lines_does_not_leave(bob: Terminal):
    bob.enter("if True:")
    bob.wait_for_prompt("...")
    bob.type(CTRL_D + "x = 42")
    bob.wait_for_prompt("...     x = 42")
    bob.type(ENTER)
    bob.wait_for(r"^\.\.\.     x = 42\n\.\.\.$")
    bob.type(ENTER)
    bob.wait_for_prompt()
    prove_well(bob)


@KEYS
def test_an_open_menu_does_not_change_what_the_keys_mean(bob: Terminal, key: str):
    bob.enter("colour_one = colour_two = 2")
    bob.wait_for_prompt()
    bob.type("colour_" + TAB)
    bob.wait_for(r"colour_one +instance\s*\n.*colour_two +instance")
    bob.type(key)
    if key == CTRL_D:
        bob.type("three" + CTRL_C)
        bob.wait_for("^>>> colour_three$")
    prove_well(bob)


# ---------------------------------------------------------------------- while code runs


def test_ctrl_d_while_own_code_runs_neither_leaves_nor_harms(bob: Terminal):
    bob.enter(f"print('begun'); {WAIT}; 'the value'")
    bob.wait_for("^begun$")
    bob.type(CTRL_D)
    assert read_status()["running"]["execution"] == 2
    open_gate()
    bob.wait_for("^'the value'$")
    prove_well(bob)


def wait_for_second_job(terminal: Terminal) -> None:
    """Have two jobs, and wait for the one that is queued."""
    terminal.enter(f"{WAIT};")
    terminal.wait_for(r"^\[2\] goes on in the background")
    terminal.enter("'second';")
    terminal.wait_for(r"^\[3\] goes on in the background")
    terminal.enter("%wait 3")
    terminal.wait_for(r"^\[3\] is queued; it waits for \[2\]")


def test_ctrl_c_while_a_job_is_waited_for_ends_the_waiting(bob: Terminal):
    wait_for_second_job(bob)
    bob.type(CTRL_C)
    bob.wait_for("^execution 3 goes on in the background; Ctrl-C again offers to interrupt it$")
    bob.wait_for_prompt()
    assert read_status()["running"]["execution"] == 2
    open_gate()
    bob.wait_for(r"^\[2\] Out: True$")
    bob.wait_for(r"^\[3\] Out: 'second'$")
    prove_well(bob)


def test_ctrl_d_while_a_job_is_waited_for_does_not_leave(bob: Terminal):
    wait_for_second_job(bob)
    bob.type(CTRL_D)
    open_gate()
    bob.wait_for("^'second'$")
    prove_well(bob)


# ---------------------------------------------------------------------- at questions


@KEYS
def test_a_password_can_be_refused(bob: Terminal, key: str):
    bob.enter("import getpass; getpass.getpass('Secret: ')")
    bob.wait_for_prompt("Secret:")
    bob.type("hush")
    bob.type(CTRL_C if key == CTRL_C else "\b" * 4 + CTRL_D)
    bob.wait_for("^KeyboardInterrupt$" if key == CTRL_C else "^EOFError")
    prove_well(bob)
    assert "hush" not in bob.text


@pytest.mark.parametrize("key", [CTRL_D, "n" + ENTER], ids=["ctrl-d", "n"])
def test_whether_to_interrupt_is_answered_by_no(bob: Terminal, key: str):
    bob.enter(f"{WAIT};")
    bob.wait_for(r"^\[2\] goes on in the background")
    wait_until_running(2)
    bob.wait_for_prompt()
    bob.type(CTRL_C)
    bob.wait_for_prompt("interrupt execution 2? [Y/n]")
    bob.type(key)
    bob.wait_for_prompt()
    assert read_status()["running"]["execution"] == 2
    open_gate()
    bob.wait_for(r"^\[2\] Out: True$")
    prove_well(bob)


def test_who_presses_ctrl_c_again_and_again_stops_own_code(bob: Terminal):
    bob.enter("while True: pass")
    wait_until_running(2)
    bob.type(CTRL_C)
    bob.wait_for("^execution 2 goes on in the background; Ctrl-C again offers to interrupt it$")
    bob.wait_for_prompt()
    bob.type(CTRL_C)
    bob.wait_for_prompt("interrupt execution 2? [Y/n]")
    bob.type(CTRL_C)
    bob.wait_for("KeyboardInterrupt$")
    prove_well(bob)


def test_neither_ctrl_c_at_the_offer_nor_leaving_stops_others_code(bob: Terminal, open_terminal: OpenTerminal):
    alice = open_console(open_terminal, "alice")
    alice.enter(WAIT)
    wait_until_running(2)
    bob.wait_for(r"^\[alice\] In \[2\]")
    bob.wait_for_prompt()
    bob.type(CTRL_C)
    bob.wait_for(r"^interrupt execution 2 of alice .*\[y/N\]$")
    bob.type(CTRL_C)
    bob.wait_for_prompt()
    assert read_status()["running"]["execution"] == 2
    bob.type(CTRL_D)
    assert bob.wait_for_end() == 0
    assert read_status()["running"]["execution"] == 2
    open_gate()
    alice.wait_for("^True$")


# ---------------------------------------------------------------------- while the kernel is out of reach, and the past


def lose_hub(terminal: Terminal) -> None:
    """Kill the hub, and see that the console has noticed."""
    os.kill(read_status()["hub_pid"], signal.SIGKILL)
    terminal.wait_for_sentence("; trying again until it is back, Ctrl-D leaves")
    terminal.wait_for_sentence("still holds the namespace; take it up again with 'rpyc-kernel start demo'")


def test_ctrl_c_while_the_hub_is_gone_says_that_nothing_can_be_interrupted(bob: Terminal):
    bob.enter(f"{WAIT};")
    bob.wait_for(r"^\[2\] goes on in the background")
    lose_hub(bob)
    bob.wait_for_prompt()
    bob.type(CTRL_C)
    bob.wait_for("^there is no connection, so nothing can be interrupted; Ctrl-D leaves$")
    bob.wait_for_prompt()
    assert run_command("start", "demo").returncode == 0
    bob.wait_for("^connected again")
    open_gate()
    bob.wait_for(r"^\[2\] Out: True$")
    prove_well(bob)


def test_ctrl_c_while_own_code_runs_under_a_lost_hub_ends_the_waiting(bob: Terminal):
    bob.enter(f"print('begun'); {WAIT}")
    bob.wait_for("^begun$")
    lose_hub(bob)
    bob.type(CTRL_C)
    bob.wait_for("^execution 2 goes on in the background")
    bob.wait_for_prompt()
    bob.type(CTRL_D)
    assert bob.wait_for_end() == 3


def test_code_that_waits_for_the_connection_is_taken_back_by_ctrl_c(bob: Terminal):
    bob.wait_for_prompt()
    lose_hub(bob)
    bob.enter("print('never')")
    bob.wait_for("^this waits for the connection; Ctrl-C takes it back$")
    bob.type(CTRL_C)
    bob.wait_for("^taken back; the kernel was asked nothing$")
    bob.wait_for_prompt()


@KEYS
def test_a_long_past_can_be_left_in_the_middle(gated: None, open_terminal: OpenTerminal, key: str):
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as kernel:
        kernel.execute("for i in range(4000): print('line', i, flush=i % 100 == 0)", timeout=PATIENCE_S)
    bob = open_terminal("console", "demo", "--as", "bob", "--replay", NO_COLOR="1")
    bob.wait_for("line 100$")
    bob.wait_for("^>>>$")  # before that a key would not be for the console
    bob.type(key)
    if key == CTRL_C:
        bob.wait_for("^nothing is running; Ctrl-D leaves\n(.*\n)*>>>$")
        bob.type(CTRL_D)
    assert bob.wait_for_end() == 0
    wait_until_idle()
