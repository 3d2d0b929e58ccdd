import concurrent.futures
import inspect
import itertools
import threading

import pytest

from rpyc_kernel import ExecutionInterrupted, Interruption, KernelClient, KernelDied, NoSuchExecution
from rpyc_kernel.client.address import Address
from rpyc_kernel.core.contract import Kind, Outcome
from rpyc_kernel.system.processes import INTERRUPT_SIGNAL
from tests.end_to_end.clients import PATIENCE_S, Connect
from tests.support.processes import suspend
from tests.support.waiting import wait_until

pytestmark = pytest.mark.shares_kernel

ENDLESS = {
    "a spinning loop": "print('begun')\nwhile True: pass",
    "a sleep": "import time; print('begun'); time.sleep(60)",
    "a C call that waits": "import threading; print('begun'); threading.Event().wait()",
    "input": "print('begun'); input('name? ')",
    "getpass": "import getpass; print('begun'); getpass.getpass()",
    "a line of standard input": "import sys; print('begun'); sys.stdin.readline()",
    "an awaiting cell": "import asyncio; print('begun'); await asyncio.sleep(60)",
    "an awaiting cell that spins": "import asyncio\nprint('begun')\nwhile True: await asyncio.sleep(0)",
    "an awaiting cell that blocks": "import asyncio, time; print('begun'); await asyncio.sleep(0); time.sleep(60)",
    "an awaiting cell whose own task spins": (
        "import asyncio\nasync def spin():\n  print('begun')\n  while True: pass\n"
        "task = asyncio.create_task(spin()); await asyncio.sleep(60)"
    ),
    "an awaiting cell that waits for a thread": "import asyncio, threading; print('begun')\n"
    "await asyncio.get_running_loop().run_in_executor(None, threading.Event().wait, 60)",
    "an awaiting cell that asks": "import asyncio; print('begun'); await asyncio.sleep(0); input()",
    "a flood of output": "while True: print('begun ' * 20)",
    "a flood of errors": "import sys\nwhile True: print('begun', file=sys.stderr)",
    "a flood past Python's streams": "import os\nwhile True: os.write(1, b'begun\\n')",
    "a repr without end": "class Endless:\n  def __repr__(self):\n    print('begun')\n    while True: pass\nEndless()",
    "a child process": "import subprocess; print('begun'); subprocess.run(['sleep', '60'])",
}
DEAF = """
import time
told = False
while not released:
    try:
        if not told:
            told = True
            print('begun')
        while not released: time.sleep(0.01)
    except KeyboardInterrupt:
        pass
'went on'
"""


def wait_for_output(run) -> None:
    next(event for event in run.events(timeout=PATIENCE_S) if event.kind == Kind.STREAM)


def assert_goes_on(kernel: KernelClient) -> None:
    again = kernel.execute("print('still here'); 6 * 7", timeout=PATIENCE_S)
    assert (again.stdout, again.value) == ("still here\n", 42)


@pytest.mark.parametrize("code", ENDLESS.values(), ids=ENDLESS)
def test_an_interrupt_ends_what_runs_and_the_kernel_goes_on(kernel: KernelClient, code: str):
    kernel.execute("still = 'the same namespace'")
    run = kernel.submit(code)
    wait_for_output(run)
    assert run.interrupt(wait=PATIENCE_S).status == "stopped"
    with pytest.raises(ExecutionInterrupted):
        run.result(PATIENCE_S)
    assert run.status == Outcome.INTERRUPTED
    assert_goes_on(kernel)
    assert kernel.execute("still").value == "the same namespace"
    assert kernel.status()["generation"] == 1


def test_who_interrupts_opens_no_connection_for_it(kernel: KernelClient, monkeypatch: pytest.MonkeyPatch):
    opened: list[int] = []
    enter = Address.enter

    def enter_and_note(address, channel, *rest, **known):
        opened.append(channel)
        return enter(address, channel, *rest, **known)

    run = kernel.submit(ENDLESS["a spinning loop"])
    wait_for_output(run)
    monkeypatch.setattr(Address, "enter", enter_and_note)
    assert run.interrupt(wait=PATIENCE_S).status == "stopped"
    assert opened == []


def test_an_interrupt_that_does_not_end_a_wait_is_followed_by_a_nudge(kernel: KernelClient):
    # Another thread takes the signal, so that the main thread waits on, as when a signal comes just before the wait.
    run = kernel.submit(
        "import signal, threading\n"
        "threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        f"signal.pthread_sigmask(signal.SIG_BLOCK, [{INTERRUPT_SIGNAL}])\n"
        "try:\n"
        "    print('begun'); threading.Event().wait()\n"
        "finally:\n"
        f"    signal.pthread_sigmask(signal.SIG_UNBLOCK, [{INTERRUPT_SIGNAL}])"
    )
    wait_for_output(run)
    assert run.interrupt(wait=PATIENCE_S).status == "stopped"
    assert isinstance(run.exception(PATIENCE_S), ExecutionInterrupted)
    assert_goes_on(kernel)


def test_an_interrupt_that_comes_with_the_code_still_strikes(kernel: KernelClient):
    for code in itertools.islice(itertools.cycle(["while True: pass", "import time; time.sleep(60)"]), 60):
        run = kernel.submit(code)
        wait_until(lambda: kernel.status()["running"], PATIENCE_S)
        assert run.interrupt(wait=PATIENCE_S).status == "stopped"
        assert isinstance(run.exception(PATIENCE_S), ExecutionInterrupted)
    assert_goes_on(kernel)


@pytest.mark.own_kernel
def test_a_called_function_is_interrupted_like_code(kernel: KernelClient):
    kernel.execute("def spin():\n  print('begun')\n  while True: pass", timeout=PATIENCE_S)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        call = pool.submit(kernel.call, kernel.namespace["spin"])
        begun = next(event for event in kernel.events() if event.kind == Kind.STREAM)
        assert kernel.interrupt(begun.execution, wait=PATIENCE_S).status == "stopped"
        assert isinstance(call.exception(PATIENCE_S), ExecutionInterrupted)
    assert_goes_on(kernel)


def test_code_that_waits_for_an_object_of_a_client_can_be_interrupted(kernel: KernelClient):
    released = threading.Event()
    kernel.namespace["wait_in_client"] = released.wait
    run = kernel.submit("print('begun'); wait_in_client()")
    wait_for_output(run)
    try:
        assert run.interrupt(wait=PATIENCE_S).status == "stopped"
        assert isinstance(run.exception(PATIENCE_S), ExecutionInterrupted)
        assert_goes_on(kernel)
    finally:
        released.set()
    assert kernel.eval("wait_in_client()") is True


def test_interrupts_of_an_awaiting_cell_that_keeps_the_loop_busy_always_strike(kernel: KernelClient):
    for _ in range(40):
        run = kernel.submit(ENDLESS["an awaiting cell that spins"])
        wait_for_output(run)
        assert run.interrupt(wait=PATIENCE_S).status == "stopped"
        assert isinstance(run.exception(PATIENCE_S), ExecutionInterrupted)
    assert_goes_on(kernel)


def test_an_interrupt_without_a_number_ends_what_runs(kernel: KernelClient):
    run = kernel.submit(ENDLESS["a spinning loop"])
    wait_for_output(run)
    interruption = kernel.interrupt(wait=PATIENCE_S)
    assert (interruption.status, interruption.execution) == ("stopped", run.id)


@pytest.mark.own_kernel
def test_every_client_sees_who_interrupted_what(kernel: KernelClient, connect: Connect):
    bob = connect(name="bob")
    run = kernel.submit(ENDLESS["a sleep"])
    wait_for_output(run)
    assert bob.interrupt(run.id, wait=PATIENCE_S)
    (request,) = [event for event in connect().events(follow=False) if event.kind == Kind.INTERRUPT_REQUESTED]
    assert (request.execution, request.by, request.force) == (run.id, "bob", "signal")


@pytest.mark.own_kernel
def test_interrupts_while_nothing_runs_touch_nothing_200_times(kernel: KernelClient):
    for number in range(1, 201):
        assert kernel.interrupt().status == "not-running"
        run = kernel.execute("0", timeout=PATIENCE_S)
        assert (run.id, run.status) == (number, Outcome.OK)
        assert kernel.interrupt(run.id).status == "not-running"
        with pytest.raises(NoSuchExecution):
            kernel.interrupt(run.id + 1)
    kinds = {event.kind for event in kernel.events(follow=False)}
    assert not {Kind.INTERRUPT_REQUESTED, Kind.ERROR} & kinds


def test_interrupts_of_one_execution_never_hit_the_ones_beside_it_200_times(kernel: KernelClient, connect: Connect):
    short = "total = 0\nfor number in range(2000): total += number"
    target = 0
    is_over = threading.Event()
    hits = set()

    def interrupt_target(client: KernelClient) -> None:
        while not is_over.is_set():
            if client.interrupt(target, wait=0).status != "not-running":
                hits.add(target)

    kernel.execute("pass", timeout=PATIENCE_S)
    target = 1
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        racers = [pool.submit(interrupt_target, connect()) for _ in range(2)]
        try:
            for _ in range(200):
                before = kernel.submit(short, stop_on_error=False)
                victim = kernel.submit(short, stop_on_error=False)
                target = victim.id
                after = kernel.submit(short, stop_on_error=False)
                assert before.exception(PATIENCE_S) is None
                assert after.exception(PATIENCE_S) is None
                victim.exception(PATIENCE_S)
                assert victim.status in (Outcome.OK, Outcome.INTERRUPTED)
                if victim.status == Outcome.INTERRUPTED:
                    wait_until(lambda number=victim.id: number in hits, PATIENCE_S)
        finally:
            is_over.set()
        for racer in racers:
            racer.result(PATIENCE_S)
    assert_goes_on(kernel)


def test_code_that_ignores_the_interrupt_is_reported_with_its_stack_to_everybody(
    kernel: KernelClient, connect: Connect, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setitem(
        inspect.unwrap(KernelClient.stack).__kwdefaults__, "timeout", 30.0
    )  # how long `interrupt` waits for it
    bob = connect(name="bob")
    kernel.execute("released = False")
    run = kernel.submit(DEAF)
    wait_for_output(run)
    interruption = run.interrupt()
    assert interruption.status == "unanswered"
    assert not interruption
    assert f"<In {run.count}>" in interruption.stack
    for told in bob.events():
        if (told.kind, told.execution) != (Kind.INTERRUPT_UNANSWERED, run.id):
            continue
        if told.stack != "(no stack came)":
            break
        run.interrupt(wait=0)  # the worker was too slow for the hub; ask once more
    assert f"<In {run.count}>" in told.stack
    kernel.eval("globals().update(released=True)")
    assert run.result(PATIENCE_S) == "went on"
    assert_goes_on(kernel)


@pytest.mark.own_kernel
def test_terminating_code_that_ignores_interrupts_gives_a_new_generation(kernel: KernelClient, connect: Connect):
    bob = connect(name="bob")
    kernel.execute("released = False")
    run = kernel.submit(DEAF)
    behind = bob.submit("'never runs'")
    wait_for_output(run)
    assert run.interrupt(wait=0.5).status == "unanswered"
    assert bob.interrupt(run.id, force="terminate", wait=PATIENCE_S).status == "stopped"
    for lost in (run, behind):
        error = lost.exception(PATIENCE_S)
        assert isinstance(error, KernelDied)
        assert error.generation == 1
        assert "terminated by bob" in error.reason
        assert lost.status == Outcome.LOST
    assert_goes_on(kernel)
    assert kernel.status()["generation"] == 2
    assert kernel.execute("'released' in globals()").value is False
    died = next(event for event in bob.events(follow=False) if event.kind == Kind.WORKER_DIED)
    assert "terminated by bob" in died.reason


@pytest.mark.own_kernel
def test_terminating_code_that_ignores_sigterm_too_gives_a_new_generation(kernel: KernelClient):
    run = kernel.submit("import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nreleased = False\n" + DEAF)
    wait_for_output(run)
    assert run.interrupt(force="terminate", wait=PATIENCE_S).status == "stopped"
    assert isinstance(run.exception(PATIENCE_S), KernelDied)
    assert_goes_on(kernel)
    assert kernel.status()["generation"] == 2


def test_a_worker_that_the_system_has_stopped_is_told_apart_and_can_be_terminated(kernel: KernelClient):
    run = kernel.submit(ENDLESS["a spinning loop"])
    wait_for_output(run)
    suspend(kernel.status()["worker_pid"])
    assert run.interrupt(wait=0.5) == Interruption("unanswered", run.id)
    assert run.interrupt(force="terminate", wait=PATIENCE_S).status == "stopped"
    assert isinstance(run.exception(PATIENCE_S), KernelDied)
    assert_goes_on(kernel)


def test_an_exception_can_be_forced_where_signals_are_ignored(kernel: KernelClient):
    run = kernel.submit("import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\nprint('begun')\nwhile True: pass")
    wait_for_output(run)
    assert run.interrupt(wait=0.5).status == "unanswered"
    assert run.interrupt(force="exception", wait=PATIENCE_S).status == "stopped"
    assert isinstance(run.exception(PATIENCE_S), ExecutionInterrupted)
    assert_goes_on(kernel)
    assert kernel.status()["generation"] == 1


@pytest.mark.parametrize(
    "name", ["a spinning loop", "an awaiting cell", "an awaiting cell that spins", "a flood of output"]
)
def test_a_forced_exception_ends_what_runs_and_the_kernel_goes_on(kernel: KernelClient, name: str):
    run = kernel.submit(ENDLESS[name])
    wait_for_output(run)
    assert run.interrupt(force="exception", wait=PATIENCE_S).status == "stopped"
    assert isinstance(run.exception(PATIENCE_S), ExecutionInterrupted)
    assert_goes_on(kernel)


def test_forced_exceptions_at_the_end_of_short_code_leave_the_kernel_in_order(kernel: KernelClient, connect: Connect):
    racer = connect()
    is_over = threading.Event()

    def force() -> None:
        while not is_over.is_set():
            racer.interrupt(force="exception", wait=0)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        racing = pool.submit(force)
        try:
            for _ in range(300):
                run = kernel.submit("x = 1\nfor n in range(500): x += 1", stop_on_error=False)
                run.exception(PATIENCE_S)
                assert run.status in (Outcome.OK, Outcome.INTERRUPTED)
        finally:
            is_over.set()
        racing.result(PATIENCE_S)
    assert_goes_on(kernel)


def test_interrupting_the_side_lane_leaves_the_main_lane_alone(kernel: KernelClient):
    main = kernel.submit("import threading; gate = threading.Event(); print('begun'); gate.wait(); 'went on'")
    wait_for_output(main)
    side = kernel.submit("print('begun')\nwhile True: pass", lane="side")
    wait_for_output(side)
    assert side.interrupt(wait=PATIENCE_S).status == "stopped"
    assert isinstance(side.exception(PATIENCE_S), ExecutionInterrupted)
    kernel.eval("gate.set()")
    assert main.result(PATIENCE_S) == "went on"


@pytest.mark.own_kernel
def test_interrupts_at_the_end_of_short_side_executions_leave_none_unfinished(kernel: KernelClient, connect: Connect):
    racer = connect()
    target = 0
    is_over = threading.Event()

    def interrupt_target() -> None:
        while not is_over.is_set():
            racer.interrupt(target, wait=0)

    kernel.execute("pass", timeout=PATIENCE_S)
    target = 1
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        racing = pool.submit(interrupt_target)
        try:
            for _ in range(200):
                run = kernel.submit("for n in range(500): pass", lane="side")
                target = run.id
                run.exception(PATIENCE_S)
                assert run.status in (Outcome.OK, Outcome.INTERRUPTED)
        finally:
            is_over.set()
        racing.result(PATIENCE_S)
    assert_goes_on(kernel)


def test_a_call_of_c_is_interrupted(kernel: KernelClient) -> None:
    call = kernel.submit_call(kernel.objects.modules.time.sleep, 600)
    assert next(event for event in call.events() if event.kind == Kind.STARTED)
    assert call.interrupt(wait=PATIENCE_S).status == "stopped"
    assert isinstance(call.exception(PATIENCE_S), ExecutionInterrupted)
