"""Debugging without Jupyter: breakpoints by file and line, code run up to them, and every way out of a stop."""

import json
import json.decoder
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import CallTimeout, KernelClient, RequestError
from rpyc_kernel.errors import ConnectionLost, ExecutionError, KernelDied
from tests.end_to_end.clients import PATIENCE_S
from tests.support.folders import Folders
from tests.support.waiting import wait_until

debugpy = pytest.importorskip("debugpy")
pytestmark = pytest.mark.shares_kernel

_PROGRAM = """\
import sys


def double(number):
    # no code in this line

    result = 2 * number
    return result


total = 0
for number in range(4):
    total += double(number)
print(total, *sys.argv[1:])
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    path = tmp_path / "program.py"
    path.write_text(_PROGRAM)
    return path


def _place(stopped):
    return None if stopped is None else (stopped.reason, stopped.frames[0].name, stopped.frames[0].line)


def test_a_file_stops_is_looked_at_and_led_on(kernel: KernelClient, program: Path) -> None:
    with kernel.debugger() as debugger:
        (moved,) = debugger.set_breakpoints(program, [(5, "number > 1")])
        assert (moved.line, moved.is_verified, moved.message) == (7, True, "")
        stopped = debugger.run_file(program, ["one"], timeout=PATIENCE_S)
        assert _place(stopped) == ("breakpoint", "double", 7)
        assert [(frame.name, frame.file, frame.line) for frame in stopped.frames] == [
            ("double", str(program), 7),
            ("<module>", str(program), 13),
        ]
        assert [(each.name, each.value, each.type) for each in debugger.variables()] == [("number", "2", "int")]
        assert "total" in [each.name for each in debugger.variables(stopped.frames[1])]
        assert debugger.evaluate("total + 1", stopped.frames[1]).value == "3"
        with pytest.raises(RequestError, match="NameError"):
            debugger.evaluate("nothing")
        stepped = debugger.step_over(stopped, timeout=PATIENCE_S)
        assert _place(stepped) == ("step", "double", 8)
        with pytest.raises(RequestError, match="gone on"):
            debugger.step_over(stopped)
        outer = debugger.step_out(stepped, timeout=PATIENCE_S)
        assert (outer.frames[0].name, debugger.source(str(program))[2:4]) == ("<module>", ["", "def double(number):"])
        again = debugger.continue_(outer, timeout=PATIENCE_S)
        assert debugger.evaluate("number").value == "3"
        assert debugger.continue_(again, timeout=PATIENCE_S) is None
        assert debugger.execution.stdout == "12 one\n"
        # It holds the next time, too, and for others.
        other = kernel.submit("double(7)")
        assert _place(debugger.wait(PATIENCE_S)) == ("breakpoint", "double", 7)
    assert other.result(PATIENCE_S) == 14


def test_inputs_stop_by_their_numbers(kernel: KernelClient) -> None:
    count = kernel.execute("def f(a):\n    b = a\n    return b", timeout=PATIENCE_S).count
    with kernel.debugger() as debugger:
        (known,) = debugger.set_breakpoints(count, [2])
        (coming,) = debugger.set_breakpoints(count + 1, [2])
        assert (known.is_verified, coming.is_verified) == (True, False)
        assert coming.message == f"no input has been called <In {count + 1}> yet"
        assert [each.file for each in debugger.breakpoints] == [f"<In {count}>", f"<In {count + 1}>"]
        stopped = debugger.run("x = 1\nf(x)\ny = 2", timeout=PATIENCE_S)
        assert (stopped.frames[0].file, stopped.frames[0].line) == (f"<In {count + 1}>", 2)
        stopped = debugger.step_in(stopped, timeout=PATIENCE_S)
        assert [(frame.file, frame.line) for frame in stopped.frames] == [
            (f"<In {count}>", 2),
            (f"<In {count + 1}>", 2),
        ]
        assert debugger.set_breakpoints(count, []) == []
        assert debugger.continue_(stopped, timeout=PATIENCE_S) is None
        assert debugger.run("f(1)", timeout=PATIENCE_S) is None


def test_wrong_breakpoints_are_told_and_stop_nobody(kernel: KernelClient, program: Path) -> None:
    with kernel.debugger() as debugger:
        wrong, right, beyond = debugger.set_breakpoints(program, [(7, "x ="), 11, 99])
        assert wrong.message.startswith("the condition 'x =' is no expression: ")
        assert (wrong.is_verified, right.is_verified, right.line, beyond.is_verified) == (False, True, 11, False)
        assert beyond.message == f"{program} has no code at line 99 or behind it"
        (nowhere,) = debugger.set_breakpoints("nowhere.py", [1])
        path = os.path.join(kernel.cwd(), "nowhere.py")
        assert (nowhere.file, nowhere.is_verified) == (path, False)
        assert nowhere.message == f"there is no file {path!r} where the kernel runs; save it, and set them again"
        for line in (0, "1", (1, 2), 1.5, True):
            with pytest.raises(RequestError, match="is no line"):
                debugger.set_breakpoints(program, [line])
        stopped = debugger.run_file(program, timeout=PATIENCE_S)
        assert _place(stopped) == ("breakpoint", "<module>", 11)
        assert debugger.continue_(stopped, timeout=PATIENCE_S) is None


def test_running_code_is_paused_and_waiting_ends_in_time(kernel: KernelClient) -> None:
    with kernel.debugger() as debugger:
        with pytest.raises(CallTimeout, match="pause"):
            debugger.run("while True:\n    pass", file="/tmp/spins.py", timeout=0.1)
        debugger.pause()
        stopped = debugger.wait(PATIENCE_S)
        assert stopped.frames[0].file == "/tmp/spins.py"
        spinning = debugger.execution
        spinning.interrupt(wait=PATIENCE_S)
        assert debugger.wait(PATIENCE_S) is None
        with pytest.raises(RequestError, match="gone on"):
            debugger.continue_(stopped)
        with pytest.raises(RequestError, match="no code stands still"):
            debugger.evaluate("1")
    assert isinstance(spinning.exception(PATIENCE_S), ExecutionError | rpyc_kernel.ExecutionInterrupted)


def test_there_is_one_debugger_and_the_next_finds_none_of_its_breakpoints(kernel: KernelClient, program: Path) -> None:
    with kernel.debugger() as debugger:
        debugger.set_breakpoints(program, [7])
        with rpyc_kernel.connect("demo") as other, pytest.raises(RequestError, match="debugs this kernel"):
            other.debugger()
    with kernel.debugger() as debugger:
        assert debugger.run_file(program, timeout=PATIENCE_S) is None
    with pytest.raises(ConnectionLost):
        debugger.wait()


@pytest.mark.own_kernel
def test_a_worker_that_is_gone_at_a_stop_is_told(kernel: KernelClient, program: Path) -> None:
    with kernel.debugger() as debugger:
        debugger.set_breakpoints(program, [7])
        stopped = debugger.run_file(program, timeout=PATIENCE_S)
        os.kill(kernel.status()["worker_pid"], signal.SIGKILL)
        with pytest.raises(KernelDied):
            debugger.continue_(stopped, timeout=PATIENCE_S)
        with pytest.raises(KernelDied):
            debugger.variables(stopped.frames[0])
        with pytest.raises(KernelDied):
            debugger.execution.result(PATIENCE_S)
    wait_until(lambda: kernel.status()["generation"] == 2, PATIENCE_S, "the next worker")
    with kernel.debugger() as debugger:
        assert debugger.run("6 * 7", timeout=PATIENCE_S) is None


@pytest.mark.own_kernel
def test_of_a_worker_from_a_bundle_only_the_users_frames_are_shown(
    folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", tmp_path / "env"], check=True)
    (packages,) = (tmp_path / "env").glob("lib/python*/site-packages")
    (packages / "debugpy").symlink_to(Path(debugpy.__file__).parent)
    python = str(tmp_path / "env" / "bin" / "python")
    with rpyc_kernel.start("bundled", python=python, timeout=PATIENCE_S) as kernel, kernel.debugger() as debugger:
        debugger.set_breakpoints(1, [1])
        stopped = debugger.run("a = 1", timeout=PATIENCE_S)
        assert [(frame.name, frame.file) for frame in stopped.frames] == [("<module>", "<In 1>")]


def test_a_python_without_debugpy_says_what_to_install(kernel: KernelClient) -> None:
    hidden = "import importlib.util as u; find = u.find_spec\n"
    hidden += "u.find_spec = lambda name, *more: None if name == 'debugpy' else find(name, *more)"
    kernel.execute(hidden, timeout=PATIENCE_S)
    try:
        with pytest.raises(RequestError, match="-m pip install debugpy"):
            kernel.debugger()
    finally:
        kernel.execute("u.find_spec = find", timeout=PATIENCE_S)


def test_what_would_wait_behind_code_that_stands_still_is_refused(kernel: KernelClient, program: Path) -> None:
    with kernel.debugger() as debugger:
        debugger.set_breakpoints(program, [7])
        stopped = debugger.run_file(program, timeout=PATIENCE_S)
        with pytest.raises(RequestError, match="stands still"):
            debugger.run("1", timeout=PATIENCE_S)
        with pytest.raises(RequestError, match="stands still"):
            debugger.run_file(program, timeout=PATIENCE_S)
        debugger.set_breakpoints(program, [])
        assert debugger.continue_(stopped, timeout=PATIENCE_S) is None
        assert debugger.run("1", timeout=PATIENCE_S) is None


def test_a_stop_during_which_somebody_is_interrupted_is_told_once_more(
    kernel: KernelClient, program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    with kernel.debugger() as debugger:
        debugger.set_breakpoints(program, [11])
        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(type(debugger), "_look_at", interrupt)
            with pytest.raises(KeyboardInterrupt):
                debugger.run_file(program, timeout=PATIENCE_S)
        stopped = debugger.wait(PATIENCE_S)
        assert _place(stopped) == ("breakpoint", "<module>", 11)
        assert debugger.continue_(stopped, timeout=PATIENCE_S) is None


def test_a_breakpoint_in_a_library_is_told_to_stop_nobody_unless_it_is_asked_for(kernel: KernelClient) -> None:
    library = json.decoder.__file__
    line = json.JSONDecoder.decode.__code__.co_firstlineno + 1
    with kernel.debugger() as debugger:
        (told,) = debugger.set_breakpoints(library, [line])
        assert (told.is_verified, told.message) == (
            False,
            f"{library} is of a library, and the debugger stops in the user's own code alone",
        )
        assert debugger.run("import json; json.loads('1')", timeout=PATIENCE_S) is None
        debugger._ask("attach", justMyCode=False)
        (told,) = debugger.set_breakpoints(library, [line])
        assert (told.is_verified, told.message) == (True, "")
        stopped = debugger.run("json.loads('2')", timeout=PATIENCE_S)
        assert stopped.frames[0].file == library
        assert debugger.continue_(stopped, timeout=PATIENCE_S) is None
