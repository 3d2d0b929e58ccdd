"""What a kernel and the people in it do, in a line each."""

from __future__ import annotations

from enum import Enum
from typing import Any

from rpyc_kernel.core.contract import Departure, Event, Kind, Outcome, Role
from rpyc_kernel.faces.frontend.attribution import Attribution
from rpyc_kernel.faces.frontend.control_characters import sanitize, sanitize_line
from rpyc_kernel.faces.frontend.words import HERE, describe_ask, describe_place

Notice = tuple[str, "Tone"]


class Tone(Enum):
    """How much a line wants to be seen."""

    PLAIN = "what the user has asked for"
    FAINT = "somebody comes, goes, or does what is theirs to do"
    WARNING = "the user may want to do something about it"
    TROUBLE = "something has gone wrong"


def describe(event: Event, attribution: Attribution) -> list[Notice]:
    """What to tell of an event that is neither code nor its output; nothing for most kinds.

    Raises:
        MissingField: the event is of a kind that it does not have all fields of.
    """
    match event.kind:
        case Kind.QUEUED if event.payload.get("is_held") and event.session == attribution.session:
            return [(f"[{event.execution}] waits until somebody approves it", Tone.FAINT)]
        case Kind.QUEUED if event.payload.get("is_held"):
            ask = describe_ask(event.execution or 0, event.name, event.code)
            return [(f"{ask}: %approve {event.execution} or %decline {event.execution}", Tone.WARNING)]
        case Kind.APPROVED:
            return [(f"[{sanitize_line(event.by)} lets execution {event.execution} run]", Tone.FAINT)]
        case Kind.INTERRUPT_REQUESTED:
            by = sanitize_line(event.by or "")
            is_own = by == attribution.own_name
            return [] if is_own else [(f"[{by} interrupts execution {event.execution}]", Tone.FAINT)]
        case Kind.INTERRUPT_UNANSWERED:
            goes_on = f"execution {event.execution} goes on in spite of the interrupt; it is here:"
            return [(goes_on, Tone.TROUBLE), (sanitize(event.stack), Tone.PLAIN)]
        case Kind.CLIENT_JOINED | Kind.CLIENT_LEFT if event.session != attribution.session:
            name = attribution.meet(event.session, event.name)
            return [(f"[{name} {_describe_visit(event.kind, event.payload)}]", Tone.FAINT)]
        case Kind.WORKER_DIED:
            memory = event.peak_memory_bytes or event.memory_bytes
            held = f", having held up to {memory / 1e6:.0f} MB" if memory else ""
            end = f"the worker of generation {event.generation} ended: {sanitize_line(event.reason)}{held}"
            return [(end, Tone.TROUBLE), *([(sanitize(event.stack), Tone.PLAIN)] if event.stack else [])]
        case Kind.WORKER_STARTED if event.adopted:
            return [(f"[the worker of generation {event.generation} was taken up again]", Tone.FAINT)]
        case Kind.WORKER_STARTED if event.payload.get("program"):
            return [(f"the kernel is embedded in {sanitize_line(event.payload['program'])}", Tone.FAINT)]
        case Kind.WORKER_STARTED if event.generation > 1:
            return [(f"generation {event.generation}: a new, empty namespace", Tone.WARNING)]
        case Kind.RESTART_REQUESTED:
            return [(f"[{sanitize_line(event.by)} restarts the kernel]", Tone.FAINT)]
        case Kind.JOURNAL_TROUBLE | Kind.JOURNAL_RECOVERED:
            return [(sanitize_line(event.message), Tone.WARNING)]
        case Kind.HUB_STOPPED:
            return [(f"the kernel has stopped: {sanitize_line(event.reason)}", Tone.WARNING)]
        case _:
            return _describe_people(event, attribution)


def describe_end(event: Event, code: str, *, is_marked: bool) -> Notice | None:
    """What to tell of the end of an execution.

    Args:
        event: of its end.
        code: its first line.
        is_marked: whether it is the user's own, and not waited for.
    """
    if event.outcome in (Outcome.LOST, Outcome.CANCELLED, Outcome.ABORTED):
        which = f"execution {event.execution}" + (f" ({code})" if code else "")
        return f"{which} is {event.outcome}: {sanitize_line(event.reason or '')}", Tone.WARNING
    if is_marked:
        duration = "" if event.duration_s is None else f" after {event.duration_s:.1f} s"
        return f"finished: {event.outcome}{duration}", Tone.FAINT
    return None


def _describe_people(event: Event, attribution: Attribution) -> list[Notice]:
    match event.kind:
        case Kind.CLIENT_KICKED:
            return [(f"[{sanitize_line(event.by)} kicked {sanitize_line(event.name)}]", Tone.FAINT)]
        case Kind.INVITATION_GIVEN:
            invited = f"{sanitize_line(event.name)} as {sanitize_line(event.role)}"
            return [(f"[{sanitize_line(event.by)} invited {invited}]", Tone.FAINT)]
        case Kind.INVITATION_REVOKED:
            revoked = f"the invitation of {sanitize_line(event.name)}"
            return [(f"[{sanitize_line(event.by)} revoked {revoked}]", Tone.FAINT)]
        case Kind.CLIENT_REFUSED if event.session is None or event.session != attribution.session:
            count = event.count if isinstance(event.count, int) else 1
            more = f" ({count} times)" if count > 1 else ""
            where = f" from {sanitize_line(event.address)}" if event.address else ""
            return [(f"refused{where}: {sanitize_line(event.reason)}{more}", Tone.WARNING)]
        case _:
            return []


def _describe_visit(kind: str, payload: dict[str, Any]) -> str:
    if kind == Kind.CLIENT_LEFT:
        return {Departure.LOST: "has lost the connection", Departure.KICKED: "was sent away"}.get(
            payload.get("why") or "", "left"
        )
    place = describe_place(payload.get("host") or "", payload.get("address") or "")
    way = "" if place == HERE else f" from {place}"
    return "joined" + way + (" to look on" if payload.get("role") == Role.VIEWER else "")
