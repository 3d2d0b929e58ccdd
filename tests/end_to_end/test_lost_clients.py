import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from rpyc_kernel import KernelClient
from tests.end_to_end.clients import PATIENCE_S, ClientProcess, StartClient

PREPARE = "import threading; gate = threading.Event()"
LINE_CHARS = 1000


@pytest.fixture
def received(tmp_path: Path) -> Iterator[Path]:
    """A folder for much, which does not stay as long as pytest keeps its own."""
    yield tmp_path
    for file in tmp_path.iterdir():
        file.unlink()


def print_lines(first: int, last: int) -> str:
    return f"for n in range({first}, {last}): print(str(n).rjust({LINE_CHARS - 1}, '.'))"


def wait_for_bytes(client: ClientProcess, count: int) -> None:
    while int(client.hear("has")) < count:
        pass


def assert_holds_each_line_once(file: Path, lines: int) -> None:
    with file.open() as opened:
        pieces = [json.loads(line) for line in opened]
    numbers = [number for number, _ in pieces]
    assert numbers == sorted(set(numbers))
    printed = "".join(text for _, text in pieces).splitlines()
    assert [int(line.lstrip(".")) for line in printed] == list(range(lines))
    assert {len(line) for line in printed} == {LINE_CHARS - 1}


def test_a_client_killed_again_and_again_while_50_mb_are_printed_has_each_line_once(
    kernel: KernelClient, start_client: StartClient, received: Path
):
    lines = 50_000
    kernel.execute(PREPARE)
    # The gate before the last lines keeps the execution from ending before the client is killed.
    run = kernel.submit(f"{print_lines(0, 49_000)}\ngate.wait()\n{print_lines(49_000, lines)}")
    arguments = ("follow", "demo", "returning", received / "lines", run.id)
    for megabytes in range(2, 48, 9):
        client = start_client(*arguments)
        wait_for_bytes(client, megabytes * 1_000_000)
        client.kill()
    assert not run.done()
    kernel.eval("gate.set()")
    client = start_client(*arguments)
    client.hear("finished")
    assert client.wait() == 0
    assert_holds_each_line_once(received / "lines", lines)


def test_a_frozen_client_delays_neither_the_code_nor_another_client_and_then_receives_everything(
    kernel: KernelClient, start_client: StartClient, received: Path
):
    lines = 100_000
    kernel.execute(PREPARE)
    run = kernel.submit(f"{print_lines(0, 1)}\ngate.wait()\n{print_lines(1, lines)}")
    frozen = start_client("follow", "demo", "frozen", received / "frozen", run.id)
    awake = start_client("follow", "demo", "awake", received / "awake", run.id)
    wait_for_bytes(frozen, 1)
    wait_for_bytes(awake, 1)
    frozen.freeze()
    kernel.eval("gate.set()")
    run.result(PATIENCE_S)
    awake.hear("finished")
    assert frozen.is_frozen
    assert kernel.execute("'and what comes after it'", timeout=PATIENCE_S).status == "ok"
    assert frozen.is_frozen
    assert (received / "frozen").stat().st_size < 10 * LINE_CHARS
    frozen.thaw()
    frozen.hear("finished")
    assert frozen.wait() == 0
    assert_holds_each_line_once(received / "awake", lines)
    assert_holds_each_line_once(received / "frozen", lines)
