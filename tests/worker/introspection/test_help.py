"""What is known of a name, and where it is defined."""

import functools
import inspect
import linecache
import textwrap

import pytest

from rpyc_kernel.core.introspection import Definition, Inspection
from rpyc_kernel.worker.introspection.documentation import MAX_TEXT
from rpyc_kernel.worker.introspection.help import HelpReader, find_path
from tests.worker.introspection.hostile import Trap, make_netref, touch

CELL = '''\
import functools

class Table:
    """Rows and columns."""

    def head(self, count=5):
        """The first rows."""
        return count

class Empty:
    pass

class Derived(Table):
    def head(self, count=5):
        return 0

def wrap(function):
    @functools.wraps(function)
    def wrapper(*args):
        return function(*args)
    return wrapper

@wrap
def wrapped(alpha, beta=2):
    """What it does."""

table, derived = Table(), Derived()
'''


@pytest.fixture
def reader(namespace, static):
    return HelpReader(namespace, static, "plain")


@pytest.fixture
def cell(namespace):
    """The namespace after a cell, whose source is known as the engines make it known."""
    linecache.cache["<In 7>"] = (len(CELL), None, CELL.splitlines(keepends=True), "<In 7>")
    exec(compile(CELL, "<In 7>", "exec"), namespace)
    yield namespace
    del linecache.cache["<In 7>"]


def test_a_function_is_described(reader, namespace):
    namespace["textwrap"] = textwrap
    about = reader.inspect("textwrap.dedent", None)
    assert (about.found, about.name, about.type) == (True, "textwrap.dedent", "function")
    assert about.signature == "(text)"
    assert about.doc.startswith("Remove any common leading whitespace")
    assert about.source.startswith("def dedent(text):")
    assert about.file == textwrap.__file__
    assert about.line > 1


def test_what_is_not_there_is_not_found(reader):
    about = reader.inspect("nothing.at.all", None)
    assert about == Inspection("nothing.at.all")
    assert not about


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a.", "1", "x y", "f()", "\ud800", "a[", "a[0", "a[b]", "a['b]", "a[1:2]"]
)
def test_what_is_no_path_is_not_found(reader, namespace, name):
    namespace["a"] = [1]
    assert reader.inspect(name, None).found is False


def test_what_stands_in_containers_is_found(reader, namespace):
    namespace["a"] = [{"b": "text"}]
    assert reader.inspect("a[0]['b']", None).preview == "'text'"
    assert reader.inspect("a[-1]", None).preview == "{'b': 'text'}"


def test_a_property_is_not_run_for_help(reader, namespace):
    namespace["trap"] = Trap()
    assert not reader.inspect("trap.a_property", None)


def test_of_a_clients_object_only_that_is_told(reader, namespace):
    namespace["theirs"] = make_netref()
    assert reader.inspect("theirs", None) == Inspection("theirs", True, "client object", "<an object in a client>")
    assert reader.find_definition("theirs", None) is None


@pytest.mark.parametrize(
    ("code", "cursor", "path"),
    [
        ("x = table.head(3)", 7, "table"),
        ("x = table.head(3)", 12, "table.head"),
        ("x = table.head(3)", 14, "table.head"),
        ("x = table.head(3", 16, "table.head"),
        ("x = table.head(", 15, "table.head"),
        ("print(1)\ntable", 11, "table"),
        ("len([table, 1])", 8, "table"),
    ],
)
def test_what_stands_at_the_cursor_is_described(reader, cell, code, cursor, path):
    about = reader.inspect(code, cursor)
    assert (about.found, about.name) == (True, path)


def test_classes_and_functions_of_cells_have_source_file_and_line(reader, cell):
    about = reader.inspect("Table", None)
    assert (about.file, about.line, about.doc) == ("<In 7>", 3, "Rows and columns.")
    assert about.source.startswith("class Table:")
    assert about.source.rstrip().endswith("return count")
    assert (reader.inspect("Empty", None).file, reader.inspect("Empty", None).line) == ("<In 7>", 10)
    assert reader.inspect("table.head", None).source.startswith("    def head(self, count=5):")
    assert reader.find_definition("table", None) == Definition("table", "<In 7>", 27)


def test_source_that_nobody_wants_is_not_looked_for(reader, cell, monkeypatch):
    monkeypatch.setattr(inspect, "getblock", lambda lines: pytest.fail("its end was looked for"))
    for name in ("Table", "wrapped"):
        about = reader.inspect(name, None, with_source=False)
        assert (about.found, about.source, about.file) == (True, "", "<In 7>")


@pytest.mark.parametrize("ending", ["", '    text = """', "    call("], ids=["whole", "in a text", "in a call"])
def test_long_source_is_read_only_as_far_as_it_is_shown(reader, cell, monkeypatch, ending):
    head = ["def long():\n", "    x = 1\n"] + ["    y = 'some text that is long'\n"] * (MAX_TEXT // 40)
    source = [*head, f"{ending}\n", *["    z = 2\n"] * MAX_TEXT]
    linecache.cache["<In 8>"] = (0, None, source, "<In 8>")
    exec(compile("def long(): pass", "<In 8>", "exec"), cell)
    seen = []
    getblock = inspect.getblock
    monkeypatch.setattr(inspect, "getblock", lambda lines: (seen.extend(lines), getblock(lines))[1])
    assert reader.inspect("long", None).source == "".join(source)[:MAX_TEXT]
    assert sum(map(len, seen)) < MAX_TEXT + 100


def test_a_wrapped_function_is_shown_as_what_it_wraps(reader, cell):
    about = reader.inspect("wrapped", None)
    assert (about.signature, about.doc) == ("(alpha, beta=2)", "What it does.")
    assert about.line == 23
    assert about.source.startswith("@wrap\ndef wrapped(")


def test_a_method_without_documentation_has_that_of_what_it_overrides(reader, cell):
    assert reader.inspect("derived.head", None).doc == "The first rows."


def test_a_definition_is_found_in_the_file_of_a_module(reader, namespace):
    namespace.update(textwrap=textwrap, functools=functools)
    found = reader.find_definition("textwrap.TextWrapper", None)
    assert found.file == textwrap.__file__
    assert linecache.getline(found.file, found.line).startswith("class TextWrapper")
    assert reader.find_definition("textwrap", None) == Definition("textwrap", textwrap.__file__, 1)


def test_a_definition_of_the_standard_library_is_in_a_file_though_it_is_frozen(reader, namespace):
    import os

    namespace["os"] = os
    assert reader.find_definition("os.path.join", None).file.endswith("posixpath.py")


def test_a_definition_in_the_code_itself_is_found(reader):
    code = "def function(alpha):\n    return alpha\nfunction"
    assert reader.find_definition(code, len(code)) == Definition("function", "", 1, 4)
    assert reader.inspect(code, len(code)).signature == "(alpha)"


def test_what_has_no_definition_has_none(reader, namespace):
    assert reader.find_definition("len", None) is None
    assert reader.find_definition("nothing", None) is None


def test_nothing_of_a_hostile_object_is_run(reader, namespace):
    meta = type("Meta", (type,), {"__getattribute__": touch, "__call__": touch})
    hostile = meta("Hostile", (), {"__doc__": property(touch), "__call__": touch, "__signature__": property(touch)})

    def function(first, *, second): ...

    function.__defaults__, function.__kwdefaults__ = (Trap(),), {"second": make_netref()}
    function.__annotations__ = {"first": Trap(), "return": make_netref()}

    def wrapper(): ...

    wrapper.__wrapped__ = make_netref()
    namespace.update(
        Hostile=hostile, hostile=object.__new__(hostile), trap=Trap(), function=function, wrapper=wrapper,
        partial=functools.partial(Trap.method, Trap()),
    )  # fmt: skip
    for name in ("Hostile", "hostile", "trap", "wrapper", "partial", "trap.method"):
        assert reader.inspect(name, None).found
        reader.find_definition(name, None)
    assert "Trap object>" in reader.inspect("function", None).signature


@pytest.mark.parametrize(
    ("code", "path"),
    [
        ("x = table.head", "table.head"),
        ("table.", "table"),
        ("table", "table"),
        ("f(table[0]['k'].head", "table[0]['k'].head"),
        ("items[0]", "items[0]"),
        ("x + ", ""),
        ("größe", "größe"),
    ],
)
def test_the_path_at_the_cursor_is_found(code, path):
    assert find_path(code, len(code)) == path
