"""MIME bundles: all the ways in which a value shows itself, each fit to travel, or explained where it is not.

A representation that fails takes none of the others with it. Bytes travel in base64 where the type is one of bytes,
such as ``image/png``, as Jupyter has it.
"""

from __future__ import annotations

import base64
import datetime
import math
import numbers
import sys
from collections.abc import Callable, Iterable
from typing import Any

from rpyc_kernel.core.contract import MAX_PLAIN_REPR
from rpyc_kernel.system.originals import json
from rpyc_kernel.worker.error_reports import describe_error, text_of
from rpyc_kernel.worker.interrupts import runs_user_code

Bundle = tuple[dict[str, Any], dict[str, Any]]
"""The representations by MIME type, and what is to be known about them."""

MAX_BYTES = 32 * 1024 * 1024
"""The longest bundle, as it travels: the wire takes no message over twice that."""

_PLAIN = "text/plain"
_METHODS = {
    "text/html": "_repr_html_",
    "text/markdown": "_repr_markdown_",
    "image/svg+xml": "_repr_svg_",
    "image/png": "_repr_png_",
    "image/jpeg": "_repr_jpeg_",
    "application/pdf": "_repr_pdf_",
    "text/latex": "_repr_latex_",
    "application/json": "_repr_json_",
    "application/javascript": "_repr_javascript_",
}
_PLAIN_TYPES = (type(None), bool, int, float, str, bytes, tuple)
_SHORT_CHARS = 10_000
_MAX_BYTES_OF_CHAR = 12
"""What JSON in ASCII makes of a character beyond the first 65,536."""
_TEXTS = ("image/svg+xml", "application/javascript")


def make_bundle(value: Any, include: Any = None, exclude: Any = None) -> Bundle:
    """Ask a value for all its representations, by the methods that Jupyter has made usual."""
    data: dict[str, Any] = {}
    metadata: dict[str, Any] = {}
    if not isinstance(value, type):
        _ask_for_bundle(value, data, metadata, include, exclude)
        for mime, name in _METHODS.items():
            method = getattr(type(value), name, None)
            if method is not None and mime not in data:
                _ask(mime, value, method, data, metadata)
    if _PLAIN not in data:
        data[_PLAIN] = plain_text(value)
    for mime in list(data):
        if (include and mime not in include) or (exclude and mime in exclude):
            data.pop(mime)
    return clean_bundle(data, metadata)


def clean_bundle(data: Any, metadata: Any = None) -> Bundle:
    """Return a bundle that can travel; what cannot is left out and explained on standard error."""
    if not isinstance(data, dict):
        complain(f"a MIME bundle must be a dict, not {type(data).__name__}")
        data = {}
    try:
        about = as_json(metadata or {})
        if not isinstance(about, dict):
            raise TypeError(f"it is {type(metadata).__name__}")
    except (TypeError, ValueError, RecursionError) as reason:
        complain(f"the metadata of a MIME bundle must be a dict that JSON can carry: {reason}")
        about = {}
    cleaned: dict[str, Any] = {}
    left = MAX_BYTES
    for mime, content in sorted(data.items(), key=lambda item: item[0] != _PLAIN):
        try:
            travelling = _clean(mime, content)
            size = _size_of(travelling)
            if size > left:
                travelling = _cut(mime, travelling, size)
                size = _size_of(travelling)
        except (TypeError, ValueError, RecursionError) as reason:
            complain(f"the {mime} of a MIME bundle cannot be shown: {reason}")
            continue
        cleaned[mime] = travelling
        left -= size
    return cleaned, dict(about)


def plain_text(value: Any) -> str:
    """The ``repr`` of a value; where that fails, what can be said instead, and why on standard error."""
    try:
        return _call(repr, value)  # type: ignore[no-any-return]
    except BaseException as error:  # noqa: BLE001 - user code
        return stand_in(value, error)


def stand_in(value: Any, error: BaseException) -> str:
    """Explain that a value cannot be shown, and return what is shown in its place; an interrupt goes on."""
    explain(f"the repr of a {type(value).__name__}", error)
    return f"<{type(value).__name__} object, whose repr raised {type(error).__name__}>"


def explain(what: str, error: BaseException) -> None:
    """Say on standard error that a representation failed, and where; an interrupt goes on."""
    if issubclass(type(error), KeyboardInterrupt):
        raise error
    complain(f"{what} failed: {type(error).__name__}: {text_of(error)[:200]}\n{describe_error(error)['traceback']}")


def complain(text: str) -> None:
    """Say something on standard error, under the execution that is at fault."""
    sys.stderr.write(f"{text.rstrip()}\n")


def literal_of(value: Any) -> str | None:
    """The source of a small, plain value, which reads back as itself; None for all others."""
    try:
        if not _is_plain(value):
            return None
        text = repr(value).encode("utf-8", "backslashreplace").decode()
    except (RecursionError, ValueError):  # a deep tuple, an int beyond the limit of digits
        return None
    return text if len(text) <= MAX_PLAIN_REPR else None


def _is_plain(value: Any) -> bool:
    """Whether the type is exactly one that travels by value and whose ``repr`` reads back as itself."""
    kind = type(value)
    if kind is tuple:
        return all(_is_plain(item) for item in value)
    if kind is float:
        return math.isfinite(value)
    return kind in _PLAIN_TYPES


@runs_user_code
def _call(function: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    return function(*arguments, **keywords)


def _ask_for_bundle(value: Any, data: dict[str, Any], metadata: dict[str, Any], include: Any, exclude: Any) -> None:
    method = getattr(type(value), "_repr_mimebundle_", None)
    if method is None:
        return
    try:
        found = _call(method, value, include=include, exclude=exclude)
        bundle = found if isinstance(found, tuple) else (found or {}, {})
        data.update(bundle[0])
        metadata.update(bundle[1])
    except BaseException as error:  # noqa: BLE001 - user code
        explain(f"_repr_mimebundle_ of a {type(value).__name__}", error)


def _ask(mime: str, value: Any, method: Callable[..., Any], data: dict[str, Any], metadata: dict[str, Any]) -> None:
    try:
        found = _call(method, value)
    except BaseException as error:  # noqa: BLE001 - user code
        explain(f"{mime} of a {type(value).__name__}", error)
        return
    if isinstance(found, tuple) and len(found) == 2:
        found, metadata[mime] = found
    if found is not None:
        data[mime] = found


def _clean(mime: Any, content: Any) -> Any:
    """One representation as it travels; TypeError and ValueError say what is wrong with it."""
    if not isinstance(mime, str):
        raise TypeError(f"a MIME type is a str, not {type(mime).__name__}")
    is_text = mime.startswith("text/") or mime in _TEXTS
    if isinstance(content, (bytes, bytearray, memoryview)):
        if is_text:
            raise TypeError(f"it is {type(content).__name__}, where text is due")
        return base64.b64encode(content).decode("ascii")
    if isinstance(content, str):
        return str(content).encode("utf-8", "backslashreplace").decode()
    if is_text or mime.startswith("image/"):
        raise TypeError(f"it is {type(content).__name__}, where text is due")
    return as_json(content)


def as_json(value: Any) -> Any:
    """A value that JSON can carry: times as text in the form of ISO 8601, what can be iterated over as a list."""
    try:
        json.dumps(value)
    except TypeError:
        return json.loads(json.dumps(value, default=_translate))
    return value


def _translate(value: Any) -> Any:
    """What Jupyter makes of values that JSON does not know."""
    if isinstance(value, datetime.datetime):
        return (value if value.tzinfo else value.astimezone()).isoformat().replace("+00:00", "Z")
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return base64.b64encode(value).decode("ascii")
    if isinstance(value, numbers.Integral):
        return int(value)
    if isinstance(value, numbers.Real):
        return float(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"JSON cannot carry a {type(value).__name__}")


def _size_of(content: Any) -> int:
    """How long it is as JSON; what is certainly short is not measured."""
    if isinstance(content, str) and len(content) < _SHORT_CHARS:
        return _MAX_BYTES_OF_CHAR * len(content)
    return len(json.dumps(content))


def _cut(mime: str, content: Any, size: int) -> str:
    if mime != _PLAIN:
        raise ValueError(f"it is {size / 1e6:.0f} MB long, and what is left of the limit is less; write it to a file")
    kept = MAX_BYTES // _MAX_BYTES_OF_CHAR // 4
    return f"{content[:kept]}\n[... {len(content) - kept:,} characters left out ...]"
