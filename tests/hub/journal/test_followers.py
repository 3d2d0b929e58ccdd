"""One execution among all events: found by its number, and told of as eagerly as is asked for."""

import pytest

from rpyc_kernel.core.actions import Record
from rpyc_kernel.core.contract import Kind
from rpyc_kernel.hub.journal import readers
from tests.hub.journal.answers import wait_for
from tests.hub.journal.test_journal import (
    WAIT_S,
    append,
    finished,
    kinds,
    open_journal,
    printed,
    queued,
    started,
)


@pytest.fixture(params=[1 << 24, 0], ids=["in memory", "on disk"])
def journal(request, tmp_path):
    with open_journal(tmp_path, memory=request.param) as journal:
        yield journal


def test_an_eager_follower_is_told_at_once_of_the_first_event_that_is_not_quiet(journal):
    append(journal, queued(1, "1"), started(1), printed("own", 1))
    assert kinds(journal.follow(1, 0, WAIT_S, is_eager=True)[1]) == ["queued", "started", "stream"]
    following = journal.follow(1, 3, WAIT_S, is_eager=True)
    append(journal, printed("other", 2))
    assert not following.is_over
    append(journal, printed("more", 1))
    cursor, events = wait_for(following, WAIT_S)
    assert (cursor, kinds(events)) == (5, ["stream"])


def test_an_eager_follower_gets_what_is_quiet_with_what_follows_it(journal, monkeypatch):
    monkeypatch.setattr(readers, "_QUIET_S", WAIT_S)
    append(journal, queued(1, "1"))
    following = journal.follow(1, 0, WAIT_S, is_eager=True)
    append(journal, started(1))
    assert not following.is_over
    append(journal, printed("own", 1))
    assert kinds(wait_for(following, WAIT_S)[1]) == ["queued", "started", "stream"]


def test_an_eager_follower_is_told_soon_of_what_is_quiet_where_nothing_follows(journal):
    append(journal, queued(1, "1"))
    cursor, events = wait_for(journal.follow(1, 0, WAIT_S, is_eager=True), WAIT_S / 2)
    assert (cursor, kinds(events)) == (1, ["queued"])
    following = journal.follow(1, cursor, WAIT_S, is_eager=True)
    append(journal, started(1))
    assert kinds(wait_for(following, WAIT_S / 2)[1]) == ["started"]


def test_who_does_not_wait_is_answered_with_what_there_is(journal):
    append(journal, queued(1, "1"))
    assert kinds(journal.follow(1, 0, 0, is_eager=True)[1]) == ["queued"]
    assert journal.follow(1, 1, 0, is_eager=True) == (1, ())


def test_every_execution_is_found_by_its_number(journal):
    first = {}
    for number in range(1, 40):
        noise = [printed("x", number - 1) for _ in range(number % 7 * 10)]
        append(journal, *noise, Record(Kind.CLIENT_JOINED, None, "a", {"name": "a", "role": "user"}))
        first[number] = journal.last + 1
        append(journal, queued(number, "code"), started(number), finished(number))
    assert {number: journal.find(number) for number in first} == first


@pytest.mark.parametrize("number", [-1, 0, 3, 2**70])
def test_what_never_was_is_not_found(journal, number):
    append(journal, queued(1, "1"), finished(1), queued(2, "2"), printed("x", 2))
    assert journal.find(number) is None


def test_nothing_is_found_in_an_empty_journal(journal):
    assert journal.find(1) is None


def test_what_came_long_before_an_execution_is_not_looked_at(journal, monkeypatch):
    append(journal, *(printed("x", 0) for _ in range(3000)))
    append(journal, queued(1, "1"), started(1), finished(1))
    looked, after = [], journal.after
    monkeypatch.setattr(journal, "after", lambda cursor, limit: (looked.append(cursor), after(cursor, limit))[1])
    assert kinds(journal.follow(1, 0, WAIT_S)[1]) == ["queued", "started", "finished"]
    assert looked == [3000]
