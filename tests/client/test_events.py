"""Reading events from a cursor: what is asked, and where it ends."""

from concurrent.futures import Future

import pytest

from rpyc_kernel.client import events as events_module
from rpyc_kernel.client.answers import reader_of
from rpyc_kernel.client.events import EventStream, Watch
from rpyc_kernel.core.contract import Kind, encode_events
from rpyc_kernel.errors import ConnectionLost


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
        self.started = []
        self._answers = list(answers)
        self._last = last

    def hello(self):
        return {"last": self._last}

    def call(self, command, *arguments, timeout_s=None, within_s=None):
        return reader_of(command)(self._answer(command, *arguments))

    def _answer(self, command, *arguments):
        command.bind(arguments)
        method = command.name
        self.asked.append((method, *arguments))
        if method == "find":
            return 5
        if method == "acknowledge":
            return None
        if not self._answers:
            raise ConnectionLost("gone")
        events = self._answers.pop(0)
        return (events[-1][0] if events else arguments[1 if method == "follow" else 0], encode_events(events))

    def start(self, *question):
        self.started.append((Future(), question))
        return self.started[-1][0]

    def answer(self):
        """Answer what was started and waits."""
        while self.started:
            call, question = self.started.pop()
            try:
                call.set_result(self._answer(*question))
            except ConnectionLost as error:
                call.set_exception(error)

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
    connection = Connection([stream(1)], [stream(2)])
    watch = Watch(connection, 0)
    assert watch.take() == []
    connection.answer()
    assert [numbers([watch.take()]), numbers([watch.take()])] == [[1], []]
    connection.answer()
    assert watch.take() == []  # it has asked for nothing more
    for wanted in ([2], []):
        watch.go_on()
        watch.go_on()
        connection.answer()
        assert numbers([watch.take()]) == wanted
    assert [asked[1] for asked in connection.asked] == [0, 1, 2]
    assert (watch.has_ended, type(watch.error)) == (True, ConnectionLost)


def test_a_watch_ends_with_the_kernel_and_not_with_an_earlier_life():
    connection = Connection([stopped(3)], [stopped(9)], last=8)
    watch = Watch(connection, 0)
    for has_ended in (False, True):
        connection.answer()
        assert watch.take()
        assert (watch.has_ended, watch.error) == (has_ended, None)
        watch.go_on()
    assert len(connection.asked) == 2


def test_a_watch_of_an_execution_begins_and_ends_with_it():
    connection = Connection([], [stream(7)], [finished(8)])
    watch = Watch.of_execution(connection, 1, 2)
    seen = []
    while not watch.has_ended:
        connection.answer()
        seen += numbers([watch.take()])
        watch.go_on()
    assert (seen, watch.error) == ([7, 8], None)
    assert [asked[:3] for asked in connection.asked] == [("find", 1), *[("follow", 1, cursor) for cursor in (4, 4, 7)]]
