"""What is done later, in which order, and what it costs others."""

import contextlib
import signal
import threading

import pytest

from rpyc_kernel.hub.scheduler import Scheduler

PATIENCE_S = 30.0


@pytest.fixture
def scheduler():
    with contextlib.closing(Scheduler()) as scheduler:
        yield scheduler


def wait(event):
    assert event.wait(PATIENCE_S)


@pytest.fixture
def go(scheduler):
    """Lets all that was asked for be done, and waits until it is; nothing is done before."""
    may_begin, is_done = threading.Event(), threading.Event()
    scheduler.after(-3600, lambda: wait(may_begin))

    def go():
        scheduler.after(0, is_done.set)
        may_begin.set()
        wait(is_done)

    yield go
    may_begin.set()


def test_what_is_due_earlier_is_done_earlier_and_all_in_one_thread(scheduler, go):
    done = []
    for number, delay_s in ((3, -10), (1, -30), (2, -20)):
        scheduler.after(delay_s, lambda number=number: done.append((number, threading.current_thread().name)))
    go()
    assert done == [(1, "hub-scheduler"), (2, "hub-scheduler"), (3, "hub-scheduler")]


def test_what_fails_is_logged_and_takes_no_other_away(scheduler, caplog, go):
    def fail():
        raise LookupError("of this task")

    scheduler.after(-10, fail)
    go()
    assert "LookupError: of this task" in caplog.text


def test_a_signals_handler_may_ask_whatever_it_interrupts(scheduler):
    is_done, add = threading.Event(), scheduler._add

    def add_interrupted(task):
        scheduler._add = add
        signal.raise_signal(signal.SIGUSR1)
        return add(task)

    before = signal.signal(signal.SIGUSR1, lambda *_: scheduler.after(0, is_done.set))
    try:
        scheduler._add = add_interrupted
        scheduler.after(3600, lambda: None)
    finally:
        signal.signal(signal.SIGUSR1, before)
    wait(is_done)


def test_what_is_not_due_yet_keeps_nobody_who_closes():
    done = []
    scheduler = Scheduler()
    scheduler.after(3600, lambda: done.append("late"))
    scheduler.close()
    assert done == []
