"""The Neovim plugin in a real Neovim, with a real kernel and another client beside."""

import os
import shutil
import signal
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
def open_editor(demo: None, tmp_path: Path, cells: Path) -> Iterator[Callable[..., Neovim]]:
    """Opens the file with cells in an editor that is connected."""
    with ExitStack() as opened:

        def open_one(name: str = "nvim") -> Neovim:
            editor = Neovim(tmp_path, cells, name)
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


def test_prompts_are_asked_at_the_bottom_until_they_are_answered_withdrawn_or_left_to_others(
    open_editor: Callable[[], Neovim],
) -> None:
    editor = open_editor()

    def wait_for_prompt(*, to_go: bool = False) -> None:
        wait_until(lambda: editor.is_asking != to_go, PATIENCE_S, "the prompt to go" if to_go else "the prompt")

    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as other:
        editor.command("5KernelSend")
        wait_for_prompt()
        editor.type("me<CR>")
        wait_until(lambda: "name" in [each.name for each in other.variables()], PATIENCE_S)
        assert other.eval("name") == "me"
        editor.command("5KernelSend")
        wait_for_prompt()
        editor.type("half of a na")
        other.answer_input("somebody else")
        wait_for_prompt(to_go=True)
        wait_until(lambda: other.eval("name") == "somebody else", PATIENCE_S)
        editor.command("5KernelSend")
        wait_for_prompt()
        other.interrupt()
        wait_for_prompt(to_go=True)
        editor.command("call setline(5, ['import getpass; name = getpass.getpass()'])")
        editor.command("5KernelSend")
        wait_for_prompt()
        editor.type("<Esc>")
        wait_for_prompt(to_go=True)
        assert other.status()["prompts"]
        editor.wait_for_output("asks: Password: ")
        editor.type(":KernelAnswer<CR>")
        wait_for_prompt()
        editor.kill()
        editor = open_editor()  # and who comes back is asked again
        wait_for_prompt()
        editor.type("sesame<CR>")
        wait_until(lambda: other.eval("name") == "sesame", PATIENCE_S)
        assert "sesame" not in editor.output


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
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as other:
        other.execute("globals().update({f'v{n:04}': n for n in range(1500)})", timeout=PATIENCE_S)
    editor.type("-")
    wait_until(lambda: editor.text.endswith("+ … more"), PATIENCE_S, "the first thousand")
    assert "v1200" not in editor.text
    editor.type("G<CR>")
    wait_until(lambda: "v1200: int = 1200" in editor.text, PATIENCE_S, "the next")
    assert "more" not in editor.text


def test_who_is_killed_comes_back_to_a_session_that_nobody_has_and_sees_what_was_missed(
    open_editor: Callable[..., Neovim],
) -> None:
    editor = open_editor()
    editor.command("2,3KernelSend")
    editor.wait_for_output("sum 6")
    session, second = editor.session, open_editor("second").session
    assert session != second
    with rpyc_kernel.connect("demo", name="alice", timeout=PATIENCE_S) as alice:
        assert {session, second} <= {each["id"] for each in alice.sessions() if each["connections"]}
        editor.kill()
        alice.execute("print('from alice')")
        again = open_editor()
        again.wait_for_output("from alice\nand this is now")
        assert "while you were away:\nalice [" in again.output
        assert "sum 6" not in again.output
        assert again.session == session


def test_a_lost_connection_and_a_server_that_is_killed_are_told_and_come_back(
    open_editor: Callable[[], Neovim],
) -> None:
    editor = open_editor()
    session = editor.session
    editor.kill_server()
    editor.wait_for_output("the server has ended")
    editor.command("2,3KernelSend")
    editor.wait_for_output("sum 6")
    assert editor.session == session
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as other:
        os.kill(other.status()["hub_pid"], signal.SIGKILL)
    editor.wait_for_output("connection: ")
    rpyc_kernel.start("demo", timeout=PATIENCE_S).close()  # takes up the worker that is left
    editor.wait_for_output("connected again")
    editor.command("call setline(3, ['print(numbers * 2)'])")
    editor.command("3KernelSend")
    editor.wait_for_output("[1, 2, 3, 1, 2, 3]")


def test_who_is_invited_comes_in_by_an_address_whose_secret_is_shown_nowhere(
    open_editor: Callable[[], Neovim], tmp_path: Path
) -> None:
    editor = open_editor()
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as owner:
        owner.listen("127.0.0.1", tls=True)
        address = owner.invite("editor", name="ann").connect_string()
        secret = address.split("#")[1]
        editor.lua(f"require('rpyc_kernel').connect({{args = '{address}'}})")
        editor.wait_for_output("connected to demo as ann (editor)")
        editor.command("2,3KernelSend")
        editor.wait_for_output("sum 6")
    assert secret not in editor.command("ls!") + editor.output + editor.messages
    assert not [each for each in tmp_path.rglob("*") if each.is_file() and secret in str(each) + each.read_text()]


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
