"""What a debugger tells of code that stops and goes on, whenever it does either; the worker is played by the test."""

import socket
import threading
from types import SimpleNamespace

import pytest

from rpyc_kernel.client.debugger import Debugger
from rpyc_kernel.errors import CallTimeout, ConnectionLost
from rpyc_kernel.wire.debug_adapter import DebugChannel

NOT_LONG_S = 0.1


class Worker:
    """Answers whatever it is asked, and says before it what it is to say."""

    def __init__(self, channel):
        self._channel = channel
        self.says_before = {}
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def say(self, event, thread):
        self._channel.send({"type": "event", "event": event, "body": {"reason": "breakpoint", "threadId": thread}})

    def _answer(self):
        try:
            while True:
                request = self._channel.receive()
                for event in self.says_before.pop(request["command"], ()):
                    self.say(*event)
                body = {"stackFrames": [{"id": 1, "name": "f", "line": request["arguments"].get("threadId")}]}
                to = {"type": "response", "request_seq": request["seq"], "command": request["command"]}
                self._channel.send({**to, "success": True, "body": body})
        except ConnectionLost:
            pass

    def close(self):
        self._channel.hang_up()
        self._thread.join()
        self._channel.close()


@pytest.fixture
def worker():
    ours, theirs = socket.socketpair()
    worker = Worker(DebugChannel(theirs))
    worker.channel = DebugChannel(ours)
    yield worker
    worker.close()


@pytest.fixture
def executions():
    """Those that were submitted, each with what it does when it ends."""
    return []


@pytest.fixture
def debugger(worker, executions):
    def submit(code, **_):
        execution = SimpleNamespace(
            code=code, add_done_callback=lambda callback: executions.append((execution, callback))
        )
        return execution

    with Debugger(SimpleNamespace(submit=submit), worker.channel) as debugger:
        yield debugger


def test_code_that_goes_on_while_it_is_looked_at_has_not_stopped(debugger, worker):
    worker.says_before["stackTrace"] = [("continued", 1)]
    worker.say("stopped", 1)
    with pytest.raises(CallTimeout):
        debugger.wait(NOT_LONG_S)
    assert debugger._last is None


def test_a_stop_that_nobody_has_waited_for_is_over_when_code_goes_on(debugger, worker):
    worker.says_before["pause"] = [("stopped", 1), ("continued", 1), ("stopped", 2)]
    debugger.pause()
    assert debugger.wait(30).thread == 2
    with pytest.raises(CallTimeout):
        debugger.wait(NOT_LONG_S)


def test_the_end_of_what_was_run_last_is_told_and_not_that_of_what_was_run_before(debugger, executions):
    for code in ("1", "2"):
        with pytest.raises(CallTimeout):
            debugger.run(code, timeout=NOT_LONG_S)
    (first, first_ends), (second, second_ends) = executions
    first_ends(first)
    with pytest.raises(CallTimeout):
        debugger.wait(NOT_LONG_S)
    second_ends(second)
    assert debugger.wait(30) is None
