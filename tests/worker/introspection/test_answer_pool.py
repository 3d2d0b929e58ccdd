"""Questions are answered side by side, and one that does not come back holds up nobody."""

import queue
import threading

import pytest

from rpyc_kernel.worker.introspection.answer_pool import AnswerPool

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
def pool(gate):
    built = []

    def build():
        built.append(1)
        return {
            "echo": lambda *arguments: arguments,
            "wait": lambda: gate.wait(DEADLINE_S),
            "evaluate": lambda: gate.wait(DEADLINE_S),
            "fail": lambda: 1 / 0,
            "leave": leave,
            "count": lambda: len(built),
        }

    pool = AnswerPool(build, slow=("evaluate",))
    yield pool
    gate.set()
    pool.close()


def ask(pool, replies, name, *arguments):
    pool.ask(name, list(arguments), lambda *reply: replies.put(reply))


def answer(pool, replies, name, *arguments):
    ask(pool, replies, name, *arguments)
    return replies.get(timeout=DEADLINE_S)


def test_a_question_is_answered(pool, replies):
    assert answer(pool, replies, "echo", 1, "a") == (True, (1, "a"))


def test_what_answers_is_built_once_when_the_first_question_comes(pool, replies):
    for _ in range(3):
        assert answer(pool, replies, "count") == (True, 1)


def test_a_failure_is_told_and_the_next_question_answered(pool, replies):
    succeeded, error = answer(pool, replies, "fail")
    assert (succeeded, type(error)) == (False, ZeroDivisionError)
    assert answer(pool, replies, "echo") == (True, ())


def test_what_ends_threads_ends_none_here(pool, replies):
    for _ in range(10):
        succeeded, error = answer(pool, replies, "leave")
        assert (succeeded, type(error)) == (False, Leaving)
    assert answer(pool, replies, "echo", 1) == (True, (1,))


def test_a_reply_that_fails_holds_up_no_other(pool, replies):
    def fail(succeeded, found):
        raise Leaving

    for _ in range(10):
        pool.ask("echo", [], fail)
    assert answer(pool, replies, "echo", 1) == (True, (1,))


def test_an_unknown_question_is_told(pool, replies):
    succeeded, error = answer(pool, replies, "nothing")
    assert not succeeded
    assert "knows no question 'nothing'" in str(error)


def test_questions_that_do_not_come_back_hold_up_nobody(pool, replies):
    for _ in range(3):
        ask(pool, replies, "wait")
    for number in range(10):
        assert answer(pool, replies, "echo", number) == (True, (number,))


def test_there_are_never_more_threads_than_a_few(pool, replies):
    before = threading.active_count()
    for _ in range(20):
        ask(pool, replies, "wait")
    assert threading.active_count() - before <= 4


def test_closing_answers_what_was_asked(pool, replies, gate):
    ask(pool, replies, "wait")
    gate.set()
    pool.close()
    assert replies.get_nowait() == (True, True)


def test_where_no_thread_can_be_started_that_is_the_answer(pool, replies, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", refuse)
        succeeded, error = answer(pool, replies, "echo", 1)
    assert not succeeded
    assert "no thread" in str(error)
    assert answer(pool, replies, "echo", 2) == (True, (2,))


def test_any_number_that_may_take_their_time_keep_no_thread_from_the_others(pool, replies):
    for _ in range(40):
        ask(pool, replies, "evaluate")
    assert answer(pool, replies, "echo", 1) == (True, (1,))
