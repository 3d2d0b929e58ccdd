"""What commands that open a front end share: how they join a kernel, and start it if there is none."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from plumbum import cli

from rpyc_kernel.cli.application import (
    INTERRUPTED,
    NO_KERNEL,
    OK,
    TERMINATED,
    RoleCommand,
    UsageError,
    kernel_there,
    named_again,
    tell,
)
from rpyc_kernel.cli.starting import StartingCommand, telling_what_may_run
from rpyc_kernel.client import launch
from rpyc_kernel.client.address import host_of, is_on_other_machine, is_place, resolve
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import Role
from rpyc_kernel.errors import KernelError, KernelExists, NoSuchKernel
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.frontend.session_slot import take_session_slot

if TYPE_CHECKING:
    from rpyc_kernel.faces.frontend.conversation import Conversation

_START_TIMEOUT_S = 30.0


class FrontEndCommand(StartingCommand, RoleCommand):
    """A command by which a person works in a kernel."""

    session = cli.SwitchAttr("--session", str, help="the session to continue; else a free one of yours", argname="ID")
    shown_name = cli.SwitchAttr("--as", str, help="how others see you; else your user name", argname="NAME")
    replays = cli.Flag("--replay", help="first show all that happened in the kernel so far")
    is_viewer = cli.Flag("--read-only", help="look on: see everything, run and change nothing; as --role viewer")

    @property
    def wanted_role(self) -> str | None:
        """The role that the switches say, of which one has a name of its own."""
        role = super().wanted_role
        if self.is_viewer and role not in (None, Role.VIEWER):
            raise UsageError(f"--read-only is --role {Role.VIEWER}, and not {role}; leave one of them out")
        return Role.VIEWER if self.is_viewer else role

    @property
    def takes_slot(self) -> bool:
        """Whether a person sits there, who comes back as the same session."""
        return True

    @contextlib.contextmanager
    def open_conversation(self, name: str, hint: str) -> Iterator[Conversation]:
        """A conversation with the kernel, as the switches say, which greets with a hint at what can be done."""
        from rpyc_kernel.faces.frontend.conversation import Conversation  # takes a while to load

        kernel, how = self.join_or_start(name)
        with kernel:
            yield Conversation(
                kernel,
                self.greet(kernel, how, name, hint),
                target=named_again(name),
                host=sanitize_line(host_of(name)),
                replays=bool(self.replays),
                is_viewer=kernel.role == Role.VIEWER,
            )

    def greet(self, kernel: KernelClient, how: str, name: str, hint: str) -> str:
        """What is said first."""
        return f"{how} kernel {kernel_there(kernel.name, name)} as {kernel.client_name}; {hint}"

    def status_of_end(self, end: str, name: str) -> int:
        """The exit status of a conversation that ended so; where the connection is lost, tells the way back."""
        from rpyc_kernel.faces.frontend import conversation as ends

        if end == ends.LOST:
            tell(self.find_loss(name) or f"if the kernel is still there, come back with {self.way_back(name)}")
        return {ends.LEFT: OK, ends.INTERRUPTED: INTERRUPTED, ends.TERMINATED: TERMINATED}.get(end, NO_KERNEL)

    def join_or_start(self, name: str) -> tuple[KernelClient, str]:
        """The kernel, and whether it was ``joined`` or ``started``; tells which switches were of no use."""
        kernel, how = self._join_or_start(name)
        if how == "joined" and self.of_start:
            unused = f"{', '.join(self.of_start)} {'was' if len(self.of_start) == 1 else 'were'} not used"
            tell(f"rpyc-kernel: kernel {name!r} runs already, so {unused}")
        return kernel, how

    def _join_or_start(self, name: str) -> tuple[KernelClient, str]:
        try:
            return self._join(name), "joined"
        except NoSuchKernel:
            if self.wanted_role == Role.VIEWER or (is_place(name) and not is_on_other_machine(name)):
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
        join = take_session_slot if self.takes_slot else launch.connect
        return join(name, session=self.session, name=self.shown_name, role=self.wanted_role)

    def find_loss(self, name: str) -> str:
        """Why one cannot come back to a kernel whose connection is lost; "" where that may be."""
        try:
            resolve(name)
        except KernelError as error:
            return str(error)
        return ""

    def way_back(self, name: str) -> str:
        """The command that opens this kernel again; what must not be seen of a connect string is not in its name."""
        again = named_again(name)
        return f"'{self.PROGNAME} {again}'{' and the same connect string' if again == '-' else ''}"
