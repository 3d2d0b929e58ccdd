"""Exports, identities, inspection, proxies, and how they play together."""

import collections
import enum
import gc
import os
import weakref

import numpy as np
import pytest
import rpyc
from rpyc.core import consts, netref
from rpyc.lib import get_id_pack, get_methods

from rpyc_kernel.wire import messages
from rpyc_kernel.wire.channel import Channel
from rpyc_kernel.wire.netrefs.exports import Exports
from rpyc_kernel.wire.netrefs.identities import Identities
from rpyc_kernel.wire.netrefs.method_names import LASTING, list_methods
from rpyc_kernel.wire.netrefs.proxies import Proxies
from rpyc_kernel.wire.netrefs.references import References
from tests.support.waiting import wait_until
from tests.wire.peers import Serving, our_pair, our_server
from tests.wire.services import Workshop


class Thing:
    def method(self):
        """Documented."""

    @property
    def attribute(self):
        return 1


# ---- exports ----


def test_an_export_lives_until_all_its_references_are_back():
    exports, thing = Exports(), Thing()
    watch = weakref.ref(thing)
    for _ in range(3):
        exports.add(("x", 1, 2), thing)
    del thing
    exports.decref(("x", 1, 2), 2)
    assert exports["x", 1, 2] is watch()
    exports.decref(("x", 1, 2))
    assert watch() is None
    with pytest.raises(KeyError):
        exports.decref(("x", 1, 2))
    with pytest.raises(KeyError):
        exports["x", 1, 2]


def test_giving_back_too_much_is_giving_back_everything():
    exports = Exports()
    exports.add(("x", 1, 2), Thing())
    exports.decref(("x", 1, 2), 10)
    assert len(exports) == 0


def test_an_object_is_let_go_outside_the_lock():
    exports = Exports()

    class Meddling:
        def __del__(self):
            other = Serving(lambda: exports.add(("y", 1, 1), "other"))
            other.join()

    exports.add(("x", 1, 2), Meddling())
    exports.decref(("x", 1, 2))
    exports.add(("x", 1, 2), Meddling())
    exports.clear()
    assert exports["y", 1, 1] == "other"


# ---- identities ----


@pytest.mark.parametrize("obj", [Thing(), Thing, os, len, [], Thing().method, collections.OrderedDict(), np.zeros(2)])
def test_names_are_those_of_stock_rpyc(obj):
    name, _, instance = Identities().identify(obj)
    stock_name, _, stock_instance = get_id_pack(obj)
    assert name == stock_name
    assert instance == stock_instance


def test_an_identity_stays_and_class_and_instances_share_a_number():
    identities, thing = Identities(), Thing()
    assert identities.identify(thing) == identities.identify(thing)
    assert identities.identify(thing)[1] == identities.identify(Thing)[1] == identities.identify(Thing())[1]
    assert identities.identify(Thing)[2] == 0
    assert identities.identify([])[1] != identities.identify({})[1]


class Colour(enum.Enum):
    RED = 1


def test_a_number_is_never_used_again():
    identities, numbers = Identities(), set()
    for number in range(50):
        made = type("Made", (), {"__module__": "x"})
        numbers.add(identities.identify(made())[1])
        del made
        gc.collect()
        assert len(numbers) == number + 1
    assert len(identities._numbers) == 0


def test_a_changed_class_has_a_new_number():
    class Base:
        pass

    class Derived(Base):
        pass

    identities = Identities()
    before = identities.identify(Derived())
    Base.added = len
    assert identities.identify(Derived())[1] != before[1]


# ---- inspection ----


@pytest.mark.parametrize("obj", [Thing(), os, len, [], "text", np.zeros(2), np.float64(1), type, open])
def test_the_methods_are_those_that_stock_rpyc_finds(obj):
    stock = {name for name, _ in get_methods(netref.LOCAL_ATTRS, obj)}
    ours = dict(list_methods(obj))
    assert ours.pop(LASTING[0]) == LASTING[1]
    assert set(ours) == stock
    assert not any(ours.values())


@pytest.mark.parametrize("kind", [Thing, int, np.ndarray, Colour])
def test_of_a_class_the_special_methods_are_those_that_python_asks_of_it(kind):
    stock = {name for name, _ in get_methods(netref.LOCAL_ATTRS, kind)}
    ours = dict(list_methods(kind)).keys() - {LASTING[0]}
    assert {name for name in ours if name.startswith("__")} == {
        name for name in stock if name.startswith("__") and hasattr(type(kind), name)
    }
    assert {name for name in ours if not name.startswith("__")} == {name for name in stock if not name.startswith("__")}


def test_stock_makes_no_method_of_the_mark_that_a_list_lasts():
    made = netref.class_factory(("x.Y", 1, 2), list_methods(Thing()))
    assert "method" in vars(made)
    assert LASTING[0] not in vars(made)


# ---- proxies ----


class Proxy:
    pass


def test_a_proxy_is_shared_while_it_lives_and_counted():
    dead = []
    proxies = Proxies(dead.append)
    proxy = proxies.claim(("x", 1, 2), Proxy)
    assert proxies.claim(("x", 1, 2), Proxy) is proxy
    assert proxies.find(("x", 1, 2)) is proxy
    del proxy
    assert [(ref.id_pack, ref.count) for ref in dead] == [(("x", 1, 2), 2)]
    assert proxies.find(("x", 1, 2)) is None
    proxies.forget(dead[0])
    assert len(proxies) == 0


def test_a_new_proxy_is_not_forgotten_with_its_predecessor():
    dead = []
    proxies = Proxies(dead.append)
    proxies.claim(("x", 1, 2), Proxy)
    successor = proxies.claim(("x", 1, 2), Proxy)
    proxies.forget(dead[0])
    assert proxies.find(("x", 1, 2)) is successor
    assert len(proxies) == 1


def test_a_proxy_revived_by_its_own_finalizer_keeps_its_references():
    revived, dead = [], []
    proxies = Proxies(dead.append)

    class Reviving:
        def __del__(self):
            revived.append(proxies.claim(("x", 1, 2), Reviving))

    proxies.claim(("x", 1, 2), Reviving)
    assert len(revived) == 1
    assert dead == []
    revived.clear()
    assert [ref.count for ref in dead] == [2]


def test_a_cleared_table_gives_nothing_back():
    dead = []
    proxies = Proxies(dead.append)
    proxy = proxies.claim(("x", 1, 2), Proxy)
    proxies.clear()
    del proxy
    assert dead == []


# ---- all together ----


def references(**options):
    return References(object(), lambda id_pack: (), lambda id_pack, count: None, lambda ref: None, **options)


def test_what_was_boxed_can_be_taken_back():
    boxing, given = references(), []
    package = boxing.box((1, [2], (Thing(), "x")), given)
    assert package[0] == consts.LABEL_TUPLE
    assert len(boxing.exports) == len(given) == 2
    assert list(messages.remote_refs(package)) == given
    boxing.take_back(given)
    assert len(boxing.exports) == 0


def test_a_guarded_package_is_given_back_when_its_holder_dies():
    dead = []
    guarding = References(object(), lambda id_pack: (), lambda *args: None, dead.append)
    package = (consts.LABEL_TUPLE, ((consts.LABEL_REMOTE_REF, ("x", 1, 2)), (consts.LABEL_VALUE, 1)))
    holder, kept = Thing(), Thing()
    guarding.guard(holder, package)
    guarding.unguard(guarding.guard(kept, package))
    del holder, kept
    assert len(dead) == 1
    assert guarding.bury(dead[0]) == [messages.deletion(("x", 1, 2), 1)]
    assert guarding.bury(dead[0]) == []


def test_builtin_proxies_make_no_request_when_they_are_collected():
    with our_pair(Workshop(kept=[1, 2])) as (client, server):
        kept = client.root.eval("kept")
        assert isinstance(kept, netref.BaseNetref)
        assert isinstance(kept, list)
        assert type(kept).__del__ is object.__init__
        requests = client._seqcounter
        wait_until(lambda: len(server._local_objects) == 2)
        before = next(requests)
        del kept
        wait_until(lambda: len(server._local_objects) == 1)
        assert next(requests) == before + 1  # the deletion has no number
        assert netref.builtin_classes_cache["builtins.list"].__del__ is netref.BaseNetref.__del__


def test_references_are_counted_right_by_many_threads():
    with our_pair(Workshop()) as (client, server):
        client.root.execute("class Thing: pass\nkept = Thing()")

        def use(evaluate):
            for _ in range(100):
                assert len({id(evaluate("kept")), id(evaluate("kept"))}) <= 2
                assert evaluate("kept").__class__ is not None

        users = [Serving(lambda: use(client.root.eval)) for _ in range(4)]
        for user in users:
            user.join()
            assert user.error is None
        wait_until(lambda: len(server._local_objects) == 1)
        assert len(client.references._proxies) == 1


def test_a_local_object_named_in_a_message_outlives_the_reference_given_back_behind_it():
    handed = []

    class Host(rpyc.VoidService):
        def exposed_take(self, thing):
            handed.append(thing)
            return (thing, Thing())  # one refers to the client, the other makes it ask for methods

    with our_pair(Host) as (client, _):
        for _ in range(30):
            mine, _other = client.root.exposed_take(Thing())
            handed.clear()
            assert type(mine) is Thing
        wait_until(lambda: len(client._local_objects) == 0)


@pytest.mark.parametrize("number", [messages.UNANSWERED, 7])
def test_giving_back_is_answered_only_where_somebody_waits_for_it(number):
    with our_server(Workshop()) as (sock, server):
        peer = Channel(sock)
        nothing = (consts.LABEL_VALUE, ())
        peer.send(messages.encode(consts.MSG_REQUEST, 1, (consts.HANDLE_GETROOT, nothing)))
        _, _, (_, root) = messages.decode(peer.recv())
        package = (consts.LABEL_TUPLE, ((consts.LABEL_LOCAL_REF, root), (consts.LABEL_VALUE, 1)))
        peer.send(messages.encode(consts.MSG_REQUEST, number, (consts.HANDLE_DEL, package)))
        if number != messages.UNANSWERED:
            assert messages.decode(peer.recv()) == (consts.MSG_REPLY, number, (consts.LABEL_VALUE, None))
        wait_until(lambda: len(server._local_objects) == 0)
        peer.send(messages.encode(consts.MSG_REQUEST, 2, (consts.HANDLE_GETROOT, nothing)))
        assert messages.decode(peer.recv())[:2] == (consts.MSG_REPLY, 2)
