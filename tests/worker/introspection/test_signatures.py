"""How things are called."""

import functools
import os

import pytest

from rpyc_kernel.core.introspection import Parameter
from rpyc_kernel.worker.introspection.signatures import Call, SignatureReader, find_call
from tests.worker.introspection.hostile import make_netref, touch


def function(first, /, second: int, *rest, third="text", fourth: list[int] | None = None, **others) -> bool:
    """What it does."""


@pytest.fixture
def reader(namespace, static):
    namespace.update(function=function, os=os)
    return SignatureReader(namespace, static)


@pytest.mark.parametrize(
    ("code", "call"),
    [
        ("f(", Call("f", 0, "")),
        ("f(1, ", Call("f", 1, "")),
        ("a.b(g(1, 2), [3, 4], {5: 6, 7: 8}, ", Call("a.b", 3, "")),
        ("f(g(1, ", Call("g", 1, "")),
        ("f('a, b(', ", Call("f", 1, "")),
        ("f(1,  # one, two (\n  ", Call("f", 1, "")),
        ("f(a, key=va", Call("f", 1, "key")),
        ("f(a == b", Call("f", 0, "")),
        ("items[0]['k'].f(", Call("items[0]['k'].f", 0, "")),
        ("f (", Call("f", 0, "")),
        ("f()", None),
        ("f([1, ", None),
        ("(1, ", None),
        ("if (", None),
        ("", None),
        (")(", None),
    ],
)
def test_the_open_call_is_found(code, call):
    assert find_call(code, len(code)) == call


def test_a_signature_has_parameters_and_documentation(reader):
    (found,) = reader.read("function(1, ", 12)
    assert found.name == "function"
    assert found.text == (
        "(first, /, second: int, *rest, third='text', fourth: list[int] | None = None, **others) -> bool"
    )
    assert found.parameters[0] == Parameter("first", "first", "positional_only")
    assert [each.kind for each in found.parameters[2:]] == [
        "var_positional",
        "keyword_only",
        "keyword_only",
        "var_keyword",
    ]
    assert (found.active, found.doc) == (1, "What it does.")


@pytest.mark.parametrize(
    ("code", "active"),
    [("function(", 0), ("function(1, 2, 3, 4", 2), ("function(1, third=", 3), ("function(1, odd=", 5)],
)
def test_the_parameter_at_the_cursor_is_told(reader, code, active):
    (found,) = reader.read(code, len(code))
    assert found.active == active


def test_too_many_arguments_are_in_no_parameter(reader, namespace):
    namespace["short"] = lambda only: only
    (found,) = reader.read("short(1, 2", 10)
    assert found.active is None


def test_keyword_only_parameters_follow_a_star(reader, namespace):
    namespace["f"] = lambda a, *, b: a
    assert reader.read("f(", 2)[0].text == "(a, *, b)"
    namespace["f"] = lambda a, /: a
    assert reader.read("f(", 2)[0].text == "(a, /)"


def test_what_the_source_alone_promises_is_read(reader):
    code = "def local(alpha, beta=1):\n    ...\nlocal(1, "
    (found,) = reader.read(code, len(code))
    assert (found.name, found.active, [each.name for each in found.parameters]) == ("local", 1, ["alpha", "beta"])


def test_classes_methods_and_partials_have_signatures(reader, namespace):
    class Table:
        def __init__(self, rows, columns=2): ...
        def head(self, count=5): ...
        def __call__(self, key): ...

    namespace.update(Table=Table, table=Table(1), partial=functools.partial(function, 1), text="text")
    texts = {
        code: reader.read(f"{code}(", len(code) + 1)[0].text for code in ("Table", "table.head", "table", "text.split")
    }
    assert texts == {
        "Table": "(rows, columns=2)",
        "table.head": "(count=5)",
        "table": "(key)",
        "text.split": "(sep=None, maxsplit=-1)",
    }
    assert reader.read("partial(", 8)[0].text.startswith("(second: int")


def test_nothing_is_called(reader, namespace):
    hostile = type("Hostile", (), {"__call__": touch, "__signature__": property(touch), "__getattr__": touch})
    for value in (hostile(), hostile, make_netref()):
        namespace["f"] = value
        reader.read("f(", 2)


def test_no_call_has_no_signature(reader):
    assert reader.read("function", 8) == []
    assert reader.read("nothing(", 8) == []
