"""What a client costs: its import, its memory behind much output, and the end of a kernel that has printed much."""

from __future__ import annotations

import os
import subprocess
import sys

import rpyc_kernel
from benchmarks.against_ipykernel import own_folders
from benchmarks.measure import RECORD, Figure, record, report, timed

_NAME = "clients"
_LINES, _LINE_BYTES = 10_000_000, 100
_OUTPUT = f"for _ in range({_LINES}): print('x' * {_LINE_BYTES - 1})"
_SUBMITS = f"""
import rpyc_kernel
with rpyc_kernel.connect({_NAME!r}) as kernel:
    execution = kernel.submit({_OUTPUT!r})
    seen = sum(len(event.payload["text"]) for event in execution.events() if event.kind == "stream")
    execution.result()
print(seen)
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


def main(rounds: int = 5) -> None:
    """Print the report."""
    rows = [compare_imports(rounds)]
    with own_folders(), rpyc_kernel.start(_NAME, engine="plain") as kernel:
        rows.append(compare_connections(rounds))
        rows.append(measure_submitter())
        taken = timed(kernel.shutdown)
        rows.append(RECORD.add("shutdown after 1 GB of output", "s", {"ours": taken}, aim="under 1 s"))
    report("a client of rpyc_kernel (ours) beside jupyter_client (peer)", rows)


def compare_imports(rounds: int) -> Figure:
    """Processor time of an import, without what Python itself takes to start."""
    names = {"ours": "rpyc_kernel", "jupyter_client": "jupyter_client.blocking"}
    figures: dict[str, list[float]] = {side: [] for side in names}
    for _ in range(rounds * 2):
        empty = processor_ms("pass")
        for side, module in names.items():
            figures[side].append(processor_ms(f"import {module}") - empty)
    return record("import, processor time", "ms", figures, "under 60 ms")


def compare_connections(rounds: int) -> Figure:
    """The same for what an import leaves for later: a connection and a first execution; beside the import alone."""
    work = f"import rpyc_kernel\nwith rpyc_kernel.connect({_NAME!r}) as kernel: kernel.execute('pass')"
    figures: dict[str, list[float]] = {"ours": [], "the import alone": []}
    for _ in range(rounds * 2):
        empty = processor_ms("pass")
        figures["ours"].append(processor_ms(work) - empty)
        figures["the import alone"].append(processor_ms("import rpyc_kernel") - empty)
    return record("import, connect and execute, processor time", "ms", figures)


def processor_ms(code: str) -> float:
    """Milliseconds of processor time that a fresh Python takes for a piece of code."""
    process = subprocess.Popen([sys.executable, "-c", code])
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{code} ended with status {process.returncode}")
    return (usage.ru_utime + usage.ru_stime) * 1e3


def measure_submitter() -> Figure:
    """The most memory that a client ever held which has submitted 1 GB of output and read all of it."""
    done = subprocess.run([sys.executable, "-c", _SUBMITS], capture_output=True, text=True, check=True)
    seen, peak_kb = map(int, done.stdout.split())
    if seen != _LINES * _LINE_BYTES:
        raise RuntimeError(f"the client saw {seen:,} bytes")
    return RECORD.add(
        "client that submits 1 GB of output, most memory", "MB", {"ours": peak_kb / 1e3}, aim="under 60 MB"
    )
