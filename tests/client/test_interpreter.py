"""Finding the interpreter of a worker: what the user means is found, and what is wrong is said with what to do."""

import json
import os
import sys
from pathlib import Path

import pytest

from rpyc_kernel.client.interpreter import _MARK as MARK
from rpyc_kernel.client.interpreter import Interpreter, find_interpreter
from rpyc_kernel.core.contract import WORKER_VERSION
from rpyc_kernel.errors import RequestError
from tests.support.interpreters import need_python


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the test's own, which it works in."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make_command(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def make_python(path: Path, version: str = "3 12", **has: object) -> Path:
    """Something that answers like an interpreter which has all, as far as nothing else is said."""
    answer = json.dumps({"ipython": True, "workers": WORKER_VERSION, "rpyc": "6.0.2", "problem": "", **has})
    return make_command(path, f"echo {MARK}{version}; echo '{MARK}{answer}'")


@pytest.fixture
def bundle(monkeypatch: pytest.MonkeyPatch) -> str:
    """Where the bundle is, as far as anybody asks."""
    monkeypatch.setattr("rpyc_kernel.client.bundle.unpack_bundle", lambda: "/cache/bundle")
    return "/cache/bundle"


def test_this_interpreter_is_taken_where_none_is_named():
    assert find_interpreter(None, "auto") == Interpreter(sys.executable, "")


def test_a_relative_path_is_meant_from_here(here: Path):
    make_python(here / "env/bin/python")
    assert find_interpreter("env/bin/python", "plain").path == str(here / "env/bin/python")
    assert find_interpreter("./env/bin/python", "plain").path == str(here / "env/bin/python")


def test_a_link_into_an_environment_stays_one(here: Path):
    make_python(here / "installation/python")
    (here / "python").symlink_to("installation/python")
    assert find_interpreter("./python", "plain").path == str(here / "python")


def test_the_name_of_a_command_is_looked_up(here: Path, monkeypatch: pytest.MonkeyPatch):
    make_python(here / "bin/python9")
    monkeypatch.setenv("PATH", f"{here / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert find_interpreter("python9", "plain").path == str(here / "bin/python9")


def test_a_real_interpreter_that_has_everything_is_taken():
    assert find_interpreter(sys.executable, "ipython") == Interpreter(sys.executable, "")


@pytest.mark.parametrize(
    ("script", "engine", "said"),
    [
        ("exit 1", "auto", "is no Python"),
        ("echo hello", "auto", "is no Python"),
        (f"echo {MARK}3 9; echo", "auto", "is Python 3.9; a worker needs 3.10 or newer"),
        (f"echo {MARK}2 7; exit 1", "auto", "is Python 2.7; a worker needs 3.10 or newer"),
        (f"echo {MARK}3 12; echo broken >&2; exit 1", "auto", "does not work: broken"),
    ],
)
def test_what_is_wrong_with_an_interpreter_is_said(here: Path, script: str, engine: str, said: str):
    make_command(here / "python", script)
    with pytest.raises(RequestError, match=f"{here / 'python'} .*{said}"):
        find_interpreter("./python", engine)


def test_an_environment_without_ipython_does_for_the_other_engines(here: Path):
    make_python(here / "python", ipython=False)
    for engine in ("auto", "plain"):
        assert find_interpreter("./python", engine) == Interpreter(str(here / "python"), "")
    with pytest.raises(RequestError, match=r"has no IPython; install it there: .*, or choose the engine 'plain'"):
        find_interpreter("./python", "ipython")


@pytest.mark.parametrize(
    "has", [{"workers": None}, {"workers": WORKER_VERSION - 1}, {"workers": None, "rpyc": None}, {"rpyc": None}]
)
def test_an_environment_gets_the_packages_that_it_lacks(here: Path, bundle: str, has: dict[str, object]):
    make_python(here / "python", **has)
    assert find_interpreter("./python", "auto") == Interpreter(str(here / "python"), bundle)


@pytest.mark.parametrize("release", ["5.3.1", "6.0.1", "7.0", "7.0.0rc1", "of an unknown release"])
def test_an_environment_whose_own_rpyc_is_of_no_use_is_refused(here: Path, bundle: str, release: str):
    make_python(here / "python", workers=None, rpyc=release)
    with pytest.raises(RequestError, match=rf"has rpyc {release}.*python -m pip install 'rpyc>=6\.0\.2,<7'"):
        find_interpreter("./python", "auto")


@pytest.mark.parametrize("release", ["6.0.2", "6.1", "6.10.0.dev1"])
def test_an_environments_own_rpyc_is_used(here: Path, bundle: str, release: str):
    make_python(here / "python", workers=None, rpyc=release)
    assert find_interpreter("./python", "auto").bundle == bundle


def test_what_stands_in_the_folder_that_one_is_in_is_not_of_the_environment(here: Path, bundle: str):
    """A worker runs elsewhere."""
    python = need_python("3.12")
    for name in ("rpyc", "IPython"):
        (here / name).mkdir()
        (here / name / "__init__.py").write_text("")
    assert find_interpreter(python, "auto").bundle == bundle
    with pytest.raises(RequestError, match="has no IPython"):
        find_interpreter(python, "ipython")


@pytest.mark.parametrize("name", ["nowhere/python", "no-such-python", ""])
def test_what_is_not_there_is_said(name: str):
    with pytest.raises(RequestError, match=f"there is no interpreter '{name}'"):
        find_interpreter(name, "auto")


def test_what_cannot_be_run_is_said(here: Path):
    (here / "python").write_bytes(b"\0\1\2")
    (here / "python").chmod(0o755)
    with pytest.raises(RequestError, match="cannot be run as an interpreter"):
        find_interpreter("./python", "auto")


def make_environment(path: Path, **files: str) -> Path:
    """An interpreter that finds these modules first."""
    packages = path / "packages"
    packages.mkdir(parents=True)
    for name, text in files.items():
        (packages / f"{name}.py").write_text(text)
    return make_command(path / "python", f'PYTHONPATH={packages} exec {sys.executable} "$@"')


def test_what_an_environment_writes_by_itself_is_no_answer(here: Path):
    noise = 'import atexit, sys\nsys.stdout.write("noise")\natexit.register(print, "bye")\n'
    assert find_interpreter(make_environment(here, sitecustomize=noise), "auto") == Interpreter(
        str(here / "python"), ""
    )


def test_an_rpyc_that_cannot_be_imported_is_refused(here: Path):
    make_environment(here, rpyc="import nowhere_at_all")
    with pytest.raises(RequestError, match=r"rpyc that cannot be imported \(ModuleNotFoundError: .*--force-reinstall"):
        find_interpreter("./python", "auto")
