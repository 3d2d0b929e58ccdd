"""Be a Jupyter kernel: ``python -m rpyc_kernel.faces.jupyter -f FILE [--attach NAME]``; Jupyter starts it so."""

from __future__ import annotations

import argparse
import functools
import logging
import shlex
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.jupyter.attachment import Attachment
from rpyc_kernel.faces.jupyter.connection_info import ConnectionInfo
from rpyc_kernel.faces.jupyter.extra import needing_extra, require
from rpyc_kernel.faces.jupyter.parent import Parent

if TYPE_CHECKING:
    from rpyc_kernel.faces.jupyter.channels import Channels

_log = logging.getLogger("rpyc_kernel.jupyter")
_PATIENCE_S = 30.0
_WIDTH = 100
_OF_HISTORY = "--HistoryManager."
"""What nbclient tells every kernel, so that it keeps no history: one of a notebook's own keeps none in any case."""


def main(arguments: list[str]) -> int:
    """Run a bridge to its exit status; what keeps it from running is one line on standard error."""
    parser = argparse.ArgumentParser(
        prog="python -m rpyc_kernel.faces.jupyter",
        description=__doc__,
        allow_abbrev=False,
        # To find out how wide the terminal is, argparse would load all of Python's compression, at every start.
        formatter_class=functools.partial(argparse.HelpFormatter, width=_WIDTH),
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
        require("zmq")  # without it, a kernel would be started in vain
        info = ConnectionInfo.read(options.file)
        with ExitStack() as closing:

            @functools.cache
            def open_channels() -> Channels:
                """Before all else, as the ports are free only until somebody takes them; a hub that starts does not."""
                with needing_extra():
                    from rpyc_kernel.faces.jupyter.channels import Channels
                channels = Channels(info)
                closing.callback(channels.close)
                return channels

            if options.attach:
                open_channels()
                attachment = Attachment.attach(options.attach, options.patience)
            else:  # hub and worker take longest: they are started as soon as can be, and the rest is done meanwhile
                attachment = Attachment.start(options.file, open_channels)
            channels = open_channels()
            from rpyc_kernel.faces.jupyter.bridge import Bridge

            bridge = Bridge(channels, attachment, parent, options.patience)
            closing.pop_all()
            return bridge.run()
    except KernelError as error:
        print(f"rpyc_kernel jupyter: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
