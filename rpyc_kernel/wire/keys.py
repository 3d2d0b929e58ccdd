"""Keys: what a client proves that it knows, and what each gives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from rpyc_kernel.core.contract import Role
from rpyc_kernel.errors import RequestError
from rpyc_kernel.frozen import Frozen

ID_BYTES: Final = 8
"""An id crosses in clear: it says which key is to be proven, and nothing about it."""


class Key(Frozen):
    """A secret that a client and a hub share.

    Attributes:
        secret: what is proven to be known, and never sent.
        id: which of the hub's keys it is, in hexadecimal digits; "" is the kernel's own, its owner's.
    """

    secret: bytes
    id: str = ""

    def __post_init__(self) -> None:
        if self.id and len(bytes.fromhex(self.id)) != ID_BYTES:
            raise RequestError(f"the id of a key has {2 * ID_BYTES} hexadecimal digits")

    def __repr__(self) -> str:
        return f"Key({self.id or 'own'!r})"  # whatever is shown may be kept by somebody


class Grant(Frozen):
    """What a key gives to whoever proves to know it.

    Attributes:
        key: the id of the key.
        role: the most that its connections may be.
        name: how all its connections are shown, "" where they may say so themselves.
        has_values: whether also a viewer is told the values of variables.
        problem: why it gives nothing any more, for whoever has proven to know it.
    """

    key: str = ""
    role: str = Role.OWNER
    name: str = ""
    has_values: bool = True
    problem: str = ""

    def own_session(self, asked: str) -> str:
        """The id of a session of this key: the bearer of an invitation goes on with no session but its own."""
        mark = f"{self.key}:"
        return asked if not self.key or asked.startswith(mark) else mark + asked


FindKey = Callable[[str], "tuple[Key, Grant] | None"]
"""Finds a key and what it gives by the key's id; None where there is none."""
