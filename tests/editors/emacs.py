"""A real Emacs without a screen, driven as its user would: by commands, keys and expressions."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.editors.servers import end_server_of
from tests.end_to_end.clients import PATIENCE_S, ROOT
from tests.support.waiting import wait_until

PACKAGE = ROOT / "editors" / "emacs"


class Emacs:
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
        self._socket = folder / f"{name}.sock"
        self._client = [client, "-s", str(self._socket)]
        home = folder / "home"
        home.mkdir(exist_ok=True)
        self._environment = {**os.environ, "HOME": str(home), "PYTHONPATH": str(ROOT), "TERM": "xterm"}
        command = " ".join(json.dumps(word) for word in (sys.executable, "-m", "rpyc_kernel"))
        settings = "create-lockfiles nil make-backup-files nil native-comp-deferred-compilation nil"
        self._process = subprocess.Popen(
            [
                *(emacs, "-Q", "--eval", f"(setq rpyc-kernel-command '({command}) {settings})"),
                *("-L", str(PACKAGE), "-l", "rpyc-kernel", f"--fg-daemon={self._socket}"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=self._environment,
        )
        try:
            wait_until(self._socket.exists, PATIENCE_S, "Emacs's socket")
            self._eval(f'(progn (find-file "{file}") (python-mode) (rpyc-kernel-mode))')
        except BaseException:
            self.kill()
            raise

    def lisp(self, expression: str) -> str:
        """The value of an expression of Lisp in the file's buffer, as it is printed."""
        return self._eval(f'(with-current-buffer "cells.py" {expression})')

    def _eval(self, expression: str) -> str:
        done = subprocess.run(
            [*self._client, "--eval", expression],
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            env=self._environment,
        )
        return (done.stdout + done.stderr).rstrip("\n")

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

    def kill_server(self) -> None:
        """Kill the server that it has started."""
        end_server_of(self._process.pid)

    def wait_for_output(self, text: str) -> None:
        """Wait until that stands in the buffer of output."""
        wait_until(lambda: text in self.output, PATIENCE_S, f"{text!r} in {self.output!r}")

    def kill(self) -> None:
        """Kill it."""
        self._process.kill()
        self._process.wait()
        self._socket.unlink(missing_ok=True)
