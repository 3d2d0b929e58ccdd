"""Code as the command line is given it: from standard input, or from files."""

from __future__ import annotations

import io
import os
import sys
import tokenize

from rpyc_kernel.cli.application import UsageError
from rpyc_kernel.client.address import host_of


def read_code(words: tuple[str, ...]) -> str:
    """The code that these words are; '-', or none at all, reads it from standard input."""
    return decode(read_standard_input(), "standard input") if is_from_input(words) else "\n".join(words)


def is_from_input(words: tuple[str, ...]) -> bool:
    """Whether code is read from standard input."""
    return words in ((), ("-",))


def read_standard_input() -> bytes:
    """All of standard input."""
    if sys.stdin.isatty():
        print("reading code from the terminal; Ctrl-D ends it", file=sys.stderr)
    return sys.stdin.buffer.read()


def read_file(file: str, size: int) -> bytes:
    """The beginning of a file, or with -1 all of it; raises `UsageError` where it cannot be read."""
    try:
        with open(file, "rb") as opened:
            return opened.read(size)
    except OSError as error:
        raise UsageError(f"{file} cannot be read: {error}") from None


def decode(content: bytes, name: str) -> str:
    """Turn a program into text as Python does, which heeds a coding cookie."""
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(content).readline)
        return io.TextIOWrapper(io.BytesIO(content), encoding).read()
    except (SyntaxError, UnicodeDecodeError) as error:
        raise UsageError(f"{name} cannot be read, as it is no text: {error}") from None


def locate(file: str, target: str) -> str:
    """The path of a program as the worker finds it, which is somewhere else than here."""
    if host_of(target):
        return file
    read_file(file, 0)  # that it can be read, while there is somebody who hears that it cannot
    return os.path.abspath(file)
