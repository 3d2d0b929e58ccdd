"""User code that takes away what the kernel stands on: its descriptors, its room, its folder; and await without end."""

from collections.abc import Iterator
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.clients import PATIENCE_S
from tests.support.folders import temporary_folders
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def kernel() -> Iterator[KernelClient]:
    with pytest.MonkeyPatch.context() as patch, temporary_folders() as folders:
        for name, value in folders.environment.items():
            patch.setenv(name, value)
        with rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S) as client:
            # What it opens when it is first needed is none of a test's own.
            assert client.submit("7").result(PATIENCE_S) == 7
            yield client
            client.shutdown(timeout=PATIENCE_S)


def test_a_worker_that_can_hear_nobody_is_lost_with_the_reason(kernel: KernelClient):
    generation = kernel.status()["generation"]
    kernel.submit("import os\nos.closerange(3, 256)")
    deaths = (event for event in kernel.events() if event.kind == Kind.WORKER_DIED and event.generation == generation)
    assert "its code has closed what it hears its hub by" in next(deaths).reason
    wait_until(lambda: kernel.status()["generation"] > generation, PATIENCE_S, "the next worker")
    assert kernel.execute("6 * 7", timeout=PATIENCE_S).value == 42


CLOSE_THE_CONNECTION = """
import os, socket
for descriptor in range(3, 256):
    try:
        with socket.socket(fileno=os.dup(descriptor)) as sock:
            is_connected = sock.family == socket.AF_UNIX and bool(sock.getsockname()) and sock.getpeername() is not None
    except OSError:
        continue
    if is_connected:
        os.close(descriptor)
"""


def test_a_worker_whose_connection_is_closed_is_ended_when_it_does_nothing_more(kernel: KernelClient):
    kernel.execute(CLOSE_THE_CONNECTION, timeout=PATIENCE_S)
    with pytest.raises(rpyc_kernel.KernelDied):
        kernel.execute("1", timeout=PATIENCE_S)
    assert kernel.execute("6 * 7", timeout=PATIENCE_S).value == 42


def test_what_clients_send_never_takes_the_number_of_a_standard_stream(kernel: KernelClient):
    kernel.execute("import os\nkept = [os.dup(number) for number in (0, 1)]\nos.close(1)\nos.close(0)")
    try:
        with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as another:
            assert another.eval("2 + 2") == 4
            assert another.pull("list(b'ab')") == [97, 98]
            kernel.execute("os.system('echo into nothing')", timeout=PATIENCE_S)
            assert another.eval("3 + 3") == 6
    finally:
        kernel.execute("os.dup2(kept[0], 0); os.dup2(kept[1], 1); print()", timeout=PATIENCE_S)


def test_children_do_not_inherit_the_connections_of_clients(kernel: KernelClient):
    kernel.execute("import os, sys", timeout=PATIENCE_S)
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as another:
        assert another.eval("1") == 1
        listing = "import os; print([n for n in range(3, 256) if os.path.exists(f'/dev/fd/{n}') and n != 3])"
        run = kernel.execute(f'os.system(sys.executable + """ -c "{listing}" """)', timeout=PATIENCE_S)
        assert run.stdout.strip() in ("[]", "[4]")  # of the listing itself


def test_what_finds_no_room_is_told_shortly_and_the_code_ends_as_it_would(kernel: KernelClient):
    kernel.execute(
        "import resource, signal\nlimits = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))",
        timeout=PATIENCE_S,
    )
    try:
        with pytest.raises(rpyc_kernel.ExecutionError) as caught:
            kernel.execute("raise ValueError('y' * 20_000_000)", timeout=PATIENCE_S)
        assert (caught.value.ename, "cannot be handed on: File too large" in caught.value.evalue) == (
            "ValueError",
            True,
        )
        shown = kernel.execute("'z' * 20_000_000", timeout=PATIENCE_S)
        (result,) = [event for event in shown.outputs if event.kind == Kind.RESULT]
        assert "cannot be handed on: File too large" in result.data["text/plain"]
        assert kernel.execute("print('p' * 2_000_000)", timeout=PATIENCE_S).stdout == "p" * 2_000_000 + "\n"
    finally:
        kernel.execute("resource.setrlimit(resource.RLIMIT_FSIZE, limits)", timeout=PATIENCE_S)


@pytest.mark.parametrize("waits", [False, True])
def test_the_kernel_stays_in_a_loop_from_which_all_readers_were_taken(kernel: KernelClient, waits: bool):
    take = "import asyncio\nfor number in range(300): asyncio.get_event_loop().remove_reader(number)"
    kernel.execute(take + ("\nawait asyncio.sleep(0)" if waits else ""), timeout=PATIENCE_S)
    assert kernel.execute("6 * 7", timeout=PATIENCE_S).value == 42


SWALLOW = """
import asyncio
while True:
    try:
        asyncio.get_running_loop().call_soon(print, "waits")  # once it does
        await asyncio.sleep(600)
    except asyncio.CancelledError:
        pass
"""


@pytest.mark.parametrize("force", [None, "exception"])
def test_code_that_takes_a_cancellation_for_its_own_ends_by_the_next_interrupt_or_by_force(kernel: KernelClient, force):
    execution = kernel.submit(SWALLOW)
    waiting = (event for event in execution.events(timeout=PATIENCE_S) if event.kind == Kind.STREAM)
    next(waiting)
    if force is None:
        kernel.interrupt()
        next(waiting)  # it has swallowed that
    kernel.interrupt(**({} if force is None else {"force": force}))
    assert isinstance(execution.exception(PATIENCE_S), rpyc_kernel.ExecutionInterrupted)


def test_a_program_runs_where_the_working_directory_is_gone(kernel: KernelClient, tmp_path: Path):
    (tmp_path / "program.py").write_text("print('ran')")
    kernel.execute(
        "import os, tempfile\nbefore = os.getcwd()\nos.chdir(tempfile.mkdtemp())\nos.rmdir(os.getcwd())",
        timeout=PATIENCE_S,
    )
    try:
        run = kernel.run_file(tmp_path / "program.py", [], namespace="fresh")
        assert (run.result(PATIENCE_S), run.stdout) == (None, "ran\n")
    finally:
        kernel.execute("os.chdir(before)", timeout=PATIENCE_S)
