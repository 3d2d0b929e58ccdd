"""What the command line shows of code in many kernels, and what it answers, of executions that are made here."""

from __future__ import annotations

import json
import os
import queue
import signal
import threading
from collections.abc import Iterable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from rpyc_kernel.cli.group_showing import GroupShow
from rpyc_kernel.cli.showing import TimeLimit
from rpyc_kernel.core.contract import Event, Kind, Outcome
from rpyc_kernel.errors import ConnectionLost, GroupFailed
from rpyc_kernel.faces.groups.arrivals import Loss
from rpyc_kernel.frozen import changed

_END: Any = object()


class FakeExecution:
    """As of a group: says what the test feeds it, and ends when that is all, or when it is interrupted."""

    def __init__(self, *told: tuple[str, Event], ends: bool = True, is_stubborn: bool = False) -> None:
        self._news: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.news: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self.executions: dict[str, Any] = {}
        self.errors: dict[str, Exception] = {}
        self.asked: list[Any] = []
        self._is_stubborn = is_stubborn
        for number, (name, event) in enumerate(told, 1):
            self.executions.setdefault(name, SimpleNamespace(id=event.execution))
            self._news.put((name, changed(event, seq=number)))
        if ends:
            self._news.put(_END)
        self._has_ended = threading.Event()

    @property
    def pending(self) -> list[str]:
        return [*self.executions]

    def done(self) -> bool:
        return self._has_ended.is_set()

    def events(self) -> Iterator[tuple[str, Event]]:
        while not self.done() and (news := self._news.get()) is not _END:
            if news == "signal":
                os.kill(os.getpid(), signal.SIGINT)
            else:
                yield news
        self._has_ended.set()
        if self.errors:
            raise GroupFailed("some", self.errors, {})

    def wait(self, timeout: float | None = None) -> bool:
        return self._has_ended.wait(timeout)

    def cancel(self) -> bool:
        self.asked.append("cancel")
        return False

    def interrupt(self, *, force: str, wait: float) -> dict[str, Any]:
        self.asked.append(force)
        if self._is_stubborn:
            self._news.put("signal")
        else:
            for name, event in end_of(*self.executions, outcome=Outcome.INTERRUPTED):
                self._news.put((name, changed(event, seq=1000)))
            self._news.put(_END)
        return {}

    def end(self) -> None:
        self._news.put(_END)

    def press_ctrl_c(self) -> None:
        self._news.put("signal")


_numbers = iter(range(1, 1_000_000))


def make(who: str, kind: str, execution: int = 3, /, **payload: Any) -> tuple[str, Event]:
    return who, Event(0, 0.0, kind, execution, "s", payload)


def printed(name: str, text: str, stream: str = "stdout") -> tuple[str, Event]:
    return make(name, Kind.STREAM, name=stream, text=text)


def end_of(*names: str, outcome: str = Outcome.OK, reason: str | None = None) -> list[tuple[str, Event]]:
    return [make(name, Kind.FINISHED, outcome=outcome, reason=reason) for name in names]


def failing(name: str, ename: str = "ValueError") -> list[tuple[str, Event]]:
    traceback = f'File "<In {next(_numbers)}>", line 1\n{ename}: no\n'
    error = make(name, Kind.ERROR, ename=ename, evalue="no", traceback=traceback, notes=[], chain=[])
    return [error, *end_of(name, outcome=Outcome.ERROR)]


def show(execution: FakeExecution, names: str = "ab", **options: Any) -> int:
    return make_show(names, execution, **options).run(lambda: execution)  # type: ignore[arg-type, return-value]


def make_show(names: Iterable[str], execution: FakeExecution, **options: Any) -> GroupShow:
    return GroupShow(names, execution.news, **{"shows_values": True, **options})


def test_each_line_says_whose_it_is_and_goes_where_it_was_written(capsys: pytest.CaptureFixture[str]) -> None:
    value = make("a", Kind.RESULT, data={"text/plain": "42"})
    told = [printed("a", "one\nopen"), printed("b", "wrong\n", "stderr"), value, *end_of("a", "b")]
    assert show(FakeExecution(*told)) == 0
    assert capsys.readouterr() == ("[a] one\n[a] open\n[a] 42\n", "[b] wrong\n")


def test_values_are_left_out_of_programs(capsys: pytest.CaptureFixture[str]) -> None:
    assert show(FakeExecution(make("a", Kind.RESULT, data={"text/plain": "42"}), *end_of("a")), shows_values=False) == 0
    assert capsys.readouterr() == ("", "")


def test_the_status_is_that_of_the_first_that_did_not_end_well_and_all_of_them_are_told(
    capsys: pytest.CaptureFixture[str],
) -> None:
    exits = make("b", Kind.ERROR, ename="SystemExit", evalue="7", traceback="", notes=[], chain=[], exit_code=7)
    told = [*failing("d"), *failing("c"), exits, *end_of("b", outcome=Outcome.ERROR), *end_of("a")]
    assert show(FakeExecution(*told), "abcd") == 7
    assert (
        capsys.readouterr().err.splitlines()[-1] == "3 of 4 did not end well: b (SystemExit: 7); c d (ValueError: no)"
    )


def test_who_is_lost_is_told_and_has_the_status_of_that(capsys: pytest.CaptureFixture[str]) -> None:
    execution = FakeExecution(printed("b", "begun"), *end_of("a"))
    execution.errors = {"b": ConnectionLost("the host is gone")}
    assert show(execution) == 3
    assert capsys.readouterr() == ("[b] begun\n", "1 of 2 did not end well: b (the host is gone)\n")


def test_of_one_alone_it_is_told_why_nothing_was_heard_of_it_and_else_nothing_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    execution = FakeExecution(printed("a", "begun"))
    execution.errors = {"a": ConnectionLost("the host is gone")}
    assert show(execution, "a") == 3
    assert capsys.readouterr().err == "1 of 1 did not end well: a (the host is gone)\n"
    assert show(FakeExecution(*failing("a")), "a") == 1
    assert "did not end well" not in capsys.readouterr().err


def test_a_program_reads_the_name_of_the_kernel_with_each_event(capsys: pytest.CaptureFixture[str]) -> None:
    execution = FakeExecution(printed("a", "x"), *end_of("a"))
    execution.errors = {"b": ConnectionLost("gone")}
    assert show(execution, as_json=True) == 3
    out, err = capsys.readouterr()
    told = [json.loads(line) for line in out.splitlines()]
    assert [(each["kernel"], each.get("kind", each.get("error"))) for each in told] == [
        ("a", "stream"),
        ("a", "finished"),
        ("b", "ConnectionLost"),
    ]
    assert err == ""


def test_what_is_equal_is_told_once_at_the_end_also_errors_and_at_once_what_asks(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rpyc_kernel.system.own_command.own_command", lambda: "bin/rpyc-kernel")
    told = [printed("c", "other\n"), make("b", Kind.INPUT_REQUESTED, prompt="who?", password=False, token=1)]
    told += [printed("b", "same\n"), printed("a", "same\n"), *failing("a"), *failing("c")]
    assert show(FakeExecution(*told, *end_of("b")), "abc", is_folding=True) == 1
    out, err = capsys.readouterr()
    assert out == "--- a b (2)\nsame\n--- c\nother\n"
    asked, _, err = err.partition("\n")
    assert asked == "[b] execution 3 asks: who? ('bin/rpyc-kernel answer b' answers)"
    assert err.startswith('--- a c (2)\nFile "<In>", line 1\nValueError: no\n')


def test_what_is_run_again_is_told_and_its_first_end_is_not_that_of_all(capsys: pytest.CaptureFixture[str]) -> None:
    lost = end_of("a", outcome=Outcome.LOST, reason="killed by SIGKILL")
    again = [make("a", Kind.QUEUED, 4, code=""), make("a", Kind.FINISHED, 4, outcome=Outcome.OK, reason=None)]
    assert show(FakeExecution(make("a", Kind.QUEUED, code=""), *lost, *again, *end_of("b"))) == 0
    assert capsys.readouterr().err == "[a] execution 3 is lost: killed by SIGKILL\na was lost, and is run again\n"


def test_ctrl_c_interrupts_them_all_once_and_takes_those_that_wait_out_of_the_queue(
    capsys: pytest.CaptureFixture[str],
) -> None:
    execution = FakeExecution(printed("a", "begun\n"), ends=False)
    execution.press_ctrl_c()
    assert show(execution) == 130
    assert execution.asked == ["cancel", "signal"]
    assert capsys.readouterr().err.startswith("interrupting it; Ctrl-C again leaves it running\n")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_second_ctrl_c_leaves_those_that_go_on_and_says_how_to_stop_them(capsys: pytest.CaptureFixture[str]) -> None:
    told = [printed(name, "begun\n") for name in ("g-1", "g-2", "g-3", "g-4")]
    execution = FakeExecution(*told, *end_of("g-4"), ends=False, is_stubborn=True)
    execution.press_ctrl_c()
    status = make_show(("g-1", "g-2", "g-3", "g-4"), execution).run(lambda: execution)  # type: ignore[arg-type, return-value]
    assert status == 130
    execution.end()
    assert execution.asked == ["cancel", "signal"]
    last = capsys.readouterr().err.splitlines()[-1]
    assert last == "it goes on in g-{1..3}; to stop it: rpyc-kernel group interrupt 'g-{1..3}'"


def test_when_the_time_is_over_they_are_ended(capsys: pytest.CaptureFixture[str]) -> None:
    execution = FakeExecution(printed("a", "begun\n"), ends=False)
    assert show(execution, limit=TimeLimit(0.01, "exception")) == 124
    assert execution.asked == ["cancel", "signal"]
    assert "it has taken 0.01 s in a; it is interrupted\n" in capsys.readouterr().err


def test_a_connection_that_is_lost_is_told_once_and_its_return(capsys: pytest.CaptureFixture[str]) -> None:
    execution = FakeExecution(printed("a", "begun\n"), *end_of("a", "b"))
    for words in ("the connection is lost", "the connection is lost", "", "", "the connection is lost", ""):
        execution.news.put(Loss("b", words))
    assert show(execution) == 0
    assert capsys.readouterr().err == "b: the connection is lost\nb is there again\n"
