"""Rectangles of tables."""

import pytest

from rpyc_kernel.core.introspection import MAX_CELLS
from rpyc_kernel.errors import NotAvailable, RequestError
from rpyc_kernel.worker.introspection.row_views import RowViews
from rpyc_kernel.worker.introspection.table_cells import read_cells
from rpyc_kernel.worker.introspection.tables import has_cells
from tests.worker.introspection.hostile import Trap, make_netref, touch


def read(value, rows=(0, 50), columns=(0, 20), path="value", sort=(), filter=()):
    return read_cells({"value": value}, RowViews(lambda: 0), path, *rows, *columns, sort, filter)


def test_a_list_has_one_column():
    cells = read(["a", 2, [3]], (1, 3))
    assert (cells.row_count, cells.column_count, cells.row_start, cells.column_start) == (3, 1, 1, 0)
    assert (cells.row_labels, cells.column_labels) == (("1", "2"), ("value",))
    assert cells.rows == (("2",), ("[3]",))


def test_a_dict_has_its_keys_as_labels():
    cells = read({"a": 1, (2, 3): None})
    assert (cells.row_labels, cells.rows) == (("a", "(2, 3)"), (("1",), ("None",)))


def test_a_range_outside_the_table_is_empty_or_cut():
    assert read([1, 2], (5, 9)).rows == ()
    assert read([1, 2], (1, 10**12)).rows == (("2",),)
    assert read([1, 2], (-5, 1)).rows == (("1",),)
    assert read([1, 2], (2, 1)).rows == ()
    assert read([1, 2], (0, 1), (1, 5)).rows == ((),)


def test_a_list_of_a_million_is_cut_where_it_is_asked_for():
    cells = read([7] * 1_000_000, (999_998, 1_000_000))
    assert (cells.row_count, cells.rows) == (1_000_000, (("7",), ("7",)))


def test_too_many_cells_are_refused():
    with pytest.raises(RequestError, match=f"more than the {MAX_CELLS}"):
        read([1] * 20_000, (0, 10_001))


def test_long_text_is_cut():
    (row,) = read(["x" * 10_000]).rows
    assert len(row[0]) < 300


@pytest.mark.parametrize("make", [int, str, set, Trap, make_netref])
def test_what_has_no_rows_is_refused(make):
    value = make()
    assert not has_cells(value)
    with pytest.raises(RequestError, match="nothing that has rows"):
        read(value)


def test_a_path_to_nothing_says_so():
    with pytest.raises(NotAvailable):
        read([1], path="value[5]")


def test_a_class_derived_from_a_container_is_not_asked():
    hostile = type("Hostile", (list,), {"__len__": touch, "__iter__": touch, "__getitem__": touch})
    assert read(hostile([1, 2])).rows == (("1",), ("2",))
    hostile = type("Hostile", (dict,), {"__len__": touch, "__iter__": touch, "items": touch})
    assert read(hostile(a=1)).rows == (("1",),)


def test_an_array_is_cut_by_row_and_column():
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(12.0).reshape(3, 4)
    cells = read(array, (1, 3), (2, 4))
    assert (cells.row_count, cells.column_count) == (3, 4)
    assert (cells.row_labels, cells.column_labels) == (("1", "2"), ("2", "3"))
    assert cells.rows == (("6.0", "7.0"), ("10.0", "11.0"))
    assert read(array[0]).rows == (("0.0",), ("1.0",), ("2.0",), ("3.0",))
    assert read(numpy.array(5)).rows == (("5",),)


def test_an_array_of_more_dimensions_is_reached_by_path():
    numpy = pytest.importorskip("numpy")
    array = numpy.arange(24).reshape(2, 3, 4)
    assert read(array, (0, 1), (0, 1)).rows == (("[0, 1, 2, 3]",),)
    assert read(array, (0, 1), (0, 2), path="value[1]").rows == (("12", "13"),)


def test_an_array_of_records_has_its_fields_as_columns():
    numpy = pytest.importorskip("numpy")
    array = numpy.array([(1, "a"), (2, "b")], dtype=[("number", int), ("text", "U1")])
    cells = read(array)
    assert (cells.column_labels, cells.rows) == (("number", "text"), (("1", "a"), ("2", "b")))


def test_an_array_of_objects_is_not_asked_what_they_are():
    numpy = pytest.importorskip("numpy")
    array = numpy.empty((1, 2), object)
    array[0, 0], array[0, 1] = Trap(), make_netref()
    assert all(text.endswith("object>") for text in read(array).rows[0])


def test_a_frame_of_a_million_rows_is_cut_where_it_is_asked_for():
    numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    frame = pandas.DataFrame({"n": numpy.arange(1_000_000), "x": 0.5, "t": "text"})
    cells = read(frame, (999_999, 1_000_000))
    assert (cells.row_count, cells.column_count) == (1_000_000, 3)
    assert (cells.row_labels, cells.column_labels) == (("999999",), ("n", "x", "t"))
    assert cells.rows == (("999999", "0.5", "text"),)
    assert read(frame, (0, 1), (1, 2)).rows == (("0.5",),)
    assert read(frame, (999_999, 1_000_000), path="value['n']").rows == (("999999",),)


def test_a_frame_shows_labels_dates_and_what_is_missing():
    pandas = pytest.importorskip("pandas")
    index = pandas.MultiIndex.from_tuples([("a", 1), ("b", 2)])
    frame = pandas.DataFrame({"when": pandas.to_datetime(["2024-01-02", None]), 5: [None, 1.5]}, index=index)
    cells = read(frame)
    assert (cells.row_labels, cells.column_labels) == (("('a', 1)", "('b', 2)"), ("when", "5"))
    assert cells.rows == (("2024-01-02 00:00:00", "nan"), ("NaT", "1.5"))


def test_objects_in_a_frame_are_not_asked_what_they_are():
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"odd": pandas.Series([None], dtype=object)})
    frame["odd"].array._ndarray[0] = Trap()
    assert read(frame).rows[0][0].endswith("Trap object>")


def test_a_class_derived_from_a_frame_is_not_trusted():
    pandas = pytest.importorskip("pandas")
    assert not has_cells(type("Hostile", (pandas.DataFrame,), {"shape": property(touch), "iloc": property(touch)})())
