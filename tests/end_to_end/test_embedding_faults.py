"""What goes wrong around a kernel that a program embeds: the program and the others go on, with a clear word."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import BadName, KernelError, RequestError
from rpyc_kernel.worker.embedded_kernel import EmbeddedKernel
from tests.end_to_end.clients import PATIENCE_S
from tests.end_to_end.test_embedding import join
from tests.support.waiting import in_thread, wait_until

PROGRAM = Path(__file__).parent / "programs" / "embedding_ends.py"
ENDED = r"the program that it was embedded in has ended: .*embedding_ends.py {}"


def embed(main: str, **namespace: object) -> EmbeddedKernel:
    kernel = rpyc_kernel.embed("demo", namespace=namespace, main=main)
    assert kernel is not None
    return kernel


@contextmanager
def running(way: str) -> Iterator[subprocess.Popen[str]]:
    """A program whose kernel is there, and which ends its way at a word on its standard input."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, str(PROGRAM), way], **pipes, text=True) as program:  # type: ignore[call-overload]
        try:
            assert program.stdout.readline() == "begins\n"
            yield program
        finally:
            program.kill()


@pytest.mark.parametrize(
    ("way", "status", "out", "err"),
    [
        ("exits", 5, "", ""),
        ("exits_at_once", 6, "", ""),
        ("is_killed", -signal.SIGKILL, "", ""),
        ("is_terminated", -signal.SIGTERM, "", ""),
        ("raises", 1, "", "ValueError: of the program\n"),
        ("blocks_in_a_daemon", 0, "goes on\n", ""),
    ],
)
def test_a_program_that_ends_meanwhile_ends_as_ever_and_its_clients_hear_why(
    folders: object, way: str, status: int, out: str, err: str
) -> None:
    with running(way) as program, join() as client:
        waiting = client.submit("threading.Event().wait()")
        wait_until(lambda: client.status()["busy_since"] is not None)
        printed, said = program.communicate("now\n", timeout=PATIENCE_S)
        assert (program.returncode, printed) == (status, out)
        assert said.endswith(err) if err else said == ""
        with pytest.raises(KernelError, match=ENDED.format(way)):
            waiting.result(timeout=PATIENCE_S)
    wait_until(lambda: not rpyc_kernel.kernels())
    assert_log_tells(f"is lost: the program that it was embedded in has ended: {Path(sys.executable).name} ")


def assert_log_tells(what: str) -> None:
    """That `log` still knows of a kernel that has ended."""
    command = [sys.executable, "-m", "rpyc_kernel", "log", "demo"]
    assert what in subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S, check=True).stdout


def test_a_forked_child_of_multiprocessing_is_no_kernel_and_its_parent_goes_on(folders: object) -> None:
    with running("forks") as program:
        printed, said = program.communicate("now\n", timeout=PATIENCE_S)
    assert (program.returncode, said) == (0, "")
    assert printed.startswith("this process was forked from one with the embedded kernel 'demo', and cannot have one")
    assert printed.endswith("child 0, open True\n")


def test_of_two_threads_that_embed_at_once_one_has_a_kernel(folders: object) -> None:
    both = threading.Barrier(2)

    def try_it(name: str) -> EmbeddedKernel | None:
        both.wait()
        return rpyc_kernel.embed(name, namespace={}, main="thread")

    calls = [in_thread(try_it, name) for name in ("one", "other")]
    errors = [error for call in calls if (error := call.exception(PATIENCE_S))]
    kernels = [call.result() for call in calls if not call.exception()]
    for kernel in kernels:
        assert kernel is not None
        kernel.close()
    assert len(kernels) == 1
    assert "has the embedded kernel" in str(errors[0])
    wait_until(lambda: not rpyc_kernel.kernels())


def test_a_program_that_has_closed_its_kernel_and_the_hub_do_not_wait_for_the_end_of_each_other(
    folders: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent / "patient_hubs"))
    embed("thread").close()
    wait_until(lambda: not rpyc_kernel.kernels())


def test_a_kernel_in_a_thread_blocks_that_thread_alone(folders: object) -> None:
    names: dict[str, object] = {}
    call = in_thread(lambda: rpyc_kernel.embed("demo", namespace=names))
    with join() as client:
        client.execute("x = 6 * 7")
        client.shutdown()
    assert call.result(PATIENCE_S) is None
    assert names["x"] == 42


def run_to_completion(coroutine: Coroutine[object, object, EmbeddedKernel]) -> EmbeddedKernel:
    return asyncio.new_event_loop().run_until_complete(coroutine)


@pytest.mark.parametrize("stop", [asyncio.run, run_to_completion])
def test_a_loop_that_ends_takes_its_kernel_along(folders: object, stop: Callable[..., EmbeddedKernel]) -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    async def begin() -> EmbeddedKernel:
        loops.append(asyncio.get_running_loop())
        assert len(asyncio.all_tasks()) == 1
        return embed("loop")

    kernel = stop(begin())
    if stop is asyncio.run:
        assert not kernel.is_open
        assert not rpyc_kernel.kernels()
    kernel.close()
    loops[0].close()
    embed("thread").close()


def test_a_kernel_whose_loop_is_closed_is_stopped_by_a_client(folders: object) -> None:
    async def begin() -> EmbeddedKernel:
        return embed("loop")

    loop = asyncio.new_event_loop()
    kernel = loop.run_until_complete(begin())
    loop.close()
    before = signal.getsignal(signal.SIGINT)
    with suppress(KernelError), rpyc_kernel.connect("demo", timeout=PATIENCE_S) as client:  # it may have seen it before
        client.shutdown()
    assert kernel.wait(PATIENCE_S)
    assert signal.getsignal(signal.SIGINT) is before


def test_what_runs_when_its_loop_ends_is_lost_and_the_loop_ends(folders: object) -> None:
    async def begin() -> None:
        embed("loop")
        with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as client:
            client.submit("import asyncio; await asyncio.sleep(3600)")
        while not any(task is not asyncio.current_task() for task in asyncio.all_tasks()):
            await asyncio.sleep(0)

    asyncio.run(begin())
    assert not rpyc_kernel.kernels()


def test_only_the_thread_that_embedded_polls(folders: object) -> None:
    with embed("poll") as kernel:
        word = "is polled in the thread that embedded it, and in no other one"
        with pytest.raises(RequestError, match=word):
            in_thread(kernel.poll).result(PATIENCE_S)
        assert kernel.poll()


def test_polling_within_an_execution_does_nothing(folders: object) -> None:
    namespace: dict[str, object] = {}
    with rpyc_kernel.embed("demo", namespace=namespace, main="poll") as kernel:  # type: ignore[union-attr]
        namespace["kernel"] = kernel
        with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as client:
            run = client.submit("kernel.poll()")
            while not run.done():
                kernel.poll(0.01)
            assert run.result() is True


def test_another_thread_closes_what_is_polled(folders: object) -> None:
    kernel = embed("poll")
    before = signal.getsignal(signal.SIGINT)
    in_thread(kernel.close).result(PATIENCE_S)
    assert not kernel.poll()
    assert kernel.wait(PATIENCE_S)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("main", ["block", "loop", "poll"])
def test_a_hub_that_is_killed_lets_the_program_go_on(folders: object, main: str) -> None:
    def kill() -> None:
        with join() as client:
            client.execute("'the program has heard of its hub'", timeout=PATIENCE_S)
            os.kill(client.status()["hub_pid"], signal.SIGKILL)

    killing = in_thread(kill)
    if main == "block":
        rpyc_kernel.embed("demo", namespace={})
    elif main == "poll":
        kernel = embed("poll")
        while kernel.poll(PATIENCE_S):
            pass
    else:

        async def serve() -> None:
            kernel = embed("loop")
            while kernel.is_open:
                await asyncio.sleep(0.01)

        asyncio.run(asyncio.wait_for(serve(), PATIENCE_S))
    killing.result(PATIENCE_S)
    embed("thread").close()


@pytest.mark.parametrize("name", [5, None, b"demo", "", "a/b", "..", "x" * 65])
def test_what_is_no_name_gets_a_clear_word(name: object) -> None:
    with pytest.raises(BadName, match="cannot name a kernel; use up to 64 letters"):
        rpyc_kernel.embed(name, namespace={}, main="thread")  # type: ignore[arg-type]


def test_a_program_without_arguments_or_folder_embeds_a_kernel(
    folders: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(sys, "argv")
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with embed("thread"), rpyc_kernel.connect("demo", timeout=PATIENCE_S) as client:
        assert client.execute("6 * 7").value == 42
