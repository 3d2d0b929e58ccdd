import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rpyc_kernel.client import ssh_command
from rpyc_kernel.system import bundle_cache

PROGRAM = "import os, sys; print(sys.argv[1:], os.environ.get('FROM_PROFILE'))"
FISH = """#!/bin/sh
echo welcome
[ "$1" = -lc ] && PATH=$HOME/bin && eval "$2"
"""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """That of a user whose profile alone knows where Python is, and greets."""
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "python3").symlink_to(sys.executable)
    for profile in (".profile", ".zprofile"):
        (tmp_path / profile).write_text(f"echo Welcome; export FROM_PROFILE=yes PATH={programs}\n")
    (tmp_path / "fish").write_text(FISH)
    (tmp_path / "fish").chmod(0o755)
    return tmp_path


def run(home: Path, shell: str, find: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/sh", "-c", ssh_command._RUN_PYTHON, "sh", find, PROGRAM, "a  b", "it's"]
    environment = {"HOME": str(home), "SHELL": shell, "PATH": str(home)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("shell", ["bash", "dash", "zsh", "ksh"])
def test_a_login_shell_finds_python_and_gives_it_what_its_profile_sets(home: Path, shell: str):
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"there is no {shell} here")
    ended = run(home, path, ssh_command._USUAL_PYTHON)
    assert ended.stdout.splitlines()[-1] == "['a  b', \"it's\"] yes", ended.stderr


def test_a_shell_of_another_kind_only_finds_it(home: Path):
    ended = run(home, str(home / "fish"), ssh_command._USUAL_PYTHON)
    assert ended.stdout == "['a  b', \"it's\"] None\n", ended.stderr


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/csh", "fish", ""])
def test_without_it_the_status_is_that_of_shells(home: Path, shell: str):
    (home / "bin" / "python3").unlink()
    assert run(home, str(home / "fish") if shell == "fish" else shell, ssh_command._USUAL_PYTHON).returncode == 127


@pytest.mark.parametrize("shell", ["/bin/bash", "/bin/dash", "fish"])
def test_a_python_that_was_noted_there_is_found_as_long_as_it_runs(home: Path, shell: str):
    shell = str(home / "fish") if shell == "fish" else shell
    python = (home / "bin" / "python3").rename(home / "python")
    note = home / ".cache" / "rpyc_kernel" / "bundles" / bundle_cache.NOTE
    note.parent.mkdir(parents=True)
    note.write_text(f"{python}\n")
    assert "['a  b', \"it's\"]" in run(home, shell, ssh_command._OTHER_PYTHONS).stdout
    for unfit in ("", "python\n", f"{home}/nowhere\n", "/bin/false\n"):
        note.write_text(unfit)
        assert run(home, shell, ssh_command._OTHER_PYTHONS).returncode == 127, unfit


@pytest.mark.parametrize("named", ["~/bin/python3", "bin/python3", "python3"])
def test_a_python_is_named_by_a_path_of_its_home_or_as_a_command(home: Path, named: str):
    assert run(home, "/bin/bash", ssh_command._find(named)).stdout.endswith("yes\n")
