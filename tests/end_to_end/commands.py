"""Running ``rpyc-kernel`` as a shell does: with pipes instead of a terminal."""

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from rpyc_kernel.cli.program import run
from tests.end_to_end.terminals import COMMAND, IMPATIENT_COMMAND, PATIENCE_S, ROOT
from tests.support.folders import Folders


def run_command(
    *arguments: str, input_text: str = "", is_patient: bool = True, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [*(COMMAND if is_patient else IMPATIENT_COMMAND), *arguments],
        input=input_text,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
    )


RunHere = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run_here(capsys: pytest.CaptureFixture[str]) -> RunHere:
    """Runs commands in this process, where what they need is loaded once: for tables, that takes a second."""

    def run_one(*arguments: str) -> subprocess.CompletedProcess[str]:
        status = run(["rpyc-kernel", *arguments])
        return subprocess.CompletedProcess(arguments, status, *capsys.readouterr())

    return run_one


class CommandProcess:
    """A command that goes on while the test does something else."""

    def __init__(self, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        self._text = b""

    def read_error_line(self) -> str:
        """Wait for the next line of standard error."""
        assert self._process.stderr is not None
        text = b""
        deadline = time.monotonic() + PATIENCE_S
        while not text.endswith(b"\n"):
            ready, _, _ = select.select([self._process.stderr], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no line came; there is {text!r}"
            byte = os.read(self._process.stderr.fileno(), 1)
            assert byte, f"the command ended; it had written {text!r}"
            text += byte
        return text.decode().removesuffix("\n")

    def read_line(self) -> str:
        """Wait for the next line of standard output."""
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        deadline = time.monotonic() + PATIENCE_S
        while b"\n" not in self._text:
            ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f"no line came; there is {self._text!r}"
            piece = os.read(descriptor, 1 << 16)
            assert piece, f"the command ended; it had written {self._text!r} and {self._read_errors()!r}"
            self._text += piece
        line, _, self._text = self._text.partition(b"\n")
        return line.decode()

    def write(self, text: str) -> None:
        """Write to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(text.encode())
        self._process.stdin.flush()

    def close_output(self) -> None:
        """Read no further, as 'head' does."""
        assert self._process.stdout is not None
        self._process.stdout.close()

    def signal(self, number: int) -> None:
        """Send it a signal."""
        self._process.send_signal(number)

    def wait(self) -> tuple[int, str, str]:
        """Wait for its end; returns the exit status and what is left on standard output and error."""
        out, err = self._process.communicate(timeout=PATIENCE_S)
        return self._process.returncode, (self._text + (out or b"")).decode(), err.decode()

    def close(self) -> None:
        """Leave nothing behind of it."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            pipe.close()

    def _read_errors(self) -> bytes:
        assert self._process.stderr is not None
        return self._process.stderr.read()


StartCommand = Callable[..., CommandProcess]


@pytest.fixture
def start_command(folders: Folders) -> Iterator[StartCommand]:
    """Starts commands, and ends them with the test."""
    with ExitStack() as opened:

        def start(*arguments: str) -> CommandProcess:
            command = CommandProcess(*arguments)
            opened.callback(command.close)
            return command

        yield start
