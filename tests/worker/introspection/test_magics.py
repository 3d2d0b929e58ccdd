"""Magics that are asked for."""

import pytest

from rpyc_kernel.core.introspection import Inspection
from rpyc_kernel.worker.introspection.completion import Completer
from rpyc_kernel.worker.introspection.help import HelpReader


class FakeShell:
    """A shell that knows two magics."""

    @property
    def magics_manager(self):
        return self

    @staticmethod
    def time(line):
        """Tell how long a statement takes."""

    @staticmethod
    def bash(line, cell):
        """Run a script."""

    def lsmagic(self):
        return self.magics

    @property
    def magics(self):
        return {"line": {"time": self.time}, "cell": {"bash": self.bash, "time": self.time}}


@pytest.fixture
def reader(namespace, static, monkeypatch):
    monkeypatch.setattr("rpyc_kernel.worker.introspection.magics.find_shell", FakeShell)
    return HelpReader(namespace, static, "ipython")


@pytest.mark.parametrize(
    ("code", "cursor", "name"),
    [
        ("%time", 5, "%time"),
        ("%time?", 5, "%time"),
        ("%time", None, "%time"),
        ("  %time f(x)", 4, "%time"),
        ("x = 1\n%%time", 9, "%%time"),
        ("time", 4, "time"),
    ],
)
def test_a_magic_is_described(reader, code, cursor, name):
    about = reader.inspect(code, cursor)
    assert (about.name, about.type, about.doc) == (name, "magic", "Tell how long a statement takes.")
    assert about.file.endswith("test_magics.py")


def test_a_magic_of_cells_is_described(reader):
    assert reader.inspect("%%bash\nls", 3).doc == "Run a script."
    assert not reader.inspect("%bash", 3)


def test_a_name_of_the_users_is_no_magic_unless_it_is_called_one(reader, namespace):
    namespace["time"] = 3
    assert reader.inspect("time", 4).type == "int"
    assert reader.inspect("%time", 4).type == "magic"


@pytest.mark.parametrize(("code", "cursor"), [("%nothing", 4), ("1 %time", 5), ("%time absent", 10)])
def test_what_is_no_magic_is_described_as_ever(reader, code, cursor):
    assert not reader.inspect(code, cursor)


@pytest.mark.parametrize(
    ("code", "texts"),
    [("%ti", ("%%time", "%time")), ("%%ti", ("%%time",)), ("%ba", ("%%bash",)), ("%", ("%%bash", "%%time", "%time"))],
)
def test_magics_of_cells_are_found_by_one_percent_sign_too(namespace, monkeypatch, code, texts):
    monkeypatch.setattr("rpyc_kernel.worker.introspection.magics.find_shell", FakeShell)
    assert Completer(namespace, None, "ipython").complete(code, len(code)).matches == texts


def test_other_engines_have_no_magics(namespace, static, monkeypatch):
    monkeypatch.setattr("rpyc_kernel.worker.introspection.magics.find_shell", FakeShell)
    assert HelpReader(namespace, static, "plain").inspect("%time", None) == Inspection("%time")
