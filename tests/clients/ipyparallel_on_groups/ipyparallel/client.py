"""A client and its views, by ipyparallel's names: each is a group of kernels."""

from __future__ import annotations

import builtins
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

import rpyc_kernel
from ipyparallel.references import call_with_references, map_with_references
from ipyparallel.results import AsyncMapResult, AsyncResult, ExecuteResult
from rpyc_kernel import Group, GroupFailed

_NAMES = [f"view-{number}" for number in range(2)]


class Client:
    """The kernels as engines, numbered from 0."""

    def __init__(self, **_: Any) -> None:
        self.group = rpyc_kernel.group(_NAMES, allow_pickle=True)
        self.results: list[AsyncResult] = []

    @property
    def ids(self) -> list[int]:
        """Their numbers."""
        return list(range(len(self.group)))

    def __len__(self) -> int:
        return len(self.group)

    def __getitem__(self, key: int | slice | Sequence[int]) -> View:
        if isinstance(key, int):
            return View(self, self.group[key], self.ids[key])
        chosen = self.ids[key] if isinstance(key, slice) else list(key)
        return View(self, self.group.select([self.group.names[number] for number in chosen]), chosen)

    def direct_view(self, targets: str = "all") -> View:
        """Of all."""
        return self[:]

    def broadcast_view(self, block: bool) -> View:
        """Of all, which is what a group always is."""
        view = self[:]
        view.block = block
        return view

    def clear(self, block: bool = True) -> None:
        """Empty the namespaces."""
        self.group.execute("get_ipython().reset(new_session=False)")

    def wait(self, jobs: Any = None, timeout: float | None = None) -> bool:
        """Wait for results."""
        for job in [jobs] if isinstance(jobs, AsyncResult) else jobs or self.results:
            job.wait(timeout)
        return True

    def close(self) -> None:
        """Leave."""
        self.group.close()


class View:
    """Some of them; a number instead of a list of targets makes results those of one."""

    def __init__(self, client: Client, group: Group, targets: int | list[int]) -> None:
        self.client = client
        self.group = group
        self.targets = targets
        self.block = False
        self._is_single = isinstance(targets, int)

    def __len__(self) -> int:
        return len(self.group)

    @contextmanager
    def temp_flags(self, block: bool | None = None) -> Iterator[None]:
        """Wait, or do not, inside of it."""
        before = self.block
        self.block = before if block is None else block
        try:
            yield
        finally:
            self.block = before

    # ---- code and functions ----

    def execute(self, code: str, silent: bool = True, block: bool | None = None) -> AsyncResult:
        """Run code."""
        result = ExecuteResult(self.group.submit(code), is_single=self._is_single, is_silent=silent)
        if self._waits(block):
            result.get()
        return self._keep(result)

    def run(self, filename: str, block: bool | None = None) -> Any:
        """Run a file in the namespace."""
        return self._give(AsyncResult(self.group.run_file(filename), is_single=self._is_single), block)

    def apply_async(self, function: Any, /, *args: Any, **kwargs: Any) -> AsyncResult:
        """Call a function."""
        future = self.group.apply_async(call_with_references, function, args, kwargs, by_source=True)
        return self._keep(AsyncResult(future, is_single=self._is_single))

    def apply_sync(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function, and wait."""
        return self.apply_async(function, *args, **kwargs).get()

    def apply(self, function: Any, /, *args: Any, **kwargs: Any) -> Any:
        """Call a function, and wait or not."""
        return self._give(self.apply_async(function, *args, **kwargs), None)

    def map_async(self, function: Any, *sequences: Any) -> AsyncResult:
        """Call it with each."""
        future = self.group.map_async(map_with_references, itertools.repeat(function), *sequences, by_source=True)
        return self._keep(AsyncMapResult(future, is_single=False))

    def map_sync(self, function: Any, *sequences: Any) -> Any:
        """Call it with each, and wait."""
        return self.map_async(function, *sequences).get()

    # ---- values ----

    def push(self, values: dict[str, Any], block: bool | None = None) -> Any:
        """Set variables."""
        return self._give(self._call(lambda: self.group.push(values)), block)

    def pull(self, names: Any, block: bool | None = None) -> Any:
        """Get variables."""
        return self._give(self._call(lambda: _pull(self.group, names)), block)

    def __setitem__(self, name: str, value: Any) -> None:
        self.push({name: value}, block=True)

    def __getitem__(self, name: str) -> Any:
        return self.pull(name, block=True)

    def scatter(self, name: str, value: Any, flatten: bool = False, block: bool | None = None) -> Any:
        """Spread a value."""
        return self._give(self._call(lambda: self.group.scatter(name, value, flatten=flatten)), block)

    def gather(self, name: str, block: bool | None = None) -> Any:
        """Put it together."""
        future = self._call(lambda: self.group.gather(name))._future
        return self._give(AsyncMapResult(future, is_single=False), block)

    # ---- all else ----

    def abort(self, jobs: Any = None) -> None:
        """Take back what waits."""
        for job in [jobs] if isinstance(jobs, AsyncResult) else jobs or self.client.results:
            job.abort()

    def wait(self, jobs: Any = None, timeout: float | None = None) -> bool:
        """Wait for results."""
        return self.client.wait(jobs, timeout)

    def clear(self, block: bool = True) -> None:
        """Empty the namespaces."""
        self.client.clear()

    def use_pickle(self) -> None:
        """Functions always go by cloudpickle."""

    use_cloudpickle = use_pickle

    @contextmanager
    def sync_imports(self, quiet: bool = False) -> Iterator[None]:
        """What is imported inside of it is imported there, too."""
        known = builtins.__import__
        found: list[str] = []

        def note(name: str, names: Any = None, *rest: Any, **more: Any) -> Any:
            if names is not None and names.get("__name__", "").startswith("ipyparallel.tests"):
                found.append(name)
            return known(name, names, *rest, **more)

        builtins.__import__ = note
        try:
            yield
        finally:
            builtins.__import__ = known
        for name in found:
            if not quiet:
                print(f"importing {name} on kernels")
            self.group.execute(f"import {name}")

    importer = property(sync_imports)

    def _waits(self, block: bool | None) -> bool:
        return self.block if block is None else block

    def _call(self, call: Any) -> AsyncResult:
        future: Future[Any] = Future()  # of what a group only does at once
        try:
            future.set_result(call())
        except Exception as error:  # noqa: BLE001 - whoever asks for the result is told
            future.set_exception(error)
        return self._keep(AsyncResult(future, is_single=self._is_single))

    def _give(self, result: AsyncResult, block: bool | None) -> Any:
        return result.get() if self._waits(block) else result

    def _keep(self, result: Any) -> Any:
        self.client.results.append(result)
        return result


def _pull(group: Group, names: Any) -> Any:
    """Copies; what cannot be copied is a live object."""
    wanted = names if isinstance(names, str) else list(names)
    try:
        return group.pull(wanted)
    except GroupFailed as failed:
        if not all(isinstance(error, rpyc_kernel.RequestError) for error in failed.errors.values()):
            raise
    each = [wanted] if isinstance(wanted, str) else wanted
    found = [group.eval(name) for name in each]
    return found[0] if isinstance(wanted, str) else [list(values) for values in zip(*found, strict=True)]
