"""A controller of ipyparallel, and kernels that are its engines, for as long as a test needs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import rpyc_kernel
from rpyc_kernel import KernelClient
from tests.support.folders import Folders
from tests.support.waiting import wait_until

PATIENCE_S = 60.0
BEAT_MS = 200
"""How often the controller asks whether its engines are there: the first time makes them known."""


class Controller:
    """A controller in a folder of its own."""

    def __init__(self, folder: Path, *options: str) -> None:
        security = folder / "profile_default" / "security"
        self.engine_file = security / "ipcontroller-engine.json"
        self.client_file = security / "ipcontroller-client.json"
        command = ["-m", "ipyparallel.controller", "--ip=127.0.0.1", f"--HeartMonitor.period={BEAT_MS}", *options]
        self._process = subprocess.Popen(
            [sys.executable, *command],
            env={**os.environ, "IPYTHONDIR": str(folder)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # with it end the schedulers that it starts
        )
        wait_until(lambda: self.engine_file.exists() and self.client_file.exists(), PATIENCE_S, "its files")

    def close(self) -> None:
        """End it, at once."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Engine:
    """A kernel, and the command that has it be an engine."""

    def __init__(self, controller: Controller, name: str, number: int, folders: Folders) -> None:
        self.kernel: KernelClient = rpyc_kernel.start(name, engine="ipython", timeout=PATIENCE_S)
        command = ["jupyter", "engine", name, "--file", str(controller.engine_file), "--id", str(number)]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "rpyc_kernel", *command, "--patience", "1"],
            env={**os.environ, **folders.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.begun = (self.process.stdout or sys.stdin).readline()

    def wait(self) -> tuple[int, str]:
        """Wait for the command's end; returns its status and what it has said."""
        told, failed = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, told + failed

    def close(self) -> None:
        """End the command; the kernel ends with its folders."""
        self.process.terminate()
        self.process.communicate()
        self.kernel.close()


@contextmanager
def kernels_as_engines(folder: Path, folders: Folders, count: int, *options: str) -> Iterator[list[Engine]]:
    """A controller with so many kernels as its engines, numbered from 0; the environment has to lead to the folders."""
    with ExitStack() as closing:
        controller = Controller(folder, *options)
        closing.callback(controller.close)
        engines = []
        for number in range(count):
            engine = Engine(controller, f"engine-{number}", number, folders)
            closing.callback(engine.close)
            engines.append(engine)
        yield engines
