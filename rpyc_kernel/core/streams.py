"""What a program has written, as an event carries it: as text, and beside it as bytes where these are no text."""

from __future__ import annotations

import codecs
from base64 import b64decode, b64encode
from typing import Any


def read_written(name: str, data: bytes, *, is_all: bool = True) -> tuple[dict[str, Any], int]:
    """Make the payload of a stream event; returns it, and how many bytes are in it.

    Unless this ``is_all``, a character whose end may follow is left out.
    """
    try:
        text, used = codecs.utf_8_decode(data, "strict", is_all)
    except UnicodeDecodeError:
        text, used = codecs.utf_8_decode(data, "backslashreplace", is_all)
        return {"name": name, "text": text, "raw": b64encode(data[:used]).decode()}, used
    return {"name": name, "text": text}, used


def raw_bytes(payload: dict[str, Any]) -> bytes | None:
    """The bytes behind the text of a stream event that shows them escaped; None where the text is what was written."""
    try:
        return b64decode(payload["raw"], validate=True)
    except (KeyError, TypeError, ValueError):  # user code could have reported anything
        return None
