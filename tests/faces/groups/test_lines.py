"""Lines of kernels that write at once are whole, and safe for a terminal."""

from __future__ import annotations

from typing import Any

from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.faces.groups.lines import Line, Lines


def make_event(kind: str, **payload: Any) -> Event:
    return Event(1, 0.0, kind, 3, "s", payload)


def make_stream(text: str, name: str = "stdout") -> Event:
    return make_event(Kind.STREAM, name=name, text=text)


def test_no_line_is_torn_by_another_kernel_or_stream() -> None:
    lines = Lines()
    assert lines.take("a", make_stream("one\ntw")) == [Line("a", "one")]
    assert lines.take("b", make_stream("b\n")) == [Line("b", "b")]
    assert lines.take("a", make_stream("err\n", "stderr")) == [Line("a", "err", True)]
    assert lines.take("a", make_stream("o\n\n")) == [Line("a", "two"), Line("a", "")]


def test_what_has_no_end_is_told_at_the_end_and_before_what_comes_whole() -> None:
    lines = Lines()
    assert lines.take("a", make_stream("open")) == []
    assert lines.take("a", make_event(Kind.RESULT, data={"text/plain": "4\n2"})) == [
        Line("a", "open"),
        Line("a", "4"),
        Line("a", "2"),
    ]
    lines.take("a", make_stream("rest"))
    assert lines.take("a", make_event(Kind.FINISHED, outcome="ok", reason=None)) == [Line("a", "rest")]
    assert lines.end("a") == []


def test_of_a_progress_bar_its_last_state_is_told_once_and_known_meanwhile() -> None:
    lines = Lines()
    assert lines.take("a", make_stream("\r10%", "stderr")) == []
    assert lines.take("a", make_stream("\r\x1b[32m20%", "stderr")) == []
    assert lines.last_of("a") == "20%"
    assert lines.take("a", make_stream("\r100%\n", "stderr")) == [Line("a", "100%", True)]
    assert lines.last_of("b") == ""


def test_a_line_without_an_end_takes_no_memory_without_end() -> None:
    lines = Lines()
    for _ in range(100):
        assert lines.take("a", make_stream("\r" + "x" * 500)) == []
    told = [line for _ in range(100) for line in lines.take("b", make_stream("x" * 500))]
    assert len(told) == 2
    assert sum(len(line.text) for line in [*told, *lines.end("b")]) == 50_000


def test_what_would_move_the_cursor_is_taken_out() -> None:
    lines = Lines()
    assert lines.take("a", make_stream("\x1b[2J\x1b]0;title\x07x\n")) == [Line("a", "x")]
    shown = lines.take("a", make_event(Kind.ERROR, ename="E", evalue="", traceback="\x1b[2JE\n", notes=[], chain=[]))
    assert shown == [Line("a", "E", True)]


def test_a_loss_and_a_question_are_told_and_an_exit_by_number_is_not() -> None:
    lines = Lines()
    lost = lines.take("a", make_event(Kind.FINISHED, outcome="lost", reason="killed by SIGKILL"))
    assert lost == [Line("a", "execution 3 is lost: killed by SIGKILL", True)]
    (asked,) = lines.take("a", make_event(Kind.INPUT_REQUESTED, prompt="name? ", password=False, token=1))
    assert asked.text == "execution 3 asks: name? ('rpyc-kernel answer a' answers)"
    exits = {"ename": "SystemExit", "evalue": "3", "traceback": "SystemExit: 3\n", "notes": [], "chain": []}
    assert lines.take("a", make_event(Kind.ERROR, **exits, exit_code=3)) == []
    assert lines.take("a", make_event(Kind.ERROR, **exits, exit_code="no data")) == [Line("a", "no data", True)]
