"""What programs write: text as text, and what is no text escaped, with the bytes beside it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.core.streams import raw_bytes, read_written


def test_text_is_all_there_is_of_it():
    assert read_written("stdout", "a€😀".encode()) == ({"name": "stdout", "text": "a€😀"}, 8)


def test_what_is_no_text_is_shown_escaped_and_kept_as_bytes():
    payload, used = read_written("stderr", b"a\x80\xff")
    assert (payload["name"], payload["text"], used) == ("stderr", "a\\x80\\xff", 3)
    assert raw_bytes(payload) == b"a\x80\xff"


def test_half_a_character_is_left_for_what_follows():
    assert read_written("stdout", b"a\xe2\x82", is_all=False) == ({"name": "stdout", "text": "a"}, 1)
    payload, used = read_written("stdout", b"\xff\xe2\x82", is_all=False)
    assert (payload["text"], raw_bytes(payload), used) == ("\\xff", b"\xff", 1)


def test_half_a_character_at_the_end_is_none():
    payload, used = read_written("stdout", b"a\xe2\x82")
    assert (payload["text"], raw_bytes(payload), used) == ("a\\xe2\\x82", b"a\xe2\x82", 3)


@given(st.lists(st.binary(max_size=6) | st.text(max_size=3).map(str.encode)))
def test_pieces_of_any_bytes_are_whole_together(pieces):
    found, half = b"", b""
    for piece in pieces:
        payload, used = read_written("stdout", half + piece, is_all=False)
        half = (half + piece)[used:]
        raw = raw_bytes(payload)
        found += payload["text"].encode() if raw is None else raw
    assert found + half == b"".join(pieces)


@pytest.mark.parametrize("raw", ["§", "a", 3, None, ["AA=="]])
def test_what_is_no_base64_is_left_aside(raw):
    assert raw_bytes({"name": "stdout", "text": "x", "raw": raw}) is None
