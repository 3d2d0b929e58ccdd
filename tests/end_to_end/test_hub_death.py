import concurrent.futures
import os
import signal
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

import rpyc_kernel
from rpyc_kernel import ConnectionLost, Event, KernelClient, KernelDied, NotAsked
from rpyc_kernel.client.events import EventStream
from rpyc_kernel.core.contract import Kind, Outcome
from rpyc_kernel.hub.server import _HEARING_S as HEARING_S
from rpyc_kernel.system import processes
from tests.end_to_end.clients import PATIENCE_S
from tests.support.folders import Folders
from tests.support.processes import suspend
from tests.support.waiting import wait_until

PREPARE = "import threading; gate = threading.Event()"
Start = Callable[..., KernelClient]


@pytest.fixture
def start(folders: Folders) -> Iterator[Start]:
    """Starts a hub for the same kernel, again and again, and closes the clients at the end."""
    with ExitStack() as opened:
        yield lambda **options: opened.enter_context(rpyc_kernel.start("demo", timeout=PATIENCE_S, **options))


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not processes.is_alive(pid), PATIENCE_S, what="the end of a killed process")


def kill_hub(kernel: KernelClient) -> None:
    kill(kernel.status()["hub_pid"])
    wait_until_free()


def wait_until_free() -> None:
    """Wait until another hub can take over: the last threads of a killed process keep its files a moment longer."""
    wait_until(lambda: not any(info.state == "running" for info in rpyc_kernel.kernels()), PATIENCE_S, what="the lock")


def reach_worker(kernel: KernelClient) -> Any:
    """The connection that goes straight to the worker, and so outlives the hub; made when it is answered there."""
    assert kernel.objects.root.eval("True")
    return kernel.objects


def read_output(kernel: KernelClient, execution: int, name: str = "stdout") -> str:
    """What the journal holds of an execution, read by a client that was not there, to the end of the execution."""
    printed = ""
    for event in kernel.events(since=0):
        if event.execution == execution and event.kind == Kind.STREAM and event.name == name:
            printed += event.text
        if event.execution == execution and event.kind == Kind.FINISHED:
            break
    return printed


def number_lines(first: int, last: int) -> str:
    return "".join(f"line {number}\n" for number in range(first, last))


def print_lines(first: int, last: int) -> str:
    return f"for number in range({first}, {last}): print('line', number)"


# The worker goes on without a hub


def test_clients_of_a_killed_hub_that_do_not_come_back_hear_of_it_at_once(start: Start):
    kernel = start(reconnect=0)
    kernel.execute(PREPARE, timeout=PATIENCE_S)
    run = kernel.submit("gate.wait()")
    kill_hub(kernel)
    assert isinstance(run.exception(PATIENCE_S), ConnectionLost)
    with pytest.raises(ConnectionLost):
        kernel.status()
    assert [(info.name, info.state) for info in rpyc_kernel.kernels()] == [("demo", "orphaned")]
    with pytest.raises(rpyc_kernel.NoSuchKernel, match="rpyc-kernel start demo"):
        rpyc_kernel.connect("demo")


def test_the_next_hub_finds_the_worker_with_its_namespace(start: Start):
    kernel = start()
    kernel.execute("kept = ['from before']", timeout=PATIENCE_S)
    worker = kernel.status()["worker_pid"]
    kill_hub(kernel)
    kernel = start()
    found = kernel.execute("kept[0]", timeout=PATIENCE_S)
    assert (found.value, found.count) == ("from before", 2)
    status = kernel.status()
    assert (status["worker_pid"], status["generation"]) == (worker, 1)
    assert [event.adopted for event in kernel.events(follow=False) if event.kind == Kind.WORKER_STARTED] == [
        False,
        True,
    ]


def test_a_hub_killed_while_200_000_lines_are_printed_neither_loses_nor_repeats_one(start: Start):
    kernel = start()
    kernel.execute(PREPARE, timeout=PATIENCE_S)
    # The gate keeps the code from ending before the last hub has come.
    run = kernel.submit(f"{print_lines(0, 190_000)}\ngate.wait()\n{print_lines(190_000, 200_000)}\nstill = 'here'")
    for threshold in (2000, 60_000, 120_000):
        wait_for_line(kernel, threshold)
        kill_hub(kernel)
        kernel = start()
        assert kernel.status()["running"]["execution"] == run.id
    kernel.eval("gate.set()")
    assert read_output(kernel, run.id) == number_lines(0, 200_000)
    assert kernel.execute("still", timeout=PATIENCE_S).value == "here"
    assert kernel.status()["generation"] == 1
    numbers = [event.seq for event in kernel.events(follow=False)]
    assert numbers == list(range(1, len(numbers) + 1))


def wait_for_line(kernel: KernelClient, number: int) -> None:
    """Wait until a line of this number or a later one is in the journal."""
    for event in kernel.events(since=0):
        if event.kind == Kind.STREAM:
            whole = [line for line in event.text.splitlines() if line.startswith("line ")]
            if any(int(line[5:] or 0) >= number for line in whole):
                return


def test_output_past_pythons_streams_waits_for_the_next_hub(start: Start):
    kernel = start()
    kernel.execute(PREPARE, timeout=PATIENCE_S)
    # More than a pipe holds.
    run = kernel.submit("import os\ngate.wait()\nfor number in range(20_000): os.write(1, b'%d\\n' % number)")
    objects = reach_worker(kernel)
    kill_hub(kernel)
    objects.root.eval("gate.set()")
    kernel = start()
    assert list(map(int, read_output(kernel, run.id).splitlines())) == list(range(20_000))


def test_code_that_ends_while_there_is_no_hub_is_finished_for_the_next(start: Start):
    kernel = start()
    kernel.execute(PREPARE + "; over = threading.Event()", timeout=PATIENCE_S)
    run = kernel.submit(f"gate.wait()\n{print_lines(0, 1000)}\nover.set()\n6 * 7")
    objects = reach_worker(kernel)
    kill_hub(kernel)
    objects.root.eval("gate.set()")
    assert objects.root.eval(f"over.wait({PATIENCE_S})")
    kernel = start()
    assert read_output(kernel, run.id) == number_lines(0, 1000)
    finished = next(e for e in kernel.events(since=0) if e.kind == Kind.FINISHED and e.execution == run.id)
    assert finished.outcome == Outcome.OK


# What the next hub takes over


def test_queued_executions_are_run_by_the_next_hub_in_their_order(start: Start):
    kernel = start()
    kernel.execute(PREPARE + "; ran = []", timeout=PATIENCE_S)
    running = kernel.submit("gate.wait(); ran.append('running')")
    queued = [kernel.submit(f"ran.append({number})") for number in range(20)]
    unwanted = kernel.submit("ran.append('unwanted')")
    unwanted.cancel()
    kill_hub(kernel)
    kernel = start()
    assert kernel.status()["running"]["execution"] == running.id
    assert [item["execution"] for item in kernel.status()["queue"]] == [execution.id for execution in queued]
    kernel.eval("gate.set()")
    assert list(kernel.execute("tuple(ran)", timeout=PATIENCE_S).value) == ["running", *range(20)]
    outcomes = {e.execution: e.outcome for e in kernel.events(follow=False) if e.kind == Kind.FINISHED}
    assert {outcomes[execution.id] for execution in (running, *queued)} == {Outcome.OK}
    assert outcomes[unwanted.id] == Outcome.CANCELLED


def test_side_executions_go_on_and_are_not_run_again(start: Start):
    kernel = start()
    kernel.execute(PREPARE + "; ran = []", timeout=PATIENCE_S)
    main = kernel.submit("gate.wait(); 'main'")
    side = kernel.submit("ran.append('side'); print('begun'); gate.wait()", lane="side")
    next(event for event in side.events(timeout=PATIENCE_S) if event.kind == Kind.STREAM)
    kill_hub(kernel)
    kernel = start()
    assert [item["execution"] for item in kernel.status()["side"]] == [side.id]
    kernel.eval("gate.set()")
    for execution in (main, side):
        read_output(kernel, execution.id)
    assert list(kernel.execute("tuple(ran)", timeout=PATIENCE_S).value) == ["side"]


def test_numbers_and_sessions_go_on(start: Start):
    kernel = start(session="mine", client_name="ada")
    first = kernel.execute("pass", timeout=PATIENCE_S)
    dealt_with = 0
    for event in kernel.events(since=None, follow=False):
        dealt_with = event.seq
    assert kernel.status()["last"] == dealt_with

    # The hub writes cursors down now and then; one that dies earlier shows some events again.
    kill_hub(kernel)
    kernel = start(session="mine", client_name="ada")
    assert kernel.session == "mine"
    second = kernel.execute("pass", timeout=PATIENCE_S)
    assert second.id == first.id + 1
    assert {(s["id"], s["name"]) for s in kernel.sessions()} >= {("mine", "ada")}
    seen = [event.seq for event in kernel.events(since=None, follow=False)]
    assert seen == list(range(seen[0], seen[-1] + 1))
    assert seen[0] <= dealt_with + 1
    queued = [event for event in kernel.events(follow=False) if event.kind == Kind.QUEUED]
    assert {event.session for event in queued} == {"mine"}


def test_the_cursor_of_a_session_survives_the_hub(start: Start):
    kernel = start(session="mine")
    kernel.execute("pass", timeout=PATIENCE_S)
    dealt_with = [event.seq for event in kernel.events(since=None, follow=False)][-1]

    def is_remembered() -> bool:
        # A clean end writes it down; here the second's tick of a hub with a worker does.
        return any(dealt_with <= row[0] for row in read_cursors())

    wait_until(is_remembered, PATIENCE_S, what="the cursor on disk")
    kill_hub(kernel)
    kernel = start(session="mine")
    assert next(kernel.events(since=None)).seq > dealt_with


def read_cursors() -> list[tuple[int]]:
    path = os.path.join(os.environ["RPYC_KERNEL_STATE_DIR"], "demo", "journal.sqlite")
    with closing(sqlite3.connect(path)) as journal:
        return journal.execute("SELECT cursor FROM cursors WHERE session = 'mine'").fetchall()


def test_a_pending_prompt_is_answered_through_the_next_hub(start: Start):
    kernel = start()
    run = kernel.submit("name = input('who? '); print('hello', name); name")
    next(event for event in run.events(timeout=PATIENCE_S) if event.kind == Kind.INPUT_REQUESTED)
    kill_hub(kernel)
    kernel = start()
    (prompt,) = kernel.status()["prompts"]
    assert prompt["execution"] == run.id
    kernel.answer_input("ada", run.id)
    assert read_output(kernel, run.id) == "hello ada\n"
    with pytest.raises(NotAsked):
        kernel.answer_input("again")


def test_running_code_is_interrupted_through_the_next_hub(start: Start):
    kernel = start()
    run = kernel.submit("print('begun')\nwhile True: pass")
    next(event for event in run.events(timeout=PATIENCE_S) if event.kind == Kind.STREAM)
    kill_hub(kernel)
    kernel = start()
    assert kernel.interrupt(run.id, wait=PATIENCE_S).status == "stopped"
    assert kernel.execute("6 * 7", timeout=PATIENCE_S).value == 42


def test_a_worker_that_dies_under_its_second_hub_is_replaced(start: Start):
    kernel = start()
    kernel.execute("before = 1", timeout=PATIENCE_S)
    kill_hub(kernel)
    kernel = start()
    fatal = kernel.submit(f"{print_lines(0, 1000)}\nimport ctypes; ctypes.string_at(0)")
    error = fatal.exception(PATIENCE_S)
    assert isinstance(error, KernelDied)
    assert f'File "<In {fatal.count}>"' in error.stack
    assert read_output(kernel, fatal.id) == number_lines(0, 1000)
    assert kernel.execute("'before' in globals()", timeout=PATIENCE_S).value is False
    assert kernel.status()["generation"] == 2


def test_a_kernel_that_lost_its_hub_can_be_stopped_by_the_next(start: Start):
    kernel = start()
    kernel.execute("pass", timeout=PATIENCE_S)
    worker = kernel.status()["worker_pid"]
    kill_hub(kernel)
    kernel = start()
    kernel.shutdown(timeout=PATIENCE_S)
    wait_until(lambda: not processes.is_alive(worker), PATIENCE_S, what="the worker's end")
    assert rpyc_kernel.kernels() == []


# A kernel that was stopped and is started again


def test_a_kernel_started_again_goes_on_with_its_numbers_and_shows_its_whole_past(start: Start):
    kernel = start(session="mine")
    first = kernel.execute("print('the first life')", timeout=PATIENCE_S)
    kernel.shutdown(timeout=PATIENCE_S)
    kernel = start(session="mine")
    second = kernel.execute("'first' in globals()", timeout=PATIENCE_S)
    assert (second.id, second.value) == (first.id + 1, False)
    assert kernel.status()["generation"] == 2
    # Following does not end with the end of the first life.
    seen = []
    for event in kernel.events(since=0):
        seen.append(event)
        if event.kind == Kind.FINISHED and event.execution == second.id:
            break
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    assert "".join(event.text for event in seen if event.kind == Kind.STREAM) == "the first life\n"
    assert [past.execution for past in kernel.history()] == [first.id, second.id]


def test_following_ends_when_the_kernel_is_stopped_and_not_at_an_earlier_stop(start: Start):
    kernel = start()
    kernel.execute("pass", timeout=PATIENCE_S)
    kernel.shutdown(timeout=PATIENCE_S)
    # The hub waits only a moment for those who are between two questions; a slow machine gets another chance.
    seen = wait_until(lambda: follow_to_the_stop(start), PATIENCE_S, what="a follower that was quick enough")
    assert [event.seq for event in seen] == list(range(1, len(seen) + 1))
    assert [event.kind for event in seen].count(Kind.HUB_STOPPED) > 1
    assert seen[-1].kind == Kind.HUB_STOPPED


def follow_to_the_stop(start: Start) -> list[Event]:
    """What a follower sees of a kernel that is stopped; nothing if it was too slow to hear of the stop."""
    kernel = start()
    kernel.execute("pass", timeout=PATIENCE_S)
    last = kernel.status()["last"]
    is_up_to_date = threading.Event()

    def follow() -> list[Event]:
        with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as watcher:
            seen, heard_at = [], time.monotonic()
            try:
                for event in watcher.events(since=0):
                    seen.append(event)
                    heard_at = time.monotonic()
                    if event.seq > last:
                        is_up_to_date.set()
            except ConnectionLost:
                if time.monotonic() - heard_at < HEARING_S:
                    raise
                return []
            return seen

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        following = pool.submit(follow)
        assert is_up_to_date.wait(PATIENCE_S)
        kernel.shutdown(timeout=PATIENCE_S)
        return following.result(PATIENCE_S)


# Hub and worker die


def start_again_after_both_were_killed(start: Start, kernel: KernelClient, event: str) -> KernelClient:
    """Open the gate, and kill worker and hub when the code has set the event, while the hub sees nothing of it."""
    status = kernel.status()
    objects = reach_worker(kernel)
    # A stopped hub reads nothing: what is printed now is in the ring alone.
    suspend(status["hub_pid"])
    objects.root.eval("gate.set()")
    assert objects.root.eval(f"{event}.wait({PATIENCE_S})")
    kill(status["worker_pid"])
    kill(status["hub_pid"])
    wait_until_free()
    return start()


def test_what_the_worker_printed_before_both_were_killed_is_recorded_by_the_next_hub(start: Start):
    kernel = start()
    kernel.execute(PREPARE + "; printed = threading.Event(); kept = 1", timeout=PATIENCE_S)
    run = kernel.submit(f"gate.wait()\n{print_lines(0, 5000)}\nprinted.set()\nthreading.Event().wait()")
    queued = kernel.submit("'kept' in globals()")
    kernel = start_again_after_both_were_killed(start, kernel, "printed")
    assert read_output(kernel, run.id) == number_lines(0, 5000)
    assert kernel.execute("'kept' in globals()", timeout=PATIENCE_S).value is False
    events = list(kernel.events(follow=False))
    finished = {event.execution: event for event in events if event.kind == Kind.FINISHED}
    assert finished[run.id].outcome == Outcome.LOST
    # What had only waited has lost nothing: the fresh worker runs it.
    assert finished[queued.id].outcome == Outcome.OK
    result = next(event for event in events if event.kind == Kind.RESULT and event.execution == queued.id)
    assert result.literal == "False"
    assert kernel.status()["generation"] == 2


def test_code_that_had_ended_before_both_were_killed_is_not_lost(start: Start):
    kernel = start()
    kernel.execute(PREPARE + "; import asyncio; over = threading.Event()", timeout=PATIENCE_S)
    # What is called soon is called when the execution is through.
    run = kernel.submit("gate.wait()\nasyncio.get_running_loop().call_soon(over.set)\nprint('done')\n6 * 7")
    kernel = start_again_after_both_were_killed(start, kernel, "over")
    finished = next(e for e in kernel.events(since=0) if e.kind == Kind.FINISHED and e.execution == run.id)
    assert finished.outcome == Outcome.OK
    result = next(e for e in kernel.events(since=0) if e.kind == Kind.RESULT and e.execution == run.id)
    assert result.literal == "42"


def test_who_reads_events_hears_of_the_stop_although_the_hub_is_closing(start: Start, folders: Folders):
    # The hub waits only a moment for those who read; a machine that takes longer than that between seeing the hub
    # close and reading gets another chance.
    wait_until(lambda: is_stop_heard_while_closing(start, folders), PATIENCE_S, what="a reader that was quick enough")


def wait_until_removed(folder: Path) -> float:
    """Wait until a folder is gone; when it was there for the last time."""
    looks = [time.monotonic()]

    def is_gone() -> bool:
        looks.append(time.monotonic())
        return not folder.exists()

    wait_until(is_gone, PATIENCE_S, what=f"the end of {folder}")
    return looks[-2]


def is_stop_heard_while_closing(start: Start, folders: Folders) -> bool:
    """Read once while the hub is closing, and see the stop; False where that was too late to be answered."""
    kernel = start()
    kernel.execute("pass", timeout=PATIENCE_S)
    with rpyc_kernel.connect("demo", joins=False, timeout=PATIENCE_S) as watcher:
        last = int(watcher.status()["last"])
        stream = EventStream(watcher._commands, last - 1)
        stream.read(0)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            stopping = pool.submit(kernel.shutdown, timeout=PATIENCE_S)
            last_seen_open = wait_until_removed(folders.runtime / "demo")
            try:
                events = stream.read(0)
            except ConnectionLost:
                if time.monotonic() - last_seen_open < HEARING_S:
                    raise
                return False
            finally:
                stopping.result(PATIENCE_S)
    assert Kind.HUB_STOPPED in [event.kind for event in events]
    return True
