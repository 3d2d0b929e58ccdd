"""Draws docs/pictures/nvim.svg and emacs.svg from real editors with a kernel: python scripts/editor_pictures.py"""

import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from types import SimpleNamespace

import pexpect
import pyte

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

import rpyc_kernel  # noqa: E402
from scripts.console_pictures import draw  # noqa: E402

_CODE = """\
# %% numbers
numbers = [n * n for n in range(10)]
print("sum of", len(numbers), "squares:", sum(numbers))

# %% a question
name = input("who? ")
name.upper()
"""
_ROWS, _COLUMNS = 26, 90


class _Screen:
    """A program on a terminal."""

    def __init__(self, command: list[str]) -> None:
        self._screen = pyte.Screen(_COLUMNS, _ROWS)
        self._stream = pyte.ByteStream(self._screen)
        environment = {**os.environ, "TERM": "xterm-256color"}
        self._child = pexpect.spawn(command[0], command[1:], dimensions=(_ROWS, _COLUMNS), env=environment)

    def type(self, keys: str, until: str) -> None:
        """Type, and wait until a text is shown."""
        self._child.send(keys)
        deadline = time.monotonic() + 30
        while until not in "\n".join(self._screen.display):
            assert time.monotonic() < deadline, "\n".join(self._screen.display)
            with contextlib.suppress(pexpect.TIMEOUT):
                self._stream.feed(self._child.read_nonblocking(65536, 0.1))

    def draw(self, name: str) -> None:
        """Draw it, and end the program."""
        draw(SimpleNamespace(_screen=self._screen), name)
        self._child.close(force=True)


def _draw_neovim(file: Path) -> None:
    plugin = ROOT / "editors" / "nvim"
    command = f"require('rpyc_kernel').setup({{command = {{'{sys.executable}', '-m', 'rpyc_kernel'}}}})"
    arguments = ["-u", "NONE", "-i", "NONE", "-n", "--cmd", f"set rtp+={plugin} ruler", "--cmd", "filetype plugin on"]
    screen = _Screen(["nvim", *arguments, "-c", f"lua {command}", "-c", "runtime plugin/rpyc_kernel.lua", str(file)])
    screen.type(":set ft=python\r:syntax on\r:set background=dark\r:Kernel demo\r", "connected to demo")
    screen.type(":2\r:KernelSend\r", "squares: 285")
    with rpyc_kernel.connect("demo", name="alice") as alice:
        alice.execute("numbers.append(100)\nlen(numbers)")
        screen.type(":6\r:KernelSend\r", "alice [")
        screen.type("", "[3] # %% a question")
        screen.type("Ada", "who?  Ada")
        screen.draw("nvim")


def _draw_emacs(file: Path) -> None:
    package = ROOT / "editors" / "emacs"
    command = f'(setq rpyc-kernel-command \'("{sys.executable}" "-m" "rpyc_kernel"))'
    settings = "(setq native-comp-deferred-compilation nil frame-background-mode 'dark split-width-threshold nil)"
    hook = "(add-hook 'python-mode-hook #'rpyc-kernel-mode)"
    loads = ["--eval", settings, "-L", str(package), "-l", "rpyc-kernel", "--eval", command, "--eval", hook]
    screen = _Screen(["emacs", "-nw", "-Q", *loads, "-f", "menu-bar-mode", str(file)])
    screen.type("", "cells.py")
    screen.type("\033xrpyc-kernel\r", "Kernel:")
    screen.type("demo\r", "connected to demo")
    screen.type("\003\003", "squares: 285")
    with rpyc_kernel.connect("demo", name="alice") as alice:
        alice.execute("numbers.append(100)\nlen(numbers)")
        screen.type("", "alice [")
        screen.type("\033>\003\003", "who?  ")
        screen.type("Ada", "who?  Ada")
        screen.draw("emacs")


def main() -> None:
    """Draw what the editors show of one kernel."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.environ |= {"RPYC_KERNEL_RUNTIME_DIR": f"{folder}/r", "RPYC_KERNEL_STATE_DIR": f"{folder}/s"}
        os.environ |= {"XDG_DATA_HOME": f"{folder}/data", "HOME": folder, "PYTHONPATH": str(ROOT)}
        file = Path(folder) / "cells.py"
        file.write_text(_CODE)
        with rpyc_kernel.start("demo") as kernel:
            _draw_neovim(file)
            kernel.restart()
            _draw_emacs(file)
            kernel.shutdown()


if __name__ == "__main__":
    main()
