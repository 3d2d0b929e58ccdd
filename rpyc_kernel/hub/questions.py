"""What a client may ask of the worker's namespace, by value; the worker answers beside the code that runs.

All are immediate: nothing is queued, and nobody is told. Each answer is one JSON text, which the worker wrote; what its
fields mean stands in `core.introspection`.
"""

from __future__ import annotations

from concurrent.futures import Executor, Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import Any

from rpyc_kernel.core.contract import Role
from rpyc_kernel.errors import NotPermitted, WorkerBusy
from rpyc_kernel.hub.arguments import CheckedService, Code, Place
from rpyc_kernel.hub.hub import Hub

_WORKER_START_S = 4.0


class Questions(CheckedService):
    """The part of a client's view of the hub that is passed on to the worker.

    Args:
        hub: the kernel.
        session: whose connection this is.
        later: runs what takes a while off the connection's thread.
        role: what this connection may do, whatever others of its session may.
    """

    def __init__(self, hub: Hub, session: str, later: Executor, role: str) -> None:
        self._hub = hub
        self._session = session
        self._later = later
        self._role = role

    # ------------------------------------------------------------------ code

    def exposed_complete(self, code: Code, cursor: int | None = None, execution: int | None = None) -> Future[Any]:
        """What could stand at ``cursor`` (its end if None), of code or of what answers an execution: `Completions`."""
        return self._ask_worker("complete", code, _place(code, cursor), execution)

    def exposed_signatures(self, code: Code, cursor: int | None = None) -> Future[Any]:
        """How what is called at ``cursor`` (its end if None) wants to be called: some `Signature`."""
        return self._ask_worker("signatures", code, _place(code, cursor))

    def exposed_inspect(self, code: Code, cursor: int | None = None) -> Future[Any]:
        """What is known of a path or, with a cursor, of what stands there in code: `Inspection`."""
        return self._ask_worker("inspect", code, _place(code, cursor, or_none=True))

    def exposed_definition(self, code: Code, cursor: int | None = None) -> Future[Any]:
        """Where a path or, with a cursor, what stands there in code, is defined: `Definition` or None."""
        return self._ask_worker("definition", code, _place(code, cursor, or_none=True))

    def exposed_is_complete(self, code: Code) -> Future[Any]:
        """Whether code could run as it is: `CodeState`."""
        return self._ask_worker("is_complete", code)

    # ------------------------------------------------------------------ variables

    def exposed_variables(self, start: Place = 0, count: Place = 1000) -> Future[Any]:
        """What the user defined: some `Variable`."""
        return self._ask_worker("variables", start, count)

    def exposed_children(self, path: str, start: Place = 0, count: Place = 100) -> Future[Any]:
        """What is in the value at a path: `Page`."""
        return self._ask_worker("children", path, start, count)

    def exposed_cells(
        self, path: str, first_row: Place = 0, end_row: Place = 50, first_column: Place = 0, end_column: Place = 20
    ) -> Future[Any]:
        """A rectangle of the table at a path: `Cells`."""
        return self._ask_worker("cells", path, (first_row, end_row), (first_column, end_column))

    def exposed_set_variable(self, name: str, literal: str) -> Future[Any]:
        """Give a variable the value of a literal."""
        self._require_user("set a variable")
        return self._ask_worker("set_variable", name, literal)

    def exposed_delete_variable(self, name: str) -> Future[Any]:
        """Take a variable away."""
        self._require_user("delete a variable")
        return self._ask_worker("delete_variable", name)

    def exposed_rename_variable(self, name: str, new_name: str) -> Future[Any]:
        """Give a variable another name."""
        self._require_user("rename a variable")
        return self._ask_worker("rename_variable", name, new_name)

    # ------------------------------------------------------------------ surroundings

    def exposed_cwd(self) -> Future[Any]:
        """The worker's current folder."""
        return self._ask_worker("cwd")

    def exposed_set_cwd(self, folder: str) -> Future[Any]:
        """Go to another folder; its full path."""
        self._require_user("change the folder")
        return self._ask_worker("set_cwd", folder)

    def exposed_environment(self) -> Future[Any]:
        """The worker's environment variables."""
        return self._ask_worker("environment")

    def exposed_set_environment(self, name: str, value: str | None) -> Future[Any]:
        """Set one environment variable, or (None) take it away."""
        self._require_user("change the environment")
        return self._ask_worker("set_environment", name, value)

    def exposed_module_path(self) -> Future[Any]:
        """The worker's ``sys.path``."""
        return self._ask_worker("module_path")

    def exposed_set_module_path(self, entries: tuple[str, ...]) -> Future[Any]:
        """Replace the worker's ``sys.path``."""
        self._require_user("change the module path")
        return self._ask_worker("set_module_path", entries)

    def exposed_python(self) -> Future[Any]:
        """The worker's interpreter: `Python`."""
        return self._ask_worker("python")

    def exposed_packages(self) -> Future[Any]:
        """The distributions installed for the worker: some `Package`."""
        return self._ask_worker("packages")

    # ------------------------------------------------------------------ asking

    def _require_user(self, what: str) -> None:
        if self._role != Role.USER:
            name = self._hub.look(lambda state: state.sessions.name_of(self._session))
            raise NotPermitted(f"session {name!r} only observes; it cannot {what}")

    def _ask_worker(self, method: str, *arguments: Any) -> Future[Any]:
        supervisor = self._hub.supervisor
        if not supervisor.wait_for_worker(0):
            # Most often it is starting; nobody but the one who asks waits for that.
            return self._later.submit(self._ask_late_worker, method, arguments)
        answer: Future[Any] = Future()

        def pass_on(done: Future[Any]) -> None:
            if not answer.set_running_or_notify_cancel():
                return
            error = done.exception()
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(done.result())

        supervisor.request(method, *arguments).add_done_callback(pass_on)
        return answer

    def _ask_late_worker(self, method: str, arguments: tuple[Any, ...]) -> Any:
        self._hub.supervisor.wait_for_worker(_WORKER_START_S)
        try:
            return self._hub.supervisor.request(method, *arguments).result(_WORKER_START_S)
        except FutureTimeoutError:
            raise WorkerBusy(f"the worker has just started, and did not answer within {_WORKER_START_S:g} s") from None


def _place(code: Code, cursor: int | None, *, or_none: bool = False) -> int | None:
    """A cursor within the code; None is its end, or nowhere."""
    if cursor is None:
        return None if or_none else len(code)
    return max(0, min(cursor, len(code)))
