"""Output that user code clears and updates, on real terminals."""

import pytest

import rpyc_kernel
from tests.end_to_end.commands import run_command
from tests.end_to_end.consoles import open_console
from tests.end_to_end.terminals import CTRL_C, ENTER, PATIENCE_S, OpenTerminal, Terminal

# forkpty() is safe here: what it starts is replaced by the command at once.
pytestmark = pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")

GATES = "gates = [threading.Event() for _ in range(9)]; stop = lambda number: gates[number].wait(300)"


@pytest.fixture
def console(bob: Terminal) -> Terminal:
    """Bob's console, with gates to stop at and what IPython has for displays."""
    bob.enter(f"from IPython.display import clear_output; {GATES}")
    bob.wait_for_prompt()
    return bob


def run_pasted(terminal: Terminal, code: str) -> None:
    """Paste some code and run it."""
    terminal.paste(code)
    last = code.rstrip("\n").rpartition("\n")[2]
    terminal.wait_for_sentence(last)
    terminal.type(ENTER)


def open_next(number: int) -> None:
    """Let who stopped at a gate go on."""
    with rpyc_kernel.connect("demo", joins=False, timeout=PATIENCE_S) as kernel:
        kernel.eval(f"gates[{number}].set()")


def test_a_loop_that_clears_its_output_looks_like_one_block_that_changes(
    console: Terminal, open_terminal: OpenTerminal
):
    alice = open_console(open_terminal, "alice")
    run_pasted(
        console,
        "for i in range(300):\n    clear_output(wait=True)\n    print('count', i)\n    print('and a line')\n"
        "    if i in (100, 200): stop(i // 100)\n",
    )
    for number, count in ((1, 100), (2, 200)):
        for terminal, tag in ((console, ""), (alice, r"\[bob\] ")):
            terminal.wait_for(rf"^{tag}count {count}\n{tag}and a line")
            assert terminal.text.count("and a line") - terminal.text.count("print('and a line')") == 1
        open_next(number)
    console.wait_for("^count 299\nand a line\n>>>$")
    alice.wait_for(r"^\[bob\] count 299\n\[bob\] and a line\n>>>")


def test_an_updated_display_changes_in_its_place_above_what_was_printed_since(console: Terminal):
    run_pasted(
        console,
        "handle = display('step 0', display_id=True)\nprint('printed', end='')\n"
        "for i in range(1, 300):\n    handle.update(f'step {i}')\n    if i == 150: stop(1)\nprint(' to the end')\n",
    )
    console.wait_for("^'step 150'\nprinted$")
    open_next(1)
    console.wait_for("^'step 299'\nprinted to the end\n>>>$")
    assert console.text.count("'step") == 3  # two in the code


def test_the_progress_of_a_job_changes_above_what_is_typed(console: Terminal):
    run_pasted(
        console,
        "for i in range(300):\n    clear_output(wait=True); print('at', i)\n    if i == 150: stop(1)\nprint('end');",
    )
    console.wait_for(r"^\[3\] at 150$")
    console.wait_for_prompt()
    console.type("half typed")
    open_next(1)
    console.wait_for(r"^\[3\] at 299\n\[3\] end\n\[3\] finished: ok after .*\n>>> half typed$")
    assert console.text.count("[3] at") == 1


def test_after_a_prompt_the_new_version_stands_below_with_a_mark(console: Terminal):
    run_pasted(
        console, "for i in range(300):\n    clear_output(wait=True); print('at', i)\n    if i == 150: stop(1)\nNone;"
    )
    console.wait_for(r"^\[3\] at 150$")
    console.enter("%jobs")
    console.wait_for(r"^\[3\] running")
    open_next(1)
    console.wait_for(r"^\[output cleared\]\n\[3\] at 299\n\[3\] finished: ok after .*\n>>>$")
    assert console.text.count("[3] at") == 2


def test_changing_output_that_is_taller_than_the_window_does_not_flood_it(console: Terminal):
    run_pasted(
        console,
        "for i in range(40):\n    clear_output(wait=True)\n"
        "    for line in range(50): print('version', i, 'line', line)\n"
        "    if i in (0, 20): stop(1 + i // 20)\n",
    )
    console.wait_for("^version 0 line 49$")
    open_next(1)
    console.wait_for(r"^\[output cleared\]\nversion 20 line 0$")
    console.wait_for(r"^\[more of this at its end\]$")
    open_next(2)
    console.wait_for("^version 39 line 49\n>>>$")
    assert console.text.count("line 0\n") == 2
    assert console.text.count("line 49\n") == 2


def test_wide_letters_and_long_lines_are_rewritten_whole(console: Terminal):
    run_pasted(
        console,
        "for i in range(100):\n    clear_output(wait=True); print('日本' * 30, i, 'x' * 120)\n"
        "    if i == 50: stop(1)\n",
    )
    console.wait_for_sentence(f"{'日本' * 30} 50")
    open_next(1)
    console.wait_for_sentence(f"{'日本' * 30} 99 {'x' * 120}>>>")
    assert "".join(console.text.split()).count("日本" * 30) == 1


def test_a_new_size_of_the_window_leaves_the_old_version_and_goes_on_below(console: Terminal):
    run_pasted(console, "for i in range(100):\n    clear_output(wait=True); print('at', i)\n    if i == 50: stop(1)\n")
    console.wait_for("^at 50$")
    console.resize(20, 60)
    open_next(1)
    console.wait_for(r"^\[output cleared\]\nat 99\n>>>$")


def test_ctrl_c_leaves_a_changing_display_to_go_on_in_the_background(console: Terminal):
    run_pasted(console, "for i in range(100):\n    clear_output(wait=True); print('at', i)\n    if i == 50: stop(1)\n")
    console.wait_for("^at 50$")
    console.type(CTRL_C)
    console.wait_for("^execution 3 goes on in the background")
    console.wait_for_prompt()
    open_next(1)
    console.wait_for(r"^\[3\] at 99\n\[3\] finished")
    assert console.text.count("[3] at") == 1


def test_the_engine_without_ipython_clears_and_updates_too(open_terminal: OpenTerminal, folders: object):
    terminal = open_console(open_terminal, "bob", "--engine", "plain")
    run_pasted(terminal, "for i in range(300):\n    clear_output(wait=True)\n    print('count', i)\n")
    terminal.wait_for("^count 299\n>>>$")
    assert terminal.text.count("count") == 2


def test_through_a_pipe_each_version_is_written_as_it_comes(gated: None):
    code = "for i in range(3): clear_output(wait=True); print('count', i)"
    code = f"from IPython.display import clear_output\n{code}"
    assert run_command("exec", "demo", code).stdout == "count 0\ncount 1\ncount 2\n"
    updates = "h = display('a', display_id=True)\nh.update('b')\n"
    assert run_command("console", "demo", input_text=updates).stdout == "'a'\n'b'\n"
