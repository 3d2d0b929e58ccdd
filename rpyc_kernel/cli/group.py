"""The commands for many kernels at once, by name: group start, exec, run, status, log, stack, interrupt, stop."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import difflib
import sys

from plumbum import cli

from rpyc_kernel.cli.application import USAGE, Application, UsageError
from rpyc_kernel.cli.group_commands import GroupInterrupt, GroupStart, GroupStatus, GroupStop
from rpyc_kernel.cli.group_execute import GroupExec, GroupRun
from rpyc_kernel.cli.group_log import GroupLog
from rpyc_kernel.cli.group_stack import GroupStack

_COMMANDS = {
    "start": GroupStart,
    "exec": GroupExec,
    "run": GroupRun,
    "status": GroupStatus,
    "log": GroupLog,
    "stack": GroupStack,
    "interrupt": GroupInterrupt,
    "stop": GroupStop,
}
_HELP = """\
Say the same to many kernels at once, and hear from each.

Usage: rpyc-kernel group COMMAND [SWITCHES] TARGETS... ...

  start      start those that do not run
  exec       run code in all of them, and show who prints what
  run        run a program in all of them
  status     what each of them does, in a line
  log        what happened in them, in the order of time; --follow goes on
  stack      where their threads are now: what is equal once, with who is there
  interrupt  interrupt what runs in them
  stop       end them

TARGETS are names, addresses as for other commands, and patterns of them: 'train-{0..7}', 'train-*' for the kernels of
this machine that run, 'ssh://gpu{1..8}/train'. What happens to one keeps back none of the others; who failed, and why,
is told.

The exit status is 0 if all went well everywhere, else that of the first kernel, in the order of the targets, where it
did not: as of 'exec', 3 for one that cannot be reached.
"""


class Group(Application):
    """Say the same to many kernels at once, and hear from each."""

    CALL_MAIN_IF_NESTED_COMMAND = False

    def main(self, *arguments: str) -> int:
        if not arguments:
            print(_HELP, end="", file=sys.stderr)
            return USAGE
        near = difflib.get_close_matches(arguments[0], _COMMANDS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"choose one of {', '.join(_COMMANDS)}"
        raise UsageError(f"there is no command 'group {arguments[0]}'; {hint}")

    @cli.switch(["-h", "--help"], overridable=True, group="Meta-switches", help="show this")
    def help(self) -> None:
        print(_HELP, end="")


Group.unbind_switches("--help-all", "--version", "-v", "--completions")
for _name, _command in _COMMANDS.items():
    Group.subcommand(_name, _command)
