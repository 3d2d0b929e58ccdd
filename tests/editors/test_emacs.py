"""The front end for Emacs in a real Emacs, with a real kernel and another client beside."""

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import rpyc_kernel
from tests.editors.emacs import PACKAGE, Emacs
from tests.end_to_end.clients import PATIENCE_S
from tests.support.waiting import wait_until

pytestmark = [
    pytest.mark.shares_kernel,
    pytest.mark.skipif(shutil.which("emacs") is None, reason="there is no Emacs (emacs)"),
]


@pytest.fixture
def open_editor(demo: None, tmp_path: Path, cells: Path) -> Iterator[Callable[..., Emacs]]:
    """Opens the file with cells in an editor that is connected."""
    with ExitStack() as opened:

        def open_one(name: str = "emacs") -> Emacs:
            editor = Emacs(tmp_path, cells, name)
            opened.callback(editor.kill)
            editor.lisp('(rpyc-kernel "demo")')
            editor.wait_for_output("connected to demo")
            return editor

        yield open_one


def test_cells_regions_and_files_run_with_live_output_beside(open_editor: Callable[[], Emacs]) -> None:
    editor = open_editor()
    editor.at(2, "(rpyc-kernel-send-cell)")
    editor.wait_for_output("sum 6")
    assert "who?" not in editor.output
    editor.at(7, "(rpyc-kernel-send-region (point) (line-end-position))")
    editor.wait_for_output("ZeroDivisionError")
    assert "cells.py" in editor.output
    assert "line 7" in editor.output
    editor.lisp("(progn (erase-buffer) (insert \"import sys\\nprint('as a program', sys.argv[0][-8:])\\n\"))")
    editor.lisp("(rpyc-kernel-send-file)")
    editor.wait_for_output("as a program cells.py")


def test_bars_of_progress_are_written_over_and_narrowed_buffers_know_their_lines(
    open_editor: Callable[[], Emacs],
) -> None:
    editor = open_editor()
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as other:
        for part in ("of 10%", "\r20%", "30%\r", "40%", "\r\n", "end"):
            other.execute(f"print({part!r}, end='', flush=True)", timeout=PATIENCE_S)
    editor.wait_for_output("end")
    assert "\n40%\n" in editor.output
    run = "(rpyc-kernel-send-region (point-min) (point-max))"
    editor.at(7, f"(save-restriction (narrow-to-region (point) (line-end-position)) {run})")
    editor.wait_for_output("line 7")


def test_prompts_are_asked_in_the_minibuffer_until_they_are_answered_withdrawn_or_left_to_others(
    open_editor: Callable[[], Emacs],
) -> None:
    editor = open_editor()

    def wait_for_prompt(*, to_go: bool = False) -> None:
        wait_until(lambda: editor.is_asking != to_go, PATIENCE_S, "the prompt to go" if to_go else "the prompt")

    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as other:
        editor.at(5, "(rpyc-kernel-send-cell)")
        wait_for_prompt()
        editor.answer('(insert "me") (exit-minibuffer)')
        wait_until(lambda: "name" in [each.name for each in other.variables()], PATIENCE_S)
        assert other.eval("name") == "me"
        editor.at(5, "(rpyc-kernel-send-cell)")
        wait_for_prompt()
        other.answer_input("somebody else")
        wait_for_prompt(to_go=True)
        wait_until(lambda: other.eval("name") == "somebody else", PATIENCE_S)
        code = "import getpass; name = getpass.getpass()"
        editor.at(5, f'(progn (delete-region (point) (point-max)) (insert "{code}") (rpyc-kernel-send-cell))')
        wait_for_prompt()
        other.interrupt()
        wait_for_prompt(to_go=True)
        editor.at(5, "(rpyc-kernel-send-cell)")
        wait_for_prompt()
        editor.answer("(abort-recursive-edit)")
        wait_for_prompt(to_go=True)
        assert other.status()["prompts"]
        editor.lisp("(rpyc-kernel-answer)")
        wait_for_prompt()
        editor.kill()
        editor = open_editor()  # and who comes back is asked again
        wait_for_prompt()
        editor.answer('(insert "sesame") (exit-minibuffer)')
        wait_until(lambda: other.eval("name") == "sesame", PATIENCE_S)
        assert "sesame" not in editor.output


def test_what_others_do_is_shown_by_name_and_interrupts_and_restarts_reach_the_kernel(
    open_editor: Callable[[], Emacs],
) -> None:
    editor = open_editor()
    with rpyc_kernel.connect("demo", name="alice", timeout=PATIENCE_S) as alice:
        run = alice.submit("print('from alice')\nimport time\nwhile True: time.sleep(0.01)")
        editor.wait_for_output("alice [")
        editor.wait_for_output("from alice")
        editor.lisp("(rpyc-kernel-interrupt)")
        editor.wait_for_output(f"[{run.id}] interrupted")
        generation = alice.status()["generation"]
        editor.lisp("(rpyc-kernel-restart)")
        wait_until(lambda: alice.status()["generation"] == generation + 1, PATIENCE_S)
        editor.wait_for_output("a new worker has started")


def test_completion_help_and_variables_are_those_of_live_objects(open_editor: Callable[[], Emacs]) -> None:
    editor = open_editor()
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as other:
        other.execute("numbers = [1, 2, 3]", timeout=PATIENCE_S)
    editor.lisp('(progn (erase-buffer) (insert "é = numb") (completion-at-point))')
    assert editor.text_of("cells.py") == "é = numbers"
    editor.lisp("(rpyc-kernel-help)")
    wait_until(lambda: "numbers: list" in editor.text_of("*kernel help*"), PATIENCE_S, "the help")
    editor.lisp('(progn (insert ".append(") (setq told nil) (rpyc-kernel-eldoc (lambda (text) (setq told text))))')
    wait_until(lambda: "append(object" in editor.lisp("told"), PATIENCE_S, "the signature")
    editor.lisp("(rpyc-kernel-variables)")
    wait_until(lambda: "[1, 2, 3]" in editor.text_of("*kernel variables*"), PATIENCE_S, "the variables")
    opened = '(search-forward "numbers") (rpyc-kernel-open-variable)'
    editor.lisp(f'(with-current-buffer "*kernel variables*" (goto-char (point-min)) {opened})')
    wait_until(lambda: "[0]" in editor.text_of("*kernel variables*"), PATIENCE_S, "the children")
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as other:
        other.execute("globals().update({f'v{n:04}': n for n in range(150)})", timeout=PATIENCE_S)
    editor.lisp("(rpyc-kernel-variables)")
    wait_until(lambda: "… more" in editor.text_of("*kernel variables*"), PATIENCE_S, "the first hundred")
    assert "v0120" not in editor.text_of("*kernel variables*")
    opened = '(search-forward "more") (rpyc-kernel-open-variable)'
    editor.lisp(f'(with-current-buffer "*kernel variables*" (goto-char (point-min)) {opened})')
    wait_until(lambda: "v0120" in editor.text_of("*kernel variables*"), PATIENCE_S, "the next")
    assert "more" not in editor.text_of("*kernel variables*")


def test_who_is_killed_comes_back_to_a_session_that_nobody_has_and_sees_what_was_missed(
    open_editor: Callable[..., Emacs],
) -> None:
    editor = open_editor()
    editor.at(2, "(rpyc-kernel-send-cell)")
    editor.wait_for_output("sum 6")
    session, second = editor.session, open_editor("second").session
    assert session != second
    with rpyc_kernel.connect("demo", name="alice", timeout=PATIENCE_S) as alice:
        assert {session, second} <= {each["id"] for each in alice.sessions() if each["connections"]}
        editor.kill()
        alice.execute("print('from alice')", timeout=PATIENCE_S)
        again = open_editor()
        again.wait_for_output("from alice\nand this is now")
        assert "while you were away:\nalice [" in again.output
        assert "sum 6" not in again.output
        assert again.session == session


def test_a_lost_connection_and_a_server_that_is_killed_are_told_and_come_back(
    open_editor: Callable[[], Emacs],
) -> None:
    editor = open_editor()
    session = editor.session
    editor.kill_server()
    editor.wait_for_output("the server has ended")
    editor.at(2, "(rpyc-kernel-send-cell)")
    editor.wait_for_output("sum 6")
    assert editor.session == session
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as other:
        os.kill(other.status()["hub_pid"], signal.SIGKILL)
    editor.wait_for_output("connection: ")
    rpyc_kernel.start("demo", timeout=PATIENCE_S).close()  # takes up the worker that is left
    editor.wait_for_output("connected again")
    editor.at(3, '(progn (insert "print(numbers * 2)\n") (rpyc-kernel-send-cell))')
    editor.wait_for_output("[1, 2, 3, 1, 2, 3]")


def test_who_is_invited_comes_in_by_an_address_whose_secret_is_shown_nowhere(
    open_editor: Callable[[], Emacs], tmp_path: Path
) -> None:
    editor = open_editor()
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as owner:
        owner.listen("127.0.0.1", tls=True)
        address = owner.invite("editor", name="ann").connect_string()
        secret = address.split("#")[1]
        editor.lisp(f'(rpyc-kernel "{address}")')
        editor.wait_for_output("connected to demo as ann (editor)")
        editor.at(2, "(rpyc-kernel-send-cell)")
        editor.wait_for_output("sum 6")
    assert secret not in editor.lisp("(buffer-list)") + editor.output + editor.text_of("*Messages*")
    assert not [each for each in tmp_path.rglob("*") if each.is_file() and secret in str(each) + each.read_text()]


def test_what_goes_wrong_is_said(open_editor: Callable[[], Emacs]) -> None:
    editor = open_editor()
    editor.lisp('(rpyc-kernel "no such kernel")')
    wait_until(lambda: "cannot name a kernel" in editor.text_of("*Messages*"), PATIENCE_S)
    editor.lisp("(rpyc-kernel-leave)")
    assert "Not connected: use M-x rpyc-kernel" in editor.lisp("(rpyc-kernel-interrupt)")
    editor.lisp('(setq rpyc-kernel-command \'("no-such-program"))')
    assert "no-such-program is not found" in editor.lisp('(rpyc-kernel "demo")')


def test_it_is_small_and_compiles_without_a_warning(tmp_path: Path) -> None:
    file = PACKAGE / "rpyc-kernel.el"
    assert len(file.read_text().splitlines()) < 400
    copy = tmp_path / file.name
    copy.write_text(file.read_text())
    strictly = ["--eval", "(setq byte-compile-error-on-warn t)", "-f", "batch-byte-compile", str(copy)]
    done = subprocess.run(["emacs", "-Q", "--batch", *strictly], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
