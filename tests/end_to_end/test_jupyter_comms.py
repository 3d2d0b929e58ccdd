"""Widgets: messages of comms in both directions, in turn with code, and ipywidgets on top of them."""

from pathlib import Path
from typing import Any

from jupyter_client.blocking.client import BlockingKernelClient

from tests.end_to_end.notebooks import Message, Notebook, Open, take_output, take_reply, take_until, text_of

_OPEN = """
import comm, threading
opened = comm.create_comm(target_name="echo", data={"x": 1}, metadata={"y": 2}, buffers=[b"ab", memoryview(b"c")])
def answer(message):
    print(threading.current_thread() is threading.main_thread(), message["content"]["data"])
    opened.send({"back": message["content"]["data"]}, buffers=message["buffers"])
opened.on_msg(answer)
"""


def _send(
    client: BlockingKernelClient,
    kind: str,
    content: dict[str, Any],
    buffers: list[bytes] | None = None,
    metadata: dict[str, Any] | None = None,
) -> str:
    message = client.session.msg(kind, content, metadata=metadata)
    client.session.send(client.shell_channel.socket, message, buffers=buffers)
    request: str = message["header"]["msg_id"]
    return request


def _open_comm(notebook: Notebook) -> str:
    message = _find("comm_open", take_output(notebook.client, notebook.client.execute(_OPEN)))
    comm_id: str = message["content"]["comm_id"]
    return comm_id


def _find(kind: str, messages: list[Message]) -> Message:
    return next(message for message in messages if message["msg_type"] == kind)


def test_code_opens_a_comm(open_notebook: Open) -> None:
    client = open_notebook().client
    message = _find("comm_open", take_output(client, client.execute(_OPEN)))
    assert message["content"]["target_name"] == "echo"
    assert message["content"]["data"] == {"x": 1}
    assert message["metadata"] == {"y": 2}
    assert [bytes(buffer) for buffer in message["buffers"]] == [b"ab", b"c"]


def test_a_clients_message_runs_on_the_main_thread_and_is_answered(open_notebook: Open) -> None:
    notebook = open_notebook()
    comm_id = _open_comm(notebook)
    request = _send(notebook.client, "comm_msg", {"comm_id": comm_id, "data": {"n": 5}}, [b"\x00\xff"])
    shown = take_output(notebook.client, request)
    assert text_of(shown) == "True {'n': 5}\n"
    answer = _find("comm_msg", shown)
    assert answer["content"] == {"comm_id": comm_id, "data": {"back": {"n": 5}}}
    assert [bytes(buffer) for buffer in answer["buffers"]] == [b"\x00\xff"]


def test_comms_are_listed_until_they_are_closed(open_notebook: Open) -> None:
    notebook = open_notebook()
    client = notebook.client
    comm_id = _open_comm(notebook)
    listed = take_reply(client, client.comm_info())["content"]["comms"]
    assert listed == {comm_id: {"target_name": "echo"}}
    assert take_reply(client, client.comm_info("other"))["content"]["comms"] == {}
    take_output(client, _send(client, "comm_close", {"comm_id": comm_id, "data": {}}))
    assert take_reply(client, client.comm_info())["content"]["comms"] == {}


def test_a_client_opens_a_comm(open_notebook: Open) -> None:
    client = open_notebook().client
    code = "import comm\ncomm.get_comm_manager().register_target('mine', lambda c, m: print(m['content']['data']))"
    take_reply(client, client.execute(code))
    request = _send(client, "comm_open", {"comm_id": "abc", "target_name": "mine", "data": {"a": 1}})
    assert text_of(take_output(client, request)) == "{'a': 1}\n"


def test_a_message_that_does_not_end_can_be_interrupted(open_notebook: Open) -> None:
    notebook = open_notebook()
    client = notebook.client
    code = (
        "import comm\nc = comm.create_comm(target_name='t')\n@c.on_msg\ndef loop(_):\n  print('on')\n  while True: pass"
    )
    comm_id = _find("comm_open", take_output(client, client.execute(code)))["content"]["comm_id"]
    request = _send(client, "comm_msg", {"comm_id": comm_id, "data": {}})
    take_until(client, "stream", request)
    notebook.manager.interrupt_kernel()
    take_until(client, "status", request, execution_state="idle")
    assert take_reply(client, client.execute("1"))["content"]["status"] == "ok"


def test_messages_of_comms_are_no_inputs_of_the_past(open_notebook: Open) -> None:
    notebook = open_notebook()
    client = notebook.client
    comm_id = _open_comm(notebook)
    take_output(client, _send(client, "comm_msg", {"comm_id": comm_id, "data": {}}))
    history = take_reply(client, client.history(hist_access_type="tail", n=1))["content"]["history"]
    assert history[0][2] == _OPEN


_SLIDER = """
import ipywidgets
slider = ipywidgets.IntSlider(value=3)
slider.observe(lambda change: print('now', change['new']), 'value')
slider
"""


def test_a_slider_shows_and_moves(open_notebook: Open) -> None:
    client = open_notebook().client
    shown = take_output(client, client.execute(_SLIDER))
    view = _find("execute_result", shown)["content"]["data"]["application/vnd.jupyter.widget-view+json"]
    moved = {"method": "update", "state": {"value": 7}, "buffer_paths": []}
    request = _send(client, "comm_msg", {"comm_id": view["model_id"], "data": moved})
    assert text_of(take_output(client, request)) == "now 7\n"
    assert text_of(take_output(client, client.execute("print(slider.value)"))) == "7\n"


_INTERACT = """
import ipywidgets
slider = ipywidgets.IntSlider(value=3, max=10)
def show(x):
    print('shows', x)
    return 10 // (x - 9)
show = ipywidgets.interact(show, x=slider)
print(slider.model_id, show.widget.out.model_id)
"""


def test_what_interact_calls_shows_in_its_output_all_that_it_prints_returns_and_raises(open_notebook: Open) -> None:
    client = open_notebook().client
    request = client.execute(_INTERACT)
    begun, models = text_of(take_output(client, request)).splitlines()
    moved, captured = models.split()
    assert begun == "shows 3"
    for value, kind, told in ((4, "display_data", "-2"), (9, "error", "integer division or modulo by zero")):
        update = {"method": "update", "state": {"value": value}, "buffer_paths": []}
        request = _send(client, "comm_msg", {"comm_id": moved, "data": update})
        shown = take_output(client, request)
        captures = [
            index
            for index, message in enumerate(shown)
            if message["msg_type"] == "comm_msg"
            and message["content"]["comm_id"] == captured
            and "msg_id" in message["content"]["data"]["state"]
        ]
        # A page gives to the widget what comes for this message between the two.
        states = [shown[index]["content"]["data"]["state"]["msg_id"] for index in captures]
        assert states == [request, ""]
        within = shown[captures[0] : captures[1]]
        assert text_of(within) == f"shows {value}\n"
        content = _find(kind, within)["content"]
        assert (content["evalue"] if kind == "error" else content["data"]["text/plain"]) == told
    assert take_reply(client, client.execute("slider.value"))["content"]["status"] == "ok"


def test_a_client_that_comes_later_learns_the_state_of_widgets(open_notebook: Open) -> None:
    notebook = open_notebook()
    take_reply(notebook.client, notebook.client.execute(_SLIDER))
    client = notebook.connect()
    opening = {"comm_id": "ctl", "target_name": "jupyter.widget.control", "data": {}}
    take_output(client, _send(client, "comm_open", opening, metadata={"version": "1.0.0"}))
    asking = {"comm_id": "ctl", "data": {"method": "request_states"}}
    answer = _find("comm_msg", take_output(client, _send(client, "comm_msg", asking)))
    values = [state["state"].get("value") for state in answer["content"]["data"]["states"].values()]
    assert 3 in values


def test_a_widget_that_captures_output_names_the_clients_message(open_notebook: Open) -> None:
    client = open_notebook().client
    code = "import ipywidgets\nout = ipywidgets.Output()\nwith out:\n    print('inside')"
    request = client.execute(code)
    states = [
        message["content"]["data"].get("state", {})
        for message in take_output(client, request)
        if message["msg_type"] == "comm_msg"
    ]
    assert [state["msg_id"] for state in states if "msg_id" in state] == [request, ""]


_IPYKERNELS = """
import warnings; warnings.simplefilter("ignore")
import ipykernel.kernelapp, ipykernel.comm, comm
later = ipykernel.comm.Comm(target_name="later", data={"z": 3})
later.on_msg(lambda message: print("later", message["content"]["data"]))
again = comm.create_comm(target_name="again")
"""


def test_comms_live_on_when_ipykernel_is_imported_and_its_own_reach_the_client(open_notebook: Open) -> None:
    notebook = open_notebook()
    comm_id = _open_comm(notebook)
    shown = take_output(notebook.client, notebook.client.execute(_IPYKERNELS))
    opened = {m["content"]["target_name"]: m["content"]["comm_id"] for m in shown if m["msg_type"] == "comm_open"}
    assert list(opened) == ["later", "again"]
    assert text_of(shown, "stderr") == ""
    request = _send(notebook.client, "comm_msg", {"comm_id": comm_id, "data": {"n": 5}})
    assert _find("comm_msg", take_output(notebook.client, request))["content"]["comm_id"] == comm_id
    request = _send(notebook.client, "comm_msg", {"comm_id": opened["later"], "data": {"n": 6}})
    assert text_of(take_output(notebook.client, request)) == "later {'n': 6}\n"
    asked = notebook.client.execute("import os, ipykernel\nprint(os.path.basename(ipykernel.get_connection_file()))")
    assert text_of(take_output(notebook.client, asked)) == f"{Path(notebook.manager.connection_file).name}\n"
