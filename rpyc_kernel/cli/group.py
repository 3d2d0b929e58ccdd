"""The commands for many kernels at once, by name: group start, exec, run, status, log, stack, interrupt, stop."""

from __future__ import annotations

from rpyc_kernel.cli.application import CommandSet
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


class Group(CommandSet):
    """Say the same to many kernels at once, and hear from each."""

    HELP = _HELP
    PREFIX = "group "


Group.unbind_switches("--help-all", "--version", "-v", "--completions")
Group.offer(_COMMANDS)
