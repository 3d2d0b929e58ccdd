"""Other machines, as far as SSH can tell: real OpenSSH servers on loopback, with keys, homes and PATHs of their own.

On the far side there is nothing but a Python and a shell: HOME, the folders of the session and PATH are the host's, and
nothing of ours can be imported. The near side is a configuration file for OpenSSH's client, which RPYC_KERNEL_SSH hands
to ours. The servers serve all tests of a process; what a test leaves there goes with it.
"""

from __future__ import annotations

import getpass
import os
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from rpyc_kernel.client import ssh_login
from tests.support.folders import end_processes
from tests.support.ports import find_port
from tests.support.processes import list_processes, read_command, suspend
from tests.support.waiting import wait_until

_PLACES = "/usr/sbin:/usr/local/sbin:/sbin:/opt/homebrew/sbin"
_SEPARATION = Path("/run/sshd")
"""Where the server's unprivileged part locks itself in; in containers nobody has made it."""
_KEPT = {".profile", ".zprofile", ".cache"}
"""What a home keeps from test to test: the PATH, and what was brought there, which is the same for all."""


class Host:
    """One such machine.

    Attributes:
        name: what the client's configuration calls it.
        port: where its server listens, on 127.0.0.1.
        home: its user's home folder.
        session: its user's folder for what goes with a login, XDG_RUNTIME_DIR.
        scratch: its folder for temporary files.
    """

    def __init__(self, name: str, folder: Path, authorized: Path) -> None:
        self.name = name
        self.port = find_port()
        self.home, self.session, self.scratch = (folder / part for part in ("home", "run", "tmp"))
        self._folder = folder
        self._programs = folder / "bin"
        self._log = folder / "log"
        self._pid_file = folder / "pid"
        for made in (folder, self.home, self.session, self.scratch, self._programs):
            made.mkdir(mode=0o700)
        # What the system's profile says of PATH is no more the tests' business than what else is on this machine.
        self.write_profile()
        self.use_python(getattr(sys, "_base_executable", sys.executable))
        _make_key(folder / "key")
        (folder / "config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {folder / 'key'}\nPidFile {self._pid_file}\n"
            f"AuthorizedKeysFile {authorized}\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n"
            "KbdInteractiveAuthentication no\nUsePAM no\nUseDNS no\nMaxStartups 100\nLogLevel VERBOSE\n"
            "Subsystem sftp internal-sftp\n"
            f"SetEnv HOME={self.home} PATH={self._programs} XDG_RUNTIME_DIR={self.session} TMPDIR={self.scratch}\n"
        )

    @property
    def url(self) -> str:
        """Its address; with a kernel's name behind it, that of the kernel."""
        return f"ssh://{self.name}/"

    @property
    def is_up(self) -> bool:
        """Whether its server listens."""
        return self._find_server() != 0

    @property
    def public_key(self) -> str:
        """What proves to clients that it is this one."""
        return (self._folder / "key.pub").read_text().strip()

    @property
    def runtime(self) -> Path:
        """Where its kernels' runtime folders are."""
        return self.session / "rpyc_kernel"

    @property
    def logins(self) -> int:
        """How many times somebody has logged in."""
        return self._log.read_text().count("Accepted publickey")

    @property
    def masters(self) -> list[int]:
        """The processes of this machine's clients that hold connections to it."""
        config, options, end = str(self._folder.parent / "client" / "config"), " -f -N ", f"-- {self.name}"
        commands = {process.pid: read_command(process.pid) for process in list_processes() if not process.is_zombie}
        return [
            pid for pid, said in commands.items() if config in said and options in said and said.rstrip().endswith(end)
        ]

    def write_profile(self, more: str = "") -> None:
        """Have its login shells read this, beside what sets PATH."""
        for profile in (".profile", ".zprofile"):
            (self.home / profile).write_text(f"export PATH={self._programs}\n{more}\n")

    def use_python(self, python: str | os.PathLike[str] | None) -> None:
        """Have this interpreter on PATH as python3, in an environment without packages; None for no Python at all."""
        link = self._programs / "python3"
        link.unlink(missing_ok=True)
        if python is not None:
            link.symlink_to(python)
            (self._folder / "pyvenv.cfg").write_text(
                f"home = {Path(python).resolve().parent}\ninclude-system-site-packages = false\n"
            )

    def add_program(self, name: str, text: str) -> Path:
        """Have a script on PATH; an earlier one of this name is replaced."""
        path = self._programs / name
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o755)
        return path

    def start(self) -> None:
        """Have its server listen, and return when it does. It is no child of this process: those are counted."""
        command = [_find("sshd"), "-f", self._folder / "config", "-E", self._log, *_list_options()]
        ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if ended.returncode:
            said = ended.stderr + (self._log.read_text() if self._log.exists() else "")
            raise AssertionError(f"the SSH server of {self.name} did not start: {said}")
        wait_until(self._is_answering, what=f"the server of {self.name}")

    def stop(self) -> None:
        """End its server and all connections, as when the machine is off the net; its kernels go on."""
        server = self._find_server()
        if server:
            _end({server, *self.connections})
            self._pid_file.unlink(missing_ok=True)

    def drop(self) -> None:
        """Cut all connections to it, as when a way on the net breaks; new ones can be made at once."""
        _end(self.connections)

    def freeze(self) -> None:
        """Let no connection that there is pass anything any more, nor end; new ones can be made at once."""
        for pid in self.connections:
            suspend(pid)

    def tidy(self) -> None:
        """End what runs there, and take away what a test has left."""
        end_processes(self.runtime)
        self.drop()
        for folder in (self.home, self.session, self.scratch):
            folder.chmod(0o700)
            for path in folder.iterdir():
                if folder != self.home or path.name not in _KEPT:
                    wait_until(partial(_remove, path), what=f"the end of {path}")
        (self.home / ".cache" / "rpyc_kernel" / "bundles" / "python").unlink(missing_ok=True)
        self.use_python(getattr(sys, "_base_executable", sys.executable))
        self.write_profile()

    def _is_answering(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as sock:
                return self._find_server() != 0 and sock.recv(4) == b"SSH-"
        except OSError:
            return False

    def _find_server(self) -> int:
        """The number of its server's process, 0 where it is stopped."""
        try:
            return int(self._pid_file.read_text())
        except (OSError, ValueError):
            return 0

    @property
    def connections(self) -> set[int]:
        """The processes of the server that each lead a connection; not what was started by way of it."""
        family = {self._find_server()}
        processes = list_processes()
        # As root, a connection has two of them, parent and child. By their titles they are told from users' programs.
        while (
            found := {
                process.pid
                for process in processes
                if process.parent in family - {0} and read_command(process.pid).startswith("sshd")
            }
            - family
        ):
            family |= found
        return family - {self._find_server()}


class Hosts:
    """Two such machines, and the near side's configuration for them.

    Their names there: `alpha`, `beta`; `gamma` is beta by way of alpha. Those that cannot be reached: `nowhere` has no
    address, `refusing` no server, `locked` takes no key of ours, `stranger` has a key that is not known, and `changed`
    another one than is known.

    Attributes:
        alpha: one of them.
        beta: another.
        config: the file for ``ssh -F``.
        command: what RPYC_KERNEL_SSH says: the client, with that file.
    """

    def __init__(self, folder: Path) -> None:
        client = folder / "client"
        client.mkdir(mode=0o700)
        _make_key(client / "key")
        _make_key(client / "other")
        self.alpha = Host("alpha", folder / "a", client / "key.pub")
        self.beta = Host("beta", folder / "b", client / "key.pub")
        self.known = client / "known_hosts"
        self.config = client / "config"
        self.command = f"{_find('ssh')} -F {shlex.quote(str(self.config))}"
        self._mute = socket.socket()
        self._mute.bind(("127.0.0.1", 0))  # and does not listen: nobody else can, either
        self.write_config()

    def close(self) -> None:
        """Give back what is held."""
        self._mute.close()

    def write_config(self, before: str = "") -> None:
        """Write the client's configuration anew, with this before all else, so that it holds first."""
        own = self.config.parent / "key"
        other = (self.config.parent / "other.pub").read_text().strip()
        known = [f"[127.0.0.1]:{host.port} {host.public_key}\n" for host in self]
        self.known.write_text(f"{''.join(known)}changed {other}\n")
        places = {
            "alpha": f"Port {self.alpha.port}",
            "beta": f"Port {self.beta.port}",
            "gamma": f"Port {self.beta.port}\n  ProxyJump alpha",
            "nowhere": "HostName nowhere.invalid",
            "refusing": f"Port {self._mute.getsockname()[1]}",
            "locked": f"Port {self.alpha.port}\n  IdentityFile none",
            "stranger": f"Port {self.alpha.port}\n  HostKeyAlias stranger",
            "changed": f"Port {self.alpha.port}\n  HostKeyAlias changed",
        }
        blocks = "".join(f"Host {name}\n  {place}\n" for name, place in places.items())
        self.config.write_text(
            f"{before}\n{blocks}Host * !locked\n  IdentityFile {own}\nHost *\n  HostName 127.0.0.1\n"
            f"  IdentitiesOnly yes\n  IdentityAgent none\n  UserKnownHostsFile {self.known}\n"
            f"  GlobalKnownHostsFile none\n  StrictHostKeyChecking yes\n  User {getpass.getuser()}\n"
        )

    def __iter__(self) -> Iterator[Host]:
        return iter((self.alpha, self.beta))


@pytest.fixture(scope="session")
def ssh_servers() -> Iterator[Hosts]:
    """The servers of this process; skips what asks for them where there is no OpenSSH."""
    if reason := find_hindrance():
        pytest.skip(reason)
    with running_hosts() as hosts:
        yield hosts


@pytest.fixture
def ssh_hosts(ssh_servers: Hosts, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hosts]:
    """The hosts, running, with nothing on them that a test has left, and RPYC_KERNEL_SSH leading to them."""
    monkeypatch.setenv(ssh_login.COMMAND_VARIABLE, ssh_servers.command)
    yield ssh_servers
    ssh_login.log_out()
    ssh_servers.write_config()
    for host in ssh_servers:
        host.tidy()
        if not host.is_up:
            host.start()


@contextmanager
def running_hosts() -> Iterator[Hosts]:
    """The same for what has no fixtures, such as a benchmark, which has to see to the environment itself.

    Ask `find_hindrance` first.
    """
    with ExitStack() as at_end:
        # Not pytest's tmp_path: kernels have their sockets in there, whose paths must be short.
        folder = Path(tempfile.mkdtemp(prefix="rk-", dir="/tmp"))
        at_end.callback(shutil.rmtree, folder)
        at_end.callback(os.close, _end_with_this_process(folder))
        hosts = Hosts(folder)
        at_end.callback(hosts.close)
        for host in hosts:
            host.start()
            at_end.callback(host.stop)
            at_end.callback(host.tidy)
        yield hosts


_WATCH = """exec 3<&0
(read -r _ <&3; for file in "$1"/*/pid; do kill "$(cat "$file")"; done; [ $? = 0 ] && rm -rf "$1") >/dev/null 2>&1 &"""


def _end_with_this_process(folder: Path) -> int:
    """Have the servers ended when this process is killed; returns the descriptor that tells of its end."""
    reading, writing = os.pipe()
    subprocess.run(["/bin/sh", "-c", _WATCH, "sh", folder], stdin=reading, check=True, start_new_session=True)
    os.close(reading)
    return writing


def find_hindrance() -> str:
    """Why there can be no server here, as far as it can be mended, which is seen to; "" where there can."""
    for program in ("ssh", "sshd", "ssh-keygen"):
        if shutil.which(program) is None and shutil.which(program, path=_PLACES) is None:
            return f"OpenSSH's {program} is not on this machine (Debian: apt-get install openssh-server)"
    if os.getuid() == 0 and sys.platform == "linux":
        try:
            _SEPARATION.mkdir(mode=0o755, exist_ok=True)
        except OSError as error:
            return f"OpenSSH's sshd cannot run here: {error}"
    return ""


def _remove(path: Path) -> bool:
    """Whether it is gone: what was cut off there may be clearing it up just now, or put something in it."""
    with suppress(OSError):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    return not os.path.lexists(path)


def _find(program: str) -> str:
    found = shutil.which(program) or shutil.which(program, path=_PLACES)
    assert found is not None
    return found


def _list_options() -> list[str]:
    """Newer servers shut out who fails to log in too often; older ones do not know the word for it."""
    option = ["-o", "PerSourcePenalties=no"]
    asked = subprocess.run([_find("sshd"), "-G", "-f", os.devnull, *option], capture_output=True, check=False)
    return option if asked.returncode == 0 else []


def _make_key(path: Path) -> None:
    subprocess.run([_find("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", path], check=True)


def _end(pids: set[int]) -> None:
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: not pids.intersection(process.pid for process in list_processes() if not process.is_zombie),
        what="the end of an SSH server's processes",
    )
