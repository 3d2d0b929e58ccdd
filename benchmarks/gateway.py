"""A prototype of a gateway for many kernels, to measure what it costs: a directory, a relay and one journal store.

Each hub dials out and keeps one connection, on which it says who it is, that it lives, what it does and what is
recorded. Who wants to see all kernels watches the directory. Who wants to speak with one is spliced to a connection
that its hub makes for that; the gateway passes bytes, and knows no key. One line of JSON is one message:

    {"hub": name, ...}        a hub registers         {"open": number}    it is to connect for a client
    {"state": word}           what it does            {"answer": number}  the connection that it has made
    {"events": [...]}         what is recorded        {"client": name}    a client wants to speak with a kernel
    {}                        it lives                {"watch": 1}        somebody wants all entries, and what changes
    {"stats": 1}              what this has cost      {"watch": 0}        the latter alone

Nothing here is part of the product: there are no keys, no TLS, no limits. It is one process, as one hub is.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import socket
import sys
import time
from pathlib import Path
from typing import Any

import psutil

from rpyc_kernel.hub.journal.store import Row, Store

COMMIT_S = 0.01
"""How long events are gathered for one commit."""
_BACKLOG = 4096


class Gateway:
    """What the connections share, and what each part has cost in seconds of a processor."""

    def __init__(self, journal: Path) -> None:
        self.directory: dict[str, dict[str, Any]] = {}
        self.hubs: dict[str, Connection] = {}
        self.watchers: list[Connection] = []
        self.waiting: dict[int, Connection] = {}
        self.cost_s = dict.fromkeys(("directory", "watching", "relay", "store"), 0.0)
        self.counts = dict.fromkeys(("messages", "told", "relayed", "events", "commits"), 0)
        self._store = Store(journal)
        self._rows: list[Row] = []
        self._next = 1

    def change(self, name: str, entry: dict[str, Any]) -> None:
        """Keep what a hub says of itself, and tell all who watch."""
        self.directory[name] = entry
        if self.watchers:
            begin = time.thread_time()
            line = json.dumps(entry).encode() + b"\n"
            for watcher in self.watchers:
                watcher.transport.write(line)
            self.counts["told"] += len(self.watchers)
            self.cost_s["watching"] += time.thread_time() - begin

    def record(self, events: list[list[Any]]) -> None:
        """Have events committed with those of others that come soon."""
        begin = time.thread_time()
        if not self._rows:
            asyncio.get_running_loop().call_later(COMMIT_S, self._commit)
        for event in events:
            self._rows.append((self._next, *event[1:6], None, None))
            self._next += 1
        self.cost_s["store"] += time.thread_time() - begin

    def _commit(self) -> None:
        begin = time.thread_time()
        self._store.commit(self._rows)
        self.counts["events"] += len(self._rows)
        self.counts["commits"] += 1
        self._rows = []
        self.cost_s["store"] += time.thread_time() - begin

    def stats(self) -> dict[str, Any]:
        """What there is, and what it has cost."""
        process = psutil.Process()
        return {
            "hubs": len(self.hubs),
            "descriptors": process.num_fds(),
            "memory": process.memory_info().rss,
            "cpu_s": time.process_time(),
            "cost_s": self.cost_s,
            "counts": self.counts,
        }


class Connection(asyncio.Protocol):
    """One connection, whoever made it."""

    transport: asyncio.Transport

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._text = b""
        self._name = ""
        self._other: Connection | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the way back."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        """Forget whoever it was."""
        gateway = self._gateway
        if gateway.hubs.get(self._name) is self:
            del gateway.hubs[self._name], gateway.directory[self._name]
        with contextlib.suppress(ValueError):
            gateway.watchers.remove(self)
        if self._other is not None:
            self._other.transport.close()

    def data_received(self, data: bytes) -> None:
        """Pass it on, or understand it."""
        gateway = self._gateway
        begin = time.thread_time()
        if self._other is not None:
            self._other.transport.write(data)
            gateway.counts["relayed"] += 1
            gateway.cost_s["relay"] += time.thread_time() - begin
            return
        *lines, self._text = (self._text + data).split(b"\n")
        before = sum(gateway.cost_s.values())
        for line in lines:
            gateway.counts["messages"] += 1
            self._take(json.loads(line))
        others_s = sum(gateway.cost_s.values()) - before
        gateway.cost_s["directory"] += time.thread_time() - begin - others_s

    def _take(self, message: dict[str, Any]) -> None:
        gateway = self._gateway
        if "hub" in message:
            self._name = message["hub"]
            gateway.hubs[self._name] = self
            gateway.change(self._name, message)
        elif "state" in message:
            gateway.change(self._name, {**gateway.directory[self._name], **message, "since": time.time()})
        elif "events" in message:
            gateway.record(message["events"])
        elif "watch" in message:
            gateway.watchers.append(self)
            self._say(list(gateway.directory.values()) if message["watch"] else [])
        elif "client" in message:
            number = len(gateway.waiting) + 1
            gateway.waiting[number] = self
            gateway.hubs[message["client"]]._say({"open": number})
        elif "answer" in message:
            self._other = gateway.waiting[message["answer"]]
            self._other._other = self
            self._other._say({"opened": True})
        elif "stats" in message:
            self._say(gateway.stats())

    def _say(self, message: object) -> None:
        self.transport.write(json.dumps(message).encode() + b"\n")


async def serve(journal: Path, port: int) -> None:
    """Serve until the standard input ends; the port is written first."""
    loop = asyncio.get_running_loop()
    complaints = set[str]()

    def complain(_: object, context: dict[str, Any]) -> None:
        if context["message"] not in complaints:  # it is said again with each attempt
            complaints.add(context["message"])
            print(f"the gateway complains: {context['message']}", file=sys.stderr, flush=True)

    loop.set_exception_handler(complain)
    gateway = Gateway(journal)
    listener = socket.create_server(("127.0.0.1", port), backlog=_BACKLOG)
    server = await loop.create_server(lambda: Connection(gateway), sock=listener, backlog=_BACKLOG)
    print(listener.getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()
    os._exit(0)  # ten thousand connections take long to close one by one


def main() -> None:
    """``python -m benchmarks.gateway JOURNAL DESCRIPTORS PORT``: no limit of descriptors is 0."""
    journal, limit, port = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(limit, hard) if limit and hard > 0 else limit or hard, hard))
    asyncio.run(serve(journal, port))


if __name__ == "__main__":
    main()
