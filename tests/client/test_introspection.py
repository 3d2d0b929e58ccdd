"""What the methods that look into the worker ask of the hub, and what they make of its answers."""

import inspect
import json

import pytest

from rpyc_kernel.client.answers import reader_of
from rpyc_kernel.client.introspection import Introspection
from rpyc_kernel.core.commands import COMMANDS
from rpyc_kernel.core.introspection import Cells, Definition, Variable
from rpyc_kernel.errors import CallTimeout, WorkerBusy

METHODS = [name for name, _ in inspect.getmembers(Introspection, inspect.isfunction) if not name.startswith("_")]
RIGHT = {
    "str": "x", "int": 1, "Sequence[str]": ["a", "b"], "tuple[int, int]": (0, 5), "float": 1.0, "Any": [1],
    "bool": False, "Column": 0, "Sort": (0,), "Filter": ((0, "==", 1),),
}  # fmt: skip


class TableHub:
    """Takes what the table takes of the worker, and answers as it is told to; it is there itself."""

    loss = ""

    def __init__(self, answer=None):
        self.asked = {}
        self._answer = answer

    def call(self, command, *arguments, timeout_s):
        if not command.by_worker:
            return None
        self.asked[command.name] = command.bind(arguments)
        if self._answer is None:
            raise CallTimeout("no answer")
        return reader_of(command)(json.dumps(self._answer))


def make_kernel(hub):
    kernel = Introspection()
    kernel._commands = hub
    return kernel


def call(hub, method):
    parameters = inspect.signature(getattr(Introspection, method)).parameters.values()
    right = {each.name: RIGHT[str(each.annotation).removesuffix(" | None")] for each in list(parameters)[1:]}
    return getattr(make_kernel(hub), method)(**right)


def test_every_command_that_the_worker_answers_has_a_method_that_asks_what_the_table_takes():
    hub = TableHub()
    for method in METHODS:
        with pytest.raises(WorkerBusy, match=r"(did not answer '\w+'|was not sorted and filtered) within 1 s"):
            call(hub, method)
    assert set(hub.asked) == {name for name, command in COMMANDS.items() if command.by_worker}
    assert hub.asked["cells"] == ["x", 0, 5, 0, 5, ((0, "ascending"),), ((0, "==", "1"),)]
    assert hub.asked["set_variable"] == ["x", "[1]", 1, 0]
    assert hub.asked["set_module_path"] == [("a", "b")]


def test_an_answer_is_read_as_the_table_says():
    variable = {"name": "x", "path": "x", "type": "int", "new in a later release": 1}
    assert call(TableHub([variable]), "variables") == [Variable("x", "x", "int")]
    assert call(TableHub({"name": "f", "file": "a.py", "line": 3}), "definition") == Definition("f", "a.py", 3)
    assert call(TableHub([["A", "1"]]), "environment") == {"A": "1"}
    assert call(TableHub(["/lib"]), "module_path") == ["/lib"]
    assert call(TableHub("/tmp"), "cwd") == "/tmp"
    cells = {"path": "x", "rows": [["1"]], "row_labels": ["0"], "column_labels": ["value"]}
    counts = dict.fromkeys(("row_count", "column_count", "row_start", "column_start"), 0)
    assert isinstance(call(TableHub({**cells, **counts}), "slice"), Cells)
    assert call(TableHub({**cells, **counts}), "slice").rows == (("1",),)


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        ("cwd", 5),
        ("module_path", [5]),
        ("module_path", 5),
        ("environment", [["A", 5]]),
        ("variables", {"a": 1}),
        ("python", 1),
    ],
)
def test_what_is_no_such_answer_is_not_read(method, answer):
    with pytest.raises((TypeError, ValueError, AttributeError)):
        call(TableHub(answer), method)
