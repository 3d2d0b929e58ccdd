"""The agents' server, as the SDK's own client has it: over standard input and output, and over HTTP."""

import base64
import json
import os
import re
import signal
import subprocess
import sys
import warnings
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

import rpyc_kernel
from tests.end_to_end.clients import PATIENCE_S, ROOT
from tests.end_to_end.commands import run_command
from tests.end_to_end.kernels import SharedKernel
from tests.support.processes import list_descendants, read_command

mcp = pytest.importorskip("mcp", reason="the SDK of the Model Context Protocol is not installed")
httpx2 = pytest.importorskip("httpx2")

from mcp.client.stdio import StdioServerParameters  # noqa: E402
from mcp.client.streamable_http import streamable_http_client  # noqa: E402
from mcp_types import Implementation  # noqa: E402

from rpyc_kernel.faces.mcp.agents import Agents  # noqa: E402
from rpyc_kernel.faces.mcp.server import make_server  # noqa: E402

pytestmark = pytest.mark.shares_kernel

PICTURE = base64.b64encode(b"\x89PNG not really").decode()


@asynccontextmanager
async def agent_of(*arguments: str, name: str = "helper", **options: Any) -> AsyncIterator[Any]:
    """A client of a server on pipes."""
    parameters = StdioServerParameters(
        command=sys.executable,
        args=["-m", "rpyc_kernel", "serve", "demo", "--mcp", *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    async with mcp.Client(parameters, client_info=Implementation(name=name, version="1"), **options) as client:
        yield client


def with_agent(use: Callable[[Any], Awaitable[None]], *arguments: str, **options: Any) -> None:
    """Have an agent do something."""

    async def run() -> None:
        with anyio.fail_after(PATIENCE_S):
            async with agent_of(*arguments, **options) as client:
                await use(client)

    anyio.run(run)


@pytest.fixture(scope="module")
def shared_agent(shared_kernels: Callable[[str], SharedKernel]) -> Iterator[Callable[..., None]]:
    """Has an agent do something that several tests have, one after the other: its server takes a second to load."""
    shared = shared_kernels("auto")
    with start_blocking_portal() as portal, ExitStack() as opened:
        with pytest.MonkeyPatch.context() as patch:
            for name, value in shared.folders.environment.items():
                patch.setenv(name, value)
            shared.make_ready()
            client = opened.enter_context(portal.wrap_async_context_manager(agent_of()))
        shared.spared = {each.pid for each in list_descendants() if "--mcp" in read_command(each.pid)}

        async def run(use: Callable[[Any], Awaitable[None]]) -> None:
            with anyio.fail_after(PATIENCE_S):
                await use(client)

        yield lambda use: portal.call(run, use)


def in_this_process(use: Callable[[Any], Awaitable[None]], *, role: str = "editor", **options: Any) -> None:
    """Have an agent do something whose server is part of the test, which takes a third of the time."""

    async def run() -> None:
        agents = Agents("demo", role=role, max_chars=500)
        try:
            with anyio.fail_after(PATIENCE_S):
                async with mcp.Client(make_server(agents, "demo"), **options) as client:
                    await use(client)
        finally:
            await agents.close()

    anyio.run(run)


async def call(client: Any, tool: str, **arguments: Any) -> tuple[str, Any]:
    """Call a tool; returns its text and the whole result."""
    result = await client.call_tool(tool, arguments)
    return "\n".join(each.text for each in result.content if each.type == "text"), result


class Server:
    """A server on pipes, and no client."""

    def __init__(self) -> None:
        command = [sys.executable, "-m", "rpyc_kernel", "serve", "demo", "--mcp"]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        client = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "raw", "version": "1"}}
        self.write_line(json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": client}).encode())
        assert self.read_answer()["id"] == 1
        self.write_line(b'{"jsonrpc": "2.0", "method": "notifications/initialized"}')

    def write_line(self, line: bytes) -> None:
        """Say something."""
        self.process.stdin.write(line + b"\n")
        self.process.stdin.flush()

    def read_answer(self) -> Any:
        """The next line."""
        return json.loads(self.process.stdout.readline())

    def call(self, tool: str, **arguments: Any) -> None:
        """Call a tool by request 2."""
        params = {"name": tool, "arguments": arguments}
        self.write_line(json.dumps({"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": params}).encode())


@pytest.fixture
def start_server():
    """Start servers, which end with the test."""
    started = []

    def start() -> Server:
        started.append(Server())
        return started[-1]

    yield start
    for server in started:
        server.process.kill()
        with server.process:
            pass


# ------------------------------------------------------------------ what it is for


def test_it_lists_what_an_agent_can_do_and_what_only_looks(demo, shared_agent):
    async def use(client):
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        looks = {name for name, tool in tools.items() if tool.annotations.read_only_hint}
        assert tools.keys() - looks == {"execute", "interrupt", "answer"}
        assert {"variables", "table", "figures", "inspect", "history", "status", "wait", "read_output"} == looks
        assert all(tool.description for tool in tools.values())
        assert {str(each.uri) for each in (await client.list_resources()).resources} == {
            "kernel://transcript",
            "kernel://variables",
        }

    shared_agent(use)


def test_an_agent_and_a_person_share_a_namespace_and_the_journal_says_who_did_what(kernel, shared_agent):
    kernel.execute("prices = [3, 5, 8]", timeout=PATIENCE_S)

    async def use(client):
        text, result = await call(client, "execute", code="print('hello'); total = sum(prices); total")
        assert text.splitlines()[1:] == ["hello", "=> 16"]
        assert result.structured_content is None  # beside which some programs hand on neither text nor pictures
        assert (result.meta["rpyc-kernel/facts"]["state"], result.is_error) == ("ok", False)
        assert "prices: list (3) = [3, 5, 8]" in (await call(client, "variables"))[0]
        assert "sum(iterable" in (await call(client, "inspect", path="sum"))[0]
        text, _ = await call(client, "table", path="prices", where=[["value", ">", 4]])
        assert text.splitlines()[2:] == ["1\t5", "2\t8"]
        assert "helper (agent): print('hello')" in (await call(client, "history"))[0]
        assert "you are 'helper (agent)', editor" in (await call(client, "status"))[0]
        assert "[helper (agent)] hello" in (await client.read_resource("kernel://transcript")).contents[0].text
        assert "total: int = 16" in (await client.read_resource("kernel://variables")).contents[0].text
        assert "helper (agent)" in [each["name"] for each in kernel.sessions() if each["connections"]]

    shared_agent(use)
    assert kernel.eval("total") == 16
    events = [event for event in kernel.events(follow=False) if event.kind == "queued"]
    assert [event.name for event in events][-2:] == [kernel.client_name, "helper (agent)"]


def test_figures_come_as_pictures_also_those_of_others(kernel, shared_agent):
    code = f"from IPython.display import display\ndisplay({{'image/png': '{PICTURE}', 'text/plain': 'fig'}}, raw=True)"
    kernel.execute(code, timeout=PATIENCE_S)

    async def use(client):
        for tool, arguments in (("figures", {}), ("execute", {"code": code})):
            _, result = await call(client, tool, **arguments)
            pictures = [each for each in result.content if each.type == "image"]
            assert [(each.mime_type, each.data) for each in pictures] == [("image/png", PICTURE)]

    shared_agent(use)


def test_what_takes_long_goes_on_and_is_waited_for_or_interrupted(kernel, shared_agent):
    async def use(client):
        text, result = await call(client, "execute", code="import time\nwhile True: time.sleep(0.01)", timeout_s=0.2)
        number = result.meta["rpyc-kernel/facts"]["execution"]
        assert "still running" in text
        assert "still running" in (await call(client, "wait", execution=number, timeout_s=0))[0]
        assert "stopped" in (await call(client, "interrupt", execution=number))[0]
        assert "interrupted" in (await call(client, "wait", execution=number))[0]
        code = "import time\nwhile True: time.sleep(0.01)"
        assert "interrupted" in (await call(client, "execute", code=code, timeout_s=0.2, on_timeout="interrupt"))[0]

    shared_agent(use)


def test_prompts_are_told_and_answered_and_half_a_surrogate_in_one_ends_no_server(kernel, shared_agent):
    async def use(client):
        text, _ = await call(client, "execute", code=r"input('\ud800?')")
        assert "asks" in text
        assert r"\ud800?" in (await client.read_resource("kernel://transcript")).contents[0].text
        assert "answered" in (await call(client, "answer", text=""))[0]
        text, result = await call(client, "execute", code="name = input('who? ')")
        assert "asks 'who? '" in text
        assert "answered" in (await call(client, "answer", text="me"))[0]
        assert "ok" in (await call(client, "wait", execution=result.meta["rpyc-kernel/facts"]["execution"]))[0]

    shared_agent(use)
    assert kernel.eval("name") == "me"


def test_progress_is_told_with_what_is_printed_and_who_cancels_a_call_ends_its_code(kernel, shared_agent):
    async def use(client):
        heard = []
        is_told = anyio.Event()

        async def hear(progress, total, message):
            heard.append(message)
            if message.endswith("running, epoch 2 \\ud800"):
                is_told.set()

        with anyio.move_on_after(30) as scope:
            async with anyio.create_task_group() as tasks:

                async def run():
                    code = r"print('epoch 1\nepoch 2 \ud800')" + "\nimport time\nwhile True: time.sleep(0.01)"
                    await client.call_tool("execute", {"code": code, "timeout_s": 60}, progress_callback=hear)

                tasks.start_soon(run)
                await is_told.wait()
                tasks.cancel_scope.cancel()
        assert not scope.cancelled_caught, heard
        assert kernel.execute("'free again'", timeout=PATIENCE_S).value == "free again"

    shared_agent(use)
    ended = [event.outcome for event in kernel.events(follow=False) if event.kind == "finished"]
    assert ended[-2:] == ["interrupted", "ok"]


def test_who_subscribes_is_told_that_the_transcript_has_grown_once_after_each_reading(kernel, shared_agent):
    async def use(client):
        assert client.server_capabilities.resources.subscribe
        wanted = ["kernel://transcript", "kernel://variables"]
        async with client.listen(resource_subscriptions=wanted) as news:
            assert news.honored.resource_subscriptions == ["kernel://transcript"]
            for number in range(2):
                code = f"for i in range(1000): print({number})"
                await call(client, "execute", code=code)
                assert (await anext(news)).uri == "kernel://transcript"
                assert f"{number}\n" in (await client.read_resource("kernel://transcript")).contents[0].text
        text, _ = await call(client, "execute", code="'goes on'")
        assert "goes on" in text

    shared_agent(use)


def test_clients_of_the_older_protocol_subscribe_too_and_one_that_has_left_them_is_told_nothing(kernel):
    heard, told = [], anyio.Event()

    async def hear(message):
        heard.append(message.params.uri)
        told.set()

    async def use(client):
        assert client.server_capabilities.resources.subscribe
        with pytest.raises(mcp.MCPError, match="only kernel://transcript can be subscribed to"):
            await client.session.subscribe_resource("kernel://variables")
        await client.session.subscribe_resource("kernel://transcript")
        await call(client, "execute", code="1")
        await told.wait()
        for code in ("print(2)", "print(3)"):  # of which it hears when it has read what it heard of
            await call(client, "execute", code=code)
        await client.session.unsubscribe_resource("kernel://transcript")
        for code in ("2", "3"):
            await client.read_resource("kernel://transcript")
            await call(client, "execute", code=code)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", mcp.MCPDeprecationWarning)
        in_this_process(use, mode="legacy", message_handler=hear)
    assert heard == ["kernel://transcript"]


# ------------------------------------------------------------------ limits and refusals


def test_output_is_limited_by_the_call_and_by_the_budget(kernel):
    async def use(client):
        text, result = await call(client, "execute", code="print('a' * 5000 + 'z' * 5000)", max_chars=200)
        assert 200 < len(text) < 500
        assert "9,801 characters are left out" in text
        assert text.rstrip().endswith("z")
        number = result.meta["rpyc-kernel/facts"]["execution"]
        part, result = await call(client, "read_output", execution=number, start=4998, max_chars=100)
        assert part.endswith("aa" + "z" * 98)
        assert result.meta["rpyc-kernel/facts"]["all_chars"] == 10_001
        text = ""
        for _ in range(5):
            text, _ = await call(client, "execute", code="print('b' * 900)")
        assert "the output that this agent may have, 2,000 characters, is used up" in text
        assert len(text) < 200
        heard = []

        async def hear(progress, total, message):
            heard.append(message)

        code = "print('by another way')\nimport time\nwhile True: time.sleep(0.01)"
        loop = {"code": code, "timeout_s": 0.2, "on_timeout": "interrupt"}
        await client.call_tool("execute", loop, progress_callback=hear)
        assert heard
        assert "another way" not in "".join(heard)

    with_agent(use, "--max-output", "1000", "--budget", "2000")


def test_what_is_left_out_can_be_read_also_of_values_and_errors(kernel, shared_agent):
    async def use(client):
        for code, end in (("'a' * 1000", "a'\n"), ("print('\x1b[31m' * 90)\nraise ValueError('b' * 1000)", "b\n")):
            text, _ = await call(client, "execute", code=code, max_chars=200)
            execution, start = re.search(r"read_output\(execution=(\d+), start=(\d+)\)", text).groups()
            before = text.partition("\n")[2].partition("\n[...")[0]
            part, _ = await call(client, "read_output", execution=int(execution), start=int(start))
            whole, _ = await call(client, "read_output", execution=int(execution))
            assert whole.partition("\n")[2] == before + part.partition("\n")[2]
            assert whole.endswith(end)

    shared_agent(use)


def test_no_answer_is_longer_than_its_limit(kernel):
    names = "for i in range(400): globals()[f'v{i}'] = 'x' * 90"
    kernel.execute(names, timeout=PATIENCE_S)

    async def use(client):
        for tool, arguments in (("variables", {"count": 1000}), ("history", {}), ("inspect", {"path": "print"})):
            text, result = await call(client, tool, **arguments)
            assert len(text) < 700
            assert len(result.model_dump_json()) < 1200, tool
        await call(client, "execute", code="print('start'); [print(i) for i in range(900)]; print('end')")
        lately = (await client.read_resource("kernel://transcript")).contents[0].text
        assert len(lately) < 700
        assert "\nend\n" in lately or " end\n" in lately
        before, cursor, told = -1, 0, ""
        while before < cursor:
            text = (await client.read_resource(f"kernel://transcript/{cursor}")).contents[0].text
            told, _, word = (told + text).rpartition("\n[up to event ")
            before, cursor = cursor, int(word.partition(";")[0])
        assert names in told
        queued = next(each for each in kernel.events(follow=False) if each.kind == "queued" and each.code == names)
        # However a page is cut, what began in it is told with its code.
        assert names in (await client.read_resource(f"kernel://transcript/{queued.seq}")).contents[0].text

    in_this_process(use)


def test_a_viewer_sees_and_is_refused_what_it_may_not(kernel):
    kernel.execute("seen = 1", timeout=PATIENCE_S)

    async def use(client):
        text, result = await call(client, "execute", code="seen = 2")
        assert result.is_error
        assert "NotPermitted" in text
        assert "cannot execute code" in text
        assert "seen = 1" in (await call(client, "history"))[0]

    in_this_process(use, role="viewer")
    assert kernel.eval("seen") == 1


def test_who_asks_first_waits_for_a_persons_yes(kernel):
    async def use(client):
        text, result = await call(client, "execute", code="asked = 1", timeout_s=0.1)
        number = result.meta["rpyc-kernel/facts"]["execution"]
        assert "waits until a person lets it run" in text
        assert kernel.eval("'asked' in globals()") is False
        await anyio.to_thread.run_sync(kernel.approve, number)
        assert "ok" in (await call(client, "wait", execution=number))[0]
        _, result = await call(client, "execute", code="asked = 2", timeout_s=0.1)
        await anyio.to_thread.run_sync(kernel.decline, result.meta["rpyc-kernel/facts"]["execution"], "not today")
        text, _ = await call(client, "wait", execution=result.meta["rpyc-kernel/facts"]["execution"])
        assert "cancelled" in text
        assert "not today" in text

    with_agent(use, "--role", "asker")
    assert kernel.eval("asked") == 1


def test_what_is_wrong_with_a_call_is_said_of_that_call_alone(kernel, shared_agent):
    async def use(client):
        for tool, arguments, word in (
            ("execute", {"code": 5}, "valid string"),
            ("execute", {}, "Field required"),
            (
                "execute",
                {"code": "\ud800".encode("utf-16", "surrogatepass").decode("utf-16", "replace")},
                "SyntaxError",
            ),
            ("execute", {"code": "1 / 0"}, "ZeroDivisionError"),
            ("wait", {"execution": 10**6}, "there is no execution"),
            ("table", {"path": "nothing"}, "NotAvailable"),
            ("table", {"path": "nothing", "where": [5]}, "valid list"),
            ("answer", {"text": "nobody asks"}, "NotAsked"),
            ("nonsense", {}, "Unknown tool"),
        ):
            text, result = await call(client, tool, **arguments)
            assert result.is_error, tool
            assert word in text, text
        for since, word in (("abc", "is not the number of an event"), ("-5", "is not the number of an event")):
            with pytest.raises(mcp.MCPError, match=word):
                await client.read_resource(f"kernel://transcript/{since}")
        late = (await client.read_resource(f"kernel://transcript/{10**18}")).contents[0].text
        assert int(re.search(r"up to event (\d+)", late)[1]) < 10**6
        assert "there is no 'nothing'" in (await call(client, "inspect", path="nothing"))[0]
        assert "=> 42" in (await call(client, "execute", code="6 * 7"))[0]

    shared_agent(use)


def test_hundreds_of_calls_at_once_are_answered(kernel, shared_agent):
    async def use(client):
        answered = []

        async def one(number):
            answered.append((number, (await call(client, "inspect", path="print"))[1].is_error))

        async with anyio.create_task_group() as tasks:
            for number in range(300):
                tasks.start_soon(one, number)
        assert sorted(answered) == [(number, False) for number in range(300)]

    shared_agent(use)


# ------------------------------------------------------------------ faults


def test_lines_that_are_no_requests_are_refused_and_the_server_goes_on(kernel, start_server):
    server = start_server()
    call = {"jsonrpc": "2.0", "id": "c", "method": "tools/call", "params": {"name": "execute", "arguments": {}}}
    call["params"]["arguments"]["code"] = "x = '\ud800'"
    for line, answered, code in (
        (b"{no json", None, -32700),
        (b"\xff\xfe", None, -32700),
        (b"[" * 10_000, None, -32700),
        (b"[1]", None, -32600),
        (json.dumps(call).encode(), "c", -32700),
    ):
        server.write_line(line)
        answer = server.read_answer()
        assert (answer["id"], answer["error"]["code"]) == (answered, code)
    server.write_line(b"")
    server.write_line(b'{"jsonrpc": "2.0", "id": 2, "method": "ping"}')
    assert server.read_answer()["id"] == 2


@pytest.mark.parametrize("leave", ["end of input", "interrupt"])
def test_who_leaves_ends_no_code(kernel, start_server, leave):
    server, seen = start_server(), kernel.status()["last"]
    server.call("execute", code="import time\nleft = True\nwhile left: time.sleep(0.01)")
    follower = kernel.events(seen)
    next(event for event in follower if event.kind == "started")
    if leave == "interrupt":
        server.process.send_signal(signal.SIGINT)
    else:
        server.process.stdin.close()
    assert server.process.wait(PATIENCE_S) == (-signal.SIGINT if leave == "interrupt" else 0)
    assert kernel.eval("setattr(__import__('sys').modules['__main__'], 'left', False)") is None
    assert next(event for event in follower if event.kind == "finished").outcome == "ok"


def test_who_cancels_at_once_ends_its_code_as_well(kernel, start_server):
    server = start_server()
    server.call("status")
    assert server.read_answer()["id"] == 2
    server.call("execute", code="import time\nwhile True: time.sleep(0.01)")
    server.write_line(b'{"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 2}}')
    server.write_line(b'{"jsonrpc": "2.0", "id": 3, "method": "ping"}')
    assert server.read_answer()["id"] == 3
    assert kernel.execute("'free'", timeout=PATIENCE_S).value == "free"


@pytest.mark.own_kernel
def test_a_killed_hub_comes_back_and_a_killed_worker_is_told(kernel):
    async def use(client):
        async with AsyncExitStack() as opened:
            await lose_both(client, opened)

    async def lose_both(client, opened):
        await call(client, "execute", code="kept = 1")
        news = await opened.enter_async_context(client.listen(resource_subscriptions=["kernel://transcript"]))
        code = "import time\nwhile kept == 1: time.sleep(0.01)"
        text, result = await call(client, "execute", code=code, timeout_s=0.1)
        assert "connection" not in text
        number, pid = result.meta["rpyc-kernel/facts"]["execution"], kernel.status()["hub_pid"]

        async def kill_hub(*_):
            os.kill(pid, signal.SIGKILL)

        waiting = {"execution": number, "timeout_s": 1}
        result = await client.call_tool("wait", waiting, progress_callback=kill_hub)
        assert "still running" in result.content[0].text
        assert "[as far as is known: " in result.content[0].text
        await anyio.to_thread.run_sync(lambda: rpyc_kernel.start("demo", timeout=PATIENCE_S).close())
        assert "connection" not in (await call(client, "wait", execution=number, timeout_s=0))[0]
        for _ in range(2):  # of what was before, and of what the next hub tells
            assert (await anext(news)).uri == "kernel://transcript"
            await client.read_resource("kernel://transcript")
            await call(client, "execute", code="1", timeout_s=0)
        await call(client, "interrupt", execution=number)
        assert "=> 1" in (await call(client, "execute", code="kept"))[0]
        text, result = await call(client, "execute", code="import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
        assert result.is_error
        assert text.endswith("; the variables are gone with its process")
        assert "=> 2" in (await call(client, "execute", code="1 + 1"))[0]

    with_agent(use)


def test_without_the_kernel_it_is_started(folders):
    async def use(client):
        assert "=> 42" in (await call(client, "execute", code="6 * 7"))[0]

    with_agent(use)


# ------------------------------------------------------------------ over HTTP


def test_over_http_only_who_has_the_token_is_served_and_no_page_of_a_browser(kernel, start_command):
    command = start_command("serve", "demo", "--mcp", "--http", "0", "--as", "remote agent")
    told = json.loads(command.read_line())

    async def use() -> None:
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {told['token']}"}) as http:
            async with mcp.Client(streamable_http_client(told["url"], http_client=http)) as client:
                assert "=> 42" in (await call(client, "execute", code="6 * 7"))[0]
            forwarded = await http.post(told["url"], json={}, headers={"Host": "localhost:9000"})
            assert forwarded.status_code not in (401, 403, 421)
            refused = await http.post(told["url"], json={}, headers={"Origin": "http://elsewhere.example"})
            assert refused.status_code == 403
            refused = await http.post(told["url"], json={}, headers={"Host": "elsewhere.example"})
            assert refused.status_code == 421
        async with httpx2.AsyncClient() as http:
            for headers in ({}, {"Authorization": "Bearer wrong"}):
                answer = await http.post(told["url"], json={}, headers=headers)
                assert (answer.status_code, "token" in answer.text) == (401, True)

    anyio.run(use)
    assert kernel.history("6 * 7")[-1].name == "remote agent"


def test_two_programs_of_one_http_server_are_two_sessions_under_their_own_names(kernel, start_command):
    told = json.loads(start_command("serve", "demo", "--mcp", "--http", "0").read_line())

    async def use() -> None:
        headers = {"Authorization": f"Bearer {told['token']}"}
        for name, mode in (("claude", "auto"), ("cursor", "legacy"), ("claude", "auto")):
            async with httpx2.AsyncClient(headers=headers) as http:
                who = Implementation(name=name, version="1")
                async with mcp.Client(
                    streamable_http_client(told["url"], http_client=http), client_info=who, mode=mode
                ) as client:
                    assert f"you are '{name} (agent)'" in (await call(client, "status"))[0]
                    await call(client, "execute", code=repr(name))

    anyio.run(use)
    queued = [event for event in kernel.events(follow=False) if event.kind == "queued"][-3:]
    assert [event.name for event in queued] == ["claude (agent)", "cursor (agent)", "claude (agent)"]
    first, second, third = (event.session for event in queued)
    assert (first == third, first == second) == (True, False)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["--mcp", "--role", "king"], "viewer, asker, editor, owner"),
        (["--stdio", "--http", "0"], "add --mcp"),
        (["--mcp", "--http", "0.0.0.0:0"], "is not this machine"),
    ],
)
def test_a_wrong_command_line_says_what_to_do(folders, arguments, word):
    result = run_command("serve", "demo", *arguments)
    assert (result.returncode, word in result.stderr) == (2, True)
