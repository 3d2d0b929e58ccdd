"""What a bridge does while its kernel starts, or answers late: with sockets, a parent and a kernel that are none."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any

import pytest

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.errors import ConnectionLost, RequestError
from rpyc_kernel.faces.jupyter import answering, readiness
from rpyc_kernel.faces.jupyter.bridge import Bridge
from rpyc_kernel.faces.jupyter.messages import Request

PATIENCE_S = 30.0


class FakeEvents:
    """What happens in the kernel."""

    has_ended = False
    error: Exception | None = None
    cursor = 1

    def __init__(self) -> None:
        self.untaken: list[Event] = []
        self.heard_s: list[float] = []
        self.read_ready = self.heard_s.append

    def fileno(self) -> int:
        return -1 if self.has_ended else 7

    def take(self) -> list[Event]:
        taken, self.untaken = self.untaken, []
        return taken

    def go_on(self) -> None:
        pass

    def close(self) -> None:
        pass


class FakeKernel:
    """A kernel that is starting until it is told otherwise, and answers to code when it is told to."""

    name = "demo"

    def __init__(self, session: str = "s") -> None:
        self.session = session
        self.state, self.engine = "starting", ""
        self.is_closed = False
        self.asked = threading.Semaphore(0)
        self.handed_in: dict[str, Future[int]] = {}
        self._seqs = itertools.count(2)
        self.events = FakeEvents()
        self.interrupt = lambda execution, wait: None

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

    def hand_in(self, code: str, **_: Any) -> Future[int]:
        taken = self.handed_in[code] = Future()
        return taken

    def watch(self, since: int) -> FakeEvents:
        return self.events

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        self.is_closed = True

    def run(self, number: int, code: str, session: str) -> None:
        """All events of an execution happen."""
        payloads: dict[str, dict[str, Any]] = {
            Kind.QUEUED: {"code": code, "name": "n", "call": None},
            Kind.STARTED: {"count": number},
            Kind.STREAM: {"name": "stdout", "text": f"by {code}\n"},
            Kind.FINISHED: {"outcome": "ok", "reason": None},
        }
        self.events.untaken.extend(
            [Event(next(self._seqs), 0.0, kind, number, session, told) for kind, told in payloads.items()]
        )


class FakeAttachment:
    """An attachment to this kernel."""

    is_owner = True

    def __init__(self) -> None:
        self.kernel = FakeKernel()
        self.close = self.kernel.close
        self.joined: list[FakeKernel] = []
        self.answers = threading.Event()
        self.answers.set()

    def come_back(self, patience_s: float, leaving: threading.Event) -> bool:
        return False

    def join(self, name: str) -> FakeKernel:
        assert self.answers.wait(PATIENCE_S)
        self.joined.append(FakeKernel(name))
        return self.joined[-1]


class FakeParent:
    """A process that is there until it is told to be gone."""

    is_known = True
    is_gone = False


class FakeChannels:
    """Sockets by which comes what a script says, step by step."""

    info = None
    early = ()
    waited_s = 0.0

    def __init__(self, script: Iterator[list[Request]]) -> None:
        self._script = script
        self.woken = threading.Event()
        self.replies: list[tuple[Request, dict[str, Any]]] = []
        self.published: list[tuple[Any, ...]] = []
        self.sources: set[Any] = set()
        self.wake = self.woken.set

    def receive(self, timeout_s: float) -> list[Request]:
        self.patience_s = timeout_s
        return next(self._script)

    def reply(self, request: Request, content: dict[str, Any], metadata: Any = None, _buffers: Any = ()) -> None:
        self.replies.append((request, content))

    def publish(self, *message: Any) -> None:
        self.published.append(message)

    def has_more(self, name: str) -> bool:
        return False

    def listen(self, source: Any, hear: Any) -> None:
        self.sources.add(source)

    def ignore(self, source: Any) -> None:
        self.sources.discard(source)

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def nothing_but_events(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have no question give up by itself, and leave the signals of this process as they are."""
    monkeypatch.setattr(readiness, "_WORKER_START_S", 3600.0)
    monkeypatch.setattr(signal, "signal", lambda *_: None)


class Setting:
    """A bridge of these, and what its clients do, as a script that yields the requests of each round of its loop."""

    def __init__(self, script: Callable[[Setting], Iterator[list[Request]]]) -> None:
        self.attachment, self.parent = FakeAttachment(), FakeParent()
        self.channels = FakeChannels(self._play(script))
        self.bridge = Bridge(self.channels, self.attachment, self.parent, 1.0)  # type: ignore[arg-type] # as much as is used

    def _play(self, script: Callable[[Setting], Iterator[list[Request]]]) -> Iterator[list[Request]]:
        yield from script(self)
        self.parent.is_gone = True
        yield []

    def wait(self, condition: Callable[[], object]) -> Iterator[list[Request]]:
        """Let the bridge go round until something is so."""
        deadline = time.monotonic() + PATIENCE_S
        yield []
        while not condition():
            assert time.monotonic() < deadline, "nothing happened"
            self.channels.woken.wait(self.channels.patience_s)
            self.channels.woken.clear()
            yield []

    def handed_in(self) -> dict[str, Future[int]]:
        """What the kernel has been given to run, and the answers to it."""
        return {code: taken for kernel in self.attachment.joined for code, taken in kernel.handed_in.items()}

    def answered(self) -> dict[str, str]:
        """The states of all replies, by what was asked."""
        return {request.content.get("code", request.kind): told["status"] for request, told in self.channels.replies}


def _ask(kind: str, client: str = "c", **content: Any) -> list[Request]:
    header = {"msg_type": kind, "session": client, "username": client, "msg_id": content.get("code", kind)}
    return [Request("control" if kind == "interrupt_request" else "shell", [b""], header, content)]


def _ask_while_it_starts(setting: Setting, then: Callable[[], None]) -> Iterator[list[Request]]:
    """A client asks for the kernel's status before there is a worker; then something happens."""
    kernel = setting.attachment.kernel
    while kernel.asked.acquire(blocking=False):  # by the bridge itself, as it began
        pass
    yield _ask("kernel_info_request")
    assert kernel.asked.acquire(timeout=PATIENCE_S)
    then()


def _tell(kernel: FakeKernel, kind: str, state: str, engine: str) -> None:
    kernel.state, kernel.engine = state, engine
    kernel.events.untaken.append(
        Event(2, 0.0, kind, None, None, {"generation": 1, "engine": engine, "reason": "killed", "stack": ""})
    )


@pytest.mark.parametrize(
    ("kind", "state", "engine"),
    [(Kind.WORKER_STARTED, "idle", "ipython"), (Kind.WORKER_DIED, "dead", "")],
)
def test_who_asks_before_there_is_a_worker_is_answered_by_its_event(kind: str, state: str, engine: str) -> None:
    def play(setting: Setting) -> Iterator[list[Request]]:
        yield from _ask_while_it_starts(setting, lambda: _tell(setting.attachment.kernel, kind, state, engine))
        yield from setting.wait(lambda: setting.channels.replies)

    setting = Setting(play)
    assert setting.bridge.run() == 0
    [(request, told)] = setting.channels.replies
    assert (request.kind, told["status"]) == ("kernel_info_request", "ok")
    assert told["language_info"]["pygments_lexer"] == ("ipython3" if engine else "python3")


def test_a_bridge_that_leaves_waits_for_no_worker() -> None:
    setting = Setting(lambda setting: _ask_while_it_starts(setting, lambda: None))
    assert setting.bridge.run() == 0
    assert setting.attachment.kernel.asked.acquire(timeout=PATIENCE_S)  # whoever waited has found the kernel closed
    assert setting.channels.replies == []


def test_a_reply_goes_to_whose_number_it_is_in_whatever_order_numbers_and_events_come() -> None:
    """Two clients, of whom one has two cells: the first is refused late, and all else is told the other way round."""

    def play(setting: Setting) -> Iterator[list[Request]]:
        for client, code in (("c", "refused"), ("c", "second"), ("d", "third")):
            yield _ask("execute_request", client, code=code)
        yield from setting.wait(lambda: len(setting.handed_in()) == 3)
        kernel, answers = setting.attachment.kernel, setting.handed_in()
        kernel.run(8, "third", "d")
        kernel.run(7, "second", "c")
        answers["third"].set_result(8)
        yield from setting.wait(lambda: setting.channels.replies)
        assert setting.answered() == {"third": "ok"}  # nobody waits for the answer to another
        answers["second"].set_result(7)
        answers["refused"].set_exception(RequestError("it is too long"))
        yield from setting.wait(lambda: len(setting.channels.replies) == 3)

    setting = Setting(play)
    assert setting.bridge.run() == 0
    assert setting.answered() == {"third": "ok", "second": "ok", "refused": "error"}
    shown = {(content["text"], parent["msg_id"]) for kind, content, parent in setting.channels.published
             if kind == "stream"}  # fmt: skip
    assert shown == {("by third\n", "third"), ("by second\n", "second")}


def test_what_another_client_of_the_same_session_runs_is_no_reply_to_ours() -> None:
    def play(setting: Setting) -> Iterator[list[Request]]:
        yield _ask("execute_request", code="ours")
        yield from setting.wait(setting.handed_in)
        setting.attachment.kernel.run(4, "theirs", "c")
        yield []
        setting.handed_in()["ours"].set_result(5)
        yield from setting.wait(lambda: any(kind == "stream" for kind, *_ in setting.channels.published))
        assert setting.channels.replies == []
        setting.attachment.kernel.run(5, "ours", "c")
        yield from setting.wait(lambda: setting.channels.replies)

    setting = Setting(play)
    assert setting.bridge.run() == 0
    inputs = [(content["code"], parent["msg_id"].split("-")[0]) for kind, content, parent in setting.channels.published
              if kind == "execute_input"]  # fmt: skip
    assert inputs == [("theirs", "execution"), ("ours", "ours")]


def test_a_kernel_that_does_not_answer_holds_up_nobody_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "_CONTROL_S", 0.0)

    def play(setting: Setting) -> Iterator[list[Request]]:
        answers = setting.attachment.answers
        answers.clear()
        setting.attachment.kernel.interrupt = lambda execution, wait: answers.wait(PATIENCE_S)
        yield _ask("execute_request", code="first")
        yield _ask("execute_request", code="x" * 100_000)
        yield _ask("interrupt_request")
        yield _ask("list_subshell_request")
        yield from setting.wait(lambda: len(setting.channels.replies) == 2)
        assert setting.answered() == {"interrupt_request": "error", "list_subshell_request": "ok"}
        answers.set()
        yield from setting.wait(lambda: "first" in setting.handed_in())
        assert len(setting.handed_in()) == 1  # the other is so long that the kernel may take it only when it reads
        setting.handed_in()["first"].set_result(1)
        yield from setting.wait(lambda: len(setting.handed_in()) == 2)

    setting = Setting(play)
    assert setting.bridge.run() == 0
    assert len(setting.channels.replies) == 2  # nobody is answered twice


def test_events_that_do_not_come_are_silence_whatever_else_comes() -> None:
    def play(setting: Setting) -> Iterator[list[Request]]:
        for _ in range(5):
            setting.channels.waited_s += 0.5
            yield []

    setting = Setting(play)
    assert setting.bridge.run() == 0
    assert setting.attachment.kernel.events.heard_s == [1.0, 1.0]


def test_a_connection_that_is_lost_is_listened_to_no_longer() -> None:
    def play(setting: Setting) -> Iterator[list[Request]]:
        yield []
        assert setting.channels.sources == {7}
        events = setting.attachment.kernel.events
        events.has_ended, events.error = True, ConnectionLost("gone")
        yield []
        assert setting.channels.sources == set()
        yield from setting.wait(lambda: ("status", {"execution_state": "dead"}, None) in setting.channels.published)

    setting = Setting(play)
    assert setting.bridge.run() == 1
