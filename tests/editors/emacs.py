"""A real Emacs without a screen, driven as its user would: by commands, keys and expressions."""

import json
import os
import shutil
import sys
from pathlib import Path

from tests.editors.editor import Editor
from tests.end_to_end.clients import ROOT

PACKAGE = ROOT / "editors" / "emacs"


class Emacs(Editor):
    """An editor with one file.

    Args:
        folder: for its socket and its settings, which others may share.
        file: the file that it opens.
        name: what its socket is called.
    """

    def __init__(self, folder: Path, file: Path, name: str = "emacs") -> None:
        emacs, client = shutil.which("emacs"), shutil.which("emacsclient")
        assert emacs is not None
        assert client is not None
        socket = folder / f"{name}.sock"
        self._client = [client, "-s", str(socket)]
        self._file = file
        home = folder / "home"
        home.mkdir(exist_ok=True)
        environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT), "TERM": "xterm"}
        command = " ".join(json.dumps(word) for word in (sys.executable, "-m", "rpyc_kernel"))
        settings = "create-lockfiles nil make-backup-files nil native-comp-deferred-compilation nil"
        start = [
            *(emacs, "-Q", "--eval", f"(setq rpyc-kernel-command '({command}) {settings})"),
            *("-L", str(PACKAGE), "-l", "rpyc-kernel", f"--fg-daemon={socket}"),
        ]
        super().__init__(start, socket, environment)

    def prepare(self) -> None:
        """Open the file."""
        self._eval(f'(progn (find-file "{self._file}") (python-mode) (rpyc-kernel-mode))')

    def lisp(self, expression: str) -> str:
        """The value of an expression of Lisp in the file's buffer, as it is printed."""
        return self._eval(f'(with-current-buffer "cells.py" {expression})')

    def _eval(self, expression: str) -> str:
        return self.run(*self._client, "--eval", expression).rstrip("\n")

    def at(self, line: int, command: str) -> str:
        """Do something with point in a line of the file."""
        return self.lisp(f"(progn (goto-char (point-min)) (forward-line {line - 1}) {command})")

    def text_of(self, buffer: str) -> str:
        """What stands in a buffer, "" where there is none."""
        text = f'(with-current-buffer "{buffer}" (buffer-substring-no-properties (point-min) (point-max)))'
        return self.lisp(f'(if (get-buffer "{buffer}") {text} "")').strip('"').replace("\\n", "\n")

    @property
    def output(self) -> str:
        """What stands in the buffer of output."""
        return self.text_of("*kernel*")

    @property
    def session(self) -> str:
        """The id of its session."""
        return self.lisp("rpyc-kernel--session").strip('"')

    @property
    def is_asking(self) -> bool:
        """Whether it asks something in the minibuffer."""
        return self.lisp("(and (active-minibuffer-window) t)") == "t"

    def answer(self, form: str) -> None:
        """Do something in the minibuffer, such as to leave it."""
        self.lisp(
            f"(run-at-time 0 nil (lambda () (with-current-buffer (window-buffer (active-minibuffer-window)) {form})))"
        )
