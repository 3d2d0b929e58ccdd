"""What a kernel says of itself, in lines for people."""

from __future__ import annotations

import time
from typing import Any

from rpyc_kernel.core.contract import Doing, Role, Security, State
from rpyc_kernel.core.introspection import Cells, Inspection, Variable, Watched
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.frontend.words import describe_place, first_line
from rpyc_kernel.system.addresses import bracket

_PREVIEW_CHARS = 60
_CELL_CHARS = 40
_SHOWN_SECURITY = {
    Security.TLS: " with TLS",
    Security.INSECURE: ", INSECURE: others can read and change what is said there",
}


def summarise_status(status: dict[str, Any]) -> list[str]:
    """What a kernel is doing, who waits for what, who is there."""
    memory = status["memory_bytes"]
    lines = [
        f"kernel     {status['kernel']}, {status['state']}, generation {status['generation']}",
        f"processes  hub {status['hub_pid']}, worker {status['worker_pid'] or '-'}"
        + (f" with {memory / 1e6:,.0f} MB" if memory else ""),
    ]
    if status.get("program"):
        lines.append(f"embedded   in {sanitize_line(status['program'])}")
    if status.get("rank") is not None:
        lines.append(f"rank       {status['rank']} of {status['world_size']}")
    if status.get("runtime_folder"):
        lines.append(f"sockets    in {sanitize_line(status['runtime_folder'])}")
    lines += [f"listens    on {format_listening(each)}" for each in status.get("listening", ())]
    if status["running"]:
        busy_s = status["time"] - (status["busy_since"] or status["time"])
        lines.append(f"running    {_describe(status['running'])}, for {format_duration(busy_s)}")
    lines += [f"side lane  {_describe(item)}" for item in status["side"]]
    lines += [f"{'held  ' if item.get('is_held') else 'queued'}     {_describe(item)}" for item in status["queue"]]
    more = status["queue_length"] - len(status["queue"])
    lines += [f"queued     {more:,} more"] if more > 0 else []
    names = {session["id"]: sanitize_line(session["name"]) for session in status["sessions"]}
    for prompt in status["prompts"]:
        asked = names.get(prompt["session"], "nobody")
        lines.append(f"asking     execution {prompt['execution']} waits for input from {asked}")
    lines += [f"present    {line}" for line in summarise_sessions(status["sessions"]) or ["nobody"]]
    if status.get("idle_timeout_s"):
        idle = "" if status["idle_s"] is None else f", as for {format_duration(status['idle_s'])} now"
        limit = format_duration(status["idle_timeout_s"])
        lines.append(f"ends       when nobody was connected and nothing ran for {limit}{idle}")
    if status["journal"]:
        lines.append(f"trouble    {sanitize_line(status['journal'])}")
    return lines


def format_listening(listening: dict[str, Any]) -> str:
    """Where a kernel can be reached, and what protects what is said there."""
    host, port = sanitize_line(str(listening["host"])), listening["port"]
    return f"{bracket(host)}:{port}" + _SHOWN_SECURITY.get(listening["security"], "")


def summarise_sessions(sessions: list[dict[str, Any]], own: str | None = None) -> list[str]:
    """Who is here, as what, doing what, since when and from where, in columns; ``own`` is the user's session."""
    present = [session for session in sessions if session["connections"]]
    rows = [
        (
            sanitize_line(session["name"]) + (" (you)" if session["id"] == own else ""),
            session["role"],
            _describe_doing(session) + (f" [{session['execution']}]" if session["execution"] else ""),
            _describe_way(session["channels"]),
        )
        for session in present
    ]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    return ["  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]]) for row in rows]


def _describe_doing(session: dict[str, Any]) -> str:
    """Everybody at a prompt reads what happens; only of those who can do no more it says something."""
    if session["doing"] != Doing.READING:
        return str(session["doing"])
    return "looking on" if session["role"] == Role.VIEWER else str(Doing.IDLE)


def _describe_way(channels: list[dict[str, Any]]) -> str:
    """Since when a session is here, and from where it came."""
    since = min((channel["since"] for channel in channels), default=None)
    ways = dict.fromkeys(describe_place(channel["host"], channel["address"]) for channel in channels)
    return " ".join(
        [*([] if since is None else [f"since {format_time(since)}"]), *([f"from {', '.join(ways)}"] if ways else [])]
    )


def summarise_trouble(status: dict[str, Any]) -> list[str]:
    """What somebody who comes in should know before typing."""
    if status["state"] == State.DEAD:
        return ["its worker is dead, so it takes no code; %restart starts another"]
    if status["state"] == State.STARTING:
        return ["its worker is still starting"]
    held = status.get("held", 0)
    asking = [f"{held} wait{'s' if held == 1 else ''} for approval: %status lists, %approve lets go"] if held else []
    if not status["running"]:
        return asking
    busy_s = status["time"] - (status["busy_since"] or status["time"])
    queued = status["queue_length"] - held
    waiting = f", and {queued} more wait" if queued else ""
    return [f"it is busy with {_describe(status['running'])}, for {format_duration(busy_s)}{waiting}", *asking]


def summarise_work(status: dict[str, Any]) -> str:
    """What a kernel runs, and how much waits, in a few words; "" where it has nothing to do."""
    told = []
    if status["running"]:
        busy_s = status["time"] - (status["busy_since"] or status["time"])
        told.append(f"{_describe(status['running'])}, for {format_duration(busy_s)}")
    counts = {"queued": status["queue_length"], "beside": len(status["side"]), "asking": len(status["prompts"])}
    return "; ".join([*told, *(f"{count} {what}" for what, count in counts.items() if count)])


def is_waiting(status: dict[str, Any], number: int) -> bool:
    """Whether an execution may be in the queue, of which a status has only the first ones."""
    shown = [item["execution"] for item in status["queue"]]
    return number in shown or (status["queue_length"] > len(shown) and number > shown[-1])


def summarise_place(status: dict[str, Any], number: int) -> str:
    """What a queued execution waits for."""
    others = sum(item["execution"] < number and not item.get("is_held") for item in status["queue"])
    beyond = "at least " if others == len(status["queue"]) < status["queue_length"] else ""
    behind = f", behind {beyond}{others} more" if others else ""
    running = status["running"]
    what = _describe(running) if running else "the worker, which is still starting"
    return f"[{number}] is queued{behind}; it waits for {what}"


def summarise_variables(variables: list[Variable]) -> list[str]:
    """Name, type, size and beginning of each variable, in columns."""
    rows = [(sanitize_line(v.name), sanitize_line(v.type), v.extent, sanitize_line(v.preview)) for v in variables]
    widths = [max((len(row[column]) for row in rows), default=0) for column in range(3)]
    return [
        "  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3][:_PREVIEW_CHARS]])
        for row in rows
    ]


def summarise_watched(watched: Watched) -> str:
    """An expression and what it is, in a line."""
    what = f"({watched.error})" if watched.error else watched.preview
    return sanitize_line(f"{watched.expression} = {what}")


def summarise_cells(cells: Cells) -> list[str]:
    """Some cells of a table under their labels, and how many there are."""
    body = ([label, *row] for label, row in zip(cells.row_labels, cells.rows, strict=True))
    rows = [[sanitize_line(text)[:_CELL_CHARS] for text in row] for row in (["", *cells.column_labels], *body)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    total = cells.row_count if cells.total_row_count is None else cells.total_row_count
    passing = "" if total == cells.row_count else f"{cells.row_count:,} that pass, of "
    return [*lines, f"rows {cells.row_start}:{cells.row_start + len(cells.rows)} of {passing}{total:,}"]


def summarise_inspection(found: Inspection, *, with_source: bool) -> list[str]:
    """What is known of a name."""
    if not found:
        return [f"there is no {found.name}"]
    lines = [f"{found.name}{found.signature}", f"type    {found.type}"]
    if not found.signature:
        lines.append(f"value   {found.preview}")
    if found.file:
        lines.append(f"file    {found.file}:{found.line or 1}")
    body = found.source if with_source else ""
    return [*lines, *(body or found.doc).rstrip().split("\n")]


def format_duration(seconds: float) -> str:
    """A duration as people say it."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes = int(seconds) // 60
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def format_time(seconds: float) -> str:
    """A moment, to the second."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))
    except (OverflowError, ValueError, OSError):  # no moment of this calendar: the record was damaged
        return "?"


def _describe(item: dict[str, Any]) -> str:
    return f"[{item['execution']}] of {sanitize_line(item['name'])} ({first_line(item['code'])})"


def format_bytes(count: int) -> str:
    """A size as people read it."""
    if count < 10**6:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e6:.1f} MB" if count < 10**9 else f"{count / 1e9:.1f} GB"
