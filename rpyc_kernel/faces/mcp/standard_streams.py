"""An agent on standard input and output: what the SDK would leave unanswered there is refused."""

from __future__ import annotations

import json
from typing import Any

import anyio
from mcp.server.mcpserver import MCPServer
from mcp.server.stdio import stdio_server
from mcp.shared.message import SessionMessage
from mcp_types import INVALID_REQUEST, PARSE_ERROR, ErrorData, JSONRPCError
from pydantic import ValidationError

from rpyc_kernel.faces.mcp.agents import Agents


async def serve_standard_streams(server: MCPServer[Any], agents: Agents) -> None:
    """Serve until standard input ends."""
    inner = server._lowlevel_server  # the SDK has no other way to serve on streams of one's own
    async with stdio_server() as (incoming, outgoing):
        sender, receiver = anyio.create_memory_object_stream[Any](0)

        async def pass_on() -> None:
            async with sender:
                async for item in incoming:
                    if not isinstance(item, Exception):
                        await sender.send(item)
                    elif refusal := refuse(item):
                        await outgoing.send(SessionMessage(refusal))
                agents.is_leaving = True

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(pass_on)
            await inner.run(receiver, outgoing, inner.create_initialization_options())


def refuse(error: Exception) -> JSONRPCError | None:
    """The answer to a line that is no message, as who sent it might wait for ever; None to an empty one."""
    told = error.errors()[0] if isinstance(error, ValidationError) else None
    if told is None or told["type"] != "json_invalid":
        return JSONRPCError(jsonrpc="2.0", id=None, error=ErrorData(code=INVALID_REQUEST, message="this is no request"))
    line, fault = str(told["input"]), ErrorData(code=PARSE_ERROR, message=str(told["msg"]))
    return JSONRPCError(jsonrpc="2.0", id=_find_id(line), error=fault) if line.strip() else None


def _find_id(line: str) -> int | str | None:
    """Whose request that was, where JSON is sound but for half a surrogate, which has no place in UTF-8."""
    try:
        number = json.loads(line)["id"]
    except (ValueError, RecursionError, LookupError, TypeError):
        return None
    return number if type(number) is int or (isinstance(number, str) and number.isascii()) else None
