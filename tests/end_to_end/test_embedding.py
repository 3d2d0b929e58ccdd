import asyncio
import json
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
from tests.end_to_end.commands import run_command
from tests.end_to_end.terminals import OpenTerminal
from tests.support.waiting import wait_until

PROGRAM = Path(__file__).parent / "programs" / "embedding.py"
SHARE = PROGRAM.with_name("share.py")
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


def use_together(events: Path, check: Callable[[KernelClient], None] = lambda client: None) -> None:
    """What clients in three processes do with a program, which then goes on; one of them is killed."""
    follows = subprocess.Popen(
        [sys.executable, str(SHARE), "demo", "other", str(events), "shared = 6; print('of the other')"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with ExitStack() as opened:
        opened.enter_context(follows)
        opened.callback(follows.kill)
        assert follows.stdin is not None
        assert follows.stdout is not None
        assert follows.stdout.readline() == "done\n"
        one = opened.enter_context(rpyc_kernel.connect("demo", timeout=PATIENCE_S))
        assert one.execute("print('of one'); shared * 7").value == 42
        endless = one.submit("while True: pass")
        wait_until(lambda: one.status()["busy_since"] is not None)
        assert run_command("interrupt", "demo").returncode == 0
        with pytest.raises(ExecutionInterrupted):
            endless.result(timeout=PATIENCE_S)
        check(one)
        with pytest.raises(RequestError, match=r"embedded in .* cannot be restarted; it ends with that program"):
            one.restart()
        print(one.status()["last"], file=follows.stdin, flush=True)
        assert follows.stdout.readline() == "written\n"
        follows.kill()
        for seen in (
            map(json.loads, events.read_text().splitlines()),
            (event.as_dict() for event in one.events(0, follow=False)),
        ):
            said = [event["text"] for event in seen if event["kind"] == "stream"]
            assert "".join(said).startswith("of the other\nof one\n")
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
def test_clients_in_other_processes_use_a_program_which_then_goes_on_and_ends_as_ever(
    folders: object, tmp_path: Path, way: str, check: Callable[[KernelClient], None], status: int, printed: str
) -> None:
    if way in ("qt", "flask"):
        pytest.importorskip({"qt": "PySide6.QtCore", "flask": "flask"}[way])
    with running(str(PROGRAM), way) as program:
        join().close()
        use_together(tmp_path / "events", check)
        assert program.finish() == (status, printed, "")


def test_clients_in_other_processes_look_into_a_test_of_pytests_at_a_breakpoint(
    folders: object, tmp_path: Path
) -> None:
    file = tmp_path / "test_of_somebody.py"
    file.write_text(TEST_WITH_BREAKPOINT)
    with running("-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", os.devnull, str(file)) as program:
        join().close()
        use_together(tmp_path / "events", look_into_function)
        status, out, err = program.finish()
    assert (status, err) == (0, "")
    assert "1 passed" in out


def test_at_a_terminal_a_console_opens_and_the_program_goes_on_when_it_is_left(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("block", program=[sys.executable, str(PROGRAM)])
    terminal.wait_for_sentence("the program waits here as kernel 'demo'; others look in by")
    terminal.enter("secret")
    terminal.wait_for(r"^42$")
    with join() as other:  # somebody else looks in, and is seen
        other.execute("print('somebody', secret + 1)")
        terminal.wait_for("somebody 43")
    terminal.type("\x04")
    terminal.wait_for(r"^the program goes on$")
    terminal.wait_for(r"^goes on with 42$")
    assert terminal.wait_for_end() == 0


def test_ctrl_c_at_the_terminal_means_what_the_console_says_and_nothing_to_the_program(
    open_terminal: OpenTerminal,
) -> None:
    terminal = open_terminal("twice", program=[sys.executable, str(PROGRAM)])
    terminal.enter("import threading; gate = threading.Event()")
    terminal.enter("gate.wait(); 'it was left alone'")
    with join() as other:
        wait_until(lambda: (other.status()["running"] or {}).get("execution") == 2)
    os.killpg(terminal.child.pid, signal.SIGINT)  # as the terminal does, at a key, where nobody reads keys
    terminal.wait_for("execution 2 goes on in the background")
    terminal.type("\x03")
    terminal.wait_for(r"interrupt execution 2")
    terminal.type("n\n")
    with join() as other:
        other.eval("gate.set()")
    terminal.wait_for("Out: 'it was left alone'")
    terminal.wait_for("finished: ok")
    terminal.wait_for_prompt()
    terminal.type("\x03")  # there is nothing that it could mean, but to the program
    terminal.wait_for("nothing is running; Ctrl-D leaves")
    terminal.wait_for_prompt()
    terminal.type("\x04")
    terminal.wait_for("and says:")
    terminal.type("itself\n")
    terminal.wait_for("goes on after 1 itself")
    terminal.wait_for("the program waits here", count=2)
    with join() as other:  # whoever stops the kernel closes the console
        other.shutdown()
    terminal.wait_for("and says:", count=2)
    terminal.type("\x03")  # is the program's own again
    terminal.wait_for("KeyboardInterrupt")
    assert terminal.wait_for_end() == -signal.SIGINT


def test_a_hub_that_is_killed_closes_the_console_of_the_program(open_terminal: OpenTerminal) -> None:
    terminal = open_terminal("block", program=[sys.executable, str(PROGRAM)])
    terminal.wait_for_prompt()
    with join() as other:
        os.kill(other.status()["hub_pid"], signal.SIGKILL)
    terminal.wait_for(r"^goes on with 42$")
    assert terminal.wait_for_end() == 0


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
