"""Kills processes of a kernel at a point of an execution's way. In a folder of PYTHONPATH, Python runs it first.

The points are put around methods as their modules are imported, so that the package knows nothing of them. The file
that ROAD_FAULT names says `POINT:PID PID`: the first process that comes to the point takes it, and kills these.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import PathFinder
from typing import Any

ARMED = "ROAD_FAULT"
REQUESTED, NUMBERED, HANDLED = "request received", "number assigned", "call dealt with"
QUEUED, HANDED_OVER, RECEIVED = "'queued' committed", "handed to the worker", "received by the worker"
STARTED, PRINTED, ENDED = "code started", "output in the ring", "'finished' in the ring"
READ, FINISHED, RELEASED, REPLIED = "read by the pump", "'finished' committed", "ring released", "reply sent"
ANSWERED = "'input_answered' committed"


def _read_armed() -> tuple[str, str]:
    """What is armed, and for whom."""
    try:
        with open(os.environ.get(ARMED, "")) as file:
            point, _, victims = file.read().partition(":")
            return point, victims
    except OSError:
        return "", ""


def reach(point: str) -> None:
    """Come to a point: nothing happens, or it ends here for those who are named."""
    wanted, victims = _read_armed()
    if wanted != point:
        return
    try:
        os.unlink(os.environ[ARMED])
    except OSError:  # another thread was here before
        return
    for victim in sorted(map(int, victims.split()), key=os.getpid().__eq__):  # itself last
        os.kill(victim, signal.SIGKILL)


def _is_submitted(_: Any, event: Any) -> bool:
    return type(event).__name__ == "CodeSubmitted"


def _records(kind: str) -> Callable[..., bool]:
    return lambda _, records, *more: any(record.kind == kind for record in records)


def _always(*_: Any) -> bool:
    return True


def _is_last_frame(frames: Sequence[Any]) -> bool:
    return any(frame.data.startswith(b'["finished"') for frame in frames)


# Class and method; the point before it and that behind it; whether a call of these arguments is meant.
_PLACES: dict[str, list[tuple[str, str, str, Callable[..., bool]]]] = {
    "rpyc_kernel.hub.hub": [("Hub.handle", REQUESTED, HANDLED, _is_submitted)],
    "rpyc_kernel.core.kernel_state": [("KernelState.handle", "", NUMBERED, _is_submitted)],
    "rpyc_kernel.hub.journal.journal": [
        ("Journal.append", "", QUEUED, _records("queued")),
        ("Journal.append", "", FINISHED, _records("finished")),
        ("Journal.append", "", ANSWERED, _records("input_answered")),
    ],
    "rpyc_kernel.hub.worker_link": [("WorkerLink.run", "", HANDED_OVER, _always)],
    "rpyc_kernel.hub.pump": [("read_reports", READ, "", lambda frames, *more: _is_last_frame(frames))],
    "rpyc_kernel.system.ring": [("RingReader.release", "", RELEASED, _always)],
    "rpyc_kernel.wire.outbox": [("Outbox.send", "", REPLIED, lambda _, frame, *more: b'"finished"' in frame)],
    "rpyc_kernel.worker.main_loop": [("MainLoop._take_message", "", RECEIVED, _always)],
    "rpyc_kernel.worker.event_sink": [("EventSink.emit", "", ENDED, lambda _, kind, *more: kind == "finished")],
}


def _put_around(module: Any, place: str, before: str, behind: str, is_meant: Callable[..., bool]) -> None:
    *owners, name = place.split(".")
    owner = getattr(module, owners[0]) if owners else module
    original = getattr(owner, name)

    def pass_by(*arguments: Any, **named: Any) -> Any:
        if not is_meant(*arguments):
            return original(*arguments, **named)
        if before:
            reach(before)
        is_awaited = _read_armed()[0] == behind  # else the call is one of the round before, which ends only now
        answer = original(*arguments, **named)
        if behind and is_awaited:
            reach(behind)
        return answer

    setattr(owner, name, pass_by)


class _Finder:
    """Finds the modules in which there are points, and puts these in when one was run."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> Any:
        places = _PLACES.get(name)
        spec = PathFinder.find_spec(name, path) if places else None
        if spec is not None:
            run = spec.loader.exec_module

            def run_and_change(module: Any) -> None:
                run(module)
                for place in places:
                    _put_around(module, *place)

            spec.loader.exec_module = run_and_change
        return spec


if ARMED in os.environ:
    sys.meta_path.insert(0, _Finder())
