"""The command that opens a prompt: console."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import sys
import time

from plumbum import cli

from rpyc_kernel.cli.application import (
    DEFAULT_NAME,
    INTERRUPTED,
    NO_KERNEL,
    OK,
    TERMINATED,
    UsageError,
    kernel_there,
    named_again,
    tell,
)
from rpyc_kernel.cli.starting import StartingCommand, telling_what_may_run
from rpyc_kernel.client import launch
from rpyc_kernel.client.address import host_of, is_on_other_machine, is_place, resolve
from rpyc_kernel.client.connect_string import SCHEME
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import Role
from rpyc_kernel.errors import KernelError, KernelExists, NoSuchKernel
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.frontend.session_slot import take_session_slot
from rpyc_kernel.system.own_command import as_typed_here

_START_TIMEOUT_S = 30.0


class Console(StartingCommand):
    """Open a prompt on a kernel, and start the kernel if there is none. Leaving the prompt leaves the kernel running.

    Who comes back finds the same jobs, and is shown what happened meanwhile. From a pipe it reads code line by line.
    """

    session = cli.SwitchAttr("--session", str, help="the session to continue; else a free one of yours", argname="ID")
    shown_name = cli.SwitchAttr("--as", str, help="how others see you; else your user name", argname="NAME")
    replays = cli.Flag("--replay", help="first show all that happened in the kernel so far")
    is_viewer = cli.Flag("--read-only", help="look on: see everything, run and change nothing")

    def main(self, name: str = DEFAULT_NAME) -> int:
        from rpyc_kernel.faces.console import console  # with a terminal library, which takes 0.2 s
        from rpyc_kernel.faces.frontend import conversation as ends

        kernel, how = self._join_or_start(name)
        if how == "joined" and self.of_start:
            unused = f"{', '.join(self.of_start)} {'was' if len(self.of_start) == 1 else 'were'} not used"
            tell(f"rpyc-kernel: kernel {name!r} runs already, so {unused}")
        host = sanitize_line(host_of(name))
        greeting = (
            f"{how} kernel {kernel_there(kernel.name, name)} as {kernel.client_name}; %help explains, Ctrl-D leaves"
        )
        with kernel:
            is_viewer, is_own = kernel.role == Role.VIEWER, not name.startswith(f"{SCHEME}:")
            opened = console.Console(
                kernel,
                greeting,
                target=named_again(name),
                host=host,
                replays=bool(self.replays),
                is_viewer=is_viewer,
            )
            end = opened.run()
        if end in (ends.LOST, ends.REFUSED):
            if end == ends.LOST:
                tell(_tell_way_back(name))
            return NO_KERNEL
        if end in (ends.INTERRUPTED, ends.TERMINATED):
            return INTERRUPTED if end == ends.INTERRUPTED else TERMINATED
        if self.has_read_string and not (opened.was_used or sys.stdin.isatty()):
            raise UsageError(
                "standard input ended behind the connect string, so there was nothing to run; at a terminal "
                "'rpyc-kernel console -' asks for the string and then for code, and 'rpyc-kernel exec - CODE' runs code"
            )
        if sys.stdin.isatty():
            stop = f", stop it with 'rpyc-kernel stop {name}'" if is_own else ""
            print(as_typed_here(f"the kernel goes on; come back with {_way_back(name)}{stop}"))
        return OK

    @property
    def _role(self) -> str | None:
        return Role.VIEWER if self.is_viewer else None

    def _join_or_start(self, name: str) -> tuple[KernelClient, str]:
        try:
            return self._join(name), "joined"
        except NoSuchKernel:
            if self.is_viewer or (is_place(name) and not is_on_other_machine(name)):
                raise
        try:
            with telling_what_may_run(name):
                self.start(name).close()
        except KernelExists:
            return self._join_late(name), "joined"
        return self._join(name), "started"

    def _join_late(self, name: str) -> KernelClient:
        """Join a kernel that somebody else is starting at this very moment."""
        deadline = time.monotonic() + _START_TIMEOUT_S
        while True:
            try:
                return self._join(name)
            except NoSuchKernel:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _join(self, name: str) -> KernelClient:
        if sys.stdin.isatty() and sys.stdout.isatty():
            return take_session_slot(name, session=self.session, name=self.shown_name, role=self._role)
        return launch.connect(name, session=self.session, name=self.shown_name, role=self._role)


def _tell_way_back(name: str) -> str:
    try:
        resolve(name)
    except KernelError as error:
        return str(error)
    return f"if the kernel is still there, come back with {_way_back(name)}"


def _way_back(name: str) -> str:
    """The command that opens this kernel again; what must not be seen of a connect string is not in its name."""
    again = named_again(name)
    return f"'rpyc-kernel console {again}'{' and the same connect string' if again == '-' else ''}"
