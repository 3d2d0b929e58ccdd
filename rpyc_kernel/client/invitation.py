"""What an owner is told of an invitation, and what to give to whom it is for."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from rpyc_kernel.errors import RequestError
from rpyc_kernel.frozen import Frozen

_ANY = ("", "0.0.0.0", "::")


class Invitation(Frozen):
    """An invitation to a kernel. It is shown without its secret.

    Attributes:
        id: what to `KernelClient.revoke` it by.
        role: the most that its bearer may be: ``owner``, ``editor`` or ``viewer``.
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
    host: str = ""
    port: int = 0
    fingerprint: str = ""

    def __repr__(self) -> str:
        return f"Invitation({self.id!r}, {self.role!r}, {self.name!r})"

    def connect_string(self, host: str = "") -> str:
        """What its bearer gives to `rpyc_kernel.connect` or to a command; it holds the secret.

        Args:
            host: the name or address by which its bearer reaches this machine; "" for the one it listens on.

        Raises:
            RequestError: the secret is not known any more, or the kernel listens nowhere that could be reached.

        Example:
            >>> invitation = kernel.invite("viewer", name="ann")
            >>> invitation.connect_string("gpu.example.org").partition("#")[0].rpartition(":")[0]
            'rpyc+tls://gpu.example.org'
            >>> kernel.revoke(invitation.id)
        """
        if not self.secret:
            raise RequestError("the secret of an invitation is told once, by 'invite'; make another one")
        if not self.port:
            raise RequestError(
                f"kernel {self.kernel!r} listens on no port, so nobody can come from elsewhere; start it with "
                "'rpyc-kernel start NAME --listen HOST'"
            )
        where = host or self.host
        if where in _ANY:
            raise RequestError(f"kernel {self.kernel!r} listens on all addresses; say by which one it is reached")
        shown = f"[{where}]" if ":" in where else where
        parts = [self.id, self.secret, *([self.fingerprint] if self.fingerprint else [])]
        return f"rpyc+tls://{shown}:{self.port}/{quote(self.kernel)}#{'.'.join(parts)}"


def read_invitation(told: dict[str, Any], kernel: str) -> Invitation:
    """The invitation that a hub tells of; what a later one says more is left out."""
    known = {name: told[name] for name in Invitation.__match_args__ if name in told}
    return Invitation(**{**known, "kernel": kernel})
