"""Be a Jupyter kernel: ``python -m rpyc_kernel.faces.jupyter -f FILE [--attach NAME]``; Jupyter starts it so."""

from __future__ import annotations

import argparse
import logging
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path

from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.jupyter.connection_info import ConnectionInfo
from rpyc_kernel.faces.jupyter.extra import needing_extra
from rpyc_kernel.faces.jupyter.parent import Parent
from rpyc_kernel.faces.jupyter.seat import Seat

_log = logging.getLogger("rpyc_kernel.jupyter")
_PATIENCE_S = 30.0
_OF_HISTORY = "--HistoryManager."
"""What nbclient tells every kernel, so that it keeps no history: one of a notebook's own keeps none in any case."""


def main(arguments: list[str]) -> int:
    """Run a bridge to its exit status; what keeps it from running is one line on standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m rpyc_kernel.faces.jupyter", description=__doc__, allow_abbrev=False
    )
    parser.add_argument("-f", dest="file", type=Path, required=True, help="the connection file")
    parser.add_argument("--attach", metavar="NAME", help="a running kernel to join, instead of one for this file alone")
    parser.add_argument(
        "--patience",
        metavar="SECONDS",
        type=float,
        default=_PATIENCE_S,
        help="how long to look for a kernel that is lost",
    )
    # Whoever starts kernels may have something to say to that of IPython: such as nbclient, and `jupyter run`.
    options, others = parser.parse_known_args(arguments)
    logging.basicConfig(level=logging.WARNING, format="rpyc_kernel jupyter: %(levelname)s %(message)s")
    if unknown := [argument for argument in others if not argument.startswith(_OF_HISTORY)]:
        _log.warning("nothing is known of these arguments, and they are passed over: %s", shlex.join(unknown))
    parent = Parent()
    try:
        with needing_extra():
            from rpyc_kernel.faces.jupyter.channels import Channels
        # First of all: the ports are free only until somebody takes them.
        channels = Channels(ConnectionInfo.read(options.file))
        with ExitStack() as closing:
            closing.callback(channels.close)
            seat = Seat.attach(options.attach) if options.attach else Seat.start(options.file)
            # Imported only now: the worker does its own importing meanwhile.
            from rpyc_kernel.faces.jupyter.bridge import Bridge

            bridge = Bridge(channels, seat, parent, options.patience)
            closing.pop_all()
            return bridge.run()
    except KernelError as error:
        print(f"rpyc_kernel jupyter: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
