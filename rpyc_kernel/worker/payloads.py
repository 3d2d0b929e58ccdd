"""How an event is encoded, and what is done with one that is too large to travel."""

from __future__ import annotations

from typing import Any

from rpyc_kernel.core.json_text import make_encoder
from rpyc_kernel.system.originals import json

MAX_BYTES = 48 * 1024 * 1024
"""The longest event: a client refuses messages a third longer, and would refuse all that come with it."""

_KEPT_CHARS = 100_000
_TEXT = "text/plain"
_dumps = make_encoder(json, default=str)


def encode(
    kind: str, payload: dict[str, Any], max_bytes: int = MAX_BYTES, why: str = "are too much for one event"
) -> bytes:
    """Return an event as it travels; the largest parts of one that is too large are cut, which says why."""
    data = _dumps([kind, payload]).encode("ascii")
    if len(data) <= max_bytes:
        return data
    parts = {name: _dumps(value) for name, value in payload.items()}
    cut = dict(payload)
    for name in sorted(parts, key=lambda name: len(parts[name]), reverse=True):
        cut[name] = _cut(cut[name], min(_KEPT_CHARS, max_bytes // 50), f"{len(parts[name]):,} bytes {why}")
        parts[name] = _dumps(cut[name])
        if sum(map(len, parts.values())) < max_bytes // 2:
            break
    return _dumps([kind, cut]).encode("ascii")


def _cut(value: Any, kept_chars: int, why: str) -> Any:
    if isinstance(value, str):
        return f"{value[:kept_chars]}\n[... cut: {why} ...]"
    if isinstance(value, dict) and isinstance(value.get(_TEXT), str):
        return {_TEXT: _cut(value[_TEXT], kept_chars, why)}
    return type(value)() if isinstance(value, (list, dict)) else None
