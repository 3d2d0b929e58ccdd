"""Variables of many kernels beside each other, for people and for programs."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.core.introspection import Variable
from rpyc_kernel.core.text_columns import measure
from rpyc_kernel.groups.side_by_side import ASKED, place_side_by_side


def variable(name, preview, kind="int", **more):
    return Variable(name, name, kind, preview=preview, **more)


@pytest.fixture
def found():
    table = variable("table", "2 rows x 3 columns: ['a', 'b', 'c']", "DataFrame", size=2, shape=(2, 3))
    return place_side_by_side(
        {
            "train-1": [variable("epoch", "3"), variable("loss", "0.31", "float"), table],
            "train-2": [
                variable("epoch", "3"),
                variable("loss", "0.3", "float"),
                variable("table", "None", "NoneType"),
            ],
            "train-3": [variable("epoch", "3"), variable("extra", "[1, 2]", "list", size=2), table],
        }
    )


def test_what_is_the_same_is_shown_once_and_what_differs_by_who_has_it(found):
    assert found.to_text(100).splitlines() == [
        "  epoch                   int             3",
        "- extra  train-3          list       2    [1, 2]",
        "         train-{1..2}                     (missing)",
        "- loss   train-1          float           0.31",
        "         train-2          float           0.3",
        "         train-3                          (missing)",
        "* table  train-1 train-3  DataFrame  2x3  2 rows x 3 columns: ['a', 'b', 'c']",
        "         train-2          NoneType        None",
        "4 variables of 3 kernels; 3 differ (*) or are not everywhere (-)",
    ]


def test_programs_read_rows_and_plain_data(found):
    assert [row.name for row in found.differing] == ["extra", "loss", "table"]
    assert found["epoch"].is_same
    assert found["extra"].missing == ("train-1", "train-2")
    assert found["loss"].variables["train-1"].preview == "0.31"
    assert [(each and each.type, labels) for each, labels in found["table"].fold()] == [
        ("DataFrame", ("train-1", "train-3")),
        ("NoneType", ("train-2",)),
    ]
    plain = json.loads(json.dumps(found.to_dict()))
    assert (plain["table"]["train-1"]["shape"], plain["extra"]["train-1"]) == ([2, 3], None)
    assert (len(found), [row.name for row in found]) == (4, ["epoch", "extra", "loss", "table"])
    with pytest.raises(KeyError, match="nothing"):
        found["nothing"]


def test_text_fits_the_width_of_the_terminal(found, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    assert max(map(len, str(found).splitlines())) <= 39
    assert repr(found) == str(found)


texts = st.text(max_size=30)
kernels = st.dictionaries(texts, st.dictionaries(texts, texts, max_size=4), max_size=4)


@given(kernels, st.integers(20, 120))
def test_whatever_there_is_no_line_is_longer_and_none_obeys_the_terminal(kernels, columns):
    found = place_side_by_side(
        {label: [variable(name, text) for name, text in sorted(own.items())] for label, own in kernels.items()}
    )
    lines = found.to_text(columns).split("\n")
    assert all(line.isprintable() and measure(line) <= columns for line in lines)
    assert len(found) == len({name for own in kernels.values() for name in own})


def test_kernels_without_variables_have_none_to_show():
    assert place_side_by_side({"a": [], "b": []}).to_text(80) == "0 variables of 2 kernels"
    assert place_side_by_side({"a": []}).to_text(80) == "0 variables of 1 kernel"


def test_nothing_is_called_missing_that_was_not_asked_for():
    many = [variable(f"v{at:04}", "0") for at in range(ASKED)]
    found = place_side_by_side({"a": many, "b": [*many[:5], variable("w", "1")]})
    assert (len(found), found[f"v{ASKED - 1:04}"].missing, found.is_whole) == (ASKED, ("b",), False)
    assert found.to_text(80).endswith("these are the first by name")
