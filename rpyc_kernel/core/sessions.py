"""Who takes part: sessions, which outlive the connections of their clients for a while.

A session is known by its id, has a name, and no role: that is each connection's own. Who only looks on under the
session of somebody who works there takes nothing away from them, and gains nothing by it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from rpyc_kernel.core.contract import ROLES, Role

_KEPT_ABSENT = 20
"""How many are remembered that have gone; what they left in the queue knows its owner by itself."""


@dataclass
class Session:
    """One participant, present while it has at least one connection."""

    id: str
    name: str = ""
    role: str = Role.OWNER
    roles: Counter[str] = field(default_factory=Counter)

    @property
    def connections(self) -> int:
        """How many clients are connected under this session now."""
        return self.roles.total()

    def count(self, role: str, change: int) -> None:
        """Count connections of a role."""
        self.roles[role] += change
        if self.connections:
            self.role = next(each for each in reversed(ROLES) if self.roles[each])


class Sessions:
    """Those present, and the last few that have gone.

    Attributes:
        joins: how many connections there have been.
    """

    def __init__(self) -> None:
        self.joins = 0
        self._present: dict[str, Session] = {}
        self._absent: dict[str, Session] = {}

    def join(self, session_id: str, name: str, role: str) -> bool:
        """Count one more connection; True when the session was not present before."""
        self.joins += 1
        session = self._present.get(session_id)
        is_first = session is None
        if session is None:
            session = self._present[session_id] = self._absent.pop(session_id, Session(session_id))
        if role != Role.VIEWER or not session.name:
            session.name = name or session.name
        session.count(role, 1)
        return is_first

    def leave(self, session_id: str, role: str) -> bool:
        """Count one connection less; True when it was the last."""
        session = self._present.get(session_id)
        if session is None:
            return False
        session.count(role, -1)
        if session.connections:
            return False
        del self._present[session_id]
        self._keep(session)
        return True

    def remember(self, session_id: str, name: str, role: str) -> None:
        """Know a session that is not present (yet): it was there under an earlier hub; what it said last counts."""
        self._absent.pop(session_id, None)
        self._keep(Session(session_id, name, role))

    def _keep(self, session: Session) -> None:
        self._absent[session.id] = session
        while len(self._absent) > _KEPT_ABSENT:
            del self._absent[next(iter(self._absent))]

    @property
    def are_present(self) -> bool:
        """Whether anybody is connected."""
        return bool(self._present)

    def knows(self, session_id: str) -> bool:
        """Whether it takes part, or is one of those remembered."""
        return session_id in self._present or session_id in self._absent

    def name_of(self, session_id: str | None) -> str:
        """The display name, or the id where none was given or the session is not known (any more)."""
        session = self._present.get(session_id or "") or self._absent.get(session_id or "")
        return (session.name or session.id) if session else (session_id or "")

    def snapshot(self) -> tuple[dict[str, Any], ...]:
        """Those present, and the last few others, as plain data: the role is the strongest of the connections."""
        return tuple(
            {
                "id": session.id,
                "name": session.name,
                "role": session.role,
                "connections": session.connections,
                "viewers": session.roles[Role.VIEWER],
            }
            for session in (*self._present.values(), *self._absent.values())
        )
