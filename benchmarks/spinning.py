"""Code that keeps an interpreter busy, and the proof that it did so all the while.

What is measured "while user code spins" is worth nothing where the code has ended, or never begun: then everybody is as
fast as at rest. So the code counts its rounds in a file that this process sees, too.
"""

from __future__ import annotations

import contextlib
import mmap
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from benchmarks.measure import timed

_LEAST_SHARE: Final = 0.05
"""Of what the code does alone: whoever asks for much leaves it about half, and the other processes take theirs."""
_LEAST_CALLS: Final = 0.7
"""Now and then two answers come without the code in between, where the lock is given on late, as by stock RPyC."""
_ATTEMPTS: Final = 5
_ALONE_S: Final = 0.2
_SETTLE_S: Final = 30.0
_SOURCE: Final = """
def spin(path):
    import mmap
    with open(path, "r+b") as file:
        rounds = memoryview(mmap.mmap(file.fileno(), 8)).cast("Q")
    while True:
        rounds[0] += 1
"""


class NotSpinning(RuntimeError):
    """Code that was to spin has not."""


@dataclass(frozen=True)
class Spin:
    """A counter, and code that counts.

    Attributes:
        path: where it counts.
        shared: the same, in this process's memory.
    """

    path: str
    shared: mmap.mmap

    @property
    def code(self) -> str:
        """What spins where it is executed."""
        return f"{_SOURCE}spin({self.path!r})\n"

    @property
    def code_beside(self) -> str:
        """The same, in a thread of its own."""
        return f"{_SOURCE}import threading\nthreading.Thread(target=spin, args=({self.path!r},), daemon=True).start()\n"

    def rounds(self) -> int:
        """How often it has gone round up to now."""
        return int.from_bytes(self.shared[:8], sys.byteorder)

    def wait_for(self, who: str) -> Watch:
        """Wait until it spins, and see how fast while nobody asks for anything.

        Raises:
            NotSpinning: it does not begin.
        """
        deadline = time.monotonic() + _SETTLE_S
        before = self.rounds()
        while self.rounds() == before:
            if time.monotonic() > deadline:
                raise NotSpinning(f"{who} was to spin, and has not begun within {_SETTLE_S:g} s")
            time.sleep(0.01)
        begin, before = time.perf_counter(), self.rounds()
        time.sleep(_ALONE_S)
        return Watch(self, who, (self.rounds() - before) / (time.perf_counter() - begin))


@dataclass(frozen=True)
class Watch:
    """Sees to it that code spins while something is measured.

    Attributes:
        spin: its counter.
        who: whose code it is.
        rate: its rounds in a second, while nobody asks for anything.
    """

    spin: Spin
    who: str
    rate: float

    def time_often(self, what: str, call: Callable[[], object], count: int) -> list[float]:
        """Seconds that each of so many calls takes; again from the start where the code did not spin meanwhile.

        Raises:
            NotSpinning: nor did it the fifth time.
        """
        for _ in range(_ATTEMPTS - 1):
            with contextlib.suppress(NotSpinning), self.during(what) as time_call:
                return [time_call(call) for _ in range(count)]
        with self.during(what) as time_call:
            return [time_call(call) for _ in range(count)]

    @contextlib.contextmanager
    def during(self, what: str) -> Iterator[Callable[[Callable[[], object]], float]]:
        """Watch a measurement; yields what times each call of it, in seconds.

        Raises:
            NotSpinning: the code did not run meanwhile, or not while three calls in ten were answered. Where processors
                are scarce it may not get one between two short answers, which then come as if it were not there.
        """
        seen: list[bool] = []

        def time_call(call: Callable[[], object]) -> float:
            rounds = self.spin.rounds()
            seconds = timed(call)
            seen.append(self.spin.rounds() > rounds)
            return seconds

        begin, before = time.perf_counter(), self.spin.rounds()
        yield time_call
        share = (self.spin.rounds() - before) / (time.perf_counter() - begin) / max(self.rate, 1)
        if share < _LEAST_SHARE or sum(seen) < _LEAST_CALLS * len(seen):
            raise NotSpinning(
                f"{self.who} was to spin during {what!r}, did {share:.1%} of what it does alone, and ran in "
                f"{sum(seen)} of {len(seen)} calls: the figure says nothing; measure on a quiet machine"
            )


@contextlib.contextmanager
def counter() -> Iterator[Spin]:
    """A new one, from zero."""
    with tempfile.NamedTemporaryFile(prefix="rk-spin-") as file:
        file.write(bytes(8))
        file.flush()
        with mmap.mmap(file.fileno(), 8) as shared:
            yield Spin(file.name, shared)
