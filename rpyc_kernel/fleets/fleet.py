"""A group of kernels that Dask places: what a program holds."""

from __future__ import annotations

import contextlib
import math
import pickle
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from distributed import Client
from distributed.core import Status, rpc
from distributed.deploy.adaptive import Adaptive

from rpyc_kernel.client.address import Address
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.seconds import show_seconds
from rpyc_kernel.errors import CallTimeout, KernelError, NoSuchKernel, RequestError
from rpyc_kernel.fleets import scheduling
from rpyc_kernel.fleets.placing import Move, Placing
from rpyc_kernel.groups.group import Group
from rpyc_kernel.system.own_command import way_to_install
from rpyc_kernel.system.threads import make_thread, start_threads

_PLACING_S = 60.0
_JOINING_S = 60.0
_JOINING = "rpyc_kernel.fleets.joining"


class Fleet(Group):
    """Kernels that Dask places, one long task of Dask's each; a group whose kernels may move.

    Where a worker of Dask is lost, Dask's scheduler places its kernels again: these are new ones, with nothing in their
    namespaces, and `moves` tells of it. What waited for one that is lost raises `ConnectionLost`. A kernel that is
    stopped leaves the fleet. Leaving the fleet, by `close` or ``with``, ends its kernels, and so does the end of this
    program, however that comes.

    Made by `rpyc_kernel.fleet`.

    Example:
        >>> with rpyc_kernel.fleet(dask_client, 2, name="sums", engine="plain") as fleet:
        ...     fleet.scatter("part", list(range(10)))
        ...     fleet.eval("sum(part)")
        [10, 35]
    """

    def __init__(
        self,
        client: Client,
        *,
        name: str,
        resources: dict[str, float] | None,
        options: dict[str, Any],
        connect: Callable[[Address], KernelClient],
        on_move: Callable[[Move], object] | None,
        owns_client: bool,
        allow_pickle: bool,
    ) -> None:
        super().__init__({}, reopen=self._wait_for, allow_pickle=allow_pickle)
        self._client = client
        self._owns_client = owns_client
        self._tasks = ""
        self._adapting: _Adapting | None = None
        self._placing = Placing(client, name, resources, options, connect, self._replace, on_move)
        self._placing.call_in = self._call_in

    def __enter__(self) -> Fleet:
        return self

    def _list_members(self) -> dict[str, KernelClient]:
        if not self._members:
            raise RequestError(
                f"the fleet has no kernel that runs: {self.explain() or 'it was closed, or scaled to 0'}"
            )
        return self._members

    def _replace(self, members: dict[str, KernelClient]) -> None:
        self._members = members

    def _find_again(self, name: str) -> tuple[str, KernelClient]:
        return name, self._wait_for(name)

    def _wait_for(self, name: str) -> KernelClient:
        """A client of the kernel of this name, which may have lost its place."""

        def is_there(members: Mapping[str, KernelClient]) -> bool:
            return name in members and members[name].is_connected

        if not self._placing.wait(is_there, _PLACING_S):
            raise NoSuchKernel(f"kernel {name!r} has no place again: {self._placing.explain()}")
        return self._members[name]

    def __repr__(self) -> str:
        return f"<Fleet of {len(self._placing.names)}, {len(self._members)} of them running>"

    # ------------------------------------------------------------------ places

    @property
    def moves(self) -> tuple[Move, ...]:
        """What became of the kernels' places, oldest first: the last 1,000 moves.

        Example:
            >>> fleet = rpyc_kernel.fleet(dask_client, 1, engine="plain")  # doctest: +SKIP
            >>> print(fleet.moves[-1])
            fleet-0 runs on tcp://...
        """
        return self._placing.moves

    @property
    def dashboard_link(self) -> str:
        """Where Dask's dashboard is: of the scheduler that places the kernels.

        Example:
            >>> fleet = rpyc_kernel.fleet(dask_client, 1, engine="plain")  # doctest: +SKIP
            >>> fleet.dashboard_link == dask_client.dashboard_link
            True
        """
        return str(self._client.dashboard_link)

    def explain(self) -> str:
        """Say which kernels are not there yet, and why; "" where all run.

        Example:
            >>> fleet = rpyc_kernel.fleet(dask_client, 1, engine="plain")  # doctest: +SKIP
            >>> fleet.explain()
            ''
        """
        return self._placing.explain()

    def wait_for_kernels(self, count: int, *, timeout: float = _PLACING_S) -> None:
        """Wait until so many kernels run.

        Args:
            count: how many.
            timeout: in seconds.

        Raises:
            CallTimeout: they do not; with why. Those that wait for a place go on waiting.
            KernelError: one of them cannot run.

        Example:
            >>> fleet = rpyc_kernel.fleet(dask_client, 1, engine="plain")  # doctest: +SKIP
            >>> fleet.wait_for_kernels(1)
            >>> fleet.names
            ('fleet-0',)
        """
        if not self._placing.wait(lambda members: len(members) >= count, timeout):
            raise CallTimeout(
                f"{len(self._members)} of {count} kernels run after {show_seconds(timeout)} s: {self.explain()}"
            )

    def scale(self, count: int) -> None:
        """Have so many kernels: Dask places those that are missing when it can; the last ones that are more end.

        Also for having those placed again that Dask has called off, as by ``client.restart()``.

        Args:
            count: how many.

        Example:
            >>> fleet = rpyc_kernel.fleet(dask_client, 1, engine="plain")  # doctest: +SKIP
            >>> fleet.scale(2)
            >>> fleet.wait_for_kernels(2)
            >>> fleet.scale(1)
            >>> fleet.names
            ('fleet-0',)
        """
        require_count(count)
        self._placing.scale(count)

    def adapt(self, minimum: int = 0, maximum: float = math.inf, **options: Any) -> Adaptive:
        """Have Dask choose how many kernels there are, by what there is to do in them: see `dask`.

        Args:
            minimum: the fewest.
            maximum: the most.
            **options: as of Dask's ``Adaptive``, such as ``interval``.

        Returns:
            Dask's own object, whose ``stop()`` ends it.

        Raises:
            RequestError: the most are fewer than the fewest.

        Example:
            >>> fleet = rpyc_kernel.fleet(dask_client, 1, engine="plain")  # doctest: +SKIP
            >>> adaptive = fleet.adapt(minimum=1, maximum=2)
            >>> adaptive.stop()
        """
        if not 0 <= minimum <= maximum:
            raise RequestError(f"there cannot be {minimum} kernels at least and {maximum} at most")
        if self._adapting is not None:
            self._adapting.close()
        self._adapting = _Adapting(self._placing, self._serve())
        return self._adapting.begin(minimum, maximum, options)

    # ------------------------------------------------------------------ Dask's tasks in the kernels

    @contextlib.contextmanager
    def dask(self) -> Iterator[Client]:
        """Give a client of Dask whose tasks run in the kernels: one at a time in each, beside the kernel's own code.

        A function finds the names that it does not bring along in its kernel's namespace, as they are when it runs. The
        workers are called as the kernels are: ``client.submit(f, workers=["fleet-0"])`` chooses one.

        Yields:
            The client. What it has not fetched by the end is lost.

        Raises:
            RequestError: the Python of a kernel has no Dask.

        Example:
            >>> fleet = rpyc_kernel.fleet(dask_client, 1, engine="plain")  # doctest: +SKIP
            >>> fleet["base"] = 100
            >>> with fleet.dask() as client:
            ...     client.gather(client.map(lambda x: base + x, range(3)))
            [100, 101, 102]
        """
        address = self._serve()
        members = self._members
        if members:
            with ThreadPoolExecutor(len(members), "rpyc_kernel-fleet") as pool:
                list(pool.map(self._join, members, members.values()))
        with Client(address, security=self._client.security) as client:
            yield client

    def _serve(self) -> str:
        """Start the scheduler of the tasks, if there is none; returns its address."""
        self._tasks = self._client.run_on_scheduler(scheduling.serve, self._placing.topic)
        return self._tasks

    def _call_in(self, name: str, kernel: KernelClient) -> None:
        """A kernel has come, or has a new worker: where there are tasks, it is to do its part."""
        if self._tasks:
            start_threads(make_thread(self._try_to_join, "rpyc_kernel-fleet", (name, kernel)))

    def _try_to_join(self, name: str, kernel: KernelClient) -> None:
        with contextlib.suppress(KernelError):  # it is lost again, or cannot: who asks for the tasks learns of it
            self._join(name, kernel)

    def _join(self, name: str, kernel: KernelClient) -> None:
        try:
            join = kernel.objects.modules[_JOINING].join
            kernel.call_beside(join, self._tasks, name, pickle.dumps(self._client.security)).result(_JOINING_S)
        except ImportError as error:
            raise RequestError(
                f"kernel {name!r} cannot run Dask's tasks: {error}; its Python needs {way_to_install('dask')}"
            ) from None

    # ------------------------------------------------------------------ leaving

    def close(self) -> None:
        """End all kernels, and give their places back to Dask.

        Example:
            >>> fleet = rpyc_kernel.fleet(dask_client, 1, name="brief", engine="plain")
            >>> fleet.close()
            >>> fleet.names
            ()
        """
        if self._adapting is not None:
            self._adapting.close()
        self._placing.close()
        super().close()
        if self._owns_client:
            self._client.close()


def require_count(count: int) -> None:
    """Refuse what cannot be a number of kernels."""
    if count < 0:
        raise RequestError(f"a fleet has 0 kernels or more, and not {count}")


class _Adapting:
    """A fleet as Dask's `Adaptive` knows a cluster: its scheduler is that of the tasks, its workers are the kernels.

    It is called on the loop of Dask's client, where nothing may wait.
    """

    def __init__(self, placing: Placing, scheduler: str) -> None:
        self._placing = placing
        self.status = Status.running
        self.loop = placing.client.loop
        self.scheduler_comm = rpc(scheduler, connection_args=placing.client.security.get_connection_args("client"))
        self._adaptive: Adaptive | None = None

    def begin(self, minimum: int, maximum: float, options: dict[str, Any]) -> Adaptive:
        self._adaptive = Adaptive(self, minimum=minimum, maximum=maximum, **options)
        return self._adaptive

    def close(self) -> None:
        self.status = Status.closed
        if self._adaptive is not None:
            self.loop.add_callback(self._adaptive.stop)
        self.loop.add_callback(self.scheduler_comm.close_rpc)

    @property
    def plan(self) -> set[str]:
        return set(self._placing.names)

    requested = plan

    @property
    def observed(self) -> set[str]:
        return set(self._placing.members)

    def scale(self, count: int) -> None:
        self._placing.later(lambda: self._placing.scale(count))

    def scale_down(self, names: Collection[str]) -> None:
        self._placing.later(lambda: self._placing.release(names))
