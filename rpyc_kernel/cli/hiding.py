"""How connect strings reach a command without standing where others can read them.

All users of a machine see what stands on its command lines. So a program that finds a connect string on its own runs
itself anew: the command line then has what may be seen of it, and a pipe that nobody else can open brings the rest.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import re
import sys

from rpyc_kernel.client.connect_string import VARIABLE, remember
from rpyc_kernel.errors import RequestError

_STRING = re.compile(r"(\s*(?:--[\w-]+=)?)((rpyc\+tls://[^\s#]*)#\S*)\s*")
"""An argument that is one, or a switch with one. In code, or what is searched for, it is for the kernel as it is."""
_DESCRIPTOR = "RPYC_KERNEL_SECRETS_FD"
_MAX_BYTES = 4096
"""What fits into any pipe without a reader; a connect string takes 150 bytes."""


def run_without_secrets() -> None:
    """If connect strings stand on the command line, run this program anew without them; does not return then."""
    arguments = sys.orig_argv[1:]
    secrets = "\n".join(match[2] for argument in arguments if (match := _STRING.fullmatch(argument))).encode()
    if not secrets:
        return
    print(
        "rpyc-kernel: the secret of the connect string stood on the command line, where others on this machine can see "
        f"it; use '-' instead, which reads the string from standard input, or set {VARIABLE} to it and name no kernel",
        file=sys.stderr,
        flush=True,
    )
    if len(secrets) > _MAX_BYTES:
        return
    reader, writer = os.pipe()
    os.write(writer, secrets)
    os.close(writer)
    os.set_inheritable(reader, True)
    os.environ[_DESCRIPTOR] = str(reader)
    with contextlib.suppress(OSError):  # then it goes on as it is
        shown = [match[1] + match[3] if (match := _STRING.fullmatch(each)) else each for each in arguments]
        os.execv(sys.executable, [sys.executable, *shown])
    del os.environ[_DESCRIPTOR]
    os.close(reader)


def take_secrets(arguments: list[str]) -> list[str]:
    """Learn what was taken off the command line, and return the arguments with no secret in them."""
    descriptor = os.environ.pop(_DESCRIPTOR, "")
    if descriptor.isdigit():
        with open(int(descriptor), "rb") as told:
            for text in told.read(_MAX_BYTES).decode(errors="replace").split("\n"):
                remember(text)
    return [
        match[1] + remember(match[2]) if (match := _STRING.fullmatch(argument)) else argument for argument in arguments
    ]


def read_connect_string() -> str:
    """Read one from standard input, no further than to the end of its line; returns what may be shown of it.

    Empty lines before it are passed over.

    Raises:
        RequestError: there is none.
    """
    read_line = _ask_for_line if sys.stdin.isatty() else _read_line
    while line := read_line():
        if line.strip():
            return remember(line)
    raise RequestError("'-' in place of a kernel's name reads a connect string from standard input, which has none")


def _ask_for_line() -> str:
    """A line that is typed where nobody sees it, with its end; "" at the end of the input."""
    try:
        return getpass.getpass("Connect string: ") + "\n"
    except EOFError:
        return ""


def _read_line() -> str:
    """A line of standard input with its end, and nothing behind it; "" at the end of the input."""
    read = bytearray()
    while len(read) <= _MAX_BYTES and not read.endswith(b"\n") and (byte := os.read(sys.stdin.fileno(), 1)):
        read += byte
    return read.decode(errors="replace")
