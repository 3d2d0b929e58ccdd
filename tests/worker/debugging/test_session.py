"""What a client may say to the debugger, and what it is told of the rest; debugpy is played by the test."""

import socket
import threading

import pytest

from rpyc_kernel.wire.debug_adapter import DebugChannel
from rpyc_kernel.worker.debugging.session import DebugSession

TIMEOUT_S = 30.0


@pytest.fixture
def ends():
    """The client's end of a session, and debugpy's."""
    (client, inner), (debuggee, outer) = socket.socketpair(), socket.socketpair()
    channels = [DebugChannel(sock) for sock in (client, inner, debuggee, outer)]
    client, inner, debuggee, outer = channels
    session = DebugSession(inner, outer, "cells", lambda path: False)
    serving = threading.Thread(target=session.run)
    serving.start()
    client.set_timeout(TIMEOUT_S)
    debuggee.set_timeout(TIMEOUT_S)
    yield client, debuggee
    debuggee.close()
    serving.join(TIMEOUT_S)
    for channel in (client, inner, outer):
        channel.close()


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"command": ["threads"]}, "command must be a string"),
        ({"seq": [1]}, "seq must be a number"),
        ({"seq": "abc"}, "seq must be a number"),
        ({"seq": 1_000_000_001}, "seq must be a number"),
        ({"command": "attach", "arguments": {"rules": 7}}, "rules must be a list"),
        ({"command": "source", "arguments": {"source": "x"}}, "there is no source ''"),
    ],
)
def test_a_request_that_is_none_is_refused_alone(ends, wrong, words):
    client, debuggee = ends
    client.send({"type": "request", "seq": 1, "command": "threads", **wrong})
    answer = client.receive()
    assert (answer["success"], answer["message"][: len(words)]) == (False, words)
    client.send({"type": "request", "seq": 2, "command": "threads"})
    assert debuggee.receive() == {"type": "request", "seq": 2, "command": "threads"}


def test_what_is_no_request_is_passed_on_as_it_is(ends):
    client, debuggee = ends
    told = {"type": "response", "request_seq": 3, "command": ["x"]}
    client.send(told)
    assert debuggee.receive() == told


def test_breakpoints_in_what_is_no_path_are_told_so(ends):
    client, debuggee = ends
    source = {"path": "a\0b"}
    client.send(
        {"type": "request", "seq": 1, "command": "setBreakpoints", "arguments": {"source": source, "breakpoints": [{}]}}
    )
    assert debuggee.receive()["arguments"]["breakpoints"] == []
    debuggee.send(
        {
            "type": "response",
            "request_seq": 1,
            "command": "setBreakpoints",
            "success": True,
            "body": {"breakpoints": []},
        }
    )
    (told,) = client.receive()["body"]["breakpoints"]
    assert told["verified"] is False
    assert told["message"].startswith("there is no file")
