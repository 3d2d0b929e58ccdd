"""The kernels of several machines at once."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from rpyc_kernel.client import ssh
from rpyc_kernel.client.archive import StoppedKernel
from rpyc_kernel.client.launch import KernelInfo
from rpyc_kernel.errors import KernelError
from rpyc_kernel.frozen import Frozen


class Listed(Frozen):
    """What a host says.

    Attributes:
        url: its address.
        kernels: those that run there, and those that are stopped if they were asked for.
        problem: why it says nothing, None if it does.
    """

    url: str
    kernels: list[KernelInfo | StoppedKernel]
    problem: KernelError | None = None


def list_kernels(hosts: Sequence[str], *, shows_stopped: bool) -> list[Listed]:
    """Ask hosts side by side, so that one that is slow or away keeps back none of the others.

    Raises:
        RequestError: one of these is no address of a host.
    """
    targets = [ssh.parse_host(host) for host in hosts]

    def ask(target: ssh.Target) -> Listed:
        try:
            told = ssh.ask(target, {"do": "list", "shows_stopped": shows_stopped})
        except KernelError as error:
            return Listed(target.host_url, [], error)
        return Listed(target.host_url, [_read(kernel) for kernel in told])

    with ThreadPoolExecutor(len(targets), "rpyc_kernel-ssh") as pool:
        return list(pool.map(ask, targets))


def _read(told: dict[str, object]) -> KernelInfo | StoppedKernel:
    kind = StoppedKernel if told["state"] == "stopped" else KernelInfo
    return kind(**told)  # type: ignore[arg-type]
