"""The command that runs a program in a debugger: debug."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import os

from plumbum import cli

from rpyc_kernel.cli.application import UsageError
from rpyc_kernel.cli.joining import FrontEndCommand
from rpyc_kernel.client.address import is_on_other_machine


class Debug(FrontEndCommand):
    """Run a program in a kernel's debugger, and start the kernel if there is none.

    It stops at its first line, or with --break at those lines only, if there is code; then the commands are those of
    pdb: n, s, r, c, p, w, u, d, l, b, cl and q; 'help' lists them. Ctrl-C pauses the program, a second one interrupts
    it. The exit status is the program's. The kernel goes on, with what the program has left in its namespace. It needs
    debugpy there.

    Examples:
        rpyc-kernel debug demo program.py its arguments
        rpyc-kernel debug demo program.py --break program.py:12 --break 'model.py:40, loss > 1'
    """

    USAGE = "    {progname} [SWITCHES] NAME FILE [--break FILE:LINE]... [ARGUMENTS...]\n"

    breaks = cli.SwitchAttr(
        "--break", str, list=True, help="stop there, if the condition holds", argname="FILE:LINE[, CONDITION]"
    )

    def main(self, name: str, file: str, *arguments: str) -> int:
        from rpyc_kernel.cli.debug_prompt import DebugPrompt, add_breakpoint, describe_breakpoint, parse_breakpoint

        if not is_on_other_machine(name):
            if not os.path.isfile(file):
                raise UsageError(f"there is no file {file!r} to debug")
            file = os.path.abspath(file)
        wanted = [parse_breakpoint(each, file) for each in self.breaks]
        kernel, _ = self.join_or_start(name)
        with kernel, kernel.debugger() as debugger:
            holds = False
            for place, line, condition in wanted:
                is_here = not is_on_other_machine(name) and not place.startswith("<")
                told = add_breakpoint(debugger, os.path.abspath(place) if is_here else place, line, condition)
                print(describe_breakpoint(told))
                holds |= told.is_verified
            if wanted and not holds:
                print("no breakpoint holds, so it stops at its first line")
            return DebugPrompt(kernel, debugger).run(file, list(arguments), stops_first=not holds)

    @property
    def takes_slot(self) -> bool:
        return False
