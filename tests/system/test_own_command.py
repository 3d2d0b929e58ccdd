"""Commands in messages are those that work where they are pasted."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rpyc_kernel.system import own_command
from rpyc_kernel.system.own_command import as_typed_here

_ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    own_command.own_command.cache_clear()
    yield
    own_command.own_command.cache_clear()


def test_a_command_that_is_on_the_path_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rpyc-kernel").write_text("#!/bin/sh\n")
    (tmp_path / "rpyc-kernel").chmod(0o700)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert as_typed_here("use 'rpyc-kernel list'") == "use 'rpyc-kernel list'"


def test_a_command_elsewhere_is_called_by_the_path_it_was_called_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr(sys, "argv", [".venv/bin/rpyc-kernel", "list"])
    text = "rpyc-kernel: use 'rpyc-kernel start a' or 'rpyc-kernel stop a'"
    mine = ".venv/bin/rpyc-kernel"
    assert as_typed_here(text) == f"rpyc-kernel: use '{mine} start a' or '{mine} stop a'"


def test_what_is_on_another_machine_only_in_passing_is_called_by_its_name_as_its_messages_are_read_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setattr("rpyc_kernel.system.bundle_start._folder", "/home/ann/.cache/bundle")
    assert as_typed_here("use 'rpyc-kernel list'") == "use 'rpyc-kernel list'"


def test_the_command_in_an_error_of_a_module_that_is_run_works_when_it_is_pasted(folders: object) -> None:
    def run(*command: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": "/nowhere", "PYTHONPATH": str(_ROOT)}
        return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)

    failed = run(sys.executable, "-m", "rpyc_kernel", "stop", "nobody")
    suggested = failed.stderr.split("'")[3]
    assert suggested == f"{sys.executable} -m rpyc_kernel start nobody"
    done = run(*shlex.split(suggested.replace("start nobody", "list")))
    assert (done.returncode, done.stdout) == (
        0,
        f"no kernel is running; '{sys.executable} -m rpyc_kernel start' starts one\n",
    )
