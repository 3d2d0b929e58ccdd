"""Reading events from a cursor: what is asked, and where it ends."""

import threading

import pytest

from rpyc_kernel.client import events as events_module
from rpyc_kernel.client.answers import reader_of
from rpyc_kernel.client.events import EventStream, Watch
from rpyc_kernel.core.contract import Kind, encode_events
from rpyc_kernel.errors import ConnectionLost

DEADLINE_S = 30.0


def stream(seq, execution=1):
    return (seq, 0.0, Kind.STREAM, execution, "me", '{"name": "stdout", "text": "x"}')


def finished(seq, execution=1):
    return (seq, 0.0, Kind.FINISHED, execution, "me", '{"outcome": "ok"}')


def stopped(seq):
    return (seq, 0.0, Kind.HUB_STOPPED, None, None, '{"reason": ""}')


class Connection:
    """A hub with these answers, which remembers what it was asked."""

    def __init__(self, *answers, last=0):
        self.asked = []
        self.is_closed = False
        self._answers = list(answers)
        self._last = last

    def hello(self):
        return {"last": self._last}

    def call(self, command, *arguments, timeout_s=None):
        command.bind(arguments)
        method, read = command.name, reader_of(command)
        self.asked.append((method, *arguments))
        if method == "find":
            return read(5)
        if method == "acknowledge":
            return None
        if not self._answers:
            raise ConnectionLost("gone")
        events = self._answers.pop(0)
        return read((events[-1][0] if events else arguments[1 if method == "follow" else 0], encode_events(events)))

    def as_ours(self, error):
        return error

    def close(self):
        self.is_closed = True


def numbers(batches):
    return [event.seq for batch in batches for event in batch]


def test_the_events_of_an_execution_end_with_it_and_begin_no_earlier_than_it():
    connection = Connection([stream(6)], [], [stream(7), finished(8)], [stream(9)])
    assert numbers(EventStream.of_execution(connection, 1, 2).follow()) == [6, 7, 8]
    assert [asked[:3] for asked in connection.asked] == [("find", 1), *[("follow", 1, cursor) for cursor in (4, 6, 6)]]


def test_all_events_end_with_the_kernel_and_not_with_an_earlier_life():
    connection = Connection([stopped(3), stream(4)], [stopped(9)], last=8)
    assert numbers(EventStream(connection, 0).follow()) == [3, 4, 9]


def test_what_there_is_now_ends_there():
    connection = Connection([stream(1), stream(2)], [stream(3), stream(4)], last=3)
    assert numbers(EventStream(connection, 0).read_all()) == [1, 2, 3]


def test_what_there_is_now_of_an_execution_ends_with_nothing_or_its_end():
    assert numbers(EventStream(Connection([stream(1)], []), 0, execution=1).read_all()) == [1]
    assert numbers(EventStream(Connection([stream(1), finished(2)]), 0, execution=1).read_all()) == [1, 2]


def test_the_end_is_acknowledged_too():
    connection = Connection([stopped(9)], last=8)
    list(EventStream(connection, 0, acknowledge=True).follow())
    assert connection.asked[-1] == ("acknowledge", 9)


def test_nothing_for_too_long_is_a_time_out(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(events_module.time, "monotonic", lambda: float(next(clock)))
    connection = Connection([], [], [])
    with pytest.raises(TimeoutError, match="nothing came for 2 s"):
        numbers(EventStream(connection, 0, execution=1).follow(2.0))
    assert [asked[3] for asked in connection.asked] == [1.0, 0.0]


def test_a_watch_goes_no_faster_than_it_is_told_and_says_why_it_ends():
    taken, ended, has_taken = [], [], threading.Semaphore(0)
    connection = Connection([stream(1)], [stream(2)])

    def take(batch):
        taken.extend(event.seq for event in batch)
        has_taken.release()

    watch = Watch(connection, 0, take, ended.append)
    assert has_taken.acquire(timeout=DEADLINE_S)
    assert taken == [1]
    watch.go_on()
    assert has_taken.acquire(timeout=DEADLINE_S)
    watch.close()
    assert taken == [1, 2]
    assert isinstance(ended[0], ConnectionLost)
    assert connection.is_closed
