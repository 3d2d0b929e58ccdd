"""Events as they are read from disk: one that was damaged says so, and takes no other away."""

from __future__ import annotations

import math
from typing import Any

from rpyc_kernel.core.contract import MAX_NUMBER, TEXTS, Kind, Outcome, WireEvent
from rpyc_kernel.core.payloads import encode_payload, has_texts, load_payload

EventRow = tuple[Any, Any, Any, Any, Any, Any, Any]
"""A row as it was read: the fields of an event as they may be, and whether the payload is JSON with all it needs."""

_ASKED = " ".join(
    f"WHEN kind = '{kind}' THEN " + " AND ".join(f"json_type(payload, '$.{name}') IS 'text'" for name in names)
    for kind, names in TEXTS.items()
)
IS_WHOLE = f"CASE WHEN NOT json_valid(payload) THEN 0 {_ASKED} ELSE 1 END"
"""Asks SQLite for the last field of a row: it reads JSON anyway, and Python need not."""


def check_row(row: EventRow) -> WireEvent:
    """Make an event of a row; of one that cannot be read, an event that says so, with the same number."""
    seq, when, kind, execution, session, payload, is_whole = row
    if (
        is_whole
        and payload.startswith("{")
        and type(kind) is str
        and kind.isidentifier()
        and type(when) is float
        and math.isfinite(when)
        and (execution is None or (type(execution) is int and 0 <= execution <= MAX_NUMBER))
        and (session is None or type(session) is str)
    ):
        return seq, when, kind, execution, session, payload
    return _mend(row)


def _mend(row: EventRow) -> WireEvent:
    seq, when, kind, execution, session, payload, _ = row
    when = when if isinstance(when, float) and math.isfinite(when) else 0.0
    execution = execution if type(execution) is int and 0 <= execution <= MAX_NUMBER else None
    session = session if type(session) is str else None
    loaded = load_payload(payload)  # Python reads what is no strict JSON, such as NaN, which was written once
    is_known = isinstance(kind, str) and kind.isidentifier()
    if is_known and loaded is not None and has_texts(kind, loaded):
        return seq, when, kind, execution, session, encode_payload(loaded)
    if kind == Kind.FINISHED and execution is not None:  # somebody may wait for it
        return seq, when, kind, execution, session, encode_payload(lost("the record of its end cannot be read"))
    message = f"event {seq}{f' ({kind})' if is_known else ''} cannot be read: the journal was damaged there"
    return seq, when, Kind.JOURNAL_TROUBLE, execution, session, encode_payload({"message": message})


def lost(reason: str) -> dict[str, Any]:
    """The payload of an end that nobody knows more of."""
    return {"outcome": Outcome.LOST, "reason": reason, "duration_s": None, "by": None, "generation": 0}
