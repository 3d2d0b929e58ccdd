"""What a live window costs those who work beside it: ours with a toolkit's loop and without one, and ipykernel.

Each kernel with a loop shows a window whose timer of 20 ms counts frames all the while, on an X server of this run.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from importlib.util import find_spec
from queue import Empty
from typing import Any

import rpyc_kernel
from benchmarks.jupyter_kernels import PEER, TIMEOUT_S, Kernel, own_folders, read_published, read_reply
from benchmarks.measure import RECORD, Figure, record, report, timed
from rpyc_kernel import KernelClient
from rpyc_kernel.core.contract import Kind
from tests.support.display import Display

_EACH = {"execution": 50, "completion": 20, "prompt and answer": 5, "interrupt, awaiting": 5, "interrupt, computing": 5}
"""How often in each round."""
_AWAITS = "import asyncio\nprint('begun', flush=True)\nawait asyncio.sleep(600)"
_COMPUTES = "print('begun', flush=True)\nwhile True: pass"
_IDLE_S = 1.0
_PATIENCE_S = 3.0
"""For each answer; who has given none by then is started anew, and is taken to have needed so long."""
_MAX_UNANSWERED = 1
"""Of one kind of work; then it is not asked that any more."""
_FRAMES = 50
"""A second has so many, at 20 ms."""
_MAX_DELAY = "under 50 ms"
_WINDOWS = {
    "": "frames = 0",
    "qt": """
%gui qt
from qtpy import QtCore, QtWidgets
frames = 0
def tick():
    global frames
    frames += 1
    window.setText(str(frames))
window = QtWidgets.QLabel("0")
window.show()
timer = QtCore.QTimer()
timer.setTimerType(QtCore.Qt.TimerType.PreciseTimer)
timer.timeout.connect(tick)
timer.start(20)
""",
    "tk": """
%gui tk
import time, tkinter
frames = 0
def tick():
    global frames, due
    frames += 1
    window.title(str(frames))
    due += 0.02
    window.after(max(0, round(1000 * (due - time.monotonic()))), tick)
window = tkinter.Tk()
due = time.monotonic()
tick()
""",
}


class Unanswered(Exception):
    """There was no answer in time."""


class OurSide:
    """A kernel of ours, by its own client."""

    def __init__(self, name: str, toolkit: str) -> None:
        self.unanswered = 0
        self._kernel: KernelClient = rpyc_kernel.start(name, engine="ipython")
        self._kernel.execute(_WINDOWS[toolkit])

    def close(self) -> None:
        """End it."""
        self._kernel.shutdown()
        self._kernel.close()

    def frames(self) -> int:
        """How many the window has shown."""
        return int(self._kernel.execute("frames").value)

    def execution(self) -> None:
        """Run next to nothing."""
        self._kernel.execute("1")

    def completion(self) -> None:
        """Complete a name."""
        assert self._kernel.complete("fram").matches

    def prompt(self) -> None:
        """Have code ask, and answer."""
        run = self._kernel.submit("input('? ')")
        next(event for event in run.events() if event.kind == Kind.INPUT_REQUESTED)
        self._kernel.answer_input("x")
        assert run.result(timeout=TIMEOUT_S) == "x"

    def interrupt(self, code: str) -> float:
        """Seconds from the interrupt of code that has begun to its end."""
        run = self._kernel.submit(code)
        next(event for event in run.events() if event.kind == Kind.STREAM)
        return timed(lambda: self._kernel.interrupt(run.id, wait=TIMEOUT_S))


class PeerSide:
    """An ipykernel, by Jupyter's client."""

    def __init__(self, toolkit: str) -> None:
        self.unanswered = 0
        self._toolkit = toolkit
        self._start()

    def _start(self) -> None:
        self._kernel = Kernel(PEER)
        self._client = self._kernel.client
        if read_reply(self._client, self._client.execute(_WINDOWS[self._toolkit])) is None:
            raise Unanswered

    def renew(self) -> None:
        """Begin anew, after no answer."""
        self.close()
        self._start()

    def close(self) -> None:
        """End it."""
        self._kernel.close()

    def frames(self) -> int:
        """How many the window has shown."""
        request = self._client.execute("", user_expressions={"frames": "frames"}, silent=True)
        content = self._reply(request)["content"]
        return int(content["user_expressions"]["frames"]["data"]["text/plain"])

    def execution(self) -> None:
        """Run next to nothing."""
        self._run("1")

    def completion(self) -> None:
        """Complete a name."""
        assert self._reply(self._client.complete("fram", 4))["content"]["matches"]

    def prompt(self) -> None:
        """Have code ask, and answer."""
        request = self._client.execute("input('? ')", allow_stdin=True)
        try:
            self._client.get_stdin_msg(timeout=_PATIENCE_S)
        except Empty:
            raise Unanswered from None
        self._client.input("x")
        self._reply(request)

    def interrupt(self, code: str) -> float:
        """Seconds from the interrupt of code that has begun to its end."""
        request = self._client.execute(code)
        if read_published(self._client, "stream", request, _PATIENCE_S) is None:
            raise Unanswered
        begin = time.perf_counter()
        self._kernel.manager.interrupt_kernel()
        self._reply(request)
        return time.perf_counter() - begin

    def _run(self, code: str) -> None:
        self._reply(self._client.execute(code))

    def _reply(self, request: str) -> dict[str, Any]:
        reply = read_reply(self._client, request, _PATIENCE_S)
        if reply is None:
            raise Unanswered
        return reply


Side = OurSide | PeerSide
_WORKS: dict[str, Callable[[Side], float]] = {
    "execution": lambda side: timed(side.execution),
    "completion": lambda side: timed(side.completion),
    "prompt and answer": lambda side: timed(side.prompt),
    "interrupt, awaiting": lambda side: side.interrupt(_AWAITS),
    "interrupt, computing": lambda side: side.interrupt(_COMPUTES),
}


def main(rounds: int) -> list[str] | None:
    """Each toolkit that is there."""
    with own_folders(), _own_display():
        for toolkit, package in (("qt", "qtpy"), ("tk", "tkinter")):
            if find_spec(package) is not None:
                report(f"beside a window of {toolkit}", _measure(toolkit, rounds))
    return None


@contextmanager
def _own_display() -> Iterator[None]:
    display = Display()
    before = {name: os.environ.pop(name, None) for name in ("DISPLAY", "WAYLAND_DISPLAY", "QT_QPA_PLATFORM")}
    os.environ["DISPLAY"] = display.name
    try:
        yield
    finally:
        del os.environ["DISPLAY"]
        os.environ.update({name: value for name, value in before.items() if value is not None})
        display.close()


def _measure(toolkit: str, rounds: int) -> list[Figure]:
    with ExitStack() as opened:
        sides: dict[str, Side] = {
            "ours": OurSide(toolkit, toolkit),
            "without a loop": OurSide("without", ""),
            PEER: PeerSide(toolkit),
        }
        for side in sides.values():
            opened.callback(side.close)
            for work in _WORKS:
                _do(work, side)  # a first time, which loads what is loaded late
            side.unanswered = 0
        rows = [row for work in _WORKS for row in _compare(toolkit, work, sides, rounds)]
        frames = list(_count_frames(toolkit, sides))
        for name in ("ours", PEER):
            print(f"{toolkit}: {sides[name].unanswered} requests without an answer in {_PATIENCE_S:.0f} s, {name}")
        return [*rows, *frames]


def _do(work: str, side: Side) -> float:
    """How many seconds it took."""
    try:
        return _WORKS[work](side)
    except Unanswered:
        side.unanswered += 1
        if isinstance(side, OurSide):
            raise
        side.renew()
        return _PATIENCE_S


def _compare(toolkit: str, work: str, sides: dict[str, Side], rounds: int) -> Iterator[Figure]:
    ms: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            for _ in range(_EACH[work]):
                if ms[name].count(1e3 * _PATIENCE_S) < _MAX_UNANSWERED:
                    ms[name].append(1e3 * _do(work, side))
    yield record(f"{toolkit}: {work}", "ms", ms)
    usual = sorted(ms["without a loop"])[len(ms["without a loop"]) // 2]
    late = {name: max(0.0, max(times) - usual) for name, times in ms.items()}
    yield RECORD.add(f"{toolkit}: {work}, worst beyond no loop", "ms", late, aim=_MAX_DELAY)


def _count_frames(toolkit: str, sides: dict[str, Side]) -> Iterator[Figure]:
    """Frames in a second of nothing, and of executions one behind the other."""

    def hurry(side: Side) -> None:
        until = time.perf_counter() + _IDLE_S
        while time.perf_counter() < until:
            _do("execution", side)

    windows = {name: side for name, side in sides.items() if name != "without a loop"}
    works: dict[str, Callable[[Side], None]] = {
        "while nothing runs": lambda side: time.sleep(_IDLE_S),
        "while executions hurry": hurry,
    }
    for what, work in works.items():
        found = {}
        for name, side in windows.items():
            try:
                before, begin = side.frames(), time.perf_counter()
                work(side)
                # Started anew, it begins at 0.
                found[name] = max(0, side.frames() - before) / (time.perf_counter() - begin)
            except Unanswered:
                side.unanswered += 1
        yield RECORD.add(
            f"{toolkit}: frames of {_FRAMES}, {what}", "1/s", found, aim="over 20 1/s", more_is_better=True
        )
