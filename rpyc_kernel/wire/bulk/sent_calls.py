"""Small calls as text, which go with their execution: in its message, in the queue and in the journal."""

from __future__ import annotations

import sys
from base64 import b64decode, b64encode
from typing import Any, Final

from rpyc_kernel.core.contract import SENT_CALL
from rpyc_kernel.errors import RequestError
from rpyc_kernel.system.originals import json
from rpyc_kernel.wire.bulk.parts import Parcel

_MAX_BYTES: Final = 16 * 1024
"""Up to here a call costs less in the journal than a transfer beside it costs time."""


def write_call(parcel: Parcel, source: str | None, *, is_map: bool) -> str | None:
    """Make text of a pickled call, which `read_call` reads; None where it is too large for that.

    Args:
        parcel: the function, its arguments and its keywords, pickled; or its name, if there is a source.
        source: that of the function.
        is_map: whether the arguments are sequences, and it is called with each of their items.
    """
    if sum(buffer.length for buffer in parcel.buffers) + len(source or "") > _MAX_BYTES:
        return None
    pieces = [b64encode(b"".join(buffer.chunks())).decode() for buffer in parcel.buffers]
    head = {"pickle": pieces, "source": source, "is_map": is_map, "python": sys.version_info[:2]}
    return SENT_CALL + json.dumps(head, separators=(",", ":"))


def read_call(text: str) -> tuple[dict[str, Any], bytes, list[bytearray]]:
    """What stands in the text of a call: its head, the pickle, and what that has outside of itself.

    Raises:
        RequestError: it is none.
    """
    try:
        head = json.loads(text.removeprefix(SENT_CALL))
        data, *buffers = map(b64decode, head["pickle"])
    except (ValueError, KeyError, TypeError) as error:
        raise RequestError(f"what came is no call: {error}") from None
    return head, data, [bytearray(buffer) for buffer in buffers]  # who gets arrays may write to them
