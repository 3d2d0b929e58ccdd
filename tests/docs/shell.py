"""Runs the shell sessions of pages: what stands behind '$ ' is run, and what stands below it is what comes of it.

A command goes on in the lines below it that begin with '> '.
"""

from __future__ import annotations

import doctest
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path

from tests.docs.pages import ROOT

_FENCE = re.compile(r"^```console\n(.*?)^```", re.DOTALL | re.MULTILINE)
_MARK = "\x1e"
_PATIENCE_S = 240.0


def shell_steps_of(page: str) -> list[tuple[str, str]]:
    """The commands of a page, each with what is shown below it."""
    steps: list[tuple[str, str]] = []
    for block in _FENCE.findall(page):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            first, *lines = part.splitlines(keepends=True)
            rest = list(itertools.takewhile(lambda line: line.startswith("> "), lines))
            command = first + "".join(line.removeprefix("> ") for line in rest)
            steps.append((command.removesuffix("\n"), "".join(lines[len(rest) :])))
    return steps


def run_steps(steps: list[tuple[str, str]], folder: Path) -> list[str]:
    """Run the commands in one shell, whose folder this is; returns what came out otherwise than shown."""
    programs = folder / "bin"
    programs.mkdir()
    for name, what in (("rpyc-kernel", " -m rpyc_kernel"), ("python3", "")):
        (programs / name).write_text(f'#!/bin/sh\nexec "{sys.executable}"{what} "$@"\n')
        (programs / name).chmod(0o700)
    script = "".join(f"{command}\nprintf '{_MARK}'\n" for command, _ in steps)
    done = subprocess.run(
        ["bash", "-c", script],
        cwd=folder,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_PATIENCE_S,
    )
    outputs = done.stdout.split(_MARK)
    check = doctest.OutputChecker().check_output
    return [
        f"$ {command}\n{got}instead of\n{want}"
        for (command, want), got in zip(steps, outputs, strict=False)
        if not check(want, got, doctest.ELLIPSIS)
    ] + ([] if len(outputs) == len(steps) + 1 else [f"the shell ended early:\n{outputs[-1]}"])
