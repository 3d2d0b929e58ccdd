"""Every exposed method with every wrong argument, by a table made of the methods' own signatures.

A new method is in it as soon as it is written.
"""

import inspect
import math
import tempfile
from concurrent.futures import Future
from contextlib import closing, suppress
from pathlib import Path
from typing import get_type_hints

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpyc_kernel.core.contract import MAX_CODE_CHARS, Force, Lane, Role, Scope
from rpyc_kernel.core.form import Form
from rpyc_kernel.errors import KernelError, NotPermitted, RequestError, WorkerBusy
from rpyc_kernel.hub import questions
from rpyc_kernel.hub.arguments import Call, CheckedService, Code, FormPairs, Place
from rpyc_kernel.hub.service import HubService
from tests.hub.kernels import FakeKernel


def nest(depth):
    value = ()
    for _ in range(depth):
        value = (value,)
    return value


LONG = "x" * (MAX_CODE_CHARS + 1)
ANYTHING = {
    "None": None,
    "True": True,
    "0": 0,
    "-1": -1,
    "2**63": 2**63,
    "a huge int": 10**5000,
    "a huge negative int": -(10**400),
    "0.5": 0.5,
    "NaN": math.nan,
    "infinity": -math.inf,
    "a complex": 1j,
    "bytes": b"x",
    "empty bytes": b"",
    "a text": "x",
    "an empty text": "",
    "a lone surrogate": "\ud800",
    "a null character": "a\0b",
    "a very long text": LONG,
    "a text too long for any call": "x" * (20 * 1024 * 1024 + 1),
    "()": (),
    "texts": ("a", "b"),
    "many texts": ("a",) * 10_001,
    "long texts": (LONG[:-2], "abc"),
    "mixed": ("a", None),
    "pairs": (("file", "a.py"), ("first_line", math.nan)),
    "pairs with bytes": (("file", b"a.py"),),
    "nested": nest(50),
    "deeply nested": nest(100_000),
    "a frozenset": frozenset({1}),
    "a slice": slice(1, 2, 3),
    "an ellipsis": ...,
    "NotImplemented": NotImplemented,
}
"""What stands here can mostly cross the wire: brine's types."""


def is_text(value, limit=MAX_CODE_CHARS):
    return type(value) is str and len(value) <= limit and value != "\ud800"


def is_number(value):
    return type(value) is int and abs(value) < 2**128


def is_form(value):
    return value in (None, ()) if not isinstance(value, frozenset) else False


FITS = {
    Code: is_text,
    str: is_text,
    Call | None: lambda value: value is None or is_text(value, 20 * 1024 * 1024),
    str | None: lambda value: value is None or is_text(value),
    bool: lambda value: type(value) is bool,
    int: is_number,
    int | None: lambda value: value is None or is_number(value),
    Place: lambda value: type(value) is int and abs(value) <= 2**62,
    float: lambda value: is_number(value) or (type(value) is float and math.isfinite(value)),
    tuple[str, ...]: lambda value: value in ((), ("a", "b")),
    FormPairs: is_form,
}
"""What each type of argument accepts of these; written down once more, and apart from the checks themselves."""

RIGHT = {
    Code: "1",
    str: "x",
    Call | None: None,
    str | None: "x",
    bool: True,
    int: 1,
    int | None: None,
    Place: 0,
    float: 0.0,
    tuple[str, ...]: ("a",),
    FormPairs: (),
}
WORDS = {"lane": Lane.MAIN, "force": Force.SIGNAL, "scope": Scope.ALL}


def read_table():
    """Every exposed method with the types of its arguments."""
    table = {}
    for name in dir(HubService):
        if name.startswith("exposed_"):
            method = getattr(HubService, name)
            hints = get_type_hints(method, include_extras=True)
            parameters = list(inspect.signature(method).parameters)[1:]
            table[name] = {parameter: hints[parameter] for parameter in parameters}
    return table


TABLE = read_table()
PLACES = [(name, parameter) for name, parameters in TABLE.items() for parameter in parameters]


def right_arguments(name):
    return {parameter: WORDS.get(parameter, RIGHT[kind]) for parameter, kind in TABLE[name].items()}


@pytest.fixture
def kernel(tmp_path):
    with closing(FakeKernel(tmp_path)) as kernel:
        yield kernel


def test_the_table_is_not_empty():
    assert len(TABLE) > 30
    assert {"exposed_execute", "exposed_complete", "exposed_read", "exposed_shutdown"} <= TABLE.keys()


@pytest.mark.parametrize(("name", "parameter"), PLACES)
def test_a_wrong_argument_is_refused_and_changes_nothing(kernel, name, parameter):
    client = kernel.connect()
    client.exposed_execute("'runs for long'")
    kind = TABLE[name][parameter]
    wrong = {label: value for label, value in ANYTHING.items() if not FITS[kind](value)}
    assert len(wrong) > 10
    before = kernel.snapshot()
    for label, value in wrong.items():
        with pytest.raises(RequestError) as caught:
            getattr(client, name)(**{**right_arguments(name), parameter: value})
        assert 0 < len(str(caught.value)) < 500, label
        assert kernel.snapshot() == before, label
    assert kernel.goes_on()
    assert kernel.payloads()


@pytest.mark.parametrize("name", TABLE)
def test_a_wrong_number_of_arguments_is_refused(kernel, name):
    client = kernel.connect()
    before = kernel.snapshot()
    arguments = right_arguments(name)
    with pytest.raises(RequestError, match="takes"):
        getattr(client, name)(*arguments.values(), None)
    with pytest.raises(RequestError, match="takes"):
        getattr(client, name)(nonsense=1)
    if arguments:
        with pytest.raises(RequestError, match="takes"):
            getattr(client, name)(next(iter(arguments.values())), **arguments)
    required = [p for p in inspect.signature(getattr(HubService, name)).parameters.values() if p.default is p.empty]
    if required[1:]:
        with pytest.raises(RequestError, match=f"needs {required[1].name}"):
            getattr(client, name)()
    assert kernel.snapshot() == before


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(TABLE)), st.lists(st.sampled_from(sorted(ANYTHING)), max_size=5)),
        min_size=1,
        max_size=30,
    )
)
def test_any_calls_in_any_order_leave_a_kernel_that_goes_on(calls):
    with tempfile.TemporaryDirectory() as folder, closing(FakeKernel(Path(folder))) as kernel:
        client = kernel.connect()
        for name, labels in calls:
            if name == "exposed_shutdown":
                continue
            before = kernel.snapshot()
            try:
                answer = getattr(client, name)(*[ANYTHING[label] for label in labels])
            except KernelError:
                assert kernel.snapshot() == before
            else:
                with suppress(AttributeError):
                    answer.cancel()
                if name == "exposed_restart":
                    kernel.replace_worker()
        assert kernel.goes_on()
        kernel.payloads()


def test_an_argument_whose_type_says_nothing_cannot_be_exposed():
    for kind in (object, "Anything", dict, list[str]):
        with pytest.raises((TypeError, NameError)):

            class Careless(CheckedService):
                def exposed_take(self, value: kind):
                    """Take it."""


def test_right_arguments_pass_by_place_and_by_name(kernel):
    client = kernel.connect()
    pairs = (("file", "/a.py"), ("arguments", ("x",)), ("cwd", "/"))
    assert client.exposed_execute("1", False, Lane.MAIN, "call-1", pairs) == 1
    assert client.exposed_execute(code="2", form=pairs) == 2
    queued = [payload for kind, payload in kernel.payloads() if kind == "queued"]
    assert [(each["stop_on_error"], each["call"]) for each in queued] == [(False, "call-1"), (True, None)]
    assert [Form.read(each["form"]) for each in queued] == [Form("/a.py", arguments=("x",), cwd="/")] * 2


def test_an_argument_of_the_name_of_the_service_itself_is_unknown(kernel):
    with pytest.raises(RequestError, match="execute takes code, "):
        kernel.connect().exposed_execute(code="1", self=2)


ONLY_LOOK = {
    "acknowledge",
    "cells",
    "children",
    "complete",
    "cwd",
    "definition",
    "environment",
    "find",
    "follow",
    "hello",
    "history",
    "inspect",
    "is_complete",
    "last_stack",
    "module_path",
    "packages",
    "python",
    "queue",
    "read",
    "signatures",
    "stack",
    "status",
    "variables",
}
"""What an observer may do. A method that is not here must refuse it."""


@pytest.mark.parametrize("name", TABLE)
def test_an_observer_may_only_look_whatever_its_session_may(kernel, name):
    user, observer = kernel.connect("a"), kernel.connect("a", role=Role.OBSERVER)
    user.exposed_execute("'runs for long'")
    before = kernel.snapshot()[:2]
    if name.removeprefix("exposed_") in ONLY_LOOK:
        getattr(observer, name)(**right_arguments(name))
    else:
        with pytest.raises(NotPermitted, match="only observes; it cannot"):
            getattr(observer, name)(**right_arguments(name))
    assert kernel.snapshot()[:2] == before
    assert not any(request[0] == "interrupt" for request in kernel.worker.asked)


def test_an_observer_moves_nobodys_place_in_the_events(kernel):
    user, observer = kernel.connect("a"), kernel.connect("a", role=Role.OBSERVER)
    for _ in range(3):
        user.exposed_execute("1")
    user.exposed_acknowledge(1)
    observer.exposed_acknowledge(3)
    observer.exposed_read(4, 10, 0.0, Scope.ALL, True)
    assert [dict(client.exposed_hello())["cursor"] for client in (user, observer)] == [1, 4]


def test_a_long_queue_is_shown_by_its_length_and_its_first_page(kernel):
    client = kernel.connect()
    for number in range(1, 10_002):
        assert client.exposed_execute(f"{number}") == number
    status = dict(client.exposed_status())
    assert status["queue_length"] == 10_000
    assert [dict(item)["execution"] for item in status["queue"]] == list(range(2, 102))
    shown, after = [], 0
    while page := client.exposed_queue(after, 999):
        shown += [dict(item)["execution"] for item in page]
        after = shown[-1]
    assert shown == list(range(2, 10_002))
    assert client.exposed_queue(5000, 1)[0][0] == ("execution", 5001)
    assert client.exposed_queue(0, 10**9)[-1][0] == ("execution", 1001)
    assert client.exposed_queue(0, -1) == ()


def test_a_staged_call_that_is_never_made_is_dropped_by_the_worker(kernel):
    client = kernel.connect()
    client.exposed_execute("'runs for long'")
    call, message = (client.exposed_execute("# call", call=call) for call in ("call-7", "comm:{}"))
    client.exposed_cancel(call)
    client.exposed_cancel(message)
    dropped = [request for request in kernel.worker.asked if request[0] == "drop_call"]
    assert dropped == [("drop_call", "call-7")]


def test_a_worker_that_has_started_and_does_not_answer_is_busy(kernel, monkeypatch):
    monkeypatch.setattr(questions, "_WORKER_START_S", 0.01)
    monkeypatch.setattr(kernel.worker, "wait_for_worker", lambda timeout_s: False)
    monkeypatch.setattr(kernel.worker, "request", lambda *request: Future())
    with pytest.raises(WorkerBusy, match=r"did not answer within 0\.01 s"):
        kernel.connect().exposed_cwd().result(0)
