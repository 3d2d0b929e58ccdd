"""When a user's handler runs: at once in user code, else in a turn of the loop, or a moment later."""

import asyncio
import os
import signal

import pytest

from rpyc_kernel.system.processes import INTERRUPT_SIGNAL, NUDGE_SIGNAL
from rpyc_kernel.system.ring import WORDS
from rpyc_kernel.worker import handlers as own
from rpyc_kernel.worker.capture import current_execution
from rpyc_kernel.worker.handlers import Guarded, Handlers
from rpyc_kernel.worker.interrupts import Interrupts, handler_of, runs_user_code, set_handler
from tests.support.waiting import wait_until

PATIENCE_S = 20.0
NUMBER = signal.SIGWINCH  # which does nothing by itself, and nobody else sends
OTHER = signal.SIGCHLD


class Late(Exception):
    """What a handler for a time limit raises."""


class Bench:
    """Handlers as they are in a worker, on this thread, and what has happened."""

    def __init__(self, monkeypatch):
        self.calls, self.survived = [], []
        self.loop = asyncio.new_event_loop()
        monkeypatch.setattr(signal, "signal", signal.signal)  # to have them put back
        monkeypatch.setattr(signal, "getsignal", signal.getsignal)
        self.interrupts = Interrupts()
        self.interrupts.install([0] * WORDS, self.loop, current_execution)
        Handlers(self.loop, self.survived.append).install(self.interrupts)

    def raise_late(self, number, frame):
        self.calls.append((number, frame.f_code.co_name))
        raise Late

    def turn(self):
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()


@pytest.fixture
def bench(monkeypatch):
    numbers = (NUMBER, OTHER, signal.SIGINT, INTERRUPT_SIGNAL, NUDGE_SIGNAL)
    before = {number: handler_of(number) for number in numbers}
    bench = Bench(monkeypatch)
    yield bench
    for number, handler in before.items():
        set_handler(number, handler)
    bench.loop.close()


def send():
    signal.raise_signal(NUMBER)


def in_the_kernel(code, **names):
    """Run code as if it stood in a file of the worker's, in a function whose callees are user code."""
    file = os.path.join(os.path.dirname(own.__file__), "made.py")
    exec(compile(f"def run():\n  {code}", file, "exec"), names)
    runs_user_code(names["run"])()


def test_in_user_code_it_runs_at_once(bench):
    signal.signal(NUMBER, bench.raise_late)
    with pytest.raises(Late):
        send()
    assert bench.calls == [(NUMBER, "send")]


def test_in_the_kernels_own_code_it_waits_for_a_turn_of_the_loop(bench, monkeypatch):
    monkeypatch.setattr(own, "_NUDGE_AFTER_S", PATIENCE_S)  # and for nothing else
    signal.signal(NUMBER, bench.raise_late)
    in_the_kernel("send(number); send(number)", send=signal.raise_signal, number=NUMBER)
    assert bench.calls == []
    bench.turn()
    bench.turn()
    assert len(bench.calls) == 1
    assert [type(error) for error in bench.survived] == [Late]


def test_behind_the_kernels_own_code_it_strikes_the_user_code_that_goes_on(bench):
    signal.signal(NUMBER, bench.raise_late)
    with pytest.raises(Late):
        in_the_kernel("send(number); wait()", send=signal.raise_signal, number=NUMBER, wait=wait_for_it)
    bench.turn()
    assert bench.survived == []
    assert len(bench.calls) == 1


def wait_for_it():
    wait_until(lambda: False, PATIENCE_S, "the signal")


def test_all_that_were_put_off_run_though_one_of_them_raises(bench, monkeypatch):
    monkeypatch.setattr(own, "_NUDGE_AFTER_S", PATIENCE_S)
    numbers = {NUMBER, OTHER}
    for number in numbers:
        signal.signal(number, bench.raise_late)
    in_the_kernel("[send(number) for number in numbers]", send=signal.raise_signal, numbers=numbers)
    assert bench.calls == []
    bench.turn()
    bench.turn()
    assert {number for number, _ in bench.calls} == numbers
    assert len(bench.survived) == 2


@pytest.mark.parametrize("after_s", [0.0, PATIENCE_S], ids=["nudged", "in its turn"])
def test_a_handler_that_was_taken_back_meanwhile_does_not_run(bench, monkeypatch, after_s):
    monkeypatch.setattr(own, "_NUDGE_AFTER_S", after_s)
    signal.signal(NUMBER, bench.raise_late)
    in_the_kernel("send(number)", send=signal.raise_signal, number=NUMBER)
    signal.signal(NUMBER, signal.SIG_DFL)
    bench.turn()
    assert (bench.calls, bench.survived) == ([], [])


def test_without_another_thread_the_turn_is_enough(bench, monkeypatch):
    def refuse(*_):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(own, "start_new_thread", refuse)
    signal.signal(NUMBER, bench.raise_late)
    in_the_kernel("send(number)", send=signal.raise_signal, number=NUMBER)
    bench.turn()
    assert len(bench.survived) == 1


def test_a_forked_child_is_a_program_of_its_own(bench, monkeypatch):
    monkeypatch.setattr(own.forks, "is_child", lambda: True)
    signal.signal(NUMBER, bench.raise_late)
    with pytest.raises(Late):
        in_the_kernel("send(number)", send=signal.raise_signal, number=NUMBER)


def test_user_code_sees_the_handlers_that_it_has_set(bench):
    signal.signal(NUMBER, bench.raise_late)
    assert signal.getsignal(NUMBER) == bench.raise_late
    assert isinstance(handler_of(NUMBER), Guarded)
    assert signal.signal(NUMBER, signal.SIG_DFL) == bench.raise_late
    assert signal.getsignal(NUMBER) is signal.SIG_DFL
    with pytest.raises(TypeError):
        signal.signal(NUMBER, "no handler")


def test_the_kernels_own_handler_put_back_is_what_it_was(bench):
    kernels = Interrupts()._handle_own
    signal.signal(NUMBER, kernels)
    assert handler_of(NUMBER) == kernels
