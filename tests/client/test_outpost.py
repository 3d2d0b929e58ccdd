import io
import json
import os
import sys
from pathlib import Path

import pytest

from rpyc_kernel.client import outpost, outpost_line
from tests.support.folders import Folders

MANAGERS = {
    "there": ("echo yes", ":", True),
    "ends with the last login": ("echo no", ":", False),
    "unknown": ("exit 1", ":", False),
    "out of order": ("echo yes", "exit 1", False),
}


@pytest.mark.parametrize("manager", MANAGERS)
def test_what_is_to_stay_moves_to_a_service_manager_that_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, manager: str
):
    loginctl, run, moves = MANAGERS[manager]
    for name, does in (("loginctl", loginctl), ("systemd-run", run)):
        (tmp_path / name).write_text(f"#!/bin/sh\n{does}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    moved: list[list[str]] = []
    monkeypatch.setattr(os, "execv", lambda path, arguments: moved.append(arguments))
    outpost.move_to_stay()
    module = [sys.executable, "-m", "rpyc_kernel.client.outpost"]
    assert moved == ([[str(tmp_path / "systemd-run"), "--user", "--scope", "--quiet", *module]] if moves else [])


def test_without_a_service_manager_it_stays_as_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    outpost.move_to_stay()


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        ({"do": "list", "shows_stopped": True}, {"answer": []}),
        ({"do": "stop_orphan", "name": "nobody"}, {"answer": False}),
        (
            {"do": "find", "name": "nobody"},
            {
                "error": "NoSuchKernel",
                "message": "kernel 'nobody' is not running; start it with 'rpyc-kernel start nobody'; no kernel runs",
            },
        ),
    ],
)
def test_a_request_is_answered_in_a_line(
    folders: Folders, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], request_, answer
):
    text = json.dumps(request_)
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{text}\n"))
    for arguments in ([], [text]):
        assert outpost.main(arguments) == 0
        [line] = capsys.readouterr().out.split("\n")[1:-1]
        assert json.loads(line.removeprefix(outpost_line.ANSWER)) == answer
