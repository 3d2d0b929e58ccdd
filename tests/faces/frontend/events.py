"""Events made by hand, with what a test does not care about filled in."""

from typing import Any

from rpyc_kernel.core.contract import FIELDS, Event

ME, ALICE = "my-session", "alice-session"


def make_event(kind: str, execution: int | None = None, session: str | None = ME, seq: int = 1, **fields: Any) -> Event:
    """An event of this kind; fields that are not given are None."""
    assert set(fields) <= set(FIELDS[kind])
    return Event(seq, 0.0, kind, execution, session, {**dict.fromkeys(FIELDS[kind]), **fields})


def make_status(**parts: Any) -> dict[str, Any]:
    """The status of an idle kernel with two sessions; ``parts`` replace parts of it."""
    sessions = [make_session("me", ME), make_session("alice", ALICE)]
    status = {
        "kernel": "demo",
        "state": "idle",
        "generation": 1,
        "hub_pid": 10,
        "worker_pid": 11,
        "memory_bytes": 33_000_000,
        "journal": None,
        "busy_since": None,
        "running": None,
        "queue": [],
        "queue_length": len(parts.get("queue", [])),
        "side": [],
        "prompts": [],
        "sessions": sessions,
        "time": 100.0,
        "last": 0,
    }
    return {**status, **parts}


def make_session(name: str, session: str = "", connections: int = 1, **parts: Any) -> dict[str, Any]:
    """One who takes part, from this machine."""
    who = {"id": session or name, "name": name, "role": "editor", "connections": connections, "viewers": 0}
    return {**who, "doing": "idle", "execution": None, "channels": [make_channel()], **parts}


def make_channel(channel: str = "commands", **parts: Any) -> dict[str, Any]:
    """One connection."""
    return {"channel": channel, "address": "", "host": "", "since": 0.0, "role": "editor", "key": "", **parts}


def make_item(execution: int, session: str = ME, code: str = "work()") -> dict[str, Any]:
    """One line of the queue."""
    return {"execution": execution, "session": session, "name": "me" if session == ME else "alice", "code": code}
