"""Be a Jupyter kernel: ``python -m rpyc_kernel.faces.jupyter -f FILE [--attach NAME]``; Jupyter starts it so."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.jupyter.bridge import Bridge
from rpyc_kernel.faces.jupyter.connection_info import ConnectionInfo
from rpyc_kernel.faces.jupyter.parent import Parent
from rpyc_kernel.faces.jupyter.seat import Seat, name_after

_PATIENCE_S = 30.0


def main(arguments: list[str]) -> int:
    """Run a bridge to its exit status; what keeps it from running is one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m rpyc_kernel.faces.jupyter", description=__doc__)
    parser.add_argument("-f", dest="file", type=Path, required=True, help="the connection file")
    parser.add_argument("--attach", metavar="NAME", help="a running kernel to join, instead of one for this file alone")
    parser.add_argument(
        "--patience",
        metavar="SECONDS",
        type=float,
        default=_PATIENCE_S,
        help="how long to look for a kernel that is lost",
    )
    options = parser.parse_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="rpyc_kernel jupyter: %(levelname)s %(message)s")
    parent = Parent()
    try:
        info = ConnectionInfo.read(options.file)
        seat = Seat.attach(options.attach) if options.attach else Seat.start(name_after(options.file))
        return Bridge(info, seat, parent, options.patience).run()
    except KernelError as error:
        print(f"rpyc_kernel jupyter: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
