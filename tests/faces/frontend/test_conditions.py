"""What is typed about a table."""

import pytest

from rpyc_kernel.core.introspection import MAX_CELL_CHARS
from rpyc_kernel.errors import RequestError
from rpyc_kernel.faces.frontend.conditions import read_condition, read_value, text_to_edit


@pytest.mark.parametrize(
    ("text", "dtype", "value"),
    [("5", "", 5), ("5", "int64", 5), ("5", "object", 5), ("five", "", "five"), (" 5", "", 5)]
    + [("5", kind, "5") for kind in ("str", "string[pyarrow]", "<U3", "large_string[pyarrow]")],
)
def test_a_value_is_a_literal_or_text_and_always_text_in_a_column_of_text(text: str, dtype: str, value: object):
    assert read_value(text, dtype) == value
    assert type(read_value(text, dtype)) is type(value)


def test_what_is_no_condition_is_refused():
    assert read_condition("price >= 10") == ("price", ">=", 10)
    assert read_condition("price == {[]: 1}") == ("price", "==", "{[]: 1}"), "no literal, so text"
    for text in ("price", "price >="):
        with pytest.raises(RequestError, match="is no condition"):
            read_condition(text)


def test_the_editing_of_a_cell_begins_with_its_text_or_with_none_of_it():
    assert text_to_edit("some text") == "some text"
    assert text_to_edit("a" * MAX_CELL_CHARS) == "a" * MAX_CELL_CHARS
    assert text_to_edit("a" * MAX_CELL_CHARS + "…") == ""
    assert text_to_edit("two\nlines") == ""
