"""Live objects of a kernel, and executions as futures."""

import asyncio
import concurrent.futures
import gc
import os
import signal
import threading
import time
import weakref
from collections.abc import Iterator

import pytest

import rpyc_kernel
from rpyc_kernel import ConnectionLost, ExecutionDropped, ExecutionError, KernelClient, NotAvailable
from rpyc_kernel.core.contract import Kind
from tests.support.waiting import wait_until

pytestmark = pytest.mark.shares_kernel

DEADLINE_S = 60

DEFINITIONS = """
import threading

class Table:
    def __init__(self):
        self.columns = ["a", "b"]

    def head(self, count=5):
        return f"the first {count}"

    def fail(self):
        raise ValueError("no such row")

table = Table()
numbers = [1, 2, 3]
name = "Ada"
"""

PLAIN = [None, True, 42, 2**100, 2.5, "größe", b"\x00\xff", (1, ("two", None)), ""]


def run(kernel: KernelClient, code: str) -> rpyc_kernel.Execution:
    return kernel.execute(code, timeout=DEADLINE_S)


@pytest.fixture
def prepared(kernel: KernelClient) -> KernelClient:
    run(kernel, DEFINITIONS)
    return kernel


# The namespace as a mapping


def test_names_are_read_as_items_and_as_attributes(prepared):
    namespace = prepared.namespace
    assert namespace["name"] == namespace.name == "Ada"
    assert namespace["table"].head(3) == namespace.table.head(3) == "the first 3"
    assert list(namespace.numbers) == [1, 2, 3]


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_plain_values_are_written_and_read_by_value(prepared, value):
    prepared.namespace["item"] = value
    prepared.namespace.attribute = value
    for name in ("item", "attribute"):
        read = prepared.namespace[name]
        assert (type(read), read) == (type(value), value)
    assert run(prepared, f"(type(item), item) == (type({value!r}), {value!r})").value is True


def test_changes_through_live_objects_are_seen_by_the_code(prepared):
    prepared.namespace.numbers.append(4)
    prepared.namespace.table.columns[0] = "z"
    prepared.namespace.table.title = "changed"
    assert run(prepared, "numbers == [1, 2, 3, 4] and (table.columns, table.title) == (['z', 'b'], 'changed')").value


def test_names_are_deleted_as_items_and_as_attributes(prepared):
    del prepared.namespace["name"]
    del prepared.namespace.numbers
    assert "name" not in prepared.namespace
    assert run(prepared, "'name' in globals() or 'numbers' in globals()").value is False


def test_a_name_that_is_not_there_is_missed_as_in_python(prepared):
    with pytest.raises(KeyError, match="nothing"):
        prepared.namespace["nothing"]
    with pytest.raises(AttributeError, match="the kernel's namespace has no 'nothing'"):
        prepared.namespace.nothing  # noqa: B018
    with pytest.raises(KeyError, match="nothing"):
        del prepared.namespace["nothing"]
    with pytest.raises(AttributeError, match="the kernel's namespace has no 'nothing'"):
        del prepared.namespace.nothing
    assert prepared.namespace.get("nothing", "default") == "default"


def test_the_names_are_iterated_counted_and_asked_for(prepared):
    names = set(prepared.namespace)
    assert {"table", "numbers", "name", "Table", "threading"} <= names
    assert not any(name.startswith("__") for name in names)
    assert len(prepared.namespace) == len(names)
    assert set(dir(prepared.namespace)) == names
    assert "table" in prepared.namespace
    assert "nothing" not in prepared.namespace
    assert 3 not in prepared.namespace
    assert dict(prepared.namespace)["name"] == "Ada"


def test_two_clients_share_the_namespace(prepared, connect):
    other = connect(name="other")
    other.namespace.shared = "from the other"
    assert prepared.namespace.shared == "from the other"
    assert run(prepared, "shared").value == "from the other"


def test_an_exception_of_a_live_object_is_the_callers(prepared):
    with pytest.raises(ValueError, match="no such row"):
        prepared.namespace.table.fail()
    assert prepared.namespace.table.head() == "the first 5"


def test_the_namespace_can_be_used_before_the_worker_is_ready(folders):
    with rpyc_kernel.start("early", timeout=DEADLINE_S) as kernel:
        kernel.namespace["x"] = 42
        assert kernel.eval("x") == 42
        assert [variable.name for variable in kernel.variables(timeout=DEADLINE_S)] == ["x"]
        assert run(kernel, "x").value == 42


# Evaluation


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_eval_gives_plain_values_by_value(prepared, value):
    read = prepared.eval(repr(value))
    assert (type(read), read) == (type(value), value)


def test_eval_gives_anything_else_as_a_live_object(prepared):
    numbers = prepared.eval("numbers")
    run(prepared, "numbers.append(4)")
    assert list(numbers) == [1, 2, 3, 4]
    assert prepared.eval("numbers") == numbers


def test_eval_raises_what_the_expression_raises(prepared):
    with pytest.raises(ZeroDivisionError, match="division by zero"):
        prepared.eval("1 / 0")
    with pytest.raises(NameError, match="nothing"):
        prepared.eval("nothing")
    with pytest.raises(SyntaxError):
        prepared.eval("1 +")
    assert prepared.eval("6 * 7") == 42


# Calls in turn


def test_a_call_runs_in_the_workers_main_thread(prepared):
    run(
        prepared,
        """
def where(*args, **kwargs):
    print("called")
    return threading.current_thread() is threading.main_thread(), args, tuple(kwargs.items())
""",
    )
    assert prepared.call(prepared.namespace.where, 1, "two", three=3) == (True, (1, "two"), (("three", 3),))


def test_a_call_waits_for_its_turn(prepared):
    run(prepared, "go = threading.Event(); order = []")
    first = prepared.submit("go.wait(); order.append('execution')")
    answers = []
    caller = threading.Thread(target=lambda: answers.append(prepared.call(prepared.namespace.order.append, "call")))
    caller.start()
    wait_until(lambda: prepared.status()["queue"], DEADLINE_S, "the call in the queue")
    assert prepared.eval("order == []")
    prepared.eval("go").set()
    caller.join(DEADLINE_S)
    first.result(DEADLINE_S)
    assert answers == [None]
    assert list(prepared.namespace.order) == ["execution", "call"]


def test_a_call_gives_a_live_object_where_the_result_is_one(prepared):
    run(prepared, "def give(): return numbers")
    numbers = prepared.call(prepared.namespace.give)
    run(prepared, "numbers.append(4)")
    assert list(numbers) == [1, 2, 3, 4]


def test_a_call_that_raises_is_an_execution_that_failed(prepared):
    with pytest.raises(ExecutionError) as caught:
        prepared.call(prepared.namespace.table.fail)
    assert (caught.value.ename, caught.value.evalue) == ("ValueError", "no such row")
    assert "in fail" in caught.value.traceback
    assert run(prepared, "6 * 7").value == 42


def test_what_a_call_prints_belongs_to_it(prepared):
    run(prepared, "def speak(): print('spoken')")
    assert prepared.call(prepared.namespace.speak) is None
    last = prepared.status()["last_execution"]
    spoken = [e for e in prepared.events(follow=False) if e.kind == Kind.STREAM and e.execution == last]
    assert "".join(event.text for event in spoken) == "spoken\n"


# Values of executions


@pytest.mark.parametrize("value", PLAIN, ids=repr)
def test_the_last_expression_is_given_by_value_where_plain(kernel, value):
    execution = run(kernel, f"x = {value!r}; x")
    assert (type(execution.value), execution.value) == (type(value), value)
    assert execution.result() == value


LARGE = ["'x' * 100_000", "tuple(range(10_000))", "float('inf')", "b'x' * 5000", "(1.5, float('-inf'))"]


@pytest.mark.parametrize("expression", LARGE)
def test_plain_values_that_are_too_large_for_an_event_are_given_by_value_too(kernel, expression):
    value = run(kernel, expression).value
    assert type(value) is type(eval(expression))
    assert value == eval(expression)


def test_the_last_expression_is_given_as_a_live_object_otherwise(prepared):
    numbers = run(prepared, "numbers").value
    run(prepared, "numbers.append(4)")
    assert list(numbers) == [1, 2, 3, 4]


def test_a_statement_has_no_value(kernel):
    assert run(kernel, "x = 1").value is None
    assert run(kernel, "").value is None
    assert run(kernel, "None").value is None


def test_a_live_value_is_given_while_it_is_kept_and_missed_afterwards(prepared):
    old, fetched = run(prepared, "numbers"), run(prepared, "table")
    table = fetched.value
    for _ in range(15):
        run(prepared, "numbers")
    assert fetched.value is table
    with pytest.raises(NotAvailable, match=f"does not hold a value of execution {old.id}"):
        old.value  # noqa: B018
    assert fetched.value.head() == "the first 5"
    assert run(prepared, "6 * 7").value == 42


def test_the_result_of_code_that_raised_is_its_exception(kernel):
    execution = kernel.submit("1 / 0")
    with pytest.raises(ExecutionError) as caught:
        execution.result(DEADLINE_S)
    assert (caught.value.ename, caught.value.evalue) == ("ZeroDivisionError", "division by zero")
    with pytest.raises(ExecutionError):
        execution.value  # noqa: B018
    assert isinstance(execution.exception(), ExecutionError)
    assert execution.status == "error"


# Executions as futures


def test_an_execution_can_be_awaited(kernel):
    async def gather():
        one, two = kernel.submit("6 * 7"), kernel.submit("'two'")
        return await one, await two

    assert asyncio.run(gather()) == (42, "two")


def test_awaited_executions_raise_what_the_code_raised(kernel):
    async def wait():
        await kernel.submit("1 / 0")

    with pytest.raises(ExecutionError, match="ZeroDivisionError"):
        asyncio.run(wait())


def test_awaiting_what_is_dropped_raises_that_and_no_cancellation(prepared):
    async def wait():
        prepared.execute("go = threading.Event()", timeout=DEADLINE_S)
        failing, behind = prepared.submit("go.wait(); 1 / 0"), prepared.submit("'never'")
        waiting = asyncio.ensure_future(as_coroutine(behind))
        await asyncio.get_running_loop().run_in_executor(None, lambda: prepared.eval("go").set())
        with pytest.raises(ExecutionError):
            await failing
        with pytest.raises(ExecutionDropped):
            await waiting

    asyncio.run(wait())


def test_what_has_finished_is_kept_by_nobody_but_who_holds_it(prepared):
    execution = prepared.submit("print('much' * 1000)")
    execution.result(DEADLINE_S)
    kept = weakref.ref(execution)
    del execution
    wait_until(lambda: gc.collect() >= 0 and kept() is None, DEADLINE_S)


def test_awaiting_holds_up_nobody(prepared):
    async def wait():
        run_slow = prepared.submit("go.wait(); 'slow'")
        waiting = asyncio.ensure_future(as_coroutine(run_slow))
        done, _ = await asyncio.wait([waiting], timeout=0.2)
        assert not done
        await asyncio.get_running_loop().run_in_executor(None, go.set)
        return await waiting

    prepared.execute("go = threading.Event()", timeout=DEADLINE_S)
    go = prepared.eval("go")
    assert asyncio.run(wait()) == "slow"


async def as_coroutine(execution):
    return await execution


def test_several_executions_can_be_waited_for_as_futures(kernel):
    executions = [kernel.submit(f"{number} * 2") for number in range(20)]
    done, pending = concurrent.futures.wait(executions, DEADLINE_S)
    assert not pending
    assert done == set(executions)
    assert [execution.result() for execution in executions] == [number * 2 for number in range(20)]
    assert list(concurrent.futures.as_completed(executions, DEADLINE_S))


def test_waiting_for_the_first_returns_with_the_first(prepared):
    quick, slow = prepared.submit("'quick'"), prepared.submit("go = threading.Event(); go.wait()")
    done, pending = concurrent.futures.wait([slow, quick], DEADLINE_S, concurrent.futures.FIRST_COMPLETED)
    assert (done, pending) == ({quick}, {slow})
    wait_until(lambda: "go" in prepared.namespace, DEADLINE_S)
    prepared.eval("go").set()
    slow.result(DEADLINE_S)


def test_callbacks_run_when_an_execution_ends(kernel):
    ended = threading.Event()
    execution = kernel.submit("'ended'")
    execution.add_done_callback(lambda future: ended.set())
    assert ended.wait(DEADLINE_S)


def test_a_result_that_takes_too_long_leaves_the_code_running(prepared):
    prepared.execute("go = threading.Event()", timeout=DEADLINE_S)
    execution = prepared.submit("go.wait(); 'done'")
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        execution.result(timeout=0.2)
    assert 0.2 <= time.monotonic() - began < DEADLINE_S / 2
    assert not execution.done()
    assert prepared.status()["running"]["execution"] == execution.id
    prepared.eval("go").set()
    assert execution.result(DEADLINE_S) == "done"


def test_waiting_too_long_in_execute_leaves_the_code_running(prepared):
    prepared.execute("go = threading.Event()", timeout=DEADLINE_S)
    with pytest.raises(TimeoutError):
        prepared.execute("go.wait(); finished = True", timeout=0.2)
    assert prepared.status()["state"] == "busy"
    prepared.eval("go").set()
    wait_until(lambda: prepared.status()["state"] == "idle", DEADLINE_S)
    assert prepared.namespace["finished"] is True


# The connection lost


@pytest.fixture
def staying_away(kernel: KernelClient) -> Iterator[KernelClient]:
    """A client that does not come back when its connection is lost."""
    with rpyc_kernel.connect(kernel.name, reconnect=0) as client:
        client.execute("import threading")
        yield client


def test_every_waiter_hears_at_once_that_the_hub_is_gone(staying_away):
    prepared = staying_away
    executions = [prepared.submit("go = threading.Event(); go.wait()"), prepared.submit("'behind'")]
    failed: dict[str, tuple[type, float]] = {}
    started = threading.Barrier(7)
    follower = prepared.events(follow=True)
    next(follower)  # so that it is connected

    def wait_in(what, wait):
        started.wait()
        try:
            wait()
        except Exception as error:  # noqa: BLE001 - which one is the question
            failed[what] = (type(error), time.monotonic())

    async def wait_async():
        await executions[0]

    waiters = {
        "result": lambda: executions[0].result(DEADLINE_S),
        "value": lambda: executions[1].value,
        "events of an execution": lambda: list(executions[0].events(timeout=DEADLINE_S)),
        "events of all": lambda: list(follower),
        "execute": lambda: prepared.execute("'never'"),
        "await": lambda: asyncio.run(wait_async()),
    }
    threads = [threading.Thread(target=wait_in, args=item, name=item[0]) for item in waiters.items()]
    for thread in threads:
        thread.start()
    started.wait()
    wait_until(lambda: len(prepared.status()["queue"]) == 2, DEADLINE_S, "everybody to wait")
    killed = time.monotonic()
    os.kill(prepared.status()["hub_pid"], signal.SIGKILL)
    for thread in threads:
        thread.join(DEADLINE_S)
    assert {what: kind for what, (kind, _) in failed.items()} == dict.fromkeys(waiters, ConnectionLost)
    assert max(when for _, when in failed.values()) - killed < DEADLINE_S / 4  # calls and long polls take longer
    wait_until(lambda: prepared.is_closed, DEADLINE_S, "the end of the connection")
    for call in (prepared.status, lambda: prepared.submit("1"), lambda: prepared.execute("1"), prepared.stack):
        with pytest.raises(ConnectionLost, match=r"kernel 'demo'|closed"):
            call()
