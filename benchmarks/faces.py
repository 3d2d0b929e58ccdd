"""What a person waits for: a keystroke until it is seen, and a line that running code prints until it is shown.

Programs of the terminal are driven on a pseudo-terminal, to which a thread listens; windows in a process of their own,
without a display, until the widget has been painted. Clocks are those of this machine, which all its processes share.
"""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from fcntl import ioctl
from importlib.util import find_spec

import rpyc_kernel
from benchmarks.against_ipykernel import own_folders
from benchmarks.measure import RECORD, Figure, record, report

KEY = "z"
"""Occurs in nothing that any of the programs shows around the prompt."""
STAMP = re.compile(r"<(\d+\.\d+)>")
_ESCAPES = re.compile(rb"\x1b\[[0-9;?<>=]*[ -/]*[@-~]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][0-9A-Z]|\x1b[=>78M]")
_KEYS, _LINES = 20, 20
_QUIET_S, _PATIENCE_S = 0.4, 60.0
_CLEAR_LINE = b"\x15"


def code_that_prints(count: int) -> str:
    """Code that prints when it prints, in one line."""
    printing = 'print(f"<{time.perf_counter()}>", flush=True)'
    return f"import time; _ = [({printing}, time.sleep(0.05)) for _ in range({count})]"


def plain_of(shown: bytes) -> bytes:
    """What a terminal was sent, without what moves its cursor and colours its text."""
    return _ESCAPES.sub(b"", shown)


def find_arrivals(chunks: Iterable[tuple[float, bytes]]) -> dict[float, float]:
    """When each line with a time was there to its end, by that time; of chunks with the time when each came."""
    found: dict[float, float] = {}
    text = b""
    for at, data in chunks:
        text += data
        for stamp in STAMP.findall(plain_of(text).decode(errors="replace")):
            found.setdefault(float(stamp), at)
    return found


class TerminalSide:
    """A program on a terminal.

    Args:
        command: what to start.
        environment: what it has beside this process's.
    """

    def __init__(self, command: list[str], environment: dict[str, str]) -> None:
        self._changed = threading.Condition()
        self._chunks: list[tuple[float, bytes]] = []
        self.pid, self._terminal = pty.fork()
        if self.pid == 0:
            os.environ.update(environment, TERM="xterm-256color", COLUMNS="110", LINES="40")
            os.execvp(command[0], command)
        ioctl(self._terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 110, 0, 0))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()
        self._wait(lambda: bool(self._chunks))
        self._be_quiet(2.0)

    def keys(self) -> list[float]:
        """Seconds from each key to its echo."""
        self._empty_line()
        return [self._time_key() for _ in range(_KEYS)]

    def lines(self) -> list[float]:
        """Seconds from each printing to the line's arrival."""
        self._empty_line()
        first = len(self._chunks)
        os.write(self._terminal, code_that_prints(_LINES).encode())
        self._be_quiet()
        begin = time.perf_counter()
        os.write(self._terminal, b"\r")

        def find() -> dict[float, float]:
            # A full screen shows earlier lines again, too.
            arrivals = find_arrivals(self._chunks[first:])
            return {printed: arrived for printed, arrived in arrivals.items() if printed > begin}

        deadline = begin + _PATIENCE_S
        while len(found := find()) < _LINES:
            if time.perf_counter() > deadline:
                raise TimeoutError("what was printed was not shown")
            self._be_quiet()  # looking at each change would take the time that is measured
        return [arrived - printed for printed, arrived in found.items()]

    def close(self) -> None:
        """End the program."""
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._thread.join()
        os.close(self._terminal)

    def _time_key(self) -> float:
        first = len(self._chunks)
        begin = time.perf_counter()
        os.write(self._terminal, KEY.encode())
        at = begin

        def look() -> bool:
            nonlocal at
            at = self._chunks[-1][0]
            return KEY.encode() in plain_of(b"".join(data for _, data in self._chunks[first:]))

        self._wait(look)
        self._be_quiet(0.03)
        return at - begin

    def _empty_line(self) -> None:
        os.write(self._terminal, _CLEAR_LINE)
        self._be_quiet()

    def _listen(self) -> None:
        while True:
            try:
                data = os.read(self._terminal, 1 << 16)
            except OSError:  # the program has ended
                return
            at = time.perf_counter()
            if b"\x1b[6n" in data:  # where is the cursor?
                os.write(self._terminal, b"\x1b[1;1R")
            with self._changed:
                self._chunks.append((at, data))
                self._changed.notify_all()

    def _wait(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            if not self._changed.wait_for(condition, _PATIENCE_S):
                shown = b"".join(data for _, data in self._chunks[-20:])
                raise TimeoutError(f"what was typed or printed was not shown; there was {shown[-500:]!r}")

    def _be_quiet(self, for_s: float = _QUIET_S) -> None:
        """Wait until nothing has been shown for a while; not for ever, as some have a cursor that blinks."""
        deadline = time.perf_counter() + 2 * for_s
        with self._changed:
            while time.perf_counter() < deadline and self._changed.wait(for_s):
                pass


class WindowSide:
    """A window in a process of its own; see `benchmarks.faces_qt`."""

    def __init__(self, kind: str, name: str) -> None:
        environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen", "QT_API": "pyside6"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.faces_qt", kind, name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def keys(self) -> list[float]:
        """Seconds from each key to the end of its painting."""
        return self._ask(f"keys {_KEYS}")

    def lines(self) -> list[float]:
        """Seconds from each printing to the end of the line's painting."""
        return self._ask(f"lines {_LINES}")

    def close(self) -> None:
        """End the program."""
        self._process.communicate()

    def _ask(self, what: str) -> list[float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        print(what, file=self._process.stdin, flush=True)
        answer: list[float] = json.loads(self._process.stdout.readline())
        return answer


Side = TerminalSide | WindowSide


def main(rounds: int) -> list[str] | None:
    """All faces that are there, beside IPython's terminal and qtconsole."""
    load = os.getloadavg()[0]
    print(f"\nload of the machine before: {load:.2f}")
    with open_sides() as sides:
        for side in sides.values():  # a first time, which loads what is loaded late
            side.keys(), side.lines()
        found: dict[str, dict[str, list[float]]] = {"keys": {}, "lines": {}}
        for _ in range(rounds):
            for name, side in sides.items():
                found["keys"].setdefault(name, []).extend(side.keys())
                found["lines"].setdefault(name, []).extend(side.lines())
    rows = [
        *_compare("keystroke to its echo", found["keys"]),
        *_compare("line printed to its display", found["lines"]),
    ]
    report("what a person waits for", rows)
    return None


@contextmanager
def open_sides() -> Iterator[dict[str, Side]]:
    """All programs, started, each in a kernel of its own."""
    rpyc = [sys.executable, "-m", "rpyc_kernel"]
    with own_folders(), tempfile.TemporaryDirectory() as folder, ExitStack() as opened:
        own = {"IPYTHONDIR": folder}

        def open_kernel(name: str) -> str:
            kernel = opened.enter_context(rpyc_kernel.start(name, engine="ipython"))
            opened.callback(kernel.shutdown)
            return name

        def add(side: Side) -> Side:
            opened.callback(side.close)
            return side

        sides: dict[str, Side] = {
            "console": add(TerminalSide([*rpyc, "console", open_kernel("console")], own)),
            "IPython": add(TerminalSide([sys.executable, "-m", "IPython", "--no-banner", "--no-confirm-exit"], own)),
        }
        if find_spec("rpyc_kernel.faces.screen") is not None and find_spec("textual") is not None:
            sides["screen"] = add(TerminalSide([*rpyc, "screen", open_kernel("screen")], own))
        if find_spec("qtpy") is not None:
            sides["window"] = add(WindowSide("ours", open_kernel("window")))
            if find_spec("qtconsole") is not None:
                sides["qtconsole"] = add(WindowSide("qtconsole", ""))
        yield sides


_PAIRS = (("console", "IPython"), ("screen", "IPython"), ("window", "qtconsole"))


def _compare(work: str, found: dict[str, list[float]]) -> list[Figure]:
    rows = []
    for face, peer in _PAIRS:
        if face in found:
            ms = {
                name: [1e3 * each for each in found[side]]
                for name, side in (("ours", face), (peer, peer))
                if side in found
            }
            rows.append(record(f"{work}, {face}", "ms", ms))
            late = {name: statistics.quantiles(times, n=20)[-1] for name, times in ms.items()}
            rows.append(RECORD.add(f"{work}, {face}, 95 of 100", "ms", late))
    return rows
