"""People beside the owner: they are invited, let in as what they were invited as, and sent away again.

Every such act is an event that says who did it, and none says a secret.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from rpyc_kernel.core.actions import Record
from rpyc_kernel.core.contract import Kind
from rpyc_kernel.errors import AuthenticationFailed, KernelError, NotPermitted, RequestError
from rpyc_kernel.frozen import fields_of
from rpyc_kernel.hub.hub import Hub
from rpyc_kernel.hub.key_ring import KeyRing
from rpyc_kernel.hub.sparing import Sparing
from rpyc_kernel.wire.handshake import Welcome

KICKED_S: Final = 10.0
"""For so long a session that was kicked stays out: its client's own attempts to come back end there."""
REFUSALS_PAUSE_S: Final = 60.0
"""Those that follow a refusal for so long become one event."""


OTHERS: Final = ", and other refusals"
"""Stands behind the reason of the last of several that are not alike."""


class Guests:
    """What becomes of those who come with a key.

    Args:
        hub: of the kernel.
        ring: its keys.
        end: ends the connections of a session, or those made with a key.
        now: a clock, in seconds.
    """

    def __init__(
        self,
        hub: Hub,
        ring: KeyRing,
        *,
        end: Callable[[str | None, str | None], None],
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._hub = hub
        self._ring = ring
        self._end = end
        self._now = now
        self._kicked: dict[str, tuple[float, str]] = {}  # until when, and by whom
        self._sent_away: set[str] = set()  # the keys whose connections were ended
        self._refusals = Sparing(self._record_refusal, REFUSALS_PAUSE_S, now)

    # ------------------------------------------------------------------ what owners do

    # Each is asked for by a session, and shown as done by somebody of that name.

    def invite(
        self, session: str, by: str, role: str, name: str, expires_s: float | None, *, values: bool
    ) -> dict[str, Any]:
        """Make a key for somebody; the answer has its secret, which is told this once."""
        given, key = self._ring.invite(role, name, expires_s, values=values)
        told = {each: getattr(given, each) for each in ("name", "role", "values", "expires")}
        self._record(Kind.INVITATION_GIVEN, session, {"invitation": given.id, **told, "by": by})
        return {**fields_of(given), "secret": key.secret.hex()}

    def invitations(self) -> list[dict[str, Any]]:
        """Those that hold, and those that have ended lately."""
        return [fields_of(each) for each in self._ring.invitations()]

    def revoke(self, session: str, by: str, key_id: str) -> None:
        """End an invitation, and what was connected with it."""
        invitation, problem = self._ring.revoke(key_id)
        self._send_away(key_id)
        self._record(Kind.INVITATION_REVOKED, session, {"invitation": key_id, "name": invitation.name, "by": by})
        if problem:
            raise RequestError(problem)

    def kick(self, session: str, by: str, kicked: str) -> None:
        """End the connections of a session."""
        if kicked == session:
            raise RequestError("this is your own session; close it instead")
        name, until = self._hub.look(lambda state: state.sessions.name_of(kicked)), self._now() + KICKED_S
        if not self._hub.presence.has(kicked):
            raise RequestError(f"nobody is connected as session {kicked[:100]!r}; {self._say_present()}")
        self._kicked = {each: kept for each, kept in self._kicked.items() if kept[0] > self._now()}
        self._kicked[kicked] = (until, by)
        self._end(kicked, None)
        self._record(Kind.CLIENT_KICKED, session, {"kicked": kicked, "name": name, "by": by})

    # ------------------------------------------------------------------ who comes

    def problem_with(self, welcome: Welcome) -> KernelError | None:
        """Why somebody who has a key is not let in as this session, None if there is no reason."""
        asked = welcome.asked  # as it was, for it may well ask for one of its own that is called as another's
        if asked != welcome.identity.session and self._hub.look(lambda state: state.sessions.knows(asked)):
            return NotPermitted(
                f"session {asked!r} was begun with another key, and goes on with that alone; connect without a session"
            )
        return self.problem_since(welcome)

    def problem_since(self, welcome: Welcome) -> KernelError | None:
        """Why somebody who was let in is to go, None if there is no reason; needs no lock."""
        found = self._ring.find(welcome.grant.key)
        if found is not None and found[1].problem:
            return AuthenticationFailed(found[1].problem)
        until, by = self._kicked.get(welcome.identity.session, (0.0, ""))
        if self._now() < until:
            return NotPermitted(
                f"{by!r} has ended this session; connect again in {KICKED_S:g} seconds, or ask what is the matter"
            )
        return None

    def note_refusal(self, reason: str, *, address: str = "", session: str | None = None) -> None:
        """Somebody was refused who came from an address, or something was refused to a session."""
        self._refusals.note((reason, address, session))

    def look(self) -> None:
        """Send away whose invitation has expired, and record what was refused meanwhile; about once a second."""
        for key_id in self._ring.ended() - self._sent_away:
            self._send_away(key_id)
        self._refusals.look()

    # ------------------------------------------------------------------ for all of these

    def _send_away(self, key_id: str) -> None:
        self._sent_away.add(key_id)
        self._end(None, key_id)

    def _record_refusal(self, last: tuple[str, str, str | None], count: int, are_alike: bool) -> None:
        reason, address, session = last
        reason += "" if are_alike else OTHERS
        self._record(Kind.CLIENT_REFUSED, session, {"reason": reason, "address": address, "count": count})

    def _record(self, kind: str, session: str | None, payload: dict[str, Any]) -> None:
        self._hub.post([Record(kind, None, session, payload)])

    def _say_present(self) -> str:
        present = self._hub.look(lambda state: [each for each in state.sessions.snapshot() if each["connections"]])
        shown = ", ".join(f"{each['id']} ({each['name']})" for each in present[:10])
        return f"there are {shown}" if shown else "nobody is there"
