"""A command of ours on another machine: its Python found, our packages brought, and then lines in both directions."""

from __future__ import annotations

import contextlib
import json
import os
import select
import shlex
import subprocess
import time
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

from rpyc_kernel.client.bundle import make_bundle, program
from rpyc_kernel.client.ssh_login import Login, explain
from rpyc_kernel.core.seconds import show_seconds
from rpyc_kernel.errors import CallTimeout, KernelError, RequestError
from rpyc_kernel.system import bundle_cache

_START_S = 180.0
"""Until it runs: the packages may have to go over a slow line first."""
_PIECE_BYTES = 65536
_LONGEST_LINE = 512 * 1024 * 1024
"""More than an event can hold."""
_OLD = "needs 3.10 or newer"
_NO_PYTHON, _OPENSSH_FAILED = 127, 255
_OURS = "rpyc-kernel: "
_RUNS = "rpyc-kernel-runs"
"""The last line on standard error before Python has its say; those above are a login's."""

# What a profile sets, a kernel started from there is to have, and its Python is on the PATH that it says: a command run
# by SSH has read none. Which shell the user has there is not known; of what a profile writes, nothing is read.
_RUN = f'p=$(eval "$0"); case $p in /*) echo {_RUNS} >&2; exec "$p" -c "$@";; esac; exit 127'
_RUN_PYTHON = (
    f"w=$1; shift; r={shlex.quote(_RUN)}; s=${{SHELL:-/bin/sh}}; case ${{s##*/}} in "
    'bash|zsh|ksh*|mksh) exec "$s" -lc "$r" "$w" "$@";; '
    'fish) n=$(printf "\\nx"); p=$("$s" -lc "$w" </dev/null 2>/dev/null); w="echo ${p##*${n%x}}";; '
    '*sh) "$s" -lc : </dev/null >/dev/null 2>&1 && exec "$s" -lc "$r" "$w" "$@";; '
    'esac; exec /bin/sh -c "$r" "$w" "$@"'
)
_USUAL_PYTHON = "command -v python3"
# Where a kernel was started by a Python that somebody has named, who comes next need not know of it. By a shell of its
# own, as that of the user may be of another kind.
_NOTED = (
    "case $XDG_CACHE_HOME in /*) c=$XDG_CACHE_HOME;; *) c=$HOME/.cache;; esac; "
    f"f=$c/rpyc_kernel/bundles/{bundle_cache.NOTE}; "
    '[ -O "$f" ] && IFS= read -r p <"$f" && case $p in /*) "$p" -ISc 0 >&2 && printf "%s\\n" "$p";; esac'
)
_OTHER_PYTHONS = " || ".join(
    [*(f"command -v python3.{minor}" for minor in range(14, 9, -1)), f"/bin/sh -c {shlex.quote(_NOTED)} 2>/dev/null"]
)


@contextlib.contextmanager
def understanding(shown: str) -> Iterator[None]:
    """Read what a host says, which may be anything; raises `KernelError` where it is no answer."""
    try:
        yield
    except KernelError:
        raise
    except (AttributeError, LookupError, RecursionError, TypeError, ValueError) as error:
        raise KernelError(
            f"{shown} gives an answer that cannot be understood ({type(error).__name__}); see what its python3 is"
        ) from None


def name_host(message: str, shown: str) -> str:
    """What a host says of itself, so that nobody looks for it here."""
    return message if shown in message else f"on {shown}: {message}"


class NoPython(RequestError):
    """There is no Python of this name there, or only one that is too old."""


class Command:
    """One command that runs there; see `start`."""

    def __init__(self, process: subprocess.Popen[bytes], login: Login, shown: str, python: str) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process = process
        self._login = login
        self._number = login.number
        self._shown = shown
        self._python = python
        self._in, self._out = process.stdin.fileno(), process.stdout.fileno()
        os.set_blocking(self._in, False)
        self._lines: deque[bytearray] = deque()
        self._begun = bytearray()
        self._timeout_s, self._deadline = 0.0, 0.0
        self.limit(_START_S)

    def limit(self, timeout_s: float) -> None:
        """Give it so long from now on."""
        self._timeout_s, self._deadline = timeout_s, time.monotonic() + timeout_s

    def lines(self) -> Iterator[str]:
        """Yield the lines that it writes, up to its end."""
        while True:
            while self._lines:
                yield self._lines.popleft().decode(errors="replace")
            self._wait(self._out, select.POLLIN)
            piece = os.read(self._out, _PIECE_BYTES)
            if not piece:
                return
            self._begun += piece
            if b"\n" in piece:
                *lines, rest = self._begun.split(b"\n")
                self._lines.extend(lines)
                self._begun = rest
            elif len(self._begun) > _LONGEST_LINE:
                raise KernelError(f"{self._shown} writes a line without an end; see what its python3 is")

    def hear(self, mark: str) -> dict[str, Any] | None:
        """The object of JSON in the next line that begins so, None where it ends before."""
        for line in self.lines():
            if line.startswith(mark):
                with understanding(self._shown):
                    return dict(json.loads(line.removeprefix(mark)))
        return None

    def write(self, data: bytes) -> None:
        """Write all of it; a command that does not take it has ended, which its output will say."""
        view = memoryview(data)
        with contextlib.suppress(BrokenPipeError):
            while view:
                self._wait(self._in, select.POLLOUT)
                view = view[os.write(self._in, view[:_PIECE_BYTES]) :]

    @property
    def status(self) -> int:
        """Its exit status, once its lines are at an end."""
        return self._process.wait(_START_S)

    def explain_end(self) -> KernelError:
        """Why it ended before it had said what it was to say."""
        assert self._process.stderr is not None
        said = self._process.stderr.read().decode(errors="replace").strip()
        before, ran, after = said.rpartition(_RUNS)
        if self.status == _OPENSSH_FAILED and not (ran and self._is_up()):
            return explain(self._login.destination, after.strip() or before.strip(), _OPENSSH_FAILED)
        last = after.strip().rpartition("\n")[2]
        if last.startswith(_OURS):
            return KernelError(f"{self._shown}: {last.removeprefix(_OURS)}")
        words = f": {last}" if last else ""
        return KernelError(f"{self._shown}: {self._python} there gave no answer (status {self.status}){words}")

    def _is_up(self) -> bool:
        """Whether the connection is still there: then a signal has ended it, for which OpenSSH has this status, too."""
        try:
            return self._login.connect() == self._number
        except KernelError:
            return False

    def close(self) -> None:
        """End it, and leave nothing behind of it here."""
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            with contextlib.suppress(OSError):
                stream.close()
        self._process.kill()
        self._process.wait()

    def __enter__(self) -> Command:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def _wait(self, descriptor: int, what: int) -> None:
        ready = select.poll()
        ready.register(descriptor, what)
        if not ready.poll(max(0.0, self._deadline - time.monotonic()) * 1000):
            raise CallTimeout(f"{self._shown} did not answer within {show_seconds(self._timeout_s)} s")


def start(
    login: Login, shown: str, arguments: Sequence[str], *, python: str | None = None, timeout_s: float = _START_S
) -> Command:
    """Run ``rpyc-kernel ARGUMENT ...``, or ``-m MODULE``, by the connection that there is.

    Args:
        login: the host.
        shown: what to call it.
        arguments: everybody on the host can read them.
        python: the interpreter there, a path or the name of a command; None for its python3, or a newer one beside it.
        timeout_s: until it runs, and then for what it does.

    Raises:
        ConnectionFailed: the connection is dead.
        NoPython: there is none to run it.
        RequestError: the packages cannot be stored there.
    """

    def run(find: str, tried: str) -> Command:
        return _start(login, shown, arguments, find, tried, timeout_s)

    if python is not None:
        return run(_find(python), repr(python))
    try:
        return run(_USUAL_PYTHON, "python3")
    except NoPython as first:
        others = "one of python3.10 to python3.14"
        try:
            return run(_OTHER_PYTHONS, others)
        except NoPython:
            raise NoPython(
                f"{first}, and {others} is not there, either; have Python 3.10 or newer installed there, or name the "
                "file by python=… (--python)"
            ) from None


def _start(login: Login, shown: str, arguments: Sequence[str], find: str, tried: str, timeout_s: float) -> Command:
    bundle = make_bundle()
    words = [program(), bundle.digest, str(len(bundle.data)), *arguments]
    process = login.start(f"exec /bin/sh -c {shlex.quote(_RUN_PYTHON)} sh {shlex.quote(find)} {shlex.join(words)}")
    with contextlib.ExitStack() as on_failure:
        command = on_failure.enter_context(Command(process, login, shown, tried))
        command.limit(timeout_s)
        while (said := command.hear(bundle_cache.MARK)) is not None:
            if said.get("status") == "wanted":
                command.write(bundle.data)
            elif said.get("status") == "here":
                on_failure.pop_all()
                return command
            else:
                problem = str(said.get("error"))
                raise (NoPython if _OLD in problem else RequestError)(name_host(problem, shown))
        if command.status == _NO_PYTHON:
            where = "" if "/" in tried else "the PATH of a login shell of "
            raise NoPython(f"there is no {tried} on {where}{shown}")
        raise command.explain_end()


def _find(python: str) -> str:
    """What a shell has to do to find an interpreter that somebody has named."""
    if python.startswith("~/"):
        return f'echo "$HOME"/{shlex.quote(python[2:])}'
    if "/" in python and not python.startswith("/"):
        return f'echo "$HOME"/{shlex.quote(python)}'
    return f"command -v {shlex.quote(python)}"
