"""The keys to a kernel: its own, and those of who is invited; what each gives, and until when.

Invitations stand in a file of the kernel's home that only its owner can read, so that they outlive hub and kernel.
Those that have ended are remembered for a while: whoever comes with one is told why it no longer holds. When one ends,
the hub's own clock says.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from rpyc_kernel.core.contract import ROLES, Role
from rpyc_kernel.errors import RequestError
from rpyc_kernel.frozen import Frozen, changed, fields_of
from rpyc_kernel.system.private_files import write_private
from rpyc_kernel.wire.keys import ID_BYTES, Grant, Key

_log = logging.getLogger(__name__)
_FORMAT: Final = 1
_SECRET_BYTES: Final = 32
_MAX_KEPT: Final = 1000
_MAX_NAME: Final = 100
_MAX_SHOWN: Final = 10


class Invitation(Frozen):
    """What one key gives; nothing of it is secret.

    Attributes:
        id: of its key.
        role: what its bearer may do at most.
        name: what its bearers are called.
        values: whether a viewer may look at values, too.
        created: seconds since the epoch.
        expires: seconds since the epoch, None for never.
        revoked: since when it no longer holds, None while it does.
    """

    id: str
    role: str
    name: str
    values: bool
    created: float
    expires: float | None = None
    revoked: float | None = None

    def ended(self, now: float) -> float | None:
        """Since when it no longer holds, None while it does."""
        if self.revoked is not None:
            return self.revoked
        return self.expires if self.expires is not None and self.expires <= now else None

    def grant(self, now: float) -> Grant:
        """What its bearer gets now."""
        ended = self.ended(now)
        if ended is None:
            return Grant(self.id, self.role, self.name, self.values)
        how, clock = "was revoked", ""
        if self.revoked is None:  # whoever comes may have another clock
            how, clock = "expired", f" (by the kernel's clock it is {_in_utc(now)})"
        problem = f"this invitation of {self.name!r} {how} on {_in_utc(ended)}{clock}; ask the owner for another one"
        return Grant(self.id, self.role, self.name, self.values, problem)


_Kept = dict[str, tuple[Invitation, Key]]


class KeyRing:
    """All keys to one kernel; any thread may use it.

    Args:
        own: the kernel's own, which its owner has.
        path: of the file with the invitations.
        now: the time, in seconds since the epoch.
    """

    def __init__(self, own: Key, path: Path, now: Callable[[], float] = time.time) -> None:
        self._own = own
        self._path = path
        self._now = now
        self._changing = threading.Lock()
        self._kept = _read(path)  # replaced as a whole: whoever comes in waits for no disk

    def find(self, key_id: str) -> tuple[Key, Grant] | None:
        """A key, and what it gives now; None where there is none of that id."""
        if key_id == self._own.id:
            return self._own, Grant(key_id)
        found = self._kept.get(key_id)
        return None if found is None else (found[1], found[0].grant(self._now()))

    def invitations(self) -> list[Invitation]:
        """All that are known, also those that have ended, in the order in which they were given."""
        return [invitation for invitation, _ in self._kept.values()]

    def ended(self) -> set[str]:
        """The ids of those that hold no longer."""
        now = self._now()
        return {invitation.id for invitation in self.invitations() if invitation.ended(now) is not None}

    def invite(self, role: str, name: str, expires_s: float | None, *, values: bool) -> tuple[Invitation, Key]:
        """Make a key, and return it with what it gives.

        Raises:
            RequestError: it cannot be kept, or there are too many; or nobody can be called so.
        """
        if len(name) > _MAX_NAME or not name.isprintable():
            raise RequestError(f"the name of an invitation has at most {_MAX_NAME} characters, all of them printable")
        with self._changing:
            now, key = self._now(), Key(os.urandom(_SECRET_BYTES), os.urandom(ID_BYTES).hex())
            expires = None if expires_s is None else now + expires_s
            sees_values = values or Role.allows(role, Role.EDITOR)
            given = Invitation(key.id, role, name.strip() or f"{role}-{key.id[:4]}", sees_values, now, expires)
            kept = {**_with_room(self._kept, now), key.id: (given, key)}
            try:
                self._write(kept)
            except OSError as error:
                raise RequestError(f"nobody was invited, as {self._path} cannot be written: {error}") from None
            self._kept = kept
        return given, key

    def revoke(self, key_id: str) -> tuple[Invitation, str]:
        """Have a key hold no longer; returns what it gave, and what a later hub may not know of it, else "".

        Raises:
            RequestError: there is none of that id.
        """
        with self._changing:
            if key_id not in self._kept:
                raise RequestError(self._say_unknown(key_id))
            invitation, key = self._kept[key_id]
            if invitation.revoked is None:
                invitation = changed(invitation, revoked=self._now())
            self._kept = {**self._kept, key_id: (invitation, key)}  # before the disk, which may refuse
            try:
                self._write(self._kept)
            except OSError as error:
                return invitation, (
                    f"the invitation {key_id} holds no longer, but {self._path} cannot be written: {error}; revoke it "
                    "again once it can, or it holds again when the kernel has another hub"
                )
        return invitation, ""

    def _say_unknown(self, wanted: str) -> str:
        newest = [f"{each.id} ({each.name})" for each in self.invitations() if each.revoked is None][-_MAX_SHOWN:]
        return f"there is no invitation {wanted[:100]!r}; " + (
            f"there are {', '.join(newest)}" if newest else "nobody is invited"
        )

    def _write(self, kept: _Kept) -> None:
        """Put it on the disk itself: what is revoked stays so."""
        listed = [{**fields_of(invitation), "secret": key.secret.hex()} for invitation, key in kept.values()]
        said = json.dumps({"format": _FORMAT, "invitations": listed}, indent=1)
        write_private(self._path, said.encode(), is_lasting=True)


def _in_utc(moment: float) -> str:
    """The moment as people read it, whatever their own clock says."""
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(moment))
    except (OverflowError, ValueError, OSError):
        return "a day beyond this calendar"


def _with_room(kept: _Kept, now: float) -> _Kept:
    """The same with room for one more: what ended first goes first."""
    if len(kept) < _MAX_KEPT:
        return kept
    ended = {each: when for each, (given, _) in kept.items() if (when := given.ended(now)) is not None}
    if not ended:
        raise RequestError(f"there are {_MAX_KEPT} invitations that hold; revoke some first")
    oldest = min(ended, key=ended.__getitem__)
    return {each: value for each, value in kept.items() if each != oldest}


def _read(path: Path) -> _Kept:
    """What the file says; of one that cannot be understood, nothing: nobody gets in by a mistake."""
    try:
        with open(path, encoding="utf-8", opener=_open_at_once) as opened:
            read = [(_as_invitation(each), bytes.fromhex(each["secret"])) for each in json.load(opened)["invitations"]]
        return {given.id: (given, Key(secret, given.id)) for given, secret in read}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, RecursionError, RequestError) as error:
        # Not the error's own words: they could quote a secret.
        _log.error("%s cannot be read (%s); nobody is invited until somebody is again", path, type(error).__name__)
        return {}


def _as_invitation(said: dict[str, Any]) -> Invitation:
    """Raises if it makes no sense. A later release may say more."""
    invitation = Invitation(**{name: said[name] for name in Invitation.__match_args__})
    moments = (invitation.created, invitation.expires or 0.0, invitation.revoked or 0.0)
    if "" in (invitation.id, invitation.name) or invitation.role not in ROLES:
        raise ValueError("not an invitation")
    if not all(isinstance(each, (int, float)) for each in moments) or not isinstance(said["name"], str):
        raise ValueError("not an invitation")
    return changed(invitation, values=invitation.values is True)


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
