"""The recipes for other machines do what they say, with a real SSH server as the other machine."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path

import pytest

from tests.docs.pages import ROOT, sections_of
from tests.docs.shell import run_steps, shell_steps_of
from tests.support.folders import Folders
from tests.support.sshd import Hosts


@pytest.fixture
def gpu(ssh_hosts: Hosts, folders: Folders, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of this name, as a user has it: one `ssh`, which knows it by a configuration of its own."""
    ssh_hosts.write_config(f"Host gpu\n  Port {ssh_hosts.alpha.port}\n")
    programs = tmp_path / "programs"
    programs.mkdir()
    ssh = programs / "ssh"
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F {shlex.quote(str(ssh_hosts.config))} "$@"\n')
    ssh.chmod(0o700)
    monkeypatch.setenv("PATH", f"{programs}{os.pathsep}{os.environ['PATH']}")


@pytest.mark.timeout(300)  # many logins, one after the other
def test_the_recipes_for_other_machines_run_as_shown(gpu: None, tmp_path: Path) -> None:
    steps = shell_steps_of((ROOT / "docs" / "remote.md").read_text())
    assert len(steps) > 15
    place = tmp_path / "shell"
    place.mkdir()
    assert not (wrong := run_steps(steps, place)), "\n".join(wrong)


def test_the_second_command_of_the_readme_leads_to_a_live_object_of_another_machine(gpu: None, tmp_path: Path) -> None:
    install, *steps = shell_steps_of(sections_of((ROOT / "README.md").read_text())["On another machine"])
    assert install == ("pip install .", "")
    assert len(steps) == 1
    place = tmp_path / "shell"
    place.mkdir()
    assert not (wrong := run_steps(steps, place)), "\n".join(wrong)
