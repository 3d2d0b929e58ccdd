"""What an editor asks of its backend, answered while user code spins, on each engine."""

import os
import sys

import pytest

from rpyc_kernel import ExecutionInterrupted, NotAvailable, RequestError, WorkerBusy
from rpyc_kernel.client.introspection import Introspection
from rpyc_kernel.core.contract import Kind
from rpyc_kernel.core.introspection import CodeState, Completion, Definition
from tests.support.waiting import wait_until

pytestmark = pytest.mark.shares_kernel

DEADLINE_S = 60

DEFINITIONS = '''
import os, collections
import numpy, pandas

class Table:
    """Rows and columns."""

    def head(self, count=5, *, wide: bool = False) -> list:
        """The first rows."""
        return []

table = Table()
table.columns = ["a", "b"]
settings = {"servers": [{"name": "one", "port": 80}], (1, 2): "odd"}
array = numpy.arange(12.0).reshape(3, 4)
frame = pandas.DataFrame({"n": numpy.arange(1_000_000), "t": "text"})
circle = []
circle.append(circle)
'''
SPIN = "print('spinning')\nwhile True: pass"

HOSTILE = """
import collections, datetime

class Endless:
    def _spin(self, *args, **kwargs):
        while True: pass
    __repr__ = __str__ = __dir__ = __getattr__ = __len__ = __iter__ = __bool__ = __eq__ = _spin
    __hash__ = object.__hash__
    prop = property(_spin)

class Failing:
    def _fail(self, *args, **kwargs):
        raise BaseException("must not run")
    __repr__ = __str__ = __dir__ = __getattr__ = __len__ = __iter__ = __bool__ = __eq__ = _fail
    __hash__ = object.__hash__
    prop = property(_fail)

class Zone(datetime.tzinfo):
    def utcoffset(self, when):
        raise SystemExit

endless, failing = Endless(), Failing()
zoned = [datetime.datetime(2024, 1, 2, tzinfo=Zone())]
absent = collections.defaultdict(list)
longest = range(10**20)
endless.inner = failing
holders = [endless, {"key": failing, failing: endless}, (failing,), {endless}]
huge = [None] * 100_000_000
"""


@pytest.fixture(params=["plain", "ipython"])
def engine(request):
    return request.param


@pytest.fixture
def spinning(kernel):
    """A kernel whose code has printed, and then runs until it is interrupted."""
    kernel.execute(DEFINITIONS, timeout=DEADLINE_S)
    execution = kernel.submit(SPIN)
    next(event for event in execution.events(timeout=DEADLINE_S) if event.kind == Kind.STREAM)
    yield kernel
    assert not execution.done()
    assert kernel.interrupt(execution.id, wait=DEADLINE_S)
    with pytest.raises(ExecutionInterrupted):
        execution.result(DEADLINE_S)


def test_an_editor_gets_help_with_code(spinning):
    kernel = spinning
    assert Completion("path", "module") in kernel.complete("os.pa", timeout=DEADLINE_S).items
    assert Completion("linspace", "function") in kernel.complete("numpy.lins", timeout=DEADLINE_S).items
    assert kernel.complete("table.", timeout=DEADLINE_S).items == (
        Completion("columns", "instance"), Completion("head", "function"),
    )  # fmt: skip
    assert kernel.complete("settings['ser", timeout=DEADLINE_S).matches == ("servers",)
    (signature,) = kernel.signatures("table.head(3, wi", timeout=DEADLINE_S)
    assert (signature.text, signature.active, signature.doc) == (
        "(count=5, *, wide: bool = False) -> list", None, "The first rows.",
    )  # fmt: skip
    about = kernel.inspect("x = table.head(3)", 12, timeout=DEADLINE_S)
    assert (about.name, about.line, about.doc) == ("table.head", 8, "The first rows.")
    assert about.source.startswith("    def head(self")
    assert kernel.definition("Table", timeout=DEADLINE_S) == Definition("Table", about.file, 5)
    assert kernel.definition("collections.deque", timeout=DEADLINE_S) is None
    assert kernel.definition("os.path.join", timeout=DEADLINE_S).file.endswith("posixpath.py")
    assert kernel.is_complete("def f(x):\n  x*2", timeout=DEADLINE_S) == CodeState("incomplete", "  ")


def test_an_editor_finds_where_names_are_used_and_made(spinning):
    kernel = spinning
    wait_until(lambda: kernel.references("Table", timeout=DEADLINE_S).is_whole, DEADLINE_S, "all references")
    found = kernel.references("Table", timeout=DEADLINE_S)
    assert [(each.line, each.is_definition) for each in found.items] == [(5, True), (12, False)]
    made = kernel.definition("table", timeout=DEADLINE_S)
    assert (made.file, made.line) == (found.items[0].file, found.items[1].line)


def test_an_editor_browses_variables_and_tables(spinning):
    kernel = spinning
    found = {variable.name: variable for variable in kernel.variables(timeout=DEADLINE_S)}
    assert (found["array"].shape, found["array"].dtype, found["array"].has_cells) == ((3, 4), "float64", True)
    assert (found["frame"].shape, found["frame"].has_cells) == ((1_000_000, 2), True)
    servers, odd = kernel.children("settings", timeout=DEADLINE_S).items
    assert (servers.path, odd.name, odd.preview) == ("settings['servers']", "(1, 2)", "'odd'")
    assert kernel.inspect(odd.path, timeout=DEADLINE_S).preview == "'odd'"
    (server,) = kernel.children(servers.path, timeout=DEADLINE_S).items
    ports = [item for item in kernel.children(server.path, timeout=DEADLINE_S).items if item.name == "'port'"]
    assert [port.preview for port in ports] == ["80"]
    assert [item.name for item in kernel.children("table", timeout=DEADLINE_S).items] == ["columns"]
    (circle,) = kernel.children("circle[0][0][0]", timeout=DEADLINE_S).items
    assert circle.path == "circle[0][0][0][0]"
    cells = kernel.slice("frame", rows=(999_999, 1_000_000), timeout=DEADLINE_S)
    assert (cells.row_labels, cells.column_labels, cells.rows) == (("999999",), ("n", "t"), (("999999", "text"),))
    cells = kernel.slice("array", rows=(1, 2), columns=(1, 3), timeout=DEADLINE_S)
    assert (cells.rows, cells.row_count, cells.column_count) == ((("5.0", "6.0"),), 3, 4)
    assert kernel.slice("settings['servers']", timeout=DEADLINE_S).row_count == 1


def test_an_editor_changes_variables(spinning):
    kernel = spinning
    value = {"a": [1, 2.5, None, (True,), b"bytes", {3}], "ä\ud800": "\n"}
    kernel.set_variable("made", value, timeout=DEADLINE_S)
    assert kernel.eval("ascii(made)") == ascii(value)
    kernel.rename_variable("made", "renamed", timeout=DEADLINE_S)
    assert "made" not in {variable.name for variable in kernel.variables(timeout=DEADLINE_S)}
    kernel.delete_variable("renamed", timeout=DEADLINE_S)
    with pytest.raises(NotAvailable, match="no variable 'renamed'"):
        kernel.delete_variable("renamed", timeout=DEADLINE_S)
    for refused in (object(), float("nan"), [len], {"deep": {1: object()}}):
        with pytest.raises(RequestError):
            kernel.set_variable("made", refused, timeout=DEADLINE_S)


def test_an_editor_sees_and_changes_the_surroundings(spinning, tmp_path):
    kernel = spinning
    assert kernel.set_cwd(str(tmp_path), timeout=DEADLINE_S) == kernel.cwd(timeout=DEADLINE_S) == str(tmp_path)
    with pytest.raises(RequestError, match="cannot go to"):
        kernel.set_cwd(str(tmp_path / "absent"), timeout=DEADLINE_S)
    kernel.set_environment("RK_TEST", "ä", timeout=DEADLINE_S)
    assert kernel.environment(timeout=DEADLINE_S)["RK_TEST"] == "ä"
    kernel.set_environment("RK_TEST", None, timeout=DEADLINE_S)
    assert "RK_TEST" not in kernel.environment(timeout=DEADLINE_S)
    for name in ("", "a=b", "nul\0"):
        with pytest.raises(RequestError):
            kernel.set_environment(name, "1", timeout=DEADLINE_S)
    path = kernel.module_path(timeout=DEADLINE_S)
    kernel.set_module_path([*path, str(tmp_path)], timeout=DEADLINE_S)
    assert kernel.module_path(timeout=DEADLINE_S) == [*path, str(tmp_path)]
    python = kernel.python(timeout=DEADLINE_S)
    assert (python.version, python.executable) == (".".join(map(str, sys.version_info[:3])), sys.executable)
    assert python.pid == kernel.status()["worker_pid"]
    assert python.engine in ("plain", "ipython")
    packages = {package.name.lower().replace("_", "-") for package in kernel.packages(timeout=DEADLINE_S)}
    assert {"rpyc", "jedi", "pytest"} <= packages


def test_nothing_of_hostile_objects_runs(kernel):
    kernel.execute(HOSTILE, timeout=DEADLINE_S)
    execution = kernel.submit(SPIN)
    next(event for event in execution.events(timeout=DEADLINE_S) if event.kind == Kind.STREAM)
    found = {variable.name: variable for variable in kernel.variables(timeout=DEADLINE_S)}
    assert found["endless"].preview == "<__main__.Endless object>"
    assert found["zoned"].preview == "[<datetime.datetime object>]"
    assert found["longest"].preview == "range(0, 100000000000000000000)"
    assert kernel.complete("absent['x'].app", timeout=DEADLINE_S).matches == ()
    assert kernel.inspect("absent", timeout=DEADLINE_S).preview == "<collections.defaultdict object>"
    assert kernel.children("absent", timeout=DEADLINE_S).count == 0
    assert (found["huge"].size, found["huge"].has_children) == (100_000_000, True)
    for name in ("endless", "failing"):
        assert "prop" in kernel.complete(f"{name}.", timeout=DEADLINE_S).matches
        for code in (f"{name}.prop.", f"{name}.absent.", f"{name}().", f"{name}[0].", f"str({name})."):
            assert kernel.complete(code, timeout=DEADLINE_S).start == len(code)
        assert kernel.inspect(name, timeout=DEADLINE_S).found
        assert kernel.signatures(f"{name}(", timeout=DEADLINE_S) == []
        kernel.definition(name, timeout=DEADLINE_S)
        kernel.children(name, timeout=DEADLINE_S)
        with pytest.raises(RequestError, match="nothing that has rows"):
            kernel.slice(name, timeout=DEADLINE_S)
    assert [item.name for item in kernel.children("endless", timeout=DEADLINE_S).items] == ["inner"]
    for number, count in enumerate((None, 2, 1, 1)):
        if count:
            page = kernel.children(f"holders[{number}]", timeout=DEADLINE_S)
            assert page.count == count
            assert [kernel.inspect(item.path, timeout=DEADLINE_S).found for item in page.items] == [True] * count
    assert kernel.slice("holders[1]", timeout=DEADLINE_S).row_count == 2
    assert [item.name for item in kernel.children("huge", 99_999_999, timeout=DEADLINE_S).items] == ["[99999999]"]
    assert kernel.slice("huge", (50_000_000, 50_000_001), timeout=DEADLINE_S).rows == (("None",),)
    assert kernel.interrupt(execution.id, wait=DEADLINE_S)


class Sensitive:
    """An object of this client's that notes when the kernel asks it something."""

    def __init__(self):
        self.asked = []

    def __getattribute__(self, name):
        object.__getattribute__(self, "__dict__").setdefault("asked", []).append(name)
        return object.__getattribute__(self, name)

    def __repr__(self):
        raise AssertionError("asked for its repr")

    __dir__ = __len__ = __iter__ = __repr__


def test_objects_of_clients_are_never_asked(kernel):
    theirs = Sensitive()
    kernel.namespace["theirs"] = theirs
    kernel.execute("holder = [theirs, {'k': theirs}]", timeout=DEADLINE_S)
    asked = vars(theirs)["asked"]
    before = list(asked)
    found = {variable.name: variable for variable in kernel.variables(timeout=DEADLINE_S)}
    assert (found["theirs"].type, found["theirs"].has_children) == ("client object", False)
    for code in ("theirs.", "holder[0].", "holder[1]['k'].", "theirs.x.y.", "theirs().z."):
        kernel.complete(code, timeout=DEADLINE_S)
    for path in ("theirs", "holder[0]", "holder[1]['k']"):
        assert kernel.inspect(path, timeout=DEADLINE_S).type == "client object"
        assert kernel.definition(path, timeout=DEADLINE_S) is None
        assert kernel.children(path, timeout=DEADLINE_S).count == 0
        assert kernel.signatures(f"{path}(", timeout=DEADLINE_S) == []
    assert [item.type for item in kernel.children("holder", timeout=DEADLINE_S).items] == ["client object", "dict"]
    kernel.slice("holder", timeout=DEADLINE_S)
    assert asked == before


def test_a_finalizer_that_never_ends_holds_up_nobody_else(kernel):
    kernel.execute(
        "class Lasting:\n    def __del__(self):\n        while not released: pass\nlasting, released = Lasting(), []",
        timeout=DEADLINE_S,
    )
    with pytest.raises(WorkerBusy, match="delete_variable"):
        kernel.delete_variable("lasting", timeout=1)

    def names() -> set[str]:
        return {variable.name for variable in kernel.variables(timeout=DEADLINE_S)}

    wait_until(lambda: "lasting" not in names(), DEADLINE_S, "the variable to go")
    for _ in range(10):
        assert kernel.complete("releas", timeout=DEADLINE_S).matches == ("released",)
    assert kernel.execute("6 * 7", timeout=DEADLINE_S).value == 42
    kernel.set_variable("released", [1], timeout=DEADLINE_S)


@pytest.mark.own_kernel
def test_what_looks_in_is_loaded_when_somebody_looks_in(kernel):
    kernel.execute("import sys", timeout=DEADLINE_S)
    loaded = "tuple({'rpyc_kernel.core.introspection', 'rpyc_kernel.worker.introspection.answers'} & {*sys.modules})"
    assert kernel.eval(loaded) == ()
    assert [variable.name for variable in kernel.variables(timeout=DEADLINE_S)] == ["sys"]
    assert len(kernel.eval(loaded)) == 2


def test_every_question_says_whether_it_is_immediate():
    for name, method in vars(Introspection).items():
        if not name.startswith("_"):
            assert method.__doc__.startswith("Immediate. "), name


@pytest.mark.parametrize(
    "ask",
    [
        lambda kernel: kernel.complete(5),
        lambda kernel: kernel.complete("x", "end"),
        lambda kernel: kernel.children("a", "b"),
        lambda kernel: kernel.children("a", 10**40),
        lambda kernel: kernel.children(None),
        lambda kernel: kernel.slice("a", (0, "x")),
        lambda kernel: kernel.slice("a b"),
        lambda kernel: kernel.set_variable("a b", 1),
        lambda kernel: kernel.set_variable(5, 1),
        lambda kernel: kernel.set_environment("a", 5),
        lambda kernel: kernel.set_module_path([5]),
        lambda kernel: kernel.set_cwd("\ud800"),
        lambda kernel: kernel.inspect("x\ud800"),
    ],
)
def test_questions_that_make_no_sense_are_refused(kernel, ask):
    with pytest.raises(RequestError):
        ask(kernel)
    assert kernel.cwd(timeout=DEADLINE_S) == os.getcwd()


def test_magics_and_files_are_completed_where_the_engine_is_ipython(kernel, tmp_path):
    (tmp_path / "notes.txt").touch()
    is_ipython = kernel.python(timeout=DEADLINE_S).engine == "ipython"
    magics = kernel.complete("%timei", timeout=DEADLINE_S)
    cells = kernel.complete("%%ti", timeout=DEADLINE_S)
    files = kernel.complete(f"!cat {tmp_path}/no", timeout=DEADLINE_S)
    if is_ipython:
        assert {item.kind for item in magics.items} == {"magic"}
        assert (magics.start, set(magics.matches) >= {"%timeit"}) == (0, True)
        assert set(cells.matches) >= {"%%time", "%%timeit"}
        assert files.matches == (f"{tmp_path}/notes.txt",)
        assert kernel.is_complete("%timeit x", timeout=DEADLINE_S).status == "complete"
    else:
        assert magics.matches == cells.matches == ()
