"""Connection files: what is taken, and what is said of those that cannot be."""

import json
from pathlib import Path
from typing import Any

import pytest

from rpyc_kernel import RequestError
from rpyc_kernel.faces.jupyter.connection_info import ConnectionInfo

_GOOD: dict[str, Any] = {
    "shell_port": 1, "iopub_port": 2, "stdin_port": 3, "control_port": 4, "hb_port": 5, "key": "k",
}  # fmt: skip


def _read(folder: Path, content: dict[str, Any]) -> ConnectionInfo:
    file = folder / "kernel.json"
    file.write_text(json.dumps(content))
    return ConnectionInfo.read(file)


def test_what_it_does_not_say_is_as_jupyter_means_it(tmp_path: Path) -> None:
    info = _read(tmp_path, {**_GOOD, "kernel_name": "anything", "jupyter_session": ""})
    assert (info.transport, info.ip, info.signature_scheme) == ("tcp", "127.0.0.1", "hmac-sha256")
    assert info.url("shell") == "tcp://127.0.0.1:1"


def test_unix_sockets_have_a_number_behind_their_path(tmp_path: Path) -> None:
    assert _read(tmp_path, {**_GOOD, "transport": "ipc", "ip": "/tmp/k"}).url("hb") == "ipc:///tmp/k-5"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"shell_port": 0}, "shell_port"),
        ({"shell_port": 70000}, "shell_port"),
        ({"hb_port": "5"}, "hb_port"),
        ({"transport": "udp"}, "transport"),
        ({"key": 5}, "key"),
        ({"curve_publickey": "p"}, "curve_secretkey"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    with pytest.raises(RequestError, match=said):
        _read(tmp_path, {**_GOOD, **wrong})


def test_a_port_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="control_port"):
        _read(tmp_path, {name: value for name, value in _GOOD.items() if name != "control_port"})
