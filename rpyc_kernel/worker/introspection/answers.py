"""Every question about the namespace, by name: who answers it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from rpyc_kernel.core.introspection import Completions, encode_found
from rpyc_kernel.system.originals import json
from rpyc_kernel.worker.engines import Engine
from rpyc_kernel.worker.introspection import surroundings
from rpyc_kernel.worker.introspection.completion import Completer
from rpyc_kernel.worker.introspection.help import HelpReader
from rpyc_kernel.worker.introspection.prompt_completion import complete_answer
from rpyc_kernel.worker.introspection.signatures import SignatureReader
from rpyc_kernel.worker.introspection.source_analysis import SourceAnalyzer
from rpyc_kernel.worker.introspection.table_cells import read_cells
from rpyc_kernel.worker.introspection.variables import Variables


def build_answers(engine: Engine, first_names: frozenset[str]) -> dict[str, Callable[..., str]]:
    """Return what answers each question, as JSON.

    Args:
        engine: has the live namespace.
        first_names: what stood in it before any user code.
    """
    namespace = engine.namespace
    static = SourceAnalyzer(namespace)
    help_reader = HelpReader(namespace, static, engine.name)
    variables = Variables(namespace, first_names)
    answers: dict[str, Callable[..., Any]] = {
        "complete": partial(_complete, Completer(namespace, static, engine.name)),
        "signatures": SignatureReader(namespace, static).read,
        "inspect": help_reader.inspect,
        "definition": help_reader.find_definition,
        "is_complete": engine.is_complete,
        "variables": variables.list,
        "children": variables.children,
        "cells": lambda path, rows, columns: read_cells(namespace, path, rows, columns),
        "set_variable": variables.set,
        "delete_variable": variables.delete,
        "rename_variable": variables.rename,
        "cwd": surroundings.get_cwd,
        "set_cwd": surroundings.set_cwd,
        "environment": surroundings.get_environment,
        "set_environment": surroundings.set_environment,
        "module_path": surroundings.get_module_path,
        "set_module_path": surroundings.set_module_path,
        "python": lambda: surroundings.describe_python(engine.name),
        "packages": surroundings.list_packages,
    }
    return {name: _encoded(answer) for name, answer in answers.items()}


def _complete(of_code: Completer, code: str, cursor: int, execution: int | None = None) -> Completions:
    return of_code.complete(code, cursor) if execution is None else complete_answer(execution, code, cursor)


def _encoded(answer: Callable[..., Any]) -> Callable[..., str]:
    return lambda *arguments: encode_found(answer(*arguments), json.dumps)
