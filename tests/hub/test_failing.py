"""What goes wrong in a hub is written down, and ends it where it could not go on; nothing is silent."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel.hub.failing import EXIT_STATUS

PATIENCE_S = 60.0
PREPARED = """
import sys, threading
from pathlib import Path
from rpyc_kernel.hub import failing
from rpyc_kernel.hub.log import write_log

write_log(Path(sys.argv[1]))
failing.watch_threads()

def fail():
    raise LookupError("a fault of ours")

"""


def run(code, log):
    done = subprocess.run(
        [sys.executable, "-c", PREPARED + code, str(log)], capture_output=True, text=True, timeout=PATIENCE_S
    )
    return done.returncode, log.read_text()


def test_a_thread_that_dies_ends_the_hub_and_says_why(tmp_path):
    status, log = run(
        'threading.Thread(target=fail, name="pump-1").start(); threading.Event().wait()', tmp_path / "log"
    )
    assert status == EXIT_STATUS
    assert "thread pump-1 failed, and the hub ends; the next one takes over the worker" in log
    assert "LookupError: a fault of ours" in log


def test_an_error_that_ends_the_main_thread_is_logged(tmp_path):
    status, log = run("fail()", tmp_path / "log")
    assert status == 1
    assert "LookupError: a fault of ours" in log


def test_an_error_that_cannot_be_raised_is_logged_and_ends_nothing(tmp_path):
    code = """
class Fragile:
    def __del__(self):
        fail()

Fragile()
sys.exit(5)
"""
    status, log = run(code, tmp_path / "log")
    assert status == 5
    assert "an error could not be raised" in log
    assert "LookupError: a fault of ours" in log


def test_the_end_of_a_child_is_seen_without_a_descriptor_left():
    code = """
import os, subprocess, sys
from rpyc_kernel.system.processes import Child

child = Child(subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"]))
try:
    while True:
        os.dup(0)
except OSError:
    print(child.wait().reason)
"""
    done = subprocess.run(
        ["sh", "-c", 'ulimit -n 50; exec "$0" -c "$1"', sys.executable, code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.stdout, done.stderr) == ("exited with status 3\n", "")


SOURCES = Path(rpyc_kernel.__file__).parent
AT_START = {
    "hub/__main__.py": {"main"},
    "hub/lifetime.py": {"_start_announcer"},
    "hub/listening.py": {"_load", "certify"},  # and when somebody asks for it, who is told if it cannot be
    "system/processes.py": {"spawn_module"},
}
"""Where imports come late on purpose, before a hub serves anybody; or what a hub has loaded already."""


@pytest.mark.parametrize(
    "file",
    [
        *(path.relative_to(SOURCES).as_posix() for path in (SOURCES / "hub").glob("*.py")),
        *(path.relative_to(SOURCES).as_posix() for path in (SOURCES / "core").glob("*.py")),
        *("system/processes.py", "system/frames.py", "system/ring.py", "wire/values/server.py", "wire/channel.py"),
    ],
)
def test_nothing_is_imported_when_there_may_be_no_descriptor_left(file):
    late = {
        function.name
        for function in ast.walk(ast.parse((SOURCES / file).read_text()))
        if isinstance(function, (ast.FunctionDef, ast.AsyncFunctionDef))
        for node in ast.walk(function)
        if isinstance(node, (ast.Import, ast.ImportFrom))
    }
    assert late <= AT_START.get(file, set())
