"""Modules that the user has changed are imported anew before a program runs: all that must, or none."""

import importlib
import importlib.machinery
import importlib.util
import os
import shutil
import sys
import textwrap

import pytest

from rpyc_kernel.core.contract import Kind, Outcome
from rpyc_kernel.worker import imports
from tests.worker.sessions import plain, session  # noqa: F401 - fixtures


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Where the user's modules are, of which none stays."""
    before = set(sys.modules)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]
    importlib.invalidate_caches()


class Project:
    def __init__(self, engine, folder, capsys):
        self._session = engine
        self._folder = folder
        self._capsys = capsys

    def write(self, **sources):
        for name, source in sources.items():
            file = self._folder / f"{name.replace('__in__', '/')}.py"
            file.parent.mkdir(exist_ok=True)
            file.write_text(textwrap.dedent(source))
            while imports._file_clock_ns() <= file.stat().st_ctime_ns:
                pass  # what is as old as its import counts as changed
        importlib.invalidate_caches()

    def run(self, *, reload=True, **options):
        """Run the program; returns what it saw, and what was told."""
        outcome = self._session.run_file(self._folder / "program.py", reload=reload, **options)
        told = self._capsys.readouterr().err
        if outcome == Outcome.ERROR:
            return self._session.last(Kind.ERROR), told
        return self._session.engine.namespace.get("seen"), told


@pytest.fixture
def project(session, folder, capsys):  # noqa: F811
    return Project(session, folder, capsys)


@pytest.fixture
def plain_project(plain, folder, capsys):  # noqa: F811
    return Project(plain, folder, capsys)


def test_a_program_sees_what_has_changed_in_a_module(project):
    project.write(helper="VALUE = 1", program="from helper import VALUE\nseen = VALUE")
    assert project.run() == (1, "")
    project.write(helper="VALUE = 2")
    assert project.run(reload=False) == (1, "")
    assert project.run() == (2, "Reloaded modules: helper\n")
    assert project.run() == (2, "")


def test_what_imports_from_a_changed_module_is_reloaded_too_and_the_others_are_not(plain_project):
    plain_project.write(
        units="LENGTH = 1",
        middle="from units import LENGTH",
        aside="seen = []",
        program="import middle, aside\naside.seen.append(middle.LENGTH)\nseen = [*aside.seen]",
    )
    assert plain_project.run() == ([1], "")
    plain_project.write(units="LENGTH = 2")
    assert plain_project.run() == ([1, 2], "Reloaded modules: middle, units\n")


def test_what_is_in_packages_is_reloaded_wherever_it_is_imported_from(plain_project):
    plain_project.write(
        pack__in____init__="from .inner import VALUE",
        pack__in__inner="VALUE = 1",
        pack__in__other="OTHER = 1",
        space__in__part="VALUE = 1",
        program="import pack.other\nfrom pack import inner, VALUE\nfrom space import part\n"
        "seen = VALUE, inner.VALUE, pack.inner.VALUE, pack.other.OTHER, part.VALUE",
    )
    assert plain_project.run() == ((1, 1, 1, 1, 1), "")
    plain_project.write(pack__in__inner="VALUE = 2", space__in__part="VALUE = 2")
    told = "Reloaded modules: pack, pack.inner, pack.other, space.part\n"
    assert plain_project.run() == ((2, 2, 2, 1, 2), told)


def test_variables_that_are_a_module_become_the_new_one_and_old_objects_stay_whole(plain_project, plain):  # noqa: F811
    source = "NUMBER = {0}\nclass Thing:\n    def number(self):\n        return NUMBER, isinstance(self, Thing)"
    plain_project.write(helper=source.format(1), program="seen = 0")
    plain.run(f"import sys; sys.path.append({str(plain_project._folder)!r}); import helper; old = helper.Thing()")
    plain_project.write(helper=source.format(2))
    plain_project.run()
    plain.run("seen = helper.NUMBER, helper.Thing().number(), old.number(), isinstance(old, helper.Thing)")
    assert plain.engine.namespace["seen"] == (2, (2, True), (1, True), False)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def broken(:", "a syntax error in {folder}/helper.py, line 1"),
        ("import first\nVALUE = 1 / 0", "ZeroDivisionError"),
        ("import no_such_module_at_all", "ModuleNotFoundError"),
        ("import sys\nsys.exit()", "SystemExit"),
    ],
)
def test_if_a_module_cannot_be_reloaded_the_program_does_not_run_and_all_stay(plain_project, folder, source, words):
    plain_project.write(first="COUNT = 1", helper="import first\nVALUE = 1", program="import helper\nseen = 1")
    plain_project.run()
    before = {name: sys.modules[name] for name in ("first", "helper")}
    plain_project.write(first="COUNT = 2", helper=source, program="seen = 2")
    error, told = plain_project.run()
    assert error["ename"] == "ImportError"
    refused = "the module 'helper', or what it imports, has changed and cannot be reloaded, for "
    assert refused + words.format(folder=folder) in error["evalue"]
    assert "reloading.py" not in error["traceback"]
    assert "importlib" not in error["traceback"]
    assert told == ""
    assert {name: sys.modules[name] for name in ("first", "helper")} == before
    plain_project.write(helper="VALUE = 3", program="import helper\nseen = helper.VALUE")
    seen, told = plain_project.run()
    assert seen == 3
    assert told.startswith("Reloaded modules: ")
    assert "first" in told


def test_what_is_gone_is_not_there_for_the_program_either(plain_project, folder):
    plain_project.write(helper="VALUE = 1", program="import helper\nseen = helper.VALUE")
    plain_project.run()
    (folder / "helper.py").unlink()
    error, told = plain_project.run()
    assert (error["ename"], error["evalue"]) == ("ModuleNotFoundError", "No module named 'helper'")
    assert told == "Modules that cannot be found any more: helper\n"
    plain_project.write(helper__in____init__="VALUE = 2")
    assert plain_project.run()[0] == 2


def test_a_module_made_of_a_file_that_never_was_stays_and_is_not_told_of(plain_project, folder, monkeypatch):
    spec = importlib.util.spec_from_file_location("made_by_hand", folder / "made_by_hand.py")
    monkeypatch.setitem(sys.modules, "made_by_hand", importlib.util.module_from_spec(spec))
    plain_project.write(program="seen = 'made_by_hand' in __import__('sys').modules")
    assert plain_project.run() == (True, "")


def test_a_module_that_became_a_package_is_found_there(plain_project, folder):
    plain_project.write(helper="VALUE = 1", program="import helper\nseen = helper.VALUE")
    plain_project.run()
    (folder / "helper.py").unlink()
    plain_project.write(helper__in____init__="VALUE = 2")
    assert plain_project.run() == (2, "Reloaded modules: helper\n")


def test_modules_that_import_one_another_are_reloaded_as_they_were_imported(plain_project):
    first = "BEGUN = {}\nimport second\nVALUE = second.begun"
    plain_project.write(
        first=first.format(1),
        second="from first import BEGUN as begun",
        program="import first, second\nseen = first.VALUE",
    )
    assert plain_project.run() == (1, "")
    plain_project.write(first=first.format(2))
    assert plain_project.run() == (2, "Reloaded modules: first, second\n")


def test_a_file_that_is_older_than_the_one_before_is_a_change(plain_project, folder):
    plain_project.write(helper="VALUE = 1", program="import helper\nseen = helper.VALUE")
    plain_project.run()
    plain_project.write(helper="VALUE = 2")
    os.utime(folder / "helper.py", (1, 1))
    assert plain_project.run() == (2, "Reloaded modules: helper\n")


def test_installed_packages_and_extension_modules_stay(plain_project, folder, monkeypatch):
    installed = folder / "lib" / "site-packages"
    installed.mkdir(parents=True)
    (installed / "installed.py").write_text("VALUE = 1")
    monkeypatch.syspath_prepend(str(installed))
    (folder / "pack").mkdir()
    suffix = importlib.machinery.EXTENSION_SUFFIXES[0]
    file = getattr(importlib.import_module("_heapq"), "__file__", None)
    if file is None:
        pytest.skip("this Python has no extension module in a file")
    shutil.copy(file, folder / "pack" / f"_heapq{suffix}")
    plain_project.write(
        pack__in____init__="VALUE = 1",
        program="import installed, pack, pack._heapq\nseen = installed.VALUE, pack.VALUE, pack._heapq.heappop",
    )
    seen, _ = plain_project.run()
    assert seen[:2] == (1, 1)
    (installed / "installed.py").write_text("VALUE = 2")
    os.utime(folder / "pack" / f"_heapq{suffix}")
    plain_project.write(pack__in____init__="VALUE = 2")
    again, told = plain_project.run()
    assert again == (1, 2, seen[2])
    assert told == "Reloaded modules: pack\n"


def test_a_source_of_the_same_length_and_second_is_not_taken_from_its_compiled_form(plain_project, folder, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    for number in (1, 2, 3):
        plain_project.write(helper=f"VALUE = {number}", program="import helper\nseen = helper.VALUE")
        os.utime(folder / "helper.py", (1_000_000_000, 1_000_000_000))
        assert plain_project.run()[0] == number
    assert [*(folder / "__pycache__").glob("helper.*.pyc")]


def test_a_package_that_hides_a_module_behind_a_function_does_so_still_when_nothing_was_reloaded(plain_project, folder):
    plain_project.write(
        pack__in____init__="from .inner import inner",
        pack__in__inner="def inner():\n    return 1",
        program="import pack\nseen = pack.inner()",
    )
    assert plain_project.run() == (1, "")
    plain_project.write(pack__in__inner="def broken(:")
    assert plain_project.run()[0]["ename"] == "ImportError"
    assert plain_project.run(reload=False) == (1, "")


def test_a_module_made_by_hand_of_a_file_stays_when_that_changes(plain_project, folder, monkeypatch):
    imports.note_times()
    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path])
    aside = folder / "aside"
    aside.mkdir()
    (aside / "made_by_hand.py").write_text("VALUE = 1")
    spec = importlib.util.spec_from_file_location("made_by_hand", aside / "made_by_hand.py")
    made = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "made_by_hand", made)
    (aside / "made_by_hand.py").write_text("VALUE = 2")
    plain_project.write(program="import made_by_hand\nseen = made_by_hand")
    assert plain_project.run() == (made, "")


def test_what_stands_for_a_module_and_answers_nothing_keeps_none_from_being_reloaded(plain_project, monkeypatch):
    class Silent:
        def __getattr__(self, name):
            raise RuntimeError(name)

    plain_project.write(helper="VALUE = 1", program="import helper\nseen = helper.VALUE")
    plain_project.run()
    monkeypatch.setitem(sys.modules, "stands_for_a_module", Silent())
    plain_project.write(helper="VALUE = 2")
    assert plain_project.run() == (2, "Reloaded modules: helper\n")


def test_a_program_runs_without_a_standard_error_to_tell_of_reloaded_modules(plain_project, monkeypatch):
    plain_project.write(helper="VALUE = 1", program="import helper\nseen = helper.VALUE")
    plain_project.run()
    plain_project.write(helper="VALUE = 2")
    monkeypatch.setattr(sys, "stderr", None)
    outcome = plain_project._session.run_file(plain_project._folder / "program.py", reload=True)
    assert (outcome, plain_project._session.engine.namespace["seen"]) == (Outcome.OK, 2)
