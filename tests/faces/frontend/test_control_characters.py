import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.faces.frontend.control_characters import is_colourful, sanitize, sanitize_line

ATTACKS = {
    "clearing the screen": "\x1b[2J",
    "clearing the screen, in eight bits": "\x9b2J",
    "moving the cursor": "\x1b[10;10H",
    "asking where the cursor is": "\x1b[6n",
    "asking what terminal it is": "\x1b[c",
    "the second screen": "\x1b[?1049h",
    "a private mode with a blank": "\x1b[0 q",
    "the window's title": "\x1b]0;owned\x07",
    "the title, ended otherwise": "\x1b]2;owned\x1b\\",
    "the title, in eight bits": "\x9d0;owned\x9c",
    "a device string, in eight bits": "\x90$q\x9c",
    "a link": "\x1b]8;;http://example.org\x1b\\",
    "a device string": "\x1bP$q\x1b\\",
    "a reset": "\x1bc",
    "another character set": "\x1b(0",
    "a bell": "\x07",
    "a backspace": "\b",
    "a form feed": "\f",
    "nothing at all": "\x00",
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS)
@pytest.mark.parametrize("keep_colours", [True, False])
def test_what_a_terminal_would_obey_is_taken_out_and_the_text_around_it_stays(attack: str, keep_colours: bool):
    assert sanitize(f"before{attack}|after\nnext", keep_colours=keep_colours) == "before|after\nnext"


def test_colours_stay_where_they_are_wanted():
    assert sanitize("\x1b[1;31mred\x1b[0m", keep_colours=True) == "\x1b[1;31mred\x1b[0m"
    assert sanitize("\x1b[1;31mred\x1b[0m") == "red"


def test_a_string_that_never_ends_swallows_nothing_but_its_beginning():
    assert sanitize("\x1b]0;first\nsecond\n") == "0;first\nsecond\n"


def test_a_lone_escape_is_taken_out():
    assert sanitize("before\x1b\nafter\x1b") == "before\nafter"


def test_line_ends_tabs_and_carriage_returns_stay():
    assert sanitize("10%\r20%\tdone\r\n") == "10%\r20%\tdone\r\n"


def test_a_name_stays_on_one_line():
    assert sanitize_line("al\x1b[2Jice\r\n>>> rm") == "alice >>> rm"


@given(st.text(alphabet=st.sampled_from("\x1b[]();0123456789?mJHPX^_\\\x07\x9b\x9c ab\n")))
def test_no_escape_survives_but_those_of_colours(text: str):
    tamed = sanitize(text, keep_colours=True)
    assert all(piece.lstrip("0123456789;:").startswith("m") for piece in tamed.split("\x1b[")[1:])
    assert tamed.count("\x1b") == tamed.count("\x1b[")
    assert not set(sanitize(text)) & {"\x1b", "\x07", "\x9b", "\x9c"}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colours_are_for_terminals_that_have_them(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert is_colourful(Terminal())
    assert not is_colourful(io.StringIO())
    monkeypatch.setenv("NO_COLOR", "1")
    assert not is_colourful(Terminal())
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert not is_colourful(Terminal())
