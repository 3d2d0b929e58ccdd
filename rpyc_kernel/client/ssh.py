"""Kernels on other machines: ``ssh://[USER@]HOST[:PORT]/NAME``.

What runs there is found by a command that runs there, of the packages that are installed here (see `bundle`): it reads
the connection file of the kernel and says what stands in it by the same connection, where it stays in memory. The
kernel's unix socket is then forwarded. Nothing listens on a port, and no key lies in a file here.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import select
import shlex
import socket
import subprocess
import time
from typing import Any
from urllib.parse import unquote, urlsplit

from rpyc_kernel.client.bundle import make_bundle, program
from rpyc_kernel.client.doors import open_unix
from rpyc_kernel.client.ssh_login import Destination, Login, explain, log_in
from rpyc_kernel.errors import CallTimeout, ConnectionFailed, KernelError, NoSuchKernel, RequestError, from_name
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.settings import check_name
from rpyc_kernel.system import bundle_cache

SCHEME = "ssh://"
ANSWER = "rpyc-kernel-answer "
"""Begins the line of the answer; what else is written there is a profile's, or a module's."""

_DEFAULT_NAME = "default"
_OUTPOST = ("-m", "rpyc_kernel.client.outpost")
_ODD = re.compile(r"[^\w.@%+:\[\]-]")
_ASK_S = 180.0
"""For an answer from there: the packages may have to go over a slow line first."""
_PIECE_BYTES = 65536
_OLD = "needs 3.10 or newer"
_NO_PYTHON = 127

# What a profile sets, a kernel started from there is to have, and its Python is on the PATH that it says: a command run
# by SSH has read none. Which shell the user has there is not known; of what a profile writes, nothing is read.
_RUN = 'p=$(eval "$0"); case $p in /*) exec "$p" -c "$@";; esac; exit 127'
_RUN_PYTHON = (
    f"w=$1; shift; r={shlex.quote(_RUN)}; s=${{SHELL:-/bin/sh}}; case ${{s##*/}} in "
    'bash|zsh|ksh*|mksh) exec "$s" -lc "$r" "$w" "$@";; '
    'fish) w="echo $("$s" -lc "$w" </dev/null 2>/dev/null | tail -n 1)";; '
    '*sh) "$s" -lc : </dev/null >/dev/null 2>&1 && exec "$s" -lc "$r" "$w" "$@";; '
    'esac; exec /bin/sh -c "$r" "$w" "$@"'
)
_USUAL_PYTHON = "command -v python3"
_NEWER_PYTHONS = " || ".join(f"command -v python3.{minor}" for minor in range(14, 9, -1))


class Target(Frozen):
    """What an address says.

    Attributes:
        destination: the host.
        name: the kernel's name, "" where none is said.
    """

    destination: Destination
    name: str = ""

    @property
    def host_url(self) -> str:
        """The host's address, as it is shown."""
        to = self.destination
        host = f"[{to.host}]" if ":" in to.host else to.host
        return f"{SCHEME}{f'{to.user}@' if to.user else ''}{host}{f':{to.port}' if to.port else ''}/"

    @property
    def url(self) -> str:
        """The kernel's address, as it is shown."""
        return f"{self.host_url}{self.name}"


class SshDoor:
    """A hub's unix socket on another machine; see `doors.Door`.

    It is looked for again with each new login: after the last one had ended, the machine may have taken away the folder
    of its user's sockets, and the hub has made its own somewhere else.

    Args:
        target: the kernel.
        login: the connection to that machine.
        path: where the socket was found by the connection that there is.
    """

    def __init__(self, target: Target, login: Login, path: str) -> None:
        self._target = target
        self._login = login
        self._path = path
        self._found_by = login.connect()

    def open(self, timeout_s: float) -> tuple[socket.socket, bytes]:
        """See `Door`: OpenSSH has proven who is there, so there is nothing to bind the kernel's handshake to."""
        deadline = time.monotonic() + timeout_s
        way = self._login.find_way(self._path)
        if way:
            with contextlib.suppress(OSError):
                return open_unix(way, timeout_s), b""
        found_by = self._login.connect(timeout_s)
        if found_by != self._found_by:
            self._path, self._found_by = self._look(deadline), found_by
        return open_unix(self._login.make_way(self._path), max(0.1, deadline - time.monotonic())), b""

    def _look(self, deadline: float) -> str:
        request = {"do": "find", "name": self._target.name}
        try:
            return str(ask(self._target, request, timeout_s=max(1.0, deadline - time.monotonic()))["unix"])
        except NoSuchKernel as error:
            raise ConnectionFailed(str(error)) from None  # its hub may be about to be there again


def door(target: Target, path: str) -> SshDoor:
    """The way to a unix socket on a host."""
    return SshDoor(target, log_in(target.destination), path)


def parse(text: str) -> Target:
    """Read an address; raises `RequestError` where it is none."""
    try:
        parts = urlsplit(text)
        port = parts.port or 0
    except ValueError as error:
        raise RequestError(f"{text} cannot be understood: {error}") from None
    user, name = unquote(parts.username or ""), parts.path.strip("/")
    # Not `hostname`, which has small letters only: a name in ~/.ssh/config may have others.
    host = re.sub(r":\d*$", "", parts.netloc.rpartition("@")[2]).strip("[]")
    if parts.password is not None:
        raise RequestError("an address has no room for a password, which others could read; OpenSSH asks for it")
    # As it was written: names in ~/.ssh/config may have capitals.
    written = parts.netloc.rpartition("@")[2]
    host = written[: len(host)] if written[: len(host)].lower() == host else host
    wrong = parts.query or parts.fragment or "/" in name or not host
    for part in (host, user):
        # OpenSSH would take it for an option, or the shells of jump hosts for a command.
        wrong = (
            wrong or part.startswith("-") or not part.isprintable() or any(char in part for char in " '\"`$;&|<>\\(){}")
        )
    if wrong:
        raise RequestError(f"{text!r} is no address of a kernel; use ssh://[user@]host[:port]/name")
    return Target(Destination(host, user, port), check_name(name) if name else "")


def parse_kernel(text: str) -> Target:
    """Read the address of a kernel, which without a name is the one called 'default'."""
    target = parse(text)
    return target if target.name else Target(target.destination, _DEFAULT_NAME)


def parse_host(text: str) -> Target:
    """Read the address of a host."""
    if not text.startswith(SCHEME):
        raise RequestError(f"{text!r} is no host; use ssh://[user@]host[:port]/")
    target = parse(text)
    if target.name:
        raise RequestError(f"{text} is the address of a kernel; that of its host is {target.host_url}")
    return target


def ask(target: Target, request: dict[str, Any], *, python: str | None = None, timeout_s: float = _ASK_S) -> Any:
    """Have a request answered on a host by our command there; see `outpost`.

    Args:
        target: the host.
        request: what to do; it may have secrets, and stands in no command line.
        python: the interpreter there, a path or the name of a command; None for its python3, or a newer one beside it.
        timeout_s: for the answer.

    Raises:
        ConnectionFailed: the host cannot be reached.
        KernelError: whatever the command there says is wrong.
    """
    login = log_in(target.destination)
    before, now = login.number, login.connect(may_ask=True)
    try:
        return _ask_by(login, target, request, python, timeout_s)
    except ConnectionFailed:
        # One that was there before may have been dead already; what was fresh, or is there still, is not in the way.
        if now != before or request["do"] == "start" or login.connect() == now:
            raise
        return _ask_by(login, target, request, python, timeout_s)


def _ask_by(login: Login, target: Target, request: dict[str, Any], python: str | None, timeout_s: float) -> Any:
    if python is not None:
        return _ask(login, target, request, _find(python), f"{python!r}", timeout_s)
    try:
        return _ask(login, target, request, _USUAL_PYTHON, "python3", timeout_s)
    except _NoPython as first:
        try:
            return _ask(login, target, request, _NEWER_PYTHONS, "one of python3.10 to python3.14", timeout_s)
        except _NoPython as second:
            raise RequestError(
                f"{first}, and {second.tried} is not there, either; have Python 3.10 or newer installed there, or name "
                "the file by python=… (--python)"
            ) from None


class _NoPython(RequestError):
    """There is no Python of this name, or only one that is too old."""

    def __init__(self, message: str, tried: str) -> None:
        super().__init__(message)
        self.tried = tried


def _find(python: str) -> str:
    """What a shell has to do to find an interpreter that somebody has named."""
    if python.startswith("~/"):
        return f'echo "$HOME"/{shlex.quote(python[2:])}'
    if "/" in python and not python.startswith("/"):
        return f'echo "$HOME"/{shlex.quote(python)}'
    return f"command -v {shlex.quote(python)}"


def _ask(login: Login, target: Target, request: dict[str, Any], find: str, tried: str, timeout_s: float) -> Any:
    bundle = make_bundle()
    words = [program(), bundle.digest, str(len(bundle.data)), *_OUTPOST]
    command = f"exec /bin/sh -c {shlex.quote(_RUN_PYTHON)} sh {shlex.quote(find)} {shlex.join(words)}"
    process = login.start(command)
    try:
        talk = _Talk(process, target, timeout_s)
        while True:
            line = talk.read_line()
            if line is None:
                break
            if line.startswith(bundle_cache.MARK):
                said = json.loads(line.removeprefix(bundle_cache.MARK))
                if said["status"] == "wanted":
                    talk.write(bundle.data)
                elif said["status"] == "here":
                    talk.write(json.dumps(request).encode() + b"\n")
                elif _OLD in said["error"]:
                    raise _NoPython(f"{target.host_url}: {said['error']}", tried)
                else:
                    raise RequestError(f"{target.host_url}: {said['error']}")
            elif line.startswith(ANSWER):
                answer = json.loads(line.removeprefix(ANSWER))
                if "error" in answer:
                    # As it is named there, nobody reaches it from here.
                    message = answer["message"].replace(f" {request.get('name')}'", f" {target.url}'")
                    raise from_name(answer["error"], message)
                return answer["answer"]
        raise _end(process, target, tried)
    finally:
        _close(process)


def _end(process: subprocess.Popen[bytes], target: Target, tried: str) -> KernelError:
    """Why there was no answer."""
    assert process.stderr is not None
    said = process.stderr.read().decode(errors="replace").strip()
    status = process.wait()
    if status == _NO_PYTHON:
        return _NoPython(f"there is no {tried} on the PATH of a login shell of {target.host_url}", tried)
    if status == 255:  # OpenSSH's own
        return explain(target.destination, said, status)
    last = said.rpartition("\n")[2] or f"status {status}"
    return KernelError(f"what ran on {target.host_url} ended without an answer: {last}")


def _close(process: subprocess.Popen[bytes]) -> None:
    for stream in (process.stdin, process.stdout, process.stderr):
        assert stream is not None
        with contextlib.suppress(OSError):
            stream.close()
    process.kill()
    process.wait()


class _Talk:
    """Lines from a command there, and bytes to it, within one deadline."""

    def __init__(self, process: subprocess.Popen[bytes], target: Target, timeout_s: float) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._in, self._out = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(self._in, False)
        self._target = target
        self._timeout_s = timeout_s
        self._deadline = time.monotonic() + timeout_s
        self._read = b""

    def read_line(self) -> str | None:
        """The next line, None at the end."""
        while b"\n" not in self._read:
            self._wait(self._out, select.POLLIN)
            piece = os.read(self._out, _PIECE_BYTES)
            if not piece:
                return None
            self._read += piece
        line, _, self._read = self._read.partition(b"\n")
        return line.decode(errors="replace")

    def write(self, data: bytes) -> None:
        """Write all of it; a command that does not take it has ended, which its output will say."""
        view = memoryview(data)
        with contextlib.suppress(BrokenPipeError):
            while view:
                self._wait(self._in, select.POLLOUT)
                view = view[os.write(self._in, view[:_PIECE_BYTES]) :]

    def _wait(self, descriptor: int, what: int) -> None:
        ready = select.poll()
        ready.register(descriptor, what)
        if not ready.poll(max(0.0, self._deadline - time.monotonic()) * 1000):
            raise CallTimeout(f"{self._target.host_url} did not answer within {self._timeout_s:g} s")
