"""``rpyc-kernel debug``: a program line by line, with the commands of pdb."""

import os
import signal
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.commands import StartCommand, run_command
from tests.end_to_end.terminals import CTRL_C, PATIENCE_S, OpenTerminal

pytest.importorskip("debugpy")
pytestmark = [
    pytest.mark.usefixtures("folders"),
    pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning"),
]

_PROGRAM = """\
import sys

def double(number):
    result = 2 * number
    return result

who = input("who? ")
print("hello", who, *sys.argv[1:])
for number in range(3):
    print("doubled", double(number))
sys.exit(7)
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(_PROGRAM)
    return path


def test_a_program_is_led_by_commands_to_its_own_exit_status(program: Path) -> None:
    lines = "b 4, number > 0\nb 99\nb\nc\nme\np\nw\nn\np result + 1\nnothing\nu\nl 8\ncl 4\ncl 1\nn\nc\n"
    result = run_command("debug", "demo", str(program), "--break", f"{program}:7", "one", input_text=lines)
    told = result.stdout
    assert f"breakpoint at {program}:7\n> {program}(7) <module>\n-> who = input" in told
    assert f"breakpoint at {program}:4, if number > 0\n" in told
    assert f"{program} has no code at line 99 or behind it" in told
    assert "who? hello me one\ndoubled 0\n" in told
    assert f"> {program}(4) double\n-> result = 2 * number\n(debug) number = 1\n" in told
    assert f"   {program}(10) <module>\n-> {program}(4) double\n" in told
    assert "(debug) 3\n" in told
    assert "   7 B   who" in told
    assert "  10  -> " in told
    assert "NameError: name 'nothing' is not defined\n" in result.stderr
    assert "there is no breakpoint at" in result.stderr
    assert told.endswith("doubled 4\n")
    assert result.returncode == 7
    with rpyc_kernel.connect("demo") as kernel:
        assert kernel.eval("who") == "me"


def test_without_breakpoints_that_hold_it_stops_at_the_first_line_and_the_end_of_input_ends_it(program: Path) -> None:
    result = run_command("debug", "demo", str(program), "--break", "nowhere.py:1", input_text="b\nn\n")
    told, _, rest = result.stdout.partition("no breakpoint holds, so it stops at its first line\n")
    assert "there is no file" in told
    assert rest.startswith(f"> {program}(1) <module>\n-> import sys\n(debug) ")
    assert f"(debug) > {program}(3)" in rest
    assert (result.returncode, "KeyboardInterrupt" in result.stderr) == (130, True)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["nowhere.py"], "there is no file 'nowhere.py' to debug"),
        (["{program}", "--break", "program.py"], "'program.py' is no line; give a number from 1, or FILE:LINE"),
        (["{program}", "--break", "{program}:0"], "'0' is no line"),
    ],
)
def test_wrong_usage_is_told_and_starts_nothing(program: Path, arguments: list[str], word: str) -> None:
    result = run_command("debug", "demo", *(each.format(program=program) for each in arguments))
    assert result.returncode == 2
    assert word in result.stderr
    assert rpyc_kernel.kernels() == []


@pytest.mark.parametrize("killed", ["worker", "client"])
def test_a_death_at_a_stop_holds_nobody_up(program: Path, start_command: StartCommand, killed: str) -> None:
    command = start_command("debug", "demo", str(program), "--break", f"{program}:7")
    assert command.read_line() == f"breakpoint at {program}:7"
    assert command.read_line() == f"> {program}(7) <module>"
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as kernel:
        running = kernel.status()["running"]["execution"]
        if killed == "worker":
            os.kill(kernel.status()["worker_pid"], signal.SIGKILL)
            command.write("n\n")
            status, _, errors = command.wait()
            assert status == 1
            assert "the program is lost: " in errors
        else:
            command.signal(signal.SIGKILL)
            # It goes on to its question.
            asked = (event for event in kernel.events(execution=running) if event.kind == Kind.INPUT_REQUESTED)
            assert next(asked).prompt == "who? "
            kernel.interrupt(running, wait=PATIENCE_S)
        assert kernel.execute("6 * 7", timeout=PATIENCE_S).value == 42


def test_ctrl_c_pauses_a_program_and_q_ends_it(program: Path, open_terminal: OpenTerminal) -> None:
    program.write_text("print('begun', flush=True)\nwhile True:\n    number = 1\n")
    terminal = open_terminal("debug", "demo", str(program))
    terminal.wait_for(r"\(debug\)")
    terminal.type("c\r")
    terminal.wait_for("^begun")
    terminal.type(CTRL_C)
    terminal.wait_for(r"\(debug\)", 2)
    terminal.type("p number\r")
    terminal.wait_for("^1$")
    terminal.type("q\r")
    assert terminal.wait_for_end() == 130
