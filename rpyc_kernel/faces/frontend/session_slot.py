"""Which session a console continues: the first of its user's that nobody holds.

So whoever closes a terminal and opens another comes back as the same, with the jobs and from the very event that was
seen last; and a second console beside the first is told apart by its name.
"""

from __future__ import annotations

import math

from rpyc_kernel.client import launch
from rpyc_kernel.client.kernel import KernelClient

_PREFIX = "console-"
_FOR_EVER_S = math.inf
"""Who sits there sees that the connection is lost, and knows best how long to wait."""


def take_session_slot(
    target: str, *, session: str | None = None, name: str | None = None, role: str | None = None
) -> KernelClient:
    """Connect a console to a running kernel.

    Args:
        target: the kernel's name or address.
        session: the session to continue whether or not somebody has it already, None to find one.
        name: how to be shown to others, None for the user's name.
        role: as of `connect`.

    Raises:
        NoSuchKernel: there is none.
    """
    name = name or launch.user_name()
    if session is not None:
        return launch.connect(target, session=session, name=name, role=role, reconnect=_FOR_EVER_S)
    number = 0
    while True:
        number, slot = _find_free(target, name, number + 1)
        shown = name if number == 1 else f"{name}-{number}"
        kernel = launch.connect(target, session=slot, name=shown, role=role, reconnect=_FOR_EVER_S)
        if kernel.came_first:
            return kernel
        kernel.close()  # another console was opened at the same moment


def is_session_slot(session: str | None) -> bool:
    """Whether a session is that of a console, so that its coming and going concern people."""
    return str(session or "").rpartition(":")[2].startswith(_PREFIX)


def _find_free(target: str, name: str, number: int) -> tuple[int, str]:
    """The next number that nobody has, and the session's id; those of an invitation begin with its own."""
    with launch.connect(target, name=name, joins=False) as looker:
        taken = {session["id"] for session in looker.sessions() if session["connections"]}
        start = "".join(looker.session.rpartition(":")[:2]) + f"{_PREFIX}{name}-"
    while f"{start}{number}" in taken:
        number += 1
    return number, f"{start}{number}"
