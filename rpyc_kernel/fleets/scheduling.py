"""A scheduler of Dask's own for the tasks that run in a fleet's kernels, beside the one that places these.

One for both would give the kernels' workers whatever anybody else has Dask compute, and would place kernels in kernels:
to a scheduler, all workers that have what a task asks for are the same.
"""

from __future__ import annotations

from distributed import Scheduler
from distributed.comm.addressing import get_address_host, parse_address

from rpyc_kernel.settings import LOCAL

_serving: dict[str, Scheduler] = {}


async def serve(topic: str, dask_scheduler: Scheduler) -> str:
    """Start one in the process of Dask's scheduler, for the fleet of this topic; returns its address."""
    if topic not in _serving:
        protocol, _ = parse_address(dask_scheduler.address)
        host = LOCAL if protocol == "inproc" else get_address_host(dask_scheduler.address)
        _serving[topic] = await Scheduler(
            protocol="tcp" if protocol == "inproc" else protocol,
            host=host,
            port=0,
            dashboard=False,
            dashboard_address=":0",  # without it, too, there is a port for it
            security=dask_scheduler.security,
        )
    return str(_serving[topic].address)


async def stop(topic: str) -> None:
    """End it."""
    if topic in _serving:
        await _serving.pop(topic).close()
