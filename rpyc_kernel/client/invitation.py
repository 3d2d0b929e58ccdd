"""What an owner is told of an invitation, and what to give to whom it is for."""

from __future__ import annotations

from typing import Any

from rpyc_kernel.client.connect_string import ConnectString, parse_place
from rpyc_kernel.errors import RequestError
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.system.addresses import is_loopback
from rpyc_kernel.wire.keys import Key

_ANY = ("", "0.0.0.0", "::")


class Invitation(Frozen):
    """An invitation to a kernel. It is shown without its secret.

    Attributes:
        id: what to `KernelClient.revoke` it by.
        role: the most that its bearer may be: ``owner``, ``editor``, ``asker`` or ``viewer``.
        name: what its bearer is called.
        values: whether a viewer may look at values, too.
        created: seconds since the epoch, by the hub's clock.
        expires: until when it holds, seconds since the epoch; None for ever.
        revoked: when it was revoked, None where it was not.
        secret: of its key, in hexadecimal digits; "" but for the one who has just made it.

    Example:
        >>> invitation = kernel.invite("viewer", name="ann")
        >>> invitation.name, invitation.role, invitation.secret in repr(invitation)
        ('ann', 'viewer', False)
        >>> kernel.revoke(invitation.id)
    """

    id: str
    role: str
    name: str
    values: bool
    created: float
    expires: float | None = None
    revoked: float | None = None
    secret: str = ""
    kernel: str = ""
    listening: tuple[dict[str, Any], ...] = ()

    def __repr__(self) -> str:
        return f"Invitation({self.id!r}, {self.role!r}, {self.name!r})"

    def connect_string(self, host: str = "") -> str:
        """What its bearer gives to `rpyc_kernel.connect` or to a command, and needs to come in. It holds the secret.

        Args:
            host: the name or address by which its bearer reaches this machine; "" for the one it listens on.

        Raises:
            RequestError: the kernel does not listen with TLS, or on all addresses; or the secret is not known any more.

        Example:
            >>> there = kernel.listen("127.0.0.1", tls=True)
            >>> invitation = kernel.invite("viewer", name="ann")
            >>> with rpyc_kernel.connect(invitation.connect_string()) as ann:
            ...     ann.client_name, ann.role
            ('ann', 'viewer')
            >>> kernel.revoke(invitation.id)
        """
        if not self.secret:
            raise RequestError("the secret of an invitation is told once, by 'invite'; make another one")
        place = choose_listening(self.listening, self.kernel, host)
        key = Key(bytes.fromhex(self.secret), self.id)
        fingerprint = bytes.fromhex(place["fingerprint"])
        told = ConnectString(host.strip("[]") or place["host"], place["port"], self.kernel, key, fingerprint)
        try:
            parse_place(told.shown)
        except RequestError:
            raise RequestError(
                f"{host!r} is no name or address of a machine; such are gpu.example.org and ::1"
            ) from None
        return told.reveal()


def choose_listening(listening: tuple[dict[str, Any], ...], kernel: str, host: str = "") -> dict[str, Any]:
    """Where those who are invited come to, of all the ports of a kernel; RequestError where they can come to none.

    A host stands for the one that it listens on, where others know it by another name.
    """
    safe = [each for each in listening if each.get("fingerprint")]
    if not safe:
        raise RequestError(
            f"kernel {kernel!r} does not listen with TLS, so that nobody can come in from elsewhere; "
            "have it do so with --listen HOST (kernel.listen(HOST))"
        )
    found = min(safe, key=lambda each: is_loopback(str(each["host"])))
    require_one_host(found["host"], kernel, host)
    return found


def require_one_host(listened: str, kernel: str, host: str) -> None:
    """See that it is told by which address a kernel is reached that listens on all of them; RequestError where not."""
    if not host and listened in _ANY:
        raise RequestError(
            f"kernel {kernel!r} listens on all addresses of this machine; say with --host NAME (host=…) by which one "
            "others reach it"
        )


def read_invitation(told: dict[str, Any], kernel: str) -> Invitation:
    """The invitation that a hub tells of; what a later one says more is left out."""
    known = {name: told[name] for name in Invitation.__match_args__ if name in told}
    return Invitation(**{**known, "kernel": kernel, "listening": tuple(known.get("listening", ()))})
