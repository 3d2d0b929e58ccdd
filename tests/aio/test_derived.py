"""The client of event loops is derived from that of threads, and has all of it."""

from __future__ import annotations

import inspect
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import rpyc_kernel
from rpyc_kernel import aio

ROOT = Path(__file__).parents[2]
_OF_OWN_LOOPS = {"begin", "fileno", "hand_in", "read_ready", "watch"}
"""What is for loops that wait by themselves."""
_OF_THREADS = {"add_done_callback"}
_TYPES = {
    "KernelClient": "Opening",
    "Iterator[Event]": "AsyncIterator[Event]",
    "Iterator[list[Watched]]": "AsyncIterator[list[Watched]]",
    "list[KernelInfo]": "list[KernelInfo]",
}


def test_the_files_are_up_to_date() -> None:
    script = runpy.run_path(str(ROOT / "scripts" / "aio_client.py"))
    found = {path.name: path.read_text() == text for path, text in script["write_files"]().items()}
    assert found == {"derived.py": True, "connecting.py": True}, "run 'python scripts/aio_client.py'"


def test_a_client_has_all_that_one_of_threads_has() -> None:
    assert names_of(rpyc_kernel.KernelClient) - names_of(aio.KernelClient) == _OF_OWN_LOOPS
    assert names_of(rpyc_kernel.Execution) - names_of(aio.Execution) == _OF_THREADS


def test_methods_take_what_those_of_threads_take_and_tell_types_and_what_they_do() -> None:
    for name in names_of(rpyc_kernel.KernelClient) & names_of(aio.KernelClient):
        theirs, ours = getattr(rpyc_kernel.KernelClient, name), getattr(aio.KernelClient, name)
        assert inspect.getdoc(ours), name
        if inspect.isfunction(theirs) and name not in ("call_beside", "debugger", "open_debugger"):
            assert tell_signature(ours) == tell_signature(theirs), name


def test_who_connects_and_starts_passes_what_passes_elsewhere() -> None:
    for name in ("attach", "connect", "kernels", "start"):
        assert tell_signature(getattr(aio, name)) == tell_signature(getattr(rpyc_kernel, name)), name


def test_who_lacks_anyio_is_told_what_to_install() -> None:
    code = "import sys; sys.modules['anyio'] = None\nimport rpyc_kernel.aio"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, cwd=ROOT)
    assert told.stderr.splitlines()[-1] == (
        f"ImportError: rpyc_kernel.aio needs anyio; install it with: {sys.executable} -m pip install 'rpyc-kernel[aio]'"
    )


def names_of(kind: type) -> set[str]:
    """What is public of a class and of ours."""
    return {
        name
        for base in kind.__mro__
        if base.__module__.startswith("rpyc_kernel")
        for name in vars(base)
        if not name.startswith("_")
    }


def tell_signature(function: Any) -> str:
    """The parameters with their types, and the type of what comes back."""
    text = str(inspect.signature(function))
    for theirs, ours in _TYPES.items():
        text = text.replace(f"-> '{theirs}'", f"-> '{ours}'")
    return text
