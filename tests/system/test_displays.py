import socket
import sys
from pathlib import Path

import pytest

from rpyc_kernel.system import displays
from rpyc_kernel.system.displays import find_obstacle

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="windows of macOS need no address")


def test_without_an_address_there_is_no_display():
    assert "neither DISPLAY nor WAYLAND_DISPLAY is set" in find_obstacle({})
    assert "neither DISPLAY nor WAYLAND_DISPLAY is set" in find_obstacle({"DISPLAY": ""})


@pytest.mark.parametrize("display", [":9999", "nonsense", ":", ":x.0", "127.0.0.1:59000", "unix:9999"])
def test_an_address_where_nothing_answers_is_named(display: str):
    assert find_obstacle({"DISPLAY": display}) == f"nothing answers at the display {display!r} of DISPLAY"


def test_a_display_that_answers_is_no_obstacle(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(displays, "_X_SOCKETS", f"{tmp_path}/X")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{tmp_path}/X7")
        server.listen()
        assert find_obstacle({"DISPLAY": ":7.0"}) == ""
        assert find_obstacle({"DISPLAY": "unix:7"}) == ""


def test_wayland_needs_no_x():
    assert find_obstacle({"WAYLAND_DISPLAY": "wayland-0"}) == ""
