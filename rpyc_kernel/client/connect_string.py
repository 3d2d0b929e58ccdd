"""Connect strings: all that a client needs to come in from anywhere, in one line that can be pasted.

    rpyc+tls://HOST:PORT/NAME#KEYID.SECRET.FINGERPRINT

Where to go stands before the ``#``, with the kernel's name, if that is to be checked. Behind it is what must not be
seen: the key, and the SHA-256 of the certificate that the kernel shows, each in base64url or in hexadecimal digits.
None of that is ever shown or logged. What is said of a string that cannot be understood names no more than host and
port: where it is damaged, anything may stand anywhere.
"""

from __future__ import annotations

import os
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final
from urllib.parse import urlsplit

from rpyc_kernel.errors import RequestError
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.settings import check_name
from rpyc_kernel.system.addresses import bracket
from rpyc_kernel.wire.keys import Key

SCHEME: Final = "rpyc+tls"
VARIABLE: Final = "RPYC_KERNEL_INVITATION"
_BYTES: Final = 32  # of a secret as of a fingerprint
_LONGEST: Final = 4096
_HEXADECIMAL: Final = re.compile("[0-9a-f]{64}")
"""32 bytes, which in base64 have 43 letters."""


class ConnectString(Frozen):
    """What one says.

    Attributes:
        host: a name or an address.
        port: of TCP.
        name: what the kernel is called, "" where that is not said.
        key: what to prove.
        fingerprint: SHA-256 of the kernel's certificate, b"" where any will do for which the kernel proves its key.
    """

    host: str
    port: int
    name: str
    key: Key
    fingerprint: bytes

    @property
    def shown(self) -> str:
        """As it may be seen by everybody."""
        return f"{SCHEME}://{bracket(self.host)}:{self.port}/{self.name}"

    def reveal(self) -> str:
        """The whole, for whom it is meant, and nobody else."""
        parts = (self.key.id, _encode(self.key.secret), _encode(self.fingerprint))
        return f"{self.shown}#{'.'.join(parts)}"

    def __repr__(self) -> str:
        return f"ConnectString({self.shown!r})"


def shown_of(target: str) -> str:
    """What may be shown of what somebody gave as a kernel's address."""
    return target.partition("#")[0]


def parse(text: str) -> ConnectString:
    """Read a connect string; RequestError where it is none.

    What stands behind the ``#`` may be missing where this process knows it, see `remember`, or the environment says it:
    ``RPYC_KERNEL_INVITATION``, which is that part or a whole string.
    """
    where, _, secret = text.strip().partition("#")
    host, port, name = parse_place(where)
    told = os.environ.get(VARIABLE, "")
    secret = secret or _remembered.get((host, port, name)) or told.partition("#")[2] or told
    if not secret:
        raise RequestError(
            f"{_start_of(where)} needs an invitation: use the whole connect string, or set {VARIABLE} to it, or "
            "RPYC_KERNEL_KEY to the kernel's key"
        )
    key, fingerprint = _parse_secret(where, secret)
    return ConnectString(host, port, name, key, fingerprint)


_remembered: dict[tuple[str, int, str], str] = {}


def remember(text: str) -> str:
    """Keep what must not be seen of a connect string in this process; returns the part that may be.

    That is then as good as the whole one: so what a program is told once does not go through all of its hands.
    """
    known = parse(text)
    _remembered[known.host, known.port, known.name] = known.reveal().partition("#")[2]
    return known.shown


def is_remembered(where: str) -> bool:
    """Whether this process knows what must not be seen of the connect string that begins so."""
    return parse_place(where) in _remembered


def from_environment() -> str:
    """The connect string that the environment says whole, "" where it says none: the kernel where none is named."""
    told = os.environ.get(VARIABLE, "").strip()
    return told if told.startswith(f"{SCHEME}:") else ""


def parse_place(where: str) -> tuple[str, int, str]:
    """Read what stands before the ``#``: host, port and name; RequestError where it cannot be understood."""
    try:
        parts = urlsplit(where)
        port, host, name = parts.port, parts.hostname, parts.path.strip("/")
        if host and ":" in host:
            from ipaddress import IPv6Address  # before Python 3.11, anything may stand in the brackets

            IPv6Address(host)
        if parts.scheme == SCHEME and host and port and parts.username is None and not parts.query:
            return host, port, check_name(name) if name else ""
    except ValueError:  # BadName is one, too
        pass
    raise RequestError(
        f"{_start_of(where)} … is no connect string; one reads {SCHEME}://HOST:PORT/NAME#…, as 'rpyc-kernel invite' "
        "prints it"
    )


def _start_of(where: str) -> str:
    return "/".join(where.split("/")[:3])


def _parse_secret(where: str, secret: str) -> tuple[Key, bytes]:
    try:
        key_id, key, fingerprint = (secret[:_LONGEST].strip() + "." * (secret.count(".") == 1)).split(".")
        known, expected = Key(_decode(key), key_id), _decode(fingerprint)
        if len(known.secret) != _BYTES or len(expected) not in (0, _BYTES):
            raise ValueError
    except (ValueError, RequestError):
        raise RequestError(
            f"what stands behind the '#' of {_start_of(where)} is damaged or cut short; "
            "paste the connect string as a whole"
        ) from None
    return known, expected


def _encode(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _decode(text: str) -> bytes:
    if _HEXADECIMAL.fullmatch(text):
        return bytes.fromhex(text)
    data = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if _encode(data) != text:  # what is no letter of base64 would be passed over
        raise ValueError(text)
    return data
