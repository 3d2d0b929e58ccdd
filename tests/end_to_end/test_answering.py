"""Questions of code in a kernel, and who answers them from a shell."""

import json

import pytest

from rpyc_kernel import Execution, KernelClient
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.commands import StartCommand, run_command
from tests.end_to_end.terminals import ENTER, OpenTerminal

# forkpty() is safe here: what it starts is replaced by the command at once.
pytestmark = [pytest.mark.shares_kernel, pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")]


def ask(kernel: KernelClient, code: str) -> Execution:
    """Have code ask, and wait until it does."""
    run = kernel.submit(code)
    next(event for event in run.events(timeout=PATIENCE_S) if event.kind == Kind.INPUT_REQUESTED)
    return run


def test_what_is_asked_is_shown_and_answered(kernel: KernelClient) -> None:
    assert run_command("answer", "demo").returncode == 2
    run = ask(kernel, "input('who? ')")
    shown = run_command("answer", "demo")
    assert (shown.returncode, shown.stdout) == (0, f"execution {run.id} asks: who?\n")
    told = {"execution": run.id, "session": kernel.session, "prompt": "who? ", "password": False}
    assert json.loads(run_command("answer", "demo", "--json").stdout) == [told]
    wrong = run_command("answer", "demo", "me", "--execution", "99999")
    assert (wrong.returncode, "execution 99999 does not wait for input" in wrong.stderr) == (2, True)
    answered = run_command("answer", "demo", "me and you")
    assert (answered.returncode, answered.stdout) == (0, f"execution {run.id} has its answer\n")
    assert run.result(PATIENCE_S) == "me and you"


def test_who_waits_for_code_that_asks_is_told(kernel: KernelClient, start_command: StartCommand) -> None:
    run = ask(kernel, "input('a? ') + input('b? ')")
    waiting = start_command("wait", "demo", str(run.id))
    said = [f"execution {run.id} asks: {x}? ('rpyc-kernel answer demo --execution {run.id}' answers)" for x in "ab"]
    assert waiting.read_error_line() == said[0]
    kernel.answer_input("1", run.id)
    assert waiting.read_error_line() == said[1]
    kernel.answer_input("2", run.id)
    assert waiting.wait()[0] == 0


def test_a_secret_is_taken_from_standard_input_alone(kernel: KernelClient) -> None:
    run = ask(kernel, "import getpass; getpass.getpass('word: ')")
    refused = run_command("answer", "demo", "hunter2")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert "others could read it on your command line" in refused.stderr
    assert "hunter2" not in refused.stderr
    assert run_command("answer", "demo", "-").returncode == 2  # there is no line
    assert run_command("answer", "demo", "-", input_text="hunter2\r\nmore\n").returncode == 0
    assert run.result(PATIENCE_S) == "hunter2"


def test_a_secret_is_not_echoed_at_a_terminal(kernel: KernelClient, open_terminal: OpenTerminal) -> None:
    run = ask(kernel, "import getpass; getpass.getpass('word: ')")
    terminal = open_terminal("answer", "demo", "--execution", str(run.id))
    terminal.wait_for_prompt("word:")
    terminal.type("hunter2" + ENTER)
    assert run.result(PATIENCE_S) == "hunter2"
    assert terminal.wait_for_end() == 0
    assert "hunter2" not in terminal.text


def test_the_end_of_the_input_is_an_answer_too(kernel: KernelClient) -> None:
    run = ask(kernel, "try: input()\nexcept EOFError: print('no more')")
    assert run_command("answer", "demo", "--eof", "yes").returncode == 2
    assert run_command("answer", "demo", "--eof").returncode == 0
    run.result(PATIENCE_S)
    assert run.stdout == "no more\n"


def test_a_log_goes_on_behind_its_last_few_lines(kernel: KernelClient, start_command: StartCommand) -> None:
    kernel.execute("print('first')")
    following = start_command("log", "demo", "--tail", "1", "--follow", "--session", kernel.session)
    assert following.read_line().endswith("first")
    kernel.execute("print('second')")
    assert following.read_line().endswith("print('second')")
    assert following.read_line().endswith("second")
