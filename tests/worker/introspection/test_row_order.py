"""Rows sorted and filtered are those that Python, numpy and pandas give, page by page."""

import math
import operator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpyc_kernel.errors import RequestError
from rpyc_kernel.worker.introspection.row_views import RowViews
from rpyc_kernel.worker.introspection.table_cells import read_cells
from tests.worker.introspection.hostile import Trap, make_netref

numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")

COMPARE = {
    "==": operator.eq, "!=": operator.ne, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge,
}  # fmt: skip
numbers = st.none() | st.integers(-3, 3) | st.sampled_from([0.5, math.nan, -1.5])
texts = st.none() | st.sampled_from(["", "a", "b", "ab", "ä"])


def positions(value, sort=(), filter=(), page=3):
    """All of them, from pages that fit each other."""
    views, places, count = RowViews(lambda: 0), [], None
    while count is None or len(places) < count:
        first = len(places)
        cells = read_cells({"value": value}, views, "value", first, first + page, 0, 9, sort, filter)
        assert (cells.row_start, len(cells.rows)) == (first, len(cells.positions))
        places, count = places + list(cells.positions), cells.row_count
    return places


def is_missing(value):
    return value is None or value != value


def expect(column, descends=False, comparison=None, wanted=None):
    def passes(value):
        if comparison is None:
            return True
        return comparison == "!=" if is_missing(value) else COMPARE[comparison](value, wanted)

    places = [place for place, value in enumerate(column) if passes(value)]
    known = [place for place in places if not is_missing(column[place])]
    known.sort(key=lambda place: column[place], reverse=descends)
    return known + [place for place in places if is_missing(column[place])]


def as_kinds(column, kinds):
    yield column
    yield tuple(column)
    yield {("key", place): value for place, value in enumerate(column)}
    yield pandas.Series(column, dtype=object)
    yield pandas.DataFrame({"value": pandas.Series(column, dtype=object)})
    for kind in kinds:
        yield pandas.Series(column, dtype=kind)
        yield pandas.DataFrame({"value": pandas.Series(column, dtype=kind)})
    if "float64" in kinds:
        array = numpy.array(column, float)
        yield array
        yield numpy.column_stack([array, array])
        yield numpy.rec.fromarrays([array], names="value")


@pytest.mark.parametrize(
    ("values", "wanted", "kinds"),
    [
        (numbers, st.integers(-3, 3), ["float64", "Float64"]),
        (texts, st.sampled_from(["", "a", "b"]), ["str", "string"]),
    ],
    ids=["numbers", "texts"],
)
@settings(max_examples=40, deadline=None)
@given(data=st.data(), descends=st.booleans(), comparison=st.none() | st.sampled_from(list(COMPARE)))
def test_sorted_and_filtered_pages_are_what_python_gives(values, wanted, kinds, data, descends, comparison):
    column, wanted = data.draw(st.lists(values, max_size=8)), data.draw(wanted)
    sort = ((0, "descending" if descends else "ascending"),)
    conditions = ((0, comparison, repr(wanted)),) if comparison else ()
    for value in as_kinds(column, kinds):
        assert positions(value, sort, conditions) == expect(column, descends, comparison, wanted), type(value)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from([0.5, 1.5, math.nan]), texts), max_size=9))
def test_a_frame_sorted_by_several_columns_is_what_pandas_gives(rows):
    frame = pandas.DataFrame(rows, columns=["n", "x", "t"]).astype({"n": int, "x": float, "t": "str"})
    frame["place"] = range(len(frame))
    wanted = frame.sort_values(["x", "n"], ascending=[False, True], kind="stable")
    assert positions(frame, (("x", "descending"), ("n", "ascending"))) == wanted["place"].tolist()
    some = frame[(frame.n >= 1) & frame.t.str.contains("a", na=False, regex=False)]
    some = some.sort_values("x", kind="stable")
    conditions = (("n", ">=", "1"), ("t", "contains", "'a'"))
    assert positions(frame, (("x", "ascending"),), conditions) == some["place"].tolist()


def test_more_rows_than_are_looked_at_at_once_are_in_order():
    column = [(number * 7919) % 20_011 for number in range(20_000)]
    assert positions(column, ((0, "ascending"),), page=5000) == expect(column)
    mixed = [str(number) if number % 2 else number for number in column]
    found = positions(mixed, ((0, "descending"),), page=5000)
    assert [mixed[place] for place in found[:2]] == ["9999", "9997"]
    assert type(mixed[found[-1]]) is int


def test_nulls_are_found_in_any_kind_of_column():
    frame = pandas.DataFrame({"n": [1.0, None], "t": ["a", None], "when": pandas.to_datetime(["2024-01-02", None])})
    frame["zoned"] = frame.when.dt.tz_localize("UTC")
    frame["whole"] = pandas.array([1, None], "Int64")
    frame["kind"] = pandas.Categorical(["a", None])
    frame["any"] = pandas.Series(["a", None], dtype=object)
    for column in frame.columns:
        assert positions(frame, (), ((column, "is null", "None"),)) == [1], column
        assert positions(frame, (), ((column, "not null", "None"),)) == [0], column
        assert positions(frame, ((column, "descending"),)) == [0, 1], column


def test_times_are_compared_with_text():
    frame = pandas.DataFrame({"when": pandas.to_datetime(["2024-03-01", "2024-01-02", "2024-02-01"])})
    frame["zoned"] = frame.when.dt.tz_localize("UTC")
    for column in frame.columns:
        assert positions(frame, ((column, "ascending"),), ((column, ">", "'2024-01-15'"),)) == [2, 0]
        with pytest.raises(RequestError, match="holds times, and 'soon' is none"):
            positions(frame, (), ((column, ">", "'soon'"),))
    assert positions(frame["when"].to_numpy(), (), ((0, "<=", "'2024-01-02'"),)) == [1]


def test_rows_can_be_sorted_by_what_labels_them():
    assert positions({"b": 1, "a": 2}, ((None, "ascending"),)) == [1, 0]
    assert positions(pandas.Series([1, 2], index=[5, 3]), (("index", "ascending"),)) == [1, 0]
    assert positions([7, 8, 9], ((None, "descending"),), ((None, "<", "2"),)) == [1, 0]


@pytest.mark.parametrize(
    ("sort", "conditions", "words"),
    [
        ((("y", "ascending"),), (), "no column 'y'; there are 'x', 'n', 'n'"),
        ((("n", "ascending"),), (), "several columns are called 'n'"),
        (((3, "ascending"),), (), "no column 3; the table has 3"),
        ((), (("x", "==", "text"),), "is no literal; write text in quotes"),
        ((), (("x", "==", "[1]"),), "held against numbers"),
        ((), (("x", "<", "'a'"),), "holds int64, which cannot be compared with 'a'"),
        ((), (("x", "<", "None"),), "None has no order"),
        ((), (("x", "contains", "1"),), "looks for text"),
    ],
)
def test_what_cannot_be_sorted_or_filtered_says_why(sort, conditions, words):
    frame = pandas.DataFrame([[1, 2, 3]], columns=["x", "n", "n"])
    with pytest.raises(RequestError, match=words):
        positions(frame, sort, conditions)


def test_numbers_that_a_column_has_no_room_for_are_compared_all_the_same():
    small = numpy.array([1, numpy.inf, 2], "float16")
    assert positions(small, (), ((0, "<", "1e10"),)) == [0, 2]
    assert positions(small, (), ((0, "==", "1e10"),)) == []
    with pytest.raises(RequestError, match="beyond any of those"):
        positions(small, (), ((0, "<", "1" + "0" * 400),))


@pytest.mark.filterwarnings("ignore:the matrix subclass")
def test_a_matrix_is_shown_as_the_array_it_is():
    assert positions(numpy.matrix([[1, 2], [3, 4]]), ((0, "descending"),)) == [1, 0]


def test_objects_are_not_asked_for_an_order():
    objects = [Trap(), 2, make_netref(), 1, None]
    for value in (objects, pandas.Series([None] * 5, dtype=object)):
        if value is not objects:
            for place, each in enumerate(objects):
                value.array._ndarray[place] = each
        assert positions(value, ((0, "ascending"),))[:2] == [3, 1]
        assert positions(value, (), ((0, "==", "2"),)) == [1]
        assert positions(value, (), ((0, "contains", "'Trap'"),)) == [0]


def test_a_view_is_found_once_and_again_when_code_has_run():
    turns, asked, table = [0], [], numpy.arange(3)
    views = RowViews(lambda: turns[0])

    def arrange():
        asked.append(1)
        return numpy.arange(3, dtype="int32")

    for wanted in (1, 1):
        views.find(table, "x", arrange)
        assert len(asked) == wanted
    turns[0] += 1
    views.find(table, "x", arrange)
    assert len(asked) == 2
    views.forget()
    views.find(table, "x", arrange)
    assert len(asked) == 3


def test_views_are_few_and_go_with_their_table():
    views, table = RowViews(lambda: 0, max_bytes=100), numpy.arange(3)
    for name in "abc":
        views.find(table, name, lambda: numpy.arange(20, dtype="int32"))
    assert len(views._views) == 1
    del table
    assert not views._views
