"""A worker of Dask in a kernel's process: its tasks run in a thread beside the kernel's own code, and see its names.

Loaded into the process of a kernel, when its fleet asks for it.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import pickle
import sys
import threading
from concurrent.futures import Future
from typing import Any

import cloudpickle.cloudpickle
import dask
from distributed import Worker

from rpyc_kernel.worker.functions import Making

_START_S = 30.0
_NO_LIMITS = {f"distributed.worker.memory.{kind}": False for kind in ("target", "spill", "pause")}
"""Its memory is the kernel's: where that is full, tasks are not to wait silently, nor their results to go to disk."""
_joined: dict[str, threading.Thread] = {}
"""The thread of each worker that is one of Dask's, by the scheduler's address."""


def join(scheduler: str, name: str, security: bytes) -> None:
    """Work for a scheduler of Dask, until that is gone or says so; once for each scheduler.

    Args:
        scheduler: its address.
        name: how to be called there.
        security: pickled, what Dask's client has for its own connections.
    """
    if scheduler in _joined and _joined[scheduler].is_alive():
        return
    _load_into_namespace()
    started: Future[None] = Future()
    thread = threading.Thread(
        target=lambda: asyncio.run(_work(scheduler, name, pickle.loads(security), started)),
        name=f"Dask worker {name}",
        daemon=True,
    )
    thread.start()
    started.result(_START_S)
    _joined[scheduler] = thread


async def _work(scheduler: str, name: str, security: Any, started: Future[None]) -> None:
    try:
        with dask.config.set(_NO_LIMITS):  # which it reads while it is made
            worker = Worker(
                scheduler,
                name=name,
                nthreads=1,
                security=security,
                dashboard=False,
                death_timeout=_START_S,
                silence_logs=logging.WARNING,  # what it logs, the kernel prints
            )
        await worker
    except BaseException as error:  # noqa: BLE001 - whoever waits is told
        started.set_exception(error)
        return
    started.set_result(None)
    await worker.finished()


def _load_into_namespace() -> None:
    """Have cloudpickle make functions so from now on: Dask leaves it to that to open what it was sent."""
    module = cloudpickle.cloudpickle
    if hasattr(module._make_function, "__wrapped__"):
        return
    making = Making(vars(sys.modules["__main__"]))
    fill = functools.partial(making.fill, module._function_setstate)
    # Known by the names of what they stand for, by which functions that go on from here name them.
    module._make_function = functools.wraps(module._make_function)(lambda *parts: making.make(*parts))
    module._function_setstate = functools.wraps(module._function_setstate)(lambda *parts: fill(*parts))
