"""What an editor in node asks of a kernel: through our stdio server, beside Jupyter's messages to ipykernel.

Both by one process of node, in turns, of the same engine with the same definitions.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import rpyc_kernel
from benchmarks.jupyter_kernels import PEER, Kernel, own_folders
from benchmarks.measure import record, report

_FOLDER = Path(__file__).parent
_KERNEL = "bench-editors"
_CALLS = 40
_PATIENCE_S = 600
_AIM = "3x, under 2 ms"
_AIMS = {"execute 1 + 1: its number, then its end among events": "under 2 ms"}
"""Of two answers, where the peer gives one."""


def main(rounds: int = 5) -> list[str]:
    """Print the table; returns what could not be measured."""
    if reason := _find_what_is_missing():
        print(f"\neditors: not measured: {reason}")
        return [reason]
    figures = _measure(rounds)
    by_library = {work: {"ours": sides.pop("library"), PEER: sides[PEER]} for work, sides in figures.items()}
    report(
        "an editor in node: our stdio server, beside Jupyter's messages to ipykernel, both by hand",
        [record(work, "ms", sides, _AIMS.get(work, _AIM)) for work, sides in figures.items()],
    )
    report(
        "the same, ours by vscode-jsonrpc",
        [record(work, "ms", sides) for work, sides in by_library.items()],
    )
    return []


def _find_what_is_missing() -> str:
    """Why node cannot do it, "" where it can; installs its packages."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "there is no node, or no npm"
    if not (_FOLDER / "node_modules" / ".package-lock.json").exists():
        install = ["npm", "ci", "--ignore-scripts", "--prefix", str(_FOLDER)]
        done = subprocess.run(install, capture_output=True, text=True)
        if done.returncode:
            return f"npm ci has failed: {done.stderr.strip()[-300:]}"
    return ""


def _measure(rounds: int) -> dict[str, dict[str, list[float]]]:
    with own_folders(), ExitStack() as stack:
        ours = rpyc_kernel.start(_KERNEL, engine="ipython")
        stack.callback(ours.shutdown)
        peer = Kernel(PEER)
        stack.callback(peer.close)
        told: dict[str, Any] = {
            "command": [sys.executable, "-m", "rpyc_kernel"],
            "kernel": _KERNEL,
            "peer": _describe(peer),
            "rounds": rounds,
            "calls": _CALLS,
        }
        done = subprocess.run(
            ["node", "editors.mjs"],
            cwd=_FOLDER,
            env={**os.environ, "PYTHONPATH": str(_FOLDER.parent), "RPYC_KERNEL_BENCHMARK": json.dumps(told)},
            stdout=subprocess.PIPE,
            text=True,
            timeout=_PATIENCE_S,
            check=True,
        )
    figures: dict[str, dict[str, list[float]]] = json.loads(done.stdout)
    return figures


def _describe(kernel: Kernel) -> dict[str, Any]:
    """Where it listens, as its connection file says."""
    info = kernel.manager.get_connection_info()
    return {
        name: each.decode() if isinstance(each, bytes) else each for name, each in info.items() if name != "session"
    }
