"""How a bridge begins: it holds its ports while its hub starts, and lets go of them where that fails."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.jupyter.__main__ import main
from rpyc_kernel.faces.jupyter.attachment import Attachment
from rpyc_kernel.faces.jupyter.channels import Channels
from tests.support.ports import find_port

CHANNELS = ("shell", "iopub", "stdin", "hb", "control")


@pytest.fixture
def ports() -> dict[str, int]:
    return {f"{channel}_port": find_port() for channel in CHANNELS}


@pytest.fixture
def file(tmp_path: Path, ports: dict[str, int]) -> str:
    file = tmp_path / "kernel-1.json"
    file.write_text(json.dumps({**ports, "key": "secret"}))
    return str(file)


def _are_taken(ports: dict[str, int]) -> set[bool]:
    found = set()
    for port in ports.values():
        with socket.socket() as sock:
            found.add(sock.connect_ex(("127.0.0.1", port)) == 0)
    return found


def test_the_ports_are_bound_while_the_hub_starts_and_free_when_it_does_not(
    file: str, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    opened = []
    taken = []

    def start(_: Path, meanwhile: Callable[[], Any]) -> Attachment:
        taken.append(_are_taken(ports))
        opened.extend([meanwhile(), meanwhile()])  # the next hub may be on the way
        taken.append(_are_taken(ports))
        raise KernelError("the hub of kernel 'jupyter-1' ended before it was ready")

    monkeypatch.setattr(Attachment, "start", start)
    assert main(["-f", file]) == 1
    assert capsys.readouterr().err == "rpyc_kernel jupyter: the hub of kernel 'jupyter-1' ended before it was ready\n"
    assert taken == [{False}, {True}]
    assert isinstance(opened[0], Channels)
    assert opened[0] is opened[1]
    assert _are_taken(ports) == {False}


def test_the_ports_are_bound_before_a_running_kernel_is_joined(
    file: str, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    taken = []

    def attach(target: str, patience_s: float) -> Attachment:
        taken.append(_are_taken(ports))
        raise KernelError(f"there is no kernel {target!r}")

    monkeypatch.setattr(Attachment, "attach", attach)
    assert main(["-f", file, "--attach", "demo"]) == 1
    assert capsys.readouterr().err == "rpyc_kernel jupyter: there is no kernel 'demo'\n"
    assert taken == [{True}]
    assert _are_taken(ports) == {False}


def test_a_port_that_is_taken_is_said_and_gives_up_the_start(
    file: str, ports: dict[str, int], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Attachment, "start", lambda _, meanwhile: meanwhile())
    with socket.create_server(("127.0.0.1", ports["iopub_port"])):
        assert main(["-f", file]) == 1
    assert f":{ports['iopub_port']} for iopub" in capsys.readouterr().err
    assert _are_taken(ports) == {False}
