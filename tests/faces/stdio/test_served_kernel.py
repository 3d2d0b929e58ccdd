"""A kernel that is served, by a client that answers when the test wants it to."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import Future
from typing import Any

import pytest

from rpyc_kernel.core import commands
from rpyc_kernel.core.commands import Command
from rpyc_kernel.faces.stdio.peer import Request
from rpyc_kernel.faces.stdio.served_kernel import ServedKernel

QUEUED = [[1, 0.0, "queued", 7, "session", {"code": "x", "name": "ada"}]]


class Client:
    """Keeps what is asked, with the futures that wait for it."""

    is_connected, session = True, "session"

    def __init__(self) -> None:
        self.asked: list[tuple[Command[Any], tuple[Any, ...], Future[Any]]] = []

    def begin(self, command: Command[Any], *arguments: Any) -> Future[Any]:
        self.asked.append((command, arguments, Future()))
        return self.asked[-1][2]

    def fileno(self) -> int:
        return -1

    def read_ready(self, waited_s: float) -> bool:
        return True

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("turns", range(4))
def test_code_that_is_taken_back_is_called_off_whenever_that_is(turns: int) -> None:
    async def take_back() -> None:
        client = Client()
        responses: list[Any] = []
        kernel = ServedKernel(client, "k1", None)  # type: ignore[arg-type]
        request = Request("code/run", responses.append, set(), is_awaited=True)
        options: dict[str, Any] = {"stop_on_error": True, "file": None, "first_line": 1, "lane": "main"}
        kernel.run_code(request, code="x", max_chars=10, report=None, **options)
        client.asked[0][2].set_result((1, json.dumps(QUEUED)))  # it takes longer
        for _ in range(turns):
            await asyncio.sleep(0)
        request.cancel()
        for _ in range(5):
            await asyncio.sleep(0)
        called_off = [arguments for command, arguments, _ in client.asked if command is commands.CANCEL]
        assert (called_off, [response["error"]["code"] for response in responses]) == ([(7,)], [-32800])
        await kernel.close()

    asyncio.run(take_back())
