"""What is told of an exception that user code raised: plain text, with the user's frames only."""

from __future__ import annotations

import linecache
import sys
import traceback
from types import TracebackType
from typing import Any

from rpyc_kernel.worker.interrupts import runs_user_code
from rpyc_kernel.worker.user_frames import is_hidden

MAX_CHARS = 1_000_000
"""The longest text of an exception that is told whole."""

_MAX_LINKS = 50


def describe_error(error: BaseException, has_frames: bool = True) -> dict[str, Any]:
    """Return the payload of an error event, whatever the exception's own methods do.

    Args:
        error: what was raised.
        has_frames: whether its frames are of interest; those of the compiler are not.
    """
    try:
        return _describe(error, has_frames)
    except BaseException as failure:  # noqa: BLE001 - a hostile exception object must not take the engine down
        name = type(error).__name__
        evalue = f"<{type(failure).__name__} while formatting it>"
        return {"ename": name, "evalue": evalue, "traceback": f"{name}: {evalue}\n", "notes": [], "chain": []}


def keep_for_debugger(error: BaseException) -> None:
    """Let `pdb.pm` find the exception, without the kernel's frames at its beginning."""
    trace = _traceback_of(error)
    while trace is not None and trace.tb_next is not None and is_hidden(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    sys.last_exc = error  # type: ignore[attr-defined,unused-ignore] # what 3.12 and later look for


def _traceback_of(error: BaseException) -> TracebackType | None:
    """The traceback, without asking the exception's own methods."""
    found: TracebackType | None = BaseException.__dict__["__traceback__"].__get__(error)
    return found


@runs_user_code
def _describe(error: BaseException, has_frames: bool) -> dict[str, Any]:
    if isinstance(error, SyntaxError) and error.text is None and error.filename and error.lineno:
        # What only the second stage of the compiler finds comes without its line, as it looks for a file.
        error.text = linecache.getline(error.filename, error.lineno) or None
    told = traceback.TracebackException(type(error), error, error.__traceback__ if has_frames else None, compact=True)
    _drop_our_frames(told)
    notes = getattr(error, "__notes__", None) or []
    return {
        **_exit_code_of(error),
        "ename": type(error).__name__,
        "evalue": _clean(text_of(error)),
        "traceback": _clean("".join(told.format())),
        "notes": [_clean(str(note), MAX_CHARS // _MAX_LINKS) for note in notes[:_MAX_LINKS]],
        "chain": [[type(link).__name__, _clean(text_of(link), MAX_CHARS // _MAX_LINKS)] for link in _chain(error)],
    }


def _exit_code_of(error: BaseException) -> dict[str, Any]:
    """What a program's exit status is made of: a number, None for 0, or words, which are shown, for 1."""
    if not issubclass(type(error), SystemExit):
        return {}
    code: Any = getattr(error, "code", None)
    return {"exit_code": code if code is None or isinstance(code, int) else _clean(str(code))}


def _drop_our_frames(told: traceback.TracebackException, depth: int = 0) -> None:
    """Leave only the user's frames, in the exception and in everything it is chained to."""
    if depth > _MAX_LINKS:
        return
    told.stack[:] = [frame for frame in told.stack if not is_hidden(frame.filename)]
    linked = [told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or [])]
    for link in linked:
        if link is not None:
            _drop_our_frames(link, depth + 1)


@runs_user_code
def text_of(error: BaseException) -> str:
    """The message of an exception, or what went wrong with asking for it."""
    try:
        return str(error)
    except BaseException as failure:  # noqa: BLE001 - user code
        return f"<{type(failure).__name__} in __str__>"


def _chain(error: BaseException) -> list[BaseException]:
    """The exceptions this one was raised from or during, nearest first."""
    links: list[BaseException] = []
    seen = {id(error)}
    link = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    while link is not None and id(link) not in seen and len(links) < _MAX_LINKS:
        links.append(link)
        seen.add(id(link))
        link = link.__cause__ or (None if link.__suppress_context__ else link.__context__)
    return links


def _clean(text: str, max_chars: int = MAX_CHARS) -> str:
    if len(text) > max_chars:
        half = max_chars // 2
        text = f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out ...]\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode()
