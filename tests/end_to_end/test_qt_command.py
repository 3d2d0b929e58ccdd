"""``rpyc-kernel qt`` as a process: on a display of its own, and where there is none."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

import pytest

import rpyc_kernel
from rpyc_kernel import KernelClient
from tests.end_to_end.commands import CommandProcess, run_command
from tests.support.display import Display
from tests.support.folders import Folders
from tests.support.waiting import wait_until

PATIENCE_S = 60

pytestmark = [
    pytest.mark.skipif(find_spec("qtpy") is None, reason="no binding of Qt is installed"),
    pytest.mark.skipif(os.uname().sysname != "Linux", reason="displays are found otherwise there"),
]


@pytest.fixture
def no_display(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says nothing of any display."""
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM", "XAUTHORITY"):
        monkeypatch.delenv(name, raising=False)


def xdotool(*arguments: str) -> str:
    """Use keyboard and windows of the display; "" where that fails."""
    done = subprocess.run(["xdotool", *arguments], capture_output=True, text=True, timeout=PATIENCE_S)
    return done.stdout.strip() if done.returncode == 0 else ""


def is_there(kernel: KernelClient, code: str) -> bool:
    with suppress(rpyc_kernel.ExecutionError):
        return bool(kernel.eval(code))
    return False


@pytest.mark.skipif(shutil.which("xdotool") is None, reason="there is no xdotool here to type with")
def test_a_window_starts_a_kernel_takes_what_is_typed_and_leaves_it_running(
    display: Display, folders: Folders, start_command: Callable[..., CommandProcess]
) -> None:
    window = start_command("qt", "demo", "--as", "bob")
    found = wait_until(lambda: xdotool("search", "--name", "^demo .*rpyc-kernel"), PATIENCE_S, "the window")
    with rpyc_kernel.connect("demo", timeout=PATIENCE_S) as kernel:
        wait_until(lambda: kernel.status()["state"] == "idle", PATIENCE_S, "the worker")

        def type_and_look() -> bool:
            # What is typed before the window can be focused is lost; typed again, it is the same.
            xdotool("windowfocus", found.split()[0])
            xdotool("type", "typed = 'by hand'")
            xdotool("key", "Return")
            return is_there(kernel, "globals().get('typed') == 'by hand'")

        wait_until(type_and_look, PATIENCE_S, "what was typed")
        assert "bob" in {past.name for past in kernel.history("typed = 'by hand'")}
        window.signal(signal.SIGINT)
        assert window.wait() == (130, "", "")
        assert kernel.status()["state"] == "idle"
        kernel.shutdown(timeout=PATIENCE_S)


def test_without_a_display_one_line_says_so_and_no_kernel_is_started(no_display: None, folders: Folders) -> None:
    done = run_command("qt", "demo")
    assert done.returncode == 2
    assert done.stderr.startswith("rpyc-kernel: there is no display: neither DISPLAY nor WAYLAND_DISPLAY is set")
    assert done.stderr.count("\n") == 1
    assert not list(folders.runtime.iterdir())


def test_a_display_that_cannot_be_reached_is_one_line_and_not_an_abort(
    no_display: None, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":99999")
    done = run_command("qt", "demo")
    assert done.returncode == 2
    assert "nothing answers at the display ':99999' of DISPLAY" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_display_that_is_none_is_one_line_and_not_an_abort(
    no_display: None, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        def refuse() -> None:
            with suppress(OSError):
                while True:
                    taken.accept()[0].close()

        refusing = threading.Thread(target=refuse)
        refusing.start()
        try:
            monkeypatch.setenv("DISPLAY", f"127.0.0.1:{port - 6000}")
            done = run_command("qt", "demo")
        finally:
            taken.shutdown(socket.SHUT_RDWR)
            refusing.join()
    assert done.returncode == 2
    assert "Qt cannot open a window" in done.stderr
    assert done.stderr.count("\n") == 1


def test_without_a_binding_one_line_says_what_to_install(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import sys; sys.modules['qtpy'] = None\n")
    root = Path(__file__).parents[2]
    done = run_command("qt", "demo", PYTHONPATH=f"{tmp_path}{os.pathsep}{root}", QT_QPA_PLATFORM="offscreen")
    assert done.returncode == 2
    assert f"{sys.executable} -m pip install 'rpyc-kernel[qt]'" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_kernel_that_is_not_there_is_told_before_a_window_opens(folders: Folders) -> None:
    done = run_command("qt", "demo", "--read-only", QT_QPA_PLATFORM="offscreen")
    assert done.returncode == 3
    assert "demo" in done.stderr


def test_a_binding_that_ends_this_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    import qtpy

    from rpyc_kernel.faces.qt.application import find_hindrance

    monkeypatch.setattr(qtpy, "API_NAME", "PySide6")
    monkeypatch.setattr(qtpy, "PYSIDE_VERSION", "6.12.0")
    hindrance = find_hindrance({"QT_QPA_PLATFORM": "offscreen"})
    assert ("6.12.0" in hindrance) == (sys.version_info < (3, 12))
