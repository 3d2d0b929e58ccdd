"""Who has failed to prove itself, how often, and how long it must wait before it may try again.

Each address counts for itself: who fails delays nobody else. A few failures are anybody's; then each one doubles the
wait, up to a bound, and an address that has been quiet for long enough is as good as new. There is room for so many
addresses, and the one that was quiet longest makes room for the next: who has that many to come from gains a few
attempts, and a guess at a key of 32 random bytes none.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

FREE: Final = 5
"""So many failures cost nothing: a wrong key is pasted again."""
FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 60.0
_FORGOTTEN_S: Final = 600.0
_MAX_ADDRESSES: Final = 4096


class Attempts:
    """The failures of every address; any thread may use it.

    Args:
        now: a clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._failed: dict[str, tuple[int, float]] = {}  # how often, and when last; the most recent is the last entry

    def wait_s(self, address: str) -> float:
        """For how long this address must not try, 0 if it may."""
        with self._lock:
            count, last = self._failed.get(_network_of(address), (0, 0.0))
        if count <= FREE:
            return 0.0
        wait_s: float = min(FIRST_WAIT_S * 2 ** min(count - FREE - 1, 30), LONGEST_WAIT_S)
        return max(0.0, last + wait_s - self._now())

    def note_failure(self, address: str) -> None:
        """Somebody there could not prove that it has a key."""
        network, now = _network_of(address), self._now()
        with self._lock:
            count, last = self._failed.pop(network, (0, now))
            self._failed[network] = (count + 1 if now - last < _FORGOTTEN_S else 1, now)
            if len(self._failed) > _MAX_ADDRESSES:
                del self._failed[next(iter(self._failed))]

    def note_success(self, address: str) -> None:
        """Somebody there has a key."""
        with self._lock:
            self._failed.pop(_network_of(address), None)


def _network_of(address: str) -> str:
    """What counts as one: of IPv6, all that one host is usually given to choose from."""
    if ":" not in address or address.startswith("::ffff:"):
        return address
    head, _, tail = address.partition("%")[0].partition("::")
    groups = head.split(":") if head else []
    rest = tail.split(":") if tail else []
    whole = [*groups, *["0"] * (8 - len(groups) - len(rest)), *rest] if "::" in address else groups
    return ":".join(whole[:4])
