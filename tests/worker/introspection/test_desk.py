"""Questions are answered side by side, and one that does not come back holds up nobody."""

import queue
import threading

import pytest

from rpyc_kernel.worker.introspection.desk import Desk

DEADLINE_S = 30.0


class Leaving(BaseException):
    """What ends a thread, unless it is held; its message is code too."""

    def __str__(self):
        raise self


def leave():
    raise Leaving


@pytest.fixture
def replies():
    return queue.SimpleQueue()


@pytest.fixture
def gate():
    return threading.Event()


@pytest.fixture
def desk(gate):
    built = []

    def build():
        built.append(1)
        return {
            "echo": lambda *arguments: arguments,
            "wait": lambda: gate.wait(DEADLINE_S),
            "fail": lambda: 1 / 0,
            "leave": leave,
            "count": lambda: len(built),
        }

    desk = Desk(build)
    yield desk
    gate.set()
    desk.close()


def ask(desk, replies, name, *arguments):
    desk.ask(name, list(arguments), lambda *reply: replies.put(reply))


def answer(desk, replies, name, *arguments):
    ask(desk, replies, name, *arguments)
    return replies.get(timeout=DEADLINE_S)


def test_a_question_is_answered(desk, replies):
    assert answer(desk, replies, "echo", 1, "a") == (True, (1, "a"))


def test_what_answers_is_built_once_when_the_first_question_comes(desk, replies):
    for _ in range(3):
        assert answer(desk, replies, "count") == (True, 1)


def test_a_failure_is_told_and_the_next_question_answered(desk, replies):
    succeeded, error = answer(desk, replies, "fail")
    assert (succeeded, type(error)) == (False, ZeroDivisionError)
    assert answer(desk, replies, "echo") == (True, ())


def test_what_ends_threads_ends_none_here(desk, replies):
    for _ in range(10):
        succeeded, error = answer(desk, replies, "leave")
        assert (succeeded, type(error)) == (False, Leaving)
    assert answer(desk, replies, "echo", 1) == (True, (1,))


def test_a_reply_that_fails_holds_up_no_other(desk, replies):
    def fail(succeeded, found):
        raise Leaving

    for _ in range(10):
        desk.ask("echo", [], fail)
    assert answer(desk, replies, "echo", 1) == (True, (1,))


def test_an_unknown_question_is_told(desk, replies):
    succeeded, error = answer(desk, replies, "nothing")
    assert not succeeded
    assert "knows no question 'nothing'" in str(error)


def test_questions_that_do_not_come_back_hold_up_nobody(desk, replies):
    for _ in range(3):
        ask(desk, replies, "wait")
    for number in range(10):
        assert answer(desk, replies, "echo", number) == (True, (number,))


def test_there_are_never_more_threads_than_a_few(desk, replies):
    before = threading.active_count()
    for _ in range(20):
        ask(desk, replies, "wait")
    assert threading.active_count() - before <= 4


def test_closing_answers_what_was_asked(desk, replies, gate):
    ask(desk, replies, "wait")
    gate.set()
    desk.close()
    assert replies.get_nowait() == (True, True)


def test_where_no_thread_can_be_started_that_is_the_answer(desk, replies, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        succeeded, error = answer(desk, replies, "echo", 1)
    assert not succeeded
    assert "no thread" in str(error)
    assert answer(desk, replies, "echo", 2) == (True, (2,))
