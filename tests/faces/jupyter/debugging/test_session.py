"""The debugger of a bridge, with a kernel that is none: whatever its debugger says, the conversation goes on."""

from collections.abc import Iterator
from queue import Queue
from typing import Any

import pytest

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.faces.jupyter.debugging.session import Debugging

PATIENCE_S = 30.0


class FakeChannel:
    """A conversation with a debugger that agrees to everything."""

    def __init__(self) -> None:
        self._said: Queue[Any] = Queue()

    def send(self, message: dict[str, Any]) -> None:
        self.say({"type": "response", "request_seq": message["seq"], "success": True, "body": {}})

    def say(self, message: Any) -> None:
        self._said.put(message)

    def receive(self) -> Any:
        message = self._said.get(timeout=PATIENCE_S)
        if message is None:
            raise ConnectionLost("hung up")
        return message

    def hang_up(self) -> None:
        self.say(None)

    def close(self) -> None:
        pass


class FakeKernel:
    """A kernel whose debugger is at hand."""

    def __init__(self) -> None:
        self.channel = FakeChannel()

    def open_debugger(self) -> FakeChannel:
        return self.channel

    def status(self) -> dict[str, Any]:
        return {"debugger": "/cells/"}


class Setting:
    """A debugger that is on, and what it has published."""

    def __init__(self) -> None:
        self.published: Queue[dict[str, Any]] = Queue()
        kernel = FakeKernel()
        self.channel = kernel.channel
        self.debugging = Debugging(lambda: kernel, lambda _: kernel.status(), self.published.put)  # type: ignore[arg-type, return-value]
        self.ask("initialize")

    def ask(self, command: str) -> dict[str, Any]:
        return self.debugging.ask({"seq": 1, "command": command}).result(PATIENCE_S)

    def tell(self, event: str, body: Any) -> dict[str, Any]:
        """The debugger says something; returns what was published."""
        self.channel.say({"type": "event", "event": event, "body": body})
        return self.published.get(timeout=PATIENCE_S)

    @property
    def stopped(self) -> Any:
        return self.ask("debugInfo")["body"]["stoppedThreads"]


@pytest.fixture
def setting() -> Iterator[Setting]:
    setting = Setting()
    yield setting
    setting.debugging.close()
    ended = setting.published.get(timeout=PATIENCE_S)
    assert ended["event"] == "terminated"


def test_threads_that_stop_and_go_on_are_known(setting: Setting) -> None:
    setting.tell("stopped", {"reason": "breakpoint", "threadId": 1})
    setting.tell("stopped", {"reason": "breakpoint", "threadId": 2})
    assert setting.stopped == [1, 2]
    setting.tell("continued", {"threadId": 1})
    assert setting.stopped == [2]
    setting.tell("continued", {"threadId": 2, "allThreadsContinued": True})
    assert setting.stopped == []


@pytest.mark.parametrize("body", [{"reason": "pause", "allThreadsStopped": True}, {"threadId": "one"}, {}, None])
def test_a_stop_of_no_known_thread_is_passed_on(setting: Setting, body: Any) -> None:
    assert setting.tell("stopped", body)["event"] == "stopped"
    assert setting.stopped == []
    assert setting.tell("continued", {"threadId": 1})["event"] == "continued"


@pytest.mark.parametrize(
    "message",
    [
        {"type": "event", "event": "stopped", "body": ["no", "object"]},
        ["no", "object"],
    ],
    ids=["body", "message"],
)
def test_what_is_no_message_of_the_protocol_is_logged_and_passed_over(
    setting: Setting, message: Any, caplog: pytest.LogCaptureFixture
) -> None:
    setting.channel.say(message)
    assert setting.tell("stopped", {"threadId": 1})["body"] == {"threadId": 1}
    assert setting.stopped == [1]
    assert "cannot be passed on" in caplog.text
