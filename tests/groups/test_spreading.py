"""How a value is spread over kernels and made whole again, and which pieces are refused."""

import subprocess
import sys
from collections import OrderedDict
from itertools import count, islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.errors import RequestError
from rpyc_kernel.groups.spreading import chunk, flatten, join, split

numpy = pytest.importorskip("numpy")
pandas = pytest.importorskip("pandas")
pyarrow = pytest.importorskip("pyarrow")

plain = (
    st.lists(st.integers())
    | st.lists(st.integers()).map(tuple)
    | st.builds(range, st.integers(-9, 9), st.integers(-9, 30), st.integers(-4, 4).filter(bool))
    | st.text()
    | st.binary()
    | st.binary().map(bytearray)
    | st.dictionaries(st.text(), st.integers())
)
shapes = st.lists(st.integers(0, 5), min_size=1, max_size=3)
dtypes = st.sampled_from(["<i4", ">i4", "f8", "c16", "U3", "S2", "M8[s]", "?", [("a", "i2"), ("b", "f4")]])
counts = st.integers(1, 9)


@given(plain, counts)
def test_sequences_are_whole_again(value, count):
    pieces = split(value, count)
    back = join(pieces)
    assert (back, type(back)) == (value, type(value))
    assert {type(piece) for piece in pieces} == {type(value)}
    assert back is value or list(back) == list(value)  # dicts in order, too


@given(plain, counts)
def test_pieces_are_as_long_as_each_other_or_the_first_by_one_longer(value, count):
    lengths = [len(piece) for piece in split(value, count)]
    assert len(lengths) == count
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] - lengths[-1] <= 1


@given(shapes, dtypes, counts, st.data())
def test_arrays_are_whole_again_along_each_axis_and_pieces_are_views(shape, dtype, count, data):
    array = numpy.arange(numpy.prod(shape)).astype(dtype if isinstance(dtype, list) else "i4").reshape(shape)
    array = array.astype(dtype)
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    pieces = split(array, count, axis)
    back = join(pieces, axis)
    assert back.dtype == array.dtype
    assert back.shape == array.shape
    assert (back == array).all()
    assert all(piece.base is not None for piece in pieces)
    assert [len(piece) for piece in pieces] == [len(each) for each in numpy.array_split(array, count, axis)]


def test_masks_stay_with_their_array():
    array = numpy.ma.masked_array([1, 2, 3, 4], [False, True, False, True])
    back = join(split(array, 3))
    assert back.tolist() == [1, None, 3, None]


@given(st.integers(0, 20), counts, st.sampled_from(["range", "text", "dates", "many"]))
def test_frames_and_series_are_whole_again_with_their_labels(rows, count, labels):
    index = {
        "range": None,
        "text": [f"r{at}" for at in range(rows)],
        "dates": pandas.date_range("2026-01-01", periods=rows, freq="D"),
        "many": pandas.MultiIndex.from_arrays([range(rows), list("ab" * rows)[:rows]], names=["n", "l"]),
    }[labels]
    frame = pandas.DataFrame(
        {
            "number": numpy.arange(rows),
            "text": [str(at) for at in range(rows)],
            "kind": pandas.Categorical(list("xyz" * rows)[:rows], categories=list("zyx")),
            "maybe": pandas.array([None, 1, 2] * rows, dtype="Int64")[:rows],
        },
        index=index,
    )
    pandas.testing.assert_frame_equal(join(split(frame, count)), frame)
    pandas.testing.assert_frame_equal(join(split(frame, count, 1), 1), frame)
    for name in frame:
        pandas.testing.assert_series_equal(join(split(frame[name], count)), frame[name])


def test_pieces_of_frames_share_their_memory():
    frame = pandas.DataFrame({"a": numpy.arange(10), "b": numpy.arange(10)})
    assert all(numpy.shares_memory(piece["a"].to_numpy(), frame["a"].to_numpy()) for piece in split(frame, 3))


@given(st.integers(0, 20), counts)
def test_arrow_tables_are_whole_again(rows, count):
    table = pyarrow.table({"n": list(range(rows)), "t": [str(at) for at in range(rows)]}).replace_schema_metadata(
        {"a": "b"}
    )
    pieces = split(table, count)
    assert len(pieces) == count
    assert join(pieces).equals(table, check_metadata=True)


def test_empty_pieces_are_of_the_right_kind_and_form():
    assert split([1], 3) == [[1], [], []]
    assert split({"a": 1}, 2) == [{"a": 1}, {}]
    assert [piece.shape for piece in split(numpy.zeros((2, 5)), 3)] == [(1, 5), (1, 5), (0, 5)]
    assert [*map(list, split(pandas.DataFrame({"a": [1]}), 2)[1])] == [["a"]]


def test_kinds_that_others_derive_are_cut_as_what_they_derive_from():
    assert join(split(OrderedDict(b=1, a=2), 2)) == {"b": 1, "a": 2}
    assert join(split(sys.version_info, 2)) == tuple(sys.version_info)


def test_ranges_that_do_not_go_on_make_a_list():
    assert join([range(3), range(3, 5)]) == range(5)
    assert join([range(0, 20, 5)[:1], range(0, 20, 5)[1:]]) == range(0, 20, 5)
    assert join([range(3), range(4, 5)]) == [0, 1, 2, 4]
    assert join([range(10**12), range(10**12, 10**12 + 5)]) == range(10**12 + 5)


@pytest.mark.parametrize("value", [3, None, {1, 2}, iter([1]), numpy.float64(1), numpy.array(3), object()])
def test_what_cannot_be_divided_is_refused(value):
    with pytest.raises(RequestError, match=r"can be spread over kernels|without axes"):
        split(value, 2)


@pytest.mark.parametrize("amount", [0, -1, 1.5, True, None])
def test_nobody_divides_by_less_than_one(amount):
    with pytest.raises(RequestError, match="over 1 or more kernels, not"):
        split([1], amount)


@pytest.mark.parametrize(("value", "axis"), [([1], 1), (numpy.zeros((2, 2)), 2), (numpy.zeros(2), -2), ([1], "rows")])
def test_an_axis_that_is_not_there_is_refused(value, axis):
    with pytest.raises(RequestError, match=r"which has ax[ei]s .*, not"):
        split(value, 2, axis)


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ([[1], (2,)], "what 'b' has is of type tuple, but that of the first is of type list: they make no whole"),
        ([numpy.zeros(2), [1]], "what 'b' has is of type list, but that of the first is of type ndarray"),
        ([[1], 3], "what 'b' has is of type int, no piece of anything; `pull` takes what each has as it is"),
        ([numpy.zeros((2, 3)), numpy.zeros((2, 4))], r"what 'b' has does not fit: its shape is \(2, 4\), that of"),
        ([numpy.zeros((2, 3)), numpy.zeros(3)], r"what 'b' has does not fit: its shape is \(3,\)"),
        ([numpy.zeros(2), numpy.zeros(2, "M8[s]")], "what 'b' has does not fit: its dtype is datetime64"),
        ([pandas.DataFrame({"a": [1]}), pandas.DataFrame({"b": [1]})], "what 'b' has does not fit: its columns have"),
        (
            [pandas.DataFrame({"a": [1]}), pandas.Series([1])],
            "what 'b' has is of type Series, but that of the first is of type D",
        ),
        ([pyarrow.table({"a": [1]}), pyarrow.table({"a": ["x"]})], "what 'b' has does not fit: its columns have other"),
        ([{"x": 1}, {"x": 2}], "more than one has the key 'x'"),
        ([], "no pieces"),
    ],
)
def test_a_piece_that_does_not_fit_is_named(pieces, why):
    with pytest.raises(RequestError, match=why):
        join(pieces, names=["a", "b"])


def test_a_piece_without_a_name_is_named_by_its_place():
    with pytest.raises(RequestError, match="piece 1 is of type str"):
        join([[1], "a"])


@given(st.lists(plain, min_size=1, max_size=3), counts)
def test_a_function_is_mapped_over_chunks_as_over_the_whole(sequences, count):
    chunks = chunk(sequences, count)
    assert len(chunks) == count
    assert [row for pieces in chunks for row in zip(*pieces, strict=True)] == [*zip(*sequences, strict=False)]


def test_a_sequence_may_be_an_iterator_a_set_or_endless():
    assert chunk([count(), iter("abc")], 2) == [([0, 1], ["a", "b"]), ([2], ["c"])]
    assert chunk([count(5), {"a": 1, "b": 2}, "xyz"], 1) == [([5, 6], ["a", "b"], "xy")]
    assert chunk([iter([])], 2) == [([],), ([],)]
    assert chunk([islice(count(), 3), [1, 2, 3, 4]], 1) == [([0, 1, 2], [1, 2, 3])]


def test_chunks_of_arrays_are_views_and_those_of_tables_are_their_columns():
    array = numpy.arange(6).reshape(3, 2)
    (first, word), (last, _) = chunk([array, "abc"], 2)
    assert (first.base is array.base, last.tolist(), word) == (True, [[4, 5]], "ab")
    assert chunk([pandas.DataFrame({"a": [1, 2, 3], "b": 0})], 1) == [(["a", "b"],)]
    assert [*chunk([pandas.Series([7, 8], index=["x", "y"])], 2)[1][0]] == [8]


def test_nothing_to_map_over_is_refused():
    with pytest.raises(RequestError, match="at least one sequence"):
        chunk([], 2)
    with pytest.raises(TypeError, match="not iterable"):
        chunk([3], 2)


def test_numpy_is_not_loaded_for_a_list():
    code = "import sys; from rpyc_kernel.groups.spreading import *; join(split([1], 2)); print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "False\n"


def test_a_piece_of_one_item_is_flattened_to_it_and_any_other_stays():
    assert [flatten(piece) for piece in split([5, 6, 7, 8, 9], 4)] == [[5, 6], 7, 8, 9]
    assert [flatten(piece) for piece in split(range(2), 3)] == [0, 1, range(2, 2)]
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    column, row = split(numpy.arange(6).reshape(2, 3), 3, 1)[1], split(numpy.arange(6).reshape(2, 3), 2)[1]
    assert (flatten(column, 1).tolist(), flatten(row).tolist()) == ([1, 4], [3, 4, 5])
    assert flatten(numpy.array([7])) == 7
    assert flatten(pandas.Series([3], index=["z"])) == 3


@pytest.mark.parametrize("piece", [{"a": 1}, 7, None])
def test_what_has_no_items_by_themselves_is_not_flattened(piece):
    with pytest.raises(RequestError, match="can be flattened of an array or a sequence"):
        flatten(piece)
