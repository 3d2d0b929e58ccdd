"""Messages in the base protocol of LSP: a header that says how many bytes follow, and so many bytes of JSON.

A header that lies takes no other message with it: behind what cannot be read, the next header is looked for.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final

from rpyc_kernel.core.json_text import make_encoder

MAX_BYTES: Final = 64 * 1024 * 1024
"""The longest message taken. Code may have four million characters, and JSON may spell each with twelve bytes."""
_MAX_HEADER_BYTES: Final = 4096
_SHOWN_BYTES: Final = 60
_HEADER = re.compile(rb"content-length[ \t]*:[ \t]*(\d{1,12})[ \t]*\r?\n", re.IGNORECASE)
_BLANK = re.compile(rb"\r?\n\r?\n")
_NAME: Final = b"content-length"


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


_encode: Final = make_encoder(json, allow_nan=False)
_decoder: Final = json.JSONDecoder(parse_constant=_refuse_constant)


class BadMessage(ValueError):
    """What came is no message; those that follow are read all the same."""


class MessageReader:
    """Makes messages of bytes, in whatever pieces they come."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._length: int | None = None  # of the message whose header is read
        self._dropped_bytes = 0  # still to come of one that is too long

    def feed(self, data: bytes) -> None:
        """Take what has come."""
        self._data += data

    def next(self) -> Any:
        """The next message that is there whole, as JSON has it; `PENDING` where none is.

        Raises:
            BadMessage: what stands there cannot be read.
        """
        if self._dropped_bytes:
            count = min(self._dropped_bytes, len(self._data))
            del self._data[:count]
            self._dropped_bytes -= count
        if self._length is None:
            self._length = self._read_header()
        if self._length is None or len(self._data) < self._length:
            return PENDING
        length, self._length = self._length, None
        body = bytes(self._data[:length])
        del self._data[:length]
        return self._decode(body)

    def _read_header(self) -> int | None:
        end = _BLANK.search(self._data)
        if end is None:
            if len(self._data) > _MAX_HEADER_BYTES:
                self._skip_to_next_header("a header has no end")
            return None
        head = bytes(self._data[: end.start()]) + b"\r\n"
        found = None if len(head) > _MAX_HEADER_BYTES else _HEADER.search(head)
        if found is None or not _is_line_start(head, found.start()):
            self._skip_to_next_header(f"a header names no length: {head[:_SHOWN_BYTES]!r}")
            return None
        del self._data[: end.end()]
        length = int(found[1])
        if length > MAX_BYTES:
            self._dropped_bytes = length
            raise BadMessage(f"a message of {length:,} bytes is too long; the limit is {MAX_BYTES:,}")
        return length

    def _skip_to_next_header(self, reason: str) -> None:
        """Drop what cannot be read, up to where a header may begin."""
        at = self._data.lower().find(_NAME, 1)
        # Of a name that is there in part, the rest may come.
        del self._data[: at if at > 0 else max(1, len(self._data) - len(_NAME))]
        raise BadMessage(reason)

    def _decode(self, body: bytes) -> Any:
        try:
            return _decoder.decode(body.decode())
        except (ValueError, RecursionError) as error:
            # If the length was too long, what it swallowed of the next message is read once more.
            at = body.lower().find(_NAME, 1)
            if at > 0:
                self._data[:0] = body[at:]
            what = "is nested too deeply" if isinstance(error, RecursionError) else f"cannot be read: {error}"
            raise BadMessage(f"a message of {len(body):,} bytes {what}") from None


class _Pending:
    """Stands for a message that is not there yet; None is one that is."""


PENDING: Final = _Pending()


def _is_line_start(head: bytes, at: int) -> bool:
    return at == 0 or head[at - 1 : at] == b"\n"


def encode_message(message: dict[str, Any]) -> bytes:
    """Write a message with its header. Numbers that JSON has no words for become null."""
    try:
        text = _encode(message)
    except ValueError:
        text = _encode(_without_nan(message))
    body = text.encode()
    return b"Content-Length: %d\r\n\r\n%b" % (len(body), body)


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_nan(item) for item in value]
    return value
