"""Results that may be waited for, by ipyparallel's names."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ipyparallel.error import CompositeError, RemoteError, translate
from rpyc_kernel import GroupFailed

_PATIENCE = 6
"""How much longer than the tests say: they were written for a machine of their own."""


class AsyncResult:
    """What comes of a group's future, or of a call that waits on a thread."""

    def __init__(self, future: Any, *, is_single: bool, is_silent: bool = True) -> None:
        self._future = future
        self._is_single = is_single
        self._is_silent = is_silent
        self.msg_ids = [self]  # what stands for it where ids are wanted

    def get(self, timeout: float | None = None) -> Any:
        """The list of what each has returned, or of one kernel that alone."""
        try:
            found = self._future.result(None if timeout is None else timeout * _PATIENCE)
        except GroupFailed as failed:
            raise self._translate(failed) from None
        return self._arrange(found)

    def _arrange(self, found: Any) -> Any:
        if found is None:
            return None
        return found[0] if self._is_single else found

    def _translate(self, failed: GroupFailed) -> Exception:
        errors = [translate(error) for error in failed.errors.values()]
        remote = [error for error in errors if isinstance(error, RemoteError)]
        return CompositeError(remote) if len(remote) > 1 else errors[0]

    def wait(self, timeout: float | None = None) -> None:
        """Wait for the end, well or not."""
        try:
            self._future.exception(timeout)
        except TimeoutError:
            return

    def ready(self) -> bool:
        """Whether it has ended."""
        return bool(self._future.done())

    def wait_for_output(self, timeout: float | None = None) -> bool:
        """What it shows is there when it has ended."""
        self.wait(timeout)
        return self.ready()

    def abort(self) -> None:
        """Take it back where it waits."""
        self._future.cancel()

    def __len__(self) -> int:
        return len(self._future.names)

    def __iter__(self) -> Iterator[Any]:
        found = self.get()
        return iter([found] if self._is_single else found)

    @property
    def stdout(self) -> Any:
        """What each has printed."""
        return self._arrange(list(self._future.stdout.values()))

    @property
    def outputs(self) -> Any:
        """What each has displayed, without its result."""
        shown = [[_show(event) for event in events if event.kind == "display"] for events in self._displays]
        return self._arrange(shown)

    @property
    def execute_result(self) -> Any:
        """What each has shown as its value, None for silent ones."""
        shown = [[_show(event) for event in events if event.kind == "result"] for events in self._displays]
        return self._arrange([None if self._is_silent or not each else each[0] for each in shown])

    @property
    def _displays(self) -> Any:
        return self._future.outputs.values()


class AsyncMapResult(AsyncResult):
    """Of a map: what it returns is one list."""

    def _arrange(self, found: Any) -> Any:
        return found

    def __len__(self) -> int:
        return len(self.get())


class AsyncHubResult:
    """There is no hub to ask for the results of other clients: the kernel's journal has them."""


class ExecuteReply:
    """What one kernel has shown of code, and its value."""

    def __init__(self, execution: Any, result: AsyncResult) -> None:
        self.execution_count = execution.count
        self.stdout = execution.stdout
        self.outputs = [_show(event) for event in execution.outputs if event.kind == "display"]
        found = [_show(event) for event in execution.outputs if event.kind == "result"]
        self.execute_result = None if result._is_silent or not found else found[0]

    def __repr__(self) -> str:
        text = "" if self.execute_result is None else self.execute_result["data"].get("text/plain", "")
        return f"<ExecuteReply[{self.execution_count}]: {text}>"

    def _repr_png_(self) -> Any:
        return self._find("image/png")

    def _repr_html_(self) -> Any:
        return self._find("text/html")

    def _find(self, mime: str) -> Any:
        assert self.execute_result is not None
        data, metadata = self.execute_result["data"][mime], self.execute_result["metadata"].get(mime)
        return data if metadata is None else (data, metadata)


class ExecuteResult(AsyncResult):
    """Of code: what each returns is what it has shown."""

    def get(self, timeout: float | None = None) -> Any:
        """The replies."""
        super().get(timeout)
        return self._arrange([ExecuteReply(execution, self) for execution in self._future.executions.values()])


def _show(event: Any) -> dict[str, Any]:
    return {"data": dict(event.data), "metadata": dict(event.metadata)}
