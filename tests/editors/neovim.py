"""A real Neovim without a screen, driven as its user would: by commands, keys and expressions."""

import json
import os
import shutil
import sys
from pathlib import Path

from tests.editors.editor import Editor
from tests.end_to_end.clients import ROOT

PLUGIN = ROOT / "editors" / "nvim"
COMMAND = [sys.executable, "-m", "rpyc_kernel"]


class Neovim(Editor):
    """An editor with one file.

    Args:
        folder: for its socket and its data, which others may share.
        file: the file that it opens.
        name: what its socket is called.
    """

    def __init__(self, folder: Path, file: Path, name: str = "nvim") -> None:
        socket = folder / f"{name}.sock"
        executable = shutil.which("nvim")
        assert executable is not None
        self._executable = executable
        environment = {
            **os.environ,
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "PYTHONPATH": str(ROOT),
        }
        setup = f"require('rpyc_kernel').setup({{command = {{{', '.join(json.dumps(word) for word in COMMAND)}}}}})"
        start = [
            *(executable, "--headless", "-u", "NONE", "-i", "NONE", "-n", "--listen", str(socket)),
            *("--cmd", f"set rtp+={PLUGIN}", "--cmd", "filetype plugin on"),
            *("-c", f"lua {setup}", "-c", "runtime plugin/rpyc_kernel.lua", str(file)),
        ]
        super().__init__(start, socket, environment)

    def lua(self, expression: str) -> str:
        """The value of an expression of Lua, as text."""
        quoted = expression.replace("'", "''")
        return self._ask("--remote-expr", f"luaeval('{quoted}')")

    def command(self, command: str) -> str:
        """Give a command, as by ":"; returns what it says at once."""
        return self._ask("--remote-expr", f"execute({json.dumps(command)})")

    def type(self, keys: str) -> None:
        """Type keys, which are only handed over."""
        self._ask("--remote-send", keys)

    def _ask(self, *arguments: str) -> str:
        return self.run(self._executable, "--server", str(self._socket), *arguments, check=True)

    @property
    def output(self) -> str:
        """What stands in the window of output."""
        buffer = "require('rpyc_kernel').state.buffer"
        return self.lua(f"{buffer} and table.concat(vim.api.nvim_buf_get_lines({buffer}, 0, -1, false), '\\n') or ''")

    @property
    def text(self) -> str:
        """What stands in the buffer where the cursor is."""
        return self.lua("table.concat(vim.api.nvim_buf_get_lines(0, 0, -1, false), '\\n')")

    @property
    def messages(self) -> str:
        """What it has said."""
        return self.lua("vim.api.nvim_exec('messages', true)")

    @property
    def session(self) -> str:
        """The id of its session."""
        return self.lua("require('rpyc_kernel').state.session")

    @property
    def is_asking(self) -> bool:
        """Whether it asks something at the bottom."""
        return self.lua("vim.fn.mode()") == "c"
