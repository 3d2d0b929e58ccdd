"""What costs round trips, bytes and copies, and what does not."""

import numpy as np
import pytest
from rpyc.core import consts

from rpyc_kernel.wire.netrefs.connection import Connection
from tests.support.waiting import wait_until
from tests.wire.peers import our_client, our_pair, our_server, stock_client, stock_pair, stock_server
from tests.wire.services import Workshop

DEFINE = (
    "class Thing:\n    'Documented.'\n    def method(self):\n        'Documented too.'\n        return {result!r}\n"
)


class Counted:
    """How often a connection's side was asked for each handler."""

    def __init__(self, connection):
        self.asked = []
        name = "_request" if isinstance(connection, Connection) else "async_request"
        request = getattr(connection, name)

        def count(handler, *args, **options):
            self.asked.append(handler)
            return request(handler, *args, **options)

        setattr(connection, name, count)

    def __call__(self, handler):
        return self.asked.count(handler)


def size_of_inspection(pair):
    """The bytes of an answer that describes a numpy array's methods."""
    with pair(Workshop(array=np.zeros(3))) as (client, _):
        array = client.root.eval("array")
        methods = client.sync_request(consts.HANDLE_INSPECT, object.__getattribute__(array, "____id_pack__"))
        assert "sum" in dict(methods)
        return len(repr(methods))


def test_stock_sends_every_docstring_with_every_new_proxy():
    assert size_of_inspection(stock_pair) > 40_000


def test_a_new_proxy_costs_no_docstrings():
    assert size_of_inspection(our_pair) < 6_000


@pytest.mark.parametrize("client_side", [our_client, stock_client])
def test_documentation_is_there_when_asked_for(client_side):
    with our_server() as (sock, _), client_side(sock) as client:
        client.root.execute(DEFINE.format(result=1))
        thing = client.root.eval("Thing()")
        assert thing.__doc__ == "Documented."
        assert thing.method.__doc__ == "Documented too."


def count_inspections(pair):
    with pair() as (client, _):
        client.root.execute(DEFINE.format(result=1) + "things = [Thing() for _ in range(100)]")
        things = client.root.eval("things")
        counted = Counted(client)
        held = [things[index] for index in range(100)]
        assert len(held) == 100
        return counted(consts.HANDLE_INSPECT)


def test_stock_asks_for_the_methods_of_every_object():
    assert count_inspections(stock_pair) == 100


def test_the_methods_of_a_class_are_asked_for_once():
    assert count_inspections(our_pair) == 1


def test_a_stock_server_is_asked_for_the_methods_of_every_object():
    with stock_server() as (sock, _), our_client(sock) as client:
        client.root.execute(DEFINE.format(result=1))
        counted = Counted(client)
        held = [client.root.eval("Thing()") for _ in range(5)]
        assert counted(consts.HANDLE_INSPECT) == len(held)


REDEFINE = """
import gc
def redefine(number):
    # The class before is gone, so the new one may well be at its address.
    globals().pop("Thing", None)
    gc.collect()
    code = f"def method_{number}(self): return {number}\\n    def __len__(self): return {number}"
    exec("class Thing:\\n    " + code, globals())
    return Thing
"""


def use_redefined_classes(pair, rounds=5):
    """How often a proxy of a class has the methods of a class before it, up to the first time."""
    stale = 0
    with pair() as (client, server):
        client.root.execute(REDEFINE)
        redefine = client.root.eval("redefine")
        for number in range(rounds):
            cls = redefine(number)
            stale += f"method_{number}" not in type(cls).__dict__
            thing = cls()
            stale += f"method_{number}" not in type(thing).__dict__
            assert len(thing) == number
            if stale:
                return stale
            del cls, thing
            client.ping()
            if hasattr(server, "_local_objects"):
                wait_until(lambda server=server: len(server._local_objects) <= 3)
    return stale


def test_stock_takes_a_redefined_class_for_its_predecessor():
    assert use_redefined_classes(stock_pair, rounds=100) > 0  # where an address is used again, and that is chance


def test_a_redefined_class_is_a_class_of_its_own():
    assert use_redefined_classes(our_pair) == 0


def test_a_class_that_gained_a_method_is_asked_for_its_methods_again():
    with our_pair() as (client, _):
        client.root.execute(DEFINE.format(result=1))
        assert "__len__" not in type(client.root.eval("Thing()")).__dict__
        client.root.execute("Thing.__len__ = lambda self: 7")
        assert len(client.root.eval("Thing()")) == 7
        assert len(client.root.eval("type('Derived', (Thing,), {})()")) == 7


def test_classes_and_their_instances_are_told_apart():
    with our_pair() as (client, _):
        client.root.execute("class Meta(type):\n    def __len__(cls): return 3\nclass Thing(metaclass=Meta): pass")
        thing, cls = client.root.eval("Thing()"), client.root.eval("Thing")
        assert len(cls) == 3
        assert not hasattr(type(thing), "__len__")
        assert isinstance(thing, cls)
        assert not isinstance(client.root.eval("object()"), cls)
        client.root.execute("Thing.attribute = 1")
        assert isinstance(thing, client.root.eval("Thing"))


def test_nothing_is_compressed_between_our_peers():
    with our_pair() as (client, server):
        assert not client._channel.compress
        assert not server._channel.compress


def test_a_large_message_takes_no_detour_over_tcp():
    with our_pair(kind="tcp") as (client, _):
        size = 100_000
        data = bytes(size)
        double = client.root.eval("lambda data: data + data")
        assert double(data) == data * 2
