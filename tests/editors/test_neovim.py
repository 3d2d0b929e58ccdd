"""The Neovim plugin in a real Neovim, with a real kernel and another client beside."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import rpyc_kernel
from tests.editors.neovim import PLUGIN, Neovim
from tests.end_to_end.clients import PATIENCE_S
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.shares_kernel,
    pytest.mark.skipif(shutil.which("nvim") is None, reason="there is no Neovim (nvim)"),
]


@pytest.fixture
def open_editor(demo: None, tmp_path: Path, cells: Path) -> Iterator[Callable[[], Neovim]]:
    """Opens the file with cells in an editor that is connected."""
    with ExitStack() as opened:

        def open_one() -> Neovim:
            editor = Neovim(tmp_path, cells)
            opened.callback(editor.kill)
            editor.command("Kernel demo")
            editor.wait_for_output("connected to demo")
            return editor

        yield open_one


def test_cells_lines_and_files_run_with_live_output_beside(open_editor: Callable[[], Neovim]) -> None:
    editor = open_editor()
    editor.command("2")
    editor.command("KernelSend")
    editor.wait_for_output("sum 6")
    editor.command("7KernelSend")
    editor.wait_for_output("ZeroDivisionError")
    assert "cells.py" in editor.output
    assert "line 7" in editor.output
    editor.command("%delete")
    editor.command("call setline(1, ['import sys', 'print(\"as a program\", sys.argv[0][-8:])'])")
    editor.command("KernelFile")
    editor.wait_for_output("as a program cells.py")


def test_prompts_are_answered_at_the_bottom_and_withdrawn_when_somebody_else_answers(
    open_editor: Callable[[], Neovim],
) -> None:
    editor = open_editor()
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as other:
        editor.command("5KernelSend")
        wait_until(lambda: editor.lua("vim.fn.getcmdtype()") == "@", PATIENCE_S, "the prompt")
        editor.type("me<CR>")
        wait_until(lambda: "name" in [each.name for each in other.variables()], PATIENCE_S)
        assert other.eval("name") == "me"
        editor.command("5KernelSend")
        wait_until(lambda: editor.lua("vim.fn.getcmdtype()") == "@", PATIENCE_S, "the prompt")
        other.answer_input("somebody else")
        wait_until(lambda: editor.lua("vim.fn.getcmdtype()") == "", PATIENCE_S, "the end of the prompt")
        wait_until(lambda: other.eval("name") == "somebody else", PATIENCE_S)


def test_what_others_do_is_shown_by_name_and_interrupts_and_restarts_reach_the_kernel(
    open_editor: Callable[[], Neovim],
) -> None:
    editor = open_editor()
    with rpyc_kernel.connect("demo", name="alice", timeout=PATIENCE_S) as alice:
        run = alice.submit("print('from alice')\nimport time\nwhile True: time.sleep(0.01)")
        editor.wait_for_output("alice [")
        editor.wait_for_output("from alice")
        editor.command("KernelInterrupt")
        editor.wait_for_output(f"[{run.id}] interrupted")
        generation = alice.status()["generation"]
        editor.command("KernelRestart")
        wait_until(lambda: alice.status()["generation"] == generation + 1, PATIENCE_S)
        editor.wait_for_output("a new worker has started")


def test_completion_help_and_variables_are_those_of_live_objects(open_editor: Callable[[], Neovim]) -> None:
    editor = open_editor()
    editor.command("2KernelSend")
    editor.command("call setline(1, ['é = numb'])")
    editor.command("1")
    editor.type("A<C-x><C-o>")
    wait_until(lambda: editor.text.startswith("é = numbers"), PATIENCE_S, "the completion")
    editor.type("<Esc>:KernelHover<CR>")
    floats = "function(window) return vim.api.nvim_win_get_config(window).relative ~= '' end"
    shown = f"#vim.tbl_filter({floats}, vim.api.nvim_list_wins())"
    wait_until(lambda: editor.lua(shown) == "1", PATIENCE_S, "the window of help")
    editor.command("KernelVariables")
    wait_until(lambda: "+ numbers: list = [1, 2, 3]" in editor.text, PATIENCE_S, "the variables")
    editor.type("/numbers<CR><CR>")
    wait_until(lambda: "[0]: int = 1" in editor.text, PATIENCE_S, "the children")


def test_who_leaves_or_is_killed_comes_back_and_sees_what_was_missed(open_editor: Callable[[], Neovim]) -> None:
    editor = open_editor()
    editor.command("2,3KernelSend")
    editor.wait_for_output("sum 6")
    with rpyc_kernel.connect("demo", name="alice", timeout=PATIENCE_S) as alice:
        session = next(each["id"] for each in alice.sessions() if each["id"] != alice.session and each["connections"])
        editor.kill()
        alice.execute("print('from alice')")
        again = open_editor()
        again.wait_for_output("from alice\nand this is now")
        assert "while you were away:\nalice [" in again.output
        assert "sum 6" not in again.output
        assert session in [each["id"] for each in alice.sessions() if each["connections"]]


def test_who_was_killed_while_code_asked_is_asked_again(open_editor: Callable[[], Neovim]) -> None:
    editor = open_editor()
    editor.command("5KernelSend")
    wait_until(lambda: editor.lua("vim.fn.getcmdtype()") == "@", PATIENCE_S, "the prompt")
    editor.kill()
    again = open_editor()
    wait_until(lambda: again.lua("vim.fn.getcmdtype()") == "@", PATIENCE_S, "the prompt")
    again.type("me<CR>")
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as other:
        wait_until(lambda: "name" in [each.name for each in other.variables()], PATIENCE_S)


def test_what_goes_wrong_is_said(open_editor: Callable[[], Neovim]) -> None:
    editor = open_editor()
    editor.command("Kernel no such kernel")
    wait_until(lambda: "cannot name a kernel" in editor.messages, PATIENCE_S)
    editor.command("KernelLeave")
    assert "not connected: use :Kernel" in editor.command("KernelInterrupt")
    editor.lua("require('rpyc_kernel').setup({command = {'no-such-program'}})")
    assert "no-such-program is not found" in editor.command("Kernel demo")


def test_it_is_small() -> None:
    lines = [line for file in PLUGIN.rglob("*.lua") for line in file.read_text().splitlines()]
    assert len(lines) < 400
