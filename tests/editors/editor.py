"""What each editor is to its tests: a process with a socket, by which it is driven."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.editors.servers import end_server_of
from tests.end_to_end.clients import PATIENCE_S
from tests.support.waiting import wait_until


class Editor:
    """An editor without a screen, which runs until it is killed.

    Args:
        command: starts it.
        socket: what it listens at once it is there.
        environment: its, and that of what asks it.
    """

    def __init__(self, command: Sequence[str], socket: Path, environment: dict[str, str]) -> None:
        self._socket = socket
        self._environment = environment
        nothing = subprocess.DEVNULL
        self._process = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, env=environment)
        try:
            wait_until(socket.exists, PATIENCE_S, f"the socket of {command[0]}")
            self.prepare()
        except BaseException:
            self.kill()
            raise

    def prepare(self) -> None:
        """Do what is to be done once it is there."""

    def run(self, *command: str, check: bool = False) -> str:
        """Run a program that asks the editor something; returns what that prints."""
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE_S, check=check, env=self._environment
        )
        return done.stdout + done.stderr

    @property
    def output(self) -> str:
        """What is shown of the kernel's output."""
        raise NotImplementedError

    def wait_for_output(self, text: str) -> None:
        """Wait until that is shown."""
        wait_until(lambda: text in self.output, PATIENCE_S, f"{text!r} in {self.output!r}")

    def kill_server(self) -> None:
        """Kill the server that it has started."""
        end_server_of(self._process.pid)

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        self._socket.unlink(missing_ok=True)
