"""Every shell session of the pages on jobs and groups does what it says; units of systemd are such."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import rpyc_kernel
from tests.docs.pages import ROOT
from tests.docs.shell import run_steps, shell_steps_of

_JOBS, _GROUPS, _DEPLOY = (ROOT / "docs" / name for name in ("jobs.md", "groups.md", "deploy.md"))
_UNIT = re.compile(r"^```ini\n# (\S+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.mark.timeout(300)  # each command is a program of its own
@pytest.mark.parametrize(("page", "least"), [(_JOBS, 10), (_GROUPS, 5)], ids=lambda value: getattr(value, "name", ""))
def test_the_shell_session_of_a_page_runs_as_shown(page: Path, least: int, folders: object, tmp_path: Path) -> None:
    steps = shell_steps_of(page.read_text())
    assert len(steps) > least
    assert not (wrong := run_steps(steps, tmp_path)), "\n".join(wrong)
    assert rpyc_kernel.kernels() == []  # the page ends what it starts


def test_what_comes_out_otherwise_than_shown_is_noticed(tmp_path: Path) -> None:
    steps = shell_steps_of("```console\n$ echo 1; echo 2\n1\n...\n$ x=3\n$ echo $x\n4\n```\n")
    assert steps == [("echo 1; echo 2", "1\n...\n"), ("x=3", ""), ("echo $x", "4\n")]
    assert run_steps(steps, tmp_path) == ["$ echo $x\n3\ninstead of\n4\n"]
    shutil.rmtree(tmp_path / "bin")
    several = shell_steps_of("```console\n$ cat <<END\n> 1\n> END\n1\n```\n")
    assert several == [("cat <<END\n1\nEND", "1\n")]
    assert run_steps(several, tmp_path) == []
    shutil.rmtree(tmp_path / "bin")
    assert "the shell ended early" in run_steps([("exit 1", ""), ("echo", "")], tmp_path)[-1]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze here")
def test_the_units_of_the_page_on_services_are_such(tmp_path: Path) -> None:
    units = dict(_UNIT.findall(_DEPLOY.read_text()))
    assert len(units) == 2
    for path, text in units.items():
        # What stands there is looked for, too: here it is this Python.
        text = re.sub(r"^(ExecStart=)\S+", rf"\g<1>{sys.executable}", text, flags=re.MULTILINE)
        is_users = "user" in Path(path).parts
        assert "nonsense" in _verify(tmp_path, text.replace("=notify", "=nonsense"), is_users=is_users)
        assert _verify(tmp_path, text, is_users=is_users) == ""


def _verify(folder: Path, text: str, *, is_users: bool) -> str:
    """What systemd has to say of a unit."""
    unit = folder / "kernel@.service"
    unit.write_text(text)
    done = subprocess.run(
        ["systemd-analyze", *(["--user"] if is_users else []), "--man=no", "verify", str(unit)],
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    return "".join(line for line in done.stderr.splitlines() if unit.name in line)
