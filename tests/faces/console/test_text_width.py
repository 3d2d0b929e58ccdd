import pytest

from rpyc_kernel.faces.console.text_width import can_measure, count_rows, cut_rows
from rpyc_kernel.faces.console.visible_text import VisibleText
from rpyc_kernel.faces.frontend.overwriting import settle


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("", 0),
        ("one", 0),
        ("one\n", 1),
        ("one\n\ntwo", 2),
        ("x" * 10, 0),  # the cursor waits in the last column
        ("x" * 10 + "\n", 1),
        ("x" * 11 + "\n", 2),
        ("\x1b[31m" + "x" * 10 + "\x1b[0m\n", 1),
        ("日" * 5 + "\n", 1),
        ("x" + "日" * 5 + "\n", 2),  # the last of them does not fit into one column
        ("a\tb\n", 1),
        ("a\tbcd\n", 2),
    ],
)
def test_rows_are_counted_as_a_terminal_breaks_lines(text: str, rows: int):
    assert count_rows(text, 10) == rows


def test_lines_are_cut_whole():
    assert cut_rows("one\n" + "x" * 15 + "\nthree\n", 3, 10) == "one\n" + "x" * 15 + "\n"
    assert cut_rows("one\n" + "x" * 15 + "\nthree\n", 2, 10) == "one\n"
    assert cut_rows("one\n", 0, 10) == ""


def test_of_overwritten_lines_the_last_version_counts():
    assert settle("0 %\r10 %\r20 %") == "20 %"
    assert settle("10 %\r20 %\r") == "20 %\r"
    assert settle("kept\na\rb\nlast") == "kept\nb\nlast"


def test_a_picture_has_no_known_height():
    assert can_measure("\x1b[1;31mred\x1b[0m")
    assert not can_measure("\x1b_Gf=100;AAAA\x1b\\")


def test_what_stands_at_the_end_is_known_until_something_else_does():
    visible = VisibleText()
    visible.add("one\ntwo\n", (24, 80))
    assert visible.has("two\n", (24, 80))
    assert not visible.has("o\n", (24, 80))  # began in the middle of a line
    assert not visible.has("one\n", (24, 80))
    visible.replace("two\n", "three\n")
    assert visible.has("one\nthree\n", (24, 80))
    visible.forget()
    assert not visible.has("three\n", (24, 80))


def test_after_a_change_of_the_size_only_what_comes_then_is_known():
    visible = VisibleText()
    visible.add("one\n", (24, 80))
    assert not visible.has("one\n", (24, 100))
    visible.add("two\n", (24, 100))
    assert visible.has("two\n", (24, 100))
    assert not visible.has("one\ntwo\n", (24, 100))


def test_of_much_output_only_the_end_is_known():
    visible = VisibleText()
    for number in range(20_000):
        visible.add(f"line {number}\n", (24, 80))
    assert visible.has("line 19998\nline 19999\n", (24, 80))
    assert len(visible.text) < 100_000
    visible.add("x" * 200_000, (24, 80))
    assert not visible.has("x" * 10, (24, 80))
