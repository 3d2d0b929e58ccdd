"""Commands that look: status, vars, stack. They answer while the kernel is busy, and tell nobody."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import dataclasses
import json

from rpyc_kernel.cli.application import DEFAULT_NAME, OK, JsonCommand
from rpyc_kernel.faces.frontend.control_characters import sanitize
from rpyc_kernel.faces.frontend.summaries import summarise_status, summarise_variables


class Status(JsonCommand):
    """Say what a kernel is doing, who waits for what, and who is there."""

    def main(self, name: str = DEFAULT_NAME) -> int:
        with self.connect(name, joins=False) as kernel:
            status = kernel.status()
        self.write_answer(status, summarise_status(status))
        return OK


class Vars(JsonCommand):
    """List the variables of a kernel, also while it is busy. With --json each is an object on a line of its own.

    Example:
        rpyc-kernel vars demo
    """

    USAGE = "    {progname} [SWITCHES] [NAME]\n"

    def main(self, name: str = DEFAULT_NAME) -> int:
        with self.connect(name, joins=False) as kernel:
            found = kernel.variables()
        lines = summarise_variables(found)
        if self.as_json:
            lines = [json.dumps(dataclasses.asdict(variable)) for variable in found]
        for line in lines:
            print(line)
        return OK


class Stack(JsonCommand):
    """Show where every thread of a kernel's worker is, also while a C call holds the interpreter lock."""

    def main(self, name: str = DEFAULT_NAME) -> int:
        with self.connect(name, joins=False) as kernel:
            stack = kernel.stack()
        self.write_answer({"stack": stack}, [sanitize(stack).rstrip()])
        return OK
