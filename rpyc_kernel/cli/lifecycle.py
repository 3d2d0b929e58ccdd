"""Commands about kernels as a whole: start, list, restart, stop."""

from __future__ import annotations

from rpyc_kernel.cli.application import DEFAULT_NAME, OK, Command, JsonCommand, StartingCommand
from rpyc_kernel.client import launch
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import Kind, State
from rpyc_kernel.errors import KernelDied
from rpyc_kernel.faces.console.control_characters import tame_line
from rpyc_kernel.faces.console.summaries import format_time


class Start(StartingCommand, JsonCommand):
    """Start a kernel; or give one that has lost its hub a new one."""

    def main(self, name: str = DEFAULT_NAME) -> int:
        """Start the kernel."""
        with self.start(name) as kernel:
            _wait_for_worker(kernel)
            status = kernel.status()
        lines = [
            f"kernel {name!r} is running (hub {status['hub_pid']}, worker {status['worker_pid'] or '-'})",
            f"open it with 'rpyc-kernel console {name}', stop it with 'rpyc-kernel stop {name}'",
        ]
        self.tell({"name": name, **{key: status[key] for key in ("hub_pid", "worker_pid", "generation")}}, lines)
        return OK


class List(JsonCommand):
    """List the kernels of this user on this machine."""

    def main(self) -> int:
        """List them."""
        found = launch.kernels()
        width = max((len(kernel.name) for kernel in found), default=0)
        lines = [
            f"{kernel.name:<{width}}  {kernel.state:<8}  hub {kernel.hub_pid}, worker {kernel.worker_pid or '-'}, "
            f"{f'{kernel.host}:{kernel.port}' if kernel.port else 'no port'}, since {format_time(kernel.started)}"
            for kernel in found
        ]
        self.tell([vars(kernel) for kernel in found], lines or ["no kernel is running; 'rpyc-kernel start' starts one"])
        return OK


class Restart(JsonCommand):
    """Replace a kernel's worker and its namespace; its clients stay connected."""

    def main(self, name: str = DEFAULT_NAME) -> int:
        """Restart it."""
        with self.connect(name) as kernel:
            generation = kernel.restart()
        self.tell({"generation": generation}, [f"kernel {name!r} has a new namespace: generation {generation}"])
        return OK


class Stop(Command):
    """End a kernel, worker and hub. What happened in it stays in its journal."""

    def main(self, name: str = DEFAULT_NAME) -> int:
        """Stop it, also when it has lost its hub."""
        if launch.stop_orphan(name):
            print(f"kernel {name!r} had lost its hub; its worker is stopped")
            return OK
        with self.connect(name) as kernel:
            kernel.shutdown()
        print(f"kernel {name!r} is stopped")
        return OK


def _wait_for_worker(kernel: KernelClient) -> None:
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
        told = tame_line(reason.strip().rpartition("\n")[2])
        raise KernelDied(f"the worker cannot be started, so kernel {kernel.kernel_name!r} was stopped again: {told}")
