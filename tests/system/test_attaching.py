"""What is handed to a process that is attached to, and what becomes of it when nobody reads it, or nobody waits."""

import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rpyc_kernel.errors import CallTimeout, KernelError, RequestError
from rpyc_kernel.system import attach_script, frames, other_pythons, processes
from rpyc_kernel.system.attaching import Handover
from tests.support.waiting import wait_until

HOSTILE = {"name": "demo", "packages": {"rpyc_kernel": "/tmp/'''\n\"\"\"\\ é \udcff {x}\r%s"}}


class Sent(list[str]):
    """What `sys.remote_exec` was called with, and nobody has read."""

    @property
    def script(self) -> Path:
        return Path(self[0])


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> Sent:
    sent = Sent()
    monkeypatch.setattr(sys, "remote_exec", lambda pid, path: sent.append(path), raising=False)
    return sent


@pytest.fixture
def other() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def read(script: Path) -> None:
    """Run it as Python does."""
    exec(script.read_text(), {})


def test_it_is_this_users_alone_and_says_what_it_was_given(
    sent: Sent, other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[tuple[Any, Any]] = []
    with Handover(other.pid, HOSTILE) as handover:
        handover.send()
        modes = [stat.S_IMODE(path.stat().st_mode) for path in (sent.script, sent.script.parent)]
        monkeypatch.setattr("_thread.start_new_thread", lambda *call: begun.append(call))
        read(sent.script)
    assert modes == [0o600, 0o700]
    ((_, (request, _)),) = begun
    folder = str(sent.script.parent)
    assert request == {**HOSTILE, "script": str(sent.script), "socket": f"{folder}/socket"}


def test_who_waits_in_vain_leaves_nothing_to_be_read(sent: Sent, other: subprocess.Popen[bytes]) -> None:
    said: list[str] = []
    with Handover(other.pid, HOSTILE) as handover:
        handover.send()
        with pytest.raises(CallTimeout, match=r"no line of Python within 0 s: .* Nothing was changed in it"):
            handover.wait(0, said.append)
    assert sent == [str(sent.script), os.devnull]
    assert not sent.script.parent.exists()


def test_a_process_that_ends_meanwhile_is_told_of(sent: Sent, other: subprocess.Popen[bytes]) -> None:
    with Handover(other.pid, HOSTILE) as handover:
        handover.send()
        other.send_signal(signal.SIGKILL)
        other.wait()
        with pytest.raises(KernelError, match=f"process {other.pid} has ended"):
            handover.wait(60, print)
    assert len(sent) == 1


def test_it_leaves_nothing_and_says_nothing_where_whoever_attached_was_killed(
    sent: Sent, other: subprocess.Popen[bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    handover = Handover(other.pid, HOSTILE)
    handover.__enter__()
    handover.send()
    handover._listener.close()
    finders = sys.meta_path[:]
    read(sent.script)
    wait_until(lambda: not sent.script.parent.exists())
    assert sys.meta_path == finders
    assert capfd.readouterr() == ("", "")


def test_where_no_thread_can_be_started_whoever_attaches_is_told(
    sent: Sent, other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("_thread.start_new_thread", fail)
    with Handover(other.pid, HOSTILE) as handover:
        handover.send()
        read(sent.script)
        with handover.wait(60, print) as sock:
            assert frames.FrameReader(sock).receive() == {"error": "RuntimeError", "message": "can't start new thread"}


def test_what_the_process_lacks_is_found_where_whoever_attaches_has_it(tmp_path: Path) -> None:
    (tmp_path / "brought").mkdir()
    (tmp_path / "brought" / "__init__.py").touch()
    finder = attach_script._Finder({"brought": str(tmp_path)})
    assert finder.find_spec("brought").origin == str(tmp_path / "brought" / "__init__.py")
    assert finder.find_spec("pytest") is None
    assert finder.find_spec("brought.brought", [str(tmp_path)]) is None


def test_a_denial_deep_down_is_explained_as_one(
    other: subprocess.Popen[bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(pid: int, path: str) -> None:
        raise RuntimeError("address lookup failed") from PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(sys, "remote_exec", refuse, raising=False)
    with Handover(other.pid, HOSTILE) as handover, pytest.raises(RequestError, match="--sudo' asks sudo to"):
        handover.send()


def test_sudo_hands_it_over_and_nothing_else(
    other: subprocess.Popen[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sudo = tmp_path / "sudo"
    sudo.write_text(f'#!{sys.executable}\nimport json, sys\njson.dump(sys.argv[1:], open("{tmp_path}/told", "w"))\n')
    sudo.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with Handover(other.pid, HOSTILE, by_sudo=True) as handover:
        handover.send()
        told = json.loads((tmp_path / "told").read_text())
        assert told[:4] == ["--", sys.executable, "-I", "-c"]
        assert told[5:] == [str(other.pid), str(handover._script)]
        sudo.write_text("#!/bin/sh\necho 'not in the sudoers file' >&2\nexit 1\n")
        with pytest.raises(RequestError, match="sudo did not help: not in the sudoers file"):
            handover.send()


@pytest.mark.parametrize(
    ("program", "version"),
    [
        ("/usr/bin/python3.14", (3, 14)),
        ("/home/me/python3.9-things/bin/python3.13t", (3, 13)),
        ("/home/me/python3.9-things/bin/python", None),
        ("/usr/bin/sleep", ()),
        ("", None),
    ],
)
def test_which_python_runs_is_seen_by_the_names_of_files(
    monkeypatch: pytest.MonkeyPatch, program: str, version: tuple[int, ...] | None
) -> None:
    monkeypatch.setattr(processes, "program_of", lambda pid: program)
    assert other_pythons.version_of(2**31 - 1) == version


def test_what_is_waited_for_is_said_by_what_the_process_does(other: subprocess.Popen[bytes]) -> None:
    wait_until(lambda: "waits in the system" in other_pythons.describe_wait(other.pid))
    other.send_signal(signal.SIGSTOP)
    wait_until(lambda: f"'kill -CONT {other.pid}'" in other_pythons.describe_wait(other.pid))


def test_a_process_knows_whose_it_is() -> None:
    assert other_pythons.owner_of(os.getpid()) == os.geteuid()
    assert other_pythons.user_name(1_000_000_007) == "#1000000007"
