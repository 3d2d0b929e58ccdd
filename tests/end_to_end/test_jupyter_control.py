"""Interrupts, subshells, and questions while code runs."""

from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from tests.end_to_end.notebooks import Open, ask_control, join_kernel, take_output, take_reply, take_until, text_of

_LOOP = "print('on')\nwhile True: pass"


def _execute_in(client: BlockingKernelClient, subshell: str, code: str) -> str:
    message = client.session.msg("execute_request", {"code": code, "silent": False, "allow_stdin": False})
    message["header"]["subshell_id"] = subshell
    client.shell_channel.send(message)
    request: str = message["header"]["msg_id"]
    return request


def _ask(client: BlockingKernelClient, kind: str, content: dict[str, Any]) -> dict[str, Any]:
    message = client.session.msg(kind, content)
    client.shell_channel.send(message)
    answer: dict[str, Any] = take_reply(client, message["header"]["msg_id"])["content"]
    return answer


def test_an_interrupt_ends_the_running_cell(open_notebook: Open) -> None:
    notebook = open_notebook()
    request = notebook.client.execute(_LOOP)
    take_until(notebook.client, "stream", request)
    notebook.manager.interrupt_kernel()
    assert take_reply(notebook.client, request)["content"]["ename"] == "KeyboardInterrupt"
    assert take_reply(notebook.client, notebook.client.execute("1"))["content"]["status"] == "ok"


def test_an_interrupt_of_an_idle_kernel_hits_nothing(open_notebook: Open) -> None:
    client = open_notebook().client
    assert ask_control(client, "interrupt_request")["content"] == {"status": "ok"}
    assert take_reply(client, client.execute("sum(range(10**6))"))["content"]["status"] == "ok"


def test_an_interrupt_ends_what_a_subshell_runs(open_notebook: Open) -> None:
    client = open_notebook().client
    subshell = ask_control(client, "create_subshell_request")["content"]["subshell_id"]
    request = _execute_in(client, subshell, _LOOP)
    take_until(client, "stream", request)
    assert ask_control(client, "interrupt_request")["content"] == {"status": "ok"}
    assert take_reply(client, request)["content"]["ename"] == "KeyboardInterrupt"


def test_a_subshell_runs_beside_a_busy_kernel_and_in_turn(open_notebook: Open) -> None:
    notebook = open_notebook()
    client = notebook.client
    busy = client.execute(_LOOP)
    take_until(client, "stream", busy)
    subshell = ask_control(client, "create_subshell_request")["content"]["subshell_id"]
    assert ask_control(client, "list_subshell_request")["content"]["subshell_id"] == [subshell]
    first = _execute_in(client, subshell, "order = ['first']")
    second = _execute_in(client, subshell, "order.append('second'); print(order)")
    assert text_of(take_output(client, second)) == "['first', 'second']\n"
    assert take_reply(client, first)["content"]["status"] == "ok"
    assert ask_control(client, "delete_subshell_request", {"subshell_id": subshell})["content"]["status"] == "ok"
    assert take_reply(client, _execute_in(client, subshell, "1"))["content"]["status"] == "error"
    notebook.manager.interrupt_kernel()
    assert take_reply(client, busy)["content"]["ename"] == "KeyboardInterrupt"


def test_an_error_in_a_subshell_aborts_what_waits_in_it(open_notebook: Open) -> None:
    client = open_notebook().client
    subshell = ask_control(client, "create_subshell_request")["content"]["subshell_id"]
    with join_kernel() as kernel:
        failing = _execute_in(client, subshell, "gate.wait(); 1/0")
        behind = _execute_in(client, subshell, "1")
        _ask(client, "connect_request", {})  # what came before it is taken in
        kernel.eval("gate.set()")
    assert take_reply(client, failing)["content"]["ename"] == "ZeroDivisionError"
    assert take_reply(client, behind)["content"]["status"] == "aborted"


def test_everything_but_code_is_answered_while_code_runs(open_notebook: Open) -> None:
    notebook = open_notebook()
    client = notebook.client
    take_reply(client, client.execute("some_name = 1"))
    busy = client.execute(_LOOP)
    take_until(client, "stream", busy)
    assert _ask(client, "complete_request", {"code": "some_n", "cursor_pos": 6})["matches"] == ["some_name"]
    assert _ask(client, "inspect_request", {"code": "zip(", "cursor_pos": 4, "detail_level": 0})["found"]
    assert _ask(client, "is_complete_request", {"code": "for i in x:"})["status"] == "incomplete"
    assert _ask(client, "history_request", {"hist_access_type": "tail", "n": 2})["history"][0][2] == "some_name = 1"
    assert _ask(client, "comm_info_request", {})["comms"] == {}
    assert _ask(client, "kernel_info_request", {})["implementation"] == "rpyc_kernel"
    assert "shell_port" in _ask(client, "connect_request", {})
    assert ask_control(client, "usage_request")["content"]["pid"] > 0
    debugged = ask_control(client, "debug_request", {"type": "request", "seq": 1, "command": "debugInfo"})["content"]
    assert debugged["request_seq"] == 1
    notebook.manager.interrupt_kernel()
    assert take_reply(client, busy)["content"]["status"] == "error"


def test_the_kernel_is_said_to_be_busy_as_long_as_code_runs(open_notebook: Open) -> None:
    notebook = open_notebook()
    client = notebook.client
    busy = client.execute(_LOOP)
    take_until(client, "stream", busy)
    asked = client.session.msg("is_complete_request", {"code": "1"})
    client.shell_channel.send(asked)
    take_output(client, asked["header"]["msg_id"])
    assert take_until(client, "status")[-1]["content"]["execution_state"] == "busy"
    notebook.manager.interrupt_kernel()
    take_reply(client, busy)


def test_what_a_silent_request_gives_is_not_shown(open_notebook: Open) -> None:
    client = open_notebook().client
    shown = take_output(client, client.execute("6 * 7", silent=True))
    assert [message["msg_type"] for message in shown] == ["status", "status"]


def test_expressions_are_evaluated_behind_the_code(open_notebook: Open) -> None:
    client = open_notebook().client
    request = client.execute("a = 2", user_expressions={"twice": "a * 2", "wrong": "nowhere"})
    values = take_reply(client, request)["content"]["user_expressions"]
    assert values["twice"]["data"]["text/plain"] == "4"
    assert values["wrong"]["ename"] == "NameError"
