"""Who is asked for a line of text, and whose answer goes to which prompt."""

from typing import Any

import pytest

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.faces.jupyter.executions import BridgedExecution, BridgedExecutions
from rpyc_kernel.faces.jupyter.messages import Request
from rpyc_kernel.faces.jupyter.prompts import InputRequests


class FakeChannels:
    """Clients that are there, and are sent messages with the ids ``asked-1``, ``asked-2`` …"""

    def __init__(self) -> None:
        self.sent = 0

    def is_there(self, identity: list[bytes]) -> bool:
        return True

    def send(self, *_: Any) -> str:
        self.sent += 1
        return f"asked-{self.sent}"


@pytest.mark.parametrize(("parent", "execution"), [({"msg_id": "asked-2"}, 2), ({"msg_id": "asked-1"}, 1), ({}, 1)])
def test_an_answer_goes_to_the_prompt_that_it_names(parent: dict[str, Any], execution: int) -> None:
    """One client has code that asks on the main lane, and in a subshell."""
    cells, answered = BridgedExecutions(), []
    prompts = InputRequests(
        FakeChannels(),  # type: ignore[arg-type] # as much of it as is used
        cells,
        lambda execution, text, is_refused: answered.append((execution, text)),
    )
    for number in (1, 2):
        header = {"msg_id": str(number), "session": "s", "msg_type": "execute_request"}
        request = Request("shell", [b"c"], header, {"allow_stdin": True})
        cells.add(BridgedExecution(header, "input()", request), number)
        told = {"token": str(number), "prompt": "", "password": False}
        prompts.add(Event(number, 0.0, Kind.INPUT_REQUESTED, number, "s", told))
    reply = {"msg_id": "r", "session": "s", "msg_type": "input_reply"}
    prompts.take_reply(Request("stdin", [b"c"], reply, {"value": "text"}, parent=parent))
    assert answered == [(execution, "text")]
