"""What a client hands over works as what it is, or not at all."""

import copy
import multiprocessing.reduction
import pickle
from array import array
from collections import Counter, OrderedDict, UserDict, defaultdict, deque
from decimal import Decimal

import pytest
import rpyc
from rpyc.utils.classic import obtain

from rpyc_kernel.errors import NotPlain
from rpyc_kernel.wire.netrefs import plain_objects
from tests.wire.peers import our_pair


@pytest.fixture(scope="module")
def pair():
    with our_pair() as (client, server):
        client.root.execute("import copy")
        yield client, server


def ask(pair, source, *handed):
    return pair[0].root.eval(source)(*handed)


WHOLE = {
    "dict": ("lambda it: repr(dict(it))", {"ab": 1}, "{'ab': 1}"),
    "dict's items": ("lambda it: repr(dict(it.items()))", {"ab": 1}, "{'ab': 1}"),
    "dict as keywords": ("lambda it: repr(dict(**it))", {"ab": 1}, "{'ab': 1}"),
    "a dict's view": ("lambda it: repr(list(it))", {"ab": 1}.keys(), "['ab']"),
    "OrderedDict": ("lambda it: repr(dict(it))", OrderedDict(ab=1), "{'ab': 1}"),
    "defaultdict": ("lambda it: it['new']", defaultdict(lambda: 7), 7),
    "Counter": (
        "lambda it: it.total()" if hasattr(Counter, "total") else "lambda it: sum(it.values())",
        Counter("aab"),
        3,
    ),
    "list": ("lambda it: (it.index(3), it[-1], len(it), it.count(2), 2 in it)", [1, 2, 3], (2, 3, 3, 1, True)),
    "list backwards": ("lambda it: tuple(reversed(it))", [1, 2, 3], (3, 2, 1)),
    "tuple": ("lambda it: it.index('b')", ([], "b"), 1),
    "set": ("lambda it: (it.issuperset((1,)), tuple(sorted(it)), 2 in it)", {1, 2}, (True, (1, 2), True)),
    "frozenset": ("lambda it: it.isdisjoint((3,))", frozenset({1, 2}), True),
    "bytearray": ("lambda it: it.decode()", bytearray(b"ab"), "ab"),
    "deque": ("lambda it: it.popleft()", deque([5, 6]), 5),
    "array": ("lambda it: tuple(it.tolist())", array("i", [1, 2]), (1, 2)),
    "range": ("lambda it: (it.start, it.stop, tuple(it))", range(1, 3), (1, 3, (1, 2))),
    "iterator": ("lambda it: tuple(it)", iter([1, 2]), (1, 2)),
    "a map": ("lambda it: tuple(it)", map(abs, [-1, -2]), (1, 2)),
    "number": ("lambda it: (int(it + 1), it > 2)", Decimal("2.5"), (3, True)),
    "no dict is callable": ("lambda it: callable(it)", {}, False),
}


@pytest.mark.parametrize("case", WHOLE)
def test_what_is_plain_works_as_what_it_is(pair, case):
    source, handed, expected = WHOLE[case]
    assert ask(pair, source, handed) == expected


def test_a_generator_works_as_one(pair):
    def echo():
        got = yield "ready"
        yield got

    assert ask(pair, "lambda it: (next(it), it.send('sent'), it.close())", echo()) == ("ready", "sent", None)


def test_writing_to_a_container_reaches_its_owner(pair):
    handed = {"kept": [1]}
    ask(pair, "lambda it: (it.update(new=2), it['kept'].append(3), it.pop('none', None))", handed)
    assert handed == {"kept": [1, 3], "new": 2}


def test_a_table_is_made_of_what_a_client_hands_over(pair):
    pytest.importorskip("pandas")
    table = pair[0].root.getmodule("pandas").DataFrame({"a": [1, 2], "b": ["x", "y"]})
    assert str(table.to_dict("list")) == "{'a': [1, 2], 'b': ['x', 'y']}"


class Mapping(UserDict):
    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None


class Table(dict):
    pass


@pytest.mark.parametrize(
    "source",
    [
        "dict", "list", "len", "lambda it: it['ab']", "lambda it: 'ab' in it", "lambda it: it.keys()", "iter", "bool",
        "lambda it: it | {}", "lambda it: it < it", "lambda it: it.__enter__()", "lambda it: it.__exit__(None, 0, 0)",
        "lambda it: it.__iter__()", "lambda it: it.pop('ab')", "lambda it: list(__import__('rpyc').buffiter(it))",
    ],
)  # fmt: skip
@pytest.mark.parametrize("handed", [Mapping(ab=1), Table(ab=1)], ids=["mapping", "subclass of dict"])
def test_of_what_is_denied_nothing_works_and_the_error_says_what_to_do(pair, source, handed):
    with pytest.raises(AttributeError, match=r"cannot access '__?\w+'.*(Mapping|Table); push\(\) a copy|restricted"):
        ask(pair, source, handed)
    assert dict(handed) == {"ab": 1}


def test_what_everything_can_do_stays_allowed(pair):
    handed = Mapping(ab=1)
    source = "lambda it: (repr(it), str(it), it == it, it != it, isinstance(it, dict), it() if callable(it) else 0)"
    assert ask(pair, source, handed) == ("{'ab': 1}", "{'ab': 1}", True, False, False, 0)


def test_an_owner_can_say_what_may_be_used(pair):
    assert ask(pair, "lambda it: it.keys()", rpyc.restricted(UserDict(ab=1), ["keys"])) is not None


@pytest.mark.parametrize("name", ["__class__", "__dict__", "__init__", "__reduce_ex__", "__getattribute__", "_private"])
@pytest.mark.parametrize("handed", [{}, [], range(1), iter(()), Decimal(1), len], ids=lambda it: type(it).__name__)
def test_no_plain_object_leads_anywhere_else(name, handed):
    assert not plain_objects.allows(handed, name)


def test_of_a_generator_the_frame_is_not_shown():
    assert not plain_objects.allows((_ for _ in ()), "gi_frame")


def test_the_proxy_of_another_peers_object_is_used_as_what_it_is(pair):
    with our_pair() as (other, _):
        assert ask(pair, "lambda it: repr(dict(it))", other.root.eval("{'ab': 1}")) == "{'ab': 1}"
        with pytest.raises(AttributeError, match="cannot access"):
            ask(pair, "lambda it: it.now()", other.root.getmodule("datetime").datetime)


def test_an_array_says_how_to_copy_it(pair):
    numpy = pytest.importorskip("numpy")
    with pytest.raises(NotPlain, match=r"pull\(\) it by its name"):
        numpy.array(pair[0].root.getmodule("numpy").arange(3))
    with pytest.raises(Exception, match=r"push\(\) a copy"):
        pair[0].root.getmodule("numpy").array(numpy.arange(3))


def test_what_numpy_makes_of_an_array_is_right_or_says_how_to_copy_it(pair):
    numpy = pytest.importorskip("numpy")
    numbers = pair[0].root.getmodule("numpy").arange(3)
    assert (numpy.sum(numbers), numpy.mean(numbers)) == (3, 1.0)
    for ask_numpy in (
        lambda: numpy.sqrt(numbers),
        lambda: numpy.arange(3) + numbers,
        lambda: numpy.concatenate([numbers, numbers]),
        lambda: numpy.arange(3) == numbers,
    ):
        with pytest.raises(NotPlain, match=r"pull\(\) it by its name"):
            ask_numpy()
    with pytest.raises(Exception, match=r"push\(\) a copy"):
        numbers + numpy.arange(3)


def test_a_frame_says_how_to_copy_it(pair):
    pandas = pytest.importorskip("pandas")
    frame = pair[0].root.getmodule("pandas").DataFrame({"a": [1]})
    for ask_pandas in (
        lambda: pandas.DataFrame(frame),
        lambda: pandas.Series(frame["a"]),
        lambda: pandas.concat([frame, frame]),
    ):
        with pytest.raises(Exception, match=r"pull\(\) it by its name"):
            ask_pandas()


struck = []


def strike():
    struck.append(True)


@pytest.mark.parametrize(
    "copying",
    [
        copy.copy,
        copy.deepcopy,
        lambda it: copy.deepcopy([it]),
        lambda it: pickle.loads(pickle.dumps(it)),
        lambda it: pickle.loads(pickle.dumps({"in": [it]}, protocol=2)),
        lambda it: pickle.loads(multiprocessing.reduction.ForkingPickler.dumps(it)),
    ],
)
def test_copying_a_proxy_runs_nothing_that_the_peer_has_chosen(pair, copying):
    root, here = pair[0].root, __name__
    root.execute(f"import {here}\nclass Evil:\n    def __reduce__(self): return {here}.strike, ()\nevil = Evil()")
    struck.clear()
    for code in ("evil", "[1]", "object()"):
        with pytest.raises(NotPlain, match=r"pull\(\) a copy"):
            copying(root.eval(code))
    assert not struck
    assert obtain(root.eval("[1]")) == [1]  # RPyC's own way, which says that it opens a pickle
    root.execute("import collections")
    assert list(copy.copy(root.eval("collections.deque([1])"))) == [1]  # which its own class does, on its side


def test_what_a_client_handed_over_is_not_pickled_for_its_peer(pair):
    with pytest.raises(Exception, match="gives no pickle of what it handed over"):
        ask(pair, "lambda it: __import__('pickle').dumps(it)", [1])
