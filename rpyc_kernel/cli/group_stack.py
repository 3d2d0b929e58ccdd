"""The command that shows what many kernels do right now: group stack."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

from typing import Any

from rpyc_kernel.cli.group_commands import GroupCommand, ask_all, first_status
from rpyc_kernel.client.connect_string import shown_of
from rpyc_kernel.groups.stacks import FoldedStack, fold
from rpyc_kernel.system.own_command import as_typed_here


class GroupStack(GroupCommand):
    """Show where the threads of many kernels are, as a tree: what they have in common once, then who goes where.

    With --json, one object has each stack with the kernels that have it, and why others have none.

    Example:
        rpyc-kernel group stack 'train-{0..63}'
    """

    def main(self, *targets: str) -> int:
        def ask(target: str) -> str:
            with self.connect(target, joins=False) as kernel:
                return kernel.stack()

        found, errors = ask_all(self.find_targets(targets), ask)
        stacks = fold(
            {shown_of(target): stack for target, stack in found.items()},
            {shown_of(target): error for target, error in errors.items()},
        )
        answer = {
            "main": [_describe(stack) for stack in stacks.main],
            "threads": [_describe(stack) for stack in stacks.threads],
            "errors": {who: str(error) for who, error in stacks.errors.items()},
        }
        self.write_answer(answer, as_typed_here(str(stacks)).splitlines())
        return first_status(errors)


def _describe(stack: FoldedStack) -> dict[str, Any]:
    return {"kernels": stack.names, "frames": [frame._asdict() for frame in stack.frames]}
