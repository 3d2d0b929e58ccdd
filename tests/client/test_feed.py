"""Who is told of what was submitted, and what is read and kept for it."""

import gc
import weakref
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from rpyc_kernel.client.execution import Execution
from rpyc_kernel.client.feed import Feed, follow_to_end
from rpyc_kernel.core.contract import Kind, Outcome, Scope, encode_events
from rpyc_kernel.errors import ConnectionLost, ExecutionDropped

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
        self.is_closed = False

    def hello(self):
        return {"last": 10}

    def start(self, method, *arguments):
        answer = Future()
        self.asked.append((method, arguments, answer))
        return answer

    def tell(self, *events, cursor=None):
        """Answer what was asked last."""
        self.asked[-1][2].set_result((cursor or events[-1][0], encode_events(events)))

    def as_ours(self, error):
        return error

    def close(self):
        self.is_closed = True


@pytest.fixture
def stage():
    reader = Reader()
    return SimpleNamespace(reader=reader, feed=Feed(lambda: reader), kernel=SimpleNamespace())


def submit(stage, number):
    return stage.feed.submit(lambda: Execution(stage.kernel, number))


def test_it_reads_from_the_submission_to_the_end_and_rests_then(stage):
    run = submit(stage, 1)
    assert [asked[:2] for asked in stage.reader.asked] == [("read", (10, 1000, 20.0, Scope.SESSION))]
    stage.reader.tell(queued(11, 1), printed(12, 1))
    assert (run.stdout, run.done()) == ("x", False)
    assert stage.reader.asked[-1][1][0] == 12
    stage.reader.tell(finished(13, 1))
    assert run.done()
    assert len(stage.reader.asked) == 2


def test_what_was_told_while_it_rested_is_not_read_again(stage):
    held = submit(stage, 1)
    stage.reader.tell(queued(11, 1), finished(12, 1))
    stage.feed.pass_over(5000)
    later = submit(stage, 9)
    assert stage.reader.asked[-1][1][0] == 5000
    stage.reader.tell(queued(5001, 9), finished(5002, 9))
    assert later.done()
    assert held.done()


def test_nothing_is_passed_over_while_it_reads(stage):
    submit_held = submit(stage, 1)
    stage.feed.pass_over(5000)
    stage.reader.tell(queued(11, 1))
    assert stage.reader.asked[-1][1][0] == 11
    assert not submit_held.done()


def test_what_comes_before_the_number_is_known_is_not_lost(stage):
    def hand_in():
        stage.reader.tell(queued(11, 1), printed(12, 1), finished(13, 1))
        return Execution(stage.kernel, 1)

    run = stage.feed.submit(hand_in)
    assert (run.stdout, run.status) == ("x", Outcome.OK)
    assert not stage.feed._early


def test_output_of_others_is_kept_by_nobody(stage):
    run = submit(stage, 1)
    stage.reader.tell(queued(11, 2), printed(12, 2), finished(13, 2), queued(14, 1))
    assert not stage.feed._early
    assert list(stage.feed._awaited) == [1]
    assert [event.seq for event in run._events] == [14]


def test_an_execution_that_nobody_holds_is_let_go_and_no_longer_read_for(stage):
    ref = weakref.ref(submit(stage, 1))
    gc.collect()
    assert ref() is None
    stage.reader.tell(queued(11, 1), printed(12, 1))
    assert len(stage.reader.asked) == 1
    assert not stage.feed._awaited


def test_a_callback_is_called_for_an_execution_that_nobody_holds(stage):
    ended = []
    submit(stage, 1).add_done_callback(lambda run: ended.append(run.id))
    gc.collect()
    stage.reader.tell(queued(11, 1), finished(12, 1))
    assert ended == [1]
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is Execution and thing._kernel is stage.kernel]


def test_a_submission_that_is_refused_leaves_nothing(stage):
    def refuse():
        raise ExecutionDropped("no")

    with pytest.raises(ExecutionDropped):
        stage.feed.submit(refuse)
    stage.reader.tell(queued(11, 2))
    assert not stage.feed._early
    assert len(stage.reader.asked) == 1


def test_whoever_waits_hears_that_the_connection_is_lost(stage):
    run = submit(stage, 1)
    stage.reader.asked[-1][2].set_exception(ConnectionLost("gone"))
    with pytest.raises(ConnectionLost):
        run.result(0)


def test_after_a_loss_the_next_submission_opens_another_connection():
    readers = [Reader(), Reader()]
    opened = iter(readers)
    feed = Feed(lambda: next(opened))
    kernel = SimpleNamespace()
    lost = feed.submit(lambda: Execution(kernel, 1))
    readers[0].close()
    readers[0].asked[-1][2].set_exception(ConnectionLost("gone"))
    run = feed.submit(lambda: Execution(kernel, 2))
    readers[1].tell(queued(11, 2), finished(12, 2))
    assert lost.done()
    assert run.done()


def test_an_interrupt_while_it_begins_to_read_does_not_leave_it_deaf(stage, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(stage.reader, "start", interrupt)
        with pytest.raises(KeyboardInterrupt):
            submit(stage, 1)
    run = submit(stage, 2)
    stage.reader.tell(queued(11, 2), finished(12, 2))
    assert run.done()


def test_an_execution_that_is_followed_ends_with_who_holds_it(stage):
    call, told = Future(), []
    execution = Execution(stage.kernel, 0)
    follow_to_end(stage.reader, execution, call, told.append)
    call.set_result((12, encode_events([queued(11, 3), printed(12, 3)])))
    assert (execution.id, told) == (3, [12])
    assert stage.reader.asked[-1][:2] == ("follow", (3, 12, 20.0, False))
    del execution
    gc.collect()
    stage.reader.tell(printed(13, 3))
    assert len(stage.reader.asked) == 1
