"""Commands about kernels as a whole: start, list, restart, stop."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from plumbum import cli

from rpyc_kernel.cli.application import (
    DEFAULT_NAME,
    NO_KERNEL,
    OK,
    Command,
    JsonCommand,
    UsageError,
    tell,
)
from rpyc_kernel.cli.starting import StartingCommand, telling_what_may_run
from rpyc_kernel.client import launch
from rpyc_kernel.client.address import is_on_other_machine, is_place
from rpyc_kernel.client.archive import StoppedKernel, forget, stopped_kernels
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.client.launch import KernelInfo
from rpyc_kernel.core.contract import Kind, Security, State
from rpyc_kernel.errors import KernelDied
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.frontend.summaries import format_bytes, format_listening, format_time
from rpyc_kernel.settings import Face, check_name
from rpyc_kernel.system.own_command import as_typed_here

_YES = ("y", "yes")


class Start(StartingCommand, JsonCommand):
    """Start a kernel; or give one that has lost its hub a new one.

    With --foreground it ends with the kernel, for systemd, containers and supervisors: it writes its log to standard
    error, tells systemd when the kernel is ready, and stops the kernel in good order on SIGTERM, Ctrl-C, or when its
    terminal is closed. The exit status is 0 when the kernel was stopped, 1 if its worker cannot be started.

    Examples:
        rpyc-kernel start demo --cwd ~/project --env OMP_NUM_THREADS=4
        rpyc-kernel start nightly --idle-timeout 3600 --nice 10
        rpyc-kernel start demo --foreground
    """

    NAMES_KERNEL = False

    is_foreground = cli.Flag("--foreground", help="stay, until the kernel ends")

    def main(self, name: str = DEFAULT_NAME) -> int:
        if self.is_foreground:
            if self.as_json:
                raise UsageError("--foreground answers by its end alone; leave out --json")
            if is_on_other_machine(name):
                raise UsageError(
                    f"{name}: a kernel in the foreground is started on its own machine; leave out --foreground, "
                    "or log in there"
                )
            launch.launch(check_name(name), face=Face.TERMINAL, is_private=False, in_foreground=True, **self.settings())
        with telling_what_may_run(name), self.start(name) as kernel:
            wait_for_worker(kernel)
            status = kernel.status()
        lines = [
            f"kernel {name!r} is running (hub {status['hub_pid']}, worker {status['worker_pid'] or '-'})",
            as_typed_here(f"open it with 'rpyc-kernel console {name}', stop it with 'rpyc-kernel stop {name}'"),
        ]
        lines[1:1] = [f"it listens on {format_listening(each)}" for each in _unusual(status["listening"])]
        told = ("hub_pid", "worker_pid", "generation", "listening")
        self.write_answer({"name": name, **{key: status[key] for key in told}}, lines)
        return OK


class List(JsonCommand):
    """List the kernels of this user on this machine, or on others, side by side.

    A host that cannot be reached hides none of the others; the exit status is 3 then.

    Examples:
        rpyc-kernel list --all
        rpyc-kernel list ssh://ann@server/ ssh://gpu/ --json
    """

    USAGE = "    {progname} [SWITCHES] [HOST...]\n"
    NAMES_KERNEL = False

    shows_all = cli.Flag(["-a", "--all"], help="also kernels that are stopped, whose journals are there")

    def main(self, *hosts: str) -> int:
        if hosts:
            return self._list_there(hosts)
        found: list[KernelInfo | StoppedKernel] = [*launch.kernels(), *(stopped_kernels() if self.shows_all else [])]
        lines = _describe([(kernel.name, kernel) for kernel in found])
        none = as_typed_here("no kernel is running; 'rpyc-kernel start' starts one")
        self.write_answer([vars(kernel) for kernel in found], lines or [none])
        return OK

    def _list_there(self, hosts: tuple[str, ...]) -> int:
        from rpyc_kernel.client import there

        answer: list[dict[str, Any]] = []
        shown: list[tuple[str, KernelInfo | StoppedKernel]] = []
        problems: list[str] = []
        for listed in there.list_kernels(hosts, shows_stopped=bool(self.shows_all)):
            answer += [{"address": f"{listed.url}{kernel.name}", **vars(kernel)} for kernel in listed.kernels]
            shown += [(f"{listed.url}{kernel.name}", kernel) for kernel in listed.kernels]
            if listed.problem is not None:
                answer.append({"address": listed.url, "error": str(listed.problem)})
                problem = str(listed.problem)
                problems.append(problem if listed.url in problem else f"{listed.url}: {problem}")
            elif not listed.kernels and not self.as_json:
                problems.append(f"{listed.url}: no kernel is running there")
        self.write_answer(answer, _describe(shown))
        sys.stdout.flush()
        for problem in problems:
            tell(f"rpyc-kernel: {sanitize_line(problem)}")
        return NO_KERNEL if any("error" in entry for entry in answer) else OK


def _describe(found: list[tuple[str, KernelInfo | StoppedKernel]]) -> list[str]:
    """A line for each kernel, with how it is named to whoever reads it."""
    width = max((len(shown) for shown, _ in found), default=0)
    return [f"{shown:<{width}}  {kernel.state:<8}  {_tell_more(kernel)}" for shown, kernel in found]


def _tell_more(kernel: KernelInfo | StoppedKernel) -> str:
    if isinstance(kernel, StoppedKernel):
        events = "unreadable" if kernel.events is None else f"{kernel.events} events"
        return f"last seen {format_time(kernel.last_seen)}, journal {format_bytes(kernel.journal_bytes)}, {events}"
    where = " and ".join(map(format_listening, kernel.listening)) or "no port"
    return f"hub {kernel.hub_pid}, worker {kernel.worker_pid or '-'}, {where}, since {format_time(kernel.started)}"


class Forget(Command):
    """Remove the journal of a kernel that is stopped, and all else that it left. It cannot be brought back.

    Examples:
        rpyc-kernel forget demo --yes
        rpyc-kernel forget ssh://gpu/train
    """

    NAMES_KERNEL = False

    is_sure = cli.Flag(["-y", "--yes"], help="do not ask")

    def main(self, name: str) -> int:
        find: Callable[[str], StoppedKernel | None] = _find_stopped
        remove: Callable[[str], None] = forget
        if is_on_other_machine(name):
            from rpyc_kernel.client import there

            find, remove = there.find_stopped, there.forget
        elif is_place(name):
            raise UsageError("a journal is removed by the kernel's name, on its own machine or as ssh://HOST/NAME")
        archive = find(name)
        if not self.is_sure and archive is not None:
            if not sys.stdin.isatty():
                raise UsageError(f"the journal of {name!r} would be gone for good; say so with --yes")
            what = f"{format_bytes(archive.journal_bytes)}, last seen {format_time(archive.last_seen)}"
            if input(f"Remove the journal of kernel {name!r} ({what}) for good? [y/N] ").strip().lower() not in _YES:
                print("nothing was removed")
                return OK
        remove(name)
        print(f"kernel {name!r} is forgotten")
        return OK


def _find_stopped(name: str) -> StoppedKernel | None:
    return next((kernel for kernel in stopped_kernels() if kernel.name == name), None)


class Restart(JsonCommand):
    """Replace a kernel's worker and its namespace; its clients stay connected."""

    def main(self, name: str = DEFAULT_NAME) -> int:
        with self.connect(name, insists=True) as kernel:
            generation = kernel.restart()
        self.write_answer({"generation": generation}, [f"kernel {name!r} has a new namespace: generation {generation}"])
        return OK


class Stop(Command):
    """End a kernel, worker and hub. What happened in it stays in its journal."""

    def main(self, name: str = DEFAULT_NAME) -> int:
        if launch.stop_orphan(name):
            print(f"kernel {name!r} had lost its hub; its worker is stopped")
            return OK
        with self.connect(name, insists=True) as kernel:
            kernel.shutdown()
        print(f"kernel {name!r} is stopped")
        return OK


def _unusual(listening: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those that somebody else than this machine can reach, or that speak TLS."""
    return [each for each in listening if each["security"] != Security.PLAIN]


def wait_for_worker(kernel: KernelClient) -> None:
    """Wait until the namespace is there; a kernel that will never have one is stopped again.

    Raises:
        KernelDied: its worker cannot be started.
    """
    status = kernel.status()
    reason = ""
    if status["state"] == State.STARTING:
        for event in kernel.events(since=status["last"]):
            if event.kind == Kind.WORKER_DIED:
                reason = event.reason
            if event.kind in (Kind.WORKER_STARTED, Kind.WORKER_DIED):
                status = kernel.status()
                if status["state"] != State.STARTING:
                    break
    if status["state"] == State.DEAD:
        kernel.shutdown()
        reason = sanitize_line(reason.strip().rpartition("\n")[2])
        raise KernelDied(f"the worker cannot be started, so kernel {kernel.name!r} was stopped again: {reason}")
