import asyncio
import threading
from concurrent.futures import CancelledError, Future, as_completed
from concurrent.futures import TimeoutError as FutureTimeoutError

import pytest

from rpyc_kernel.system.futures import CallFuture, Latch, begin_completing
from tests.wire.interrupts import interrupt_at, interrupt_everywhere
from tests.wire.peers import DEADLINE_S, Serving


def test_a_call_begins_as_a_future_of_the_standard_library_does():
    theirs, ours = vars(Future()), vars(CallFuture())
    assert theirs.keys() <= ours.keys()
    alike = theirs.keys() - {"_condition", "_done_callbacks"}
    assert {name: ours[name] for name in alike} == {name: theirs[name] for name in alike}


def test_a_latch_that_is_set_lets_everybody_through():
    latch = Latch()
    latch.set()
    assert latch.wait()
    assert latch.wait(0)


def test_setting_a_latch_wakes_every_waiter():
    latch = Latch()
    waiters = [Serving(latch.wait) for _ in range(5)]
    assert not latch.is_set
    latch.set()
    for waiter in waiters:
        waiter.join()


def test_a_waiter_that_gives_up_leaves_nothing_behind():
    latch = Latch()
    assert not latch.wait(0)
    assert not latch.wait(0.001)
    assert latch._waiters == []
    latch.set()
    assert latch.wait(0)


def test_an_interrupted_waiter_does_not_stop_the_others():
    def wait_briefly():
        latch.wait(0.001)

    latch = Latch()
    for _ in interrupt_everywhere(wait_briefly):
        pass
    other = Serving(latch.wait)
    latch.set()
    other.join()


def test_stock_future_blocks_its_completing_thread_when_ctrl_c_hits_the_waiting_one():
    assert count_futures_that_cannot_be_completed(Future) > 0


def test_ctrl_c_anywhere_in_a_wait_leaves_the_future_usable():
    assert count_futures_that_cannot_be_completed(CallFuture) == 0


def count_futures_that_cannot_be_completed(kind):
    stuck = 0
    place = 0
    was_hit = True
    while was_hit:
        place += 1
        future = kind()
        was_hit = interrupt_at(place, lambda future=future: wait_in_vain(future))
        condition = getattr(future, "_condition", None)
        while condition is not None and condition._is_owned():  # by the interrupted thread, this one
            stuck += 1
            condition.release()
        completion = threading.Thread(target=future.set_result, args=(place,), daemon=True)
        completion.start()
        completion.join(DEADLINE_S)
        assert future.result(0) == place
    return stuck


def wait_in_vain(future):
    try:
        future.result(0.001)
    except FutureTimeoutError:
        pass
    except RuntimeError as error:  # the stock future then lets the lock go twice
        if not isinstance(error.__context__, KeyboardInterrupt):
            raise


def test_a_future_waits_and_times_out_like_the_stock_one():
    future = CallFuture()
    seen = []
    waiter = Serving(lambda: seen.append(future.result()))
    with pytest.raises(FutureTimeoutError):
        future.result(0.001)
    with pytest.raises(FutureTimeoutError):
        future.exception(0)
    future.set_result(5)
    waiter.join()
    assert seen == [5]
    assert future.exception() is None


def test_a_cancelled_future_wakes_its_waiters():
    future = CallFuture()
    waiter = Serving(future.result)
    assert future.cancel()
    waiter.join()
    assert isinstance(waiter.error, CancelledError)
    assert [future] == list(as_completed([future], 0))
    assert future.cancel()
    assert not begin_completing(future)


@pytest.mark.parametrize("error", [SystemExit(3), asyncio.CancelledError(), ValueError()])
def test_whatever_a_callback_raises_others_are_called_and_the_thread_goes_on(error, caplog):
    future, called = CallFuture(), []

    def fail(_):
        raise error

    future.add_done_callback(fail)
    future.add_done_callback(called.append)
    future.set_result(1)
    assert called == [future]
    assert "a callback of" in caplog.text
