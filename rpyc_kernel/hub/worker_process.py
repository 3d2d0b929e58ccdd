"""A worker process from its start until it is told who it is.

It takes the worker longer to import what it needs than it takes the hub to know which generation comes next. So the
process is started first, and reads the rest from its standard input when it is ready for it.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess  # noqa: F401 - `spawn_module` imports it when called: too late where there is no descriptor left

from rpyc_kernel.core.contract import WORKER_VERSION
from rpyc_kernel.frozen import fields_of
from rpyc_kernel.settings import HubSettings, WorkerSettings
from rpyc_kernel.system import processes
from rpyc_kernel.system.runtime_folder import RuntimeFolder, listen

_BACKLOG = 8


class WorkerProcess:
    """Starts a worker that listens on the kernel's worker socket.

    Args:
        folder: the kernel's runtime folder.
        hub_settings: which interpreter.
        settings: of the worker.
        standard_input: a descriptor for user code to read from, which is closed here; None if it asks clients.

    Raises:
        OSError: it cannot be started.
    """

    def __init__(
        self,
        folder: RuntimeFolder,
        hub_settings: HubSettings,
        settings: WorkerSettings,
        standard_input: int | None = None,
    ) -> None:
        self._settings = settings
        given = () if standard_input is None else (standard_input,)
        with contextlib.ExitStack() as on_failure, contextlib.ExitStack() as child_only:
            for descriptor in given:  # who writes to a pipe shall see that the worker reads no more
                child_only.callback(os.close, descriptor)
            # Only the worker may keep the listener and its ends of the pipes, or its death would go unnoticed.
            listener = child_only.enter_context(listen(folder.worker_socket, _BACKLOG))
            settings_input, self._input = _make_pipe(child_only, on_failure)
            out, standard_output = _make_pipe(on_failure, child_only)
            err, standard_error = _make_pipe(on_failure, child_only)
            self.read_ends = (out, err)
            self.child = processes.spawn_module(
                "rpyc_kernel.worker",
                [str(folder.path), str(listener.fileno()), str(out), str(err), hub_settings.engine, *map(str, given)],
                python=hub_settings.python,
                bundle=hub_settings.bundle,
                cwd=str(folder.path),
                environment=settings.environment,
                stdin=settings_input,
                stdout=standard_output,
                stderr=standard_error,
                pass_descriptors=(listener.fileno(), out, err, *given),
                umask=settings.umask,
            )
            on_failure.pop_all()

    def tell(self, generation: int) -> None:
        """Tell the worker which generation it is; its ring must be there. One that is gone is found out later."""
        message = {"version": WORKER_VERSION, "generation": generation, "settings": fields_of(self._settings)}
        told = json.dumps(message).encode()
        try:
            while told:
                told = told[os.write(self._input, told) :]
        except BrokenPipeError:
            pass
        finally:
            os.close(self._input)

    def give_up(self) -> str:
        """Kill a worker that did not come up; returns how it ended and what it said last."""
        processes.kill(self.child.pid)
        ending = self.child.wait()
        os.set_blocking(self.read_ends[1], False)
        try:
            said = os.read(self.read_ends[1], 65536).decode("utf-8", "replace")
        except OSError:
            said = ""
        self.close()
        return f"{ending.reason} before it was ready\n{said}".rstrip()

    def close(self) -> None:
        """Close the hub's copies of the read ends; the worker sends others with its greeting."""
        for descriptor in self.read_ends:
            os.close(descriptor)


def _make_pipe(reading: contextlib.ExitStack, writing: contextlib.ExitStack) -> tuple[int, int]:
    """Make a pipe whose ends are closed with these."""
    read_end, write_end = os.pipe()
    reading.callback(os.close, read_end)
    writing.callback(os.close, write_end)
    return read_end, write_end
