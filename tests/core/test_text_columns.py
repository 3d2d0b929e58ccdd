"""Text is measured, cut and filled up by the columns that it takes on a terminal."""

import pytest

from rpyc_kernel.core.text_columns import cut, fill, measure


@pytest.mark.parametrize(("text", "columns"), [("", 0), ("abc", 3), ("\u4e2d\u6587", 4), ("e\u0301", 1), ("\uff21", 2)])
def test_some_characters_take_two_columns_and_some_none(text, columns):
    assert measure(text) == columns


def test_a_line_is_cut_between_characters():
    assert cut("abc", 2) == "ab"
    assert cut("a\u4e2d\u6587", 4) == "a\u4e2d"
    assert cut("ne\u0301e", 2) == "ne\u0301"


def test_text_is_filled_up_and_what_is_too_long_has_dots():
    assert fill("ab", 4) == "ab  "
    assert fill("\u4e2d", 3) == "\u4e2d "
    assert fill("abcdef", 5) == "ab..."
    assert fill("\u4e2d\u6587\u4e2d", 5) == "\u4e2d..."
    assert fill("a\u4e2d\u6587\u4e2d", 6) == "a\u4e2d..."
