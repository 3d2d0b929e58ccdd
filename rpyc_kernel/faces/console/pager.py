"""The program in which a user reads what is longer than the window."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping

from rpyc_kernel.system import terminal_modes

_DEFAULT = "less -R"
_CANNOT_BE_RUN = (126, 127)
_INTERRUPTED = 130


def find_pager(environment: Mapping[str, str]) -> str:
    """The command that $PAGER names, "" where the user wants none."""
    pager = environment.get("PAGER", _DEFAULT).strip()
    if pager == "less" and "r" not in environment.get("LESS", "").lower():
        return _DEFAULT  # without it colours are shown as codes
    return "" if pager == "cat" else pager


async def read_in_pager(command: str, text: str) -> int:
    """Have the user read a text; returns the pager's exit status. Nothing else may use the terminal meanwhile."""
    with terminal_modes.kept(sys.stdin.fileno()):
        process = await asyncio.create_subprocess_shell(command, stdin=asyncio.subprocess.PIPE)
        try:
            await process.communicate(text.encode("utf-8", "replace"))
        finally:
            if process.returncode is None:
                process.terminate()
                await process.wait()
    return process.returncode or 0


def was_read(status: int) -> bool:
    """Whether a pager with this exit status could be run."""
    return status not in _CANNOT_BE_RUN


def was_interrupted(status: int) -> bool:
    """Whether a pager with this exit status was ended by a signal, wherever it had put the cursor."""
    return status < 0 or status == _INTERRUPTED
