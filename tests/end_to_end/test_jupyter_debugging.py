"""Debugging cells over Jupyter's protocol: breakpoints, what can be seen there, and every way out of a stop."""

import os
import signal
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient

import rpyc_kernel
from tests.end_to_end.notebooks import (
    PATIENCE_S,
    Message,
    Notebook,
    Open,
    ask_control,
    install_spec,
    take_output,
    take_reply,
    take_until,
    text_of,
)
from tests.support.waiting import wait_until

pytest.importorskip("debugpy")

_CODE = """
def double(number):
    parts = [number]
    result = parts * 2
    return result

print(double(3))
"""


class Debugged:
    """A client that debugs."""

    def __init__(self, client: BlockingKernelClient) -> None:
        self.client = client
        self._seq = 0

    def ask(self, command: str, **arguments: Any) -> Message:
        self._seq += 1
        request = {"type": "request", "seq": self._seq, "command": command, "arguments": arguments}
        answer: Message = ask_control(self.client, "debug_request", request)["content"]
        assert (answer["type"], answer["request_seq"], answer["command"]) == ("response", self._seq, command)
        return answer

    def get(self, command: str, **arguments: Any) -> Message:
        answer = self.ask(command, **arguments)
        assert answer["success"], answer
        body: Message = answer["body"]
        return body

    def attach(self) -> None:
        self.get("initialize", clientID="test", adapterID="test", pathFormat="path")
        self.get("attach")

    def break_at(self, code: str, *lines: int) -> str:
        """Set breakpoints in a cell; returns its path."""
        path: str = self.get("dumpCell", code=code)["sourcePath"]
        places = [{"line": line} for line in lines]
        found = self.get("setBreakpoints", source={"path": path}, breakpoints=places, sourceModified=False)
        assert [place["line"] for place in found["breakpoints"] if place["verified"]] == list(lines)
        return path

    def take_stop(self) -> int:
        """Wait until code has stopped; returns the thread."""
        stop = take_until(self.client, "debug_event", event="stopped")[-1]["content"]
        thread: int = stop["body"]["threadId"]
        return thread

    def stack(self, thread: int) -> list[Message]:
        frames: list[Message] = self.get("stackTrace", threadId=thread)["stackFrames"]
        return frames

    def locals_at(self, frame: Message) -> dict[str, str]:
        scopes = self.get("scopes", frameId=frame["id"])["scopes"]
        found = self.get("variables", variablesReference=scopes[0]["variablesReference"])["variables"]
        return {variable["name"]: variable["value"] for variable in found}


def _stop(notebook: Notebook, code: str = _CODE, line: int = 4) -> tuple[Debugged, str, int]:
    """Run code up to a breakpoint; returns who debugs, the request and the thread."""
    debugged = Debugged(notebook.client)
    debugged.attach()
    debugged.break_at(code, line)
    request = notebook.client.execute(code)
    return debugged, request, debugged.take_stop()


def _assert_runs(client: BlockingKernelClient, code: str = "print('ok')", text: str = "ok\n") -> None:
    assert text_of(take_output(client, client.execute(code))) == text


@pytest.fixture(params=["ipython", "plain"])
def notebook(request: pytest.FixtureRequest, open_notebook: Open, monkeypatch: pytest.MonkeyPatch) -> Notebook:
    if request.param == "ipython":
        return open_notebook()
    rpyc_kernel.start("plain", engine="plain", timeout=PATIENCE_S).close()
    return _open_attached(open_notebook, "plain")


def _open_attached(open_notebook: Open, name: str) -> Notebook:
    if not Path(os.environ["JUPYTER_DATA_DIR"], "kernels", "attached").exists():
        install_spec(Path(os.environ["JUPYTER_DATA_DIR"]), "attached", attach=name)
    return open_notebook(spec="attached")


whatever_runs_cells = pytest.mark.parametrize("notebook", ["ipython"], indirect=True)
"""For what no engine has a part in: bridges, hubs, workers and the debugger do it."""


def test_a_cell_stops_at_a_breakpoint_and_is_led_on(notebook: Notebook) -> None:
    client = notebook.client
    debugged = Debugged(client)
    assert debugged.get("initialize", clientID="test", adapterID="test")["supportsConfigurationDoneRequest"]
    debugged.get("attach")
    path = debugged.break_at(_CODE, 4)
    debugged.get("configurationDone")
    request = client.execute(_CODE)
    thread = debugged.take_stop()

    frames = debugged.stack(thread)
    assert [(frame["name"], frame["line"], frame["source"]["path"]) for frame in frames] == [
        ("double", 4, path),
        ("<module>", 7, path),
    ]
    assert debugged.get("source", source={"path": path})["content"] == _CODE
    assert debugged.locals_at(frames[0]) == {"number": "3", "parts": "[3]"}
    assert debugged.get("evaluate", expression="parts[0] + 1", frameId=frames[0]["id"])["result"] == "4"

    assert not {"In", "exit", "_"} & set(debugged.locals_at(frames[1]))

    debugged.get("next", threadId=thread)
    assert debugged.take_stop() == thread
    after = debugged.stack(thread)[0]
    assert after["line"] == 5
    assert debugged.locals_at(after)["result"] == "[3, 3]"

    debugged.get("continue", threadId=thread)
    assert text_of(take_output(client, request)) == "[3, 3]\n"
    assert take_reply(client, request)["content"]["status"] == "ok"
    debugged.get("disconnect", restart=False, terminateDebuggee=True)
    _assert_runs(client, _CODE, "[3, 3]\n")


def test_a_step_behind_the_end_of_a_cell_leads_into_nothing_of_ours(notebook: Notebook) -> None:
    debugged, request, thread = _stop(notebook, "a = 1\nb = 2", 2)
    debugged.get("next", threadId=thread)
    assert take_reply(notebook.client, request)["content"]["status"] == "ok"
    debugged.get("disconnect")
    _assert_runs(notebook.client)


@whatever_runs_cells
def test_a_second_session_stops_where_the_first_did_not(notebook: Notebook) -> None:
    debugged, request, thread = _stop(notebook)
    debugged.get("disconnect")
    take_reply(notebook.client, request)
    debugged, request, thread = _stop(notebook, line=3)
    assert debugged.stack(thread)[0]["line"] == 3
    debugged.get("continue", threadId=thread)
    assert take_reply(notebook.client, request)["content"]["status"] == "ok"


def test_awaiting_code_and_subshells_stop_too(notebook: Notebook) -> None:
    client = notebook.client
    debugged, request, thread = _stop(notebook, "import asyncio\nawait asyncio.sleep(0)\nseen = 1\n", 3)
    assert debugged.stack(thread)[0]["line"] == 3
    debugged.get("continue", threadId=thread)
    take_reply(client, request)
    debugged.break_at(_CODE, 4)
    message = client.session.msg("execute_request", {"code": _CODE, "silent": False})
    message["header"]["subshell_id"] = ask_control(client, "create_subshell_request")["content"]["subshell_id"]
    client.shell_channel.send(message)
    thread = debugged.take_stop()
    assert debugged.stack(thread)[0]["name"] == "double"
    debugged.get("continue", threadId=thread)
    assert take_reply(client, message["header"]["msg_id"])["content"]["status"] == "ok"


def test_variables_are_shown_with_and_without_a_debugger(notebook: Notebook) -> None:
    client = notebook.client
    rich = "class Rich:\n  def _repr_html_(self): return '<b>'\nr = Rich()"
    take_reply(client, client.execute(f"table = {{'a': [1, 2]}}\n{rich}"))
    debugged = Debugged(client)
    for _ in range(2):
        found = {variable["name"]: variable for variable in debugged.get("inspectVariables")["variables"]}
        assert found["table"]["type"] == "dict"
        children = debugged.get("variables", variablesReference=found["table"]["variablesReference"])["variables"]
        assert [(child["evaluateName"], child["type"]) for child in children] == [("table['a']", "list")]
        grandchildren = debugged.get("variables", variablesReference=children[0]["variablesReference"])["variables"]
        assert [child["value"] for child in grandchildren] == ["1", "2"]
        assert debugged.get("richInspectVariables", variableName="r")["data"]["text/html"] == "<b>"
        assert not debugged.ask("richInspectVariables", variableName="nowhere")["success"]
        assert any(module["name"] == "json" for module in debugged.get("modules")["modules"])
        debugged.attach()


def test_at_a_breakpoint_values_are_shown_richly_and_copied_to_the_namespace(notebook: Notebook) -> None:
    client = notebook.client
    debugged, request, thread = _stop(notebook)
    frame = debugged.stack(thread)[0]["id"]
    rich = debugged.get("richInspectVariables", variableName="parts", frameId=frame)
    assert rich == {"data": {"text/plain": "[3]"}, "metadata": {}}
    debugged.get("copyToGlobals", srcVariableName="parts", dstVariableName="kept", srcFrameId=frame)
    assert "kept" in [variable["name"] for variable in debugged.get("inspectVariables")["variables"]]
    debugged.get("continue", threadId=thread)
    take_reply(client, request)
    _assert_runs(client, "print(kept)", "[3]\n")


@whatever_runs_cells
def test_the_state_is_told_to_who_comes_later(notebook: Notebook) -> None:
    _, request, thread = _stop(notebook)
    later = Debugged(notebook.connect())
    state = later.get("debugInfo")
    assert "ipykernel_" in state["tmpFilePrefix"]  # by which JupyterLab knows cells
    path = state["tmpFilePrefix"] + "1"
    assert state["isStarted"]
    assert state["stoppedThreads"] == [thread]
    assert [place["breakpoints"] for place in state["breakpoints"]] == [[{"line": 4}]]
    assert state["breakpoints"][0]["source"].startswith(path[:-1])
    assert state["breakpoints"][0]["source"].endswith(state["tmpFileSuffix"])
    notebook.leave(notebook.client)  # who began it is gone: its code stands until somebody lets it go
    later.get("continue", threadId=thread)
    take_until(later.client, "status", request, execution_state="idle")
    wait_until(lambda: later.get("debugInfo")["stoppedThreads"] == [], PATIENCE_S, "the end of the stop")


def test_while_code_stands_everything_else_goes_on(notebook: Notebook) -> None:
    client = notebook.client
    debugged, request, thread = _stop(notebook)
    with rpyc_kernel.connect(rpyc_kernel.kernels()[0].name, timeout=PATIENCE_S) as other:
        assert other.status()["state"] == "busy"
        assert other.eval("6 * 7") == 42
        assert "double" in [variable.name for variable in other.variables(timeout=PATIENCE_S)]
        assert other.complete("doub", timeout=PATIENCE_S).matches == ("double",)
        assert "double" in other.stack(timeout=PATIENCE_S)
        waiting = other.submit("print('behind')")
        beside = other.submit("print('beside')", lane="side")
        assert beside.result(PATIENCE_S) is None
        assert not waiting.done()
        debugged.get("continue", threadId=thread)
        take_reply(client, request)
        waiting.result(PATIENCE_S)
        assert waiting.stdout == "behind\n"


def test_an_interrupt_ends_code_that_stands(notebook: Notebook) -> None:
    debugged, request, _ = _stop(notebook)
    notebook.manager.interrupt_kernel()
    assert take_reply(notebook.client, request)["content"]["ename"] == "KeyboardInterrupt"
    wait_until(lambda: debugged.get("debugInfo")["stoppedThreads"] == [], PATIENCE_S, "the end of the stop")
    again = notebook.client.execute(_CODE)  # and the breakpoint is still there
    thread = debugged.take_stop()
    debugged.get("continue", threadId=thread)
    assert take_reply(notebook.client, again)["content"]["status"] == "ok"


def test_an_interrupt_ends_what_is_evaluated_at_a_breakpoint(notebook: Notebook) -> None:
    client = notebook.client
    take_reply(client, client.execute("import threading; looping = threading.Event()"))
    debugged, request, thread = _stop(notebook)
    endless = "all(looping.set() is None for _ in iter(int, 1))"
    frame = debugged.stack(thread)[0]["id"]
    asked = client.session.msg(
        "debug_request",
        {"type": "request", "seq": 99, "command": "evaluate", "arguments": {"expression": endless, "frameId": frame}},
    )
    client.control_channel.send(asked)
    with rpyc_kernel.connect(rpyc_kernel.kernels()[0].name, timeout=PATIENCE_S) as other:
        wait_until(lambda: other.eval("looping.is_set()"), PATIENCE_S, "the loop")
    notebook.manager.interrupt_kernel()
    assert take_reply(client, asked["header"]["msg_id"], "control")["content"]["request_seq"] == 99
    notebook.manager.interrupt_kernel()
    assert take_reply(client, request)["content"]["ename"] == "KeyboardInterrupt"
    _assert_runs(client)


@whatever_runs_cells
def test_a_restart_ends_code_that_stands_and_the_next_session_works(notebook: Notebook) -> None:
    debugged, request, _ = _stop(notebook)
    with rpyc_kernel.connect(rpyc_kernel.kernels()[0].name, timeout=PATIENCE_S) as other:
        other.restart()
    assert take_reply(notebook.client, request)["content"]["ename"] == "KernelDied"
    take_until(notebook.client, "debug_event", event="terminated")
    assert not debugged.get("debugInfo")["isStarted"]
    debugged, request, thread = _stop(notebook)
    debugged.get("continue", threadId=thread)
    assert take_reply(notebook.client, request)["content"]["status"] == "ok"


@whatever_runs_cells
def test_the_death_of_the_worker_answers_everybody(notebook: Notebook) -> None:
    client = notebook.client
    debugged, request, thread = _stop(notebook)
    message = client.session.msg(
        "debug_request",
        {
            "type": "request",
            "seq": 7,
            "command": "evaluate",
            "arguments": {
                "expression": "__import__('os').kill(__import__('os').getpid(), 9)",
                "frameId": debugged.stack(thread)[0]["id"],
            },
        },
    )
    client.control_channel.send(message)
    assert not take_reply(client, message["header"]["msg_id"], "control")["content"]["success"]
    assert take_reply(client, request)["content"]["ename"] == "KernelDied"
    assert not debugged.get("debugInfo")["isStarted"]
    _assert_runs(client)


def test_a_bridge_that_is_killed_lets_code_go_on(folders: object, open_notebook: Open) -> None:
    with rpyc_kernel.start("shared", timeout=PATIENCE_S) as kernel:
        notebook = _open_attached(open_notebook, "shared")
        _stop(notebook)
        number = kernel.status()["running"]["execution"]
        os.kill(notebook.pid, signal.SIGKILL)
        run = kernel.execution(number)
        run.result(PATIENCE_S)
        assert run.stdout == "[3, 3]\n"
        kernel.shutdown(timeout=PATIENCE_S)


def test_of_two_bridges_one_debugs(folders: object, open_notebook: Open) -> None:
    with rpyc_kernel.start("shared", timeout=PATIENCE_S) as kernel:
        first, second = (_open_attached(open_notebook, "shared") for _ in range(2))
        debugged, request, _ = _stop(first)
        refused = Debugged(second.client).ask("initialize", clientID="test", adapterID="test")
        assert not refused["success"]
        assert "another client" in refused["message"]
        debugged.get("disconnect")
        take_reply(first.client, request)
        Debugged(second.client).attach()
        kernel.shutdown(timeout=PATIENCE_S)


@whatever_runs_cells
def test_a_debugger_of_user_code_is_left_alone(notebook: Notebook) -> None:
    client = notebook.client
    code = "import debugpy, pydevd; debugpy.listen(('127.0.0.1', 0), in_process_debug_adapter=True); print('on')"
    _assert_runs(client, "import debugpy.server.api\n" + code, "on\n")
    refused = Debugged(client).ask("initialize", clientID="test", adapterID="test")
    assert "debugger of its own" in refused["message"]
    _assert_runs(client)


@whatever_runs_cells
def test_requests_before_the_start_and_wrong_ones_are_answered(notebook: Notebook) -> None:
    debugged = Debugged(notebook.client)
    assert "not started" in debugged.ask("stackTrace", threadId=1)["message"]
    assert not debugged.ask("disconnect")["success"]
    debugged.attach()
    for command, arguments in (
        ("dumpCell", {}),
        ("setBreakpoints", {}),
        ("source", {"source": {"path": "/nowhere.py"}}),
        ("variables", {}),
        ("richInspectVariables", {}),
        ("copyToGlobals", {"srcVariableName": "a b", "dstVariableName": "c", "srcFrameId": 1}),
        ("stackTrace", {"threadId": 10**6}),
        ("terminate", {}),
        ("nonsense", {}),
    ):
        assert not debugged.ask(command, **arguments)["success"], command
    _assert_runs(notebook.client)


def test_without_debugpy_there_is_no_debugger_and_it_is_said(
    open_notebook: Open, tmp_path: Path, folders: object
) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "sitecustomize.py").write_text("import sys; sys.modules['debugpy'] = None\n")
    path = os.pathsep.join([str(blocked), str(Path(rpyc_kernel.__file__).parents[1])])
    kernel = rpyc_kernel.start("bare", env={"PYTHONPATH": path}, timeout=PATIENCE_S)
    with kernel:
        notebook = _open_attached(open_notebook, "bare")
        info = take_reply(notebook.client, notebook.client.kernel_info())["content"]
        assert not info["debugger"]
        assert "debugger" not in info["supported_features"]
        refused = Debugged(notebook.client).ask("initialize", clientID="test", adapterID="test")
        assert "no debugpy" in refused["message"]
        assert not Debugged(notebook.client).get("debugInfo")["isStarted"]
        _assert_runs(notebook.client)
        kernel.shutdown(timeout=PATIENCE_S)


def test_with_debugpy_it_is_advertised(open_notebook: Open) -> None:
    client = open_notebook().client
    info = take_reply(client, client.kernel_info())["content"]
    assert info["debugger"]
    assert "debugger" in info["supported_features"]
