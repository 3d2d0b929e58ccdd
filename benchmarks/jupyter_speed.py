"""The bridge beside ipykernel, through the same client: how long a cell takes, and a completion while one runs."""

from __future__ import annotations

import time

from benchmarks.jupyter_kernels import OURS, PEER, Kernel, own_folders, read_published, read_reply
from benchmarks.measure import Comparison, compare, report

_BUSY_S = 0.6


class Timed:
    """A kernel and its clock."""

    def __init__(self, kind: str) -> None:
        self.kernel = Kernel(kind)
        self.client = self.kernel.client
        self.run("pass")

    def run(self, code: str) -> tuple[float, float]:
        """Milliseconds from the request to its reply, and to idle."""
        begin = time.perf_counter()
        request = self.client.execute(code)
        read_reply(self.client, request)
        replied = time.perf_counter()
        read_published(self.client, "status", request, execution_state="idle")
        return (replied - begin) * 1e3, (time.perf_counter() - begin) * 1e3

    def complete_while_busy(self) -> float:
        """Milliseconds to the answer of a completion that is asked for while a cell sleeps."""
        busy = self.client.execute(f"print('on', flush=True)\nimport time\ntime.sleep({_BUSY_S})")
        read_published(self.client, "stream", busy)
        begin = time.perf_counter()
        answered = read_reply(self.client, self.client.complete("os.pa", 5))
        took = time.perf_counter() - begin
        assert answered is not None
        read_published(self.client, "status", busy, execution_state="idle")
        return took * 1e3


def run(rounds: int) -> list[Comparison]:
    """Run everything and return the lines of the report."""
    ours, peer = Timed(OURS), Timed(PEER)
    try:
        each = {"rounds": rounds, "unit": "ms", "aim": "2x"}
        return [
            compare("'pass' to reply", lambda: ours.run("pass")[0], lambda: peer.run("pass")[0], per_round=40, **each),  # type: ignore[arg-type]
            compare("'pass' to idle", lambda: ours.run("pass")[1], lambda: peer.run("pass")[1], per_round=40, **each),  # type: ignore[arg-type]
            compare(
                "completion while a cell runs",
                ours.complete_while_busy,
                peer.complete_while_busy,
                rounds=rounds,
                unit="ms",
                aim="under 50 ms",
            ),
        ]
    finally:
        ours.kernel.close()
        peer.kernel.close()


def main(rounds: int = 5) -> list[str]:
    """Print the report; returns which aims were missed."""
    with own_folders():
        return report(
            "the bridge (ours) beside ipykernel (peer), through jupyter_client's blocking client", run(rounds)
        )
