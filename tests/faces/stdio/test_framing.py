"""Messages are read in whatever pieces they come, and what cannot be read takes no other message with it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.faces.stdio.framing import MAX_BYTES, PENDING, BadMessage, MessageReader, encode_message

GOOD = {"jsonrpc": "2.0", "method": "kernels", "id": 1}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


def read_all(data: bytes, piece: int = 1_000_000) -> list[Any]:
    """The messages in some bytes, "bad" for each that cannot be read."""
    reader, found = MessageReader(), []
    for start in range(0, len(data), piece):
        reader.feed(data[start : start + piece])
        while True:
            try:
                message = reader.next()
            except BadMessage:
                found.append("bad")
                continue
            if message is PENDING:
                break
            found.append(message)
    return found


@given(st.lists(JSON, max_size=5), st.integers(1, 50))
def test_messages_come_out_as_they_went_in_whatever_the_pieces(messages: list[Any], piece: int) -> None:
    assert read_all(b"".join(encode_message(each) for each in messages), piece) == messages


@given(st.binary(max_size=300), st.integers(1, 50))
def test_bytes_of_any_kind_raise_nothing_else_and_come_to_an_end(data: bytes, piece: int) -> None:
    read_all(data, piece)


@pytest.mark.parametrize(
    "bad",
    [
        b"Content-Length: 3\r\n\r\n{a}",
        b"Content-Length: 2\r\n\r\n\xff\xfe",
        b"Content-Length: 4\r\n\r\n" + json.dumps(GOOD).encode(),  # too short
        b"Content-Length: 60\r\n\r\n{}",  # too long: it swallows the beginning of the next
        b"Content-Length: many\r\n\r\n",
        b"Content-Length: -1\r\n\r\n{}",
        b"Content-Type: text\r\n\r\n{}",
        b"POST / HTTP/1.1\r\nHost: here\r\n\r\n",
        b"Content-Length: %d\r\n\r\n%b" % (100_000, b"[" * 100_000),
        b"Content-Length: 3\r\n\r\nNaN",
        b"Content-Length: 5001\r\n\r\n" + b"1" * 5001,
        b"nonsense" * 2000 + b"\r\n\r\n",
    ],
)
@pytest.mark.parametrize("piece", [1, 7, 1_000_000])
def test_behind_what_cannot_be_read_the_next_message_is_read(bad: bytes, piece: int) -> None:
    found = read_all(encode_message(GOOD) + bad + encode_message(GOOD) * 2, piece)
    assert found[0] == GOOD
    assert "bad" in found
    assert found[-2:] == [GOOD, GOOD]


def test_a_message_that_is_too_long_is_refused_before_it_is_there_and_dropped() -> None:
    reader = MessageReader()
    reader.feed(b"Content-Length: %d\r\n\r\n" % (MAX_BYTES + 1))
    with pytest.raises(BadMessage, match="too long"):
        reader.next()
    for _ in range(MAX_BYTES // 65_536):
        reader.feed(bytes(65_536))
        assert reader.next() is PENDING
    reader.feed(b"x" + encode_message(GOOD))
    assert reader.next() == GOOD
    assert reader.next() is PENDING


def test_a_header_may_have_other_fields_and_any_case() -> None:
    body = json.dumps(GOOD).encode()
    head = b"content-LENGTH : %d\r\nContent-Type: application/vscode-jsonrpc; charset=utf-8\r\n\r\n" % len(body)
    assert read_all(head + body) == [GOOD]


def test_numbers_that_json_has_no_words_for_become_null() -> None:
    message = encode_message({"a": [float("nan"), 1.5, (float("inf"),)]})
    assert read_all(message) == [{"a": [None, 1.5, [None]]}]
