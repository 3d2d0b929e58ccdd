"""Who takes part: sessions, which outlive the connections of their clients."""

from __future__ import annotations

from dataclasses import dataclass

from rpyc_kernel.core.contract import Role

_SHOWN_ABSENT = 20


@dataclass
class Session:
    """One participant, present while it has at least one connection."""

    id: str
    name: str
    role: str = Role.USER
    connections: int = 0

    @property
    def is_present(self) -> bool:
        """Whether a client is connected under this session now."""
        return self.connections > 0


class Sessions:
    """All sessions this kernel has met."""

    def __init__(self) -> None:
        self._by_id: dict[str, Session] = {}

    def join(self, session_id: str, name: str, role: str) -> bool:
        """Count one more connection; True when the session was not present before."""
        session = self._by_id.setdefault(session_id, Session(session_id, name, role))
        session.name, session.role = name or session.name, role
        session.connections += 1
        return session.connections == 1

    def leave(self, session_id: str) -> bool:
        """Count one connection less; True when it was the last."""
        session = self._by_id.get(session_id)
        if session is None or not session.is_present:
            return False
        session.connections -= 1
        return session.connections == 0

    def remember(self, session_id: str, name: str, role: str) -> None:
        """Know a session that is not present (yet): it was there under an earlier hub; what it said last counts."""
        self._by_id[session_id] = Session(session_id, name, role)

    @property
    def are_present(self) -> bool:
        """Whether anybody is connected."""
        return any(session.is_present for session in self._by_id.values())

    def name_of(self, session_id: str | None) -> str:
        """The display name, or the id where none was given."""
        session = self._by_id.get(session_id or "")
        return (session.name or session.id) if session else (session_id or "")

    def role_of(self, session_id: str) -> str:
        """The role; a session never met is an ordinary user."""
        session = self._by_id.get(session_id)
        return session.role if session else Role.USER

    def snapshot(self) -> tuple[dict[str, object], ...]:
        """Those present, and the last few others, as plain data."""
        present = [session for session in self._by_id.values() if session.is_present]
        absent = [session for session in self._by_id.values() if not session.is_present]
        ordered = [*present, *absent[-_SHOWN_ABSENT:]]
        return tuple(
            {"id": session.id, "name": session.name, "role": session.role, "connections": session.connections}
            for session in ordered
        )
