"""What Dask's scheduler tells of the places of a fleet: each time that a kernel gets or loses one; why it has none."""

from __future__ import annotations

import asyncio
from typing import Any

from distributed import Scheduler, SchedulerPlugin

from rpyc_kernel.fleets import scheduling


class Overseer(SchedulerPlugin):
    """Tells a client by events what becomes of its fleet's tasks; goes when the client goes.

    Args:
        topic: of the events; also what the keys of the tasks begin with, and this plugin's name.
        client: the id of Dask's client.
    """

    idempotent = True

    def __init__(self, topic: str, client: str) -> None:
        self.name = topic
        self._client = client
        self._at: dict[str, str] = {}

    async def start(self, scheduler: Scheduler) -> None:
        """Called by the scheduler first."""
        self._scheduler = scheduler

    def transition(self, key: Any, start: str, finish: str, *args: Any, **_: Any) -> None:
        """Called by the scheduler whenever the state of a task changes."""
        if not isinstance(key, str) or not key.startswith(self.name):
            return
        worker = ""
        task = self._scheduler.tasks.get(key)
        if task is not None and task.processing_on is not None:
            worker = task.processing_on.address
        before = self._at.pop(key, "")
        if worker:
            self._at[key] = worker
        lost = before if before and before not in self._scheduler.workers else ""
        self._scheduler.log_event(self.name, {"key": key, "state": finish, "worker": worker, "lost": lost})

    def remove_worker(self, scheduler: Scheduler, worker: str, **_: Any) -> None:
        """Called by the scheduler when a worker is gone."""
        scheduler.log_event(self.name, {"key": "", "state": "gone", "worker": worker, "lost": ""})

    def remove_client(self, scheduler: Scheduler, client: str) -> None:
        """Called by the scheduler when a client is gone."""
        if client == self._client:
            scheduler.remove_plugin(self.name)
            self._ending = asyncio.ensure_future(scheduling.stop(self.name))

    async def close(self) -> None:
        """Called by the scheduler when it ends."""
        await scheduling.stop(self.name)


def explain_waiting(keys: list[str], dask_scheduler: Scheduler) -> str:
    """Why tasks have no place yet; run by Dask on its scheduler."""
    workers = dask_scheduler.workers.values()
    if not workers:
        return "Dask has no workers"
    waiting = [dask_scheduler.tasks[key] for key in keys if key in dask_scheduler.tasks]
    wanted = next((task.resource_restrictions for task in waiting if task.resource_restrictions), None)
    threads = sum(worker.nthreads for worker in workers)
    text = f"Dask has {len(workers)} worker{'s' * (len(workers) != 1)} with {threads} thread{'s' * (threads != 1)}"
    if not wanted:
        return f"{text}, and all are taken"
    found = []
    for name, count in wanted.items():
        offered = sum(worker.resources.get(name, 0) for worker in workers)
        taken = sum(worker.used_resources.get(name, 0) for worker in workers)
        found.append(f"{count:g} {name} is needed, and of {offered:g} there {taken:g} are taken")
    return f"{text}; for each, {'; '.join(found)}"
