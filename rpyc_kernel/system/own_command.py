"""What a user types to run ``rpyc-kernel`` here, for messages that say which command helps."""

from __future__ import annotations

import functools
import os
import shlex
import shutil
import sys

from rpyc_kernel.system import bundle_start

_NAME = "rpyc-kernel"


def as_typed_here(message: str) -> str:
    """Return a message whose commands, in it as ``'rpyc-kernel …'``, work where they are pasted here."""
    return message.replace(f"'{_NAME} ", f"'{own_command()} ")


def way_to_install(extra: str) -> str:
    """Return the command line that installs an extra of this package into this environment, which has the package."""
    return f"{shlex.quote(sys.executable)} -m pip install 'rpyc-kernel[{extra}]'"


@functools.cache
def own_command() -> str:
    """The command line up to the command: its name where PATH has it, else as this process was started."""
    if shutil.which(_NAME) or bundle_start.of_this_process():  # in a bundle, what it says is read on another machine
        return _NAME
    if os.path.basename(sys.argv[0]) == _NAME:
        return shlex.quote(sys.argv[0])
    return shlex.join([sys.orig_argv[0], "-m", "rpyc_kernel"])
