"""A program in a kernel of its own: what `scripts/run` does with standard input, and ``rpyc-kernel run``."""

import json
import os
import py_compile
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import rpyc_kernel
from tests.end_to_end.commands import StartCommand, run_command
from tests.end_to_end.terminals import COMMAND, CTRL_C, PATIENCE_S, ROOT, OpenTerminal
from tests.support.folders import Folders
from tests.support.processes import list_processes, was_started_with
from tests.support.waiting import wait_until

# forkpty() is safe here: what it starts is replaced by the command at once.
pytestmark = [
    pytest.mark.usefixtures("folders"),
    pytest.mark.filterwarnings("ignore:.*forkpty.*:DeprecationWarning"),
]

BLOCK = "print('begun', flush=True)\n__import__('threading').Event().wait(300)\n"


def run_program(source: str, *arguments: str) -> tuple[int, str, str]:
    """Run a program from standard input; returns its exit status, standard output and standard error."""
    result = run_command("run", *(arguments or ("-",)), input_text=source)
    return result.returncode, result.stdout, result.stderr


def has_processes(folders: Folders) -> bool:
    """Whether anything runs that was started for these folders."""
    return any(
        was_started_with(process.pid, "RPYC_KERNEL_RUNTIME_DIR", str(folders.runtime))
        for process in list_processes()
        if not process.is_zombie
    )


# ---------------------------------------------------------------------- from standard input


@pytest.mark.parametrize("arguments", [["-"], []])
def test_only_the_output_of_the_program_comes_out(arguments: list[str]):
    result = run_command("run", *arguments, input_text="print(6*7)\n")
    assert (result.returncode, result.stdout, result.stderr) == (0, "42\n", "")


def test_nothing_is_left_of_it(folders: Folders):
    assert run_program("print(6*7)")[0] == 0
    wait_until(lambda: not has_processes(folders), PATIENCE_S, "the end of its processes")
    assert list(folders.runtime.iterdir()) == []
    assert list(folders.state.iterdir()) == []


def test_its_hub_waits_for_nobody_when_all_is_shown():
    path = os.pathsep.join([str(ROOT), str(Path(__file__).parent / "patient_hubs")])
    result = run_command("run", input_text="import atexit; atexit.register(print, 'goodbye')", PYTHONPATH=path)
    assert (result.returncode, result.stdout, result.stderr) == (0, "goodbye\n", "")


def test_values_of_expressions_are_not_shown():
    assert run_program("6 * 7\n'hidden'\n") == (0, "", "")


@pytest.mark.parametrize(
    ("source", "status", "stderr"),
    [
        ("raise SystemExit(3)", 3, ""),
        ("import sys; sys.exit()", 0, ""),
        ("import sys; sys.exit('sorry')", 1, "sorry\n"),
        ("import sys; sys.exit('3')", 1, "3\n"),
        ("quit(4)", 4, ""),
        ("raise SystemExit(10**40)", 255, ""),
        ("class Own(SystemExit): pass\nraise Own(6)", 6, ""),
    ],
)
def test_the_programs_exit_status_is_passed_on(source: str, status: int, stderr: str):
    assert run_program(source) == (status, "", stderr)


def test_an_exception_is_status_1_with_the_traceback_on_standard_error_only():
    status, out, err = run_program("print('before')\ndef f():\n    1 / 0\nf()\n")
    assert (status, out) == (1, "before\n")
    assert err.startswith("Traceback (most recent call last):\n")
    assert err.endswith("ZeroDivisionError: division by zero\n")
    assert "    1 / 0\n" in err
    assert "rpyc_kernel" not in err


def test_a_syntax_error_is_status_1():
    status, out, err = run_program("print('never')\n1 +\n")
    assert (status, out) == (1, "")
    assert "SyntaxError" in err


def test_all_output_arrives_in_order():
    status, out, err = run_program("for i in range(100_000): print(i)\n")
    assert (status, err) == (0, "")
    assert out == "".join(f"{i}\n" for i in range(100_000))


def test_output_that_does_not_go_through_python_arrives_too():
    status, out, _ = run_program("import os\nos.system('echo from a shell')\nos.write(1, b'raw')\n")
    assert (status, sorted(out.splitlines())) == (0, ["from a shell", "raw"])


@pytest.mark.parametrize("how", ["sys.stdout.buffer.write(data)", "subprocess.run(['cat'], input=data)"])
def test_what_is_no_text_passes_through_byte_for_byte(how: str):
    written = bytes(range(256)) * 1024 + b"\xe2"
    source = f"import subprocess, sys\ndata = bytes(range(256)) * 1024 + b'\\xe2'\n_ = {how}\n"
    result = subprocess.run([*COMMAND, "run"], input=source.encode(), capture_output=True, timeout=PATIENCE_S)
    assert (result.returncode, result.stdout == written, result.stderr) == (0, True, b"")


def test_standard_input_that_was_the_program_is_at_its_end():
    status, out, err = run_program("print('asking')\ninput()\n")
    assert (status, out) == (1, "asking\n")
    assert err.endswith("EOFError: EOF when reading a line\n")


def test_text_in_any_language_passes_through():
    assert run_program("print('größer ≥ 大')\n") == (0, "größer ≥ 大\n", "")


def test_a_file_that_is_no_text_is_a_syntax_error(tmp_path: Path):
    (tmp_path / "program.py").write_bytes(b"print('\xe9')\n")
    status, out, err = run_program("", str(tmp_path / "program.py"))
    assert (status, out) == (1, "")
    assert f'  File "{tmp_path / "program.py"}", line 1\n' in err
    assert "\nSyntaxError: " in err


def test_programs_at_the_same_time_do_not_meet(start_command: StartCommand):
    programs = [start_command("run", "-") for _ in range(3)]
    for number, program in enumerate(programs):
        program.write(f"x = {number}\nprint(x, len([name for name in dir() if name == 'x']))\n")
    assert [program.wait() for program in programs] == [(0, f"{number} 1\n", "") for number in range(3)]


# ---------------------------------------------------------------------- the end of a program


@pytest.mark.parametrize("engine", ["plain", "ipython"])
def test_its_threads_and_last_functions_have_their_say(engine: str):
    source = """\
import atexit, concurrent.futures, threading
pool = concurrent.futures.ThreadPoolExecutor()  # which ends its idle threads only when everything ends
pool.submit(int)
gate = threading.Event()
def work():
    gate.wait(60)
    print('thread')
threading.Thread(target=work).start()
atexit.register(print, 'last words')
print('main')
threading.Timer(1.0, gate.set).start()  # longer than a kernel that is stopped waits for threads
"""
    assert run_program(source, "--engine", engine, "-") == (0, "main\nthread\nlast words\n", "")


def test_an_error_does_not_cut_off_its_threads():
    source = """\
import threading
gate = threading.Event()
threading.Thread(target=lambda: (gate.wait(60), print('thread'))).start()
threading.Timer(1.0, gate.set).start()
1 / 0
"""
    status, out, err = run_program(source)
    assert (status, out) == (1, "thread\n")
    assert err.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize(
    ("code", "status", "said"),
    [
        ("os._exit(5)", 5, ""),
        ("import atexit; atexit.register(os._exit, 4)", 4, ""),
        ("os.kill(os.getpid(), signal.SIGKILL)", 137, "is lost: killed by SIGKILL\n"),
        ("os.kill(os.getpid(), signal.SIGTERM)", 143, "is lost: killed by SIGTERM\n"),
        ("os.abort()", 134, "is lost: killed by SIGABRT\n"),
    ],
)
def test_the_end_of_the_process_gives_the_status_that_a_shell_sees(code: str, status: int, said: str):
    ended, out, err = run_program(f"print('before')\nimport os, signal\n{code}\n")
    assert (ended, out) == (status, "before\n")
    assert err.endswith(said) if said else not err


@pytest.mark.parametrize("engine", ["plain", "ipython"])
def test_a_program_that_forks_ends_once_and_with_its_own_status(tmp_path: Path, engine: str):
    (tmp_path / "program.py").write_text(
        "import os, sys\npid = os.fork()\nif pid: print('child', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))\n"
        "exit(4 if pid else 7)\n"
    )
    assert run_program("", "--engine", engine, str(tmp_path / "program.py")) == (4, "child 7\n", "")


def test_ctrl_c_interrupts_the_program_and_its_end_ends_its_kernel(
    folders: Folders, tmp_path: Path, open_terminal: OpenTerminal
):
    (tmp_path / "program.py").write_text(
        "import threading\ngate = threading.Event()\n"
        "threading.Thread(target=lambda: (gate.wait(60), print('thread'))).start()\n"
        f"try:\n    {BLOCK.splitlines()[0]}\n    {BLOCK.splitlines()[1]}\n"
        "finally:\n    threading.Timer(1.0, gate.set).start()  # longer than a kernel that is stopped waits\n"
    )
    terminal = open_terminal("run", str(tmp_path / "program.py"))
    terminal.wait_for("^begun")
    terminal.type(CTRL_C)
    assert terminal.wait_for_end() == 130
    terminal.wait_for("^KeyboardInterrupt")
    terminal.wait_for("^thread")
    wait_until(lambda: not has_processes(folders), PATIENCE_S, "the end of its processes")


def test_a_second_ctrl_c_ends_a_program_that_ignores_the_first(
    folders: Folders,
    tmp_path: Path,
    open_terminal: OpenTerminal,
):
    (tmp_path / "program.py").write_text(
        f"try:\n    {BLOCK.splitlines()[0]}\n    {BLOCK.splitlines()[1]}\nexcept "
        "KeyboardInterrupt:\n    print('ignored', flush=True)\n"
        "    __import__('threading').Event().wait(300)\n"
    )
    terminal = open_terminal("run", str(tmp_path / "program.py"))
    terminal.wait_for("^begun")
    terminal.type(CTRL_C)
    terminal.wait_for("ignored")
    terminal.type(CTRL_C)
    assert terminal.wait_for_end() == 130
    wait_until(lambda: not has_processes(folders), PATIENCE_S, "the end of its processes")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP], ids=lambda number: number.name)
def test_the_kernel_ends_with_a_client_that_is_killed(
    folders: Folders,
    start_command: StartCommand,
    tmp_path: Path,
    number: signal.Signals,
):
    (tmp_path / "program.py").write_text(BLOCK)
    program = start_command("run", str(tmp_path / "program.py"))
    assert program.read_line() == "begun"
    program.signal(number)
    program.wait()
    wait_until(lambda: not has_processes(folders), PATIENCE_S, "the end of its processes")
    assert rpyc_kernel.kernels() == []


# ---------------------------------------------------------------------- from a file


def test_a_file_has_its_arguments_its_name_and_its_neighbours(tmp_path: Path):
    (tmp_path / "neighbour.py").write_text("answer = 42\n")
    program = tmp_path / "program.py"
    program.write_text("import sys, neighbour\nprint(sys.argv, __file__, __name__, neighbour.answer)\n")
    status, out, err = run_program("", str(program), "one", "--two", "-3", "-")
    expected = f"{[str(program), 'one', '--two', '-3', '-']} {program} __main__ 42\n"
    assert (status, out, err) == (0, expected, "")


def test_a_compiled_program_behind_a_link_has_its_neighbours(tmp_path: Path):
    folder = tmp_path / "real"
    folder.mkdir()
    (folder / "neighbour.py").write_text("answer = 42\n")
    (folder / "program.py").write_text("import sys, neighbour\nprint(__file__, sys.path[0], neighbour.answer)\n")
    py_compile.compile(str(folder / "program.py"), str(folder / "program.pyc"))
    link = tmp_path / "link.pyc"
    link.symlink_to("real/program.pyc")
    assert run_program("", str(link)) == (0, f"{link} {folder} 42\n", "")


def test_a_program_from_standard_input_has_arguments_too():
    assert run_program("import sys; print(sys.argv)", "-", "a", "--b") == (0, "['-', 'a', '--b']\n", "")


def test_a_program_that_shows_its_exceptions_itself_has_them_shown_once(tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text("import sys\nsys.excepthook = lambda kind, error, _: sys.stderr.write(f'{error}!')\n1 / 0")
    assert run_program("", str(program)) == (1, "", "division by zero!")


def test_a_program_without_a_docstring_has_none(tmp_path: Path):
    (tmp_path / "program.py").write_text("print(__doc__)")
    assert run_program("", str(tmp_path / "program.py")) == (0, "None\n", "")


def test_a_traceback_names_the_file(tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text("def f():\n    1 / 0\n\nf()\n")
    status, _, err = run_program("", str(program))
    assert status == 1
    assert f'  File "{program}", line 4, in <module>\n    f()\n' in err
    assert f'  File "{program}", line 2, in f\n    1 / 0\n' in err


def test_a_program_from_a_file_may_run_an_event_loop_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    source = "import asyncio, sys\nasync def main(): print(sys.argv)\nasyncio.run(main())\n"
    Path("program.py").write_text(source)
    assert run_program("", "program.py", "x") == (0, "['program.py', 'x']\n", "")
    elsewhere = run_program("", "--cwd", "/", "program.py")
    assert elsewhere == (0, f"{[str(tmp_path / 'program.py')]}\n", "")


def test_a_file_may_say_its_encoding(tmp_path: Path):
    (tmp_path / "program.py").write_bytes("# coding: latin-1\nprint('größer')\n".encode("latin-1"))
    assert run_program("", str(tmp_path / "program.py")) == (0, "größer\n", "")


def run_with_bytes(program: Path, data: bytes) -> subprocess.CompletedProcess[bytes]:
    """Run a program from a file that finds these bytes in its standard input."""
    return subprocess.run([*COMMAND, "run", str(program)], input=data, capture_output=True, timeout=PATIENCE_S)


def test_a_program_from_a_file_reads_standard_input_as_it_is(tmp_path: Path):
    (tmp_path / "program.py").write_text(
        "import sys\nprint(ascii([input(), input('? '), sys.stdin.read()]))\n"
        "print(sys.stdin is sys.__stdin__, sys.stdin.name, sys.stdin.mode, sys.stdin.fileno())\ninput()\n"
    )
    result = run_with_bytes(tmp_path / "program.py", "dos\r\ngrün\n".encode() + b"\xff\nlast")
    expected = "? ['dos\\r', 'gr\\xfcn', '\\udcff\\nlast']\nTrue <stdin> r 0\n"
    assert (result.returncode, result.stdout.decode()) == (1, expected)
    assert result.stderr.endswith(b"EOFError: EOF when reading a line\n")


def test_the_children_of_a_program_read_its_standard_input(tmp_path: Path):
    (tmp_path / "program.py").write_text(
        "import os, subprocess, sys\nos.write(1, os.read(0, 6))\nsubprocess.run(['cat'], stdin=sys.stdin)\n"
    )
    data = b"\x00\r\n\xff\n" * 3
    result = run_with_bytes(tmp_path / "program.py", data)
    assert (result.returncode, result.stdout, result.stderr) == (0, data, b"")


def test_a_program_that_waits_for_standard_input_can_be_interrupted_and_who_writes_sees_that_it_reads_no_more(
    tmp_path: Path,
):
    (tmp_path / "program.py").write_text(
        "import os, sys\ntry: input(print('begun', flush=True) or '')\nexcept KeyboardInterrupt: os.close(0)\n"
        "print('closed', flush=True)\nsys.exit(5)\n"
    )
    read_end, write_end = os.pipe()
    try:
        with subprocess.Popen(
            [*COMMAND, "run", str(tmp_path / "program.py")], stdin=read_end, stdout=subprocess.PIPE
        ) as command:
            assert command.stdout is not None
            os.close(read_end)
            assert command.stdout.readline() == b"begun\n"
            command.send_signal(signal.SIGINT)
            assert command.stdout.readline() == b"closed\n"
            with pytest.raises(BrokenPipeError):
                os.write(write_end, b"x")
        assert command.returncode == 5
    finally:
        os.close(write_end)


def test_a_program_can_run_in_a_kernel_that_is_there(tmp_path: Path):
    with rpyc_kernel.start("demo", timeout=PATIENCE_S) as kernel:
        kernel.execute("x = 41", timeout=PATIENCE_S)
        (tmp_path / "program.py").write_text("x += 1\nprint(x)\n")
        assert run_program("", "--kernel", "demo", str(tmp_path / "program.py")) == (0, "42\n", "")
        assert kernel.eval("x") == 42
        (tmp_path / "program.py").write_text("import sys\nx += len(sys.argv)\nprint(*sys.argv[1:])\n")
        command = ("--kernel", "demo", str(tmp_path / "program.py"), "one", "--two")
        assert run_program("", *command) == (0, "one --two\n", "")
        assert kernel.eval("x, len(__import__('sys').argv)") == (45, 1)
        (tmp_path / "program.py").write_text("\n1 / 0\n")
        status, _, err = run_program("", "--kernel", "demo", str(tmp_path / "program.py"))
        assert (status, f'File "{tmp_path / "program.py"}", line 2, in <module>' in err) == (1, True)


def test_the_interpreter_can_be_chosen():
    status, out, _ = run_program("import sys; print(sys.executable)", "--python", sys.executable, "-")
    assert (status, out) == (0, f"{sys.executable}\n")


def test_events_of_a_program_can_be_read_by_a_program():
    status, out, err = run_program("print('out')", "--json", "-")

    events = [json.loads(line) for line in out.splitlines()]
    assert (status, err) == (0, "")
    assert [event["kind"] for event in events] == ["queued", "started", "stream", "finished"]
