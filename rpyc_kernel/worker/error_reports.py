"""What is told of an exception that user code raised: plain text, with the user's frames only."""

from __future__ import annotations

import bdb
import builtins
import cmd
import linecache
import pdb
import sys
import traceback
from types import TracebackType
from typing import Any

from rpyc_kernel.worker.interrupts import runs_user_code
from rpyc_kernel.worker.sources import name_inputs
from rpyc_kernel.worker.static_access import is_trusted, type_name
from rpyc_kernel.worker.user_frames import is_hidden, is_ours

MAX_CHARS = 1_000_000
"""The longest text of an exception that is told whole."""

_MAX_LINKS = 50
_DEBUGGERS = (bdb.__file__, pdb.__file__)
_GROUPS: tuple[type, ...] = tuple(filter(None, (getattr(builtins, "BaseExceptionGroup", None),)))


def describe_error(error: BaseException, has_frames: bool = True) -> dict[str, Any]:
    """Return the payload of an error event, whatever the exception's own methods do, with its frames or without."""
    try:
        return _describe(error, has_frames)
    except BaseException as failure:  # noqa: BLE001 - a hostile exception object must not take the engine down
        name = type(error).__name__
        why = f"<{type(failure).__name__} while formatting it>"
        # Not after an interrupt: it may have been the message that took for ever.
        text = fit(text_of(error)) if issubclass(type(failure), Exception) else ""
        shown = f"{name}: {text} {why}\n" if text else f"{name}: {why}\n"
        return {"ename": name, "evalue": text or why, "traceback": shown, "notes": [], "chain": []}


def keep_for_debugger(error: BaseException) -> None:
    """Let `pdb.pm` find the exception, without the kernel's frames at its beginning."""
    trace = BaseException.__dict__["__traceback__"].__get__(error)  # without asking the exception's own methods
    while trace is not None and trace.tb_next is not None and is_hidden(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    sys.last_type, sys.last_value, sys.last_traceback = type(error), error, trace
    sys.last_exc = error  # type: ignore[attr-defined,unused-ignore] # what 3.12 and later look for


@runs_user_code
def _describe(error: BaseException, has_frames: bool) -> dict[str, Any]:
    if isinstance(error, SyntaxError) and error.text is None and error.filename and error.lineno:
        # What only the second stage of the compiler finds comes without its line, as it looks for a file.
        error.text = linecache.getline(error.filename, error.lineno) or None
    report = traceback.TracebackException(type(error), error, error.__traceback__ if has_frames else None, compact=True)
    _drop_our_frames(report)
    notes = getattr(error, "__notes__", None) or []
    return {
        **_exit_code_of(error),
        "ename": type(error).__name__,
        "evalue": fit(name_inputs(text_of(error))),
        "traceback": fit(name_inputs("".join(report.format()))),
        "notes": [fit(str(note), MAX_CHARS // _MAX_LINKS) for note in notes[:_MAX_LINKS]],
        "chain": [[type(link).__name__, fit(text_of(link), MAX_CHARS // _MAX_LINKS)] for link in _chain(error)],
    }


def _exit_code_of(error: BaseException) -> dict[str, Any]:
    """What a program's exit status is made of: a number, None for 0, or words, which are shown, for 1."""
    if not issubclass(type(error), SystemExit):
        return {}
    code: Any = getattr(error, "code", None)
    return {"exit_code": code if code is None or isinstance(code, int) else fit(str(code))}


def _drop_our_frames(report: traceback.TracebackException, depth: int = 0) -> None:
    """Leave only the user's frames, in the exception and in everything it is chained to."""
    if depth > _MAX_LINKS:
        return
    report.stack[:] = _users_frames(report.stack)
    linked = [report.__cause__, report.__context__, *(getattr(report, "exceptions", None) or [])]
    for link in linked:
        if link is not None:
            _drop_our_frames(link, depth + 1)


def _users_frames(stack: list[traceback.FrameSummary]) -> list[traceback.FrameSummary]:
    """The frames that are neither the kernel's nor those of a debugger at its prompt."""
    kept = []
    was_dropped = False
    for frame in stack:
        # The loop that reads a debugger's commands may be a program of the user's, too.
        is_debuggers = frame.filename in _DEBUGGERS or (was_dropped and frame.filename == cmd.__file__)
        was_dropped = is_debuggers or is_hidden(frame.filename)
        if not was_dropped:
            kept.append(frame)
    return kept


def is_group(error: BaseException) -> bool:
    """Whether a group of exceptions is in the chain of contexts."""
    link: BaseException | None = error
    for _ in range(_MAX_LINKS):
        if link is None or issubclass(type(link), _GROUPS):
            break
        link = BaseException.__dict__["__context__"].__get__(link)
    return link is not None and issubclass(type(link), _GROUPS)


def without_our_frames(trace: TracebackType | None) -> TracebackType | None:
    """The same traceback as user code has it: without the frames of this package."""
    entries = []
    while trace is not None:
        entries.append(trace)
        trace = trace.tb_next
    users = [entry for entry in entries if not is_ours(entry.tb_frame.f_code.co_filename)]
    if len(users) == len(entries):
        return entries[0] if entries else None
    made: TracebackType | None = None
    for entry in reversed(users):
        made = TracebackType(made, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return made


def is_of_debugger(trace: TracebackType | None) -> bool:
    """Whether an exception was raised at the prompt of a debugger."""
    while trace is not None:
        if trace.tb_frame.f_code.co_filename in _DEBUGGERS:
            return True
        trace = trace.tb_next
    return False


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


def fit_parts(parts: list[str]) -> list[str]:
    """The same of a text in parts, which stay apart unless it is too long."""
    text = "\n".join(parts)
    return [fit(text)] if len(text) > MAX_CHARS else [fit(part) for part in parts]


def fit(text: str, max_chars: int = MAX_CHARS) -> str:
    """Return text that can travel: not too long, and without lone surrogates."""
    if len(text) > max_chars:
        half = max_chars // 2
        text = f"{text[:half]}\n[... {len(text) - 2 * half:,} characters left out ...]\n{text[-half:]}"
    return text.encode("utf-8", "backslashreplace").decode()


def describe_briefly(error: BaseException) -> str:
    """What it is and says; nothing but the class of one of the user's, which could run anything."""
    return type_name(error) + (f": {error}" if is_trusted(type(error)) else "")
