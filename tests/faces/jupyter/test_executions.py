"""What a newcomer is shown of a cell, and what is remembered of it."""

from typing import Any

from rpyc_kernel.core.contract import Event
from rpyc_kernel.faces.jupyter import executions
from rpyc_kernel.faces.jupyter.executions import BridgedExecution, BridgedExecutions, join_streams, make_header


def _text(text: str, name: str = "stdout") -> tuple[str, dict[str, Any]]:
    return "stream", {"name": name, "text": text}


def _cell() -> BridgedExecution:
    return BridgedExecution({"msg_id": "a"}, "x", number=5, count=3)


def test_neighbouring_text_becomes_one_message() -> None:
    shown = [_text("a"), _text("b"), _text("c", "stderr"), ("display_data", {"data": {}}), _text("d")]
    assert list(join_streams(shown)) == [
        _text("ab"), _text("c", "stderr"), ("display_data", {"data": {}}), _text("d")
    ]  # fmt: skip


def test_a_newcomer_is_shown_what_the_others_see() -> None:
    cell = _cell()
    cell.remember(*_text("one "))
    cell.remember(*_text("two"))
    kinds = [("execute_input", {"code": "x", "execution_count": 3}), ("clear_output", {"wait": True})]
    assert list(cell.replay()) == [*kinds, _text("one two")]


def test_what_was_cleared_is_not_shown_again() -> None:
    cell = _cell()
    cell.remember(*_text("gone"))
    cell.remember("clear_output", {"wait": False})
    cell.remember(*_text("here"))
    assert list(cell.replay())[-1] == _text("here")


def test_a_cell_without_output_clears_nothing() -> None:
    assert [kind for kind, _ in _cell().replay()] == ["execute_input"]


def test_the_first_part_is_dropped_when_it_is_too_much_and_this_is_said(monkeypatch: Any) -> None:
    monkeypatch.setattr(executions, "_MAX_SHOWN_CHARS", 10)
    cell = _cell()
    for piece in ("aaaa", "bbbb", "cccc"):
        cell.remember(*_text(piece))
    said, kept = list(cell.replay())[-2:]
    assert "rpyc-kernel log" in said[1]["text"]
    assert kept == _text("bbbbcccc")


def test_what_a_finished_execution_still_prints_keeps_its_parent() -> None:
    known = BridgedExecutions()
    known.add(_cell(), 3)
    known.unfinished.clear()
    known.add(BridgedExecution({"msg_id": "b"}, "y"), 4)
    assert known.header_of(3) == {"msg_id": "a"}
    assert known.header_of(None) == {"msg_id": "b"}


def test_code_from_elsewhere_has_a_parent_that_tells_whose_it_is() -> None:
    event = Event(1, 0.0, "queued", 5, "session", {"name": "Ann"})
    header = make_header(event)
    assert (header["username"], header["session"], header["msg_type"]) == ("Ann", "session", "execute_request")
    assert header["date"] == "1970-01-01T00:00:00+00:00"
