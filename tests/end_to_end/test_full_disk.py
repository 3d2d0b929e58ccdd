"""A full disk stops nobody: code goes on, clients are told, and what is held in memory is saved when there is room."""

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient
from rpyc_kernel.core.contract import Kind, Outcome
from tests.end_to_end.health import DEADLINE_S, assert_goes_on, goes_on  # noqa: F401 - a fixture
from tests.support.folders import Folders
from tests.support.waiting import wait_until

resource = pytest.importorskip("resource")
pytestmark = [
    pytest.mark.skipif(not hasattr(resource, "prlimit"), reason="only Linux can limit another process"),
    pytest.mark.usefixtures("goes_on"),
]


@contextmanager
def full_disk(kernel: KernelClient) -> Iterator[None]:
    """No file of the hub's can grow: writing fails with EFBIG, as Python ignores SIGXFSZ."""
    hub = kernel.status()["hub_pid"]
    _, hard = resource.prlimit(hub, resource.RLIMIT_FSIZE)
    resource.prlimit(hub, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        with suppress(ProcessLookupError):  # the test may have ended it
            resource.prlimit(hub, resource.RLIMIT_FSIZE, (hard, hard))


def journal_of(folders: Folders) -> Path:
    return folders.state / "demo" / "journal.sqlite"


def recorded(folders: Folders) -> list[tuple[int, str, str]]:
    """Number, kind and payload of what the file holds, which has to be sound."""
    with closing(sqlite3.connect(f"file:{journal_of(folders)}?mode=ro", uri=True)) as journal:
        assert journal.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return journal.execute("SELECT seq, kind, payload FROM events ORDER BY seq").fetchall()


def recorded_lines(folders: Folders) -> list[str]:
    texts = [json.loads(payload)["text"] for _, kind, payload in recorded(folders) if kind == Kind.STREAM]
    return [line for line in "".join(texts).splitlines() if line.startswith("line ")]


def kinds_of(kernel: KernelClient) -> list[str]:
    return [event.kind for event in kernel.events(since=0, follow=False)]


def print_lines(kernel: KernelClient, first: int, last: int) -> None:
    """Print numbered lines, each by itself; they arrive whatever the disk does."""
    execution = kernel.execute(
        f"for number in range({first}, {last}): print('line', number, 'x' * 100)", timeout=DEADLINE_S
    )
    assert execution.stdout == "".join(f"line {number} {'x' * 100}\n" for number in range(first, last))


def lines(first: int, last: int) -> list[str]:
    return [f"line {number} {'x' * 100}" for number in range(first, last)]


def kill_hub(kernel: KernelClient, *others: int) -> None:
    """End the hub, and others with it, and the client; another hub can take over then."""
    for pid in (kernel.status()["hub_pid"], *others):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not kernel.is_connected, DEADLINE_S, "the hub to be gone")
    kernel.close()  # or it would come back to the next one
    # The last threads of a killed process keep its files, and so the lock, a moment longer.
    wait_until(lambda: not any(info.state == "running" for info in rpyc_kernel.kernels()), DEADLINE_S, "the lock")


def test_code_goes_on_and_clients_are_told_while_the_disk_is_full(kernel, folders):
    print_lines(kernel, 0, 1000)
    before = recorded(folders)
    with full_disk(kernel):
        for number in range(1, 5):
            print_lines(kernel, number * 1000, (number + 1) * 1000)
        assert kernel.execute("6 * 7").value == 42
        (trouble,) = [event for event in kernel.events(since=0, follow=False) if event.kind == Kind.JOURNAL_TROUBLE]
        assert "journal" in trouble.message
        assert "cannot be written" in trouble.message
        assert "held in memory" in trouble.message
        # What was recorded stays as it was, and who comes late still sees all of it.
        assert recorded(folders)[: len(before)] == before
        assert recorded_lines(folders) == lines(0, 1000)
        with rpyc_kernel.connect("demo", timeout=DEADLINE_S) as late:
            texts = [event.text for event in late.events(since=0, follow=False) if event.kind == Kind.STREAM]
            assert "".join(texts).splitlines() == lines(0, 5000)


def test_what_was_held_in_memory_is_saved_once_when_there_is_room(kernel, folders):
    print_lines(kernel, 0, 1000)
    with full_disk(kernel):
        for number in range(1, 5):
            print_lines(kernel, number * 1000, (number + 1) * 1000)
        wait_until(lambda: Kind.JOURNAL_TROUBLE in kinds_of(kernel), DEADLINE_S, "trouble to be told")
    # Nothing more has to happen in the kernel for that.
    wait_until(lambda: Kind.JOURNAL_RECOVERED in kinds_of(kernel), DEADLINE_S, "recovery to be told")
    wait_until(lambda: len(recorded_lines(folders)) >= 5000, DEADLINE_S, "the lines to be saved")
    print_lines(kernel, 5000, 6000)
    assert recorded_lines(folders) == lines(0, 6000)
    assert [number for number, *_ in recorded(folders)] == list(range(1, len(recorded(folders)) + 1))
    kinds = kinds_of(kernel)
    assert (kinds.count(Kind.JOURNAL_TROUBLE), kinds.count(Kind.JOURNAL_RECOVERED)) == (1, 1)
    assert [kind for _, kind, _ in recorded(folders)] == kinds


def test_a_disk_that_is_full_again_and_again_damages_nothing(kernel, folders):
    for number in range(0, 10, 2):
        with full_disk(kernel):
            print_lines(kernel, number * 500, (number + 1) * 500)
        print_lines(kernel, (number + 1) * 500, (number + 2) * 500)
    wait_until(lambda: len(recorded_lines(folders)) >= 5000, DEADLINE_S, "the lines to be saved")
    assert recorded_lines(folders) == lines(0, 5000)
    assert [number for number, *_ in recorded(folders)] == list(range(1, len(recorded(folders)) + 1))
    kinds = kinds_of(kernel)
    wait_until(lambda: kinds_of(kernel).count(Kind.JOURNAL_RECOVERED) == kinds.count(Kind.JOURNAL_TROUBLE), DEADLINE_S)


def test_a_disk_that_becomes_full_in_the_middle_of_a_transaction_damages_nothing(kernel, folders):
    print_lines(kernel, 0, 500)
    hub = kernel.status()["hub_pid"]
    _, hard = resource.prlimit(hub, resource.RLIMIT_FSIZE)
    for number in range(1, 11):
        # Room for a part of what comes, a different one each time.
        size = max(path.stat().st_size for path in journal_of(folders).parent.iterdir())
        resource.prlimit(hub, resource.RLIMIT_FSIZE, (size + number * 3333, hard))
        print_lines(kernel, number * 500, (number + 1) * 500)
        resource.prlimit(hub, resource.RLIMIT_FSIZE, (hard, hard))
    wait_until(lambda: len(recorded_lines(folders)) >= 5500, DEADLINE_S, "the lines to be saved")
    assert recorded_lines(folders) == lines(0, 5500)


def test_a_kernel_can_be_stopped_and_started_again_on_a_full_disk(kernel, folders):
    print_lines(kernel, 0, 1000)
    with full_disk(kernel):
        print_lines(kernel, 1000, 2000)
        kernel.shutdown(timeout=DEADLINE_S)
    with rpyc_kernel.start("demo", timeout=DEADLINE_S) as again:
        assert again.execute("6 * 7", timeout=DEADLINE_S).value == 42
        assert recorded_lines(folders) == lines(0, 1000)


def test_a_hub_that_is_killed_while_the_disk_is_full_leaves_the_journal_sound(kernel, folders):
    print_lines(kernel, 0, 1000)
    with full_disk(kernel):
        print_lines(kernel, 1000, 2000)
        kill_hub(kernel)
    assert recorded_lines(folders) == lines(0, 1000)
    with rpyc_kernel.start("demo", timeout=DEADLINE_S) as again:
        print_lines(again, 2000, 3000)
        assert recorded_lines(folders) == lines(0, 1000) + lines(2000, 3000)
        assert_goes_on(again)


def test_what_ended_while_the_disk_was_full_has_ended_for_the_next_hub_too(kernel, folders):
    kernel.execute("import threading; gate = threading.Event()", timeout=DEADLINE_S)
    main = kernel.submit("gate.wait()")
    side = kernel.submit("gate.wait()", lane="side")
    # Both are recorded as started.
    wait_until(lambda: [kind for _, kind, _ in recorded(folders)].count(Kind.STARTED) == 3, DEADLINE_S, "the start")
    with full_disk(kernel):
        kernel.eval("gate.set()")
        main.result(DEADLINE_S), side.result(DEADLINE_S)
        kill_hub(kernel)
    with rpyc_kernel.start("demo", timeout=DEADLINE_S) as again:
        ends = {}
        for event in again.events(since=0):
            if event.kind == Kind.FINISHED and event.execution in (main.id, side.id):
                ends[event.execution] = event.outcome
                if len(ends) == 2:
                    break
        assert ends == {main.id: Outcome.LOST, side.id: Outcome.LOST}
        assert again.execute("gate.is_set()", timeout=DEADLINE_S).value is True


def test_what_was_answered_while_the_disk_was_full_is_answered_for_the_next_hub_too(kernel, folders):
    run = kernel.submit("input('one? '), input('two? ')")
    wait_until(lambda: Kind.INPUT_REQUESTED in [kind for _, kind, _ in recorded(folders)], DEADLINE_S, "the question")
    with full_disk(kernel):
        kernel.answer_input("first", run.id)
        wait_until(lambda: kinds_of(kernel).count(Kind.INPUT_REQUESTED) == 2, DEADLINE_S, "the next question")
        kill_hub(kernel)
    with rpyc_kernel.start("demo", timeout=DEADLINE_S) as again:
        asked = (event for event in again.events(since=0) if event.kind == Kind.INPUT_REQUESTED)
        assert next(event for event in asked if event.prompt == "two? ").execution == run.id
        wait_until(lambda: len(again.status()["prompts"]) == 1, DEADLINE_S, "the first question to be forgotten")
        again.answer_input("second", run.id)
        assert again.execution(run.id).result(DEADLINE_S) == ("first", "second")


@pytest.mark.parametrize("lives", [True, False], ids=["its worker lives", "its worker dies, too"])
def test_no_number_is_given_twice_though_the_disk_was_full_when_the_hub_was_killed(kernel, folders, lives):
    kernel.execute("import threading; gate = threading.Event()", timeout=DEADLINE_S)
    with full_disk(kernel):
        running, queued = kernel.submit("gate.wait()"), kernel.submit("'mine'")
        next(event for event in queued.events(timeout=DEADLINE_S) if event.kind == Kind.QUEUED)
        status = kernel.status()
        last = status["last"]
        kill_hub(kernel, *([] if lives else [status["worker_pid"]]))
    with rpyc_kernel.start("demo", timeout=DEADLINE_S) as again:
        assert next(iter(again.events(since=last))).seq > last
        other = again.submit("'other'")
        assert other.id > queued.id > running.id
        assert next(event for event in other.events(timeout=DEADLINE_S) if event.kind == Kind.QUEUED).seq > last
        with pytest.raises(rpyc_kernel.KernelError):
            again.execution(queued.id).result(timeout=DEADLINE_S)


def test_a_worker_can_be_replaced_after_the_disk_was_full(kernel, folders):
    with full_disk(kernel):
        print_lines(kernel, 0, 1000)
    assert kernel.restart() == 2
    print_lines(kernel, 1000, 2000)
    wait_until(lambda: len(recorded_lines(folders)) >= 2000, DEADLINE_S, "the lines to be saved")
    assert recorded_lines(folders) == lines(0, 2000)
