"""Lazy values of a kernel: a chain of any length takes one round trip, and its errors name the link that failed."""

import os
import signal
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import rpyc_kernel
from rpyc_kernel import ChainFailed, ConnectionLost, KernelClient, KernelError, NotPlain, RequestError, WorkerBusy
from rpyc_kernel.client.lazy import chain_of
from rpyc_kernel.wire.bulk.socket import BulkSocket
from rpyc_kernel.wire.channel import DEFAULT_MAX_FRAME_BYTES
from tests.support.waiting import wait_until

pytestmark = pytest.mark.shares_kernel

DEADLINE_S = 60
LINKS = 10_000

DEFINITIONS = """
import threading, time

class Thing:
    def __init__(self, x=1): self.x = x
    def add(self, n): return self.x + n
    def make(self): return Thing(self.x + 1)
    def apply(self, function, *args): return function(*args)
    def get(self, key): return 'got ' + key
    def fail(self):
        error = ValueError('no such\\nthing')
        getattr(error, 'add_note', lambda note: None)('look elsewhere')
        raise error
    def wait(self): gate.wait(60); return self

thing = Thing()
table = {'a': [3, 1, 2], 'thing': thing}
gate = threading.Event()
"""


@pytest.fixture
def prepared(kernel: KernelClient) -> KernelClient:
    kernel.execute(DEFINITIONS, timeout=DEADLINE_S)
    return kernel


def counted(method, made):
    """The method, which notes its name first."""

    def count(*args, **kwargs):
        made.append(method.__name__)
        return method(*args, **kwargs)

    return count


@pytest.fixture
def round_trips(prepared, monkeypatch):
    """The requests that the client makes from now on, of both channels, as a list that grows."""
    made = []
    prepared.eval("1"), prepared.pull("1")  # both are connected
    for kind, method in ((type(prepared.objects), "_request"), (BulkSocket, "send")):
        monkeypatch.setattr(kind, method, counted(getattr(kind, method), made))
    return made


def test_a_chain_is_one_round_trip_in_each_of_the_three_forms(prepared, round_trips):
    chain = prepared.lazy.thing.make().make().add(prepared.lazy.len(prepared.lazy.table)) * 2 - 1
    assert repr(chain) == "<lazy thing.make().make().add(len(table)) * 2 - 1>"
    assert round_trips == []
    assert chain.get() == 9
    assert round_trips == ["_request"]
    round_trips.clear()
    assert prepared.lazy.sorted(prepared.lazy.table["a"]).pull() == [1, 2, 3]
    assert round_trips == ["send"]
    round_trips.clear()
    proxy = chain.netref()
    assert round_trips == ["_request"]
    assert proxy + 1 == 10
    assert type(proxy) is not int


def test_what_is_plain_comes_by_value_and_all_else_as_a_live_object(prepared):
    assert prepared.lazy.tuple(prepared.lazy.table["a"]).get() == (3, 1, 2)
    made = prepared.lazy.thing.make().get()
    made.x = 40
    assert made.add(2) == 42
    assert prepared.lazy.table["thing"].get() is prepared.lazy.thing.netref()


def test_names_are_those_of_the_namespace_and_then_the_builtins(prepared):
    assert prepared.lazy.len("abc").get() == 3
    prepared.namespace["abs"] = 5
    prepared.namespace["any name"] = 6
    assert prepared.lazy.abs.get() == 5
    assert prepared.lazy["any name"].get() == 6
    assert prepared.lazy["__import__"]("math").factorial(5).get() == 120


def test_live_objects_of_the_kernel_are_arguments_that_stay_what_they_are(prepared):
    thing = prepared.namespace.thing
    assert prepared.lazy.id(thing).get() == prepared.eval("id(thing)")
    assert prepared.lazy.list([thing, {"k": thing}])[1]["k"].get() is thing
    assert prepared.lazy.vars(thing).pull() == {"x": 1}


@pytest.mark.parametrize("form", ["get", "pull"])
def test_functions_of_the_client_are_called_back(form, prepared):
    called = []
    value = getattr(prepared.lazy.thing.apply(lambda *numbers: called.append(numbers) or 42, 1, 2), form)()
    assert (value, called) == (42, [(1, 2)])


def test_containers_are_copied_and_nobody_asks_back_for_their_items(prepared, round_trips):
    numbers = [1, 2]
    prepared.lazy.thing.apply(prepared.lazy.list.append, numbers, 3).get()
    assert numbers == [1, 2]
    assert prepared.lazy.isinstance([1], prepared.lazy.list).get()


def test_threads_may_put_together_what_they_have_recorded(prepared):
    with ThreadPoolExecutor(8) as pool:
        names = list(pool.map(lambda name: prepared.lazy[name], ["thing", "table"] * 20))
    assert prepared.lazy.len(prepared.lazy.list(names)).get() == 40


def test_a_chain_runs_beside_the_queue(prepared):
    asking = prepared.submit("input()")
    assert prepared.lazy.thing.make().x.get() == 2
    assert prepared.lazy.table["a"].pull() == [3, 1, 2]
    asking.interrupt()


@pytest.mark.parametrize("form", ["get", "netref", "pull"])
def test_an_error_names_its_link_and_has_what_the_kernel_tells_of_the_exception(form, prepared):
    with pytest.raises(ChainFailed) as raised:
        getattr(prepared.lazy.thing.make().fail().x, form)()
    error = raised.value
    assert str(error).splitlines()[0] == "lazy chain failed at .fail() of thing.make().fail().x: ValueError: no such"
    assert (error.ename, error.evalue, error.link) == ("ValueError", "no such\nthing", ".fail()")
    assert "in fail" in error.traceback
    assert "in fail" in str(error)
    assert "rpyc_kernel" not in error.traceback
    assert error.__notes__ in (["look elsewhere"], [])


@pytest.mark.parametrize("form", ["get", "netref", "pull"])
def test_a_name_that_is_missing_is_named(form, prepared):
    with pytest.raises(ChainFailed) as raised:
        getattr(prepared.lazy.tabel["a"], form)()
    assert str(raised.value) == "lazy chain failed at tabel of tabel['a']: NameError: name 'tabel' is not defined"


@pytest.mark.parametrize("form", ["get", "pull"])
def test_ten_thousand_links_are_one_chain(form, prepared):
    chain = prepared.lazy.thing.x
    for _ in range(LINKS // 2):
        chain = (chain + 1).real
    assert getattr(chain, form)() == 1 + LINKS // 2
    with pytest.raises(ChainFailed) as raised:
        getattr(chain.nothing.real, form)()
    assert raised.value.link == ".nothing"


def test_a_call_that_takes_too_long_is_a_busy_worker_and_may_go_on(prepared):
    with pytest.raises(WorkerBusy, match=r"within 0\.05 s"):
        prepared.lazy.thing.wait().get(timeout=0.05)
    prepared.execute("gate.set()", timeout=DEADLINE_S)
    assert prepared.lazy.thing.add(1).get(timeout=DEADLINE_S) == 2


@pytest.mark.own_kernel
@pytest.mark.parametrize("form", ["get", "pull"])
def test_a_worker_that_is_killed_in_the_middle_of_a_chain_fails_it_at_once(form, prepared):
    worker = prepared.status()["worker_pid"]
    reached = threading.Event()

    def kill():
        reached.set()
        os.kill(worker, signal.SIGKILL)

    with pytest.raises(ConnectionLost):
        getattr(prepared.lazy.thing.apply(kill).x, form)()
    assert reached.is_set()
    prepared.restart(timeout=DEADLINE_S)
    assert prepared.lazy.len("abc").get(timeout=DEADLINE_S) == 3


def test_what_cannot_be_handed_over_is_refused_and_the_next_chain_goes(prepared):
    with rpyc_kernel.connect("demo") as other, pytest.raises(RequestError, match="another client"):
        prepared.lazy.print(other.lazy.thing)
    with pytest.raises(RequestError, match="surrogate"):
        prepared.lazy.print("\ud800")
    assert prepared.lazy.thing.x.get() == 1


def test_a_lazy_value_is_nothing_that_could_be_left_in_the_kernel(prepared):
    for hand_over in (
        lambda lazy: prepared.namespace.update(kept=lazy),
        lambda lazy: prepared.namespace.thing.add((1, lazy)),
        lambda lazy: setattr(prepared.namespace.thing, "x", lazy),
        lambda lazy: prepared.submit_call(prepared.namespace.thing.add, lazy),
        lambda lazy: prepared.push(kept=lazy),
    ):
        with pytest.raises((RequestError, TypeError), match=r"not there yet.*\.(get|pull)\(\)"):
            hand_over(prepared.lazy.thing)
    prepared.namespace["kept"] = prepared.lazy.thing.make().netref()
    assert prepared.lazy.kept.x.get() == 2


def test_an_argument_that_is_too_large_is_refused_and_the_next_chain_goes(prepared):
    large = bytes(DEFAULT_MAX_FRAME_BYTES)
    with pytest.raises(KernelError, match="by the bulk channel"):
        prepared.lazy.len(large).get()
    assert prepared.lazy.len(large).pull() == len(large)
    assert prepared.lazy.len("abc").get() == 3


def test_chains_that_were_handed_in_and_never_asked_for_go_with_their_client(prepared):
    prepared.execute("import weakref; kept = Thing(); gone = weakref.ref(kept)", timeout=DEADLINE_S)
    with rpyc_kernel.connect("demo") as other:
        chain = chain_of(other.lazy.print(other.namespace["kept"]), other._evaluator)
        other._live.ask(None, "stage_chain", *chain.compile())
        prepared.execute("del kept", timeout=DEADLINE_S)
        assert prepared.eval("gone() is not None")
        del chain
    wait_until(lambda: prepared.eval("gone() is None"), DEADLINE_S, "the staged chain to be forgotten")


def test_a_copy_has_the_options_of_pull(prepared):
    with pytest.raises(NotPlain):
        prepared.lazy.thing.make().pull()
    with pytest.raises(RequestError, match="over the limit of 10"):
        prepared.lazy.bytes(1000).pull(max_bytes=10)
    told = []
    assert prepared.lazy.bytes(1000).pull(progress=lambda done, total: told.append((done, total))) == bytes(1000)
    assert told[-1] == (1000, 1000)
    prepared.execute("from fractions import Fraction", timeout=DEADLINE_S)
    assert prepared.lazy.Fraction(1, 2).pull(allow_pickle=True) * 2 == 1


def test_arguments_of_every_plain_kind_arrive_as_they_are(prepared):
    plain = (None, True, -(1 << 70), 0.1, float("inf"), 1 + 2j, "ä\0", b"\xff", ..., [1, {"k": {2}}], frozenset(), ())
    for value in plain:
        assert prepared.lazy.repr(value).get() == repr(value)
        assert prepared.lazy.repr(value).pull() == repr(value)


def test_a_viewer_has_no_lazy_values_to_get(prepared):
    with rpyc_kernel.connect("demo", role="viewer") as viewer, pytest.raises(rpyc_kernel.NotPermitted):
        viewer.lazy.thing.x.get()
