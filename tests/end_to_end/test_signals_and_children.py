"""Who gets Ctrl-C, what a program's own signals do, and what becomes of children."""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import ExecutionInterrupted, KernelClient
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.clients import PATIENCE_S
from tests.support.folders import Folders, temporary_folders
from tests.support.processes import list_processes
from tests.support.waiting import wait_until


@pytest.fixture(scope="module", params=["plain", "ipython"])
def kernel(request: pytest.FixtureRequest) -> Iterator[KernelClient]:
    with temporary_folders() as folders, pytest.MonkeyPatch.context() as patch:
        for name, value in folders.environment.items():
            patch.setenv(name, value)
        with rpyc_kernel.start("demo", engine=request.param, timeout=PATIENCE_S) as client:
            client.execute("import os, signal, subprocess, sys, threading, _thread", timeout=PATIENCE_S)
            # What it opens when it is first needed is none of a test's own.
            assert client.eval("1") == client.submit("1").result(PATIENCE_S)
            yield client
            client.shutdown(timeout=PATIENCE_S)


def list_alive() -> set[int]:
    return {process.pid for process in list_processes() if not process.is_zombie}


def read_pid(path: Path) -> int:
    """The number that a child writes into a file when it runs."""
    return int(wait_until(lambda: path.exists() and path.read_text(), PATIENCE_S, "the child"))


# ---------------------------------------------------------------------- Ctrl-C

# By the shell alone: one that waits for a command that ends well takes no SIGINT meanwhile.
SLEEPER = "echo $$ > {path}; exec sleep 600"
WAITING = {
    "os.system": "os.system({command!r})",
    "Popen.wait": "subprocess.Popen(['sh', '-c', {command!r}]).wait()",
    "subprocess.run": "subprocess.run({command!r}, shell=True)",
    "a shell's child": "subprocess.run('(' + {command!r} + '); true', shell=True)",
    "a pool of processes": "import concurrent.futures\nwith concurrent.futures.ProcessPoolExecutor(1) as pool:\n"
    "  pool.submit(os.system, {command!r}).result()",
}


@pytest.mark.parametrize("code", WAITING.values(), ids=WAITING)
def test_an_interrupt_reaches_the_children_that_the_code_waits_for(kernel: KernelClient, code: str, tmp_path: Path):
    path = tmp_path / "pid"
    run = kernel.submit(code.format(command=SLEEPER.format(path=path)))
    child = read_pid(path)
    assert run.interrupt(wait=PATIENCE_S).status == "stopped"
    assert isinstance(run.exception(PATIENCE_S), ExecutionInterrupted)
    wait_until(lambda: child not in list_alive(), PATIENCE_S, "the child's end")
    assert kernel.execute("6 * 7", timeout=PATIENCE_S).value == 42


@pytest.mark.parametrize("kernel", ["ipython"], indirect=True)
def test_an_interrupt_reaches_what_a_magic_has_started(kernel: KernelClient, tmp_path: Path):
    path = tmp_path / "pid"
    run = kernel.submit("%%bash\n" + SLEEPER.format(path=path))
    child = read_pid(path)
    assert run.interrupt(wait=PATIENCE_S).status == "stopped"
    run.exception(PATIENCE_S)
    wait_until(lambda: child not in list_alive(), PATIENCE_S, "the child's end")


@pytest.mark.skipif(sys.platform == "darwin", reason="the system does not tell which thread has started a child")
def test_an_interrupt_of_a_side_lane_reaches_what_its_thread_has_started_and_nothing_else(
    kernel: KernelClient, tmp_path: Path
):
    command = SLEEPER.format
    kernel.execute(f"kept = subprocess.Popen({command(path=tmp_path / 'kept')!r}, shell=True)", timeout=PATIENCE_S)
    run = kernel.submit(f"subprocess.run({command(path=tmp_path / 'own')!r}, shell=True)", lane="side")
    kept, own = (read_pid(tmp_path / name) for name in ("kept", "own"))
    try:
        assert run.interrupt(wait=PATIENCE_S).status == "stopped"
        assert isinstance(run.exception(PATIENCE_S), ExecutionInterrupted)
        wait_until(lambda: own not in list_alive(), PATIENCE_S, "the child's end")
        assert kept in list_alive()
    finally:
        kernel.execute("kept.kill(); kept.wait()", timeout=PATIENCE_S)


def test_an_interrupt_leaves_alone_what_goes_on_in_the_background(kernel: KernelClient, tmp_path: Path):
    code = "background = subprocess.Popen(['sh', '-c', {!r}])".format(SLEEPER.format(path=tmp_path / "earlier"))
    kernel.execute(code, timeout=PATIENCE_S)
    run = kernel.submit(
        "own = subprocess.Popen(['sh', '-c', {!r}], start_new_session=True)\nos.system({!r})".format(
            SLEEPER.format(path=tmp_path / "own"), SLEEPER.format(path=tmp_path / "waited")
        )
    )
    earlier, own, waited = (read_pid(tmp_path / name) for name in ("earlier", "own", "waited"))
    try:
        assert run.interrupt(wait=PATIENCE_S).status == "stopped"
        wait_until(lambda: waited not in list_alive(), PATIENCE_S, "the child's end")
        assert {earlier, own} <= list_alive()
    finally:
        for pid in (earlier, own):
            os.kill(pid, signal.SIGKILL)
        kernel.execute("background.wait(), own.wait()", timeout=PATIENCE_S)


# ---------------------------------------------------------------------- the order of output


def test_prints_and_what_children_write_keep_their_order(kernel: KernelClient):
    burden = "import threading\nbusy = True\ndef spin():\n  while busy: pass\n"
    burden += "spinner = threading.Thread(target=spin); spinner.start()"
    kernel.execute(burden, timeout=PATIENCE_S)
    run = kernel.execute(
        "for i in range(20):\n  print('print', i); os.system(f'echo child {i}')\n  print('after', i)\n"
        "busy = False; spinner.join()",
        timeout=PATIENCE_S,
    )
    expected = [f"{who} {number}" for number in range(20) for who in ("print", "child", "after")]
    assert run.stdout.splitlines() == expected


# ---------------------------------------------------------------------- signals of the program's own

OWN = {
    "_thread.interrupt_main": "_thread.interrupt_main()",
    "signal.raise_signal": "signal.raise_signal(signal.SIGINT)",
    "os.kill": "os.kill(os.getpid(), signal.SIGINT)",
    "a thread": "threading.Thread(target=_thread.interrupt_main).start(); threading.Event().wait()",
    "an awaiting cell": "import asyncio\nasyncio.get_running_loop().call_later(0, _thread.interrupt_main)\n"
    "await asyncio.sleep(60)",
}


@pytest.mark.parametrize("code", OWN.values(), ids=OWN)
def test_code_may_interrupt_itself(kernel: KernelClient, code: str):
    run = kernel.submit(code + "\nprint('never')")
    assert isinstance(run.exception(PATIENCE_S), ExecutionInterrupted)
    assert run.stdout == ""
    caught = kernel.execute(
        "try:\n  signal.raise_signal(signal.SIGINT)\nexcept KeyboardInterrupt: print('caught')", timeout=PATIENCE_S
    )
    assert caught.stdout == "caught\n"


def test_a_sigint_while_nothing_runs_is_ignored(kernel: KernelClient):
    os.kill(kernel.status()["worker_pid"], signal.SIGINT)
    assert kernel.execute("6 * 7", timeout=PATIENCE_S).value == 42


IDLE = {
    "a handler that raises": "def handle(number, frame): raise LookupError('from the handler')",
    "a handler that raises KeyboardInterrupt": "def handle(number, frame): raise KeyboardInterrupt('from the handler')",
    "one that is no Exception": "class Base(BaseException): pass\n"
    "def handle(number, frame): raise Base('from the handler')",
}


@pytest.mark.parametrize("code", IDLE.values(), ids=IDLE)
def test_an_exception_while_nothing_runs_is_shown_and_the_kernel_stays(kernel: KernelClient, code: str):
    run = kernel.execute(
        f"kept = 'the namespace'\n{code}\nsignal.signal(signal.SIGALRM, handle)\n"
        "signal.setitimer(signal.ITIMER_REAL, 0.2); None",
        timeout=PATIENCE_S,
    )
    ended = next(event for event in run.events(timeout=PATIENCE_S) if event.kind == Kind.FINISHED)
    shown = ""
    for event in kernel.events(since=ended.seq):
        if event.kind == Kind.STREAM:
            assert (event.execution, event.name) == (None, "stderr")
            shown += event.text
            if "from the handler\n" in shown:
                break
    assert shown.startswith("Traceback")
    assert "in handle" in shown
    assert "asyncio" not in shown
    assert "rpyc_kernel" not in shown
    assert kernel.execute("kept", timeout=PATIENCE_S).value == "the namespace"


def test_handlers_that_raise_strike_user_code_only(kernel: KernelClient):
    kernel.execute(
        "kept = 'the namespace'\nclass Late(Exception): pass\ndef strike(number, frame): raise Late\n"
        "_ = signal.signal(signal.SIGALRM, strike), signal.setitimer(signal.ITIMER_REAL, 0.002, 0.002)",
        timeout=PATIENCE_S,
    )
    runs = [kernel.submit("sum(range(20_000)); 6 * 7") for _ in range(100)]
    raised = [run.exception(PATIENCE_S) for run in runs]
    assert {getattr(error, "ename", None) for error in raised} <= {None, "Late"}
    stopping = None
    while stopping is None or stopping.exception(PATIENCE_S) is not None:
        stopping = kernel.submit("_ = signal.setitimer(signal.ITIMER_REAL, 0)")
    assert kernel.execute("kept", timeout=PATIENCE_S).value == "the namespace"


# ---------------------------------------------------------------------- children, and the end of the worker

BACKGROUND = """
import atexit, subprocess, sys, threading
def start(path, before="", **options):
    command = f"{{before}} echo $$ > {{path}}.new; mv {{path}}.new {{path}}; exec sleep 600"
    return subprocess.Popen(["sh", "-c", command], stdout=subprocess.DEVNULL, **options)
start({0!r} + "/plain")
start({0!r} + "/apart", start_new_session=True)
start({0!r} + "/deaf", before="trap '' HUP;")
atexit.register(lambda: open({0!r} + "/last_words", "w").close())
threading.Thread(target=threading.Event().wait).start()
import concurrent.futures
concurrent.futures.ThreadPoolExecutor(1).submit(int).result()
"""
ENDS = {
    "restart": lambda kernel: kernel.restart(timeout=PATIENCE_S),
    "shutdown": lambda kernel: kernel.shutdown(timeout=PATIENCE_S),
    "killed": lambda kernel: os.kill(kernel.status()["worker_pid"], signal.SIGKILL),
}


@pytest.mark.parametrize("end", ENDS)
def test_children_end_with_the_worker_unless_they_are_detached(folders: Folders, end: str, tmp_path: Path):
    with rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S) as kernel:
        kernel.execute(BACKGROUND.format(str(tmp_path)), timeout=PATIENCE_S)
        plain, apart, deaf = (read_pid(tmp_path / name) for name in ("plain", "apart", "deaf"))
        try:
            ENDS[end](kernel)
            wait_until(lambda: plain not in list_alive(), PATIENCE_S, "the child's end")
            if end != "killed":
                assert (tmp_path / "last_words").exists()
            if end != "shutdown":
                wait_until(lambda: kernel.status()["generation"] == 2, PATIENCE_S, "the next worker")
                assert kernel.execute("6 * 7", timeout=PATIENCE_S).value == 42
                kernel.shutdown(timeout=PATIENCE_S)
            assert {apart, deaf} <= list_alive()
        finally:
            for pid in (apart, deaf):
                os.kill(pid, signal.SIGKILL)


RESET = """
import os, signal, time
for number in signal.valid_signals() - {{signal.SIGKILL, signal.SIGSTOP}}:
    try:
        signal.signal(number, signal.SIG_DFL)
    except OSError:
        pass  # one of the C library's own
print("begun")
while not os.path.exists({0!r}): time.sleep(0.01)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what a signal would do is read from /proc")
def test_code_that_resets_all_signals_costs_nobody_the_kernel(folders: Folders, tmp_path: Path):
    with rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S) as kernel:
        reset = kernel.submit(RESET.format(str(tmp_path / "enough")))
        wait_until(lambda: "begun" in reset.stdout, PATIENCE_S, "the output")
        assert f'File "<In {reset.count}>", line ' in kernel.stack(timeout=PATIENCE_S)
        assert kernel.interrupt(reset.id, wait=0.1).status == "unanswered"
        (tmp_path / "enough").touch()
        reset.result(PATIENCE_S)
        endless = kernel.submit("print('begun')\nwhile True: pass")
        wait_until(lambda: "begun" in endless.stdout, PATIENCE_S, "the output")
        assert kernel.interrupt(endless.id, wait=PATIENCE_S).status == "stopped"
        with pytest.raises(ExecutionInterrupted):
            endless.result(PATIENCE_S)
        assert kernel.status()["generation"] == 1
        kernel.shutdown(timeout=PATIENCE_S)


def test_a_debugger_that_leaves_costs_nobody_the_kernel_where_code_ends_programs_of_broken_pipes(folders: Folders):
    pytest.importorskip("debugpy")
    with rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S) as kernel:
        kernel.execute("import signal; signal.signal(signal.SIGPIPE, signal.SIG_DFL)")
        for _ in range(2):  # the second comes in when the first is cleared away
            kernel.open_debugger().close()
        assert kernel.eval("signal.getsignal(signal.SIGPIPE) == signal.SIG_DFL") is True
        assert kernel.status()["generation"] == 1
        kernel.shutdown(timeout=PATIENCE_S)


def test_a_kernel_that_nohup_has_started_is_like_any_other(folders: Folders):
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        kernel = rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S)
    finally:
        signal.signal(signal.SIGHUP, before)
    with kernel:
        kernel.execute("import signal, subprocess", timeout=PATIENCE_S)
        assert kernel.execute("signal.getsignal(signal.SIGHUP) == signal.SIG_DFL", timeout=PATIENCE_S).value is True
        kernel.shutdown(timeout=PATIENCE_S)
