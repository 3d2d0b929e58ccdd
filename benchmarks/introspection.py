"""Introspection beside ipykernel: at rest in turns, and while a cell spins, where only one of them answers."""

from __future__ import annotations

import platform
import statistics
import time
from collections.abc import Callable
from queue import Empty
from typing import Any

import ipykernel

import rpyc_kernel
from benchmarks import spinning
from benchmarks.against_ipykernel import Peer, own_folders
from benchmarks.measure import Figure, compare, report, timed
from rpyc_kernel.client.kernel import KernelClient

_TIMEOUT_S = 60.0
_PATIENCE_S = 3.0
"""How long ipykernel is given to answer while its cell spins."""
_LIMIT_MS = 100.0
_TOO_SLOW = "  too slow"
_SETUP = """
import os
import numpy as np

def function(first, second=2, *, third=None):
    '''What it does.'''

settings = {"servers": [{"name": "one", "port": 80}]}
array = np.arange(10_000.0).reshape(100, 100)
numbers = list(range(1_000_000))
"""
Timing = Callable[[Callable[[], object]], float]
_CELL = "def local(alpha):\n    return al"

OPERATIONS: dict[str, Callable[[KernelClient], Any]] = {
    "complete os.pa": lambda kernel: kernel.complete("os.pa"),
    "complete np.lins": lambda kernel: kernel.complete("np.lins"),
    "complete a local name (read from the source)": lambda kernel: kernel.complete(_CELL),
    "signature": lambda kernel: kernel.signatures("function(1, "),
    "documentation and source": lambda kernel: kernel.inspect("function"),
    "definition": lambda kernel: kernel.definition("os.path.join"),
    "is it complete": lambda kernel: kernel.is_complete("def f(x):\n  x*2"),
    "list of variables": lambda kernel: kernel.variables(),
    "children of a dict": lambda kernel: kernel.children("settings['servers'][0]"),
    "100 children of a list of a million": lambda kernel: kernel.children("numbers", 500_000),
    "50 x 20 cells of an array": lambda kernel: kernel.slice("array"),
    "set, rename and delete a variable": lambda kernel: _change(kernel),
    "working folder": lambda kernel: kernel.cwd(),
    "environment": lambda kernel: kernel.environment(),
    "sys.path": lambda kernel: kernel.module_path(),
    "Python": lambda kernel: kernel.python(),
}
"""What an editor asks for."""


def _change(kernel: KernelClient) -> None:
    kernel.set_variable("made", [1, 2])
    kernel.rename_variable("made", "renamed")
    kernel.delete_variable("renamed")


def main(rounds: int) -> list[str]:
    """Print what was measured; returns which aims were missed."""
    missed = []
    print(f"\nPython {platform.python_version()}, ipykernel {ipykernel.__version__}, {rounds} rounds")
    with own_folders():
        for engine in ("plain", "ipython"):
            kernel, peer = rpyc_kernel.start("introspection", engine=engine), Peer()
            try:
                kernel.execute(_SETUP)
                peer.execute(_SETUP)
                report(
                    f"At rest: rpyc_kernel with engine {engine} (ours) beside ipykernel (peer)",
                    _rest(kernel, peer, rounds),
                )
                missed += _show_busy(kernel, rounds, engine)
                _show_large_table(kernel)
                _show_busy_peer(peer)
            finally:
                kernel.shutdown()
                peer.close()
    return missed


def _rest(kernel: KernelClient, peer: Peer, rounds: int) -> list[Figure]:
    questions: dict[str, tuple[Callable[[], Any], Callable[[], Any], str]] = {
        f"complete {code}": (
            lambda code=code: kernel.complete(code),  # type: ignore[misc] # bound now
            lambda code=code: peer.client.complete(code, reply=True, timeout=_TIMEOUT_S),  # type: ignore[misc]
            "5x, under 10 ms",
        )
        for code in ("os.pa", "np.lins")
    }
    questions["documentation of a function"] = (
        lambda: kernel.inspect("function"),
        lambda: peer.client.inspect("function", reply=True, timeout=_TIMEOUT_S),
        "",
    )
    questions["is it complete"] = (
        lambda: kernel.is_complete("def f(x):\n  x*2"),
        lambda: (peer.client.is_complete("def f(x):\n  x*2"), peer.client.get_shell_msg(timeout=_TIMEOUT_S)),
        "",
    )
    for ask_ours, ask_peer, _ in questions.values():  # what is loaded at the first question is not counted
        ask_ours()
        ask_peer()
    return [
        compare(
            name,
            lambda ask=ask_ours: timed(ask) * 1e3,  # type: ignore[misc]
            lambda ask=ask_peer: timed(ask) * 1e3,  # type: ignore[misc]
            rounds=rounds,
            per_round=20,
            unit="ms",
            aim=aim,
        )
        for name, (ask_ours, ask_peer, aim) in questions.items()
    ]


def _show_busy(kernel: KernelClient, rounds: int, engine: str) -> list[str]:
    print(
        f"\nWhile a cell spins, rpyc_kernel with engine {engine}: median and slowest of {rounds * 10}; "
        f"wanted: under {_LIMIT_MS:g} ms\n"
    )
    lines: list[str] = []
    with spinning.counter() as spin:
        run = kernel.submit(spin.code)
        watch = spin.wait_for("rpyc_kernel")
        for name, ask in OPERATIONS.items():
            with watch.during(name) as time_call:
                lines.append(_ask_often(kernel, name, ask, rounds * 10, time_call))
            print(lines[-1])
        kernel.interrupt(run.id)
    return [line for line in lines if line.endswith(_TOO_SLOW)]


def _show_large_table(kernel: KernelClient) -> None:
    """Pages of a table of ten million rows, beside what pandas takes in the same worker to sort all of it."""
    kernel.execute("import numpy, pandas, time\nlarge = pandas.DataFrame({'x': numpy.random.rand(10_000_000)})")
    chosen: dict[str, Any] = {"sort": ["x"], "timeout": _TIMEOUT_S}
    by_pandas = "large.sort_values('x', kind='stable').iloc[:50]"
    times_ms = {
        "a page": timed(lambda: kernel.slice("large")) * 1e3,
        "a sorted page, the first time": timed(lambda: kernel.slice("large", **chosen)) * 1e3,
        "a sorted page, from then on": timed(lambda: kernel.slice("large", (5_000_000, 5_000_050), **chosen)) * 1e3,
        "pandas: sort_values().iloc[:50]": timed(lambda: kernel.execute(f"page = {by_pandas}")) * 1e3,
    }
    print("\nA table of ten million rows, each once\n")
    for name, time_ms in times_ms.items():
        print(f"{name:<46} {time_ms:>8.1f} ms")
    kernel.execute("del large, page")


def _ask_often(
    kernel: KernelClient, name: str, ask: Callable[[KernelClient], Any], count: int, time_call: Timing
) -> str:
    first_s = timed(lambda: _ask_until_whole(kernel, ask))
    answers: list[Any] = []
    times_ms = [time_call(lambda: answers.append(ask(kernel))) * 1e3 for _ in range(count)]
    median_ms = statistics.median(times_ms)
    verdict = "" if median_ms < _LIMIT_MS else _TOO_SLOW
    partial = sum(not getattr(answer, "is_whole", True) for answer in answers)
    remark = f"  without what jedi would add: {partial} of {count}" if partial else ""
    return f"{name:<46} {median_ms:>8.2f} ms {max(times_ms):>8.1f} ms   at first {first_s:.2f} s{remark}{verdict}"


def _ask_until_whole(kernel: KernelClient, ask: Callable[[KernelClient], Any]) -> None:
    """Load what the question needs; only jedi takes more than one question for that."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not getattr(ask(kernel), "is_whole", True) and time.monotonic() < deadline:
        pass


def _show_busy_peer(peer: Peer) -> None:
    with spinning.counter() as spin:
        peer.client.execute(spin.code)
        with spin.wait_for("ipykernel").during("completion"):
            begin = time.perf_counter()
            number = peer.client.complete("os.pa")
            try:
                peer.client.get_shell_msg(timeout=_PATIENCE_S)
                said = f"after {time.perf_counter() - begin:.2f} s"
            except Empty:
                said = ""
    if not said:
        peer.manager.interrupt_kernel()
        while peer.client.get_shell_msg(timeout=_TIMEOUT_S)["parent_header"]["msg_id"] != number:
            pass
        waited_s = time.perf_counter() - begin
        said = f"not within {_PATIENCE_S:g} s; only {waited_s:.2f} s after the question, when the cell was interrupted"
    print(f"\nWhile a cell of ipykernel spins it answers the completion of os.pa {said}")
