"""Whether windows can be shown from here: a toolkit that finds no display may end the whole process."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping

from rpyc_kernel.system.originals import socket

_X_SOCKETS = "/tmp/.X11-unix/X"
_X_PORT = 6000
_TIMEOUT_S = 2.0


def find_obstacle(environment: Mapping[str, str] = os.environ) -> str:
    """Say what is in the way of windows; "" if nothing is."""
    if sys.platform == "darwin":
        return ""  # the system's own windows need no address
    if environment.get("WAYLAND_DISPLAY"):
        return ""
    display = environment.get("DISPLAY", "")
    if not display:
        return "there is no display: neither DISPLAY nor WAYLAND_DISPLAY is set"
    return "" if _answers(display) else f"nothing answers at the display {display!r} of DISPLAY"


def _answers(display: str) -> bool:
    host, _, rest = display.rpartition(":")
    number = rest.partition(".")[0]
    if not number.isdigit():
        return False
    if host.startswith("/"):  # a socket whose name ends like a display's, as of macOS
        places: list[tuple[int, object]] = [(socket.AF_UNIX, f"{host}:{number}"), (socket.AF_UNIX, host)]
    elif host in ("", "unix"):
        places = [(socket.AF_UNIX, f"{_X_SOCKETS}{number}"), (socket.AF_UNIX, f"\0{_X_SOCKETS}{number}")]
    else:
        places = [(socket.AF_INET, (host, _X_PORT + int(number)))]
    return any(_connects(family, address) for family, address in places)


def _connects(family: int, address: object) -> bool:
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(_TIMEOUT_S)
        try:
            probe.connect(address)  # type: ignore[arg-type]
        except (OSError, ValueError):
            return False
        return True
