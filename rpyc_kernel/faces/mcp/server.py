"""The agent's tools and resources in the words of the Model Context Protocol."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from typing import Annotated, Any, Final

from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ToolError
from mcp_types import CallToolResult, ImageContent, TextContent, ToolAnnotations
from pydantic import Field

from rpyc_kernel.core.contract import RELEASE
from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.mcp.agent import Agent, Answer
from rpyc_kernel.faces.mcp.agents import Agents
from rpyc_kernel.faces.mcp.subscriptions import TRANSCRIPT, Subscriptions

_INSTRUCTIONS: Final = """\
One live Python interpreter that you share with people and other agents. What you run is seen by all of them under your
name, in the same namespace: variables that you set are there for them, and theirs for you. Look before you run: \
variables, inspect and table do not execute code, and answer while other code runs. What takes long goes on after \
execute has answered; wait for it. If you are here to ask first, your code waits until a person lets it run."""
_LOOKS: Final = ToolAnnotations(read_only_hint=True, open_world_hint=False)
_RUNS: Final = ToolAnnotations(read_only_hint=False, destructive_hint=True, open_world_hint=True)
_STEERS: Final = ToolAnnotations(read_only_hint=False, destructive_hint=False, open_world_hint=False)
_LONGEST_S: Final = 3600.0
_FACTS: Final = "rpyc-kernel/facts"
"""Where a result has its facts for programs, in `_meta`."""
_CALLER: Final[ContextVar[str]] = ContextVar("caller", default="")
"""What the program is called whose request is being answered: resources are not told."""

_Seconds = Annotated[float, Field(ge=0, le=_LONGEST_S, description="how long to wait, in seconds; the code goes on")]
_Chars = Annotated[
    int | None, Field(ge=0, description="the most text to answer with; the middle of what is longer is left out")
]
_Sort = Annotated[list[str | int | list[Any]], Field(description='columns, each alone or as ["price", "descending"]')]
_Where = Annotated[list[list[Any]], Field(description='conditions, as ["price", ">", 10]')]
_Execution = Annotated[int, Field(description="its number")]


def make_server(agents: Agents, name: str) -> MCPServer[Any]:
    """A server by which agents use a kernel.

    Args:
        agents: who they are.
        name: of the kernel.
    """

    def find_agent() -> Agent:
        return agents.find(_CALLER.get())

    subscriptions = Subscriptions(find_agent)
    server: MCPServer[Any] = MCPServer(
        f"rpyc-kernel {name}",
        instructions=_INSTRUCTIONS,
        version=RELEASE,
        log_level="WARNING",
        lifespan=subscriptions.run,
        subscriptions=False,
        middleware=[_note_caller],
    )
    subscriptions.add_to(server)
    _add_tools(server, find_agent)
    _add_resources(server, find_agent, subscriptions.note_read)
    return server


async def _note_caller(ctx: ServerRequestContext[Any, Any], call_next: CallNext) -> HandlerResult:
    """Know what the program is called whose request it is."""
    params = ctx.session.client_params
    _CALLER.set("" if params is None else params.client_info.name)
    return await call_next(ctx)


def _add_tools(server: MCPServer[Any], find_agent: Callable[[], Agent]) -> None:
    async def answer(do: Callable[[Agent], Awaitable[Answer]]) -> CallToolResult:
        try:
            agent = find_agent()
            told = await do(agent)
        except KernelError as error:
            raise ToolError(_as_sendable(f"{type(error).__name__}: {error}")) from None
        content: list[Any] = [TextContent(type="text", text=agent.budget.spend(_as_sendable(told.text)))]
        content += [ImageContent(type="image", mime_type=each.mime, data=each.data) for each in told.pictures]
        # Not as structured content: programs there are give a model that alone, without text and pictures.
        meta = {_FACTS: told.facts} if told.facts else None
        return CallToolResult(content=content, _meta=meta, is_error=told.is_error)

    def report_to(context: Context[Any, Any]) -> Any:
        count = 0

        async def report(words: str) -> None:
            nonlocal count
            count += 1
            await context.report_progress(count, message=words)

        return report

    @server.tool(annotations=_RUNS)
    async def execute(
        context: Context[Any, Any],
        code: Annotated[str, Field(description="Python; the value of the last expression is answered")],
        timeout_s: _Seconds = 30.0,
        max_chars: _Chars = None,
        on_timeout: Annotated[
            str, Field(pattern="^(leave|interrupt)$", description="what then becomes of it")
        ] = "leave",
    ) -> CallToolResult:
        """Run Python in the shared namespace; answers with what it prints, its value, its error and its pictures."""
        interrupts, progress = on_timeout == "interrupt", report_to(context)
        return await answer(lambda agent: agent.execute(code, timeout_s, max_chars, interrupts, progress))

    @server.tool(annotations=_LOOKS)
    async def wait(
        context: Context[Any, Any], execution: _Execution, timeout_s: _Seconds = 30.0, max_chars: _Chars = None
    ) -> CallToolResult:
        """Wait for the end of an execution, and see what became of it; with timeout_s=0 see it now."""
        return await answer(lambda agent: agent.wait(execution, timeout_s, max_chars, report_to(context)))

    @server.tool(annotations=_LOOKS)
    async def read_output(
        execution: _Execution,
        start: Annotated[int, Field(ge=0, description="the first character")] = 0,
        max_chars: _Chars = None,
    ) -> CallToolResult:
        """Read a part of the text that execute or wait answers, as where its middle was left out."""
        return await answer(lambda agent: agent.read_output(execution, start, max_chars))

    @server.tool(annotations=_STEERS)
    async def interrupt(execution: int | None = None) -> CallToolResult:
        """Interrupt an execution, or take it out of the queue; without a number what runs now, whoever's it is."""
        return await answer(lambda agent: agent.interrupt(execution))

    @server.tool(name="answer", annotations=_STEERS)
    async def answer_prompt(
        text: Annotated[str | None, Field(description="without a line end; null is end-of-file")],
        execution: int | None = None,
    ) -> CallToolResult:
        """Answer what code asks by input()."""
        return await answer(lambda agent: agent.answer(text, execution))

    @server.tool(annotations=_LOOKS)
    async def status() -> CallToolResult:
        """See what the kernel does, what waits, who is here, and who you are."""
        return await answer(lambda agent: agent.status())

    @server.tool(annotations=_LOOKS)
    async def variables(
        start: Annotated[int, Field(ge=0)] = 0,
        count: Annotated[int, Field(ge=0, le=1000)] = 100,
    ) -> CallToolResult:
        """List the variables, with type, size and a short preview. Executes nothing."""
        return await answer(lambda agent: agent.variables(start, count))

    @server.tool(annotations=_LOOKS)
    async def inspect(
        path: Annotated[str, Field(description="a name or a path, as df.groupby or servers[0]")],
    ) -> CallToolResult:
        """See the type, signature, documentation and source of what stands at a path. Executes nothing."""
        return await answer(lambda agent: agent.inspect(path))

    @server.tool(annotations=_LOOKS)
    async def table(
        path: Annotated[str, Field(description="what leads to a data frame, array or list")],
        first_row: Annotated[int, Field(ge=0)] = 0,
        rows: Annotated[int, Field(ge=0, le=500)] = 20,
        first_column: Annotated[int, Field(ge=0)] = 0,
        columns: Annotated[int, Field(ge=0, le=100)] = 20,
        sort: _Sort = [],  # noqa: B006 - never changed
        where: _Where = [],  # noqa: B006
    ) -> CallToolResult:
        """See a rectangle of a table, sorted and filtered without a copy. Executes nothing."""
        rectangle = (first_row, first_row + rows), (first_column, first_column + columns)
        return await answer(lambda agent: agent.table(path, *rectangle, sort, where))

    @server.tool(annotations=_LOOKS)
    async def figures(count: Annotated[int, Field(ge=1, le=4)] = 1) -> CallToolResult:
        """See the newest figures that anybody's code has shown."""
        return await answer(lambda agent: agent.figures(count))

    @server.tool(annotations=_LOOKS)
    async def history(
        count: Annotated[int, Field(ge=1, le=1000)] = 20,
        pattern: Annotated[str, Field(description="a text that the code contains")] = "",
    ) -> CallToolResult:
        """See what was run lately, by whom."""
        return await answer(lambda agent: agent.history(count, pattern))


def _add_resources(server: MCPServer[Any], find_agent: Callable[[], Agent], note_read: Callable[[int], object]) -> None:
    async def read(look: Callable[[Agent], Awaitable[str]]) -> str:
        try:
            agent = find_agent()
            return agent.budget.spend(_as_sendable(await look(agent)))
        except KernelError as error:
            raise ResourceError(_as_sendable(f"{type(error).__name__}: {error}")) from None

    async def read_transcript(since: int | None) -> str:
        async def look(agent: Agent) -> str:
            text, cursor = await agent.transcript(since, 500)
            note_read(cursor)
            return text

        return await read(look)

    @server.resource(TRANSCRIPT, mime_type="text/plain")
    async def transcript() -> str:
        """What happened lately in the kernel, by everybody, as a person would see it; can be subscribed to."""
        return await read_transcript(None)

    @server.resource(f"{TRANSCRIPT}/{{since}}", mime_type="text/plain")
    async def transcript_since(since: str) -> str:
        """What happened after an event; ends with the number to go on from."""
        if not (since.isascii() and since.isdigit() and len(since) < 20):
            raise ResourceError(
                f"{since[:40]!a} is not the number of an event; the transcript ends with the one to go on from"
            )
        return await read_transcript(int(since))

    @server.resource("kernel://variables", mime_type="text/plain")
    async def variables() -> str:
        """The variables, by name."""

        async def list_them(agent: Agent) -> str:
            return (await agent.variables(0, 1000)).text

        return await read(list_them)


def _as_sendable(text: str) -> str:
    """A text without what is no Unicode: the SDK ends a server that sends half a surrogate."""
    return text.encode("utf-8", "backslashreplace").decode()
