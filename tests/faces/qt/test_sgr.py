"""How the colours of terminals are read."""

from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.faces.qt.sgr import Style, split_lines


def test_a_colour_holds_until_it_is_taken_back_and_over_the_ends_of_lines():
    assert split_lines("a\x1b[31mb\nc\x1b[0md") == [
        [("a", Style()), ("b", Style(colour=1))],
        [("c", Style(colour=1)), ("d", Style())],
    ]


def test_every_way_to_name_a_colour_is_known():
    def style_of(parameters: str) -> Style:
        return split_lines(f"\x1b[{parameters}mx")[0][0][1]

    assert style_of("1;2;3;4;9") == Style(
        is_bold=True, is_faint=True, is_italic=True, is_underlined=True, is_struck=True
    )
    assert style_of("91;7") == Style(colour=9, is_inverse=True)
    assert style_of("38;5;196") == Style(colour=(255, 0, 0))
    assert style_of("48;5;244") == Style(background=(128, 128, 128))
    assert style_of("38;2;1;2;3;48;5;2") == Style(colour=(1, 2, 3), background=2)
    assert style_of("31;39") == Style()
    assert style_of("") == Style()


@given(st.lists(st.sampled_from(["\x1b[", "m", "38", ";", ":", "5", "2", "999999", "a", "\n", "\x1b[1m"])).map("".join))
def test_whatever_numbers_come_all_letters_are_kept(text: str):
    import re

    plain = re.sub(r"\x1b\[[0-9;:]*m", "", text)
    assert "\n".join("".join(part for part, _ in line) for line in split_lines(text)) == plain
