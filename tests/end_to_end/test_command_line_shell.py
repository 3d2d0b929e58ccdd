"""``rpyc-kernel exec|run|log|vars`` in pipelines and scripts: what a shell user takes for granted."""

import json
import os
import subprocess
from pathlib import Path

import pytest

import rpyc_kernel
from tests.end_to_end.commands import run_command
from tests.end_to_end.terminals import COMMAND, PATIENCE_S, ROOT
from tests.support.folders import Folders

pytestmark = pytest.mark.shares_kernel


def run_in_shell(line: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of bash in which K is the program."""
    command = " ".join(COMMAND)
    return subprocess.run(
        ["bash", "-c", f'K() {{ {command} "$@"; }}; {line}'],
        capture_output=True,
        timeout=PATIENCE_S,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )


# ---------------------------------------------------------------------- standard input and output


def test_a_script_is_read_from_a_file(demo: None, tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_text("def f(x):\n    return x * 7\n\nprint('from the script')\nf(6)\n")
    result = run_in_shell(f"K exec demo - < {script}")
    assert (result.returncode, result.stdout, result.stderr) == (0, b"from the script\n42\n", b"")


def test_a_script_says_how_it_is_encoded(demo: None, tmp_path: Path):
    script = tmp_path / "script.py"
    script.write_bytes("# coding: latin-1\nprint(ascii('é'))\n".encode("latin-1"))
    assert run_in_shell(f"K exec demo - < {script}").stdout == b"'\\xe9'\n"


@pytest.mark.parametrize("command", ["K exec demo -", "K run -"])
def test_what_is_no_text_is_refused_as_wrong_usage(demo: None, command: str):
    result = run_in_shell(f"printf '\\xff\\xfe x' | {command}")
    assert (result.returncode, result.stdout) == (2, b"")
    assert result.stderr.startswith(b"rpyc-kernel: standard input cannot be read, as it is no text: ")


def test_data_on_standard_input_answers_the_code(demo: None):
    result = run_in_shell("printf 'one\\ntwo\\n' | K exec demo 'print(input(), input())'")
    assert (result.returncode, result.stdout) == (0, b"one two\n")


@pytest.mark.parametrize(
    "command",
    [
        "K exec demo 'for i in range(300_000): print(i)'",
        "K run - <<< 'for i in range(300_000): print(i)'",
        "K log demo --json",
        "K log demo",
    ],
)
def test_head_ends_a_pipeline_without_a_word(demo: None, command: str):
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as kernel:
        kernel.execute("for i in range(50_000): print(i)", timeout=PATIENCE_S)
    result = run_in_shell(f'{command} | head -1; echo "${{PIPESTATUS[0]}}"')
    assert result.stdout.splitlines()[-1] == b"141"
    assert result.stderr == b""


def test_a_pipeline_of_two_kernels_works(demo: None):
    result = run_in_shell(
        "K exec demo 'for i in range(3): print(i)' | K run <(echo 'print(input() + input() + input())')"
    )
    assert (result.returncode, result.stdout) == (0, b"012\n")


# ---------------------------------------------------------------------- exit status


@pytest.mark.parametrize(
    ("command", "status"),
    [
        ("K exec demo 1", 0),
        ("K exec demo 1/0", 1),
        ("K exec demo 'def f(:'", 1),
        ("K exec demo 'raise KeyboardInterrupt'", 130),
        ("K exec demo 'raise SystemExit(True)'", 1),
        ("K exec demo 'raise SystemExit(-1)'", 255),
        ("K exec --json demo 'raise SystemExit(7)'", 7),
        ("K run - <<< 'import sys; sys.exit(5)'", 5),
        ("K run - <<< '1/0'", 1),
        ("K run - <<< 'import os; os._exit(3)'", 3),
        ("K run --kernel demo - <<< 'raise SystemExit(9)'", 9),
    ],
)
def test_the_exit_status_is_that_of_the_code(demo: None, command: str, status: int):
    assert run_in_shell(command).returncode == status


@pytest.mark.parametrize(
    ("command", "status", "message"),
    [
        ("K exec nobody 1", 3, "kernel 'nobody' is not running; start it with 'rpyc-kernel start nobody'"),
        ("K run --kernel nobody - <<< 1", 3, "kernel 'nobody' is not running"),
        ("K run --cwd /no/such/folder - <<< 1", 2, "/no/such/folder"),
        ("K exec", 2, "'rpyc-kernel exec --help' tells how to use it"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(folders: Folders, command: str, status: int, message: str):
    result = run_in_shell(command)
    assert (result.returncode, result.stdout) == (status, b"")
    assert result.stderr.startswith(b"rpyc-kernel: ")
    assert message in result.stderr.decode()
    assert b"Traceback" not in result.stderr


# ---------------------------------------------------------------------- JSON, engines


def test_json_is_one_object_a_line(demo: None):
    run_command("exec", "demo", "x, y = 42, 'text'; print('one\\ntwo'); x")
    for command in (
        ["exec", "demo", "print('one'); 2", "--json"],
        ["exec", "demo", "1/0", "--json"],
        ["run", "--json", "-"],
        ["log", "demo", "--json"],
        ["vars", "demo", "--json"],
    ):
        lines = run_command(*command, input_text="print('one\\ntwo')").stdout.splitlines()
        assert len(lines) >= 2
        assert all(isinstance(json.loads(line), dict) for line in lines)
    shown = {variable["name"]: variable["preview"] for variable in map(json.loads, lines)}
    assert shown == {"x": "42", "y": "'text'"}


def test_programs_run_without_magics_unless_told(folders: Folders):
    assert run_command("run", "-", input_text="get_ipython").returncode == 1
    assert run_command("run", "--engine", "ipython", "-", input_text="get_ipython").returncode == 0
