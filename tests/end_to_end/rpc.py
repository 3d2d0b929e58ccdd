"""A client of the stdio server that waits for what it expects, and keeps all else that came in order."""

from __future__ import annotations

import itertools
import json
import os
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.end_to_end.terminals import COMMAND, PATIENCE_S, ROOT
from tests.support.folders import Folders

Message = dict[str, Any]


class RpcClient:
    """Speaks to a server by two descriptors.

    Attributes:
        came: what the server has said that nobody has waited for yet, but for events.
        events: those that nobody has waited for yet.
    """

    def __init__(self, writing: int, reading: int) -> None:
        self._writing = writing
        self._reading = reading
        self._data = b""
        self._numbers = itertools.count(1)
        self.came: list[Message] = []
        self.events: list[Message] = []

    def send(self, message: Any) -> None:
        """Send a message."""
        body = json.dumps(message).encode()
        self.send_bytes(b"Content-Length: %d\r\n\r\n%b" % (len(body), body))

    def send_bytes(self, data: bytes) -> None:
        """Send bytes, whatever they are."""
        left = memoryview(data)
        while left:
            left = left[os.write(self._writing, left) :]

    def begin(self, method: str, **params: Any) -> int:
        """Send a request; returns its id."""
        number = next(self._numbers)
        self.send({"jsonrpc": "2.0", "id": number, "method": method, "params": params})
        return number

    def tell(self, method: str, **params: Any) -> None:
        """Send a notification."""
        self.send({"jsonrpc": "2.0", "method": method, "params": params})

    def wait(self, choose: Callable[[Message], Any], timeout_s: float = PATIENCE_S) -> Message:
        """Wait for a message that is so."""
        deadline = time.monotonic() + timeout_s
        while True:
            for place, message in enumerate(self.came):
                if choose(message):
                    return self.came.pop(place)
            self._receive(deadline)

    def end(self, number: int, timeout_s: float = PATIENCE_S) -> Message:
        """Wait for the response to a request."""
        return self.wait(lambda message: message.get("id") == number and "method" not in message, timeout_s)

    def ask(self, method: str, **params: Any) -> Any:
        """Send a request, and return its result."""
        response = self.end(self.begin(method, **params))
        assert "result" in response, response
        return response["result"]

    def fail(self, method: str, **params: Any) -> Message:
        """Send a request, and return its error."""
        error: Message = self.end(self.begin(method, **params))["error"]
        return error

    def hear(self, method: str, choose: Callable[[Message], Any] = lambda params: True) -> Message:
        """Wait for a notification or request of the server; returns its params, and of a request the id."""
        message = self.wait(lambda each: each.get("method") == method and choose(each["params"]))
        return {**message["params"], **({"id": message["id"]} if "id" in message else {})}

    def hear_event(self, kind: str, choose: Callable[[Message], Any] = lambda event: True) -> Message:
        """Wait for an event of a kind; those before it are still there to wait for."""
        deadline = time.monotonic() + PATIENCE_S
        while True:
            for place, event in enumerate(self.events):
                if event["kind"] == kind and choose(event):
                    return self.events.pop(place)
            self._receive(deadline)

    def _receive(self, deadline: float) -> None:
        head, _, rest = self._data.partition(b"\r\n\r\n")
        length = int(head.removeprefix(b"Content-Length: ")) if rest or b"\r\n\r\n" in self._data else None
        if length is not None and len(rest) >= length:
            self._data = rest[length:]
            message = json.loads(rest[:length])
            if message.get("method") == "events":
                self.events += message["params"]["events"]
            else:
                self.came.append(message)
            return
        ready, _, _ = select.select([self._reading], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, f"nothing came in time; {self.came}"
        data = os.read(self._reading, 1_000_000)
        assert data, f"the server has ended; {self.came}"
        self._data += data


class ServerProcess(RpcClient):
    """A server on pipes, and the client that has it."""

    def __init__(self, *arguments: str) -> None:
        self.process = subprocess.Popen(
            [*COMMAND, "serve", *arguments, "--stdio"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
        )
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        super().__init__(self.process.stdin.fileno(), self.process.stdout.fileno())

    def leave(self) -> tuple[int, str]:
        """Close the server's input, and wait for its end; returns its status, and what it has said beside."""
        _, said = self.process.communicate(timeout=PATIENCE_S)
        return self.process.returncode, said.decode()

    def vanish(self) -> int:
        """Neither say anything more nor hear anything, as a client that is killed; returns the server's status."""
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        return self.process.wait(PATIENCE_S)

    def close(self) -> None:
        """End it, if it has not ended."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.communicate()
        for pipe in (self.process.stdin, self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


@pytest.fixture
def serve(folders: Folders) -> Iterator[Callable[..., ServerProcess]]:
    """Starts servers with a command line; they are ended with the test."""
    with ExitStack() as opened:

        def start(*arguments: str) -> ServerProcess:
            server = ServerProcess(*arguments)
            opened.callback(server.close)
            return server

        yield start


def dial(port: int) -> tuple[socket.socket, RpcClient]:
    """A client of a server that listens on a port of this machine."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
    sock.settimeout(None)
    return sock, RpcClient(sock.fileno(), sock.fileno())
