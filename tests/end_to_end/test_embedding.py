import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import BadName, ExecutionInterrupted, KernelClient, KernelError, KernelExists, RequestError
from tests.end_to_end.clients import PATIENCE_S
from tests.support.waiting import wait_until

PROGRAM = Path(__file__).parent / "programs" / "embedding.py"
TEST_WITH_BREAKPOINT = """
import rpyc_kernel

def test_at_a_breakpoint():
    secret = 42
    rpyc_kernel.embed("demo")
    assert secret == 42
"""


class Program(subprocess.Popen[str]):
    """A program that embeds 'demo'."""

    def finish(self) -> tuple[int, str, str]:
        """Its exit status, and what it has printed."""
        out, err = self.communicate(timeout=PATIENCE_S)
        return self.returncode, out, err


@contextmanager
def running(*arguments: str) -> Iterator[Program]:
    program = Program(
        [sys.executable, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with program:
            try:
                yield program
            finally:
                program.kill()
    finally:
        program.wait()


def join() -> KernelClient:
    """A client of the kernel, once it is there."""
    found: list[KernelClient] = []

    def try_it() -> bool:
        try:
            found.append(rpyc_kernel.connect("demo", timeout=PATIENCE_S))
        except KernelError:
            return False
        return True

    wait_until(try_it, timeout_s=PATIENCE_S)
    return found[0]


def use_together(check: Callable[[KernelClient], None] = lambda client: None) -> None:
    """What two clients do with a program, which then goes on."""
    with join() as one, rpyc_kernel.connect("demo", timeout=PATIENCE_S) as other:
        assert one.execute("shared = 6\nprint('of an execution')\nshared * 7").value == 42
        assert other.execute("shared + 1").value == 7
        said = [event.text for event in other.events(follow=False) if event.kind == "stream"]
        assert "".join(said) == "of an execution\n"
        endless = one.submit("while True: pass")
        wait_until(lambda: one.status()["busy_since"] is not None)
        assert other.interrupt(endless.id).status == "stopped"
        with pytest.raises(ExecutionInterrupted):
            endless.result(timeout=PATIENCE_S)
        check(one)
        with pytest.raises(RequestError, match=r"embedded in .* cannot be restarted; it ends with that program"):
            other.restart()
        one.shutdown()


def look_into_function(client: KernelClient) -> None:
    assert client.execute("secret").value == 42


def look_at_loop(client: KernelClient) -> None:
    before = client.execute("steps").value
    wait_until(lambda: client.execute("steps").value > before)


def await_something(client: KernelClient) -> None:
    code = "import asyncio\nawait asyncio.sleep(0)\nasyncio.current_task() in asyncio.all_tasks()"
    assert client.execute(code).value is True


def ask_flask(client: KernelClient) -> None:
    assert client.execute("application.test_client().get('/').text").value == "answered"


@pytest.mark.parametrize(
    ("way", "check", "status", "printed"),
    [
        ("block", look_into_function, 0, "goes on with 42\n"),
        ("thread", look_at_loop, 3, "begins\ngoes on True []\nagain\n"),
        ("poll", await_something, 0, "goes on\n"),
        ("loop", await_something, 0, "goes on\n"),
        ("qt", await_something, 0, "goes on\n"),
        ("flask", ask_flask, 0, "goes on\n"),
    ],
)
def test_two_clients_use_a_program_which_then_goes_on_and_ends_as_ever(
    folders: object, way: str, check: Callable[[KernelClient], None], status: int, printed: str
) -> None:
    if way in ("qt", "flask"):
        pytest.importorskip({"qt": "PySide6.QtCore", "flask": "flask"}[way])
    with running(str(PROGRAM), way) as program:
        use_together(check)
        assert program.finish() == (status, printed, "")


def test_two_clients_look_into_a_test_of_pytests_at_a_breakpoint(folders: object, tmp_path: Path) -> None:
    file = tmp_path / "test_of_somebody.py"
    file.write_text(TEST_WITH_BREAKPOINT)
    with running("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(file)) as program:
        use_together(look_into_function)
        status, out, err = program.finish()
    assert (status, err) == (0, "")
    assert "1 passed" in out


def test_what_waits_in_the_main_thread_is_interrupted_and_the_program_is_not(folders: object) -> None:
    with running(str(PROGRAM), "block") as program, join() as client:
        asleep = client.submit("import time; time.sleep(3600)")
        wait_until(lambda: client.status()["busy_since"] is not None)
        assert asleep.interrupt().status == "stopped"
        client.shutdown()
        assert program.finish() == (0, "goes on with 42\n", "")


def test_input_in_an_execution_asks_the_client(folders: object) -> None:
    with running(str(PROGRAM), "block") as program, join() as client:
        asking = client.submit("input('who? ')")
        wait_until(lambda: bool(client.status()["prompts"]))
        client.answer_input("me")
        assert asking.result(timeout=PATIENCE_S) == "me"
        client.shutdown()
        assert program.finish()[0] == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_program_that_is_killed_ends_its_kernel_which_says_so(folders: object, number: signal.Signals) -> None:
    with running(str(PROGRAM), "thread") as program, join() as client:
        waiting = client.submit("import time; time.sleep(3600)")
        wait_until(lambda: client.status()["busy_since"] is not None)
        program.send_signal(number)
        with pytest.raises(KernelError, match=r"the program that it was embedded in has ended: .*embedding.py thread"):
            waiting.result(timeout=PATIENCE_S)
        assert program.finish()[0] == -number
    wait_until(lambda: not rpyc_kernel.kernels())


def test_a_hub_that_is_killed_gives_the_program_back_and_a_kernel_can_be_embedded_again(folders: object) -> None:
    with running(str(PROGRAM), "thread") as program, join() as client:
        os.kill(client.status()["hub_pid"], signal.SIGKILL)
        assert program.finish() == (3, "begins\ngoes on True []\nagain\n", "")


def test_a_client_that_is_cut_off_takes_nothing_along(folders: object) -> None:
    with running(str(PROGRAM), "thread") as program:
        with join() as client:
            client.submit("left = 1")
        with join() as client:
            assert client.execute("left").value == 1
            client.shutdown()
        assert program.finish()[0] == 3


def test_a_forked_child_is_no_kernel(folders: object) -> None:
    with running(str(PROGRAM), "fork") as program:
        status, out, err = program.finish()
    assert (status, err) == (0, "")
    assert "forked from one with the embedded kernel 'demo', and cannot have one itself" in out
    assert out.endswith("open True\n")


def test_a_second_kernel_of_the_same_name_is_refused(folders: object) -> None:
    with rpyc_kernel.embed("demo", namespace={}, main="thread") as kernel:
        with pytest.raises(RequestError, match=rf"process {os.getpid()}\) has the embedded kernel 'demo' already"):
            rpyc_kernel.embed("demo", namespace={}, main="thread")
        with running(str(PROGRAM), "block") as program:
            status, _, err = program.finish()
        assert status == 1
        assert "KernelExists: kernel 'demo' is running already (hub process " in err
        with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as client:
            run = client.submit("import rpyc_kernel; rpyc_kernel.embed('inside')")
            with pytest.raises(KernelError, match="this is a kernel's own process; connect to it"):
                run.result(timeout=PATIENCE_S)
        assert kernel.is_open
    assert not kernel.is_open


def test_a_kernel_of_the_same_name_elsewhere_is_named(folders: object) -> None:
    with rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S) as client:
        with pytest.raises(KernelExists, match=f"hub process {client.status()['hub_pid']}"):
            rpyc_kernel.embed("demo", namespace={}, main="thread")
        run = client.submit("import rpyc_kernel; rpyc_kernel.embed('inside')")
        with pytest.raises(KernelError, match="this is a kernel's own process; connect to it"):
            run.result(timeout=PATIENCE_S)
        client.shutdown()


def test_bad_arguments_get_a_clear_word() -> None:
    with pytest.raises(RequestError, match="the namespace must be a dict, not list"):
        rpyc_kernel.embed("demo", namespace=[])  # type: ignore[arg-type]
    with pytest.raises(RequestError, match="main is one of 'block', 'thread', 'loop' and 'poll', not 'fast'"):
        rpyc_kernel.embed("demo", main="fast")
    with pytest.raises(RequestError, match="needs a running asyncio loop"):
        rpyc_kernel.embed("demo", main="loop")
    with pytest.raises(BadName):
        rpyc_kernel.embed("no name")


def test_embedding_gives_back_all_descriptors_and_hooks(folders: object) -> None:
    import builtins
    import getpass
    import threading

    def surroundings() -> tuple[object, ...]:
        return (
            sys.stdout, sys.stderr, sys.stdin, sys.argv, sys.path[:], os.getcwd(), builtins.input, getpass.getpass,
            threading.Thread.start, sys.getswitchinterval(), sys.excepthook, sorted(vars(builtins)),
            [signal.getsignal(number) for number in signal.valid_signals()], len(os.listdir("/dev/fd")),
        )  # fmt: skip

    async def in_loop() -> None:
        with rpyc_kernel.embed("demo", namespace={}, main="loop"):
            await asyncio.sleep(0)

    with ExitStack() as first:  # what is loaded the first time stays
        first.enter_context(rpyc_kernel.embed("demo", namespace={}, main="poll"))
    before = surroundings()
    with rpyc_kernel.embed("demo", namespace={}, main="thread"):
        pass
    asyncio.run(in_loop())
    assert surroundings() == before
