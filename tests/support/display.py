"""A display of its own for a test that shows windows: an X server without a screen, ended with the test."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

_SIZE = "1280x900x24"
_PATIENCE_S = 30


class Display:
    """An X server of which nobody sees anything.

    Attributes:
        name: what DISPLAY is to be.
    """

    def __init__(self) -> None:
        reader, writer = os.pipe()
        # Without the last, it begins anew whenever nobody is connected, and loses who connects meanwhile.
        command = ["Xvfb", "-displayfd", str(writer), "-screen", "0", _SIZE, "-nolisten", "tcp", "-noreset"]
        self._server = subprocess.Popen(command, pass_fds=[writer], stderr=subprocess.DEVNULL)
        os.close(writer)
        with open(reader) as told:
            self.name = f":{told.readline().strip()}"  # when it is ready, and "" if it ends before
        if self.name == ":":
            self.close()
            raise OSError("Xvfb ended before it was ready")

    def picture(self, path: Path) -> Path:
        """Write what is to be seen on it into a file."""
        command = ["import", "-display", self.name, "-window", "root", str(path)]
        subprocess.run(command, check=True, timeout=_PATIENCE_S, capture_output=True)
        return path

    def kill(self) -> None:
        """End it as a crash does."""
        self._server.kill()
        self._server.wait(_PATIENCE_S)

    def close(self) -> None:
        """End it."""
        self._server.terminate()
        try:
            self._server.wait(_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.kill()


@pytest.fixture
def display(monkeypatch: pytest.MonkeyPatch) -> Iterator[Display]:
    """A display, which processes started by the test find in DISPLAY."""
    if shutil.which("Xvfb") is None:
        pytest.skip("there is no Xvfb here to show windows in")
    shown = Display()
    monkeypatch.setenv("DISPLAY", shown.name)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("QT_QPA_PLATFORM", raising=False)
    try:
        yield shown
    finally:
        shown.close()


@pytest.fixture(params=["qt", "tk"])
def toolkit(request: pytest.FixtureRequest) -> str:
    """Each that is tested."""
    return str(request.param)
