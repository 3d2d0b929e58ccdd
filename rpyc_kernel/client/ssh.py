"""Kernels on other machines: ``ssh://[USER@]HOST[:PORT]/NAME``.

What runs there is found by a command that runs there, of the packages that are installed here (see `bundle`): it reads
the connection file of the kernel and says what stands in it by the same connection, where it stays in memory. The
kernel's unix socket is then forwarded. Nothing listens on a port, and no key lies in a file here.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
import weakref
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote, urlsplit

from rpyc_kernel.client import outpost_line
from rpyc_kernel.client.doors import open_unix
from rpyc_kernel.client.ssh_command import name_host, start, understanding
from rpyc_kernel.client.ssh_login import Destination, Login, log_in
from rpyc_kernel.errors import ConnectionFailed, NoSuchKernel, RequestError, from_name
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.settings import check_name
from rpyc_kernel.system.addresses import bracket

SCHEME = "ssh://"
_DEFAULT_NAME = "default"
_OUTPOST = ("-m", outpost_line.MODULE)
_SPOKEN_BY_SHELLS = " '\"`$;&|<>\\(){}"
_ASK_S = 180.0
"""For an answer from there: the packages may have to go over a slow line first."""


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
        return f"{SCHEME}{f'{to.user}@' if to.user else ''}{bracket(to.host)}{f':{to.port}' if to.port else ''}/"

    @property
    def url(self) -> str:
        """The kernel's address, as it is shown."""
        return f"{self.host_url}{self.name}"


class SshDoor:
    """A hub's unix socket on another machine; see `doors.Door`.

    It is looked for again with each new login: after the last one had ended, the machine may have taken away the folder
    of its user's sockets, and the hub has made its own somewhere else. Whether the login has ended is asked when what
    went by it is closed: as long as it is not, the next one will go by it, too.

    Args:
        target: the kernel.
        login: the connection to that machine.
        path: where the socket was found by the connection that there is.
    """

    def __init__(self, target: Target, login: Login, path: str) -> None:
        self._target = target
        self._login = login
        self._path = path
        self._found_by = login.number
        self._opened: weakref.ref[socket.socket] | None = None

    def open(self, timeout_s: float) -> tuple[socket.socket, bytes]:
        """See `Door`: OpenSSH has proven who is there, so there is nothing to bind the kernel's handshake to."""
        deadline = time.monotonic() + timeout_s
        if self._is_in_use():
            with contextlib.suppress(OSError):
                return self._open(deadline), b""
        found_by = self._login.connect(timeout_s)
        if found_by != self._found_by:
            self._path, self._found_by = self._look(deadline), found_by
        return self._open(deadline), b""

    def _is_in_use(self) -> bool:
        """Whether the login is the one that led to the kernel, and nothing says that it has ended since."""
        opened = self._opened() if self._opened is not None else None
        is_open = self._opened is None or (opened is not None and opened.fileno() >= 0)
        return is_open and self._login.number == self._found_by

    def _open(self, deadline: float) -> socket.socket:
        way = self._login.find_way(self._path)
        opened = None
        if way:
            with contextlib.suppress(OSError):
                opened = open_unix(way, max(0.1, deadline - time.monotonic()))
        if opened is None:
            near = self._login.make_way(self._path, instead_of=way)
            opened = open_unix(near, max(0.1, deadline - time.monotonic()))
        self._opened = weakref.ref(opened)
        return opened

    def _look(self, deadline: float) -> str:
        request = {"do": "find", "name": self._target.name}
        try:
            found = ask(self._target, request, timeout_s=max(1.0, deadline - time.monotonic()))
            with understanding(self._target.host_url):
                return str(found["unix"])
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
    if parts.query or parts.fragment or "/" in name or not host or any(map(_is_dangerous, (host, user))):
        raise RequestError(f"{text!r} is no address of a kernel; use ssh://[user@]host[:port]/name")
    return Target(Destination(host, user, port), check_name(name) if name else "")


def _is_dangerous(part: str) -> bool:
    """Whether OpenSSH would take it for an option, or the shells of jump hosts for a command."""
    return part.startswith("-") or not part.isprintable() or any(char in part for char in _SPOKEN_BY_SHELLS)


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
        request: what to do; only that of a start may have secrets, and stands in no command line.
        python: the interpreter there, a path or the name of a command; None for its python3, or a newer one beside it.
        timeout_s: for the answer.

    Raises:
        ConnectionFailed: the host cannot be reached.
        KernelError: whatever the command there says is wrong.
    """
    text = json.dumps(request)
    is_start = request["do"] == "start"

    def do() -> Any:
        words = [*_OUTPOST, outpost_line.TO_STAY if is_start else text]
        with start(login, target.host_url, words, python=python, timeout_s=timeout_s) as command:
            if is_start:
                command.write(f"{text}\n".encode())
            answer = command.hear(outpost_line.ANSWER)
            if answer is None:
                raise command.explain_end()
            with understanding(target.host_url):
                return _read_answer(answer, target, str(request.get("name", "")))

    login = log_in(target.destination)
    before, now = login.number, login.connect(may_ask=True)
    try:
        return do()
    except ConnectionFailed:
        # One that was there before may have been dead already; what was fresh, or is there still, is not in the way.
        if now != before or is_start or login.connect() == now:
            raise
        return do()


def _read_answer(answer: dict[str, Any], target: Target, name: str) -> Any:
    if "error" not in answer:
        return answer["answer"]
    # As it is named there, nobody reaches it from here.
    message = answer["message"].replace(f" {name}'", f" {target.url}'").replace(f"'{name}'", f"'{target.url}'")
    message = message.replace("'rpyc-kernel list --all'", f"'rpyc-kernel list --all {target.host_url}'")
    raise from_name(answer["error"], name_host(message, target.host_url))


def read_there(target: Target, arguments: Sequence[str]) -> Iterator[str]:
    """Yield the lines that ``rpyc-kernel ARGUMENT ...`` writes on a host.

    Raises:
        ConnectionFailed: the host cannot be reached.
        KernelError: the command failed.
    """
    login = log_in(target.destination)
    login.connect(may_ask=True)
    with start(login, target.host_url, arguments) as command:
        for line in command.lines():
            command.limit(_ASK_S)  # for the next one
            yield line
        if command.status:
            raise command.explain_end()
