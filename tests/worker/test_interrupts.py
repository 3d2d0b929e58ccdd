"""When an interrupt strikes: the hub's only what it is aimed at, the user's own whatever runs."""

import _thread
import asyncio
import os
import signal
import socket
import subprocess
import sys

import pytest

from rpyc_kernel.system.processes import INTERRUPT_SIGNAL, NUDGE_SIGNAL
from rpyc_kernel.system.ring import WORD_FORCE, WORD_INTERRUPT, WORD_RUNNING, WORD_SPARED
from rpyc_kernel.worker.capture import current_execution
from rpyc_kernel.worker.interrupts import Interrupts, may_interrupt


@pytest.fixture
def interrupts():
    """As they are in a worker, on this thread."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, INTERRUPT_SIGNAL, NUDGE_SIGNAL)}
    loop = asyncio.new_event_loop()
    interrupts = Interrupts()
    interrupts.words = [0] * 512
    interrupts.install(interrupts.words, loop, current_execution)
    yield interrupts
    interrupts.end()
    for number, handler in before.items():
        signal.signal(number, handler)
    loop.close()


@may_interrupt
def is_struck(send) -> bool:
    """Whether a signal raises in user code."""
    try:
        send()
        for _ in range(100):  # where its handler would run, if it has not
            pass
    except KeyboardInterrupt:
        return True
    return False


def aim(interrupts, execution, is_forced=False):
    """What the hub does."""
    interrupts.words[WORD_FORCE] = is_forced
    interrupts.words[WORD_INTERRUPT] = execution
    return lambda: signal.raise_signal(INTERRUPT_SIGNAL)


OWN = {
    "signal.raise_signal": lambda: signal.raise_signal(signal.SIGINT),
    "os.kill": lambda: os.kill(os.getpid(), signal.SIGINT),
    "_thread.interrupt_main": _thread.interrupt_main,
}


@pytest.mark.parametrize("send", OWN.values(), ids=OWN)
def test_a_sigint_of_the_users_own_strikes_what_runs_and_nothing_while_nothing_runs(interrupts, send):
    assert not is_struck(send)
    interrupts.begin(1)
    assert is_struck(send)
    assert is_struck(send)
    interrupts.end()
    assert not is_struck(send)


def test_an_interrupt_of_the_hub_strikes_only_the_execution_it_is_aimed_at(interrupts):
    interrupts.begin(2)
    assert not is_struck(aim(interrupts, 1))
    assert not interrupts.is_pending
    assert is_struck(aim(interrupts, 2))
    assert not is_struck(lambda: signal.raise_signal(INTERRUPT_SIGNAL))  # one that came twice
    interrupts.end()
    assert not is_struck(aim(interrupts, 2))


@pytest.mark.parametrize("handler", [signal.SIG_IGN, lambda number, frame: None], ids=["ignored", "handled"])
def test_where_user_code_has_taken_sigint_over_only_a_forced_interrupt_raises(interrupts, handler):
    interrupts.begin(1)
    signal.signal(signal.SIGINT, handler)
    assert not is_struck(aim(interrupts, 1))
    assert is_struck(aim(interrupts, 1, is_forced=True))


def test_a_handler_of_user_code_hears_of_the_hubs_interrupt(interrupts):
    heard = []
    interrupts.begin(1)
    signal.signal(signal.SIGINT, lambda number, frame: heard.append(number))
    assert not is_struck(aim(interrupts, 1))
    assert not is_struck(aim(interrupts, 7))
    assert heard == [signal.SIGINT]


def test_an_interrupt_strikes_though_user_code_has_replaced_what_the_module_of_signals_holds(interrupts, monkeypatch):
    interrupts.begin(1)
    with monkeypatch.context() as patch:
        for name in ("signal", "getsignal", "default_int_handler", "pthread_kill", "raise_signal"):
            patch.setattr(signal, name, None)
        assert is_struck(lambda: os.kill(os.getpid(), aim(interrupts, 1) and INTERRUPT_SIGNAL))


@pytest.mark.parametrize("handler", [signal.default_int_handler, signal.SIG_DFL], ids=["Python's", "the system's"])
def test_an_interrupt_of_the_hub_still_raises_where_a_default_was_put_back(interrupts, handler):
    """Programs with windows are told to do the latter, for Ctrl-C to end them."""
    interrupts.begin(1)
    signal.signal(signal.SIGINT, handler)
    assert is_struck(aim(interrupts, 1))


@pytest.mark.parametrize("number", [INTERRUPT_SIGNAL, NUDGE_SIGNAL])
def test_a_signal_of_the_hub_that_code_has_taken_is_the_hubs_again_when_the_next_code_begins(interrupts, number):
    handler = signal.getsignal(number)
    signal.signal(number, signal.SIG_DFL)
    interrupts.begin(1)
    assert signal.getsignal(number) == handler


def test_what_was_started_before_an_execution_is_told_apart(interrupts):
    interrupts.begin(1)
    assert interrupts.words[WORD_RUNNING] == 1
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        interrupts.begin(2)
        count = interrupts.words[WORD_SPARED]
        assert child.pid in interrupts.words[WORD_SPARED + 1 : WORD_SPARED + 1 + count]
        child.kill()
    interrupts.end()
    assert interrupts.words[WORD_RUNNING] == 0


def test_a_forked_child_is_interrupted_like_any_program(interrupts):
    interrupts.begin(1)
    interrupts.become_child()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    assert interrupts.words[WORD_RUNNING] == 1  # those are the worker's


def test_a_nudge_reaches_python_and_raises_nothing(interrupts):
    """It is there to end a wait in C: a signal that is ignored would not."""
    interrupts.begin(1)
    near, far = socket.socketpair()
    with near, far:
        far.setblocking(False)
        before = signal.set_wakeup_fd(far.fileno())
        try:
            assert not is_struck(lambda: signal.raise_signal(NUDGE_SIGNAL))
        finally:
            signal.set_wakeup_fd(before)
        near.settimeout(30)
        assert near.recv(1) == bytes([NUDGE_SIGNAL])


def test_an_interrupt_that_was_faster_than_its_code_strikes_it(interrupts):
    interrupts.words[WORD_INTERRUPT] = 3
    interrupts.begin(3)
    assert interrupts.is_pending
    with pytest.raises(KeyboardInterrupt):
        interrupts.check()
    assert interrupts.words[WORD_INTERRUPT] == 0


def test_what_is_pending_when_its_execution_ends_strikes_no_other(interrupts):
    interrupts.words[WORD_INTERRUPT] = 3
    interrupts.begin(3)
    interrupts.end()
    assert not interrupts.is_pending
    interrupts.begin(4)
    interrupts.check()


def test_a_forked_child_hears_no_signals_of_the_hub(interrupts):
    interrupts.become_child()
    assert [signal.getsignal(number) for number in (INTERRUPT_SIGNAL, NUDGE_SIGNAL)] == [signal.SIG_DFL] * 2
