"""Who is told of what was submitted, and what is read and kept for it."""

import contextlib
import gc
import queue
import weakref
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from rpyc_kernel.client.answers import reader_of
from rpyc_kernel.client.execution import Execution
from rpyc_kernel.client.submissions import Submissions
from rpyc_kernel.core.contract import Kind, Outcome, Scope, encode_events
from rpyc_kernel.errors import ConnectionLost, ExecutionDropped
from tests.support.waiting import wait_until

DEADLINE_S = 30.0
END = '{"outcome": "ok", "reason": "", "duration_s": 0.1}'


def queued(seq, number):
    return (seq, 0.0, Kind.QUEUED, number, "me", '{"code": "x", "name": "me", "lane": "main", "position": 0}')


def printed(seq, number, text="x"):
    return (seq, 0.0, Kind.STREAM, number, "me", f'{{"name": "stdout", "text": "{text}"}}')


def finished(seq, number):
    return (seq, 0.0, Kind.FINISHED, number, "me", END)


class Reader:
    """A hub as a connection to it sees it, whose answers the test gives."""

    def __init__(self):
        self.asked = []
        self.started = []
        self.is_closed = False
        self._answers = queue.SimpleQueue()

    def hello(self):
        return {"last": 10}

    def call(self, command, *arguments, timeout_s):
        self.asked.append((command.name, arguments))
        answer = self._answers.get(timeout=DEADLINE_S)
        if isinstance(answer, Exception):
            raise answer
        return reader_of(command)(answer)

    def start(self, command, *arguments):
        self.started.append((command.name, arguments, Future()))
        return self.started[-1][2]

    def wait_asked(self, count):
        wait_until(lambda: len(self.asked) == count, DEADLINE_S)
        return self.asked[-1]

    def tell(self, *events):
        """Answer what was asked, or will be next."""
        self._answers.put((events[-1][0], encode_events(events)))

    def fail(self, error):
        self._answers.put(error)

    def as_ours(self, error):
        return error

    def close(self):
        self.is_closed = True
        self.fail(ConnectionLost("closed"))


@contextlib.contextmanager
def submitting(*readers):
    opened = iter(readers)
    submissions = Submissions(lambda: next(opened))
    try:
        yield submissions
    finally:
        submissions.close()
        assert submissions._thread is None or not submissions._thread.is_alive()


@pytest.fixture
def stage():
    reader = Reader()
    with submitting(reader) as submissions:
        yield SimpleNamespace(reader=reader, submissions=submissions, kernel=SimpleNamespace())


def submit(stage, number):
    return stage.submissions.submit(lambda: Execution(stage.kernel, number))


def test_it_reads_from_the_submission_to_the_end_and_rests_then(stage):
    run = submit(stage, 1)
    assert stage.reader.wait_asked(1) == ("read", (10, 1000, 20.0, Scope.SESSION, False))
    stage.reader.tell(queued(11, 1), printed(12, 1))
    assert stage.reader.wait_asked(2)[1][0] == 12
    assert (run.stdout, run.done()) == ("x", False)
    stage.reader.tell(finished(13, 1))
    assert run.exception(DEADLINE_S) is None
    later = submit(stage, 2)
    assert stage.reader.wait_asked(3)[1][0] == 13
    assert not later.done()


def test_what_was_told_while_it_rested_is_not_read_again(stage):
    stage.submissions.pass_over(4000)
    held = submit(stage, 1)
    stage.submissions.pass_over(5000)  # while it reads, nothing is passed over
    assert stage.reader.wait_asked(1)[1][0] == 4000
    assert not held.done()


def test_what_comes_before_the_number_is_known_is_not_lost(stage):
    held = submit(stage, 1)

    def hand_in():
        stage.reader.tell(queued(11, 2), printed(12, 2), finished(13, 2))
        stage.reader.wait_asked(2)
        return Execution(stage.kernel, 2)

    run = stage.submissions.submit(hand_in)
    assert (run.stdout, run.status) == ("x", Outcome.OK)
    assert run.done()
    assert not stage.submissions._early
    assert not held.done()


def test_output_of_others_is_kept_by_nobody(stage):
    run = submit(stage, 1)
    stage.reader.tell(queued(11, 2), printed(12, 2), finished(13, 2), queued(14, 1))
    stage.reader.wait_asked(2)
    assert not stage.submissions._early
    assert list(stage.submissions._awaited) == [1]
    assert [event.seq for event in run._events] == [14]


def test_an_execution_that_nobody_holds_is_let_go_and_no_longer_read_for(stage):
    ref = weakref.ref(submit(stage, 1))
    gc.collect()
    assert ref() is None
    stage.reader.tell(queued(11, 1), printed(12, 1))
    wait_until(lambda: not stage.submissions._awaited, DEADLINE_S)
    assert len(stage.reader.asked) <= 1


def test_a_callback_is_called_for_an_execution_that_nobody_holds(stage):
    ended = Future()
    submit(stage, 1).add_done_callback(lambda run: ended.set_result(run.id))
    gc.collect()
    stage.reader.tell(queued(11, 1), finished(12, 1))
    assert ended.result(DEADLINE_S) == 1
    held = submit(stage, 2)  # nothing holds the first any more when the thread has come to this
    stage.reader.wait_asked(2)
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is Execution and thing.id == 1]
    assert not held.done()


def test_a_submission_that_is_refused_leaves_nothing(stage):
    def refuse():
        raise ExecutionDropped("no")

    with pytest.raises(ExecutionDropped):
        stage.submissions.submit(refuse)
    assert not stage.submissions._expected
    assert not stage.reader.asked


def test_whoever_waits_hears_that_the_connection_is_lost(stage):
    run, other = submit(stage, 1), Execution(stage.kernel, 7)
    stage.submissions.follow(other, 3)
    stage.reader.fail(ConnectionLost("gone"))
    for waiting in (run, other):
        assert isinstance(waiting.exception(DEADLINE_S), ConnectionLost)


def test_after_a_loss_the_next_submission_opens_another_connection():
    first, second = Reader(), Reader()
    kernel = SimpleNamespace()
    with submitting(first, second) as submissions:
        lost = submissions.submit(lambda: Execution(kernel, 1))
        first.close()
        assert isinstance(lost.exception(DEADLINE_S), ConnectionLost)
        run = submissions.submit(lambda: Execution(kernel, 2))
        second.tell(queued(11, 2), finished(12, 2))
        assert run.exception(DEADLINE_S) is None


def test_an_execution_of_any_session_is_followed_from_where_it_is_known(stage):
    run = Execution(stage.kernel, 3)
    stage.submissions.follow(run, 12)
    assert stage.reader.started[-1][:2] == ("follow", (3, 12, 20.0, True))
    stage.reader.started[-1][2].set_result((13, encode_events([printed(13, 3)])))
    assert stage.reader.started[-1][:2] == ("follow", (3, 13, 20.0, True))
    stage.reader.started[-1][2].set_result((14, encode_events([finished(14, 3)])))
    assert (run.stdout, run.done()) == ("x", True)
    assert not stage.submissions._followed


def test_an_execution_that_is_followed_ends_with_who_holds_it(stage):
    run = Execution(stage.kernel, 3)
    stage.submissions.follow(run, 12)
    del run
    gc.collect()
    stage.reader.started[-1][2].set_result((13, encode_events([printed(13, 3)])))
    assert len(stage.reader.started) == 1
