"""Having a fleet placed, with what Dask's client or cluster the program has."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from rpyc_kernel.client import launch
from rpyc_kernel.errors import RequestError
from rpyc_kernel.settings import KEEP_OUTPUT, RECONNECT_S, ClientSettings, check_name
from rpyc_kernel.system.own_command import way_to_install

if TYPE_CHECKING:
    from rpyc_kernel.fleets.fleet import Fleet
    from rpyc_kernel.fleets.placing import Move

PLACING_S = 60.0
_NOT_OPTIONS = {
    *("name", "session", "client_name", "is_private", "standard_input"),
    *("timeout", "silence", "keep_output", "reconnect"),
}


def fleet(
    client_or_cluster: Any,
    n: int,
    *,
    name: str = "fleet",
    resources: dict[str, float] | None = None,
    timeout: float = PLACING_S,
    on_move: Callable[[Move], object] | None = None,
    call_timeout: float = 10.0,
    silence: float = 20.0,
    keep_output: int = KEEP_OUTPUT,
    reconnect: float = RECONNECT_S,
    allow_pickle: bool = False,
    **start_options: Any,
) -> Fleet:
    """Have Dask place kernels, and connect to them.

    Each is one long task of Dask's: it takes one thread of the Dask worker that it is placed on, and the ``resources``,
    until it is released. Addresses and keys come by Dask's own connections.

    Args:
        client_or_cluster: of Dask, whatever kind of cluster it is; or the address of its scheduler.
        n: how many.
        name: what the kernels are called by: ``fleet-0``, ``fleet-1``, … Two fleets at a time need two names.
        resources: what each needs of a Dask worker's resources, as ``{"GPU": 1}``.
        timeout: for how many seconds to wait for all of them to have a place. 0 does not wait; see
            `Fleet.wait_for_kernels`.
        on_move: called with each `Move`, on another thread, as it comes: where kernels run, wait and are lost, and why.
        call_timeout: of the connections' calls, in seconds.
        silence: as of `connect`.
        keep_output: as of `connect`.
        reconnect: as of `connect`.
        allow_pickle: whether values may come as pickles. To open one runs code that its kernel chooses.
        **start_options: as of `start`, on the machine of the Dask worker: ``engine``, ``env``, ``cwd``, …

    Returns:
        The fleet: a `Group` of these kernels.

    Raises:
        RequestError: an argument is wrong, or a kernel cannot be started.
        CallTimeout: some have no place by then; with why.

    Example:
        >>> with rpyc_kernel.fleet(dask_client, 2, name="squares", engine="plain") as fleet:
        ...     fleet.map(lambda x: x * x, range(4))
        [0, 1, 4, 9]
    """
    try:
        from distributed import Client
    except ImportError:
        raise RequestError(f"fleets are placed by Dask, which is not installed; {way_to_install('dask')}") from None
    from rpyc_kernel.client.kernel import KernelClient
    from rpyc_kernel.fleets.fleet import Fleet, require_count

    require_count(n)
    ClientSettings(call_timeout, silence, keep_output, reconnect)
    check_name(f"{name}-0")
    options = _check(start_options)
    owns_client = not isinstance(client_or_cluster, Client)
    client = Client(client_or_cluster, set_as_default=False) if owns_client else client_or_cluster
    if client.asynchronous:
        raise RequestError("this client of Dask is asynchronous; a fleet needs one that is not")
    connect = partial(
        KernelClient,
        name=launch.user_name(),
        timeout=call_timeout,
        silence=silence,
        keep_output=keep_output,
        reconnect=reconnect,
    )
    made = Fleet(
        client,
        name=name,
        resources=resources,
        options=options,
        connect=connect,
        on_move=on_move,
        owns_client=owns_client,
        allow_pickle=allow_pickle,
    )
    try:
        made.scale(n)
        if timeout:
            made.wait_for_kernels(n, timeout=timeout)
    except BaseException:
        made.close()
        raise
    return made


def _check(options: dict[str, Any]) -> dict[str, Any]:
    """All that a kernel can be started with."""
    known = {
        name: parameter.default
        for name, parameter in inspect.signature(launch.start).parameters.items()
        if name not in _NOT_OPTIONS
    }
    unknown = [name for name in options if name not in known]
    if unknown:
        raise RequestError(f"a fleet has no {', '.join(unknown)}; its kernels can have {', '.join(known)}")
    return {**known, **options}
