"""Line magics beside those of every shell of IPython: what its terminal has as aliases, and ipykernel as magics."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from IPython.core import page
from IPython.core.error import UsageError
from IPython.display import Javascript, display


def install(shell: Any, *, is_notebook: bool) -> None:
    """Give IPython's shell its magics; those that speak to the notebook or of it, where there is one."""
    magics = _Magics(shell)
    shared = [magics.clear, magics.less, magics.more, magics.man]
    for magic in [*shared, magics.autosave, magics.connect_info] if is_notebook else shared:
        shell.register_magic_function(magic, "line", magic.__name__)


class _Magics:
    # Their docstrings are what `%less?` shows.

    def __init__(self, shell: Any) -> None:
        self._shell = shell

    def clear(self, _: str) -> None:
        """Clear the terminal."""
        self._shell.system("clear")

    def less(self, line: str) -> None:
        """Show a file in the pager, Python in colours."""
        name = line.strip().strip("'\"")
        if not name:
            raise UsageError("say which file: %less FILE")
        path = Path(name).expanduser()
        text = path.read_text("utf-8", "backslashreplace")
        page.page(self._shell.pycolorize(text) if path.suffix == ".py" else text)

    def more(self, line: str) -> None:
        """Show a file in the pager, Python in colours."""
        self.less(line)

    def man(self, line: str) -> None:
        """Show the manual page of a command in the pager."""
        page.page(self._shell.getoutput(f"man {line} | col -b", split=False))

    def autosave(self, line: str) -> None:
        """Set how often the classic notebook saves itself, in seconds; 0 for never."""
        try:
            interval_s = int(line)
        except ValueError:
            raise UsageError(f"%autosave takes a number of seconds, not {line!r}") from None
        script = Javascript(f"IPython.notebook.set_autosave_interval({interval_s * 1000})")
        display(script, include=["application/javascript"])
        sys.stdout.write(f"Autosaving every {interval_s} seconds\n" if interval_s else "Autosave disabled\n")

    def connect_info(self, _: str) -> None:
        """Print how other clients of Jupyter connect to this kernel."""
        file = self._shell.config.IPKernelApp.connection_file
        if not file:
            raise UsageError("Jupyter has not started this kernel; `rpyc-kernel list` shows how to connect to it")
        sys.stdout.write(
            f"{Path(file).read_text('utf-8')}\n\nPaste the above JSON into a file, and connect with:\n"
            "    $> jupyter <app> --existing <file>\n"
            "or, if you are local, you can connect with just:\n"
            f"    $> jupyter <app> --existing {file}\n"
        )
