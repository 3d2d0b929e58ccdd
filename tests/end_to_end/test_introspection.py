"""Introspection while code runs: in full while Python spins, and what can be done while C code holds the lock."""

import re
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from rpyc_kernel import CallTimeout, Execution, ExecutionInterrupted, KernelClient, WorkerBusy
from rpyc_kernel.core.contract import Kind
from rpyc_kernel.core.introspection import Inspection
from tests.support.processes import suspended
from tests.support.waiting import wait_until

pytestmark = pytest.mark.shares_kernel

DEADLINE_S = 60
STACK_S = 30
"""The most that the hub waits for a stack."""

DEFINITIONS = '''
import threading

class Table:
    """Rows and columns."""

    def __init__(self):
        self.columns = ["a", "b"]

    def head(self, count=5):
        """The first rows."""

    @property
    def dangerous(self):
        while True:
            pass

table = Table()
numbers = [1, 2, 3]
name = "Ada"
'''

SPIN = """
print("spinning")
while True:
    numbers.append(len(numbers))
    numbers.pop()
"""
HOLD_THE_LOCK = """
import re
print("matching")
re.match(r"(a+)+$", "a" * 40 + "b")
"""
HOLDS_THE_LOCK = re.compile(r"first\):\n.* in match\n.*<In ")
"""A thread's stack whose innermost call is the one from C."""


def start(kernel: KernelClient, code: str) -> Execution:
    """Submit code, and return when it has printed something."""
    execution = kernel.submit(code)
    for event in execution.events(timeout=DEADLINE_S):
        if event.kind == Kind.STREAM:
            return execution
    raise AssertionError(f"it ended: {execution}")


def hold_the_lock(kernel: KernelClient) -> Execution:
    """Submit code that holds the interpreter lock until it is interrupted, and return when it does."""
    execution = start(kernel, HOLD_THE_LOCK)
    # Between the print and the C call there is Python code, in which the worker still answers.
    wait_until(lambda: HOLDS_THE_LOCK.search(kernel.stack(timeout=STACK_S)), DEADLINE_S, "the C call")
    return execution


def stop(kernel: KernelClient, execution: Execution) -> None:
    assert kernel.interrupt(execution.id, wait=DEADLINE_S)
    with pytest.raises(ExecutionInterrupted):
        execution.result(DEADLINE_S)


@pytest.fixture
def spinning(kernel: KernelClient) -> Iterator[Execution]:
    """Python code that runs until it is interrupted."""
    kernel.execute(DEFINITIONS, timeout=DEADLINE_S)
    execution = start(kernel, SPIN)
    yield execution
    assert not execution.done()
    stop(kernel, execution)


@pytest.fixture
def holding(kernel: KernelClient) -> Iterator[Execution]:
    """A C call that holds the interpreter lock until it is interrupted."""
    kernel.execute(DEFINITIONS, timeout=DEADLINE_S)
    execution = hold_the_lock(kernel)
    yield execution
    assert not execution.done()
    stop(kernel, execution)


# While Python code spins


def test_status_answers_while_code_spins(kernel, spinning):
    status = kernel.status()
    assert status["state"] == "busy"
    assert status["running"]["execution"] == spinning.id
    assert status["running"]["session"] == kernel.session
    assert status["busy_since"] <= time.time()
    assert status["queue"] == []


def test_status_shows_what_waits_while_code_spins(kernel, spinning):
    waiting = [kernel.submit(f"'waiting {number}'", stop_on_error=False) for number in range(3)]
    assert [item["execution"] for item in kernel.status()["queue"]] == [execution.id for execution in waiting]
    for execution in waiting:
        assert execution.cancel()


def test_completion_answers_while_code_spins(kernel, spinning):
    answer = kernel.complete("table.he", timeout=DEADLINE_S)
    assert (answer.matches, answer.start, answer.end) == (("head",), 6, 8)
    assert "numbers" in kernel.complete("print(num", timeout=DEADLINE_S).matches


def test_completion_runs_no_property_while_code_spins(kernel, spinning):
    assert kernel.complete("table.dangerous.", timeout=DEADLINE_S).matches == ()
    assert not kernel.inspect("table.dangerous", timeout=DEADLINE_S)


def test_variables_answer_while_code_spins(kernel, spinning):
    found = {variable.name: variable for variable in kernel.variables(timeout=DEADLINE_S)}
    assert found["name"].preview == "'Ada'"
    assert found["name"].type == "str"
    assert found["numbers"].type == "list"
    assert found["numbers"].size in (3, 4)
    assert (found["table"].type, found["table"].has_children) == ("Table", True)


def test_inspect_answers_while_code_spins(kernel, spinning):
    assert kernel.inspect("table.head", source=False, timeout=DEADLINE_S).source == ""
    about = kernel.inspect("table.head", timeout=DEADLINE_S)
    assert about.found is True
    assert about.doc == "The first rows."
    assert about.signature == "(count=5)"
    assert "def head" in about.source
    assert kernel.inspect("nothing.at.all", timeout=DEADLINE_S) == Inspection("nothing.at.all")


COMPLETENESS = {
    "x = 1": "complete",
    "def f(": "incomplete",
    "for i in range(3):": "incomplete",
    "x ===": "invalid",
    "await sleep(1)": "complete",
    "x = 1\ny = 2": "complete",
    "": "complete",
}


def test_is_complete_answers_while_code_spins(kernel, spinning):
    assert {code: kernel.is_complete(code, timeout=DEADLINE_S).status for code in COMPLETENESS} == COMPLETENESS
    assert kernel.is_complete("for i in range(3):", timeout=DEADLINE_S).indent == "    "


def test_stack_answers_while_code_spins(kernel, spinning):
    stack = kernel.stack(timeout=STACK_S)
    assert f"<In {spinning.count}>" in stack
    assert stack.count("hread") > 1


def test_live_objects_can_be_read_while_code_spins(kernel, spinning):
    assert kernel.namespace["name"] == "Ada"
    assert list(kernel.namespace["table"].columns) == ["a", "b"]


def test_many_questions_at_once_are_answered_while_code_spins(kernel, spinning):
    for _ in range(50):
        assert kernel.status()["state"] == "busy"
        assert kernel.complete("nam", timeout=DEADLINE_S).matches == ("name",)
        assert len(kernel.variables(timeout=DEADLINE_S)) >= 4


# While a C call holds the interpreter lock


def test_status_answers_while_a_c_call_holds_the_lock(kernel, holding):
    status = kernel.status()
    assert (status["state"], status["running"]["execution"]) == ("busy", holding.id)


def test_stack_shows_where_a_c_call_holds_the_lock(kernel, holding):
    stack = kernel.stack(timeout=STACK_S)
    assert "in match" in stack
    assert f"<In {holding.count}>" in stack
    assert stack.index("in match") < stack.index(f"<In {holding.count}>")


def test_stack_can_be_asked_for_many_times_while_a_c_call_holds_the_lock(kernel, holding):
    for _ in range(20):
        assert "in match" in kernel.stack(timeout=STACK_S)


@pytest.mark.parametrize("question", ["complete", "inspect", "is_complete"])
def test_a_question_to_a_worker_that_cannot_answer_says_so_in_time(kernel, holding, question):
    began = time.monotonic()
    with pytest.raises(WorkerBusy, match=f"{question}.*0.5 s"):
        getattr(kernel, question)("name", timeout=0.5)
    assert time.monotonic() - began < DEADLINE_S / 2


def test_questions_that_timed_out_do_not_spoil_the_next(kernel):
    kernel.execute(DEFINITIONS, timeout=DEADLINE_S)
    holding = hold_the_lock(kernel)
    for number in range(3):
        with pytest.raises(WorkerBusy, match=r"0.2 s"):
            kernel.complete(f"question{number}", timeout=0.2)
    with pytest.raises(WorkerBusy, match=r"0.2 s"):
        kernel.variables(timeout=0.2)
    stop(kernel, holding)
    assert kernel.complete("nam", timeout=DEADLINE_S).matches == ("name",)
    assert kernel.is_complete("def f(", timeout=DEADLINE_S).status == "incomplete"
    assert kernel.execute("6 * 7", timeout=DEADLINE_S).value == 42


def test_more_than_fits_on_the_way_to_a_worker_that_takes_nothing_holds_up_nobody_else(kernel, connect):
    holding = hold_the_lock(kernel)
    bob = connect(name="bob")
    much = "#" * 1_000_000 + "\n"
    with pytest.raises(WorkerBusy):
        bob.complete(much, timeout=0.1)
    beside = bob.submit(much + "6 * 7", lane="side")
    assert kernel.status()["running"]["execution"] == holding.id
    stop(kernel, holding)
    assert beside.result(DEADLINE_S) == 42


def test_more_questions_than_a_worker_that_cannot_answer_may_pile_up_are_refused_at_once(kernel):
    holding = hold_the_lock(kernel)
    for _ in range(64):
        with pytest.raises(WorkerBusy):
            kernel.is_complete("x", timeout=0.01)
    with pytest.raises(WorkerBusy, match="64 questions"):
        kernel.is_complete("x", timeout=DEADLINE_S)
    stop(kernel, holding)

    def is_answered() -> bool:
        with suppress(WorkerBusy):  # those that waited are being answered first
            return kernel.is_complete("x", timeout=DEADLINE_S).status == "complete"
        return False

    wait_until(is_answered, DEADLINE_S, "the answer to one more question")


# Objects that must not be asked anything

HOSTILE = """
import functools, threading
never = threading.Event()

class Hostile:
    def __repr__(self): never.wait()
    def __hash__(self): return never.wait() if armed else 1
    def __eq__(self, other): never.wait()
    def __lt__(self, other): never.wait()
    def __getattr__(self, name): never.wait()
    def __len__(self): never.wait()
    @property
    def computed(self): never.wait()
    @functools.cached_property
    def cached(self): never.wait()

class MoreHostile(Hostile):
    __module__ = 5
    def __getattribute__(self, name): never.wait()

armed = False
alone, other = Hostile(), MoreHostile()
in_list, in_tuple, in_set, in_dict = [alone], (alone, other), {alone}, {alone: other}
in_frozenset, nested = frozenset({alone}), {"a": [{"b": (alone,)}]}
globals()["\\ud800"] = globals()[5] = globals()["two\\nlines"] = alone
huge, long, many = 10**100_000, "x" * 10**7, list(range(10**6))
armed = True
"""


def test_looking_runs_no_code_of_the_objects_looked_at(kernel):
    kernel.execute(HOSTILE, timeout=DEADLINE_S)
    found = {variable.name: variable.preview for variable in kernel.variables(timeout=DEADLINE_S)}
    assert found["alone"] == "<__main__.Hostile object>"
    assert found["in_list"] == "[<__main__.Hostile object>]"
    assert found["in_set"] == "{<__main__.Hostile object>}"
    assert found["in_dict"] == "{<__main__.Hostile object>: <?.MoreHostile object>}"
    assert found["nested"].startswith("{'a': [{'b': (")
    assert max(map(len, found.values())) < 500
    assert not {"two\nlines", "\ud800"} & set(found)
    for path in ("alone.computed", "alone.cached", "alone.made_up", "other.anything"):
        assert kernel.complete(f"{path}.", timeout=DEADLINE_S).matches == ()
        assert not kernel.inspect(path, timeout=DEADLINE_S)
    assert "in_list" in kernel.complete("in_", timeout=DEADLINE_S).matches


def test_looking_at_what_is_changed_meanwhile_finds_something(kernel):
    kernel.execute("numbers = {}; things = set(); more = []", timeout=DEADLINE_S)
    spinning = start(
        kernel,
        """
print("spinning")
count = 0
while True:
    count += 1
    numbers[count % 10] = count
    things.add(count % 10)
    more.append(count)
    globals()[f"name{count % 10}"] = count
    numbers.pop(count % 7, None)
    things.discard(count % 7)
    more.clear()
    globals().pop(f"name{count % 7}", None)
""",
    )
    for _ in range(200):
        names = {variable.name for variable in kernel.variables(timeout=DEADLINE_S)}
        assert {"numbers", "things", "more"} <= names
        assert "numbers" in kernel.complete("num", timeout=DEADLINE_S).matches
    stop(kernel, spinning)


def test_where_it_is_the_hub_that_does_not_answer_nothing_is_said_of_the_worker(kernel):
    hub = kernel.status()["hub_pid"]
    with suspended(hub), pytest.raises(CallTimeout, match=f"its hub, process {hub}, answers nothing else"):
        kernel.variables(timeout=0.1)
    kernel.variables(timeout=DEADLINE_S)
