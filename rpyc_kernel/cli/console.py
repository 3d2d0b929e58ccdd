"""The command that opens a prompt: console."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import sys

from rpyc_kernel.cli.application import (
    DEFAULT_NAME,
    INTERRUPTED,
    NO_KERNEL,
    OK,
    TERMINATED,
    UsageError,
    kernel_there,
    named_again,
)
from rpyc_kernel.cli.joining import FrontEndCommand
from rpyc_kernel.client.address import host_of
from rpyc_kernel.client.connect_string import SCHEME
from rpyc_kernel.core.contract import Role
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.system.own_command import as_typed_here


class Console(FrontEndCommand):
    """Open a prompt on a kernel, and start the kernel if there is none. Leaving the prompt leaves the kernel running.

    Who comes back finds the same jobs, and is shown what happened meanwhile. From a pipe it reads code line by line.
    """

    def main(self, name: str = DEFAULT_NAME) -> int:
        from rpyc_kernel.faces.console import console  # with a terminal library, which takes 0.2 s
        from rpyc_kernel.faces.frontend import conversation as ends

        kernel, how = self.join_or_start(name)
        host = sanitize_line(host_of(name))
        greeting = (
            f"{how} kernel {kernel_there(kernel.name, name)} as {kernel.client_name}; %help explains, Ctrl-D leaves"
        )
        with kernel:
            is_viewer, is_own = kernel.role == Role.VIEWER, not name.startswith(f"{SCHEME}:")
            opened = console.Console(
                kernel,
                greeting,
                target=named_again(name),
                host=host,
                replays=bool(self.replays),
                is_viewer=is_viewer,
            )
            end = opened.run()
        if end in (ends.LOST, ends.REFUSED):
            if end == ends.LOST:
                self.tell_way_back(name)
            return NO_KERNEL
        if end in (ends.INTERRUPTED, ends.TERMINATED):
            return INTERRUPTED if end == ends.INTERRUPTED else TERMINATED
        if self.has_read_string and not (opened.was_used or sys.stdin.isatty()):
            raise UsageError(
                "standard input ended behind the connect string, so there was nothing to run; at a terminal "
                "'rpyc-kernel console -' asks for the string and then for code, and 'rpyc-kernel exec - CODE' runs code"
            )
        if sys.stdin.isatty():
            stop = f", stop it with 'rpyc-kernel stop {name}'" if is_own else ""
            print(as_typed_here(f"the kernel goes on; come back with {self.way_back(name)}{stop}"))
        return OK

    @property
    def takes_slot(self) -> bool:
        return sys.stdin.isatty() and sys.stdout.isatty()
