"""The program ``rpyc-kernel``: its commands by name, its help, its exit status."""

from __future__ import annotations

import errno
import os
import sys

from rpyc_kernel import __version__
from rpyc_kernel.cli.answering import Answer
from rpyc_kernel.cli.application import (
    INTERRUPTED,
    RAISED,
    CommandSet,
    OutputClosed,
    status_of,
    tell,
)
from rpyc_kernel.cli.attach import Attach
from rpyc_kernel.cli.console import Console
from rpyc_kernel.cli.debug import Debug
from rpyc_kernel.cli.execute import Approve, Cancel, Decline, Exec, Interrupt, Run
from rpyc_kernel.cli.group import Group
from rpyc_kernel.cli.hiding import take_secrets
from rpyc_kernel.cli.introspection import Stack, Status, Vars, WatchExpressions
from rpyc_kernel.cli.jobs import Output, Result, Submit, Wait
from rpyc_kernel.cli.jupyter import Jupyter
from rpyc_kernel.cli.lifecycle import Forget, List, Restart, Start, Stop
from rpyc_kernel.cli.past import History, Log
from rpyc_kernel.cli.people import Invite, Kick, Revoke, Sessions
from rpyc_kernel.cli.qt import Qt
from rpyc_kernel.cli.screen import Screen
from rpyc_kernel.cli.serve import Serve
from rpyc_kernel.cli.transfer import Pull, Push
from rpyc_kernel.cli.web import Web
from rpyc_kernel.errors import KernelError

_BROKEN_PIPE = 141
"""What a shell reports of a program that SIGPIPE ended."""

_OF_WRITING = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
"""Why what is open cannot be written."""

_COMMANDS = {
    "start": Start,
    "list": List,
    "attach": Attach,
    "status": Status,
    "console": Console,
    "qt": Qt,
    "screen": Screen,
    "web": Web,
    "serve": Serve,
    "exec": Exec,
    "run": Run,
    "debug": Debug,
    "submit": Submit,
    "wait": Wait,
    "output": Output,
    "result": Result,
    "answer": Answer,
    "log": Log,
    "history": History,
    "vars": Vars,
    "watch": WatchExpressions,
    "pull": Pull,
    "push": Push,
    "interrupt": Interrupt,
    "cancel": Cancel,
    "approve": Approve,
    "decline": Decline,
    "stack": Stack,
    "restart": Restart,
    "stop": Stop,
    "invite": Invite,
    "sessions": Sessions,
    "revoke": Revoke,
    "kick": Kick,
    "forget": Forget,
    "group": Group,
    "jupyter": Jupyter,
}

_HELP = """\
One live Python interpreter that any number of clients share, leave, and come back to.

Usage: rpyc-kernel COMMAND [SWITCHES] [NAME] ...

  start      start a kernel
  attach     open one in a Python process that runs, which goes on (Python 3.14)
  list       list the kernels of this user, or those of hosts (ssh://HOST/ ...); --all: also stopped ones
  stop       end a kernel
  restart    give it a new, empty namespace
  forget     remove the journal of one that is stopped

  console    open a prompt on it; starts it if need be
  screen     the same on a full screen, with queue, people, variables and plots beside it
  web        serve that screen to a browser on this machine, behind a token
  serve      serve kernels to an editor or another program, by JSON-RPC on its standard input and output
  qt         open a window on it, with its variables, tables and plots; starts it if need be
  exec       run code in it; 'exec NAME - < FILE' reads the code from a file
  run        run a program in a kernel of its own, which ends with it
  debug      run a program in its debugger: breakpoints, steps, values; starts it if need be

  submit     leave code in its queue, and go; 'submit NAME --file FILE' a program
  wait       wait until it has ended; the exit status is the code's; --until an expression is true
  output     what it has written
  result     the value it has ended with, or the error
  answer     answer what code asks, or show it

  status     what it does, who waits for what, who is there
  vars       its variables
  watch      what expressions are, after each execution
  pull       copy a value to a file
  push       copy a file to a variable
  stack      where its threads are
  log        what happened in it; --follow goes on, --tail, --since, --execution and --session choose
  history    what was run in it; 'history NAME TEXT' searches
  interrupt  interrupt what runs in it
  cancel     take an execution out of its queue
  approve    let code run for which somebody asks who comes as asker
  decline    have it not run

  invite     let somebody in who is elsewhere: prints a line to give to them
  sessions   who is there, and who is invited
  revoke     end an invitation, and what was connected with it
  kick       end the connections of a session

  group      the same to many kernels at once: start, exec, run, status, log, interrupt, stop

  jupyter    make kernels known to Jupyter: install, uninstall, list; and to ipyparallel: engine

'rpyc-kernel COMMAND --help' tells more. Without a NAME most take the kernel of the connect string in
RPYC_KERNEL_INVITATION, and where there is none 'default'. Instead of a name there can be
ssh://[USER@]HOST[:PORT]/NAME, where nothing need be installed but Python, the path of a connection file, a connect
string (rpyc+tls://...; '-' reads it from standard input), or tcp://HOST:PORT with the kernel's key in
RPYC_KERNEL_KEY.

Exit status: 0 success, 1 the code raised, 2 wrong usage, 3 no such kernel or no connection, 124 its time was over,
130 interrupted by Ctrl-C.
"""


class RpycKernel(CommandSet):
    """One live Python interpreter that any number of clients share, leave, and come back to."""

    PROGNAME = "rpyc-kernel"
    VERSION = __version__
    HELP = _HELP


RpycKernel.unbind_switches("--help-all", "--completions")
RpycKernel.offer(_COMMANDS)


def run(arguments: list[str]) -> int:
    """Run a command line to its exit status; whatever goes wrong becomes a line on standard error."""
    _open_missing_streams()
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
        status = int(RpycKernel.run(take_secrets(arguments), exit=False)[1])
        sys.stdout.flush()
    except (OutputClosed, BrokenPipeError):
        return _give_up_output(_BROKEN_PIPE)
    except KeyboardInterrupt:
        return INTERRUPTED
    except KernelError as error:
        tell(f"rpyc-kernel: {error}")
        return status_of(error)
    except OSError as error:
        # Whoever writes to a file says which.
        where = "standard output cannot be written: " if error.errno in _OF_WRITING and error.filename is None else ""
        tell(f"rpyc-kernel: {where}{error}")
        return _give_up_output(RAISED)
    except Exception as error:  # the last resort: no traceback of ours is of any use to a user
        if sys.flags.dev_mode:
            raise
        tell(f"rpyc-kernel: {type(error).__name__}: {error}")
        tell(f"this should not happen; '{sys.executable} -X dev -m rpyc_kernel' shows where it did")
        return RAISED
    return status


def _open_missing_streams() -> None:
    """Put nothing where whoever started this has closed a standard stream, or something else would get its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - as long as the process


def _give_up_output(status: int) -> int:
    """Let the interpreter not complain at its end about output that nobody takes."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return status
