"""Cells and items are set where that changes nothing else, and refused in words where not."""

import dataclasses

import pytest

from rpyc_kernel.errors import NotAvailable, RequestError
from rpyc_kernel.worker.introspection.variables import Variables
from tests.worker.introspection.hostile import Trap

numpy, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")


@dataclasses.dataclass(frozen=True)
class Frozen:
    x: int = 1


class Plain:
    def __init__(self):
        self.x = 1


def put(value, new, path="value", row=None, column=0):
    Variables({"value": value}, frozenset()).set(path, repr(new), row, column)
    return value


def test_items_and_attributes_are_set_by_path():
    assert put([1, [2]], 5, "value[1][0]") == [1, [5]]
    assert put({"a": {(1, 2): 3}}, 4, "value['a']") == {"a": 4}
    key = (1, 2)
    assert put({key: 3}, 4, f"value[@0:{id(key)}]") == {key: 4}
    assert put(Plain(), 5, "value.x").x == 5
    assert put(numpy.arange(3), 7, "value[-1]").tolist() == [0, 1, 7]


def test_cells_are_set_at_their_place():
    assert put([1, 2], "x", row=1) == [1, "x"]
    assert put({"a": 1, "b": 2}, 3, row=1) == {"a": 1, "b": 3}
    assert put(numpy.zeros((2, 2), int), 5, row=1, column=1).tolist() == [[0, 0], [0, 5]]
    records = numpy.array([(1, "a")], dtype=[("n", int), ("t", "U2")])
    assert put(records, "bc", row=0, column="t")["t"].tolist() == ["bc"]
    square = numpy.zeros((2, 2), dtype=[("n", int), ("x", float)])[:, ::-1]
    assert put(square, 5, row=1, column="n")["n"].tolist() == [[0, 5], [0, 0]]
    assert put(numpy.zeros(1, "float32"), 3e38, row=0)[0] > 2e38
    frame = pandas.DataFrame({"n": [1, 2], "x": [0.5, 1.5], "t": ["a", "b"], "w": pandas.array([1, 2], "Int64")})
    dtypes = list(frame.dtypes)
    for column, new in (("n", 7), ("x", 2), ("x", None), ("t", "c"), ("w", 9), ("w", None)):
        put(frame, new, row=1, column=column)
    assert list(frame.dtypes) == dtypes
    assert frame.loc[1, ["n", "t"]].tolist() == [7, "c"]
    assert frame.loc[1, ["x", "w"]].isna().all()
    assert put(pandas.Series([1.0, 2.0], index=[5, 6]), 3, row=0).tolist() == [3.0, 2.0]
    when = pandas.DataFrame({"when": pandas.to_datetime(["2024-01-01"])})
    assert str(put(when, "2024-02-03", row=0).when[0]) == "2024-02-03 00:00:00"


READ_ONLY = numpy.arange(2)
READ_ONLY.flags.writeable = False


@pytest.mark.parametrize(
    ("value", "new", "place", "words"),
    [
        ((1, 2), 5, {"row": 0}, "cannot be changed"),
        ((1, 2), 5, {"path": "value[0]"}, "cannot be changed"),
        ("text", 5, {"row": 0}, "nothing that has rows"),
        ({1, 2}, 5, {"row": 0}, "nothing that has rows"),
        (Frozen(), 5, {"path": "value.x"}, "without running the code"),
        (Trap(), 5, {"path": "value.attribute"}, "without running the code"),
        (READ_ONLY, 5, {"row": 0}, "read-only"),
        ([1], 5, {"row": 1}, "has 1 rows, counted from 0, and no row 1"),
        ([1], 5, {"row": -1}, "no row -1"),
        (numpy.arange(2), 1.5, {"row": 0}, "does not fit"),
        (numpy.arange(2, dtype="int8"), 300, {"row": 0}, "does not fit"),
        (numpy.array(["ab"]), "abc", {"row": 0}, "does not fit"),
        (numpy.zeros(2), 10**400, {"row": 0}, "does not fit"),
        (numpy.zeros(2, "float32"), -1e300, {"row": 0}, "does not fit"),
        (numpy.zeros(2, "M8[s]"), "2024-01-31T00:00+02:00", {"row": 0}, "of no time zone"),
        (pandas.Series([1], dtype="Int64"), 2**70, {"row": 0}, "does not fit"),
        (pandas.DataFrame({"n": [1]}), 2, {"path": "value['n']", "row": 0}, "taken out of a frame"),
        (pandas.DataFrame({"n": [1]}), "x", {"row": 0}, "does not fit a column of int64"),
        (pandas.DataFrame({"n": [1]}), None, {"row": 0}, "does not fit"),
        (pandas.DataFrame({"n": [1]}), 2.5, {"row": 0, "column": "n"}, "does not fit"),
        (pandas.DataFrame({"t": pandas.Series(["a"], dtype="str")}), 5, {"row": 0}, "does not fit"),
        (pandas.DataFrame({"c": pandas.Categorical(["a"])}), "b", {"row": 0}, "does not fit"),
        (pandas.DataFrame({"b": [True]}), 1, {"row": 0}, "does not fit a column of bool"),
        (pandas.DataFrame({"n": [1]}), 2, {"row": 0, "column": None}, "what labels the rows cannot be changed"),
        (pandas.DataFrame({"n": [1]}), 2, {"row": 0, "column": "m"}, "no column 'm'"),
    ],
)
def test_what_cannot_be_set_is_refused_and_left(value, new, place, words):
    before = repr(value) if not isinstance(value, Trap) else None
    with pytest.raises(RequestError, match=words):
        put(value, new, **place)
    assert before is None or repr(value) == before


def test_nothing_new_is_made_by_a_path():
    for path in ("value['b']", "value['a'].x"):
        with pytest.raises(NotAvailable):
            put({"a": 1}, 2, path)
    with pytest.raises(RequestError):
        put({}, 2, "a b")
    with pytest.raises(RequestError):
        put({}, 2, "for")
