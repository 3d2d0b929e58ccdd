"""Who is told of the end of an execution without asking for it, and what is read and kept for that."""

import asyncio
import contextlib
import gc
import threading
import weakref
from concurrent.futures import FIRST_EXCEPTION, Future, as_completed, wait
from types import SimpleNamespace

import pytest

from rpyc_kernel.client.execution import Execution
from rpyc_kernel.client.notifier import Notifier
from rpyc_kernel.core.contract import Kind, encode_events
from rpyc_kernel.errors import ConnectionLost, ExecutionError

DEADLINE_S = 30.0


def printed(seq, number):
    return (seq, 0.0, Kind.STREAM, number, "me", '{"name": "stdout", "text": "x"}')


def failed(seq, number):
    return (seq, 0.0, Kind.ERROR, number, "me", '{"ename": "E", "evalue": "", "traceback": "E", "notes": []}')


def finished(seq, number, outcome="ok"):
    return (seq, 0.0, Kind.FINISHED, number, "me", f'{{"outcome": "{outcome}", "reason": "", "duration_s": 0.1}}')


class Reader:
    """A hub as a connection to it sees it, whose answers the test gives; they are delivered by whoever reads."""

    def __init__(self):
        self.asked = []
        self.is_closed = False
        self._answers = threading.Condition()

    def start(self, command, *arguments):
        if self.is_closed:
            raise ConnectionLost("closed")
        self.asked.append((command.name, arguments, Future()))
        return self.asked[-1][2]

    def read_until(self, is_over):
        with self._answers:
            self._answers.wait_for(lambda: self.is_closed or is_over(), DEADLINE_S)

    def tell(self, *events):
        """Answer the last question about an execution."""
        asked = [future for _, arguments, future in self.asked if arguments[0] == events[0][3]]
        with self._answers:
            asked[-1].set_result((events[-1][0], encode_events(events)))
            self._answers.notify_all()

    def fail(self, error):
        with self._answers:
            for _, _, asked in self.asked:
                if not asked.done():
                    asked.set_exception(error)
            self._answers.notify_all()

    def as_ours(self, error):
        return error

    def close(self, why="closed"):
        self.is_closed = True
        self.fail(ConnectionLost(why))


class Kernel:
    """A client as its executions see it; it can read nothing itself."""

    def __init__(self, *readers):
        self.readers = readers
        self._opened = iter(readers)
        self.notifier = Notifier(lambda: next(self._opened))

    def submit(self, number, cursor=10):
        return Execution(self, number, cursor=cursor)

    def _notify(self, execution):
        self.notifier.notify(execution)

    def _follow(self, execution, cursor, wait_s, limit_s=None, within_s=None):
        return cursor, []


@contextlib.contextmanager
def kernel_of(*readers):
    kernel = Kernel(*readers)
    try:
        yield kernel
    finally:
        kernel.notifier.close()
        assert kernel.notifier._thread is None or not kernel.notifier._thread.is_alive()


@pytest.fixture
def kernel():
    with kernel_of(Reader()) as kernel:
        yield kernel


@pytest.fixture
def reader(kernel):
    return kernel.readers[0]


def test_nothing_is_asked_for_who_reads_or_does_not_care(kernel, reader):
    run = kernel.submit(1)
    run._take((), 10)
    assert not run.done()
    assert not reader.asked
    assert kernel.notifier._thread is None


def test_a_callback_is_called_at_the_end_on_a_thread_of_the_client(kernel, reader):
    ended = Future()
    run = kernel.submit(1)
    run.add_done_callback(ended.set_result)
    assert reader.asked[-1][:2] == ("follow", (1, 10, 20.0))
    reader.tell(printed(11, 1))
    assert reader.asked[-1][:2] == ("follow", (1, 11, 20.0))
    assert not ended.done()
    reader.tell(finished(12, 1))
    assert ended.result(DEADLINE_S) is run
    assert run.done()
    assert not kernel.notifier._followed


def test_the_standard_library_waits_for_several(kernel, reader):
    first, second = kernel.submit(1), kernel.submit(2)
    assert wait([first, second], 0).not_done == {first, second}
    reader.tell(failed(11, 2), finished(12, 2, "error"))
    assert wait([first, second], DEADLINE_S, FIRST_EXCEPTION).done == {second}
    assert next(as_completed([first, second], DEADLINE_S)) is second
    assert isinstance(second.exception(), ExecutionError)
    assert len(reader.asked) == 2


def test_it_can_be_awaited(kernel, reader):
    run = kernel.submit(1)

    async def wait_for_it():
        asyncio.get_running_loop().call_soon(reader.tell, finished(11, 1))
        return await asyncio.wait_for(asyncio.wrap_future(run), DEADLINE_S)

    assert asyncio.run(wait_for_it()) is None
    assert run.done()


def test_who_reads_and_who_is_told_hear_the_same_once(kernel, reader):
    called = []
    run = kernel.submit(1)
    run.add_done_callback(called.append)
    kernel._follow = lambda *_: (12, answer_of(printed(11, 1), finished(12, 1)))
    assert run.result(DEADLINE_S) is None
    assert not called
    reader.tell(printed(11, 1), finished(12, 1))
    assert called == [run]
    assert run.stdout == "x"


def answer_of(*events):
    from rpyc_kernel.client.answers import read_events

    return read_events((events[-1][0], encode_events(events)))[1]


def test_an_end_that_is_known_is_asked_for_by_nobody(kernel, reader):
    run, called = kernel.submit(1), []
    run._take(answer_of(finished(11, 1)), 11)
    run.add_done_callback(called.append)
    assert called == [run]
    assert not reader.asked


def test_an_execution_that_nobody_holds_is_let_go_and_no_longer_read_for(kernel, reader):
    run = kernel.submit(1)
    assert wait([run], 0).not_done
    ref = weakref.ref(run)
    del run
    gc.collect()
    assert ref() is None
    reader.tell(printed(11, 1))
    assert len(reader.asked) == 1
    assert not kernel.notifier._followed


def test_a_callback_is_called_for_an_execution_that_nobody_holds(kernel, reader):
    ended = Future()
    kernel.submit(1).add_done_callback(lambda run: ended.set_result(run.id))
    gc.collect()
    reader.tell(finished(12, 1))
    assert ended.result(DEADLINE_S) == 1
    gc.collect()
    assert not [thing for thing in gc.get_objects() if type(thing) is Execution and thing.id == 1]


def test_whoever_waits_hears_that_the_connection_is_lost_and_the_next_gets_another():
    first, second = Reader(), Reader()
    with kernel_of(first, second) as kernel:
        lost, run = kernel.submit(1), kernel.submit(2)
        assert wait([lost], 0).not_done
        first.close()
        assert wait([lost], DEADLINE_S).done
        assert isinstance(lost.exception(), ConnectionLost)
        assert wait([run], 0).not_done
        second.tell(finished(12, 2))
        assert wait([run], DEADLINE_S).done
        assert run.exception() is None


def test_after_the_end_of_the_client_nobody_waits(kernel):
    kernel.notifier.close()
    run, called = kernel.submit(1), []
    run.add_done_callback(called.append)
    assert called == [run]
    assert isinstance(run.exception(), ConnectionLost)


def test_an_answer_that_cannot_be_read_is_heard_of(kernel, reader):
    run = kernel.submit(1)
    assert wait([run], 0).not_done
    reader.asked[-1][2].set_result("nonsense")
    assert wait([run], DEADLINE_S).done
    assert isinstance(run.exception(), ValueError)


@pytest.mark.parametrize("step", ["notify", "start"])
def test_ctrl_c_while_it_is_asked_for_leaves_nobody_waiting_for_ever(kernel, reader, step):
    run = kernel.submit(1)
    owner, name = {"notify": (kernel, "_notify"), "start": (reader, "start")}[step]
    asks = getattr(owner, name)

    def interrupt(*arguments):
        setattr(owner, name, asks)
        asks(*arguments)
        raise KeyboardInterrupt

    setattr(owner, name, interrupt)
    with pytest.raises(KeyboardInterrupt):
        wait([run], 0)
    assert wait([run], 0).not_done
    reader.tell(finished(11, 1))
    assert wait([run], DEADLINE_S).done


def test_all_that_makes_it_a_future_is_made_once(kernel, reader):
    assert kernel.submit(2)._state == "PENDING"  # as asyncio looks first, from Python 3.14 on
    run = kernel.submit(1)
    kernel._notify = lambda execution: SimpleNamespace(first=vars(run).setdefault("_condition", "another thread's"))
    assert run._condition == "another thread's"
