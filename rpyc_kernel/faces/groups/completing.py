"""What could stand behind the magics of groups: kernels that run on this machine, and options."""

from __future__ import annotations

from typing import Any

from rpyc_kernel.client.launch import kernels
from rpyc_kernel.faces.groups.options import BY_MAGIC, PX_CELL


def complete(_: Any, event: Any) -> list[str]:
    """What IPython asks its hook ``complete_command`` for."""
    if event.symbol.startswith("-"):
        options = BY_MAGIC.get(event.command)
        return [] if options is None else options.names
    return [] if event.command == PX_CELL.magic else [found.name for found in kernels()]
