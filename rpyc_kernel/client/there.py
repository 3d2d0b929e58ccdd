"""What there is on other machines: the kernels of several at once, and what one that is stopped has left."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from rpyc_kernel.client import ssh
from rpyc_kernel.client.archive import Archive, StoppedKernel
from rpyc_kernel.client.kernel import Past
from rpyc_kernel.client.launch import KernelInfo
from rpyc_kernel.client.ssh_command import understanding
from rpyc_kernel.core.contract import Event
from rpyc_kernel.errors import KernelError
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.system.threads import make_thread, start_threads

_T = TypeVar("_T")


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

    answers: queue.SimpleQueue[tuple[int, Listed]] = queue.SimpleQueue()

    def ask(number: int, target: ssh.Target) -> None:
        try:
            told = ssh.ask(target, {"do": "list", "shows_stopped": shows_stopped})
            with understanding(target.host_url):
                answers.put((number, Listed(target.host_url, [_read(kernel) for kernel in told])))
        except KernelError as error:
            answers.put((number, Listed(target.host_url, [], error)))
        except Exception as error:  # noqa: BLE001 - somebody waits for an answer
            answers.put((number, Listed(target.host_url, [], KernelError(f"{type(error).__name__}: {error}"))))

    start_threads(*(make_thread(ask, "rpyc_kernel-ssh", asked) for asked in enumerate(targets)))
    return [listed for _, listed in sorted((answers.get() for _ in targets), key=lambda answer: answer[0])]


def find_stopped(url: str) -> StoppedKernel | None:
    """A kernel that does not run and has left a journal, None where there is none of this address.

    Raises:
        ConnectionFailed: the host cannot be reached.
    """
    target = ssh.parse_kernel(url)
    [listed] = list_kernels([target.host_url], shows_stopped=True)
    if listed.problem is not None:
        raise listed.problem
    stopped = (kernel for kernel in listed.kernels if isinstance(kernel, StoppedKernel))
    return next((kernel for kernel in stopped if kernel.name == target.name), None)


def forget(url: str) -> None:
    """See `archive.forget`."""
    target = ssh.parse_kernel(url)
    ssh.ask(target, {"do": "forget", "name": target.name})


class ArchiveThere(Archive):
    """The journal of a kernel that does not run, or has lost its hub, read where it is."""

    def __init__(self, url: str) -> None:
        self._target = ssh.parse_kernel(url)
        self.name = self._target.url
        events = ssh.ask(self._target, {"do": "count_events", "name": self._target.name})
        with understanding(self._target.host_url):
            self._events = None if events is None else int(events)

    def events(self, since: int = 0, *, follow: bool = False, execution: int | None = None) -> Iterator[Event]:
        """See `Archive`."""
        wanted = [] if execution is None else ["--execution", str(execution)]
        for line in ssh.read_there(self._target, ["log", "--json", "--since", str(since), *wanted, self._target.name]):
            yield self._read(line, _read_event)

    def history(self, pattern: str = "", *, limit: int = 1000) -> list[Past]:
        """See `Archive`."""
        switches = ["--json", "--limit", str(limit)]
        lines = ssh.read_there(self._target, ["history", *switches, "--", self._target.name, pattern])
        return [self._read(line, lambda told: Past(**told)) for line in lines]

    def count(self) -> int | None:
        """See `Archive`."""
        return self._events

    def _read(self, line: str, read: Callable[[dict[str, Any]], _T]) -> _T:
        with understanding(self._target.host_url):
            return read(json.loads(line))


def _read_event(told: dict[str, Any]) -> Event:
    common = {field: told.pop(field) for field in ("seq", "time", "kind", "execution", "session")}
    return Event(**common, payload=told)


def _read(told: dict[str, object]) -> KernelInfo | StoppedKernel:
    kind = StoppedKernel if told["state"] == "stopped" else KernelInfo
    return kind(**told)  # type: ignore[arg-type]
