"""What code gives its user to read, and what it proposes to run next, on real terminals."""

from pathlib import Path

import pytest

from tests.end_to_end.commands import run_command
from tests.end_to_end.consoles import open_console, open_gate, wait_until_idle
from tests.end_to_end.terminals import CTRL_C, CTRL_D, ENTER, OpenTerminal, Terminal

# forkpty() is safe here: what it starts is replaced by the command at once.
pytestmark = pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")

PAGE = "from IPython.core.page import page; page('\\n'.join(f'line {n} of the page' for n in range(%d)))"


@pytest.fixture
def pager(tmp_path: Path) -> Path:
    """A pager that keeps what it was given beside itself, and waits for a key."""
    script = tmp_path / "pager"
    # Under another name first, so that what is there is all of it.
    keep = f"cat > {tmp_path}/part; mv {tmp_path}/part {tmp_path}/page"
    script.write_text(f"#!/bin/sh\n{keep}\necho reading\nread answer </dev/tty\n")
    script.chmod(0o755)
    return script


@pytest.fixture
def reader(gated: None, open_terminal: OpenTerminal, pager: Path) -> Terminal:
    """Bob's console with that pager."""
    return open_console(open_terminal, "bob", PAGER=str(pager))


def test_a_long_page_opens_in_the_pager_and_the_prompt_comes_back(reader: Terminal, pager: Path):
    reader.enter(PAGE % 100)
    reader.wait_for("^reading$")
    page = pager.parent / "page"
    assert page.read_text().splitlines() == [f"line {number} of the page" for number in range(100)]
    reader.type(ENTER)
    reader.wait_for_prompt()
    assert "line 50" not in reader.text
    reader.enter("6 * 7")
    reader.wait_for("^42$")


def test_what_happens_while_the_user_reads_is_shown_afterwards(reader: Terminal):
    reader.enter(PAGE % 100 + "; print('after the page')")
    reader.wait_for("^reading$")
    run_command("exec", "demo", "print('meanwhile')")
    assert "meanwhile" not in reader.text
    reader.type(ENTER)
    reader.wait_for("^after the page$")
    reader.wait_for(r"\] meanwhile$")
    reader.wait_for_prompt()


def test_a_short_page_is_shown_where_it_belongs(reader: Terminal, pager: Path):
    reader.enter("print('before'); " + PAGE % 3 + "; print('after')")
    reader.wait_for("^before\nline 0 of the page\nline 1 of the page\nline 2 of the page\nafter$")
    assert not (pager.parent / "page").exists()


def test_the_source_of_something_long_opens_in_the_pager(reader: Terminal, pager: Path):
    reader.enter("threading.Thread??")
    reader.wait_for("^reading$")
    assert "class Thread:" in (pager.parent / "page").read_text()
    reader.type(ENTER)
    reader.wait_for_prompt()


def test_pages_of_others_and_of_jobs_open_no_pager(reader: Terminal, open_terminal: OpenTerminal, pager: Path):
    alice = open_console(open_terminal, "alice", PAGER="cat")
    alice.enter(PAGE % 100)
    alice.wait_for("^line 99 of the page$")
    reader.wait_for(r"^\[alice\] line 99 of the page$")
    reader.enter(PAGE % 90 + ";")
    reader.wait_for(r"^\[3\] line 89 of the page$")
    reader.wait_for(r"^\[3\] finished: ok after ")
    assert not (pager.parent / "page").exists()


def test_a_pager_that_is_not_there_is_done_without(gated: None, open_terminal: OpenTerminal):
    bob = open_console(open_terminal, "bob", PAGER="/there/is/no/such/pager")
    bob.enter(PAGE % 100)
    bob.wait_for("^line 99 of the page\n>>>$")


def test_without_a_terminal_pages_are_written(gated: None):
    result = run_command("console", "demo", input_text=PAGE % 100 + "; print('after')\n", PAGER="false")
    assert result.stdout.splitlines()[-2:] == ["line 99 of the page", "after"]


def test_ctrl_c_is_for_the_pager_and_leaves_the_console_as_it_is(reader: Terminal):
    reader.enter(PAGE % 100)
    reader.wait_for("^reading$")
    reader.type(CTRL_C)
    reader.wait_for_prompt()
    assert "goes on in the background" not in reader.text
    reader.enter("6 * 7")
    reader.wait_for("^42$")


def test_a_termination_ends_the_pager_too(reader: Terminal):
    reader.enter(PAGE % 100)
    reader.wait_for("^reading$")
    reader.child.kill(15)
    assert reader.wait_for_end() == 143
    wait_until_idle()


# ---------------------------------------------------------------------- what to run next


def test_what_code_proposes_stands_at_the_next_prompt_and_can_be_changed(bob: Terminal, open_terminal: OpenTerminal):
    alice = open_console(open_terminal, "alice")
    bob.enter("get_ipython().set_next_input('6 *')")
    bob.wait_for_prompt(">>> 6 *")
    bob.type(" 7" + ENTER)
    bob.wait_for("^42$")
    alice.wait_for(r"^\[bob\] 6 \*$")
    alice.wait_for_prompt()


def test_a_file_can_be_loaded_to_be_changed(bob: Terminal, tmp_path: Path):
    file = tmp_path / "f.py"
    file.write_text("def f(x):\n    return 40 + x\n\nf(2)\n")
    bob.enter(f"%load {file}")
    bob.wait_for(r"^\.\.\. f\(2\)")
    bob.type(ENTER)
    bob.wait_for("^42$")


def test_earlier_code_can_be_recalled(bob: Terminal):
    bob.enter("40 + 2")
    bob.wait_for("^42$")
    bob.enter("%recall 2")
    bob.wait_for_prompt(">>> 40 + 2")
    bob.type(CTRL_C)
    bob.wait_for_prompt()
    bob.type(CTRL_D)
    assert bob.wait_for_end() == 0


def test_what_a_job_proposes_does_not_disturb_what_is_typed(bob: Terminal):
    bob.enter("x = gate.wait(300); get_ipython().set_next_input('proposed');")
    bob.wait_for(r"^\[2\] goes on")
    bob.wait_for_prompt()
    bob.type("half typed")
    open_gate()
    bob.wait_for(r"^\[2\] proposed$")
    bob.wait_for_prompt(">>> half typed")
