"""Who answers those who wait: where events are committed if they are few, in rounds if they are a crowd."""

import threading
import time
import weakref
from unittest import mock

import pytest

from rpyc_kernel.core.contract import Kind, Scope
from rpyc_kernel.hub.journal import readers as readers_module
from rpyc_kernel.hub.journal.readers import Readers
from rpyc_kernel.system.later import Later
from tests.hub.journal.answers import wait_for

WAIT_S = 30.0
FEW, MANY = 4, 12


class Source:
    """Events that a test has made up."""

    def __init__(self):
        self.events = []

    @property
    def last(self):
        return len(self.events)

    def after(self, cursor, limit):
        found = self.events[cursor : cursor + limit]
        return cursor + len(found), found


class Room:
    """Readers of a source; and how often an answer was made, and who was answered by which thread."""

    def __init__(self):
        self.source = Source()
        self.presented = []
        self.threads = []
        self.readers = Readers(self.source, self._present)

    def _present(self, cursor, events):
        self.presented.append(cursor)
        return cursor, [event[0] for event in events]

    def tell(self, text="x", session=None, kind=Kind.STREAM, execution=None):
        event = (self.source.last + 1, 1.0, kind, execution, session, text)
        self.source.events.append(event)
        self.readers.tell([event])
        self.readers.publish(even_quiet=False)

    def ask(self, cursor=0, *, limit=1000, scope=Scope.ALL, wait_s=WAIT_S):
        asked = self.readers.read(cursor, limit, wait_s, scope, "mine")
        if isinstance(asked, Later):
            asked.add_done_callback(lambda _: self.threads.append(threading.current_thread()))
        return asked

    def end_rest(self):
        with self.readers._changed:
            self.readers._rest_until = self.readers._round_at = 0.0
            self.readers._changed.notify()


@pytest.fixture
def room():
    room = Room()
    yield room
    room.readers.close()


def results(asked):
    return [wait_for(future, WAIT_S) for future in asked]


def test_a_few_are_answered_where_events_are_committed(room):
    asked = [room.ask() for _ in range(FEW)]
    room.tell()
    assert [future.is_over for future in asked] == [True] * FEW
    assert set(room.threads) == {threading.current_thread()}


def test_what_is_quiet_is_told_with_what_follows_and_has_its_clock_stopped(room, monkeypatch):
    monkeypatch.setattr(readers_module, "_QUIET_S", WAIT_S)
    asked = room.ask()
    room.tell(kind=Kind.QUEUED)
    assert not asked.is_over
    assert room.readers._publish_at is not None
    room.tell()
    assert wait_for(asked, WAIT_S) == (2, [1, 2])
    assert room.readers._publish_at is None


def test_a_crowd_is_answered_by_a_thread_of_its_own_and_shares_one_answer(room):
    asked = [room.ask() for _ in range(MANY)]
    room.tell()
    assert results(asked) == [(1, [1])] * MANY
    assert set(room.threads) == {room.readers._thread}
    assert room.presented == [1]


def test_what_gathers_while_a_crowd_rests_comes_in_one_answer(room):
    asked = [room.ask() for _ in range(MANY)]
    room.readers._rest_until = time.monotonic() + 3600
    for _ in range(5):
        room.tell()
    again = room.ask(0)  # there is something for it already, and it is one of the crowd
    assert not any(future.is_over for future in [*asked, again])
    room.end_rest()
    assert results([*asked, again]) == [(5, [1, 2, 3, 4, 5])] * (MANY + 1)


def test_a_crowd_that_has_dispersed_is_none(room):
    asked = [room.ask() for _ in range(MANY)]
    room.tell()
    results(asked)
    with mock.patch.object(readers_module, "_CROWD_S", -3600.0):
        assert room.ask(0) == (1, [1])


def test_who_does_not_wait_is_answered_at_once_in_a_crowd_too(room):
    room.tell()
    room.readers._rest_until = time.monotonic() + 3600
    assert room.ask(0, wait_s=0) == (1, [1])
    assert room.ask(1, wait_s=0) == (1, [])


def test_in_a_crowd_each_gets_what_it_asked_for(room):
    for _ in range(3):
        room.tell()
    room.readers._rest_until = time.monotonic() + 3600
    asked = [room.ask(cursor, limit=limit) for cursor in (0, 1, 2) for limit in (1, 2)]
    mine = room.ask(0, scope=Scope.SESSION)
    room.tell(session="theirs")
    others = [room.ask(4) for _ in range(MANY)]
    room.end_rest()
    assert results(asked) == [(1, [1]), (2, [1, 2]), (2, [2]), (3, [2, 3]), (3, [3]), (4, [3, 4])]
    assert wait_for(mine, WAIT_S) == (4, [1, 2, 3])
    assert not any(other.is_over for other in others)
    room.tell(session="mine")
    room.end_rest()
    assert results(others) == [(5, [5])] * MANY


def test_answers_to_a_crowd_are_short(room):
    for _ in range(4):
        room.tell("x" * 400_000)
    room.readers._rest_until = time.monotonic() + 3600
    asked = room.ask(0)
    room.end_rest()
    assert wait_for(asked, WAIT_S) == (2, [1, 2])
    assert room.ask(2, wait_s=0) == (4, [3, 4])


def test_closing_answers_a_crowd_that_rests(room):
    asked = [room.ask() for _ in range(MANY)]
    room.readers._rest_until = time.monotonic() + 3600
    room.tell()
    room.readers.close()
    assert results(asked) == [(1, [1])] * MANY


def test_an_answer_is_kept_by_whoever_asked_alone(room):
    asked = [room.ask(), room.readers.follow(1, 0, WAIT_S, is_eager=False)]
    kept = [weakref.ref(future) for future in asked]
    room.tell(kind=Kind.FINISHED, execution=1)
    assert [wait_for(future, WAIT_S) for future in asked] == [(1, [1])] * 2
    del asked
    assert [future() for future in kept] == [None] * 2


def test_of_those_who_were_answered_in_time_nothing_is_kept(room):
    for number in range(2000):
        asked = room.ask(number)
        room.tell()
        assert asked.is_over
    assert len(room.readers._deadlines) < 1000
