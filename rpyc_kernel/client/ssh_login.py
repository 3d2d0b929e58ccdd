"""One login per host and process, held by OpenSSH's own client; all else goes by way of it.

So what the user has set up for SSH holds: names and jump hosts in ~/.ssh/config, agents, known hosts. Where the user
shares connections already (ControlMaster), that one is taken; else one is made whose socket stands in a private folder.
A shell that waits for this process's end, however it comes about, then ends the connection and removes the folder.
Were the shell ended, too, the connection ends by itself when nothing has used it for some minutes.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import TextIO

from rpyc_kernel.core.seconds import show_seconds
from rpyc_kernel.errors import AuthenticationFailed, CallTimeout, ConnectionFailed, RequestError
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.system import processes

COMMAND_VARIABLE = "RPYC_KERNEL_SSH"
"""OpenSSH's client and options for it, as a shell would read them; ``ssh`` if it is not set."""

_LOGIN_S = 30.0
_TYPING_S = 300.0
_LOCAL_S = 30.0
"""For what the client does on this machine alone."""
_ANSWER_S = 10.0
"""A process that holds a connection, and does not answer for so long, does not answer any more."""
_UNUSED_S = 300
"""After this long without use a connection ends that nobody has ended."""
_SILENCE_S, _SILENCES = 5, 3
"""A connection on which nothing comes for so long, so many times, is dead; unless the configuration says other."""
_LONGEST_FOLDER = 60
"""The path of a unix socket has 104 characters at most, and OpenSSH adds 17 of its own while it makes one."""

_ALONE = ("-F", os.devnull, "-o", "ProxyCommand=false")
"""Else OpenSSH has what the user forwards at logins forwarded, too, and logs in anew when who holds the connection ends
before it has answered."""

_NOTHING_ELSE = (
    *("-o", "ClearAllForwardings=yes"),
    *("-o", "PermitLocalCommand=no"),
    *("-o", "RemoteCommand=none"),
    *("-o", "ForwardX11=no"),
)
"""What the user forwards or runs at each login of another kind is none of this one's business."""

_AT_END = 'trap "" HUP INT TERM; read -r _; cd "$1" && . ./at_end; cd /; rm -rf "$1"'


class Destination(Frozen):
    """Where to log in, as the user has written it; OpenSSH's configuration says what that means.

    Attributes:
        host: a name or an address.
        user: the user there, "" for what the configuration says.
        port: the port, 0 for what the configuration says.
    """

    host: str
    user: str = ""
    port: int = 0

    @property
    def arguments(self) -> list[str]:
        """For the end of the client's options."""
        user = ["-l", self.user] if self.user else []
        port = ["-p", str(self.port)] if self.port else []
        return [*user, *port, "--", self.host]

    @property
    def command(self) -> str:
        """What a user would type to log in."""
        port = f"-p {self.port} " if self.port else ""
        return f"ssh {port}{f'{self.user}@' if self.user else ''}{self.host}"


class Login:
    """One host, and this process's connection to it; made when first used, and again after it broke.

    Who uses it waits while another thread makes the connection.
    """

    def __init__(self, destination: Destination) -> None:
        self.destination = destination
        self._lock = threading.Lock()
        self._sharing: list[str] | None = None
        """The options that lead to the connection, None while there is none."""
        self._is_own = False
        """Whether it was made for us, and ends with us."""
        self._near: dict[str, str] = {}
        """Paths of sockets here by those there that they lead to."""
        self._open: set[str] = set()
        """Which of them lead there by the connection that there is."""
        self._count = 0
        self._trying: subprocess.Popen[bytes] | None = None
        self._master: tuple[int, str] | None = None
        """The process that holds our own connection, and its birth."""

    @property
    def number(self) -> int:
        """The number of the last connection that there was."""
        return self._count

    def connect(self, timeout_s: float = _LOGIN_S, *, may_ask: bool = False) -> int:
        """Have a connection; returns its number, as another one may lead to a machine on which other things are so.

        Only for the first one does OpenSSH ask, for a password or whether to trust a host.

        Raises:
            ConnectionFailed: the host cannot be reached.
        """
        with self._lock:
            if self._sharing is None or not self._is_up(self._sharing):
                self._open.clear()
                self._sharing = None
                self._sharing = self._share(timeout_s, can_ask=may_ask and not self._count and _can_ask())
                self._count += 1
            return self._count

    def start(self, command: str) -> subprocess.Popen[bytes]:
        """Run a command there by the connection that there is; the caller has its streams, and ends it."""
        return subprocess.Popen(
            [*self._ssh(*(self._sharing or []), *_NOTHING_ELSE, "-o", "BatchMode=yes", "-T"), command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for this process, which ends what it waits for
        )

    def find_way(self, far: str) -> str:
        """The path of a socket here that led to one there, "" where there is none."""
        return self._near[far] if far in self._open else ""

    def make_way(self, far: str, instead_of: str = "") -> str:
        """Have a unix socket here that leads to one there, by the connection that there is.

        Args:
            far: the one there.
            instead_of: one here that did not lead there any more; another thread may have made another since.

        Returns:
            The path of the one here.
        """
        with self._lock:
            near = self._near.get(far, "")
            if far in self._open and near != instead_of:
                return near
            with contextlib.suppress(OSError):
                os.unlink(near)  # which OpenSSH leaves when its connection ends
            place = _have_place()
            near = self._near[far] = place.new_path()
            sharing = self._sharing or []
            if not self._is_own:  # the user's connection goes on after us
                place.at_end(self._ssh(*_ALONE, *sharing, "-O", "cancel", "-L", f"{near}:{far}"))
            ended = self._run(*_ALONE, *sharing, "-O", "forward", "-L", f"{near}:{far}")
            if ended.returncode:
                raise explain(self.destination, ended.stderr, ended.returncode)
            self._open.add(far)
            return near

    def _share(self, timeout_s: float, *, can_ask: bool) -> list[str]:
        """Log in, or find that the user has; returns the options that lead to the connection."""
        config = self._read_config()
        path = config.get("controlpath", "none")
        sharing = _by(path)
        self._is_own = False
        if path != "none" and self._is_up(sharing):
            return sharing
        options = [] if config.get("connecttimeout", "none") != "none" else ["-o", f"ConnectTimeout={timeout_s:.0f}"]
        if config.get("serveraliveinterval", "0") == "0":
            options += ["-o", f"ServerAliveInterval={_SILENCE_S}", "-o", f"ServerAliveCountMax={_SILENCES}"]
        is_shared = path != "none" and config.get("controlmaster", "").startswith(("auto", "ask"))
        if is_shared and config.get("controlpersist", "no") not in ("no", "false"):
            self._log_in(options, timeout_s, can_ask=can_ask)
            return sharing
        place = _have_place()
        self.end_master()
        # Never the same path again: OpenSSH would take no other's place, but log in all the same, and stay for ever.
        sharing = _by(place.new_path())
        place.at_end(self._ssh(*_ALONE, *sharing, "-O", "exit"))
        self._is_own = True
        lasting = ["-o", "ControlMaster=yes", "-o", f"ControlPersist={_UNUSED_S}"]
        self._log_in([*options, *sharing, *lasting], timeout_s, can_ask=can_ask)
        if told := re.search(r"pid=(\d+)", self._run(*_ALONE, *sharing, "-O", "check").stderr):
            self._master = int(told[1]), processes.birth_of(int(told[1]))
        return sharing

    def _log_in(self, options: list[str], timeout_s: float, *, can_ask: bool) -> None:
        """Log in without a question; where that is refused, with one: a terminal has room for one at a time."""
        options = [*options, *_NOTHING_ELSE]
        status, said = self._try([*options, "-o", "BatchMode=yes", "-o", "LogLevel=INFO"], timeout_s, None)
        if not status:
            return
        problem = explain(self.destination, said, status)
        if not (can_ask and type(problem) is AuthenticationFailed):
            raise problem
        with _terminal:
            status, _ = self._try([*options, "-o", "BatchMode=no"], _TYPING_S, sys.stderr)
        if status:
            raise AuthenticationFailed(f"{self.destination.command!r} did not get in, as OpenSSH says above")

    def _try(self, options: list[str], timeout_s: float, shown: TextIO | None) -> tuple[int, str]:
        """Log in; returns OpenSSH's status and, unless they are shown, its words."""
        trying = self._trying = subprocess.Popen(
            # Authenticated, it goes into the background, with a session of its own, out of reach of Ctrl-C.
            self._ssh(*options, "-f", "-N"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=shown or subprocess.PIPE,
            start_new_session=shown is None,  # else it reads from the terminal
        )
        with trying:
            try:
                said = trying.communicate(timeout=timeout_s)[1] or b""
            except subprocess.TimeoutExpired:
                trying.kill()
                raise CallTimeout(
                    f"{self.destination.command!r} was not through within {show_seconds(timeout_s)} s; "
                    "see whether it is by hand"
                ) from None
            except BaseException:
                trying.kill()
                raise
        return trying.returncode, said.decode(errors="replace")

    def give_up(self) -> None:
        """End a login that another thread is waiting for."""
        if self._trying is not None:
            self._trying.kill()

    def end_master(self) -> None:
        """End the process that holds our own connection, if it lives: it may not answer, or have lost its socket."""
        # Where the system does not tell births, another process may have the number by now.
        if self._master is not None and self._master[1] and processes.is_alive(*self._master):
            processes.kill(self._master[0])
        self._master = None

    def _read_config(self) -> dict[str, str]:
        ended = self._run("-G")
        if ended.returncode:
            raise explain(self.destination, ended.stderr, ended.returncode)
        return dict(line.partition(" ")[::2] for line in ended.stdout.splitlines())

    def _is_up(self, sharing: list[str]) -> bool:
        try:
            asked = self._run(*_ALONE, *sharing, "-O", "check", timeout_s=_ANSWER_S)
        except CallTimeout:
            return False
        return asked.returncode == 0

    def _run(self, *options: str, timeout_s: float = _LOCAL_S) -> subprocess.CompletedProcess[str]:
        try:
            return subprocess.run(
                self._ssh(*options),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=timeout_s,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired:
            raise CallTimeout(
                f"OpenSSH's client said nothing of {self.destination.host} for {show_seconds(timeout_s)} s"
            ) from None

    def _ssh(self, *options: str) -> list[str]:
        return [*_client(), *options, *self.destination.arguments]


class _Place:
    """A private folder for sockets, and the shell that takes it away, with the connections, when this process ends."""

    def __init__(self) -> None:
        above = tempfile.gettempdir()
        self.path = tempfile.mkdtemp(prefix="rk-ssh-", dir=above if _is_usable(above) else "/tmp")
        self._count = 0
        Path(self.path, "at_end").touch(0o600)
        self._shell = subprocess.Popen(
            ["/bin/sh", "-c", _AT_END, "sh", self.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,
        )

    def new_path(self) -> str:
        """A path for another socket."""
        self._count += 1
        return f"{self.path}/{self._count}"

    def at_end(self, command: list[str]) -> None:
        """Have a command run when this process ends."""
        with open(os.path.join(self.path, "at_end"), "a", encoding="utf-8") as file:
            file.write(f"{shlex.join(command)}\n")

    def leave(self) -> None:
        """Have all taken away now."""
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._shell.wait(_ANSWER_S)

    def forget(self) -> None:
        """In a forked child, which has copies of it: leave it to the parent."""
        assert self._shell.stdin is not None
        self._shell.stdin.close()
        self._shell.returncode = 0


_places: list[_Place] = []
_logins: dict[Destination, Login] = {}
_lock = threading.Lock()
_terminal = threading.Lock()


def log_in(destination: Destination) -> Login:
    """This process's login at a destination."""
    with _lock:
        return _logins.setdefault(destination, Login(destination))


def log_out() -> None:
    """End all connections that this process has made, and take away what it made for them."""
    with _lock:
        places, logins = [*_places], [*_logins.values()]
        _places.clear()
        _logins.clear()
    for login in logins:
        login.give_up()
    for place in places:
        place.leave()
    for login in logins:
        login.end_master()  # which was asked to end, and may not have answered
    for place in places:
        place.leave()


def _have_place() -> _Place:
    with _lock:
        if not _places or not os.path.isdir(_places[0].path):
            _places.insert(0, _Place())
        return _places[0]


def _forget_in_child() -> None:
    global _lock, _terminal
    _lock, _terminal = threading.Lock(), threading.Lock()
    for place in _places:
        place.forget()
    _places.clear()
    _logins.clear()


def _log_out_at_end() -> None:
    with contextlib.suppress(KeyboardInterrupt):  # nobody need wait for it: the shells go on by themselves
        log_out()


atexit.register(_log_out_at_end)
os.register_at_fork(after_in_child=_forget_in_child)


def _by(control: str) -> list[str]:
    """The options that lead to the connection whose socket on this machine is there."""
    return ["-o", f"ControlPath={control.replace('%', '%%')}"]


def _is_usable(folder: str) -> bool:
    return len(folder) < _LONGEST_FOLDER and "%" not in folder and ":" not in folder


def _client() -> list[str]:
    try:
        command = shlex.split(os.environ.get(COMMAND_VARIABLE, "")) or ["ssh"]
    except ValueError as error:
        raise RequestError(f"{COMMAND_VARIABLE} cannot be understood: {error}") from None
    if shutil.which(command[0]) is None:
        raise RequestError(f"there is no program {command[0]!r} on this machine; install OpenSSH's client")
    return command


def _can_ask() -> bool:
    """Whether there is somebody at a terminal, or a program that asks in a window."""
    if os.environ.get("SSH_ASKPASS"):
        return True
    try:
        if not sys.stdin.isatty():
            return False
        with open("/dev/tty", "rb", buffering=0) as terminal:
            return os.tcgetpgrp(terminal.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False


_OF_OUR_OWN = ("Control socket ", "mux_client_", "muxclient")
"""Begin what OpenSSH says of the process that holds the connection on this machine, and not of the host."""

_ADVICE = (
    ("Could not resolve", "see whether the name is right, here or in ~/.ssh/config"),
    ("Connection refused", "no SSH server listens there; see whether host and port are right"),
    ("Connection timed out", "the host is off, or something blocks the way; a jump host may lead there"),
    ("No route to host", "the host is off, or this machine is not on its network"),
)


def explain(destination: Destination, said: str, status: int) -> ConnectionFailed:
    """What OpenSSH's words mean, and what to do."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and set(line.strip()) != {"@"}]
    words = lines[-1] if lines else f"{destination.command!r} ended with status {status}"
    if words.startswith(_OF_OUR_OWN):
        return ConnectionFailed(f"the SSH connection to {destination.host} has ended; try again, which makes another")
    if any("REMOTE HOST IDENTIFICATION HAS CHANGED" in line for line in lines):
        where = " ".join(
            line for line in lines if line.startswith(("SHA256:", "Offending", "remove with", "ssh-keygen"))
        )
        return AuthenticationFailed(
            f"REMOTE HOST IDENTIFICATION OF {destination.host} HAS CHANGED! Somebody may stand between, or it has "
            f"a new key; nothing was sent. If you know why, remove the old one and log in by hand: {where}"
        )
    if "Host key verification failed" in words:
        return AuthenticationFailed(
            f"{' '.join(lines)} Log in once by '{destination.command}' to see its key, and to say that you trust it"
        )
    if "Permission denied" in words:
        return AuthenticationFailed(
            f"{words} If it wants a password, do this at a terminal, where OpenSSH asks for it; or use a key or an "
            f"agent, and try '{destination.command}'"
        )
    for part, advice in _ADVICE:
        if part in words:
            return ConnectionFailed(f"{words}; {advice}")
    return ConnectionFailed(f"{words}; try '{destination.command}' by hand")
