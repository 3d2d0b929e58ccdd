"""The file that a controller of ipyparallel writes for engines, and what is said where it cannot be used."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from rpyc_kernel.errors import CallTimeout, RequestError
from rpyc_kernel.faces.jupyter.engine import channels
from rpyc_kernel.faces.jupyter.engine.channels import EngineChannels
from rpyc_kernel.faces.jupyter.engine.controller import Controller, find_file
from tests.support.ports import find_port

TOLD: dict[str, Any] = {
    **dict.fromkeys(("control", "mux", "task", "iopub", "hb_ping", "hb_pong"), 1),
    "ssh": "",
    "interface": "tcp://127.0.0.1",
    "registration": 7,
    "broadcast": [10, 11],
    "key": "secret",
    "curve_serverkey": None,
    "location": "elsewhere",
    "pack": "json",
    "unpack": "json",
    "signature_scheme": "hmac-sha256",
}


def _read(folder: Path, **told: Any) -> Controller:
    path = folder / "ipcontroller-engine.json"
    path.write_text(json.dumps({**TOLD, **told}))
    return Controller.read(path)


def test_what_is_told_is_where_to_connect(tmp_path: Path) -> None:
    controller = _read(tmp_path)
    assert controller.url("registration") == "tcp://127.0.0.1:7"
    assert [controller.broadcast_url(number) for number in (0, 1, 2)] == [
        "tcp://127.0.0.1:10",
        "tcp://127.0.0.1:11",
        "tcp://127.0.0.1:10",
    ]


def test_a_controller_that_listens_everywhere_is_where_it_says_or_here(tmp_path: Path) -> None:
    for here in ("", "127.0.0.1", socket.gethostname()):
        assert _read(tmp_path, interface="tcp://*", location=here).interface == "tcp://127.0.0.1"
    # An address for documentation, which no machine has.
    assert _read(tmp_path, interface="tcp://0.0.0.0", location="192.0.2.7").interface == "tcp://192.0.2.7"


@pytest.mark.parametrize(
    ("told", "word"),
    [
        ({"pack": "pickle"}, "--Session.packer=json"),
        ({"ssh": "gate"}, "reached by SSH through 'gate'"),
        ({"mux": "x"}, "no file of a controller for engines"),
        ({"interface": "127.0.0.1"}, "no file of a controller for engines"),
        ({"broadcast": None}, "no file of a controller for engines"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_what_to_do(tmp_path: Path, told: dict[str, Any], word: str) -> None:
    with pytest.raises(RequestError) as raised:
        _read(tmp_path, **told)
    assert word in str(raised.value)


@pytest.mark.parametrize("content", ["", "[]", '{"a": 1}', None])
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "other.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(RequestError, match=str(path)):
        Controller.read(path)


def test_the_file_is_looked_for_in_the_profile_of_its_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IPYTHONDIR", "/home/of/ipython")
    assert find_file("default", "") == Path("/home/of/ipython/profile_default/security/ipcontroller-engine.json")
    assert find_file("mpi", "7").name == "ipcontroller-7-engine.json"


def test_a_controller_that_does_not_answer_is_waited_for_only_so_long(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channels, "_REGISTRATION_S", 0.01)
    controller = _read(tmp_path, registration=find_port())
    with pytest.raises(CallTimeout, match=r"has not answered within 0\.01 s"):
        EngineChannels(controller, None, 1.0)
