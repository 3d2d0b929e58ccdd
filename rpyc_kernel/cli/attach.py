"""The command that opens a kernel in a process that runs: attach."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

from plumbum import cli

from rpyc_kernel.cli.application import OK, JsonCommand, UsageError, tell
from rpyc_kernel.cli.starting import ending_in_order
from rpyc_kernel.cli.times import check_limit
from rpyc_kernel.system.own_command import as_typed_here

_PATIENCE_S = 30.0


class Attach(JsonCommand):
    """Open a kernel in a Python process that runs, which goes on with its own work. Takes Python 3.14 on both sides.

    Executions run in a thread of the kernel's own, in the names of the process's __main__. 'rpyc-kernel stop NAME'
    leaves the process as it was. The process has to come to a line of Python first: one that waits for a key or a
    request does when that has come.

    Examples:
        rpyc-kernel attach 12345 --name server
        rpyc-kernel attach "$(pgrep -f server.py)" --timeout 600
    """

    USAGE = "    {progname} [SWITCHES] PID\n"
    NAMES_KERNEL = False

    name = cli.SwitchAttr("--name", str, help="of the kernel; attached-PID if not given", argname="NAME")
    by_sudo = cli.Flag("--sudo", help="have sudo hand the request over, where this user may not")
    timeout = cli.SwitchAttr(
        "--timeout", float, default=_PATIENCE_S, help="for how long to wait for the process", argname="SECONDS"
    )

    def main(self, pid: str) -> int:
        from rpyc_kernel.client.attaching import attach  # here: no other command needs what it brings

        if not (pid.isascii() and pid.isdigit()):
            raise UsageError(f"{pid!r} is not the number of a process; 'pgrep -a python' lists those of Python")
        timeout = check_limit(self.timeout) or 0.0
        with (
            ending_in_order(),
            attach(int(pid), self.name, sudo=bool(self.by_sudo), timeout=timeout, on_wait=_tell_wait) as kernel,
        ):
            name, status = kernel.name, kernel.status()
        lines = [
            f"kernel {name!r} is open in process {pid}, which goes on",
            as_typed_here(f"look in with 'rpyc-kernel console {name}', leave with 'rpyc-kernel stop {name}'"),
        ]
        self.write_answer({"name": name, "pid": int(pid), "hub_pid": status["hub_pid"]}, lines)
        return OK


def _tell_wait(words: str) -> None:
    tell(f"{words}; Ctrl-C gives up")
