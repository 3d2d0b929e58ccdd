"""What a bridge does while its kernel is starting: with sockets, a parent and a kernel that are none."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.faces.jupyter import readiness
from rpyc_kernel.faces.jupyter.bridge import Bridge
from rpyc_kernel.faces.jupyter.channels import Request

PATIENCE_S = 30.0


class FakeKernel:
    """A kernel that is starting until it is told otherwise."""

    name = "demo"
    session = "s"

    def __init__(self) -> None:
        self.state, self.engine = "starting", ""
        self.is_closed = False
        self.asked = threading.Semaphore(0)
        self.take: Callable[[list[Event]], None] = lambda events: None

    def status(self) -> dict[str, Any]:
        if self.is_closed:
            self.asked.release()
            raise ConnectionLost("closed")
        told = {"last": 1, "running": None, "side": [], "python": "3.11.7", "debugger": ""}
        told |= {"state": self.state, "engine": self.engine}
        self.asked.release()
        return told

    def queue(self) -> list[Any]:
        return []

    def watch(self, since: int, take: Callable[[list[Event]], None], ended: Any) -> FakeKernel:
        self.take = take
        return self

    def go_on(self) -> None:
        pass

    def close(self) -> None:
        self.is_closed = True


class FakeAttachment:
    """An attachment to this kernel."""

    is_owner = True

    def __init__(self) -> None:
        self.kernel = FakeKernel()
        self.close = self.kernel.close
        self.join = lambda name: self.kernel


class FakeParent:
    """A process that is there until it is told to be gone."""

    is_known = True
    is_gone = False


class FakeChannels:
    """Sockets by which comes what a script says, step by step."""

    info = None
    early = ()

    def __init__(self, script: Iterator[list[Request]]) -> None:
        self._script = script
        self.woken = threading.Event()
        self.replies: list[tuple[str, dict[str, Any]]] = []
        self.wake = self.woken.set

    def receive(self, timeout_s: float) -> list[Request]:
        return next(self._script)

    def reply(self, request: Request, content: dict[str, Any]) -> None:
        self.replies.append((request.kind, content))

    def publish(self, *_: Any) -> None:
        pass

    def has_more(self, name: str) -> bool:
        return False

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def nothing_but_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no question give up by itself, and leave the signals of this process as they are."""
    monkeypatch.setattr(readiness, "_WORKER_START_S", 3600.0)
    monkeypatch.setattr(signal, "signal", lambda *_: None)


class Setting:
    """A bridge of these, whose kernel has been asked for its status by a client before it had a worker."""

    def __init__(self, then: Callable[[Setting], None]) -> None:
        self.attachment, self.parent = FakeAttachment(), FakeParent()
        self.channels = FakeChannels(self._play(then))
        self.bridge = Bridge(self.channels, self.attachment, self.parent, 1.0)  # type: ignore[arg-type] # as much as is used

    def _play(self, then: Callable[[Setting], None]) -> Iterator[list[Request]]:
        kernel = self.attachment.kernel
        while kernel.asked.acquire(blocking=False):  # by the bridge itself, as it began
            pass
        yield [Request("shell", [b""], {"msg_type": "kernel_info_request", "session": "c", "msg_id": "1"}, {})]
        assert kernel.asked.acquire(timeout=PATIENCE_S)
        then(self)
        yield []
        while not self.channels.replies:
            assert self.channels.woken.wait(PATIENCE_S), "nobody was answered"
            self.channels.woken.clear()
            yield []
        self.parent.is_gone = True
        yield []


def _tell(kernel: FakeKernel, kind: str, state: str, engine: str) -> None:
    kernel.state, kernel.engine = state, engine
    kernel.take([Event(2, 0.0, kind, None, None, {"generation": 1, "engine": engine, "reason": "killed", "stack": ""})])


@pytest.mark.parametrize(
    ("kind", "state", "engine"),
    [(Kind.WORKER_STARTED, "idle", "ipython"), (Kind.WORKER_DIED, "dead", "")],
)
def test_who_asks_before_there_is_a_worker_is_answered_by_its_event(kind: str, state: str, engine: str) -> None:
    setting = Setting(lambda setting: _tell(setting.attachment.kernel, kind, state, engine))
    assert setting.bridge.run() == 0
    [(asked, told)] = setting.channels.replies
    assert (asked, told["status"]) == ("kernel_info_request", "ok")
    assert told["language_info"]["pygments_lexer"] == ("ipython3" if engine else "python3")


def test_a_bridge_that_leaves_waits_for_no_worker() -> None:
    def leave(setting: Setting) -> None:
        setting.parent.is_gone = True

    setting = Setting(leave)
    assert setting.bridge.run() == 0
    assert setting.attachment.kernel.asked.acquire(timeout=PATIENCE_S)  # whoever waited has found the kernel closed
    assert setting.channels.replies == []
