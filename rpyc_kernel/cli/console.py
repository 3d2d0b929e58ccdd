"""The command that opens a prompt: console."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import os
import sys

from rpyc_kernel.cli.application import DEFAULT_NAME, OK, UsageError
from rpyc_kernel.cli.joining import FrontEndCommand
from rpyc_kernel.client.address import is_on_other_machine
from rpyc_kernel.client.connect_string import SCHEME
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.system.own_command import as_typed_here


class Console(FrontEndCommand):
    """Open a prompt on a kernel, and start the kernel if there is none. Leaving the prompt leaves the kernel running.

    Who comes back finds the same jobs, and is shown what happened meanwhile. From a pipe it reads code line by line.
    """

    _is_of_program = False

    def main(self, name: str = DEFAULT_NAME) -> int:
        from rpyc_kernel.faces.console.console import Console as Face  # with a terminal library, which takes 0.2 s

        with self.open_conversation(name, "%help explains, Ctrl-D leaves") as conversation:
            end = Face(conversation).run()
        status = self.status_of_end(end, name)
        if status != OK:
            return status
        if self.has_read_string and not (conversation.was_used or sys.stdin.isatty()):
            raise UsageError(
                "standard input ended behind the connect string, so there was nothing to run; at a terminal "
                "'rpyc-kernel console -' asks for the string and then for code, and 'rpyc-kernel exec - CODE' runs code"
            )
        if self._is_of_program:
            print("the program goes on")
        elif sys.stdin.isatty():
            is_own = not name.startswith(f"{SCHEME}:")
            stop = f", stop it with 'rpyc-kernel stop {name}'" if is_own else ""
            print(as_typed_here(f"the kernel goes on; come back with {self.way_back(name)}{stop}"))
        return OK

    def greet(self, kernel: KernelClient, how: str, name: str, hint: str) -> str:
        # A program that stops at a point of its code opens this on its terminal, and ends the kernel behind it.
        self._is_of_program = not is_on_other_machine(name) and kernel.status()["worker_pid"] == os.getppid()
        if not self._is_of_program:
            return super().greet(kernel, how, name, hint)
        others = as_typed_here(f"others look in by 'rpyc-kernel console {kernel.name}'")
        return f"the program waits here as kernel {kernel.name!r}; {others}; %help explains, Ctrl-D goes on"

    @property
    def takes_slot(self) -> bool:
        return sys.stdin.isatty() and sys.stdout.isatty()
