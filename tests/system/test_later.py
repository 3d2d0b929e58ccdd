"""An answer that is to come: given once, told to all, whatever one of them makes of it."""

import threading
from concurrent.futures import CancelledError

import pytest

from rpyc_kernel.system.later import Later


@pytest.mark.parametrize("is_there", [False, True], ids=["asked before", "asked after"])
def test_an_answer_is_told_to_all_who_ask_before_and_after(is_there):
    later, told = Later(), []
    if is_there:
        later.settle("answer")
    for name in "ab":
        later.add_done_callback(lambda answered, name=name: told.append((name, answered.result())))
    assert later.is_over == is_there
    later.settle("answer")
    assert told == [("a", "answer"), ("b", "answer")]


def test_only_the_first_answer_counts():
    later, told = Later(), []
    later.add_done_callback(told.append)
    later.settle(1)
    later.settle(2)
    later.cancel()
    assert (later.result(), told) == (1, [later])


def test_what_it_fails_by_is_raised():
    later = Later()
    later.settle(None, KeyError("x"))
    with pytest.raises(KeyError, match="x"):
        later.result()


def test_one_that_nobody_wants_is_answered_no_more():
    later, told = Later(), []
    later.add_done_callback(told.append)
    later.cancel()
    later.settle("late")
    assert told == [later]
    with pytest.raises(CancelledError):
        later.result()


@pytest.mark.parametrize("is_there", [False, True])
def test_who_fails_when_told_is_logged_and_keeps_nobody_else_from_hearing(is_there, caplog):
    later, told = Later(), []
    if is_there:
        later.settle("answer")
    later.add_done_callback(lambda _: 1 / 0)
    later.add_done_callback(told.append)
    later.settle("answer")
    assert told == [later]
    assert "division by zero" in caplog.text


def test_of_many_who_answer_at_once_one_is_heard_once():
    for _ in range(50):
        later, told, start = Later(), [], threading.Barrier(4)

        def answer(number, later=later, start=start):
            start.wait(10)
            later.settle(number)

        threads = [threading.Thread(target=answer, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        start.wait(10)
        later.add_done_callback(lambda answered, told=told: told.append(answered.result()))
        for thread in threads:
            thread.join()
        assert told == [later.result()]
