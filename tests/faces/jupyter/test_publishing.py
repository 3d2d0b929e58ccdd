"""Events of the kernel as messages of Jupyter."""

from typing import Any

import pytest

from rpyc_kernel.core.contract import Event
from rpyc_kernel.faces.jupyter.executions import BridgedExecution, BridgedExecutions
from rpyc_kernel.faces.jupyter.messages import Request
from rpyc_kernel.faces.jupyter.publishing import Publisher
from rpyc_kernel.wire.parent_messages import name_message


class FakeChannels:
    """Remembers what is sent."""

    def __init__(self) -> None:
        self.early: list[Any] = []
        self.published: list[tuple[str, dict[str, Any], Any]] = []
        self.replies: list[dict[str, Any]] = []
        self.sent: list[str] = []
        self.metadata: list[dict[str, Any]] = []

    def publish(self, kind: str, content: dict[str, Any], parent: Any, **_: Any) -> None:
        self.published.append((kind, content, parent))
        self.sent.append(kind)

    def reply(self, _request: Request, content: dict[str, Any], metadata: dict[str, Any], _buffers: Any) -> None:
        self.replies.append(content)
        self.sent.append("reply")
        self.metadata.append(metadata)

    @property
    def kinds(self) -> list[str]:
        return [kind for kind, _, _ in self.published]


class Setting:
    """A publisher, and a cell of a client that waits for its number."""

    def __init__(self, **content: Any) -> None:
        self.channels = FakeChannels()
        header = {"msg_id": "m", "session": "s", "msg_type": "execute_request"}
        cell = BridgedExecution(header, "x", Request("shell", [b"c"], header, {"code": "x", **content}))
        cell.fetch = (lambda _: {}) if content.get("user_expressions") else None
        self._pending = [cell]
        self.cells = BridgedExecutions()
        self.publisher = Publisher(
            self.channels,  # type: ignore[arg-type] # as much of it as is used
            self.cells,
            lambda cell, then: then({"a": 1}),
            lambda cell, outcome: None,
        )
        self._seq = 0
        self.count = 0

    def tell(self, kind: str, execution: int | None = 1, session: str = "ours", **payload: Any) -> None:
        """An event happens."""
        self.publisher.take([self.happen(kind, execution, session, **payload)])

    def happen(self, kind: str, execution: int | None = 1, session: str = "ours", **payload: Any) -> Event:
        """An event of which nobody has been told yet."""
        if kind == "queued" and session == "ours" and self._pending:
            self.cells.add(self._pending.pop(), execution or 0)
        self._seq += 1
        return Event(self._seq, 0.0, kind, execution, session, payload)

    def begin(self) -> None:
        """The cell runs."""
        self.tell("queued", code="x", name="n", call=None)
        self.count += 1
        self.tell("started", count=self.count)


def test_a_cell_has_the_count_of_inputs_and_not_the_number_of_its_execution() -> None:
    setting = Setting()
    setting.tell("queued", 9, code="x", name="n", call=None)
    setting.tell("started", 9, count=4)
    setting.tell("result", 9, data={}, metadata={})
    setting.tell("finished", 9, outcome="ok", reason=None)
    shown = [content.get("execution_count") for kind, content, _ in setting.channels.published if kind != "status"]
    assert shown == [4, 4]
    assert setting.channels.replies[0]["execution_count"] == 4


def test_what_is_not_counted_is_told_how_far_the_count_is() -> None:
    setting = Setting(silent=True)
    setting.tell("queued", 2, session="others", code="x", name="n", call=None)
    setting.tell("started", 2, session="others", count=1)
    setting.tell("queued", 3, code="x", name="n", call=None, is_input=False)
    setting.tell("started", 3, count=None)
    setting.tell("finished", 3, outcome="ok", reason=None)
    assert setting.channels.replies[0]["execution_count"] == 1


def test_a_cell_is_busy_then_its_reply_comes_then_it_is_idle() -> None:
    setting = Setting()
    setting.begin()
    setting.tell("stream", name="stdout", text="hi\n")
    setting.tell("finished", outcome="ok", reason=None)
    assert setting.channels.kinds == ["status", "execute_input", "stream", "status"]
    assert {parent["msg_id"] for _, _, parent in setting.channels.published} == {"m"}
    assert setting.channels.replies == [{"status": "ok", "execution_count": 1, "payload": [], "user_expressions": {}}]


@pytest.mark.parametrize(
    ("shown", "sent"),
    [
        ({}, ["status", "reply", "execute_input", "status"]),
        ({"stream": {"name": "stdout", "text": "h"}}, ["status", "execute_input", "stream", "reply", "status"]),
        (
            {"comm": {"comm_id": "c", "action": "msg", "target": "", "data": {}, "metadata": {}, "buffers": []}},
            ["status", "execute_input", "comm_msg", "reply", "status"],
        ),
    ],
)
def test_the_reply_waits_for_the_code_to_be_shown_only_where_the_cell_shows_something(shown: Any, sent: Any) -> None:
    setting = Setting()
    events = [setting.happen("queued", code="x", name="n", call=None), setting.happen("started", count=1)]
    events += [setting.happen(kind, **payload) for kind, payload in shown.items()]
    setting.publisher.take([*events, setting.happen("finished", outcome="ok", reason=None)])
    assert setting.channels.sent == sent


def test_the_code_of_what_goes_on_is_shown_at_once() -> None:
    setting = Setting()
    setting.begin()
    assert setting.channels.sent == ["status", "execute_input"]


def test_a_silent_cell_shows_neither_its_code_nor_its_value() -> None:
    setting = Setting(silent=True)
    setting.begin()
    setting.tell("result", data={}, metadata={}, literal=None)
    assert setting.channels.kinds == ["status"]


@pytest.mark.parametrize("outcome", ["cancelled", "aborted"])
def test_a_cell_that_never_ran_is_answered_without_a_number(outcome: str) -> None:
    setting = Setting()
    setting.tell("queued", code="x", name="n", call=None)
    setting.tell("finished", outcome=outcome, reason=None)
    assert setting.channels.replies == [{"status": "aborted"}]
    assert setting.channels.metadata == [{"status": "aborted"}]
    assert setting.channels.kinds == ["status", "status"]


def test_a_cell_that_went_down_with_the_kernel_says_so() -> None:
    setting = Setting()
    setting.tell("queued", code="x", name="n", call=None)
    setting.tell("finished", outcome="lost", reason="killed by SIGKILL")
    assert setting.channels.replies[0]["status"] == "error"
    assert setting.channels.kinds == ["status", "error", "status"]


def test_a_reply_tells_when_the_code_began() -> None:
    setting = Setting()
    setting.begin()
    setting.tell("finished", outcome="ok", reason=None)
    assert setting.channels.metadata == [{"started": "1970-01-01T00:00:00+00:00", "status": "ok"}]


def test_the_last_proposed_input_counts() -> None:
    setting = Setting()
    setting.begin()
    for text in ("one", "two", "three"):
        setting.tell("next_input", text=text, replace=False)
    setting.tell("finished", outcome="ok", reason=None)
    [proposed] = setting.channels.replies[0]["payload"]
    assert proposed["text"] == "three"


def test_inputs_that_are_proposed_beside_each_other_are_all_proposed() -> None:
    setting = Setting()
    setting.begin()
    for text in ("one", "two"):
        setting.tell("next_input", text=text, replace=False, is_further=True)
    setting.tell("finished", outcome="ok", reason=None)
    assert [proposed["text"] for proposed in setting.channels.replies[0]["payload"]] == ["one", "two"]


def test_a_request_is_busy_once_whatever_is_asked_meanwhile() -> None:
    setting = Setting()
    setting.begin()
    setting.publisher.publish_state("busy", {"msg_id": "asked"})
    setting.publisher.publish_state("idle", {"msg_id": "asked"})
    states = [(content["execution_state"], parent) for kind, content, parent in setting.channels.published
              if kind == "status"]  # fmt: skip
    assert [state for state, parent in states if parent and parent["msg_id"] == "m"] == ["busy"]
    assert states[-1] == ("busy", None)  # it is busy still, whoever asks what the kernel does


def test_a_line_that_is_written_in_pieces_is_one_message_and_stands_before_what_follows() -> None:
    setting = Setting()
    setting.begin()
    for text in ("a", "b", "c\nd"):
        setting.tell("stream", name="stdout", text=text)
    setting.tell("display", data={}, metadata={})
    shown = [content.get("text") for _, content, _ in setting.channels.published[2:]]
    assert shown == ["abc\n", "d", None]


def test_those_whose_variables_are_gone_are_told_once_with_their_next_cell() -> None:
    setting = Setting()
    setting.tell("worker_started", None, generation=1)
    setting.begin()
    setting.tell("finished", outcome="ok", reason=None)
    setting.tell("restart_requested", None, by="Ann")
    setting.tell("worker_died", None, generation=1, reason="restarted by Ann")
    setting.tell("worker_started", None, generation=2)
    states = [content["execution_state"] for kind, content, _ in setting.channels.published if kind == "status"]
    assert "restarting" not in states  # notebooks say then that it appears to have died
    header = {"msg_id": "n", "session": "s"}
    for number in (2, 3):
        setting.cells.add(BridgedExecution(header, "x"), number)
        setting.tell("started", number)
    texts = [content["text"] for kind, content, _ in setting.channels.published if kind == "stream"]
    assert texts == ["[Ann has restarted the kernel; its variables are gone]\n"]


def test_widgets_of_a_worker_that_has_ended_are_closed() -> None:
    setting = Setting()
    common = {"target": "t", "data": {}, "metadata": {}, "buffers": []}
    for comm_id, action in (("a", "open"), ("b", "open"), ("b", "close")):
        setting.tell("comm", None, comm_id=comm_id, action=action, **common)
    setting.tell("worker_died", None, generation=1, reason="restarted by Ann")
    assert setting.channels.published[-1][:2] == ("comm_close", {"comm_id": "a", "data": {}})
    assert setting.channels.kinds.count("comm_close") == 2


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


@pytest.mark.parametrize(
    ("rich", "lines"), [(["head", "a frame\nof two lines\n", "end"], None), (None, ["Traceback:", "  a line"])]
)
def test_a_traceback_is_ipythons_frame_by_frame_or_the_plain_one_line_by_line(rich: Any, lines: Any) -> None:
    setting = Setting()
    setting.begin()
    setting.tell("error", ename="E", evalue="e", traceback="Traceback:\n  a line\n", notes=[], chain=[], rich=rich)
    setting.tell("finished", outcome="error", reason=None)
    kind, content, _ = setting.channels.published[-2]
    assert (kind, content["traceback"]) == ("error", lines or rich)
    assert setting.channels.replies[0]["traceback"] == (lines or rich)


def test_an_error_that_user_code_has_shown_comes_with_the_reply_alone() -> None:
    setting = Setting()
    setting.begin()
    setting.tell("error", ename="E", evalue="e", traceback="Traceback:\n  a line\n", notes=[], chain=[], rich=[])
    setting.tell("finished", outcome="error", reason=None)
    assert "error" not in setting.channels.kinds
    assert setting.channels.replies[0]["traceback"] == ["Traceback:", "  a line"]


def test_a_value_that_has_a_name_to_be_updated_by_keeps_it() -> None:
    setting = Setting()
    setting.begin()
    setting.tell("result", data={"text/plain": "1"}, metadata={}, literal="None", display_id="x")
    setting.tell("result", data={"text/plain": "2"}, metadata={}, literal="2")
    results = [content for kind, content, _ in setting.channels.published if kind == "execute_result"]
    assert [content["transient"] for content in results] == [{"display_id": "x"}, {}]


def test_pages_and_proposed_inputs_come_with_the_reply() -> None:
    setting = Setting()
    setting.begin()
    setting.tell("page", data={"text/plain": "help"})
    setting.tell("next_input", text="y", replace=False)
    setting.tell("finished", outcome="ok", reason=None)
    assert [part["source"] for part in setting.channels.replies[0]["payload"]] == ["page", "set_next_input"]


@pytest.mark.parametrize(
    ("token", "named"), [(name_message(1), "m"), (name_message(None), name_message(None)), ("7", "7"), (5, 5)]
)
def test_a_widget_that_captures_output_gets_the_name_of_the_message(token: Any, named: Any) -> None:
    setting = Setting()
    setting.begin()
    data = {"state": {"msg_id": token}}
    setting.tell("comm", comm_id="c", action="msg", target="", data=data, metadata={}, buffers=[])
    assert setting.channels.published[-1][1]["data"]["state"]["msg_id"] == named


def test_a_comm_may_carry_any_data() -> None:
    setting = Setting()
    setting.begin()
    setting.tell("comm", comm_id="c", action="msg", target="", data="text", metadata={}, buffers=[])
    assert setting.channels.published[-1][:2] == ("comm_msg", {"comm_id": "c", "data": "text"})


@pytest.mark.parametrize("broken", [{"buffers": 5}, {"metadata": 1}])
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
    told = [content for kind, content, _ in setting.channels.published if "SIGKILL" in str(content)]
    assert [content["ename"] for content in told] == ["KernelDied"]  # once


def test_neighbouring_text_of_a_batch_is_one_message() -> None:
    setting = Setting()
    setting.begin()
    pieces = [Event(9 + n, 0.0, "stream", 1, "ours", {"name": "stdout", "text": str(n)}) for n in range(5)]
    setting.publisher.take([*pieces, Event(20, 0.0, "stream", 1, "ours", {"name": "stdout", "text": "\n"})])
    assert setting.channels.published[-1][1]["text"] == "01234\n"
