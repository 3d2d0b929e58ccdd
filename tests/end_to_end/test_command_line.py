"""``rpyc-kernel`` from a shell: what comes out on which stream, with which exit status."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest

import rpyc_kernel
from rpyc_kernel import Event
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.commands import StartCommand, run_command
from tests.end_to_end.terminals import COMMAND, CTRL_C, CTRL_D, PATIENCE_S, OpenTerminal
from tests.support.folders import Folders
from tests.support.processes import list_processes
from tests.support.waiting import wait_until

# forkpty() is safe here: what it starts is replaced by the command at once.
pytestmark = [pytest.mark.shares_kernel, pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning")]

BLOCK = "print('begun', flush=True); __import__('threading').Event().wait(300)"
STUBBORN = """\
import time
end = time.monotonic() + 300
while time.monotonic() < end:
    try:
        print('begun', flush=True)
        time.sleep(300)
    except KeyboardInterrupt:
        print('ignored', flush=True)
"""


@pytest.fixture
def demo(demo: None) -> None:
    """A kernel named 'demo', whose worker is ready, and which nobody is in."""
    wait_until_all_have_left()


def read_status() -> dict[str, Any]:
    """The status of 'demo'."""
    with rpyc_kernel.connect("demo", joins=False, timeout=PATIENCE_S) as kernel:
        return kernel.status()


def read_log(since: int = 0) -> list[Event]:
    """All events of 'demo' after one."""
    with rpyc_kernel.connect("demo", joins=False, timeout=PATIENCE_S) as kernel:
        return list(kernel.events(since=since, follow=False))


def wait_until_all_have_left() -> None:
    """Wait until the leaving of everybody who came to 'demo' is in its log, which it is a moment after they did."""

    def have_left() -> bool:
        kinds = [event.kind for event in read_log()]
        return kinds.count(Kind.CLIENT_JOINED) == kinds.count(Kind.CLIENT_LEFT)

    wait_until(have_left, PATIENCE_S, "all to have left")


def wait_until_printed(text: str) -> None:
    """Wait until this is what code in 'demo' has printed last."""
    wait_until(lambda: _read_printed().endswith(text), PATIENCE_S, f"{text!r} to be printed")


def _read_printed() -> str:
    return "".join(event.text for event in read_log() if event.kind == Kind.STREAM)


def execute(code: str) -> int:
    """Run code in 'demo' to its end; returns its number."""
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as kernel:
        number = kernel.execute(code, timeout=PATIENCE_S).id
    wait_until_all_have_left()
    return number


def submit(code: str) -> int:
    """Leave code in the queue of 'demo'."""
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as kernel:
        return kernel.submit(code).id


def interrupt() -> None:
    """End what runs in 'demo', so that it serves the next test, too."""
    with rpyc_kernel.connect("demo", joins=False, timeout=PATIENCE_S) as kernel:
        assert kernel.interrupt(wait=PATIENCE_S)
        wait_until(lambda: kernel.status()["state"] == "idle", PATIENCE_S, "all to have ended")


def list_states() -> dict[str, str]:
    """The kernels there are, with their states."""
    return {kernel.name: kernel.state for kernel in rpyc_kernel.kernels()}


def is_gone(pid: int) -> bool:
    """Whether no process of this number runs."""
    return pid not in {process.pid for process in list_processes() if not process.is_zombie}


def wait_until_running(execution: int) -> None:
    """Wait until this is what 'demo' runs."""
    wait_until(
        lambda: (read_status()["running"] or {}).get("execution") == execution, PATIENCE_S, f"execution {execution}"
    )


# ---------------------------------------------------------------------- start, list, stop


@pytest.mark.own_kernel
def test_a_kernel_is_started_listed_and_stopped(folders: Folders):
    started = run_command("start", "demo", "--json")
    assert started.returncode == 0, started.stderr
    answer = json.loads(started.stdout)
    listed = json.loads(run_command("list", "--json").stdout)
    assert [(kernel["name"], kernel["state"]) for kernel in listed] == [("demo", "running")]
    assert (listed[0]["hub_pid"], listed[0]["worker_pid"]) == (answer["hub_pid"], answer["worker_pid"])
    stopped = run_command("stop", "demo")
    assert (stopped.returncode, stopped.stdout) == (0, "kernel 'demo' is stopped\n")
    assert json.loads(run_command("list", "--json").stdout) == []
    wait_until(lambda: is_gone(answer["hub_pid"]) and is_gone(answer["worker_pid"]), PATIENCE_S, "their end")


@pytest.mark.own_kernel
def test_a_table_is_shown_sorted_and_filtered(demo: None):
    execute("prices = {'apple': 3.5, 'pear': None, 'plum': 2.0, 'fig': 0.5}")
    shown = run_command("vars", "demo", "prices", "--sort", "value descending", "--where", "value >= 2")
    assert shown.stdout.splitlines() == ["       value", "apple  3.5", "plum   2.0", "rows 0:2 of 2 that pass, of 4"]
    told = run_command("vars", "demo", "prices", "--where", "value is null", "--rows", "0:1", "--json")
    assert json.loads(told.stdout)["row_labels"] == ["pear"]
    told = run_command("vars", "demo", "prices", "--where", "index contains plu", "--json")
    assert json.loads(told.stdout)["positions"] == [2]
    for wrong in (["prices", "--where", "value"], ["--sort", "value"], ["prices", "--rows", "5"]):
        refused = run_command("vars", "demo", *wrong)
        assert (refused.returncode, refused.stderr[:13]) == (2, "rpyc-kernel: ")


def test_a_stopped_kernel_can_be_started_again_at_once(demo: None):
    for _ in range(2):
        assert run_command("stop", "demo").returncode == 0
        assert run_command("start", "demo").returncode == 0


@pytest.mark.own_kernel
def test_starting_a_running_kernel_is_refused_and_changes_nothing(demo: None):
    before = read_status()
    again = run_command("start", "demo")
    assert again.returncode == 2
    assert again.stdout == ""
    assert "kernel 'demo' is running already" in again.stderr
    assert read_status()["worker_pid"] == before["worker_pid"]


@pytest.mark.own_kernel
def test_of_two_that_start_the_same_kernel_at_once_one_does(folders: Folders, start_command: StartCommand):
    ends = [command.wait() for command in [start_command("start", "demo") for _ in range(3)]]
    assert sorted(status for status, _, _ in ends) == [0, 2, 2]
    assert read_status()["generation"] == 1


@pytest.mark.own_kernel
def test_environment_and_folder_of_the_worker_can_be_given(folders: Folders, tmp_path: Path):
    run_command("start", "demo", "--cwd", str(tmp_path), "--env", "COLOUR=blue=green")
    result = run_command("exec", "demo", "import os; print(os.getcwd(), os.environ['COLOUR'])")
    assert result.stdout == f"{tmp_path} blue=green\n"


@pytest.mark.own_kernel
def test_a_worker_that_cannot_start_is_reported_and_leaves_nothing(folders: Folders):
    result = run_command("start", "demo", "--env", "PYTHONHOME=/nowhere")
    assert result.returncode == 1
    assert result.stdout == ""
    assert "the worker cannot be started" in result.stderr
    assert "Traceback" not in result.stderr
    assert list_states() == {}


@pytest.mark.own_kernel
def test_a_worker_whose_hub_died_is_listed_and_taken_up_again(demo: None):
    execute("x = 42")
    before = read_status()
    os.kill(before["hub_pid"], signal.SIGKILL)
    wait_until(lambda: list_states() == {"demo": "orphaned"}, PATIENCE_S, "the hub's end")
    lost = run_command("status", "demo")
    assert lost.returncode == 3
    assert "take it up again with 'rpyc-kernel start demo'" in lost.stderr
    assert run_command("start", "demo").returncode == 0
    assert run_command("exec", "demo", "x").stdout == "42\n"
    assert read_status()["worker_pid"] == before["worker_pid"]


@pytest.mark.own_kernel
def test_a_worker_whose_hub_died_can_be_stopped(demo: None):
    before = read_status()
    os.kill(before["hub_pid"], signal.SIGKILL)
    wait_until(lambda: list_states() == {"demo": "orphaned"}, PATIENCE_S, "the hub's end")
    stopped = run_command("stop", "demo")
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert "had lost its hub" in stopped.stdout
    assert is_gone(before["worker_pid"])
    assert run_command("stop", "demo").returncode == 3


@pytest.mark.own_kernel
def test_a_restarted_kernel_has_an_empty_namespace(demo: None):
    execute("x = 42")
    assert json.loads(run_command("restart", "demo", "--json").stdout) == {"generation": 2}
    assert run_command("exec", "demo", "x").returncode == 1


# ---------------------------------------------------------------------- exec


def test_exec_shows_output_and_value_each_on_its_stream(demo: None):
    result = run_command("exec", "demo", "import sys; print('out'); print('err', file=sys.stderr); 6 * 7")
    assert (result.stdout, result.stderr, result.returncode) == ("out\n42\n", "err\n", 0)


def test_exec_joins_its_pieces_of_code(demo: None):
    assert run_command("exec", "demo", "for i in range(2):", "    print(i)").stdout == "0\n1\n"


def test_code_may_begin_with_a_dash_behind_two(demo: None):
    assert run_command("exec", "demo", "--", "-42").stdout == "-42\n"


def test_exec_keeps_the_namespace_between_commands(demo: None):
    run_command("exec", "demo", "x = 42")
    assert run_command("exec", "demo", "x").stdout == "42\n"


def test_an_error_is_status_1_and_a_traceback_on_standard_error(demo: None):
    result = run_command("exec", "demo", "print('before')", "1 / 0")
    assert (result.returncode, result.stdout) == (1, "before\n")
    assert result.stderr.startswith("Traceback (most recent call last):\n")
    assert "    1 / 0\n" in result.stderr
    assert result.stderr.endswith("ZeroDivisionError: division by zero\n")
    assert "rpyc_kernel" not in result.stderr


@pytest.mark.parametrize(
    ("code", "status", "stderr"),
    [
        ("raise SystemExit(3)", 3, ""),
        ("raise SystemExit", 0, ""),
        ("import sys; sys.exit('gone')", 1, "gone\n"),
        ("import sys; sys.exit(256 + 7)", 7, ""),
    ],
)
def test_a_system_exit_is_the_exit_status(demo: None, code: str, status: int, stderr: str):
    result = run_command("exec", "demo", code)
    assert (result.returncode, result.stdout, result.stderr) == (status, "", stderr)


@pytest.mark.parametrize("arguments", [["-"], []])
def test_exec_reads_code_from_standard_input(demo: None, arguments: list[str]):
    result = run_command("exec", "demo", *arguments, input_text="x = 20\nfor i in range(2):\n    x += i\nx * 2\n")
    assert (result.stdout, result.returncode) == ("42\n", 0)


def test_code_from_standard_input_has_no_input_left(demo: None):
    result = run_command("exec", "demo", "-", input_text="input('name? ')\n")
    assert result.returncode == 1
    assert result.stderr.endswith("EOFError: EOF when reading a line\n")


def test_the_code_is_answered_from_standard_input(demo: None):
    result = run_command("exec", "demo", "[input('a? '), input('b? ')]", input_text="1\n2\n")
    assert (result.stdout, result.returncode) == ("a? b? ['1', '2']\n", 0)


def test_the_end_of_standard_input_is_the_end_of_file_of_the_code(demo: None):
    result = run_command("exec", "demo", "[input(), input()]", input_text="1\n")
    assert result.stderr.endswith("EOFError: EOF when reading a line\n")


def test_a_file_answers_as_a_pipe_does(demo: None, tmp_path: Path):
    answers = tmp_path / "answers"
    answers.write_text("from a file\n")
    with answers.open() as opened:
        result = subprocess.run(
            [*COMMAND, "exec", "demo", "input()"], stdin=opened, capture_output=True, text=True, timeout=PATIENCE_S
        )
    assert result.stdout == "'from a file'\n"


def test_output_comes_at_once_and_an_interrupt_from_elsewhere_ends_it(demo: None, start_command: StartCommand):
    running = start_command("exec", "demo", BLOCK)
    assert running.read_line() == "begun"
    number = read_status()["running"]["execution"]
    interrupted = run_command("interrupt", "demo", str(number))
    assert (interrupted.returncode, interrupted.stdout) == (0, f"execution {number} was interrupted\n")
    status, _, err = running.wait()
    assert status == 130
    assert err.endswith("KeyboardInterrupt\n")


def test_an_unfinished_line_comes_at_once_too(demo: None, start_command: StartCommand):
    running = start_command("exec", "demo", "import time", "print('name? ', end='')", "print(input())")
    running.write("Ada\n")
    assert running.read_line() == "name? Ada"


def test_a_termination_of_the_client_leaves_the_code_running(demo: None, start_command: StartCommand):
    running = start_command("exec", "demo", BLOCK)
    running.read_line()
    number = read_status()["running"]["execution"]
    running.signal(signal.SIGTERM)
    running.wait()
    assert read_status()["running"]["execution"] == number
    interrupt()


@pytest.mark.own_kernel
def test_losing_the_hub_is_status_3(demo: None, start_command: StartCommand):
    running = start_command("exec", "demo", BLOCK)
    running.read_line()
    os.kill(read_status()["hub_pid"], signal.SIGKILL)
    wait_until(lambda: rpyc_kernel.kernels()[0].state == "orphaned", PATIENCE_S, "the end of the hub")
    assert run_command("stop", "demo").returncode == 0  # no other hub will come, which who waits for one finds out
    status, _, err = running.wait()
    assert status == 3
    said = err.splitlines()
    assert said[0].endswith("; trying again for 60 s; Ctrl-C gives up")
    assert said[-1].startswith("rpyc-kernel: ")
    assert "is not running" in said[-1]


@pytest.mark.own_kernel
def test_the_death_of_the_worker_is_told_with_its_last_stack(demo: None):
    result = run_command("exec", "demo", "import ctypes", "ctypes.string_at(0)")
    assert result.returncode == 1
    assert "execution 1 is lost: killed by SIGSEGV" in result.stderr
    assert 'File "<In 1>", line 2' in result.stderr


def test_a_program_reads_events_as_json_lines(demo: None):
    result = run_command("exec", "demo", "--json", "print('out'); 42")
    kinds = [json.loads(line)["kind"] for line in result.stdout.splitlines()]
    assert kinds == ["queued", "started", "stream", "result", "finished"]


def test_detached_code_is_only_queued(demo: None):
    first = int(run_command("exec", "demo", "--detach", BLOCK).stdout)
    second = run_command("exec", "demo", "--detach", "--json", "print('second')")
    assert json.loads(second.stdout) == {"execution": first + 1}
    cancelled = run_command("cancel", "demo", str(first + 1))
    assert (cancelled.returncode, cancelled.stdout) == (0, f"execution {first + 1} is cancelled\n")
    interrupt()


def test_plain_output_has_no_escapes(demo: None):
    for command in (["exec", "demo", "1/0"], ["log", "demo"], ["status", "demo"], ["vars", "demo"], ["list"]):
        result = run_command(*command)
        assert "\x1b" not in result.stdout + result.stderr


def test_a_reader_that_has_had_enough_is_no_error(demo: None, start_command: StartCommand):
    running = start_command("exec", "demo", "for i in range(1_000_000): print(i)")
    running.read_line()
    running.close_output()
    status, _, err = running.wait()
    assert (status, err) == (141, "")


@pytest.mark.own_kernel
def test_a_log_cut_short_is_no_error(demo: None, start_command: StartCommand):
    run_command("exec", "demo", "for i in range(100_000): print(i)")
    log = start_command("log", "demo")
    log.read_line()
    log.close_output()
    status, _, err = log.wait()
    assert (status, err) == (141, "")


def test_a_full_disk_is_a_line_on_standard_error(demo: None):

    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [*COMMAND, "exec", "demo", "1"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S
        )
    assert result.returncode == 1
    assert result.stderr == "rpyc-kernel: standard output cannot be written: [Errno 28] No space left on device\n"


def test_what_is_queued_is_told_where_standard_output_does_not_take_it(demo: None):
    with open("/dev/full", "w") as full:
        result = subprocess.run(
            [*COMMAND, "submit", "demo", "1"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=PATIENCE_S
        )
    assert result.returncode == 1
    queued, why = result.stderr.splitlines()
    assert queued.endswith(" is queued in kernel 'demo'; 'rpyc-kernel status demo' shows it")
    assert why == "rpyc-kernel: standard output cannot be written: [Errno 28] No space left on device"


# ---------------------------------------------------------------------- exec on a terminal


def test_ctrl_c_interrupts_what_exec_runs(demo: None, open_terminal: OpenTerminal):
    terminal = open_terminal("exec", "demo", BLOCK)
    terminal.wait_for("^begun")
    terminal.type(CTRL_C)
    assert terminal.wait_for_end() == 130
    terminal.wait_for("^KeyboardInterrupt")
    assert read_status()["state"] == "idle"


@pytest.mark.own_kernel
def test_a_second_ctrl_c_leaves_the_code_running_and_says_so(demo: None, open_terminal: OpenTerminal):
    terminal = open_terminal("exec", "demo", STUBBORN)
    terminal.wait_for("^begun")
    terminal.type(CTRL_C)
    terminal.wait_for("ignored")
    terminal.type(CTRL_C)
    assert terminal.wait_for_end() == 130
    terminal.wait_for_sentence("execution 1 goes on in kernel 'demo'; stop it with 'rpyc-kernel interrupt demo 1'")
    assert read_status()["running"]["execution"] == 1


def test_ctrl_c_takes_back_code_that_has_not_begun(demo: None, open_terminal: OpenTerminal):
    number = submit(BLOCK)
    terminal = open_terminal("exec", "demo", "print('never')")
    terminal.wait_for_sentence(f"[{number + 1}] is queued; it waits for [{number}] of")
    terminal.type(CTRL_C)
    assert terminal.wait_for_end() == 130
    terminal.wait_for(f"execution {number + 1} is cancelled")
    assert read_status()["running"]["execution"] == number
    interrupt()


def test_a_password_is_not_shown(demo: None, open_terminal: OpenTerminal):
    code = "import getpass; name = input('Name: '); secret = getpass.getpass('Secret: '); print(name, len(secret))"
    terminal = open_terminal("exec", "demo", code)
    terminal.wait_for("^Name:")
    terminal.type("Ada\r")
    terminal.wait_for("^Secret:")
    terminal.type("hush\r")
    terminal.wait_for("^Ada 4")
    assert terminal.wait_for_end() == 0
    assert "Name: Ada" in terminal.text
    assert "hush" not in terminal.text


def test_a_question_that_somebody_else_answers_does_not_hang(demo: None, open_terminal: OpenTerminal):
    code = "print('hello', input('Name: ')); __import__('threading').Event().wait(300)"
    terminal = open_terminal("exec", "demo", code)
    terminal.wait_for("^Name:")
    answering = "import rpyc_kernel\nwith rpyc_kernel.connect('demo', timeout=60) as kernel: kernel.answer_input('Eve')"
    result = run_command("run", "-", input_text=answering)
    assert result.returncode == 0, result.stderr
    terminal.wait_for("hello Eve")
    terminal.type("too late\r")  # which nobody reads any more
    assert run_command("interrupt", "demo").returncode == 0
    assert terminal.wait_for_end() == 130
    assert terminal.lines[2].startswith("Traceback")


@pytest.mark.parametrize(("key", "ename", "status"), [(CTRL_D, "EOFError", 1), (CTRL_C, "KeyboardInterrupt", 130)])
def test_a_question_can_be_refused(demo: None, open_terminal: OpenTerminal, key: str, ename: str, status: int):
    terminal = open_terminal("exec", "demo", "input('Name: ')")
    terminal.wait_for("^Name:")
    terminal.type(key)
    assert terminal.wait_for_end() == status
    terminal.wait_for(f"^{ename}")


def test_code_can_be_typed(demo: None, open_terminal: OpenTerminal):
    terminal = open_terminal("exec", "demo")
    terminal.wait_for("reading code from the terminal; Ctrl-D ends it")
    terminal.type("6 *\\\r 7\r" + CTRL_D)
    assert terminal.wait_for_end() == 0
    terminal.wait_for("^42$")


# ---------------------------------------------------------------------- looking


@pytest.mark.own_kernel
def test_status_variables_and_stacks_answer_while_the_kernel_is_busy(demo: None):
    execute("answer = 42")
    submit(BLOCK)
    submit("print('queued')")
    wait_until_printed("begun\n")
    shown = run_command("status", "demo").stdout
    assert "kernel     demo, busy, generation 1\n" in shown
    assert f"({BLOCK[:57]}...), for " in shown
    assert "queued     [3] of " in shown
    variables = [json.loads(line) for line in run_command("vars", "demo", "--json").stdout.splitlines()]
    assert [(variable["name"], variable["type"], variable["preview"]) for variable in variables] == [
        ("answer", "int", "42")
    ]
    assert run_command("vars", "demo").stdout.split() == ["answer", "int", "42"]
    assert 'File "<In 2>", line 1' in run_command("stack", "demo").stdout
    assert 'File "<In 2>", line 1' in json.loads(run_command("stack", "demo", "--json").stdout)["stack"]


def test_who_only_looks_is_not_announced(demo: None):
    before = read_log()
    for command in ("status", "vars", "stack", "log", "history"):
        assert run_command(command, "demo").returncode == 0
    assert read_log() == before


@pytest.mark.own_kernel
def test_the_log_shows_what_happened_with_number_time_and_author(demo: None):
    execute("print('one')\nprint('two')")
    lines = run_command("log", "demo").stdout.splitlines()
    inputs = [line for line in lines if "In [1]" in line]
    assert len(inputs) == 1
    number, day, clock, *rest = inputs[0].split()
    assert number.isdigit()
    assert (len(day), len(clock)) == (10, 8)
    assert " ".join(rest).endswith("] In [1]: print('one')")
    assert any(line.endswith("] two") for line in lines)


@pytest.mark.own_kernel
def test_what_was_run_can_be_searched_in_a_kernel_that_runs_and_when_it_is_stopped(demo: None):
    execute("x = 1")
    execute("y = 2")
    shown = run_command("history", "demo", "--json", "y =").stdout
    assert [(past["execution"], past["code"]) for past in map(json.loads, shown.splitlines())] == [(2, "y = 2")]
    assert run_command("history", "demo").stdout.count("\n") == 2
    run_command("stop", "demo")
    assert run_command("history", "demo", "--json", "y =").stdout == shown


def test_the_log_can_begin_late(demo: None):
    execute("print('first')")
    last = read_log()[-1].seq
    execute("print('second')")
    shown = run_command("log", "demo", "--json", "--since", str(last)).stdout
    later = [json.loads(line) for line in shown.splitlines()]
    assert later == [event.as_dict() for event in read_log(since=last)]
    assert [event["text"] for event in later if event["kind"] == "stream"] == ["second\n"]


@pytest.mark.own_kernel
def test_a_log_is_replayed_as_it_looked(demo: None):
    run_command("exec", "demo", "print('first', flush=True); print('second')")
    result = run_command("log", "demo", "--replay", "--speed", "1e9")
    assert re.search(r"^\[\S+\] first\n\[\S+\] second$", result.stdout, re.MULTILINE)
    assert run_command("log", "demo", "--replay", "--speed", "0").returncode == 2


@pytest.mark.own_kernel
def test_a_followed_log_goes_on_until_the_kernel_stops(demo: None, start_command: StartCommand):
    last = read_log()[-1].seq
    log = start_command("log", "demo", "--follow", "--json", "--since", str(last))
    execute("print('live')")
    # To the last event so far, so that it waits for more by the time the kernel stops.
    shown = list(iter(lambda: json.loads(log.read_line()), read_log()[-1].as_dict()))
    assert [event["text"] for event in shown if event["kind"] == "stream"] == ["live\n"]
    run_command("stop", "demo")
    status, rest, err = log.wait()
    assert (status, err) == (0, "")
    assert json.loads(rest.splitlines()[-1])["kind"] == "hub_stopped"


def test_ctrl_c_ends_a_followed_log(demo: None, open_terminal: OpenTerminal):
    last = read_log()[-1].seq
    execute("print('shown')")
    terminal = open_terminal("log", "demo", "-f", "--since", str(last), NO_COLOR="1")
    terminal.wait_for(r"\] shown$")
    terminal.type(CTRL_C)
    assert terminal.wait_for_end() == 130
    assert "Traceback" not in terminal.text


def test_what_others_printed_cannot_speak_to_the_terminal_that_shows_the_log(demo: None, open_terminal: OpenTerminal):
    execute(r"print('a\x1b[2J\x1b]0;owned\x07b')")
    terminal = open_terminal("log", "demo", NO_COLOR="1")
    assert terminal.wait_for_end() == 0
    terminal.wait_for(r"\] ab$")
    assert not terminal.title_was_set
    assert b"\x1b" not in terminal.raw


# ---------------------------------------------------------------------- interrupt, cancel


def test_interrupting_an_idle_kernel_says_that_nothing_runs(demo: None):
    result = run_command("interrupt", "demo")
    assert (result.returncode, result.stdout) == (0, "nothing is running\n")
    assert json.loads(run_command("interrupt", "demo", "--json").stdout)["status"] == "not-running"


def test_interrupting_what_has_finished_says_so(demo: None):
    number = execute("1")
    result = run_command("interrupt", "demo", str(number))
    assert (result.returncode, result.stdout) == (0, f"execution {number} is not running\n")


def test_interrupting_what_is_queued_is_refused_with_advice(demo: None):
    running, queued = submit(BLOCK), submit("2")
    result = run_command("interrupt", "demo", str(queued))
    assert result.returncode == 2
    said = f"execution {queued} is queued, not running; 'rpyc-kernel cancel demo {queued}' takes it out"
    assert said in result.stderr
    assert read_status()["running"]["execution"] == running
    interrupt()


@pytest.mark.parametrize("command", ["interrupt", "cancel"])
def test_an_execution_that_never_was_is_wrong_usage(demo: None, command: str):
    result = run_command(command, "demo", "99999")
    assert (result.returncode, result.stdout) == (2, "")
    assert "there is no execution 99999" in result.stderr


def test_cancelling_what_runs_is_refused_with_advice(demo: None):
    number = submit(BLOCK)
    wait_until_running(number)
    result = run_command("cancel", "demo", str(number))
    assert result.returncode == 2
    assert f"execution {number} is running; interrupt it instead" in result.stderr
    interrupt()


@pytest.mark.own_kernel
def test_code_that_ignores_the_interrupt_is_shown_where_it_is_and_can_be_terminated(demo: None):
    submit(STUBBORN)
    wait_until_printed("begun\n")
    result = run_command("interrupt", "demo", is_patient=False)
    assert result.returncode == 1
    assert "execution 1 goes on; try --force exception, or terminate. It is here:" in result.stdout
    assert 'File "<In 1>"' in result.stdout
    assert run_command("interrupt", "demo", "--force", "terminate").returncode == 0
    wait_until(lambda: read_status()["generation"] == 2, PATIENCE_S, "the next worker")
