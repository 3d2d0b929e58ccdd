"""What could stand behind the magics of groups: kernels that run on this machine, and options."""

from __future__ import annotations

from typing import Any

from rpyc_kernel.client.launch import kernels

_OF_CODE = ["--noblock", "--out", "--fold", "--local", "--retry", "--progress-after"]
_OPTIONS = {
    "%group": ["--start", "--skip-missing"],
    "%%group": ["--start", "--skip-missing", *_OF_CODE],
    "%%px": ["--targets", *_OF_CODE],
}


def complete(_: Any, event: Any) -> list[str]:
    """What IPython asks its hook ``complete_command`` for."""
    if event.symbol.startswith("-"):
        return _OPTIONS.get(event.command, [])
    return [] if event.command == "%%px" else [found.name for found in kernels()]


COMMANDS = tuple(_OPTIONS)
