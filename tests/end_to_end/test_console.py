"""The console, on real terminals: one person's, and two side by side."""

import os
import re
import signal
import sys
import termios
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.commands import StartCommand, run_command
from tests.end_to_end.consoles import (
    GATE,
    WAIT,
    open_console,
    open_gate,
    read_status,
    wait_until_idle,
    wait_until_left,
    wait_until_running,
)
from tests.end_to_end.terminals import CTRL_C, CTRL_D, ENTER, PATIENCE_S, TAB, OpenTerminal, Terminal
from tests.support.folders import Folders
from tests.support.processes import suspend, suspended
from tests.support.waiting import wait_until

# forkpty() is safe here: what it starts is replaced by the command at once.
pytestmark = pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")

TICK = "not any(iter(lambda: gate.wait(0.1) or print('tick'), True))"
"""As `WAIT`, but its output shows when a console has begun to wait for it: then it stands without a mark."""


# ---------------------------------------------------------------------- coming and going


def test_a_console_starts_the_kernel_and_leaves_it_running(folders: Folders, open_terminal: OpenTerminal):
    terminal = open_console(open_terminal, "bob")
    assert terminal.lines[0] == "started kernel 'demo' as bob; %help explains, Ctrl-D leaves"
    terminal.enter("x = 6 * 7")
    terminal.enter("%help")
    terminal.wait_for("^Ctrl-Z stops this console until the shell's fg; the code goes on.$")
    terminal.wait_for_prompt()
    terminal.type(CTRL_D)
    assert terminal.wait_for_end() == 0
    terminal.wait_for_sentence("come back with 'rpyc-kernel console demo', stop it with 'rpyc-kernel stop demo'")
    assert run_command("exec", "demo", "x").stdout == "42\n"
    told_to_pipe = run_command("console", "demo", input_text="%help\n").stdout
    assert told_to_pipe.startswith("A trailing ';'")
    assert "Ctrl-" not in told_to_pipe


def test_consoles_that_start_the_same_kernel_at_once_both_get_in(folders: Folders, open_terminal: OpenTerminal):
    terminals = [open_terminal("console", "demo", "--as", "bob") for _ in range(2)]
    for terminal in terminals:
        terminal.wait_for_prompt()
    assert read_status()["generation"] == 1

    def present() -> list[str]:
        return sorted(session["name"] for session in read_status()["sessions"] if session["connections"])

    wait_until(lambda: present() == ["bob", "bob-2"], PATIENCE_S, "each to have a session")


def test_who_comes_in_is_told_that_the_worker_is_dead_and_can_restart_it(
    folders: Folders, open_terminal: OpenTerminal, tmp_path: Path
):
    python, broken = tmp_path / "python", tmp_path / "broken"
    python.write_text(f'#!/bin/sh\n[ ! -e {broken} ] || exit 1\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    rpyc_kernel.start("demo", python=str(python), timeout=PATIENCE_S).close()
    wait_until_idle()
    broken.touch()
    os.kill(read_status()["worker_pid"], signal.SIGKILL)
    wait_until(lambda: read_status()["state"] == "dead", PATIENCE_S, "the last worker's end")
    terminal = open_console(open_terminal, "bob")
    terminal.wait_for("^its worker is dead, so it takes no code; %restart starts another$")
    terminal.enter("1 + 1")
    terminal.wait_for("the kernel is dead and takes no code")
    broken.unlink()
    terminal.enter("%restart")
    terminal.wait_for_prompt("restart with an empty namespace, for everybody? [y/N]")
    terminal.type("y" + ENTER)
    terminal.enter("1 + 1")
    terminal.wait_for("^2$")


def test_who_comes_back_after_being_killed_is_shown_what_was_missed(bob: Terminal, open_terminal: OpenTerminal):
    bob.enter(f"print('seen'); {WAIT}; print('missed')")
    bob.wait_for("^seen$")
    wait_until(lambda: has_acknowledged("console-bob-1", "seen\n"), PATIENCE_S, "the console to say how far it is")
    bob.kill()
    wait_until_left("console-bob-1")
    open_gate()
    wait_until_idle()
    again = open_console(open_terminal, "bob")
    again.wait_for(r"^\[2\] missed$")
    again.wait_for(r"^\[2\] finished: ok after ")
    assert again.lines[0].startswith("joined kernel 'demo' as bob;")
    assert "[2] seen" not in again.text


def has_acknowledged(session: str, text: str) -> bool:
    """Whether the kernel knows that a session has seen some output, which is all there is."""
    with rpyc_kernel.connect("demo", session=session, joins=False, timeout=PATIENCE_S) as kernel:
        pieces = [event for event in kernel.events(follow=False) if event.kind == Kind.STREAM]
        is_whole = "".join(event.text for event in pieces) == text
        return is_whole and (kernel.last_seen or 0) >= pieces[-1].seq


def test_who_comes_back_finds_the_jobs(bob: Terminal, open_terminal: OpenTerminal):
    bob.enter(TICK)
    wait_until_running(2)
    bob.kill()
    wait_until_left("console-bob-1")
    again = open_console(open_terminal, "bob")
    again.wait_for(r"^\[2\] of yours goes on; %wait waits for it: not any\(iter\(lambda")
    again.enter("%wait")
    again.wait_for("^tick$")
    open_gate()
    again.wait_for("^True$")


def test_a_killed_console_interrupts_nothing_and_the_other_hears_of_it(alice: Terminal, bob: Terminal):
    alice.enter(f"print('begun'); {WAIT}; print('went on')")
    bob.wait_for(r"^\[alice\] begun$")
    alice.kill()
    bob.wait_for(r"^\[alice has lost the connection\]$")
    open_gate()
    bob.wait_for(r"^\[alice\] went on$")


def test_a_newcomer_can_be_shown_all_that_happened(bob: Terminal, open_terminal: OpenTerminal):
    bob.enter("print('long ago')")
    bob.wait_for("^long ago$")
    alice = open_console(open_terminal, "alice", "--replay")
    alice.wait_for(r"^\[bob\] In \[2\]: print\('long ago'\)\n\[bob\] long ago$")
    assert "long ago" not in open_console(open_terminal, "carol").text


def test_who_only_looks_on_sees_everything_and_runs_nothing(bob: Terminal, open_terminal: OpenTerminal):
    alice = open_console(open_terminal, "alice", "--read-only")
    alice.wait_for_bar(r"read-only")
    bob.enter("x = 6 * 7; x")
    alice.wait_for(r"^\[bob\] Out \[2\]: 42$")
    alice.enter("x = 1")
    alice.wait_for("is here as viewer")
    alice.enter("x?")
    alice.wait_for("^value   42$")


# ---------------------------------------------------------------------- side by side


def test_others_input_and_output_appear_above_the_live_prompt_at_once(alice: Terminal, bob: Terminal):
    bob.type("half typed")
    alice.enter("print('hello'); 6 * 7")
    bob.wait_for_all(
        "joined kernel 'demo' as bob; .*",
        r"\[alice joined\]",
        r"\[alice\] In \[2\]: print\('hello'\); 6 \* 7",
        r"\[alice\] hello",
        r"\[alice\] Out \[2\]: 42",
        ">>> half typed",
    )
    alice.wait_for_all("joined kernel 'demo' as alice; .*", r">>> print\('hello'\); 6 \* 7", "hello", "42", ">>>")


def test_others_unfinished_lines_are_shown_at_once(alice: Terminal, bob: Terminal):
    bob.type("half typed")
    alice.enter(f"print('begun', end=''); {WAIT}; print(' and done')")
    bob.wait_for(r"^\[alice\] begun\n>>> half typed$")
    open_gate()
    bob.wait_for(r"^\[alice\] begun and done\n>>> half typed$")


def test_a_line_that_others_overwrite_is_overwritten(alice: Terminal, bob: Terminal):
    alice.enter("for i in range(100): print(f'\\r{i:3} %', end='')")
    bob.wait_for(r"^\[alice\]  99 %\n>>>$")
    assert len(re.findall("%$", bob.text, re.MULTILINE)) == 1


def test_what_others_print_is_no_command_to_this_terminal(alice: Terminal, bob: Terminal):
    bob.type("half typed")
    alice.enter(r"print('a\x1b[2J\x1b]0;owned\x07\x1b[?1049h\x1b[1;1Hb', '\x9b2Jc')")
    bob.wait_for(r"^\[alice\] ab c$")
    bob.wait_for_prompt(">>> half typed")
    assert bob.lines[0].startswith("joined kernel 'demo'")
    assert not bob.title_was_set


def test_colours_of_others_pass_where_there_are_colours(bob: Terminal, open_terminal: OpenTerminal):
    alice = open_console(open_terminal, "alice", NO_COLOR="")
    bob.enter(r"print('\x1b[35mpurple\x1b[0m')")
    alice.wait_for(r"^\[bob\] purple$")
    alice.wait_for_bytes(b"\x1b[35mpurple")
    assert b"\x1b[35m" not in bob.raw


def test_a_flood_from_others_leaves_what_is_typed_alone_and_nothing_out(alice: Terminal, bob: Terminal):
    bob.type("still ")
    alice.enter("for i in range(5000): print('line', i)")
    bob.wait_for(r"^\[alice\] line \d+$")
    bob.type("here")
    bob.wait_for(r"^\[alice\] line 4999$")
    bob.wait_for_prompt(">>> still here")
    assert re.findall(r"^\[alice\] line (\d+)$", bob.text, re.MULTILINE) == [str(i) for i in range(5000)]


def test_the_window_can_change_its_size_under_output(alice: Terminal, bob: Terminal):
    bob.type("half typed")
    bob.resize(20, 50)
    alice.enter("print('x' * 70)")
    bob.wait_for(r"^\[alice\] x{42}\nx{28}\n>>> half typed$")
    bob.resize(40, 120)
    alice.enter("print('wide' * 25)")
    bob.wait_for(r"^\[alice\] (wide){25}\n>>> half typed$")


def test_a_second_console_of_the_same_person_has_a_name_of_its_own(bob: Terminal, open_terminal: OpenTerminal):
    second = open_console(open_terminal, "bob")
    second.wait_for("^joined kernel 'demo' as bob-2;")
    second.enter("1 + 1")
    bob.wait_for(r"^\[bob-2\] Out \[2\]: 2$")
    bob.enter("%sessions")
    here = r"owner  idle  since [-\d]+ [:\d]+ from this machine"
    bob.wait_for(rf"^bob \(you\)  {here}\nbob-2      {here}$")


def test_work_of_another_terminal_with_the_same_session_is_shown(bob: Terminal, open_terminal: OpenTerminal):
    other = open_console(open_terminal, "bob", "--session", "console-bob-1")
    other.enter("6 * 7")
    other.wait_for("^42$")
    bob.wait_for(r"^\[bob elsewhere\] In \[2\]: 6 \* 7\n\[bob elsewhere\] Out \[2\]: 42$")


# ---------------------------------------------------------------------- code and its output


def test_values_output_and_errors_are_shown(bob: Terminal):
    bob.enter("print('out'); 'value'")
    bob.enter("print('no end', end='')")
    bob.enter("import os; x = os.system('echo from a shell')")
    bob.enter("1 / 0")
    bob.wait_for_all(
        "joined kernel 'demo' as bob; .*",
        r">>> print\('out'\); 'value'",
        "out",
        "'value'",
        r">>> print\('no end', end=''\)",
        "no end",
        r">>> import os; x = os\.system\('echo from a shell'\)",
        "from a shell",
        ">>> 1 / 0",
        r"Traceback \(most recent call last\):",
        '  File "<In 5>", line 1, in <module>',
        r"    1 / 0(?:\n    ~~\^~~)?",
        "ZeroDivisionError: division by zero",
        ">>>",
    )


def test_a_cell_of_a_magic_goes_on_until_an_empty_line(bob: Terminal):
    bob.enter("%%timeit -n1 -r1")
    bob.wait_for_prompt("...")
    bob.type("print('in the ' + 'cell')" + ENTER)
    bob.wait_for(r"^\.\.\. print\('in the ' \+ 'cell'\)\n\.\.\.$")
    bob.type(ENTER)
    bob.wait_for("^in the cell$")


def test_pasted_code_is_taken_as_it_is(bob: Terminal):
    bob.paste("def f(x):\n    if x:\n        return x\n\n    return 2\n\nf(0) + f(40)")
    bob.wait_for(r"^\.\.\. f\(0\) \+ f\(40\)$")
    bob.type(ENTER)
    bob.wait_for("^42$")


def test_what_is_typed_while_code_runs_is_taken_when_the_prompt_is_back(bob: Terminal):
    bob.enter(f"print('begun'); {WAIT}")
    bob.wait_for("^begun$")
    bob.type("'typed ' + 'ahead'" + ENTER)
    open_gate()
    bob.wait_for("^'typed ahead'$")


def test_output_shows_while_the_code_runs(bob: Terminal):
    bob.enter(f"print('begun'); print('half', end=''); {WAIT}; print(' and half')")
    bob.wait_for("^begun\nhalf$")
    open_gate()
    bob.wait_for("^half and half$")


# ---------------------------------------------------------------------- background jobs


def test_a_trailing_semicolon_returns_the_prompt_and_the_end_is_told_in_one_line(bob: Terminal):
    bob.enter(f"print('begun'); {WAIT}; print('done');")
    bob.wait_for(r"^\[2\] goes on in the background; %jobs lists, %wait 2 waits$")
    bob.wait_for(r"^\[2\] begun$")
    bob.enter("%jobs")
    bob.wait_for(r"^\[2\] running for \d+\.\d s: print\('begun'\); gate\.wait\(300\); print\('done'\)$")
    open_gate()
    bob.wait_for_all(
        "joined kernel 'demo' as bob; .*",
        r">>> print\('begun'\); gate\.wait\(300\); print\('done'\);",
        r"\[2\] goes on in the background; %jobs lists, %wait 2 waits",
        r"\[2\] begun",
        ">>> %jobs",
        r"\[2\] running for \d+\.\d s: print\('begun'\); gate\.wait\(300\); print\('done'\)",
        r"\[2\] done",
        r"\[2\] finished: ok after \d+\.\d s",
        ">>>",
    )


def test_a_job_can_be_waited_for(bob: Terminal):
    bob.enter(f"{TICK};")
    bob.enter("%wait 2")
    bob.wait_for("^tick$")
    open_gate()
    bob.wait_for("^True\n>>>$")


def test_an_error_drops_only_what_the_same_session_had_queued_behind_it(alice: Terminal, bob: Terminal):
    bob.enter(f"{WAIT}; 1 / 0;")
    wait_until_running(2)
    bob.enter("print('of bob');")
    bob.wait_for(r"^\[3\] goes on in the background")
    alice.enter("print('of alice')")
    wait_until(lambda: len(read_status()["queue"]) == 2, PATIENCE_S, "both to be queued")
    open_gate()
    bob.wait_for(r"^execution 3 \(print\('of bob'\)\) is aborted: execution 2 of the same session failed$")
    alice.wait_for("^of alice$")


# ---------------------------------------------------------------------- Ctrl-C


def test_ctrl_c_stops_waiting_and_a_second_one_offers_the_interrupt(bob: Terminal):
    bob.enter(f"print('begun'); {WAIT}")
    bob.wait_for("^begun$")
    bob.type(CTRL_C)
    bob.wait_for("^execution 2 goes on in the background; Ctrl-C again offers to interrupt it$")
    bob.wait_for_prompt()
    assert read_status()["running"]["execution"] == 2
    bob.type(CTRL_C)
    bob.wait_for_prompt("interrupt execution 2? [Y/n]")
    bob.type("n" + ENTER)
    bob.wait_for_prompt()
    assert read_status()["running"]["execution"] == 2
    bob.type(CTRL_C)
    bob.wait_for(r"interrupt execution 2\? \[Y/n\]", 2)
    bob.type(ENTER)
    bob.wait_for(r"^\[2\] KeyboardInterrupt$")
    bob.wait_for(r"^\[2\] finished: interrupted after ")
    assert read_status()["state"] == "idle"


def test_after_ctrl_c_every_reply_belongs_to_its_own_input(bob: Terminal):
    bob.enter(f"print('begun'); {WAIT}; 'old'")
    bob.wait_for("^begun$")
    bob.type(CTRL_C)
    bob.wait_for("goes on in the background; Ctrl-C")
    bob.enter("'new'")
    bob.wait_for(r"^\[3\] is queued")
    open_gate()
    bob.enter("'newest'")
    bob.wait_for_all(
        "joined kernel 'demo' as bob; .*",
        r">>> print\('begun'\); gate\.wait\(300\); 'old'",
        "begun",
        r"\^C",
        "execution 2 goes on in the background; Ctrl-C again offers to interrupt it",
        ">>> 'new'",
        r"\[3\] is queued; it waits for \[2\] of bob \(print\('begun'\); gate\.wait\(300\); 'old'\)",
        r"\[2\] Out: 'old'",
        r"\[2\] finished: ok after \d+\.\d s",
        "'new'",
        ">>> 'newest'",
        "'newest'",
        ">>>",
    )


def test_ctrl_c_while_queued_offers_to_cancel(alice: Terminal, bob: Terminal):
    alice.enter(WAIT)
    wait_until_running(2)
    bob.enter("print('never')")
    bob.wait_for(r"^\[3\] is queued; it waits for \[2\] of alice")
    bob.type(CTRL_C)
    bob.wait_for("^execution 3 goes on in the background")
    bob.wait_for_prompt()
    bob.type(CTRL_C)
    bob.wait_for_prompt("execution 3 is still queued; cancel it? [Y/n]")
    bob.type(ENTER)
    bob.wait_for(r"^execution 3 \(print\('never'\)\) is cancelled: cancelled by bob$")
    assert read_status()["running"]["execution"] == 2


def test_ctrl_c_offers_to_interrupt_others_and_means_no_unless_told(alice: Terminal, bob: Terminal):
    alice.enter(WAIT)
    bob.wait_for("gate.wait")
    bob.wait_for_prompt()
    bob.type(CTRL_C)
    bob.wait_for_prompt("interrupt execution 2 of alice (gate.wait(300))? [y/N]")
    bob.type(ENTER)
    bob.wait_for_prompt()
    assert read_status()["running"]["execution"] == 2
    bob.type(CTRL_C)
    bob.wait_for(r"\[y/N\]", 2)
    bob.type("y" + ENTER)
    alice.wait_for(r"^\[bob interrupts execution 2\]$")
    alice.wait_for("^KeyboardInterrupt$")


def test_ctrl_c_at_an_idle_prompt_harms_nobody(bob: Terminal):
    bob.type("half typed")
    bob.wait_for_prompt(">>> half typed")
    bob.type(CTRL_C)
    bob.wait_for_prompt()
    bob.type(CTRL_C)
    bob.wait_for("^nothing is running; Ctrl-D leaves$")
    bob.enter("6 * 7")
    bob.wait_for("^42$")


def test_code_that_ignores_an_interrupt_is_shown_where_it_is(bob: Terminal):
    bob.paste(
        "print('begun')\nwhile not gate.is_set():\n    try:\n        gate.wait(300)\n"
        "    except KeyboardInterrupt:\n        pass\n"
    )
    bob.type(ENTER)
    bob.wait_for("^begun$")  # the number of what it handed in is known to the console by now
    bob.type(CTRL_C)
    bob.wait_for("^execution 2 goes on in the background")
    bob.enter("%interrupt 2")
    bob.wait_for("^execution 2 goes on in spite of the interrupt; it is here:$")
    bob.wait_for('File "<In 2>", line [2-6]')
    bob.enter("%interrupt 2 terminate")
    bob.wait_for("^generation 2: a new, empty namespace$")


def test_a_signal_is_a_ctrl_c(bob: Terminal):
    bob.enter(f"print('begun'); {WAIT}")
    bob.wait_for("^begun$")
    os.kill(bob.child.pid, signal.SIGINT)
    bob.wait_for("^execution 2 goes on in the background")
    bob.wait_for_prompt()
    os.kill(bob.child.pid, signal.SIGINT)
    bob.wait_for_prompt("interrupt execution 2? [Y/n]")


def test_a_termination_leaves_the_terminal_as_it_was(bob: Terminal):
    before = termios.tcgetattr(bob.child.child_fd)
    bob.type("half typed")
    bob.wait_for_prompt(">>> half typed")
    os.kill(bob.child.pid, signal.SIGTERM)
    assert bob.wait_for_end() == 143
    assert termios.tcgetattr(bob.child.child_fd)[3] & termios.ECHO
    assert before[3] & termios.ECHO == 0
    assert read_status()["state"] == "idle"


# ---------------------------------------------------------------------- questions of the code


def test_a_question_is_asked_where_the_code_came_from(alice: Terminal, bob: Terminal):
    bob.enter("name = input('Name: ')")
    bob.wait_for_prompt("Name:")
    alice.wait_for(r"^\[bob\] waits for input: Name: \(%answer 2 answers for them\)$")
    bob.type("Ada" + ENTER)
    bob.enter("name")
    bob.wait_for("^'Ada'$")
    assert "Name: Ada" in bob.text


def test_a_question_stands_behind_what_was_printed_before_it(bob: Terminal):
    bob.enter("print('Your ', end=''); x = input('name: ')")
    bob.wait_for_prompt("Your name:")
    bob.type("Ada" + ENTER)
    bob.wait_for("^Your name: Ada$")


def test_a_debuggers_prompt_completes_where_it_stands_and_other_questions_nothing(bob: Terminal):
    bob.enter("def f(colour_of_all): breakpoint(); return 1")
    bob.enter("")
    bob.enter("f('red')")
    bob.wait_for_prompt("(Pdb)")
    bob.type("p colour_o" + TAB)
    bob.wait_for_prompt("(Pdb) p colour_of_all")
    bob.type(ENTER)
    bob.wait_for("^'red'$")
    bob.wait_for_prompt("(Pdb)")
    bob.type("continu" + TAB)
    bob.wait_for_prompt("(Pdb) continue")
    bob.type(ENTER)
    bob.wait_for("^1$")
    bob.enter("input('Name: ')")
    bob.wait_for_prompt("Name:")
    bob.type("impor" + TAB + "!" + ENTER)
    bob.wait_for("^'impor!'$")


def test_a_password_is_not_shown(bob: Terminal):
    bob.enter("import getpass; secret = getpass.getpass()")
    bob.wait_for_prompt("Password:")
    bob.type("hush" + ENTER)
    bob.enter("len(secret)")
    bob.wait_for("^4$")
    assert "hush" not in bob.text


def test_a_question_that_somebody_else_answers_does_not_hang(alice: Terminal, bob: Terminal):
    bob.enter("name = input('Name: ')")
    bob.wait_for_prompt("Name:")
    bob.type("not sent")
    alice.enter("%answer 2 Eve Adams")
    bob.wait_for(r"^\[answered by alice\]$")
    bob.enter("name")
    bob.wait_for("^'Eve Adams'$")


def test_a_question_whose_worker_dies_does_not_hang(bob: Terminal):
    bob.enter("name = input('Name: ')")
    bob.wait_for_prompt("Name:")
    os.kill(read_status()["worker_pid"], signal.SIGKILL)
    bob.wait_for("^generation 2: a new, empty namespace$")
    bob.enter("6 * 7")
    bob.wait_for("^42$")


def test_output_of_others_appears_above_a_question(bob: Terminal):
    bob.enter("name = input('Name: ')")
    bob.wait_for_prompt("Name:")
    bob.type("half")
    with rpyc_kernel.connect("demo", name="carol", timeout=PATIENCE_S) as kernel:
        kernel.submit("print('runs before the answer')", lane="side").result(PATIENCE_S)
    bob.wait_for(r"^\[carol\] runs before the answer$(.*\n)*Name: half$")


def test_the_question_of_a_job_is_announced_and_can_be_answered(bob: Terminal):
    bob.enter("name = input('Name: '); print('hello', name);")
    bob.wait_for(r"^\[2\] waits for input: Name: \(%answer 2\)$")
    bob.enter("%jobs")
    bob.wait_for(r"^\[2\] waits for input: name = ")
    bob.enter("%answer 2")
    bob.wait_for_prompt("Name:")
    bob.type("Ada" + ENTER)
    bob.wait_for(r"^\[2\] hello Ada$")


# ---------------------------------------------------------------------- help while busy


def test_the_bar_says_what_the_kernel_does_for_whom_who_waits_and_who_is_there(alice: Terminal, bob: Terminal):
    bob.wait_for_bar(r"demo \| generation 1 \| idle \| 2 here: bob, alice")
    alice.enter(WAIT)
    bob.wait_for_bar(r"busy since \d\d:\d\d:\d\d: \[2\] of alice \|")
    bob.enter("x = input('Name: ');")
    bob.wait_for_bar(r"of alice \| 1 queued \|")
    open_gate()
    bob.wait_for_bar(r"asking since \d\d:\d\d:\d\d: \[3\] of bob")


def test_a_signature_shows_as_it_is_typed_also_while_the_kernel_is_busy(alice: Terminal, bob: Terminal):
    alice.paste(f"def mix(red, green=1):\n    'Blend two colours.'\n\nprint('begun'); {WAIT}")
    alice.wait_for(r"gate\.wait\(300\)$")
    alice.type(ENTER)
    bob.wait_for(r"^\[alice\] begun$")
    bob.wait_for_prompt()
    bob.type("mix(")
    bob.wait_for_bar(r"^mix\(red, green=1\) +Blend two colours\.\n demo")
    bob.type("1)")
    bob.wait_for_bar("^ demo")


def test_the_menu_shows_kinds_and_the_bar_what_is_chosen(bob: Terminal):
    bob.enter("exec('def colour_one():\\n \"The first.\"')")
    bob.wait_for_prompt()
    bob.enter("colour_two = 2")
    bob.wait_for_prompt()
    bob.type("colour_" + TAB)
    bob.wait_for(r"colour_one +function\s*\n.*colour_two +instance")
    bob.type(TAB)
    bob.wait_for_bar(r"^colour_one\(\) +The first\.")
    bob.type(TAB)
    bob.wait_for_bar(r"^colour_two = 2")


def test_the_next_line_has_the_right_indent(bob: Terminal):
    bob.enter("def f(x):")
    bob.wait_for_prompt("...")
    for line in ("if x:", "return 40"):
        bob.type(line)
        bob.wait_for(rf"^\.\.\. +{line}$")
        bob.type(ENTER)
        bob.wait_for(rf"^\.\.\. +{line}\n\.\.\.$")
    bob.wait_for(r"^\.\.\.     if x:\n\.\.\.         return 40\n\.\.\.$")
    bob.type("return 2")
    bob.wait_for(r"^\.\.\.     return 2$")
    bob.type(ENTER)
    bob.wait_for_prompt("...")
    bob.type(ENTER)
    bob.wait_for_prompt()
    bob.enter("f(0) + f(1)")
    bob.wait_for("^42$")


def test_completion_and_help_answer_while_the_kernel_is_busy(alice: Terminal, bob: Terminal):
    alice.paste(f"def greet_everybody(name):\n    'Say hello.'\n\nprint('begun'); {WAIT}")
    alice.wait_for(r"gate\.wait\(300\)$")
    alice.type(ENTER)
    bob.wait_for(r"^\[alice\] begun$")
    bob.wait_for_prompt()
    bob.type("greet_e" + TAB)
    bob.wait_for_prompt(">>> greet_everybody")
    bob.type("?" + ENTER)
    bob.wait_for(r"^greet_everybody\(name\)\ntype    function\nfile    <In 2>:1\nSay hello\.$")
    bob.enter("greet_everybody??")
    bob.wait_for(r"^def greet_everybody\(name\):$")
    bob.enter("%vars")
    bob.wait_for(r"^greet_everybody +function")
    bob.enter("%status")
    bob.wait_for(r"^running    \[2\] of alice \(def greet_everybody\(name\):\), for ")
    bob.enter("%stack")
    bob.wait_for('File "<In 2>", line 4')


def test_code_of_other_kernels_can_be_called_back_and_the_history_searched(gated: None, open_terminal: OpenTerminal):
    with rpyc_kernel.start("other", timeout=PATIENCE_S) as other:
        other.execute("'from another kernel'", timeout=PATIENCE_S)
        bob = open_console(open_terminal, "bob")
        bob.type("\x1b[A")
        bob.wait_for_prompt(f">>> {GATE}")  # of its own kernel first
        bob.type(CTRL_C)
        bob.wait_for_prompt()
        bob.type("\x12another")
        bob.wait_for("'from another kernel'")
        bob.type(CTRL_C)
        bob.wait_for_prompt()
        bob.enter("%history threading")
        bob.wait_for(r"^\[1\] \S+: import threading; gate = threading\.Event\(\)$")
        other.shutdown(timeout=PATIENCE_S)


# ---------------------------------------------------------------------- pictures, and much of everything

PICTURE = """\
import base64
class Picture:
    def _repr_png_(self):
        return base64.b64decode('%s')
    def __repr__(self):
        return 'a picture'
Picture()"""
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"


def test_a_picture_is_drawn_where_the_terminal_can_and_else_kept_in_a_file(bob: Terminal, open_terminal: OpenTerminal):
    alice = open_console(open_terminal, "alice", RPYC_KERNEL_PICTURES="kitty")
    bob.paste(PICTURE % PNG)
    bob.wait_for(r"Picture\(\)$")
    bob.type(ENTER)
    bob.wait_for(r"^a picture\n<picture: /[^>]+>")
    kept = re.search(r"<picture: ([^>]+)>", bob.text.replace("\n", ""))
    assert kept is not None
    assert Path(kept[1]).read_bytes().startswith(b"\x89PNG")
    alice.wait_for("a picture")
    alice.wait_for_bytes(f"\x1b_Ga=T,f=100,q=2,m=0;{PNG}".encode())


def test_thousands_of_pasted_lines_run_as_one(bob: Terminal):
    bob.paste("\n".join(f"x = {number}" for number in range(5000)))
    bob.wait_for(r"^\.\.\. x = 4999$")
    bob.type(ENTER)
    bob.wait_for_prompt()
    bob.enter("x + 1")
    bob.wait_for("^5000$")


# ---------------------------------------------------------------------- death and loss


def test_a_restart_is_announced_to_everybody_with_what_was_lost(alice: Terminal, bob: Terminal):
    bob.enter(f"{WAIT};")
    wait_until_running(2)
    alice.enter("%restart")
    alice.wait_for_prompt("restart with an empty namespace, for everybody? [y/N]")
    alice.type("y" + ENTER)
    for terminal in (alice, bob):
        terminal.wait_for("^the worker of generation 1 ended: restarted by alice")
        terminal.wait_for(r"^execution 2 \(gate\.wait\(300\)\) is lost: restarted by alice$")
        terminal.wait_for("^generation 2: a new, empty namespace$")
    bob.wait_for(r"^\[alice restarts the kernel\]$")


def test_the_death_of_the_worker_is_announced_and_the_prompt_comes_back(bob: Terminal):
    bob.enter("import os; os.kill(os.getpid(), 9)")
    bob.wait_for("^the worker of generation 1 ended: killed by SIGKILL")
    bob.wait_for(r"^execution 2 \(import os; os\.kill\(os\.getpid\(\), 9\)\) is lost: killed by SIGKILL$")
    bob.wait_for("^generation 2: a new, empty namespace$")
    bob.enter("6 * 7")
    bob.wait_for("^42$")


def kill_hub(*terminals: Terminal) -> None:
    """Kill the hub of 'demo', and see that its worker is known to wait for another."""
    os.kill(read_status()["hub_pid"], signal.SIGKILL)
    for terminal in terminals:
        terminal.wait_for_sentence("; trying again until it is back, Ctrl-D leaves")
        terminal.wait_for_sentence("still holds the namespace; take it up again with 'rpyc-kernel start demo'")


def test_a_console_that_has_lost_the_hub_comes_back_by_itself_and_shows_what_was_missed(alice: Terminal, bob: Terminal):
    bob.enter(f"x = 42; print('begun'); {WAIT}; print('missed');")
    bob.wait_for(r"^\[2\] begun$")
    bob.wait_for_prompt()
    bob.type("half typed")
    kill_hub(alice, bob)
    bob.wait_for_bar(r"connection lost, reconnecting")
    bob.wait_for_prompt(">>> half typed")
    assert run_command("start", "demo").returncode == 0
    for terminal in (alice, bob):
        terminal.wait_for("^connected again; this is what was missed:$")
        terminal.wait_for(r"^\[the worker of generation 1 was taken up again\]$")
        terminal.wait_for_bar(r"demo \| generation 1 \| busy since \d\d:\d\d:\d\d: \[2\] of bob")
    open_gate()
    bob.wait_for(r"^\[2\] missed\n\[2\] finished: ok after ")
    alice.wait_for(r"^\[bob\] missed$")
    bob.wait_for_prompt(">>> half typed")
    bob.type(CTRL_C)
    bob.enter("x")
    bob.wait_for("^42$")


def test_waiting_goes_on_when_a_lost_hub_is_back(bob: Terminal):
    bob.enter(f"print('begun'); {WAIT}; 'the value'")
    bob.wait_for("^begun$")
    kill_hub(bob)
    assert run_command("start", "demo").returncode == 0
    bob.wait_for("^connected again")
    open_gate()
    bob.wait_for("^'the value'\n>>>$")


def test_a_hub_that_is_there_and_does_not_answer_is_told_and_waited_for(gated: None, open_terminal: OpenTerminal):
    bob = open_console(open_terminal, "bob", TESTS_PATIENCE_S="3")
    kill_hub(bob)
    os.kill(bob.child.pid, signal.SIGSTOP)
    os.waitid(os.P_PID, bob.child.pid, os.WSTOPPED)
    try:
        assert run_command("start", "demo").returncode == 0
        hub = read_status()["hub_pid"]
        suspend(hub)
    finally:
        os.kill(bob.child.pid, signal.SIGCONT)
    bob.wait_for_sentence("took the connection but said nothing for 3 s: its hub is stopped or very busy")
    bob.wait_for_bar("connection lost, reconnecting")
    bob.wait_for_prompt()
    os.kill(hub, signal.SIGCONT)
    bob.wait_for("^connected again")
    bob.enter("6 * 7")
    bob.wait_for("^42$")


def test_a_line_for_a_hub_that_stops_answering_waits_and_runs_once(gated: None, open_terminal: OpenTerminal):
    bob = open_console(open_terminal, "bob", TESTS_PATIENCE_S="3")
    with suspended(read_status()["hub_pid"]):
        bob.enter("print('at', 'last')")
        bob.wait_for_sentence("the kernel has not answered yet; this waits for it, Ctrl-C breaks that off")
    bob.wait_for("^at last\n>>>$")
    assert run_command("history", "demo").stdout.count("print('at', 'last')") == 1


def test_ctrl_c_does_not_wait_for_a_hub_that_stops_answering(gated: None, open_terminal: OpenTerminal):
    bob = open_console(open_terminal, "bob", TESTS_PATIENCE_S="3")
    with suspended(read_status()["hub_pid"]):
        bob.enter("print('at', 'last')")
        bob.wait_for("^the kernel has not answered yet")
        bob.type(CTRL_C)
        bob.wait_for("^broken off; the kernel may still do what it was asked\n>>>$")
        bob.enter("print('never')")
        bob.wait_for("^this waits for the answer to the line before; Ctrl-C takes it back$")
        bob.type(CTRL_C)
        bob.wait_for("^taken back; the kernel was asked nothing\n>>>$")
    bob.wait_for("^execution 2 goes on in the background")
    assert "print('never')" not in run_command("history", "demo").stdout
    bob.enter("'back ' + 'again'")
    bob.wait_for("^'back again'$")


def test_code_typed_while_the_hub_is_gone_waits_for_the_next_and_ctrl_c_takes_it_back(bob: Terminal):
    bob.wait_for_prompt()
    kill_hub(bob)
    bob.enter("print('never')")
    bob.wait_for("^this waits for the connection; Ctrl-C takes it back$")
    bob.type(CTRL_C)
    bob.wait_for_prompt()
    bob.enter("40 + 2")
    bob.wait_for("^this waits for the connection", 2)
    assert run_command("start", "demo").returncode == 0
    bob.wait_for("^42\n>>>$")
    assert "\nnever" not in bob.text


@pytest.mark.parametrize("code", ["", "input('Name: ')"])
def test_who_leaves_while_the_hub_is_gone_is_told_the_way_back(bob: Terminal, code: str):
    if code:
        bob.enter(code)
        bob.wait_for_prompt("Name:")
    kill_hub(bob)
    if code:
        bob.type(CTRL_C)
        bob.wait_for_prompt()
    bob.type(CTRL_D)
    assert bob.wait_for_end() == 3
    bob.wait_for_sentence("still holds the namespace; take it up again with 'rpyc-kernel start demo'")


def test_a_stopped_kernel_ends_the_console_and_says_who_stopped_it(bob: Terminal):
    with rpyc_kernel.connect("demo", name="carol", timeout=PATIENCE_S) as kernel:
        bob.wait_for_bar("bob, carol")  # and waits for what comes next: a hub that stops waits for nobody for long
        kernel.shutdown(timeout=PATIENCE_S)
    assert bob.wait_for_end() == 3
    bob.wait_for("^the kernel has stopped: stopped by carol$")
    bob.wait_for_sentence("kernel 'demo' is not running (last seen")
    bob.wait_for_sentence("start it with 'rpyc-kernel start demo'")


# ---------------------------------------------------------------------- other terminals, and none


def test_without_colours_nothing_is_coloured(bob: Terminal, open_terminal: OpenTerminal):
    colourful = open_console(open_terminal, "alice", NO_COLOR="")
    colour = re.compile(rb"\x1b\[(?:\d+;)*(?:3[0-9]|9[0-7])(?:;\d+)*m")
    for terminal in (bob, colourful):
        terminal.enter("1 / 0")
        terminal.wait_for("^ZeroDivisionError")
    assert not colour.search(bob.raw)
    assert colour.search(colourful.raw)


def test_a_dumb_terminal_is_written_to_line_by_line(gated: None, open_terminal: OpenTerminal):
    terminal = open_terminal("console", "demo", "--as", "bob", TERM="dumb")
    terminal.wait_for_prompt()
    terminal.type("for i in range(2):\n    print('line', i)\n\n")
    terminal.wait_for("^.*line 0\nline 1$")
    terminal.wait_for_prompt()  # else it would stand between what is typed and what that prints
    terminal.type("input('Name: ')\n")
    terminal.wait_for("^Name:")
    terminal.type("Ada\n")
    terminal.wait_for("^'Ada'$")
    terminal.wait_for_prompt()
    terminal.type(CTRL_D)
    assert terminal.wait_for_end() == 0
    assert b"\x1b" not in terminal.raw


def test_a_pipe_is_read_line_by_line_and_only_the_output_comes_out(gated: None):
    code = "x = 40\nfor i in range(2):\n    x += i\n\nname = input('Name: ')\nAda\nx + 1, name\nprint('end')\n"
    result = run_command("console", "demo", input_text=code)
    assert (result.returncode, result.stdout, result.stderr) == (0, "(42, 'Ada')\nend\n", "")


def test_ctrl_c_interrupts_what_a_pipe_runs_and_ends_the_console(gated: None, start_command: StartCommand):
    console = start_command("console", "demo")
    console.write(f"print('begun')\n{WAIT}\nprint('never')\n")
    assert console.read_line() == "begun"
    wait_until_running(3)
    console.signal(signal.SIGINT)
    status, out, _ = console.wait()
    assert (status, out) == (130, "")
    wait_until_idle()


def test_a_pipe_that_says_nothing_leaves_at_once(gated: None):
    result = run_command("console", "demo", input_text="")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
