"""The command that serves a full screen to a browser: web."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import asyncio
import os
import shlex
import sys

from plumbum import cli

from rpyc_kernel.cli.application import DEFAULT_NAME, SIGNALLED, UsageError, named_again
from rpyc_kernel.cli.joining import FrontEndCommand
from rpyc_kernel.cli.screen import PAGE_DRIVER
from rpyc_kernel.system.own_command import way_to_install

_INSTALL = f"install it with: {way_to_install('web')}"


class Web(FrontEndCommand):
    """Serve the full screen of a kernel to a browser on this machine. Starts the kernel if there is none.

    Prints the address to open, with a token without which nobody gets in. Ctrl-C ends it; the kernel goes on. Needs the
    extra web.
    """

    port = cli.SwitchAttr("--port", cli.Range(0, 65535), default=0, help="where to listen; else a free port")

    @property
    def takes_slot(self) -> bool:
        return False  # the pages do

    def main(self, name: str = DEFAULT_NAME) -> int:
        try:
            import textual  # noqa: F401 - the pages' programs need it

            from rpyc_kernel.faces.screen import web
        except ImportError as error:
            raise UsageError(f"this needs textual-serve and Textual ({error}); {_INSTALL}") from None
        if named_again(name) == "-":
            raise UsageError("a connect string cannot be handed on to pages; put it into RPYC_KERNEL_INVITATION")
        try:
            listener = web.listen(self.port)
        except OSError as error:
            reason = os.strerror(error.errno or 0)
            raise UsageError(f"port {self.port} cannot be used: {reason}; choose another by --port") from None
        with listener:
            self.join_or_start(name)[0].close()
            server = web.GuardedServer(self._command_of_page(name), listener.getsockname()[1], f"rpyc-kernel {name}")
            received = asyncio.run(web.serve(server, listener, lambda address: print(address, flush=True)))
        return SIGNALLED + received

    def _command_of_page(self, name: str) -> str:
        words = ["env", f"TEXTUAL_DRIVER={PAGE_DRIVER}", sys.executable, "-m", "rpyc_kernel", "screen", name]
        words += [f"--role={self.wanted_role}"] if self.wanted_role else []
        words += ["--replay"] if self.replays else []
        words += [f"--as={self.shown_name}"] if self.shown_name else []
        words += [f"--session={self.session}"] if self.session else []
        return f"exec {shlex.join(words)}"
