"""The page of settings names every setting, argument and environment variable, with the default that holds."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import rpyc_kernel
from rpyc_kernel import settings
from rpyc_kernel.frozen import fields_of
from tests.docs.pages import ROOT, read_page, rows_of, sections_of

_SECTIONS = sections_of(read_page("settings.md"))
_PACKAGE = ROOT / "rpyc_kernel"
_ASKING = frozenset({"get", "pop", "setdefault", "getenv", "update"})
_ENVIRONMENTS = frozenset({"environ", "environment", "os"})


@pytest.mark.parametrize("function", [rpyc_kernel.start, rpyc_kernel.connect], ids=lambda function: function.__name__)
def test_every_argument_is_told_with_its_default(function: Callable[..., Any]) -> None:
    defaults = {name: parameter.default for name, parameter in inspect.signature(function).parameters.items()}
    assert _told_in(function.__name__) == defaults


@pytest.mark.parametrize(
    ("section", "kind"),
    [("Hub", settings.HubSettings), ("Worker", settings.WorkerSettings), ("Client", settings.ClientSettings)],
)
def test_every_setting_is_told_with_its_default(section: str, kind: Any) -> None:
    assert _told_in(section) == fields_of(kind())


def test_every_environment_variable_that_the_code_reads_or_sets_is_told() -> None:
    found = set(_variables_in(_PACKAGE))
    assert {"RPYC_KERNEL_KEY", "NO_COLOR", settings.SETTINGS_VARIABLE, "GIT_PAGER", "TMUX"} <= found
    assert found - rows_of(_SECTIONS["Environment variables"]).keys() == set()


def _told_in(section: str) -> dict[str, Any]:
    rows = rows_of(_SECTIONS[section])
    return {name: ast.literal_eval(re.sub(r"(?<=\d),(?=\d)", "", cells[0].strip("`"))) for name, cells in rows.items()}


def _variables_in(package: Path) -> Iterator[str]:
    """The variables in all that is asked of, or done to, something that is called an environment."""
    texts = [path.read_text() for path in package.rglob("*.py")]
    modules = [ast.parse(text) for text in texts if "environ" in text or "getenv" in text]
    constants = {name: value for module in modules for name, value in _constants_of(module)}
    for node in (node for module in modules for node in ast.walk(module)):
        for part in _keys_in(node):
            part = constants.get(part.id, part) if isinstance(part, ast.Name) else part
            names = part.keys if isinstance(part, ast.Dict) else [part]
            yield from (name.value for name in names if isinstance(name, ast.Constant) and isinstance(name.value, str))


def _constants_of(module: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    for node in module.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, node.value
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            yield node.target.id, node.value


def _keys_in(node: ast.AST) -> list[ast.expr]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and _is_environment(node.func.value):
        return node.args[:1] if node.func.attr in _ASKING else []
    if isinstance(node, ast.Subscript) and _is_environment(node.value):
        return [node.slice]
    if isinstance(node, ast.Compare) and _is_environment(node.comparators[0]):
        return [node.left]
    return []


def _is_environment(node: ast.expr) -> bool:
    return (node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")) in _ENVIRONMENTS
