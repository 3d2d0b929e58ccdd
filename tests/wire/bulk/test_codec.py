"""What travels as plain data, what only as a pickle, and what arrives of it."""

import collections
import enum
import fractions
import json
import math
import pickle
import sys

import hypothesis
import hypothesis.strategies as st
import numpy
import pandas
import pyarrow
import pytest

from rpyc_kernel.errors import NotPlain, RequestError
from rpyc_kernel.wire.bulk import codec
from rpyc_kernel.wire.bulk.codec import pack, unpack


def carry(parcel):
    """What the wire does: the tree through JSON, each buffer into memory of the receiver's own."""
    immutable = codec.find_bytes(parcel.tree)
    buffers = []
    for number, buffer in enumerate(parcel.buffers):
        data = b"".join(buffer.chunks())
        assert len(data) == buffer.length
        buffers.append(data if number in immutable else bytearray(data))
    return json.loads(json.dumps(parcel.tree)), buffers


def through(value, *, allow_pickle=False):
    tree, buffers = carry(pack(value, allow_pickle=allow_pickle))
    return unpack(tree, buffers, allow_pickle=allow_pickle)


# What is plain

_SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats(allow_nan=False)
    | st.complex_numbers(allow_nan=False)
    | st.text(st.characters(exclude_categories=()))
    | st.binary()
)
_HASHABLE = st.recursive(
    _SCALARS, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5
)
_PLAIN = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(_HASHABLE, inner, max_size=4)
        | st.sets(_HASHABLE, max_size=4)
        | st.binary().map(bytearray)
        | st.builds(range, st.integers(-(10**30), 10**30), st.integers(), st.integers().filter(bool))
    ),
    max_leaves=20,
)


def types_of(value):
    """A value's types, all the way down; equality alone takes True for 1 and a tuple's subclass for a tuple."""
    if isinstance(value, dict):
        return dict, [(types_of(key), types_of(item)) for key, item in value.items()]
    if isinstance(value, (list, tuple)):
        return type(value), [types_of(item) for item in value]
    return type(value)


@hypothesis.given(_PLAIN)
def test_plain_values_arrive_as_they_were(value):
    arrived = through(value)
    assert arrived == value
    assert types_of(arrived) == types_of(value)


HARD = {
    "infinity": math.inf,
    "a huge integer": -(10**5000),
    "a lone surrogate": "\ud800",
    "a null character": "\0",
    "a long text with a surrogate": "x" * 100_000 + "\udfff",
    "many bytes": b"x" * 10**6,
}


@pytest.mark.parametrize("value", HARD.values(), ids=HARD)
def test_values_that_stock_rpyc_breaks_on_arrive(value):
    assert through(value) == value


def test_not_a_number_arrives():
    assert math.isnan(through([math.nan])[0])


DTYPES = ["?", "i1", "<u8", ">i4", "f2", "<f8", "c16", "S5", "<U3", "M8[ns]", "m8[s]", "V7"]


@pytest.mark.parametrize("dtype", [*DTYPES, [("x", "<i4"), ("y", ">f8", (2, 3)), ("z", [("w", "S2")])]])
@pytest.mark.parametrize("shape", [(), (0,), (7,), (3, 0, 2), (4, 5, 6)])
def test_arrays_of_all_types_and_shapes_arrive(dtype, shape):
    count = math.prod(shape) * numpy.dtype(dtype).itemsize
    value = numpy.frombuffer(bytes(number % 2 for number in range(count)), dtype).reshape(shape)
    arrived = through(value)
    assert (arrived.dtype, arrived.shape) == (value.dtype, value.shape)
    assert arrived.tobytes() == value.tobytes()


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_keeps_its_order_and_can_be_written_to(order):
    value = numpy.array(numpy.arange(12.0).reshape(3, 4), order=order)
    arrived = through(value)
    assert arrived.flags[f"{order}_CONTIGUOUS"]
    arrived[0, 0] = 7
    assert value[0, 0] == 0


WHOLE = numpy.arange(2_000_000.0).reshape(2000, 1000)
VIEWS = {
    "strides": WHOLE[::3, ::-2],
    "rows of a transposed": WHOLE.T[5:7],
    "a column": WHOLE[:, 1],
    "a row repeated": numpy.broadcast_to(WHOLE[0], (3, 1000)),
}


@pytest.mark.parametrize("value", VIEWS.values(), ids=VIEWS)
def test_views_arrive_as_what_they_show(value):
    assert numpy.array_equal(through(value), value)


def test_a_view_is_copied_a_block_at_a_time_and_never_as_a_whole():
    value = numpy.zeros((3000, 2000))[:, ::2]
    (buffer,) = pack(value, allow_pickle=False).buffers
    sizes = [len(chunk) for chunk in buffer.chunks()]
    assert sum(sizes) == value.nbytes
    assert max(sizes) < value.nbytes / 4


def test_a_contiguous_array_is_not_copied_at_all():
    value = numpy.zeros(1000)
    (buffer,) = pack(value, allow_pickle=False).buffers
    (chunk,) = buffer.chunks()
    assert numpy.shares_memory(numpy.frombuffer(chunk), value)


@pytest.mark.parametrize(
    "value", [numpy.float32(1.5), numpy.int64(-3), numpy.datetime64("2026-01-02"), numpy.str_("é")]
)
def test_numpy_scalars_keep_their_types(value):
    arrived = through(value)
    assert (type(arrived), arrived) == (type(value), value)


FRAME = pandas.DataFrame(
    {
        "number": numpy.arange(3.0),
        "truth": [True, False, True],
        "time": pandas.date_range("2026-01-01", periods=3).to_numpy(),
        "text": pandas.Series(["a", None, "ü\ud800"], dtype=object),
        "string": pandas.Series(["x", "", None], dtype="string"),
        7: numpy.array([1, 2, 3], "i1"),
    }
)
FRAMES = {
    "of all plain types": FRAME,
    "without rows": FRAME[:0],
    "without columns": pandas.DataFrame(index=[1, 2, 3], columns=pandas.RangeIndex(0)),
    "with numbers for columns": pandas.DataFrame(numpy.zeros((2, 3))),
    "with a name for its columns": FRAME.rename_axis(columns="field"),
    "with an index of text": FRAME.set_index("text"),
    "with an index of times": FRAME.set_index("time"),
    "with a name for its index": FRAME.rename_axis("row"),
    "a slice of one": FRAME[1:],
}


@pytest.mark.parametrize("value", FRAMES.values(), ids=FRAMES)
def test_tables_of_plain_columns_arrive(value):
    pandas.testing.assert_frame_equal(through(value), value)


@pytest.mark.parametrize(
    "value", [FRAME["number"], FRAME["text"], FRAME["string"][1:]], ids=["number", "text", "string"]
)
def test_series_arrive(value):
    pandas.testing.assert_series_equal(through(value), value)


def test_a_table_is_a_dict_of_columns_where_there_is_no_pandas(monkeypatch):
    tree, buffers = carry(pack(FRAME[["number", "text"]], allow_pickle=False))
    monkeypatch.setitem(sys.modules, "pandas", None)
    arrived = unpack(tree, buffers, allow_pickle=False)
    assert arrived["number"].tolist() == [0.0, 1.0, 2.0]
    assert arrived["text"] == ["a", None, "ü\ud800"]


def test_arrow_tables_arrive():
    value = pyarrow.table({"x": [1, None, 3], "y": ["a", "b", None], "z": [[1], [], [2, 3]]})
    assert through(value).equals(value)


@pytest.mark.parametrize(("library", "value"), [("numpy", numpy.zeros(3)), ("pyarrow.ipc", pyarrow.table({"x": [1]}))])
def test_a_library_that_is_missing_is_named(monkeypatch, library, value):
    tree, buffers = carry(pack(value, allow_pickle=False))
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(RequestError, match=f"needs {library.partition('.')[0]} on this side; install it"):
        unpack(tree, buffers, allow_pickle=False)


# What is not


class Colour(enum.IntEnum):
    RED = 1


class Hostile:
    def __reduce__(self):
        return (exec, ("raise SystemExit('the pickle ran')",))


Point = collections.namedtuple("Point", "x y")


def nest(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def refer_to_itself():
    value = []
    value.append(value)
    return value


class Pretender(numpy.ndarray):
    """An array with a class of its own."""


NOT_PLAIN = {
    "an enumeration": Colour.RED,
    "a named tuple": Point(1, 2),
    "an object of a library": fractions.Fraction(1, 3),
    "an object deep inside": {"a": [1, (2, fractions.Fraction(1, 3))]},
    "an array of objects": numpy.array([fractions.Fraction(1, 3)], object),
    "a table with a column of objects": pandas.DataFrame({"x": [fractions.Fraction(1, 3)]}),
    "a table of categories": pandas.DataFrame({"x": pandas.Categorical(["a", "b"])}),
    "a table with an index of several levels": FRAME.set_index(["truth", "number"]),
    "an array's subclass": numpy.zeros(3).view(Pretender),
    "a deep structure": nest(200),
}


@pytest.mark.parametrize("value", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_what_is_not_plain_needs_a_pickle_and_leave_to_open_it(value):
    with pytest.raises(NotPlain, match="or pass allow_pickle=True if you trust the kernel"):
        pack(value, allow_pickle=False)
    arrived = through(value, allow_pickle=True)
    assert type(arrived) is type(value)
    assert pickle.dumps(arrived) == pickle.dumps(value) or repr(arrived) == repr(value)


def test_a_structure_that_holds_itself_arrives_as_a_pickle():
    (inner,) = arrived = through(refer_to_itself(), allow_pickle=True)
    assert inner is arrived


def test_a_pickles_arrays_are_sent_from_and_into_memory():
    value = {"x": numpy.arange(1000.0), "y": fractions.Fraction(1, 3)}
    parcel = pack(value, allow_pickle=True)
    assert [buffer.length for buffer in parcel.buffers[1:]] == [8000]
    arrived = through(value, allow_pickle=True)
    arrived["x"][0] = 5
    assert value["x"][0] == 0


def test_a_pickle_that_was_not_asked_for_is_not_opened():
    tree, buffers = carry(pack(Hostile(), allow_pickle=True))
    with pytest.raises(NotPlain, match="sent a pickle although none was asked for"):
        unpack(tree, buffers, allow_pickle=False)


@pytest.mark.parametrize("place", ["first", "inside"])
def test_nor_one_that_hides(place):
    tree, buffers = carry(pack(Hostile(), allow_pickle=True))
    if place == "inside":
        tree = {"k": "dict", "v": [["x", {"k": "list", "v": [tree]}]]}
    with pytest.raises(NotPlain):
        unpack(tree, buffers, allow_pickle=False)


def test_a_pickle_that_raises_is_an_error():
    with pytest.raises(RequestError, match=r"the pickle cannot be opened here: ZeroDivisionError"):
        unpack({"k": "pickle", "b": 0, "count": 0}, [b"cbuiltins\neval\n(V1/0\ntR."], allow_pickle=True)


class Raising:
    def __reduce_ex__(self, protocol):
        raise RuntimeError("no")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (lambda: 0, "a function cannot be pickled"),
        (sys.stdout, "cannot be pickled"),
        (Raising(), "a Raising cannot be pickled: RuntimeError: no"),
        (nest(100_000), "a list cannot be pickled: RecursionError"),
    ],
)
def test_what_cannot_be_pickled_is_an_error_that_says_why(value, message):
    with pytest.raises(RequestError, match=message):
        pack(value, allow_pickle=True)


def test_of_several_values_the_error_names_the_one_at_fault():
    with pytest.raises(RequestError, match=r"^second: a function cannot be pickled"):
        codec.pack_named({"first": 1, "second": lambda: 0})


def test_of_several_values_only_what_is_not_plain_is_pickled():
    values = {"a": numpy.arange(3), "b": fractions.Fraction(1, 3), "c": b"abc"}
    parcel = codec.pack_named(values)
    assert [tree["k"] for _, tree in parcel.tree["v"]] == ["array", "pickle", "bytes"]
    tree, buffers = carry(parcel)
    arrived = unpack(tree, buffers, allow_pickle=True)
    assert (arrived["a"].tolist(), arrived["b"], arrived["c"]) == ([0, 1, 2], values["b"], b"abc")


# What a hostile sender may try

ARRAY = {"k": "array", "dtype": "<f8", "shape": [2], "order": "C", "b": 0}


@pytest.mark.parametrize(
    "tree",
    [
        {"k": "code"},
        {"v": 1},
        {"k": ["list"]},
        {"k": "list", "v": 7},
        {"k": "dict", "v": [[1]]},
        {"k": "dict", "v": [[{"k": "list", "v": []}, 1]]},
        {"k": "int", "v": "__import__('os')"},
        {"k": "bytes", "b": 1},
        {"k": "bytes", "b": "0"},
        ARRAY | {"dtype": "O"},
        ARRAY | {"dtype": [["x", "O"]]},
        ARRAY | {"dtype": "no type"},
        ARRAY | {"shape": [3]},
        ARRAY | {"shape": [-1, -2]},
        ARRAY | {"shape": [2**63, 2**63]},
        ARRAY | {"order": "Z"},
        ARRAY | {"b": 5},
        {"k": "arrow", "b": 0},
    ],
    ids=str,
)
def test_a_tree_that_pack_does_not_make_is_an_error(tree):
    with pytest.raises(RequestError):
        unpack(tree, [bytearray(16)], allow_pickle=False)


def test_a_deep_tree_is_an_error():
    tree = {"k": "list", "v": []}
    for _ in range(100_000):
        tree = {"k": "list", "v": [tree]}
    with pytest.raises(RequestError, match="RecursionError"):
        unpack(tree, [], allow_pickle=False)


@pytest.mark.parametrize("text", ["\ud800\udc00", "a\udc80", "\ud83d\ude00 and more"])
def test_surrogates_stay_what_they_are(text):
    assert unpack(*carry(pack([text, {text: text}], allow_pickle=False)), allow_pickle=False) == [text, {text: text}]


def test_a_bytearray_can_grow_while_it_is_on_its_way():
    value = bytearray(b"abc")
    parcel = pack(value, allow_pickle=False)
    value += b"d"
    assert unpack(*carry(parcel), allow_pickle=False) == bytearray(b"abc")


def test_one_buffer_does_not_become_many_values():
    tree = {"k": "list", "v": [{"k": "str", "b": 0}] * 1000}
    with pytest.raises(RequestError, match="asked for twice"):
        unpack(tree, [b"x" * 1000], allow_pickle=False)


@pytest.mark.parametrize("dtype", ["|S0", "<U0", "|V0"])
def test_items_without_a_size_are_refused(dtype):
    tree = {"k": "array", "dtype": dtype, "shape": [10**14], "order": "C", "b": 0}
    with pytest.raises(RequestError, match="are no array"):
        unpack(tree, [bytearray()], allow_pickle=False)
    with pytest.raises(NotPlain, match="without a size"):
        pack(numpy.zeros(3, "V0"), allow_pickle=False)


def test_a_damaged_arrow_table_is_an_error():
    with pytest.raises(RequestError, match="cannot be put together"):
        unpack({"k": "arrow", "b": 0}, [bytearray(b"\xff\xff\xff\xff damaged")], allow_pickle=False)


def test_arrow_that_runs_code_in_reading_is_used_only_with_leave(monkeypatch):
    table = pyarrow.table({"a": [1]})
    monkeypatch.setattr(pyarrow, "__version__", "14.0.0")
    with pytest.raises(NotPlain, match="may run code"):
        unpack(*carry(pack(table, allow_pickle=False)), allow_pickle=False)
