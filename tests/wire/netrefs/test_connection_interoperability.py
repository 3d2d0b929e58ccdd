"""Ours and stock RPyC in every pairing: the same program has the same results."""

import concurrent.futures

import pytest
import rpyc
from rpyc.utils.classic import deliver, obtain
from rpyc.utils.helpers import buffiter

from rpyc_kernel.wire.netrefs.connection import CLIENT_CONFIG, WORKER_CONFIG, connect_peer
from tests.wire.peers import (
    DEADLINE_S,
    Serving,
    our_client,
    our_pair,
    our_server,
    socket_pair,
    stock_client,
    stock_server,
)
from tests.wire.services import Workshop

PAIRINGS = {
    "ours to ours": (our_client, our_server),
    "ours to stock": (our_client, stock_server),
    "stock to ours": (stock_client, our_server),
    "stock to stock": (stock_client, stock_server),
}

DEFINE = """
import os
class Thing:
    '''A thing.'''
    def __init__(self, size=3): self.size = size
    def grow(self, by=1, *, twice=False): self.size += by * (1 + twice); return self
    def __len__(self): return self.size
    def __iter__(self): return iter(range(self.size))
    def __getitem__(self, key): return ("item", key)
    def __add__(self, other): return Thing(self.size + len(other))
    def __contains__(self, key): return key == "in"
    def __enter__(self): return self
    def __exit__(self, kind, error, trace): self.left = kind is not None; return True
    def __eq__(self, other): return isinstance(other, Thing) and other.size == self.size
    def __hash__(self): return self.size
    def __call__(self, back, number): return back(number) + 1
class Smaller(Thing): pass
def fail(): raise LookupError("missing", 5)
"""


@pytest.fixture(params=PAIRINGS, name="client")
def connected_client(request):
    client_side, server_side = PAIRINGS[request.param]
    with server_side() as (sock, _), client_side(sock) as client:
        client.root.execute(DEFINE)
        yield client


def test_values_come_back_as_they_went(client):
    echo = client.root.eval("lambda value: value")
    for value in (None, True, 5, -(10**30), 1.5, 2j, "text", b"bytes", (1, ("a",)), frozenset({1}), slice(1, 2), ...):
        assert echo(value) == value
    assert echo(bytes(5_000_000)) == bytes(5_000_000)


def test_an_object_can_be_used_as_if_it_were_here(client):
    thing = client.root.eval("Thing()")
    assert thing.size == 3
    assert thing.grow(2).size == 5
    assert thing.grow(1, twice=True).size == 7
    thing.size = 4
    assert len(thing) == 4
    assert list(thing) == [0, 1, 2, 3]
    assert thing["key"] == ("item", "key")
    assert "in" in thing
    assert "out" not in thing
    assert len(thing + client.root.eval("[1, 2]")) == 6
    thing.extra = "text"
    assert thing.extra == "text"
    del thing.extra
    with pytest.raises(AttributeError):
        _ = thing.extra
    assert thing == client.root.eval("Thing(4)")
    assert thing != client.root.eval("Thing(5)")
    assert hash(thing) == 4
    assert "Thing" in repr(thing)
    assert "grow" in dir(thing)
    with thing as inside:
        assert inside is thing
        raise ValueError("swallowed there")
    assert thing.left is True


def test_the_same_object_is_the_same_proxy(client):
    client.root.execute("thing = Thing()")
    thing = client.root.eval("thing")
    assert client.root.eval("thing") is thing
    assert client.root.eval("lambda other: other is thing")(thing)
    pair = client.root.eval("(thing, thing)")
    assert pair[0] is pair[1] is thing


def test_classes_and_instances_relate(client):
    thing, smaller = client.root.eval("Thing"), client.root.eval("Smaller")
    assert isinstance(thing(), thing)
    assert not isinstance(thing(), smaller)
    assert isinstance(client.root.eval("[1]"), list)


def test_callbacks_nest(client):
    thing = client.root.eval("Thing()")

    def descend(number):
        return 0 if number == 0 else thing(descend, number - 1)

    assert thing(descend, 12) == 13


def test_local_objects_travel_there_and_back(client):
    mine = ["mine"]
    assert client.root.eval("lambda value: value")(mine) is mine
    assert client.root.eval("lambda value: (value, 1)")(mine) == (mine, 1)
    take = client.root.eval("lambda function: sorted([3, 1, 2], key=function)")
    assert obtain(take(lambda number: -number)) == [3, 2, 1]


def test_exceptions_travel(client):
    with pytest.raises(LookupError, match="missing") as caught:
        client.root.eval("fail")()
    assert caught.value.args == ("missing", 5)
    with pytest.raises(StopIteration):
        next(client.root.eval("iter(())"))
    with pytest.raises(ZeroDivisionError):
        client.root.eval("1 / 0")


def test_exceptions_of_callbacks_travel_back(client):
    def fail():
        raise KeyError("here")

    with pytest.raises(KeyError, match="here"):
        client.root.eval("lambda back: back()")(fail)


def test_asynchronous_and_timed_calls(client):
    call = rpyc.async_(client.root.eval("lambda number: number * 2"))
    results = [call(number) for number in range(50)]
    for result in results:
        result.wait()
    assert [result.value for result in results] == [number * 2 for number in range(50)]
    assert all(result.ready and not result.error and not result.expired for result in results)
    failing = rpyc.async_(client.root.eval("fail"))()
    failing.wait()
    assert failing.error
    with pytest.raises(LookupError):
        _ = failing.value
    assert rpyc.timed(client.root.eval("lambda: 5"), DEADLINE_S)().value == 5
    seen = []
    result = call(21)
    result.add_callback(lambda result: seen.append(result.value))
    result.wait()
    assert result.value == 42


def test_modules_and_builtins(client):
    os = client.root.getmodule("os")
    assert os.path.join("a", "b") == "a/b"
    assert client.root.eval("os.sep") == os.sep
    assert client.root.eval("len")([1, 2, 3]) == 3
    assert client.root.eval("dict(a=1)")["a"] == 1


def test_copies_in_both_directions(client):
    values = client.root.eval("[1, {'a': (2, 3)}]")
    assert obtain(values) == [1, {"a": (2, 3)}]
    assert list(buffiter(client.root.eval("range(100)"))) == list(range(100))
    client.modules = rpyc.core.service.ModuleNamespace(client.root.getmodule)
    delivered = deliver(client, [1, 2])
    assert isinstance(delivered, rpyc.BaseNetref)
    assert obtain(delivered) == [1, 2]


def test_many_threads_share_a_connection(client):
    double = client.root.eval("lambda number: (Thing(number), number * 2)")

    def use(number):
        thing, doubled = double(number)
        return len(thing), doubled

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert list(threads.map(use, range(200))) == [(number, number * 2) for number in range(200)]


def test_closing_is_clean(client):
    client.ping()
    client.close()
    assert client.closed
    client.close()
    with pytest.raises(EOFError):
        client.root.eval("1")


def test_a_peer_can_be_reached_through_another():
    with (
        our_server(Workshop()) as (far_sock, _),
        our_client(far_sock) as far,
        our_server(Workshop(far=far)) as (sock, _),
        our_client(sock) as client,
    ):
        far.root.execute(DEFINE)
        client.root.execute("kept = [far.root.eval('Thing(%d)' % size) for size in (4, 5)]")
        first, second = client.root.eval("kept[0]"), client.root.eval("kept[1]")
        assert (len(first), len(second)) == (4, 5)
        assert first.grow().size == 5
        assert client.root.eval("lambda thing: thing is kept[1]")(second)
        thing = client.root.eval("far.root.eval('Thing')")
        assert len(thing(7)) == 7


def test_classic_peers_of_ours_serve_each_other():
    class Full(rpyc.ClassicService):
        pass

    near, far = socket_pair()
    sides = []
    connecting = Serving(lambda: sides.append(connect_classic(far, Full)))
    client = connect_classic(near, Full)
    connecting.join()
    assert connecting.error is None
    try:
        assert client.modules.os.sep == "/"
        assert sides[0].modules.sys.version_info[0] == 3
        client.execute("x = 5")
        assert client.namespace["x"] == 5
    finally:
        client.close()
        sides[0].close()


def connect_classic(sock, service):
    return connect_peer(sock, service, name="classic", config=WORKER_CONFIG, request_timeout_s=DEADLINE_S)


def test_what_is_to_be_called_before_the_end_is_called_with_the_root():
    told = []
    with our_pair(
        client_config={**CLIENT_CONFIG, "before_closed": lambda root: told.append(root.eval("6 * 7"))}
    ) as pair:
        pair[0].close()
        pair[0].close()
        assert told == [42]


class Thing: ...


class Smaller(Thing): ...


class Other: ...


SHARED = {"Thing": Thing, "Smaller": Smaller, "Other": Other, "thing": Thing(), "smaller": Smaller()}


@pytest.fixture
def two_roots():
    """Two connections to one process, whose clients have met different things before."""
    with our_pair(Workshop(**SHARED)) as one, our_pair(Workshop(**SHARED)) as other:
        other[0].root.eval("Other()")
        other[0].root.eval("Smaller()")
        yield one[0].root, other[0].root


@pytest.mark.parametrize("kind", ["Thing", "Smaller", "Other", "type", "list", "object"])
@pytest.mark.parametrize("thing", ["thing", "smaller", "Thing", "Other()", "[1]", "len"])
def test_isinstance_across_connections_says_what_it_says_over_there(two_roots, thing, kind):
    right = two_roots[0].eval(f"isinstance({thing}, {kind})")
    for one, other in (two_roots, two_roots[::-1]):
        assert isinstance(one.eval(thing), other.eval(kind)) is right
