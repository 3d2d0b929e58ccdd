"""``!`` and its kind: commands of the system, run as a person's shell would run them.

A command has a terminal of its own, as in IPython; nobody is there to type, so what it reads ends at once.
"""

from __future__ import annotations

import codecs
import os
import shutil
import subprocess
import sys

from rpyc_kernel.system.pseudo_terminal import END_OF_FILE, INTERRUPT, Terminal
from rpyc_kernel.worker.interrupts import may_interrupt, runs_user_code

_LOOK_UP_S = 0.1
_PATIENCE_S = 0.3


def run(command: str) -> int:
    """Run a command and print what it writes; returns its status, of a signal as a negative number."""
    if command.rstrip().endswith("&"):
        # Its terminal would be gone before it, and take it along.
        return _call(command)
    terminal = Terminal([_find_shell(), "-c", command])
    try:
        terminal.press(END_OF_FILE)
        status = _show(terminal)
    except KeyboardInterrupt:
        _end(terminal)
        raise
    finally:
        terminal.close()
    return 128 - status if status > 128 else status


def read(command: str) -> str:
    """Run a command and return what it writes."""
    done = _read(command)
    return done.stdout.decode("utf-8", "backslashreplace")


@runs_user_code
def _call(command: str) -> int:
    return subprocess.run(command, shell=True, check=False).returncode


@runs_user_code
def _read(command: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, shell=True, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


def _find_shell() -> str:
    return shutil.which(os.environ.get("SHELL") or "sh") or "/bin/sh"


def _show(terminal: Terminal) -> int:
    """Print what is written until the command has ended, though others may hold its terminal; returns its status."""
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    while True:
        if _has_output(terminal):
            data = terminal.read()
            _print(decode(data, final=not data))
            if not data:
                return terminal.wait()
        elif terminal.has_ended:
            return terminal.wait()


@may_interrupt
def _has_output(terminal: Terminal) -> bool:
    # In this very frame, as an interrupt strikes in none of another of ours above it.
    return bool(terminal.output.poll(_LOOK_UP_S * 1000))


@runs_user_code
def _print(text: str) -> None:
    sys.stdout.write(text)


def _end(terminal: Terminal) -> None:
    """End what was interrupted: by itself, since the signal may have been for it too, by Ctrl-C, or by force."""
    for key in (b"", INTERRUPT):
        terminal.press(key)
        if terminal.ends_within(_PATIENCE_S):
            return
