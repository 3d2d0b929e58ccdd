"""What can be set: frozen values, read from the environment once, at the edges.

RPYC_KERNEL_RUNTIME_DIR   where the folders of running kernels are (sockets, ring)
RPYC_KERNEL_STATE_DIR     where kernels are at home: their journals, and the locks of their names
"""

from __future__ import annotations

import os
import re
import sys
import warnings
from pathlib import Path
from types import ModuleType

from rpyc_kernel.errors import BadName, RequestError
from rpyc_kernel.frozen import Frozen

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")
_APP = "rpyc_kernel"

ENGINES = ("auto", "plain", "ipython")
"""What can run the code of a kernel."""


class Face:
    """What libraries in a worker are to take the kernel for, as long as it lives."""

    NOTEBOOK = "notebook"
    TERMINAL = "terminal"


CONNECTION_FILE_VARIABLE = "RPYC_KERNEL_CONNECTION_FILE"
"""Tells the worker of a notebook's kernel which connection file Jupyter has for it."""

SETTINGS_VARIABLE = "RPYC_KERNEL_HUB_SETTINGS"
"""Tells a hub its settings, of which a user's environment is one: everybody on the machine can read a command line."""


def is_name(name: object) -> bool:
    """Whether a kernel can have this name."""
    return isinstance(name, str) and _NAME.match(name) is not None


def check_name(name: str) -> str:
    """Return ``name`` if a kernel can have it.

    Raises:
        BadName: it is empty, longer than 64 characters, or has others than letters, digits, ``.``, ``_`` and ``-``.
    """
    if not is_name(name):
        raise BadName(
            f"{name!r} cannot name a kernel; use up to 64 letters, digits, '_', '.' or '-', the first not '.' or '-'"
        )
    return name


class Folders(Frozen):
    """Where kernels keep what runs and what stays.

    Attributes:
        runtime: one folder per running kernel, of what can be made again.
        state: one folder per kernel, its home: who looks for a name looks here.
    """

    runtime: Path
    state: Path

    @classmethod
    def from_environment(cls) -> Folders:
        """Read the environment, else the platform's usual places for this user."""
        runtime = os.environ.get("RPYC_KERNEL_RUNTIME_DIR")
        state = os.environ.get("RPYC_KERNEL_STATE_DIR")
        if runtime and state:
            return cls(Path(runtime).absolute(), Path(state).absolute())
        import platformdirs  # here, because a worker needs settings but no folders, and this takes 40 ms

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # platformdirs tells of an XDG_RUNTIME_DIR that is missing
            usual = platformdirs.user_runtime_path(_APP, appauthor=False)
            home = Path(state) if state else _find_state(platformdirs)
            return cls(
                runtime=Path(runtime).absolute() if runtime else usual if _is_usable(usual) else last_resort(),
                state=home.absolute(),
            )


def _find_state(platformdirs: ModuleType) -> Path:
    try:
        found: Path = platformdirs.user_state_path(_APP, appauthor=False)
    except RuntimeError:
        found = Path("~")  # what earlier releases of platformdirs give
    if found.parts[0].startswith("~"):  # as in a container that runs as a user of its own
        raise RequestError(
            f"user {os.getuid()} has no home, neither in HOME nor in the system's list of users; set HOME, or "
            "RPYC_KERNEL_STATE_DIR to a folder for journals"
        )
    return found


def last_resort() -> Path:
    """Where runtime folders stand when the usual place is not there, as after a log-out or in a cron job."""
    return Path("/tmp") / f"{_APP}-{os.getuid()}"


def _is_usable(runtime: Path) -> bool:
    """Whether the folder above, which the login manager makes and takes away, is there and this user's."""
    if sys.platform == "darwin":
        return True
    try:
        above = runtime.parent.stat()
    except OSError:
        return False
    return above.st_uid == os.getuid() and os.access(runtime.parent, os.W_OK | os.X_OK)


LOCAL = "127.0.0.1"


def parse_listen(listen: str) -> tuple[str, int]:
    """Read ``host``, ``host:port`` or ``[host]:port``; port 0 stands for a free one. RequestError where it is none."""
    host, separator, port = listen.rpartition(":")
    if not separator or listen.endswith("]") or (":" in host and not host.startswith("[")):  # of IPv6, alone
        return listen.strip("[]") or LOCAL, 0
    if not (port.isascii() and port.isdigit()) or int(port) > _MAX_PORT:
        raise RequestError(f"cannot listen on {listen!r}; use 'host', 'host:port' or '[host]:port'")
    return host.strip("[]") or LOCAL, int(port)


class HubSettings(Frozen):
    """How a hub behaves.

    Attributes:
        host: the address to listen on, "" for no TCP port at all: then there is the unix socket alone.
        port: the TCP port, 0 for a free one.
        tls: speak TLS also where nobody but this machine can reach the port.
        insecure: speak none also beyond this machine.
        certificate: the path of a certificate to use in place of the kernel's own, PEM.
        private_key: the path of its private key; "" where it is in the same file.
        client_ca: the path of the certificate of who has to have signed those of all clients, "" if they need none.
        engine: ``plain``, ``ipython`` or ``auto``.
        python: the interpreter of the worker.
        bundle: the folder with the packages that this interpreter's environment lacks.
        is_private: end with the client that started the kernel, and keep no journal.
        idle_timeout_s: end the kernel when nobody was connected and nothing ran for so long; 0 never, None as the hub
            before had it, if that did not end by itself.
        announce: the registry of RPyC's that is told of the kernel, see `wire.registry`; "" for none.
        holder_pid: the process on this machine with which the kernel ends; 0 for none.
        holder_birth: tells it from a later process of the same number, "" where the system does not.
        handshake_timeout_s: how long a new connection has to prove itself.
        max_strangers: how many connections may be unproven at once, of the port and of the unix sockets each.
        max_connections: how many may be open; fewer where the system does not allow as many.
        grace_s: how long an interrupt has to work before the stacks are shown.
        max_memory_events_bytes: how much memory the journal's end may take that is held for readers.
        max_unsaved_bytes: how much memory may be taken by what the journal's disk refuses.
    """

    host: str = "127.0.0.1"
    port: int = 0
    tls: bool = False
    insecure: bool = False
    certificate: str = ""
    private_key: str = ""
    client_ca: str = ""
    engine: str = "auto"
    python: str = ""
    bundle: str = ""
    is_private: bool = False
    idle_timeout_s: float | None = None
    announce: str = ""
    holder_pid: int = 0
    holder_birth: str = ""
    handshake_timeout_s: float = 5.0
    max_strangers: int = 64
    max_connections: int = 1000
    grace_s: float = 2.0
    max_memory_events_bytes: int = 4 * 1024 * 1024
    max_unsaved_bytes: int = 256 * 1024 * 1024


_MAX_PORT = 65_535
KEEP_OUTPUT = 8 * 1024 * 1024
"""More than people read, and little beside what a program holds that has many executions."""


RECONNECT_S = 60.0
"""Longer than a hub takes to be started again, or a machine to change its network; who waits is told, and may stop."""


class ClientSettings(Frozen):
    """How patient a client is.

    Attributes:
        timeout_s: how long connecting may take, and each call that does not say otherwise.
        silence_s: how long a hub may be silent while something is awaited of it.
        keep_output: how much of the output of an execution stays in memory, in characters.
        reconnect_s: for how long a lost connection is made again; 0 for not at all.
    """

    timeout_s: float = 10.0
    silence_s: float = 20.0
    keep_output: int = KEEP_OUTPUT
    reconnect_s: float = RECONNECT_S

    def __post_init__(self) -> None:
        if self.silence_s <= 0:
            raise RequestError("silence must be more than 0 seconds: no hub answers at once")
        if self.keep_output < 0:
            raise RequestError("keep_output must be a number of characters, 0 or more")
        if self.reconnect_s < 0:
            raise RequestError("reconnect must be a number of seconds, or 0 for not at all")


DEFAULT_SWITCH_INTERVAL_S = 0.0002
"""Python's own 5 ms would let every look at a busy kernel wait so long, several times over; see docs/speed.md."""


class WorkerSettings(Frozen):
    """How a worker behaves.

    Attributes:
        ring_bytes: the capacity of the ring, a power of two.
        switch_interval_s: how often the interpreter offers its lock to waiting threads; see `sys.setswitchinterval`.
        kept_values: how many last values stay available for `run.value`.
        profile: read what the user has set up for interactive work: ``PYTHONSTARTUP``, IPython's profile.
        face: one of `Face`: a kernel that a notebook has started is a notebook's, all others are a terminal's.
        environment: variables set for user code.
        cwd: the first working directory of user code.
        umask: which bits new files of user code do not get; -1 for what the hub has.
        nice: how far user code steps back behind other programs, 0 to 19.
    """

    ring_bytes: int = 4 * 1024 * 1024
    switch_interval_s: float = DEFAULT_SWITCH_INTERVAL_S
    kept_values: int = 16
    profile: bool = True
    face: str = Face.TERMINAL
    environment: dict[str, str] | None = None
    cwd: str = "/"
    umask: int = -1
    nice: int = 0
