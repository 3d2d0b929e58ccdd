"""What can be set: frozen values, read from the environment once, at the edges.

RPYC_KERNEL_RUNTIME_DIR   where the folders of running kernels are (sockets, ring, connection file)
RPYC_KERNEL_STATE_DIR     where the journals are kept
"""

from __future__ import annotations

import os
import re
import warnings
from dataclasses import dataclass, field
from pathlib import Path

from rpyc_kernel.errors import BadName

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,63}\Z")
_APP = "rpyc_kernel"

ENGINES = ("auto", "plain", "ipython")
"""What can run the code of a kernel."""


class Face:
    """What libraries in a worker are to take the kernel for, as long as it lives."""

    NOTEBOOK = "notebook"
    TERMINAL = "terminal"


FACES = (Face.TERMINAL, Face.NOTEBOOK)


def check_name(name: str) -> str:
    """Return ``name`` if a kernel can have it.

    Raises:
        BadName: it is empty, longer than 64 characters, or has others than letters, digits, ``.``, ``_`` and ``-``.
    """
    if not _NAME.match(name):
        raise BadName(
            f"{name!r} cannot name a kernel; use up to 64 letters, digits, '_', '.' or '-', the first not '.' or '-'"
        )
    return name


@dataclass(frozen=True)
class Folders:
    """Where kernels keep what runs and what stays.

    Attributes:
        runtime: one folder per running kernel, gone with a reboot.
        state: one folder per kernel's journal, kept.
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
            # Without a usable XDG_RUNTIME_DIR platformdirs takes a private folder elsewhere, which does as well.
            warnings.simplefilter("ignore")
            return cls(
                runtime=Path(runtime).absolute() if runtime else platformdirs.user_runtime_path(_APP, appauthor=False),
                state=Path(state).absolute() if state else platformdirs.user_state_path(_APP, appauthor=False),
            )


@dataclass(frozen=True)
class HubSettings:
    """How a hub behaves.

    Attributes:
        host: the address to listen on, "" for no TCP port at all: then there is the unix socket alone.
        port: the TCP port, 0 for a free one.
        engine: ``plain``, ``ipython`` or ``auto``.
        python: the interpreter of the worker.
        is_private: end with the client that started the kernel, and keep no journal.
        handshake_timeout_s: how long a new connection has to prove itself.
        max_strangers: how many connections may be unproven at once, of the port and of the unix sockets each.
        max_connections: how many may be open; fewer where the system does not allow as many.
        grace_s: how long an interrupt has to work before the stacks are shown.
        max_memory_events_bytes: how much memory the journal's end may take that is held for readers.
        max_unsaved_bytes: how much memory may be taken by what the journal's disk refuses.
    """

    host: str = "127.0.0.1"
    port: int = 0
    engine: str = "auto"
    python: str = ""
    is_private: bool = False
    handshake_timeout_s: float = 5.0
    max_strangers: int = 64
    max_connections: int = 1000
    grace_s: float = 2.0
    max_memory_events_bytes: int = 4 * 1024 * 1024
    max_unsaved_bytes: int = 256 * 1024 * 1024


DEFAULT_SWITCH_INTERVAL_S = 0.0002
"""Python's own 5 ms would let every look at a busy kernel wait so long, several times over; see docs/speed.md."""


@dataclass(frozen=True)
class WorkerSettings:
    """How a worker behaves.

    Attributes:
        ring_bytes: the capacity of the ring, a power of two.
        switch_interval_s: how often the interpreter offers its lock to waiting threads; see `sys.setswitchinterval`.
        kept_values: how many last values stay available for `run.value`.
        profile: read what the user has set up for interactive work: ``PYTHONSTARTUP``, IPython's profile.
        face: one of `Face`: a kernel that a notebook has started is a notebook's, all others are a terminal's.
        environment: variables set for user code.
        cwd: the first working directory of user code.
    """

    ring_bytes: int = 4 * 1024 * 1024
    switch_interval_s: float = DEFAULT_SWITCH_INTERVAL_S
    kept_values: int = 16
    profile: bool = True
    face: str = Face.TERMINAL
    environment: dict[str, str] = field(default_factory=dict)
    cwd: str = "/"
