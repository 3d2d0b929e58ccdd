"""The page of exit statuses tells those that the code has, for every command and every error."""

from __future__ import annotations

import inspect

from rpyc_kernel import errors
from rpyc_kernel.cli import application, program
from rpyc_kernel.hub import failing as failing_hub
from rpyc_kernel.worker import failing as failing_worker
from tests.docs.pages import read_page, rows_of, sections_of

_SECTIONS = sections_of(read_page("exit-statuses.md"))


def test_every_error_has_the_status_that_is_told() -> None:
    classes = [kind for kind in vars(errors).values() if inspect.isclass(kind) and issubclass(kind, errors.KernelError)]
    made = {kind.__name__: kind.__new__(kind) for kind in classes}
    told = {name: cells[0] for name, cells in rows_of(_SECTIONS["Commands"]).items() if name[0].isupper()}
    assert told == {name: str(application.status_of(error)) for name, error in made.items()}


def test_every_status_of_the_commands_is_told() -> None:
    told = {name for name in rows_of(_SECTIONS["Commands"]) if name.isdigit()}
    statuses = (application.OK, application.RAISED, application.USAGE, application.NO_KERNEL, application.TIMED_OUT)
    assert told == {str(status) for status in (*statuses, application.INTERRUPTED, program._BROKEN_PIPE)}


def test_every_command_is_named() -> None:
    assert set(program._COMMANDS) <= set(_SECTIONS["Commands with more to say"].split("`")[1::2])


def test_what_hubs_and_workers_fail_with_is_told() -> None:
    for process, status in (("hub", failing_hub.EXIT_STATUS), ("worker", failing_worker.EXIT_STATUS)):
        assert f"| {process} | `{status}` |" in _SECTIONS["Processes"]
