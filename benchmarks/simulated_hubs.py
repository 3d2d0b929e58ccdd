"""The hubs of many kernels, as far as a gateway sees them: each a connection that registers, lives and reports.

    python -m benchmarks.simulated_hubs SETTINGS

Commands come on the standard input, one line of JSON each, and are answered by one line:

    {"connect": count}                     connect so many, all at once
    {"clients": count}                     so many clients, each spliced to a kernel
    {"beat": seconds, "every": seconds}    all say that they live, for so long
    {"rate": number, "seconds": ...}       so many executions a second, spread over all; when they were answered is told
"""

from __future__ import annotations

import asyncio
import json
import resource
import sys
import time
from typing import Any

STARTED_S, PATIENCE_S = 1_764_000_000.0, 20.0
_TICK_S = 0.01


class Hub(asyncio.Protocol):
    """One connection to the gateway: a hub's own, or one that carries a client's bytes."""

    def __init__(self, crowd: Crowd, first: dict[str, Any], *, is_kernel: bool = False) -> None:
        self.crowd, self.is_kernel, self.first = crowd, is_kernel, first
        self.transport: asyncio.Transport | None = None
        self.ready = asyncio.get_running_loop().create_future()
        self.sent_at: list[float] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        transport.write(_line(self.first))

    def connection_lost(self, _: Exception | None) -> None:
        self.transport = None

    def data_received(self, data: bytes) -> None:
        crowd = self.crowd
        if self.is_kernel:
            crowd.answer(self, data)
        elif "client" in self.first and self.ready.done():
            crowd.note(self, data)
        elif "client" in self.first:
            self.ready.set_result(None)
        else:  # {"open": number}
            asyncio.get_running_loop().create_task(crowd.dial({"answer": json.loads(data)["open"]}, is_kernel=True))


class Crowd:
    """All hubs, and the clients of some."""

    def __init__(self, port: int, request: int, reply: int, events: list[list[Any]]) -> None:
        self.port, self.request, self.reply = port, bytes(request), bytes(reply)
        self.events = events
        self.hubs: list[Hub] = []
        self.clients: list[Hub] = []
        self.delays: list[float] = []
        self.got: dict[Hub, int] = {}

    async def dial(self, first: dict[str, Any], *, is_kernel: bool = False) -> Hub:
        """Make a connection, and say who it is."""
        loop = asyncio.get_running_loop()
        _, hub = await loop.create_connection(lambda: Hub(self, first, is_kernel=is_kernel), "127.0.0.1", self.port)
        return hub

    def answer(self, hub: Hub, data: bytes) -> None:
        """Answer a client's request when all of it is there."""
        self.got[hub] = self.got.get(hub, 0) + len(data)
        while self.got[hub] >= len(self.request):
            self.got[hub] -= len(self.request)
            if hub.transport is not None:
                hub.transport.write(self.reply)

    def note(self, hub: Hub, data: bytes) -> None:
        """Take down how long an answer took."""
        self.got[hub] = self.got.get(hub, 0) + len(data)
        while self.got[hub] >= len(self.reply) and hub.sent_at:
            self.got[hub] -= len(self.reply)
            self.delays.append(time.monotonic() - hub.sent_at.pop(0))

    async def connect(self, count: int) -> dict[str, Any]:
        """Have so many hubs; earlier ones are gone."""
        self.hubs = []
        begin = time.monotonic()
        dials = (self.dial(_entry(number)) for number in range(count))
        found = await asyncio.gather(*dials, return_exceptions=True)
        self.hubs = [hub for hub in found if isinstance(hub, Hub)]
        return {"connected": len(self.hubs), "seconds": time.monotonic() - begin}

    async def join(self, count: int) -> dict[str, Any]:
        """Have so many clients, each with a kernel of its own."""
        self.clients = [await self.dial({"client": self.hubs[number].first["hub"]}) for number in range(count)]
        await asyncio.wait_for(asyncio.gather(*(client.ready for client in self.clients)), PATIENCE_S)
        return {"clients": count}

    async def beat(self, seconds: float, every: float) -> dict[str, Any]:
        """Say that all are alive, evenly spread."""
        return {"sent": await self._offer(len(self.hubs) / every, seconds, lambda hub: hub.transport.write(b"{}\n"))}

    async def execute(self, rate: float, seconds: float) -> dict[str, Any]:
        """Have executions: the client's bytes and the answer, what is recorded of it, and what the hub does."""
        self.delays = []
        turn = 0

        def run(hub: Hub) -> None:
            nonlocal turn
            hub.transport.write(_BUSY + _line({"events": self.events}) + _IDLE)  # type: ignore[union-attr]
            if self.clients:
                client = self.clients[turn % len(self.clients)]
                turn += 1
                client.sent_at.append(time.monotonic())
                client.transport.write(self.request)  # type: ignore[union-attr]

        begin = time.process_time()
        sent = await self._offer(rate, seconds, run)
        cpu_s = time.process_time() - begin
        deadline = time.monotonic() + PATIENCE_S
        while self.clients and len(self.delays) < sent and time.monotonic() < deadline:
            await asyncio.sleep(_TICK_S)
        return {"sent": sent, "cpu_s": cpu_s, "delays": sorted(self.delays)}

    async def _offer(self, rate: float, seconds: float, do: Any) -> int:
        begin, sent = time.monotonic(), 0
        while (now := time.monotonic() - begin) < seconds:
            while sent < rate * now:
                hub = self.hubs[sent * 7919 % len(self.hubs)]
                if hub.transport is not None:
                    do(hub)
                sent += 1
            await asyncio.sleep(_TICK_S)
        return sent


def _entry(number: int) -> dict[str, Any]:
    """What a directory has of a kernel."""
    return {
        "hub": f"train-{number}",
        "user": "alice",
        "host": f"node{number // 8:04}.cluster.example.org",
        "state": "idle",
        "generation": 1,
        "python": "3.11.7",
        "engine": "ipython",
        "rank": number,
        "since": STARTED_S,
        "protocol": 1,
    }


def _line(message: dict[str, Any]) -> bytes:
    return json.dumps(message).encode() + b"\n"


_BUSY, _IDLE = _line({"state": "busy"}), _line({"state": "idle"})


async def main() -> None:
    """Do what the commands say."""
    loop = asyncio.get_running_loop()
    settings = json.loads(sys.argv[1])
    crowd = Crowd(**settings)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        command = json.loads(line)
        if "connect" in command:
            answer = await crowd.connect(command["connect"])
        elif "clients" in command:
            answer = await crowd.join(command["clients"])
        elif "beat" in command:
            answer = await crowd.beat(command["beat"], command["every"])
        else:
            answer = await crowd.execute(command["rate"], command["seconds"])
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(main())
