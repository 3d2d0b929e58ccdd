"""The order between what Python code prints and what children write: one goes through the ring, the other by pipes.

What was printed before a child wrote is in the ring by then, and the hub passes it on before the bytes of the pipes.
For the other direction the worker has to see to it: what is printed after a child has written must not come into the
ring before the hub has taken the bytes out of the pipe, as nothing in a pipe says when it was written.
"""

from __future__ import annotations

from rpyc_kernel.system.originals import select, time

_EVERY_S = 0.0002
"""How often to look, as each look costs a system call. No child is started, writes and ends in less time."""
_PATIENCE_S = 1.0
_PAUSE_S = 0.0002


class Order:
    """Waits, before something is put into the ring, until the pipes with these read ends are empty.

    Attributes:
        look_at: from which moment of `time.monotonic` on `wait` has to be called again.
    """

    def __init__(self, descriptors: tuple[int, ...]) -> None:
        self._descriptors = descriptors
        self._has_given_up = False
        self.look_at = 0.0 if descriptors else float("inf")

    def wait(self) -> None:
        """Return when the pipes are empty; but not if the hub is slow or gone, or a child writes without end."""
        if not self._are_full:
            self._has_given_up = False
        elif not self._has_given_up:
            deadline = time.monotonic() + _PATIENCE_S
            while self._are_full:
                if time.monotonic() >= deadline:
                    self._has_given_up = True  # until they are seen empty
                    break
                time.sleep(_PAUSE_S)
        self.look_at = time.monotonic() + _EVERY_S

    @property
    def _are_full(self) -> bool:
        try:
            return bool(select.select(self._descriptors, (), (), 0)[0])
        except (OSError, ValueError):  # user code has closed them
            return False


NO_ORDER = Order(())
