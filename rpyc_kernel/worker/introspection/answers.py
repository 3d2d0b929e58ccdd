"""The commands that the worker answers, beside the code that it runs: who answers which."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from rpyc_kernel.core import commands
from rpyc_kernel.core.commands import Command
from rpyc_kernel.core.introspection import Completions, make_found_encoder
from rpyc_kernel.system.originals import json
from rpyc_kernel.worker.capture import count_turns
from rpyc_kernel.worker.engines.plain import PlainEngine
from rpyc_kernel.worker.introspection import surroundings
from rpyc_kernel.worker.introspection.completion import Completer
from rpyc_kernel.worker.introspection.help import HelpReader
from rpyc_kernel.worker.introspection.prompt_completion import complete_answer
from rpyc_kernel.worker.introspection.references import ReferenceFinder
from rpyc_kernel.worker.introspection.row_views import RowViews
from rpyc_kernel.worker.introspection.signatures import SignatureReader
from rpyc_kernel.worker.introspection.source_analysis import SourceAnalyzer
from rpyc_kernel.worker.introspection.table_cells import read_cells
from rpyc_kernel.worker.introspection.variables import Variables
from rpyc_kernel.worker.introspection.watching import Watcher

_Found = TypeVar("_Found")
_encode = make_found_encoder(json)


def build_answers(engine: PlainEngine, first_names: frozenset[str]) -> dict[str, Callable[..., str]]:
    """Return what answers each of those commands, as JSON; the hub has checked the arguments.

    Args:
        engine: has the live namespace.
        first_names: what stood in it before any user code.
    """
    namespace = engine.namespace
    static = SourceAnalyzer(namespace)
    help_reader = HelpReader(namespace, static, engine.name)
    views = RowViews(count_turns)
    variables = Variables(namespace, first_names, views.forget)
    answers: dict[Command[Any], Callable[..., Any]] = {
        commands.COMPLETE: partial(_complete, Completer(namespace, static, engine.name)),
        commands.SIGNATURES: partial(_at_place, SignatureReader(namespace, static).read),
        commands.INSPECT: lambda code, cursor, source: _at_place_or_path(
            partial(help_reader.inspect, with_source=source), code, cursor
        ),
        commands.DEFINITION: partial(_at_place_or_path, help_reader.find_definition),
        commands.REFERENCES: partial(_at_place_or_path, ReferenceFinder(static).find),
        commands.IS_COMPLETE: engine.is_complete,
        commands.VARIABLES: variables.list,
        commands.CHILDREN: variables.children,
        commands.CELLS: partial(read_cells, namespace, views),
        commands.SET_VARIABLE: variables.set,
        commands.DELETE_VARIABLE: variables.delete,
        commands.RENAME_VARIABLE: variables.rename,
        commands.EVALUATE: Watcher(namespace, engine.interrupts).evaluate,
        commands.CWD: surroundings.get_cwd,
        commands.SET_CWD: surroundings.set_cwd,
        commands.ENVIRONMENT: surroundings.get_environment,
        commands.SET_ENVIRONMENT: surroundings.set_environment,
        commands.MODULE_PATH: surroundings.get_module_path,
        commands.SET_MODULE_PATH: surroundings.set_module_path,
        commands.PYTHON: lambda: surroundings.describe_python(engine.name),
        commands.PACKAGES: surroundings.list_packages,
    }
    return {command.name: partial(_answer_in_json, answer) for command, answer in answers.items()}


def _complete(of_code: Completer, code: str, cursor: int | None, execution: int | None) -> Completions:
    if execution is None:
        return _at_place(of_code.complete, code, cursor)
    return _at_place(partial(complete_answer, execution), code, cursor)


def _at_place(answer: Callable[[str, int], _Found], code: str, cursor: int | None) -> _Found:
    """Answer for a place within the code; None is its end."""
    return answer(code, len(code) if cursor is None else max(0, min(cursor, len(code))))


def _at_place_or_path(answer: Callable[[str, int | None], _Found], code: str, cursor: int | None) -> _Found:
    return answer(code, None) if cursor is None else _at_place(answer, code, cursor)


def _answer_in_json(answer: Callable[..., Any], *arguments: Any) -> str:
    return _encode(answer(*arguments))
