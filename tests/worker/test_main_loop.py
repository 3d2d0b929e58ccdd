"""What the worker does with executions that it is handed: each is run once and said to be finished."""

import asyncio
import bdb
import contextvars
import socket

import pytest

from rpyc_kernel.core.contract import Outcome
from rpyc_kernel.system import frames
from rpyc_kernel.worker import failing
from rpyc_kernel.worker.capture import current_execution

VARIABLE = contextvars.ContextVar("variable", default="unset")


def test_code_that_the_next_hub_hands_over_again_does_not_run_again(worker):
    (first, its_end), (second, other_end) = socket.socketpair(), socket.socketpair()
    with first, its_end, second, other_end:
        for hub, codes in ((first, ("one", "two")), (second, ("one", "two", "three"))):
            for number, code in enumerate(codes, 1):
                frames.send(hub, (number, code, None, None, number, False))
        worker.output.on_finished = lambda: len(worker.output.finished) == 1 and worker.loop.take_hub(other_end)
        worker.engine.behave = lambda code: worker.loop.leave() if code == "three" else None
        worker.loop.take_hub(its_end)
        worker.loop.run()
    assert [run[:2] for run in worker.engine.runs] == [(1, "one"), (2, "two"), (3, "three")]
    assert worker.output.finished == [(number, Outcome.OK) for number in (1, 2, 3)]


def test_what_was_held_runs_once_whatever_has_run_before_it(worker):
    (first, its_end), (second, other_end) = socket.socketpair(), socket.socketpair()
    with first, its_end, second, other_end:
        for hub, work in (
            (first, ((3, "three"), (1, "one"))),
            (second, ((1, "one"), (2, "two"), (5, "five"), (4, "four"))),
        ):
            for number, code in work:
                frames.send(hub, (number, code, None, None, number, number in (1, 2, 5)))
        worker.output.on_finished = lambda: len(worker.output.finished) == 1 and worker.loop.take_hub(other_end)
        worker.engine.behave = lambda code: worker.loop.leave() if code == "four" else None
        worker.loop.take_hub(its_end)
        worker.loop.run()
    assert [run[:2] for run in worker.engine.runs] == [(3, "three"), (1, "one"), (2, "two"), (5, "five"), (4, "four")]
    assert (worker.loop.received, worker.loop.last_execution) == (4, 5)


def test_what_c_code_has_printed_is_out_before_its_execution_is_said_to_be_finished(worker, written_by_c):
    worker.run("one", "two")
    assert written_by_c == ["c", "cc"]


@pytest.mark.parametrize("error", [bdb.BdbQuit, SystemExit, KeyboardInterrupt, RuntimeError])
def test_an_execution_has_ended_whatever_was_raised_past_the_engine(worker, error):
    def fail(code):
        if code == "fail":
            raise error

    async def fail_later():
        raise error

    worker.engine.behave = lambda code: fail_later() if code == "fail later" else fail(code)
    worker.run("fail", "fail later", "go on")
    assert worker.engine.reported == [(1, error), (2, error)]
    assert worker.output.finished == [(1, Outcome.ERROR), (2, Outcome.ERROR), (3, Outcome.OK)]


def test_what_executions_set_in_their_context_lasts_also_behind_those_that_await(worker):
    seen = []

    async def set_and_wait(code):
        seen.append((VARIABLE.get(), current_execution.get()))
        await asyncio.sleep(0)
        VARIABLE.set(code)
        await asyncio.sleep(0)
        seen.append((VARIABLE.get(), current_execution.get()))
        return Outcome.OK

    def behave(code):
        if code.startswith("await"):
            return set_and_wait(code)
        seen.append((VARIABLE.get(), current_execution.get()))
        VARIABLE.set(code)
        return None

    worker.engine.behave = behave
    worker.run("one", "await two", "three", "await four")
    assert seen == [
        ("unset", 1),
        ("one", 2),
        ("await two", 2),
        ("await two", 3),
        ("three", 4),
        ("await four", 4),
    ]
    assert (VARIABLE.get(), current_execution.get()) == ("unset", 0)


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt])
def test_callbacks_that_end_themselves_end_nothing_else_however_many_they_are(worker, monkeypatch, ending):
    def end():
        raise ending

    monkeypatch.setattr(worker.loop._interrupts, "cancel", lambda: ending is KeyboardInterrupt)
    for _ in range(10 * failing.ATTEMPTS):
        worker.loop.loop.call_soon(end)
    worker.run("code")
    assert worker.output.finished == [(1, Outcome.OK)]


def test_handlers_of_signals_that_raise_now_and_then_end_nothing(worker, monkeypatch):
    select, left = worker.loop.loop._selector.select, [10 * failing.ATTEMPTS]

    def select_and_raise(timeout):
        left[0] -= 1
        if left[0] > 0 and left[0] % failing.ATTEMPTS:
            raise ValueError("a handler's")
        return select(timeout)

    monkeypatch.setattr(worker.loop.loop._selector, "select", select_and_raise)
    worker.run("code", "more")
    assert worker.output.finished == [(1, Outcome.OK), (2, Outcome.OK)]


def test_a_loop_that_does_not_work_any_more_ends_the_worker(worker, monkeypatch):
    class EndedError(BaseException):
        pass

    def end(error):
        raise EndedError from error

    monkeypatch.setattr(failing, "end_worker", end)
    monkeypatch.setattr(worker.loop.loop, "_run_once", None)
    with pytest.raises(EndedError) as ended:
        worker.loop.run()
    assert isinstance(ended.value.__cause__, TypeError)


@pytest.mark.parametrize("name", ["_begin", "_finish", "_take_message"])
def test_what_a_handler_of_a_signal_breaks_off_is_done_again(worker, monkeypatch, name):
    do, failures = getattr(worker.loop, name), [TimeoutError("a handler's")]

    def do_or_fail(*arguments):
        if failures:
            raise failures.pop()
        return do(*arguments)

    monkeypatch.setattr(worker.loop, name, do_or_fail)
    worker.run("code", "more")
    assert [run[:2] for run in worker.engine.runs] == [(1, "code"), (2, "more")]
    assert worker.output.finished == [(1, Outcome.OK), (2, Outcome.OK)]
