"""What an event says, as JSON: what every reader can read, whatever user code reported."""

from __future__ import annotations

import json
import math
from typing import Any

from rpyc_kernel.core.contract import TEXTS
from rpyc_kernel.core.json_text import make_encoder

MAX_DEPTH = 100
"""How deep a payload may be nested: readers give up at depths of their own, some soon after this."""

_dumps = make_encoder(json, allow_nan=False)


def encode_payload(payload: dict[str, Any]) -> str:
    """Write a payload as JSON that every reader can read.

    A number that JSON does not have becomes null; what is nested too deeply, or is too long a number, becomes text.

    Raises:
        TypeError: there is something in it that JSON cannot carry.
    """
    try:
        text = _dumps(payload)
    except (ValueError, RecursionError):
        return _dumps(_clean(payload, MAX_DEPTH))
    if text.count("{") + text.count("[") > MAX_DEPTH and _is_deeper(payload, MAX_DEPTH):
        return _dumps(_clean(payload, MAX_DEPTH))
    return text


def load_payload(text: object) -> dict[str, Any] | None:
    """Read a payload; None where it is none."""
    try:
        loaded = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    return loaded if isinstance(loaded, dict) else None


def has_texts(kind: str, payload: dict[str, Any]) -> bool:
    """Whether what clients rely on is there."""
    return all(isinstance(payload.get(name), str) for name in TEXTS.get(kind, ()))


def _is_deeper(value: Any, depth: int) -> bool:
    level = [value]
    for _ in range(depth):
        level = [
            item
            for part in level
            for item in (part.values() if isinstance(part, dict) else part)
            if isinstance(item, (dict, list, tuple))
        ]
        if not level:
            return False
    return True


def _clean(value: Any, depth: int) -> Any:
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        # Python itself neither writes nor reads longer ones unless it is told to.
        return value if value.bit_length() < 10_000 else hex(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (dict, list, tuple)) and not depth:
        return "[... nested too deeply ...]"
    if isinstance(value, dict):
        return {str(key): _clean(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item, depth - 1) for item in value]
    raise TypeError(f"{type(value).__name__} is nothing that JSON can carry")
