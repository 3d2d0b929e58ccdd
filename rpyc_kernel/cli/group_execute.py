"""Commands about code in many kernels: group exec, group run."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Sequence
from typing import Any

from plumbum import cli

from rpyc_kernel.cli.application import RoleCommand, UsageError, tell
from rpyc_kernel.cli.group_commands import GroupCommand, first_status, telling_whom
from rpyc_kernel.cli.group_showing import GroupShow
from rpyc_kernel.cli.reading import locate, read_code
from rpyc_kernel.cli.showing import LADDER, TimeLimit
from rpyc_kernel.cli.times import check_limit
from rpyc_kernel.client.address import host_of
from rpyc_kernel.core.contract import Force
from rpyc_kernel.errors import GroupFailed
from rpyc_kernel.faces.groups.arrivals import Loss
from rpyc_kernel.groups.execution import GroupExecution
from rpyc_kernel.groups.group import Group
from rpyc_kernel.groups.opening import group as open_group


class GroupCodeCommand(RoleCommand, GroupCommand):
    """A command that hands in code, and shows what comes of it."""

    timeout = cli.SwitchAttr("--timeout", float, help="end the code after so many seconds", argname="SECONDS")
    force = cli.SwitchAttr(
        "--force", cli.Set(*LADDER), default=Force.EXCEPTION, help="how far to go to end it when its time is over"
    )
    retry = cli.SwitchAttr(
        "--retry", int, default=0, help="run it again, up to so often, where the kernel was lost", argname="NUMBER"
    )
    is_folding = cli.Flag(["-b", "--fold"], help="show what they print at the end, what is equal once")
    skips_missing = cli.Flag("--skip-missing", help="go on without those that cannot be reached")
    shown_name = cli.SwitchAttr("--as", str, help="how others see you; else your user name", argname="NAME")

    def hand_in(self, targets: Sequence[str], hand_in: Callable[[Group], GroupExecution], *, shows_values: bool) -> int:
        """Hand something in to all, and show what comes of it; returns the exit status."""
        limit_s = check_limit(self.timeout)
        if limit_s == 0:
            raise UsageError("--timeout 0 leaves the code no time; use more seconds")
        if self.retry < 0:
            raise UsageError(f"--retry {self.retry}: use 0 or more")
        if self.retry and self.force == Force.TERMINATE:
            raise UsageError("--retry would run again what --force terminate has ended; leave one of them out")
        news: queue.SimpleQueue[Any] = queue.SimpleQueue()
        try:
            with telling_whom(targets, "connecting to"):
                group = open_group(
                    targets,
                    missing="skip" if self.skips_missing else "refuse",
                    name=self.shown_name,
                    role=self.wanted_role,
                    on_loss=lambda name, words: news.put(Loss(name, words)),
                )
        except GroupFailed as failed:
            self.tell_failures(failed.errors)
            if not self.skips_missing:
                tell("nothing was run; --skip-missing goes on without those that cannot be reached")
            return first_status(failed.errors)
        self.tell_failures(group.missing)
        with group:
            show = GroupShow(
                group.names,
                news,
                shows_values=shows_values,
                as_json=bool(self.as_json),
                is_folding=bool(self.is_folding),
                limit=None if limit_s is None else TimeLimit(limit_s, str(self.force)),
            )
            status = show.run(lambda: hand_in(group))
        return status or first_status(group.missing)


class GroupExec(GroupCodeCommand):
    """Run code in kernels at once, and show what it prints and the value of its last expression, with who says it.

    The last word is the code; '-' reads it from standard input. Code that begins with a dash needs '--' before it. On a
    terminal, what takes longer has a line for each kernel, with its state, its time and what it printed last. Ctrl-C
    interrupts the code in all kernels; a second one leaves it running.

    Who cannot be reached keeps the code from being run anywhere, unless --skip-missing. The exit status is 0 if all
    went well, else that of the first kernel where it did not, as of 'rpyc-kernel exec'. With --json each event is an
    object on a line of its own, with the name of its kernel.

    Examples:
        rpyc-kernel group exec 'train-{0..7}' 'model.loss'
        rpyc-kernel group exec --fold 'train-*' 'import torch; torch.__version__'
        rpyc-kernel group exec 'ssh://gpu{1..8}/train' - < step.py
    """

    USAGE = "    {progname} [SWITCHES] TARGETS... CODE | -\n"

    def main(self, *words: str) -> int:
        if len(words) == 1:
            raise UsageError(
                f"which code is {words[0]!r} to run? It is the last word; '-' reads it from standard input"
            )
        targets = self.find_targets(words[:-1])
        code = read_code(words[-1:])
        retry = int(self.retry)
        return self.hand_in(targets, lambda group: group.submit(code, retry=retry), shows_values=True)


class GroupRun(GroupCodeCommand):
    """Run a program in kernels at once, in the namespace of each, and show what it prints, with who says it.

    The last word before '--' is the file, which each kernel reads on its own machine; what follows '--' is for the
    program, in sys.argv. All else is as of 'rpyc-kernel group exec'.

    Examples:
        rpyc-kernel group run 'train-{0..7}' train.py -- --epochs 3
        rpyc-kernel group run 'ssh://gpu{1..8}/train' /srv/train.py
    """

    USAGE = "    {progname} [SWITCHES] TARGETS... FILE [-- ARGUMENTS...]\n"

    arguments: tuple[str, ...] = ()

    def _sort(self, argv: list[str]) -> list[str]:
        if "--" in argv:
            at = argv.index("--")
            argv, self.arguments = argv[:at], tuple(argv[at + 1 :])
        return super()._sort(argv)

    def main(self, *words: str) -> int:
        if len(words) == 1:
            raise UsageError(f"which file is {words[0]!r} to run? It is the last word before '--'")
        targets = self.find_targets(words[:-1])
        file = _locate_for_all(words[-1], targets)
        arguments, retry = self.arguments, int(self.retry)
        return self.hand_in(targets, lambda group: group.run_file(file, arguments, retry=retry), shows_values=False)


def _locate_for_all(file: str, targets: Sequence[str]) -> str:
    """The path of a program as all kernels find it."""
    elsewhere = [target for target in targets if host_of(target)]
    if elsewhere and len(elsewhere) < len(targets) and not os.path.isabs(file):
        raise UsageError(
            f"{file!r} is another file on each machine: name it by its whole path, or run it here and there by itself"
        )
    return file if elsewhere else locate(file, "")
