"""What all commands on many kernels share, and those that treat each by itself: start, status, interrupt, stop."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

from plumbum import cli

from rpyc_kernel.cli.application import (
    OK,
    RAISED,
    JsonCommand,
    RoleCommand,
    UsageError,
    status_of,
    tell,
)
from rpyc_kernel.cli.lifecycle import wait_for_worker
from rpyc_kernel.cli.showing import LADDER, advise_force
from rpyc_kernel.cli.starting import StartingCommand
from rpyc_kernel.client import launch
from rpyc_kernel.client.archive import stopped_kernels
from rpyc_kernel.client.connect_string import shown_of
from rpyc_kernel.client.execution import Interruption
from rpyc_kernel.core.contract import Force
from rpyc_kernel.core.text_columns import cut
from rpyc_kernel.errors import GroupFailed, KernelExists
from rpyc_kernel.faces.frontend.control_characters import sanitize, sanitize_line
from rpyc_kernel.faces.frontend.summaries import format_bytes, summarise_work
from rpyc_kernel.groups.fanning import fan_out
from rpyc_kernel.groups.labels import describe as describe_names
from rpyc_kernel.groups.labels import fold_alike
from rpyc_kernel.groups.targets import expand
from rpyc_kernel.system.own_command import as_typed_here
from rpyc_kernel.system.threads import make_thread, start_threads

_T = TypeVar("_T")
_PATIENCE_S = 2.0
"""How long a terminal shows nothing while some kernels do not answer."""
_AWAY = "away"


class GroupCommand(JsonCommand):
    """A command on many kernels. With --json each is an object on a line of its own."""

    USAGE = "    {progname} [SWITCHES] TARGETS...\n"
    NAMES_KERNEL = False

    def find_targets(self, words: Sequence[str], *, only_running: bool = True) -> list[str]:
        """Write out which kernels are meant; patterns mean those that run, or also those that are stopped."""
        if not words:
            raise UsageError("which kernels? Name them, or a pattern such as 'train-*'; 'rpyc-kernel list' shows them")

        def names() -> list[str]:
            stopped = [] if only_running else [kernel.name for kernel in stopped_kernels()]
            return [*(kernel.name for kernel in launch.kernels()), *stopped]

        return expand(words, names, only_running=only_running)

    def do_all(
        self,
        targets: Sequence[str],
        act: Callable[[str], _T],
        describe: Callable[[str, _T], str],
        answer: Callable[[_T], dict[str, Any]],
    ) -> int:
        """Do it to all, and say of each what has come of it; returns the first status that is not that of success."""
        results, errors = ask_all(targets, act)
        for target in targets:
            who = shown_of(target)
            if target in errors:
                continue
            if self.as_json:
                print(json.dumps({"kernel": who, **answer(results[target])}))
            else:
                print(sanitize(describe(who, results[target])))
        self.tell_failures(errors)
        return first_status(errors)

    def tell_failures(self, errors: Mapping[str, Exception]) -> None:
        """Say why there is nothing to hear from these targets; to people what is equal once."""
        shown = {shown_of(target): error for target, error in errors.items()}
        if self.as_json:
            for who, error in shown.items():
                print(json.dumps({"kernel": who, "error": type(error).__name__, "message": str(error)}), flush=True)
            return
        for names, text in fold_alike({who: str(error) for who, error in shown.items()}):
            told = f"{describe_names(names)}: {text}" if len(names) > 1 else _naming(names[0], shown[names[0]])
            tell(f"rpyc-kernel: {told}")


def ask_all(targets: Sequence[str], act: Callable[[str], _T]) -> tuple[dict[str, _T], dict[str, Exception]]:
    """Do something with all at once; returns what has come of it, and what went wrong, by target."""
    waited = dict.fromkeys(targets)

    def do(target: str) -> _T:
        try:
            return act(target)
        finally:
            del waited[target]

    with telling_whom(waited):
        try:
            return fan_out("the command", {target: partial(do, target) for target in targets}), {}
        except GroupFailed as failed:
            return failed.results, failed.errors


@contextlib.contextmanager
def telling_whom(waited: Collection[str], what: str = "waiting for") -> Iterator[None]:
    """Say on a terminal, once that takes a while, what is done then and with which targets."""
    if not sys.stderr.isatty():
        yield
        return
    is_over = threading.Event()

    def say() -> None:
        if not is_over.wait(_PATIENCE_S) and (names := [shown_of(target) for target in tuple(waited)]):
            tell(f"{what} {describe_names(names)}")

    thread = make_thread(say, "rpyc_kernel-waiting")
    start_threads(thread)
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def first_status(errors: Mapping[str, Exception]) -> int:
    """The exit status where these have failed, in order."""
    return next(map(status_of, errors.values()), OK)


def _naming(who: str, error: BaseException) -> str:
    """Why it failed, with the kernel's name where the error does not say it."""
    return str(error) if who in str(error) else f"{who}: {error}"


class GroupStart(StartingCommand, GroupCommand):
    """Start those that do not run; the switches are as of 'rpyc-kernel start', and the same for all.

    Examples:
        rpyc-kernel group start 'train-{0..7}'
        rpyc-kernel group start 'ssh://gpu{1..8}/train' --env OMP_NUM_THREADS=4
    """

    USAGE = GroupCommand.USAGE

    def main(self, *targets: str) -> int:
        found, settings = self.find_targets(targets), self.settings()

        def start(target: str) -> dict[str, Any]:
            try:
                with launch.start(target, **settings) as kernel:
                    wait_for_worker(kernel)
                return {"started": True}
            except KernelExists:
                return {"started": False}

        def describe(who: str, done: dict[str, Any]) -> str:
            return f"kernel {who!r} is {'running' if done['started'] else 'running already'}"

        return self.do_all(found, start, describe, dict)


class GroupStatus(GroupCommand):
    """Say what each kernel does, in a line; without TARGETS of all that run on this machine.

    With --json each is an object on a line of its own, with all that 'rpyc-kernel status --json' tells.

    Example:
        rpyc-kernel group status 'train-*'
    """

    USAGE = "    {progname} [SWITCHES] [TARGETS...]\n"

    def main(self, *targets: str) -> int:
        if not targets and not launch.kernels():
            if not self.as_json:
                print(as_typed_here("no kernel is running; 'rpyc-kernel group start TARGETS' starts some"))
            return OK
        found = self.find_targets(targets or ("*",))

        def ask(target: str) -> dict[str, Any]:
            with self.connect(target, joins=False) as kernel:
                return kernel.status()

        if self.as_json:
            return self.do_all(found, ask, lambda who, status: "", dict)
        statuses, errors = ask_all(found, ask)
        rows = [_describe(shown_of(target), statuses.get(target), errors.get(target)) for target in found]
        for line in _in_columns(rows):
            print(line)
        return first_status(errors)


def _describe(who: str, status: dict[str, Any] | None, error: Exception | None) -> tuple[str, ...]:
    if status is None:
        return who, _AWAY, "", "", as_typed_here(str(error))
    memory = status["memory_bytes"]
    generation = f"generation {status['generation']}"
    return who, status["state"], generation, format_bytes(memory) if memory else "", summarise_work(status)


def _in_columns(rows: list[tuple[str, ...]]) -> list[str]:
    """A line for each, which on a terminal is no longer than that is wide, but for why one is away."""
    width = shutil.get_terminal_size().columns - 1 if sys.stdout.isatty() else sys.maxsize
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join([*(cell.ljust(size) for cell, size in zip(row, widths, strict=False)), sanitize_line(row[4])])
        for row in rows
    ]
    return [
        line.rstrip() if row[1] == _AWAY else cut(line.rstrip(), width) for line, row in zip(lines, rows, strict=True)
    ]


class GroupInterrupt(RoleCommand, GroupCommand):
    """Interrupt what runs in each kernel. The exit status is 1 if something goes on.

    Example:
        rpyc-kernel group interrupt 'train-*'
    """

    USAGE = GroupCommand.USAGE

    force = cli.SwitchAttr("--force", cli.Set(*LADDER), default=Force.SIGNAL, help="as of 'rpyc-kernel interrupt'")

    def main(self, *targets: str) -> int:
        def interrupt(target: str) -> Interruption:
            with self.connect(target, insists=True) as kernel:
                return kernel.interrupt(force=str(self.force))

        goes_on = []

        def describe(who: str, done: Interruption) -> str:
            if done.status == "unanswered":
                goes_on.append(who)
            words = {
                "stopped": f"execution {done.execution} was interrupted",
                "not-running": "nothing is running",
                "unanswered": f"execution {done.execution} goes on{advise_force(str(self.force))}",
            }
            return f"{who}: {words[done.status]}"

        def answer(done: Interruption) -> dict[str, Any]:
            if done.status == "unanswered":
                goes_on.append("")
            return {"status": done.status, "execution": done.execution, "stack": done.stack}

        status = self.do_all(self.find_targets(targets), interrupt, describe, answer)
        return status or (RAISED if goes_on else OK)


class GroupStop(GroupCommand):
    """End kernels, workers and hubs. What happened in them stays in their journals.

    Example:
        rpyc-kernel group stop 'train-*'
    """

    def main(self, *targets: str) -> int:
        def stop(target: str) -> None:
            if not launch.stop_orphan(target):
                with self.connect(target, insists=True) as kernel:
                    kernel.shutdown()

        found = self.find_targets(targets)
        return self.do_all(found, stop, lambda who, _: f"kernel {who!r} is stopped", lambda _: {"stopped": True})
