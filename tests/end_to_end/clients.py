"""Further clients of a test's kernel: in this process, and in processes of their own."""

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient

ROOT = Path(__file__).parents[2]
PATIENCE_S = 60.0
"""How long anything may take that a slow machine can slow down, in seconds."""


class ClientProcess:
    """Runs one of the programs of `programs/`, which tells on its standard output how far it is.

    Args:
        program: its file's name without the ending.
        arguments: what it gets on the command line.
    """

    def __init__(self, program: str, *arguments: object) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", f"tests.end_to_end.programs.{program}", *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        self.pid = self._process.pid
        self._text = b""

    def hear(self, word: str, timeout_s: float = PATIENCE_S) -> str:
        """Wait for the line that begins with the word, and return what follows it in the line."""
        deadline = time.monotonic() + timeout_s
        while True:
            while b"\n" in self._text:
                line, _, self._text = self._text.partition(b"\n")
                first, _, rest = line.decode().partition(" ")
                if first == word:
                    return rest
            self._read(deadline, word)

    def _read(self, deadline: float, word: str) -> None:
        assert self._process.stdout is not None
        descriptor = self._process.stdout.fileno()
        ready, _, _ = select.select([descriptor], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"the client did not say {word!r} in time"
        piece = os.read(descriptor, 65536)
        assert piece, f"the client ended before it said {word!r}"
        self._text += piece

    def tell(self, line: object) -> None:
        """Write a line to its standard input."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def freeze(self) -> None:
        """Stop it until `thaw`, and see it stopped."""
        os.kill(self.pid, signal.SIGSTOP)
        os.waitid(os.P_PID, self.pid, os.WSTOPPED)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    @property
    def is_frozen(self) -> bool:
        """Whether it neither ended nor went on since `freeze`."""
        options = os.WSTOPPED | os.WCONTINUED | os.WEXITED | os.WNOHANG | os.WNOWAIT
        return os.waitid(os.P_PID, self.pid, options) is None

    def kill(self) -> None:
        """End it by SIGKILL, and see it gone."""
        self._process.kill()
        self._process.wait()

    def wait(self, timeout_s: float = PATIENCE_S) -> int:
        """Wait for its own end; returns its exit status."""
        return self._process.wait(timeout_s)

    def close(self) -> None:
        """Leave nothing behind of it."""
        self.kill()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


StartClient = Callable[..., ClientProcess]
Connect = Callable[..., KernelClient]


@pytest.fixture
def start_client(kernel: KernelClient) -> Iterator[StartClient]:
    """Starts programs that are clients, and ends them with the test."""
    with ExitStack() as opened:

        def start(program: str, *arguments: object) -> ClientProcess:
            client = ClientProcess(program, *arguments)
            opened.callback(client.close)
            return client

        yield start


@pytest.fixture
def connect(kernel: KernelClient) -> Iterator[Connect]:
    """Connects further clients to the test's kernel, and closes them with the test."""
    with ExitStack() as opened:
        yield lambda **options: opened.enter_context(rpyc_kernel.connect("demo", timeout=PATIENCE_S, **options))
