"""What a forked child of the worker does: it runs the rest of its code, ends by itself, and never serves the kernel."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient
from tests.end_to_end.clients import PATIENCE_S
from tests.support.folders import temporary_folders
from tests.support.processes import list_processes
from tests.support.waiting import wait_until


@pytest.fixture(scope="module", params=["plain", "ipython"])
def kernel(request: pytest.FixtureRequest) -> Iterator[KernelClient]:
    with temporary_folders() as folders, pytest.MonkeyPatch.context() as patch:
        for name, value in folders.environment.items():
            patch.setenv(name, value)
        with rpyc_kernel.start("demo", engine=request.param, timeout=PATIENCE_S) as client:
            client.execute("import os, sys; worker = os.getpid()", timeout=PATIENCE_S)
            # What it opens when it is first needed is none of a test's own.
            assert client.eval("worker")
            assert client.submit("7").result(PATIENCE_S) == 7
            yield client
            client.shutdown(timeout=PATIENCE_S)


def assert_goes_on(kernel: KernelClient) -> None:
    """The next code runs in the worker, and there is no other process that could take code from it."""
    for _ in range(3):
        assert kernel.execute("os.getpid() == worker", timeout=PATIENCE_S).value is True
    worker = kernel.status()["worker_pid"]
    wait_until(
        lambda: not [one for one in list_processes() if one.parent == worker and not one.is_zombie],
        PATIENCE_S,
        "the end of the worker's children",
    )


WAIT = "\nif os.getpid() == worker: print('status', os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))"
ENDINGS = {
    "falls through": ("pid = os.fork()", 0, ""),
    "raises": ("pid = os.fork()\nif not pid: 1 / 0", 1, "ZeroDivisionError: division by zero\n"),
    "leaves with a number": ("pid = os.fork()\nif not pid: sys.exit(7)", 7, ""),
    "leaves with words": ("pid = os.fork()\nif not pid: sys.exit('sorry')", 1, "sorry\n"),
    "is interrupted": (
        "pid = os.fork()\nimport signal\nif not pid: signal.raise_signal(signal.SIGINT)",
        130,
        "KeyboardInterrupt\n",
    ),
    "awaits": ("import asyncio\npid = os.fork()\nif not pid: await asyncio.sleep(0.01); sys.exit(5)", 5, ""),
    "raises after it has awaited": (
        "import asyncio\nawait asyncio.sleep(0)\npid = os.fork()\nif not pid:\n  await asyncio.sleep(0.01)\n  1 / 0",
        1,
        "ZeroDivisionError: division by zero\n",
    ),
    "runs a loop of its own": (
        "import asyncio\npid = os.fork()\nif not pid: asyncio.run(asyncio.sleep(0.01))",
        0,
        "",
    ),
}


@pytest.mark.parametrize(("code", "status", "said"), ENDINGS.values(), ids=ENDINGS)
def test_a_child_ends_as_a_script_does(kernel: KernelClient, code: str, status: int, said: str):
    run = kernel.execute(code + WAIT, timeout=PATIENCE_S)
    assert f"status {status}\n" in run.stdout
    assert run.stderr.endswith(said) if said else not run.stderr
    assert "rpyc_kernel" not in run.stderr
    assert run.status == "ok"
    assert_goes_on(kernel)


def test_what_a_child_prints_belongs_to_the_execution_that_forked_it(kernel: KernelClient):
    run = kernel.execute("pid = os.fork()\nprint('child' if not pid else 'parent')" + WAIT, timeout=PATIENCE_S)
    assert sorted(run.stdout.splitlines()) == ["child", "parent", "status 0"]
    assert_goes_on(kernel)


def test_a_child_runs_its_functions_of_atexit_and_writes_its_files(kernel: KernelClient, tmp_path: Path):
    run = kernel.execute(
        "import atexit\npid = os.fork()\n"
        f"if not pid:\n  atexit.register(print, 'last words'); file = open({str(tmp_path / 'text')!r}, 'w')\n"
        "  file.write('kept')" + WAIT,
        timeout=PATIENCE_S,
    )
    assert sorted(run.stdout.splitlines()) == ["last words", "status 0"]
    assert (tmp_path / "text").read_text() == "kept"
    assert_goes_on(kernel)


def test_a_child_at_a_terminal_of_its_own_ends_too(kernel: KernelClient):
    run = kernel.execute(
        "import pty\npid, terminal = pty.fork()\nif not pid: print('from the child')\n"
        "else: print(os.read(terminal, 100))" + WAIT,
        timeout=PATIENCE_S,
    )
    assert run.stdout == "b'from the child\\r\\n'\nstatus 0\n"
    assert_goes_on(kernel)


def test_a_daemon_runs_on_and_leaves_the_kernel_alone(kernel: KernelClient, tmp_path: Path):
    gate, out = tmp_path / "gate", tmp_path / "out"
    kernel.execute(
        "import time\n"
        "def daemonize():\n"
        "  if os.fork(): return False\n"
        "  os.setsid()\n"
        "  if os.fork(): os._exit(0)\n"
        "  return True\n"
        "if daemonize():\n"
        f"  while not os.path.exists({str(gate)!r}): time.sleep(0.01)\n"
        f"  open({str(out)!r}, 'w').write('done')\n"
        "else: os.wait()",
        timeout=PATIENCE_S,
    )
    assert_goes_on(kernel)
    gate.touch()
    wait_until(lambda: out.exists() and out.read_text() == "done", PATIENCE_S, "the daemon")


@pytest.mark.parametrize("lane", ["main", "side"])
def test_a_child_that_a_thread_has_forked_ends_too(kernel: KernelClient, lane: str):
    run = kernel.submit(
        "pid = os.fork()\nif not pid: sys.exit(6)" + WAIT
        if lane == "side"
        else "import threading\ndef work():\n  global pid\n  pid = os.fork()\nthread = threading.Thread(target=work)\n"
        "thread.start(); thread.join()" + WAIT,
        lane=lane,
    )
    run.result(PATIENCE_S)
    assert run.stdout == f"status {6 if lane == 'side' else 0}\n"
    assert_goes_on(kernel)


def test_a_child_forked_for_a_client_or_by_what_goes_on_behind_ends_too(kernel: KernelClient):
    assert kernel.eval("os.waitstatus_to_exitcode(os.waitpid(os.fork() or os._exit(3), 0)[1])") == 3
    # After a while another thread reads, which the child has not.
    for expression in ("os.fork()", "(__import__('time').sleep(0.2), os.fork())[1]"):
        pid = kernel.eval(expression)
        assert pid > 0
        assert kernel.eval(f"os.waitpid({pid}, 0)[0]") == pid
    kernel.execute(
        "import asyncio\nforked = asyncio.Event()\n"
        "async def behind():\n  await asyncio.sleep(0)\n  global pid\n  pid = os.fork()\n  forked.set()\n"
        "task = asyncio.get_running_loop().create_task(behind())",
        timeout=PATIENCE_S,
    )
    assert kernel.execute("await forked.wait()" + WAIT, timeout=PATIENCE_S).stdout == "status 0\n"
    kernel.execute(
        "def call_behind():\n  global pid\n  pid = os.fork()\nasyncio.get_running_loop().call_soon(call_behind)",
        timeout=PATIENCE_S,
    )
    wait_until(lambda: kernel.eval("'call_behind' in globals() and pid > 0"), PATIENCE_S)
    assert kernel.execute("pass" + WAIT, timeout=PATIENCE_S).stdout == "status 0\n"
    assert_goes_on(kernel)
