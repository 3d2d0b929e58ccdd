"""Events of the kernel as messages of Jupyter."""

from typing import Any

import pytest

from rpyc_kernel.core.contract import MESSAGE_OF, Event
from rpyc_kernel.faces.jupyter.cells import Cell, Cells
from rpyc_kernel.faces.jupyter.channels import Request
from rpyc_kernel.faces.jupyter.publishing import Publisher


class FakeChannels:
    """Remembers what is sent."""

    def __init__(self) -> None:
        self.early: list[Any] = []
        self.published: list[tuple[str, dict[str, Any], Any]] = []
        self.replies: list[dict[str, Any]] = []

    def publish(self, kind: str, content: dict[str, Any], parent: Any, **_: Any) -> None:
        self.published.append((kind, content, parent))

    def reply(self, _request: Request, content: dict[str, Any]) -> None:
        self.replies.append(content)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.published]


class Setting:
    """A publisher, and a cell of a client that waits for its number."""

    def __init__(self, **content: Any) -> None:
        self.channels = FakeChannels()
        header = {"msg_id": "m", "session": "s", "msg_type": "execute_request"}
        cell = Cell(header, "x", Request("shell", [b"c"], header, {"code": "x", **content}))
        pending = [cell]
        self.publisher = Publisher(
            self.channels,  # type: ignore[arg-type] # as much of it as is used
            Cells(),
            lambda session: pending.pop() if session == "ours" and pending else None,
            lambda cell, then: then({"a": 1}),
            lambda cell, outcome: None,
        )
        self._seq = 0

    def tell(self, kind: str, execution: int | None = 1, session: str = "ours", **payload: Any) -> None:
        """An event happens."""
        self._seq += 1
        self.publisher.take([Event(self._seq, 0.0, kind, execution, session, payload)])

    def begin(self) -> None:
        """The cell runs."""
        self.tell("queued", code="x", name="n", call=None)
        self.tell("started")


def test_a_cell_is_busy_then_its_reply_comes_then_it_is_idle() -> None:
    setting = Setting()
    setting.begin()
    setting.tell("stream", name="stdout", text="hi")
    setting.tell("finished", outcome="ok", reason=None)
    assert setting.channels.kinds == ["status", "execute_input", "stream", "status"]
    assert {parent["msg_id"] for _, _, parent in setting.channels.published} == {"m"}
    assert setting.channels.replies == [{"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}]


def test_a_silent_cell_shows_neither_its_code_nor_its_value() -> None:
    setting = Setting(silent=True)
    setting.begin()
    setting.tell("result", data={}, metadata={}, literal=None)
    assert setting.channels.kinds == ["status"]


@pytest.mark.parametrize(("outcome", "status"), [("cancelled", "aborted"), ("aborted", "aborted"), ("lost", "error")])
def test_a_cell_that_never_ran_is_answered(outcome: str, status: str) -> None:
    setting = Setting()
    setting.tell("queued", code="x", name="n", call=None)
    setting.tell("finished", outcome=outcome, reason="killed by SIGKILL")
    assert setting.channels.replies[0]["status"] == status
    assert setting.channels.kinds[0] == "status"
    assert setting.channels.kinds[-1] == "status"


def test_an_interrupted_cell_that_reported_nothing_says_so() -> None:
    setting = Setting()
    setting.begin()
    setting.tell("finished", outcome="interrupted", reason=None)
    assert setting.channels.replies[0]["ename"] == "KeyboardInterrupt"


def test_expressions_are_answered_only_when_the_code_did_not_fail() -> None:
    good, bad = Setting(user_expressions={"a": "1"}), Setting(user_expressions={"a": "1"})
    for setting, outcome in ((good, "ok"), (bad, "error")):
        setting.begin()
        setting.tell("finished", outcome=outcome, reason=None)
    assert good.channels.replies[0]["user_expressions"] == {"a": 1}
    assert bad.channels.replies[0]["user_expressions"] == {}


def test_pages_and_proposed_inputs_come_with_the_reply() -> None:
    setting = Setting()
    setting.begin()
    setting.tell("page", data={"text/plain": "help"})
    setting.tell("next_input", text="y", replace=False)
    setting.tell("finished", outcome="ok", reason=None)
    assert [part["source"] for part in setting.channels.replies[0]["payload"]] == ["page", "set_next_input"]


@pytest.mark.parametrize(("token", "named"), [(f"{MESSAGE_OF}1", "m"), ("other", "other"), (5, 5)])
def test_a_widget_that_captures_output_gets_the_name_of_the_message(token: Any, named: Any) -> None:
    setting = Setting()
    setting.begin()
    data = {"state": {"msg_id": token}}
    setting.tell("comm", comm_id="c", action="msg", target="", data=data, metadata={}, buffers=[])
    assert setting.channels.published[-1][1]["data"]["state"]["msg_id"] == named


@pytest.mark.parametrize("broken", [{"buffers": 5}, {"data": {"state": {"msg_id": f"{MESSAGE_OF}x"}}}, {"metadata": 1}])
def test_what_cannot_be_published_stops_nothing(broken: dict[str, Any]) -> None:
    setting = Setting()
    setting.begin()
    good = {"comm_id": "c", "action": "msg", "target": "", "data": {}, "metadata": {}, "buffers": []}
    setting.tell("comm", **{**good, **broken})
    setting.tell("finished", outcome="ok", reason=None)
    assert setting.channels.replies[0]["status"] == "ok"


def test_everybody_is_told_of_a_new_generation_when_what_was_lost_is_answered() -> None:
    setting = Setting()
    setting.tell("worker_started", None, generation=1)
    setting.begin()
    setting.tell("worker_died", None, generation=1, reason="killed by SIGKILL")
    setting.tell("finished", outcome="lost", reason="killed by SIGKILL")
    setting.tell("worker_started", None, generation=2)
    states = [content["execution_state"] for kind, content, _ in setting.channels.published if kind == "status"]
    assert states == ["idle", "busy", "idle", "restarting", "idle"]
    told = next(content["text"] for kind, content, _ in setting.channels.published if kind == "stream")
    assert "SIGKILL" in told


def test_neighbouring_text_of_a_batch_is_one_message() -> None:
    setting = Setting()
    setting.begin()
    pieces = [Event(9 + n, 0.0, "stream", 1, "ours", {"name": "stdout", "text": str(n)}) for n in range(5)]
    setting.publisher.take(pieces)
    assert setting.channels.published[-1][1]["text"] == "01234"
