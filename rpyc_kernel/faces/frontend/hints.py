"""What the kernel knows of what is being typed: the signature of what is called, and what a chosen completion is."""

from __future__ import annotations

import re

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.introspection import Inspection, Signature
from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.frontend.control_characters import sanitize_line

_TIMEOUT_S = 1.0
_MAX_ASKED_CHARS = 100_000

Hint = tuple[str, str, str]
"""One line: its beginning, the parameter that the cursor is in, and the rest."""
NO_HINT: Hint = ("", "", "")


def find_hint(kernel: KernelClient, code: str, cursor: int, *, is_choosing: bool = False) -> Hint:
    """One line about the place of the cursor; `NO_HINT` if nothing is known. Waits for the kernel, which may be busy.

    Args:
        kernel: is asked.
        code: what is typed.
        cursor: in characters.
        is_choosing: what ends at the cursor is to be explained, and not the call that the cursor is in.
    """
    if len(code) > _MAX_ASKED_CHARS or not (is_choosing or "(" in code[:cursor]):
        return NO_HINT
    try:
        if is_choosing:
            return _describe(kernel.inspect(code, cursor, source=False, timeout=_TIMEOUT_S))
        signatures = kernel.signatures(code, cursor, timeout=_TIMEOUT_S)
    except (KernelError, TimeoutError):
        return NO_HINT
    return _write_signature(signatures[0]) if signatures else NO_HINT


def _describe(found: Inspection) -> Hint:
    if not found:
        return NO_HINT
    what = found.signature or f" = {found.preview}"
    return _join(f"{found.name}{what}", found.doc), "", ""


def _write_signature(signature: Signature) -> Hint:
    """The signature, with the parameter that the cursor is in made to stand out."""
    text = sanitize_line(signature.text)
    active = signature.parameters[signature.active].text if signature.active is not None else ""
    place = re.search(rf"(?<![\w.]){re.escape(sanitize_line(active))}(?!\w)", text) if active else None
    if place is None:
        return _join(signature.name + text, signature.doc), "", ""
    return signature.name + text[: place.start()], place[0], _join(text[place.end() :], signature.doc)


def _join(what: str, doc: str) -> str:
    first = sanitize_line(doc.strip().partition("\n")[0])
    return sanitize_line(what) + (f"  {first}" if first else "")
