"""Requests that are answered beside the queue, also while code runs: completion, help, history and the like."""

from __future__ import annotations

import fnmatch
import re
import threading
import time
from typing import Any

from rpyc_kernel.client.kernel import KernelClient, Past
from rpyc_kernel.core.introspection import Completeness, Inspection
from rpyc_kernel.errors import WorkerBusy

Content = dict[str, Any]

_SESSION = 1
"""The number of the one session that a kernel's history is: it lasts as long as its journal."""
_MAX_ROWS = 100_000
_EVALUATE_S = 5.0
"""How long all that came with one execution may take; the few who ask have other questions to ask."""
_COMPLETE_S = 1.0
"""How long whoever asks what could follow waits for what the source alone promises, where nothing else is known."""
_RETRY_S = 0.05
_COMMS = "tuple((c.comm_id, c.target_name) for c in [*__import__('comm').get_comm_manager().comms.values()])"


def complete(kernel: KernelClient, asked: Content) -> Content:
    """Answer ``complete_request``."""
    code, cursor = str(asked["code"]), _cursor_of(asked)
    deadline = time.monotonic() + _COMPLETE_S
    pause = threading.Event()
    # The kernel answers at once with what it knows, and has the rest for who asks again; pages do not.
    while not (found := kernel.complete(code, cursor)).items and not found.is_whole and time.monotonic() < deadline:
        pause.wait(_RETRY_S)
    types = [
        {"start": found.start, "end": found.end, "text": item.text, "type": item.kind, "signature": ""}
        for item in found.items
    ]
    return {
        "status": "ok",
        "matches": [item.text for item in found.items],
        "cursor_start": found.start,
        "cursor_end": found.end,
        "metadata": {"_jupyter_types_experimental": types},
    }


def inspect(kernel: KernelClient, asked: Content) -> Content:
    """Answer ``inspect_request``."""
    detail = int(asked.get("detail_level", 0))
    about = kernel.inspect(str(asked["code"]), _cursor_of(asked), source=detail > 0)
    data = {"text/plain": describe(about, detail)} if about.found else {}
    return {"status": "ok", "found": about.found, "data": data, "metadata": {}}


def is_complete(kernel: KernelClient, asked: Content) -> Content:
    """Answer ``is_complete_request``."""
    found = kernel.is_complete(str(asked["code"]))
    indent = {"indent": found.indent} if found.status == Completeness.INCOMPLETE else {}
    return {"status": found.status, **indent}


def history(kernel: KernelClient, asked: Content) -> Content:
    """Answer ``history_request``."""
    kind = asked.get("hist_access_type", "tail")
    rows = _HISTORIES[kind](kernel, asked) if kind in _HISTORIES else []
    wants_output = bool(asked.get("output", False))
    return {
        "status": "ok",
        "history": [(_SESSION, row.execution, (row.code, None) if wants_output else row.code) for row in rows],
    }


def list_comms(kernel: KernelClient, asked: Content) -> Content:
    """Answer ``comm_info_request``."""
    target = asked.get("target_name")
    found = kernel.eval(_COMMS)
    return {
        "status": "ok",
        "comms": {comm_id: {"target_name": name} for comm_id, name in found if target in (None, "", name)},
    }


def evaluate(kernel: KernelClient, expressions: dict[str, str]) -> Content:
    """Evaluate the expressions that came with an execution, each to what would be shown of it, or its error."""
    values: Content = {}
    deadline = time.monotonic() + _EVALUATE_S
    for name, expression in expressions.items():
        try:
            shown = kernel.eval(f"repr({expression})", timeout=max(0.0, deadline - time.monotonic()))
            values[name] = {"status": "ok", "data": {"text/plain": str(shown)}, "metadata": {}}
        except Exception as error:  # noqa: BLE001 - user code's
            if isinstance(error, WorkerBusy):
                kernel.objects.close()  # what hangs there would hold up those to come; they get a thread of their own
            ename = str(getattr(error, "remote_type", type(error).__name__)).rpartition(".")[2]
            evalue = str(error.args[0]) if error.args else ""
            values[name] = {"status": "error", "ename": ename, "evalue": evalue, "traceback": [f"{ename}: {evalue}"]}
    return values


def describe(about: Inspection, detail: int) -> str:
    """What is known of an object, for people."""
    lines = [
        ("Signature", f"{about.name}{about.signature}" if about.signature else ""),
        ("Type", about.type),
        ("Value", about.preview),
        ("File", f"{about.file}:{about.line or ''}" if about.file else ""),
        ("Source", "\n" + about.source if detail and about.source else ""),
        ("Docstring", "\n" + about.doc if about.doc else ""),
    ]
    return "\n".join(f"{label}: {text}" for label, text in lines if text)


def _cursor_of(asked: Content) -> int:
    code = str(asked["code"])
    cursor = asked.get("cursor_pos")
    return len(code) if cursor is None else max(0, min(int(cursor), len(code)))


def _tail(kernel: KernelClient, asked: Content) -> list[Past]:
    return kernel.history(limit=max(1, min(int(asked.get("n") or 1000), _MAX_ROWS)))


def _range(kernel: KernelClient, asked: Content) -> list[Past]:
    if asked.get("session", 0) not in (0, _SESSION):
        return []
    rows = kernel.history(limit=_MAX_ROWS)
    end = rows[-1].execution + 1 if rows else 0
    start, stop = (_from_end(int(place), end) for place in (asked.get("start") or 0, asked.get("stop") or end))
    return [row for row in rows if start <= row.execution < stop]


def _from_end(place: int, end: int) -> int:
    return place + end if place < 0 else place


def _search(kernel: KernelClient, asked: Content) -> list[Past]:
    pattern = str(asked.get("pattern") or "*")
    matches = re.compile(fnmatch.translate(pattern)).match
    rows = [row for row in kernel.history(limit=_MAX_ROWS) if matches(row.code)]
    if asked.get("unique"):
        rows = sorted({row.code: row for row in rows}.values(), key=lambda row: row.seq)
    count = asked.get("n")
    return rows if count is None else rows[-int(count) :] if int(count) > 0 else []


_HISTORIES = {"tail": _tail, "range": _range, "search": _search}
