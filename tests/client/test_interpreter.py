"""Finding the interpreter of a worker: what the user means is found, and what is wrong is said with what to do."""

import os
import sys
from pathlib import Path

import pytest

from rpyc_kernel.client.interpreter import find_interpreter
from rpyc_kernel.errors import RequestError


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


def make_python(path: Path, version: str = "3 12", missing: str = "") -> Path:
    """Something that answers like an interpreter."""
    return make_command(path, f"echo {version}; echo {missing}")


def test_this_interpreter_is_taken_where_none_is_named():
    assert find_interpreter(None, "auto") == sys.executable


def test_a_relative_path_is_meant_from_here(here: Path):
    make_python(here / "env/bin/python")
    assert find_interpreter("env/bin/python", "plain") == str(here / "env/bin/python")
    assert find_interpreter("./env/bin/python", "plain") == str(here / "env/bin/python")


def test_a_link_into_an_environment_stays_one(here: Path):
    make_python(here / "installation/python")
    (here / "python").symlink_to("installation/python")
    assert find_interpreter("./python", "plain") == str(here / "python")


def test_the_name_of_a_command_is_looked_up(here: Path, monkeypatch: pytest.MonkeyPatch):
    make_python(here / "bin/python9")
    monkeypatch.setenv("PATH", f"{here / 'bin'}{os.pathsep}{os.environ['PATH']}")
    assert find_interpreter("python9", "plain") == str(here / "bin/python9")


def test_a_real_interpreter_that_has_everything_is_taken():
    assert find_interpreter(sys.executable, "ipython") == sys.executable


@pytest.mark.parametrize(
    ("script", "engine", "said"),
    [
        ("exit 1", "auto", "is no Python"),
        ("echo hello", "auto", "is no Python"),
        ("echo 3 9; echo", "auto", "is Python 3.9; a worker needs 3.10 or newer"),
        ("echo 2 7; exit 1", "auto", "is Python 2.7; a worker needs 3.10 or newer"),
        ("echo 3 12; echo broken >&2; exit 1", "auto", "does not work: broken"),
        ("echo 3 12; echo rpyc_kernel rpyc IPython", "auto", "python -m pip install 'rpyc-kernel"),
        ("echo 3 12; echo rpyc", "plain", "has no rpyc-kernel; install it there"),
        ("echo 3 12; echo IPython", "ipython", "has no IPython; install it there"),
    ],
)
def test_what_is_wrong_with_an_interpreter_is_said(here: Path, script: str, engine: str, said: str):
    make_command(here / "python", script)
    with pytest.raises(RequestError, match=f"{here / 'python'} .*{said}"):
        find_interpreter("./python", engine)


def test_an_environment_without_ipython_does_for_the_other_engines(here: Path):
    make_python(here / "python", missing="IPython")
    assert find_interpreter("./python", "auto") == str(here / "python")
    assert find_interpreter("./python", "plain") == str(here / "python")


@pytest.mark.parametrize("name", ["nowhere/python", "no-such-python", ""])
def test_what_is_not_there_is_said(name: str):
    with pytest.raises(RequestError, match=f"there is no interpreter '{name}'"):
        find_interpreter(name, "auto")


def test_what_cannot_be_run_is_said(here: Path):
    (here / "python").write_bytes(b"\0\1\2")
    (here / "python").chmod(0o755)
    with pytest.raises(RequestError, match="cannot be run as an interpreter"):
        find_interpreter("./python", "auto")
