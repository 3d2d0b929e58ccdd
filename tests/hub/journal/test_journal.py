"""The journal: every event once, in order, from any cursor, whatever the disk, the readers and the processes do."""

import contextlib
import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpyc_kernel.client.answers import read_events
from rpyc_kernel.core.actions import Record
from rpyc_kernel.core.contract import Kind, Scope, encode_events
from rpyc_kernel.errors import ConnectionLost, RequestError
from rpyc_kernel.hub.journal import journal as journal_module
from rpyc_kernel.hub.journal import salvage
from rpyc_kernel.hub.journal import store as store_module
from rpyc_kernel.hub.journal import trouble as trouble_module
from rpyc_kernel.hub.journal import upkeep as upkeep_module
from rpyc_kernel.hub.journal.journal import Journal
from rpyc_kernel.hub.journal.store import Store
from rpyc_kernel.hub.journal.tail import Tail
from rpyc_kernel.system.journal_file import JournalFile
from tests.hub.journal.answers import wait_for
from tests.support.waiting import wait_until

PLENTY = 1 << 24
WAIT_S = 30.0


@contextlib.contextmanager
def open_journal(folder, *, memory=PLENTY, unsaved=PLENTY):
    journal = Journal(Path(folder) / "state" / "journal.sqlite", max_memory_bytes=memory, max_unsaved_bytes=unsaved)
    with looked_after(journal):
        try:
            yield journal
        finally:
            journal.close()


@contextlib.contextmanager
def looked_after(journal):
    """Have done now and then what a hub does once a second."""
    is_over = threading.Event()

    def look():
        while not is_over.wait(0.05):
            journal._upkeep.look()

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


@pytest.fixture
def journal(tmp_path):
    with open_journal(tmp_path) as journal:
        yield journal


def printed(text="x", execution=None, session=None):
    return Record(Kind.STREAM, execution, session, {"name": "stdout", "text": text})


def queued(execution, code, name="alice"):
    return Record(Kind.QUEUED, execution, "a", {"code": code, "name": name})


def append(journal, *records, **options):
    journal.append(records, **options)
    journal.publish()


def read(journal, cursor=0, limit=1000, wait_s=0.0, scope=Scope.ALL, session=""):
    """Read; a future is waited for."""
    reading = journal.read(cursor, limit, wait_s, scope, session)
    return wait_for(reading, WAIT_S)


def read_everything(journal, limit=1000, cursor=0, **options):
    events = []
    while True:
        cursor, found = read(journal, cursor, limit, **options)
        if not found:
            return events
        events += found


def numbers(events):
    return [event[0] for event in events]


def texts(events):
    return [json.loads(event[5])["text"] for event in events]


# Numbers


def test_events_are_numbered_from_one_without_a_gap(journal):
    append(journal, printed("a"), printed("b"))
    append(journal, printed("c"))
    cursor, events = read(journal)
    assert numbers(events) == [1, 2, 3]
    assert texts(events) == ["a", "b", "c"]
    assert cursor == journal.last == 3


def test_nothing_to_append_is_no_event(journal):
    append(journal)
    assert journal.last == 0


def test_an_event_says_when_what_and_whose(journal):
    before = time.time()
    append(journal, printed("ä\ud800", 3, "a"))
    ((seq, when, kind, execution, session, payload),) = read(journal)[1]
    assert (seq, kind, execution, session) == (1, Kind.STREAM, 3, "a")
    assert before <= when <= time.time()
    assert json.loads(payload) == {"name": "stdout", "text": "ä\ud800"}


def test_a_journal_that_is_opened_again_goes_on_counting(tmp_path):
    with open_journal(tmp_path) as journal:
        append(journal, printed("before"))
    with open_journal(tmp_path) as journal:
        assert journal.last == 1
        append(journal, printed("after"))
        assert texts(read(journal)[1]) == ["before", "after"]
        assert numbers(read(journal)[1]) == [1, 2]


def test_threads_that_append_at_once_share_the_numbers(journal):
    def write(name):
        for number in range(100):
            append(journal, printed(f"{name}:{number}"))

    threads = [threading.Thread(target=write, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    cursor, events = 0, []
    while len(events) < 300:
        cursor, found = read(journal, cursor, 50, WAIT_S)
        events += found
    for thread in threads:
        thread.join()
    assert numbers(events) == list(range(1, 301))
    for name in "abc":
        mine = [text for text in texts(events) if text.startswith(name)]
        assert mine == [f"{name}:{number}" for number in range(100)]


# Cursors


batches = st.lists(st.lists(st.integers(0, 900), min_size=1, max_size=6), min_size=1, max_size=12)


@settings(deadline=None, max_examples=60)
@given(
    batches=batches,
    memory=st.sampled_from((0, 500, 3000, PLENTY)),
    reply_chars=st.sampled_from((1, 1000, PLENTY)),
    limits=st.lists(st.integers(1, 20), min_size=1),
    start=st.integers(-1, 40),
)
def test_memory_and_disk_tell_the_same_from_any_cursor_in_any_steps(batches, memory, reply_chars, limits, start):
    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.object(journal_module, "_MAX_REPLY_CHARS", reply_chars),
        open_journal(folder, memory=memory) as journal,
    ):
        written = 0
        for batch in batches:
            append(journal, *(printed("x" * size, written + index) for index, size in enumerate(batch)))
            written += len(batch)
        with sqlite3.connect(Path(folder) / "state" / "journal.sqlite") as connection:
            truth = connection.execute("SELECT seq, time, kind, execution, session, payload FROM events").fetchall()
        connection.close()
        cursor, got, step = start, [], 0
        while True:
            limit = limits[step % len(limits)]
            step += 1
            following, found = read(journal, cursor, limit)
            if not found:
                break
            assert len(found) <= limit
            assert following == found[-1][0]
            assert sum(len(event[5]) for event in found[:-1]) < reply_chars or len(found) == 1
            got += found
            cursor = following
        assert got == [event for event in truth if event[0] > start]


@pytest.mark.parametrize("memory", [0, PLENTY], ids=["disk", "memory"])
def test_an_event_longer_than_a_reply_comes_alone(tmp_path, memory):
    with open_journal(tmp_path, memory=memory) as journal:
        append(journal, printed("x" * (1 << 21)), printed("y"))
        append(journal, printed("z"))
        cursor, events = read(journal)
        assert (cursor, numbers(events)) == (1, [1])
        assert numbers(read(journal, cursor)[1]) == [2, 3]


def test_a_reader_in_the_future_waits_for_it(journal):
    append(journal, printed())
    assert read(journal, cursor=5) == (5, ())
    reading = journal.read(5, 10, WAIT_S)
    append(journal, *[printed()] * 5)
    cursor, events = wait_for(reading, WAIT_S)
    assert (cursor, numbers(events)) == (6, [6])


def test_memory_holds_no_more_than_it_may(tmp_path):
    with open_journal(tmp_path, memory=1000) as journal:
        for _ in range(200):
            append(journal, printed("x" * 100))
        assert journal._tail.bytes <= 1000


# Scopes


def test_a_session_hears_of_itself_and_of_nobody_but_not_of_others(journal):
    append(journal, printed("mine", 1, "a"), printed("theirs", 2, "b"), printed("nobody's"))
    assert texts(read(journal, scope=Scope.SESSION, session="a")[1]) == ["mine", "nobody's"]
    assert texts(read(journal, scope=Scope.ALL, session="a")[1]) == ["mine", "theirs", "nobody's"]


def test_the_cursor_passes_over_what_is_not_in_scope(journal):
    append(journal, *[printed("theirs", 2, "b")] * 7)
    assert read(journal, limit=2, scope=Scope.SESSION, session="a") == (7, ())
    append(journal, printed("mine", 1, "a"))
    cursor, events = read(journal, limit=2, scope=Scope.SESSION, session="a")
    assert (cursor, texts(events)) == (8, ["mine"])


def test_others_events_wake_no_reader_of_a_session(journal):
    reading = journal.read(0, 10, WAIT_S, Scope.SESSION, "a")
    append(journal, printed("theirs", 2, "b"))
    assert not reading.is_over
    append(journal, printed("mine", 1, "a"))
    cursor, events = wait_for(reading, WAIT_S)
    assert (cursor, texts(events)) == (2, ["mine"])


# Waiting


def test_a_reader_with_nothing_to_read_waits_for_the_next_event(journal):
    append(journal, printed())
    reading = journal.read(1, 10, WAIT_S)
    assert not reading.is_over
    append(journal, printed("news"))
    assert texts(wait_for(reading, 0)[1]) == ["news"]


def test_who_does_not_wait_is_answered_at_once(journal):
    append(journal, printed())
    assert journal.read(1, 10, 0.0) == (1, ())
    assert numbers(journal.read(0, 10, WAIT_S)[1]) == [1]


def test_a_reader_is_answered_when_its_time_is_over(journal):
    began = time.monotonic()
    patient = journal.read(0, 10, WAIT_S)
    assert wait_for(journal.read(0, 10, 0.05), WAIT_S) == (0, ())
    assert 0.05 <= time.monotonic() - began < WAIT_S
    assert not patient.is_over


def test_a_reader_that_heard_only_of_others_keeps_that_place_when_its_time_is_over(journal):
    reading = journal.read(0, 10, WAIT_S, Scope.SESSION, "a")
    append(journal, printed("theirs", 2, "b"))
    journal._readers._expire(time.monotonic() + WAIT_S)
    assert wait_for(reading, 0) == (1, ())


def test_a_reader_whose_connection_has_gone_disturbs_nobody(journal):
    gone, other = journal.read(0, 10, WAIT_S), journal.read(0, 10, WAIT_S)
    gone.cancel()
    append(journal, printed())
    assert numbers(wait_for(other, WAIT_S)[1]) == [1]


def test_what_comes_in_the_moment_a_reader_begins_to_wait_is_not_missed(journal):
    readers, times = journal._readers, []
    look = readers._look

    def look_and_be_overtaken(reader, *how):
        found = look(reader, *how)
        if len(times) < 2:  # before it waits, and again before it goes on waiting
            times.append(1)
            append(journal, printed("theirs", 2, "b") if len(times) == 1 else printed("mine", 1, "a"))
        return found

    with mock.patch.object(readers, "_look", look_and_be_overtaken):
        reading = journal.read(0, 10, WAIT_S, Scope.SESSION, "a")
        assert texts(wait_for(reading, WAIT_S)[1]) == ["mine"]


def test_what_is_told_quietly_is_told_soon_though_nobody_publishes(journal):
    reading = journal.read(0, 10, WAIT_S)
    journal.append([queued(1, "1")])
    journal.publish(even_quiet=False)
    assert numbers(wait_for(reading, WAIT_S)[1]) == [1]


def test_many_readers_hear_of_everything(journal):
    count = 200

    def follow(seen):
        cursor = 0
        while len(seen) < count:
            cursor, events = read(journal, cursor, 7, WAIT_S)
            seen += numbers(events)

    seen = [[] for _ in range(8)]
    threads = [threading.Thread(target=follow, args=(mine,)) for mine in seen]
    for thread in threads:
        thread.start()
    for _ in range(count):
        append(journal, printed())
    for thread in threads:
        thread.join()
    assert seen == [list(range(1, count + 1))] * 8


def test_closing_answers_every_reader(tmp_path):
    with open_journal(tmp_path) as journal:
        readings = [journal.read(0, 10, 3600.0) for _ in range(3)]
    assert [wait_for(reading, 0) for reading in readings] == [(0, ())] * 3


def test_who_has_not_read_all_when_the_journal_closes_is_told_that_the_kernel_has_stopped(tmp_path):
    with open_journal(tmp_path, memory=0) as journal:
        append(journal, printed(), printed())
    with pytest.raises(ConnectionLost, match="the kernel has stopped"):
        journal.read(0, 10, 0.0)


def test_nobody_waits_in_a_journal_that_closes(journal):
    append(journal, printed())
    journal.close_readers()
    assert journal.read(1, 10, 3600.0) == (1, ())
    assert numbers(journal.read(0, 10, 3600.0)[1]) == [1]


# Following one execution


def started(execution):
    return Record(Kind.STARTED, execution, "a", {"generation": 1})


def finished(execution):
    return Record(Kind.FINISHED, execution, "a", {"outcome": "ok"})


def test_an_execution_that_has_finished_is_told_at_once(journal):
    append(
        journal, queued(1, "1"), started(1), printed("other", 2), printed("mine", 1), finished(1), printed("late", 1)
    )
    cursor, events = journal.follow(1, 1, WAIT_S)
    assert (cursor, kinds(events)) == (6, ["started", "stream", "finished", "stream"])
    assert numbers(journal.follow(1, 4, WAIT_S)[1]) == [5, 6]


def test_a_follower_gets_all_of_an_execution_in_one_answer_when_it_ends(journal):
    append(journal, queued(1, "1"), printed("other", 2))
    following = journal.follow(1, 1, WAIT_S)
    append(journal, started(1))
    append(journal, printed("mine", 1), printed("other", 2))
    assert not following.is_over
    append(journal, finished(1), printed("other", 2))
    cursor, events = wait_for(following, WAIT_S)
    assert (cursor, numbers(events)) == (6, [3, 4, 6])


def test_a_follower_is_told_what_there_is_when_its_time_is_over(journal):
    append(journal, queued(1, "1"), started(1))
    cursor, events = wait_for(journal.follow(1, 0, 0.05), WAIT_S)
    assert (cursor, numbers(events)) == (2, [1, 2])
    assert wait_for(journal.follow(1, 2, 0.05), WAIT_S) == (2, ())


def test_a_follower_of_much_output_gets_it_piece_by_piece(journal):
    append(journal, queued(1, "1"))
    got, cursor, most = [], 1, 0
    following = journal.follow(1, cursor, WAIT_S)
    for number in range(5):
        append(journal, printed(f"{number}" * 500_000, 1))
    append(journal, finished(1))
    while not got or got[-1][2] != Kind.FINISHED:
        cursor, events = wait_for(following, WAIT_S)
        got += events
        most = max(most, sum(len(event[5]) for event in events))
        following = journal.follow(1, cursor, WAIT_S)
    assert numbers(got) == [2, 3, 4, 5, 6, 7]
    assert most < 2_000_000
    following.cancel()


def test_an_execution_may_have_several_followers_and_some_that_are_gone(journal):
    append(journal, queued(1, "1"), queued(2, "2"))
    followers = [journal.follow(1, 0, WAIT_S) for _ in range(3)]
    other = journal.follow(2, 0, WAIT_S)
    followers[1].cancel()
    append(journal, finished(1))
    assert numbers(wait_for(followers[0], WAIT_S)[1]) == numbers(wait_for(followers[2], WAIT_S)[1]) == [1, 3]
    assert not other.is_over


def test_threads_that_follow_and_append_at_once_miss_no_end(journal):
    count = 200
    append(journal, *(queued(number, "1") for number in range(1, count + 1)))
    ends = []

    def follow():
        for number in range(1, count + 1):
            reading = journal.follow(number, number, WAIT_S)
            _, events = wait_for(reading, WAIT_S)
            ends.append(kinds(events)[-1])

    threads = [threading.Thread(target=follow) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(1, count + 1):
        append(journal, finished(number))
    for thread in threads:
        thread.join()
    assert ends == [Kind.FINISHED] * 3 * count


def test_closing_answers_followers_with_what_there_is(tmp_path):
    with open_journal(tmp_path) as journal:
        append(journal, queued(1, "1"), started(1))
        following = journal.follow(1, 1, 3600.0)
    assert numbers(wait_for(following, 0)[1]) == [2]


def test_nobody_follows_in_a_journal_that_closes(journal):
    append(journal, queued(1, "1"))
    journal.close_readers()
    with pytest.raises(ConnectionLost, match="stopped"):
        journal.follow(1, 0, 3600.0)


# History and what a new hub asks


def test_history_finds_inputs_that_contain_a_pattern_oldest_first(journal):
    append(journal, queued(1, "import numpy"), printed("import"), queued(2, "x = 1", "bob"), queued(3, "import sys"))
    found = journal.history("import", 10)
    assert [(seq, number, name, code) for seq, number, _, name, code in found] == [
        (1, 1, "alice", "import numpy"),
        (4, 3, "alice", "import sys"),
    ]
    assert [number for _, number, *_ in journal.history("", 10)] == [1, 2, 3]
    assert [number for _, number, *_ in journal.history("", 2)] == [2, 3]


def test_history_takes_a_pattern_as_it_is(journal):
    append(journal, queued(1, "a%b_c"), queued(2, "axb_c"), queued(3, 'print("ä\\n")'))
    assert [number for _, number, *_ in journal.history("a%b", 10)] == [1]
    assert [number for _, number, *_ in journal.history('"ä\\n"', 10)] == [3]
    assert journal.history("A%B", 10) == ()


def test_history_tells_of_inputs_and_not_of_calls(journal):
    call = Record(
        Kind.QUEUED, 2, "a", {"code": "# slider", "name": "alice", "call": 'comm:{"code":"x"}', "is_input": False}
    )
    tricky = Record(Kind.QUEUED, 3, "a", {"code": '{"call":"x"}', "name": "alice", "call": None})
    append(journal, queued(1, "x"), call, tricky)
    assert [number for _, number, *_ in journal.history("", 10)] == [1, 3]
    assert [number for _, number, *_ in journal.history("slider", 10)] == []


def test_a_pattern_that_stands_in_a_name_only_is_not_found(journal):
    append(journal, queued(1, "x = 1", "needle"), queued(2, "x = '\\n'"))
    assert journal.history("needle", 10) == ()
    assert journal.history("\n", 10) == ()


def counting(steps):
    """Connects and counts every hundredth step of SQLite."""
    connect = sqlite3.connect

    def connect_and_count(*what, **how):
        connection = connect(*what, **how)
        connection.set_progress_handler(lambda: steps.append(1), 100)
        return connection

    return connect_and_count


def test_a_search_in_the_history_looks_at_inputs_only(tmp_path):
    with open_journal(tmp_path) as journal:
        call = Record(Kind.QUEUED, 3, "a", {"code": "# slider", "name": "alice", "call": "comm:{}", "is_input": False})
        append(journal, queued(1, "first"), *[printed()] * 20_000, *[call] * 20_000, queued(2, "last"))
        steps = []
        wait_until(lambda: journal._upkeep._inputs._done == 40_000, WAIT_S)
        with mock.patch.object(sqlite3, "connect", counting(steps)):
            assert len(journal.history("", 10)) == 2
            assert journal.history("nowhere", 10) == ()
            assert journal.find(2) == journal.last
        assert len(steps) < 10


def test_the_position_in_the_ring_is_committed_with_the_events(tmp_path):
    with open_journal(tmp_path) as journal:
        append(journal, printed(), printed(), generation=2, position=4096)
        append(journal, printed())
        assert journal.ring_position(2) == 4096
        append(journal, printed(), generation=2, position=8192)
        assert journal.ring_position(1) == journal.ring_position(3) == 0
    with open_journal(tmp_path) as journal:
        assert journal.ring_position(2) == 8192
        assert journal.ring_position(1) == journal.ring_position(3) == 0


def test_no_failure_of_power_can_damage_what_was_committed(journal):
    """SQLite promises it of a log beside the file from NORMAL on, and not of OFF."""
    store = journal._store
    for connection in (store.writer, store.reader):
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("PRAGMA synchronous").fetchone()[0] >= 1


def test_a_session_goes_on_where_it_left_off(tmp_path):
    with open_journal(tmp_path) as journal:
        assert journal.cursor_of("a") is None
        journal.acknowledge("a", 3)
        journal.acknowledge("b", 1)
        journal.save_cursors()
        journal.acknowledge("a", 5)
        assert journal.cursor_of("a") == 5
    with open_journal(tmp_path) as journal:
        assert (journal.cursor_of("a"), journal.cursor_of("b"), journal.cursor_of("c")) == (5, 1, None)


def test_a_session_that_comes_while_cursors_are_written_is_in_nobodys_way(journal):
    class Looked(str):
        """A session; whenever it is looked for, another one comes."""

        def __hash__(self):
            journal.acknowledge(f"another {len(journal._cursors)}", 1)
            return super().__hash__()

    journal.acknowledge(Looked("a"), 3)
    journal.save_cursors()
    assert journal._store.read_start().cursors["a"] == 3


# Files that are none


@pytest.mark.parametrize(
    "theirs",
    [
        "CREATE TABLE bookmarks (url)",
        "CREATE TABLE events (name)",
        "CREATE VIEW events AS SELECT 1 AS seq",
        "CREATE TABLE events (seq, time, kind, execution, session, payload, generation, ring)",
    ],
)
def test_another_database_is_refused_and_left_as_it_is(tmp_path, theirs):
    path = tmp_path / "journal.sqlite"
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute(theirs)
    before = path.read_bytes()
    with pytest.raises(RequestError, match="is a database of another program; move it away"):
        Journal(path, max_memory_bytes=1, max_unsaved_bytes=1)
    assert path.read_bytes() == before


def test_a_place_where_no_file_can_be_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RequestError, match="cannot be used"):
        Journal(tmp_path / "file" / "journal.sqlite", max_memory_bytes=1, max_unsaved_bytes=1)


def test_the_folder_of_a_journal_is_private(tmp_path):
    with open_journal(tmp_path):
        assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


# Rows that are damaged


def damage_rows(folder, change):
    with contextlib.closing(sqlite3.connect(Path(folder) / "state" / "journal.sqlite")) as connection, connection:
        connection.executescript(change)


DAMAGE = """
UPDATE events SET payload = '{"name":"stdout","text":"a","more":NaN}' WHERE seq = 2;
UPDATE events SET payload = CAST(x'7bff22fe' AS TEXT) WHERE seq = 3;
UPDATE events SET payload = x'00' WHERE seq = 4;
UPDATE events SET payload = '{' WHERE kind = 'queued' AND execution = 2;
"""


def test_a_damaged_row_takes_no_other_away(tmp_path):
    with open_journal(tmp_path) as journal:
        append(journal, queued(1, "one"), *[printed(text) for text in "abcd"], queued(2, "two"), queued(3, "three"))
    damage_rows(tmp_path, DAMAGE)
    with open_journal(tmp_path, memory=0) as journal:
        events = read_everything(journal)
        assert numbers(events) == [1, 2, 3, 4, 5, 6, 7]
        payloads = [json.loads(event[5]) for event in events]
        assert payloads[1] == {"name": "stdout", "text": "a", "more": None}
        assert [payload["message"].partition(":")[0] for payload in (payloads[2], payloads[3], payloads[5])] == [
            "event 3 (stream) cannot be read",
            "event 4 (stream) cannot be read",
            "event 6 (queued) cannot be read",
        ]
        assert payloads[4]["text"] == "d"
        assert [number for _, number, *_ in journal.history("", 10)] == [1, 3]


@pytest.mark.parametrize(
    ("kind", "payload", "told"),
    [
        (Kind.STREAM, '{"name":"stdout","tezt":"b"}', Kind.JOURNAL_TROUBLE),
        (Kind.STREAM, '{"name":"stdout","text":5}', Kind.JOURNAL_TROUBLE),
        (Kind.FINISHED, "{}", Kind.FINISHED),
        (Kind.COMM, "{}", Kind.COMM),
    ],
)
def test_an_event_without_what_clients_rely_on_takes_no_other_away(tmp_path, kind, payload, told):
    with open_journal(tmp_path) as journal:
        append(journal, *[printed(text, execution=4) for text in "abc"])
    damage_rows(tmp_path, f"UPDATE events SET kind = '{kind}', payload = '{payload}' WHERE seq = 2")
    with open_journal(tmp_path, memory=0) as journal:
        cursor, found = read(journal, 0)
        _, events = read_events((cursor, encode_events(found)))
        assert [event.kind for event in events] == [Kind.STREAM, told, Kind.STREAM]


def test_text_that_is_none_keeps_no_journal_closed(tmp_path):
    with open_journal(tmp_path) as journal:
        append(journal, queued(1, "one"), queued(2, "two"), finished(1))
        journal.acknowledge("a", 1)
    bad = "CAST(x'7bff7d' AS TEXT)"
    damage_rows(
        tmp_path,
        f"UPDATE recovery SET state = {bad}; INSERT INTO cursors VALUES ({bad}, 1);"
        f"UPDATE events SET payload = {bad}, session = {bad} WHERE seq = 1",
    )
    with open_journal(tmp_path) as journal:
        assert [code for *_, code in journal.history("", 10)] == ["two"]
        assert journal.restored().last_execution == 2
        assert journal.cursor_of("a") == 1


def test_the_number_of_an_execution_that_no_kernel_gave_counts_for_nothing(tmp_path):
    with open_journal(tmp_path) as journal:
        append(journal, submitted(1), submitted(2))
    damage_rows(tmp_path, f"UPDATE events SET execution = {2**63 - 1} WHERE seq = 2; DELETE FROM recovery")
    with open_journal(tmp_path) as journal:
        restored = journal.restored()
        assert (restored.last_execution, [number for number, *_ in restored.unfinished]) == (1, [1])


def submitted(execution, code="x"):
    payload = {"code": code, "name": "alice", "lane": "main", "stop_on_error": True, "call": None, "source": None}
    return Record(Kind.QUEUED, execution, "a", payload)


def test_what_waits_and_cannot_be_read_is_lost_and_the_rest_is_restored(tmp_path):
    with open_journal(tmp_path) as journal:
        append(journal, submitted(1), submitted(2), submitted(3))
    damage_rows(tmp_path, "UPDATE events SET payload = '{' WHERE execution = 2")
    with open_journal(tmp_path) as journal:
        assert [number for number, *_ in journal.restored().unfinished] == [1, 3]
        (end,) = [event for event in read_everything(journal) if event[2] == Kind.FINISHED]
        assert (end[3], json.loads(end[5])["outcome"]) == (2, "lost")


def test_a_number_that_is_none_is_recorded_as_json(tmp_path):
    with open_journal(tmp_path) as journal:
        append(journal, printed(math.nan), Record(Kind.QUEUED, 1, "a", {"code": "x", "name": "n", "call": math.inf}))
        assert [number for _, number, *_ in journal.history("", 10)] == [1]
    with contextlib.closing(sqlite3.connect(tmp_path / "state" / "journal.sqlite")) as connection:
        assert connection.execute("SELECT min(json_valid(payload)) FROM events").fetchall() == [(1,)]


# A long past


def test_a_start_reads_no_more_of_the_past_than_what_came_after_it_was_written_down(tmp_path, monkeypatch):
    monkeypatch.setattr(journal_module, "_SNAPSHOT_EVENTS", 1000)
    with open_journal(tmp_path) as journal:
        append(journal, submitted(1), started(1))
        for _ in range(50):
            append(journal, *[printed("x", 1)] * 100, generation=1, position=journal.last)
        append(journal, submitted(2))
        assert journal.last - journal._written_down < 1100
        # As a hub that is killed leaves it: nothing is written down at its end.
        with mock.patch.object(Store, "commit"):
            journal.close()
    with open_journal(tmp_path) as journal:
        restored = journal.restored()
        assert [(number, when is not None) for number, _, _, when, _ in restored.unfinished] == [(1, True), (2, False)]
        assert (journal.last, restored.last_execution) == (5003, 2)
        assert journal.ring_position(1) == 4902


@pytest.mark.parametrize("is_stopped", [True, False])
def test_where_nothing_is_written_down_a_start_passes_over_what_a_stop_has_settled(tmp_path, is_stopped):
    begun = [Record(Kind.WORKER_STARTED, None, None, {"generation": 3}), submitted(1), started(1)]
    with open_journal(tmp_path) as journal:
        journal.append([*begun, submitted(2), *[printed()] * 5000], generation=3, position=64)
        if is_stopped:
            append(journal, printed(), Record(Kind.HUB_STOPPED, None, None, {"reason": "stopped"}), printed())
        append(journal, submitted(7))
    if is_stopped:
        damage_rows(tmp_path, "UPDATE events SET execution = 'x' WHERE kind = 'queued' AND execution = 2")
    with open_journal(tmp_path) as journal:
        expected = journal.restored()
    damage_rows(tmp_path, "DELETE FROM recovery")
    with open_journal(tmp_path) as journal:
        assert journal.restored() == expected
        assert (expected.generation, expected.last_execution, journal.ring_position(3)) == (3, 7, 64)
        assert [number for number, *_ in expected.unfinished] == ([7] if is_stopped else [1, 2, 7])


def test_a_journal_of_an_earlier_release_is_read_as_it_is(tmp_path):
    path = tmp_path / "state" / "journal.sqlite"
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.executescript("""
            CREATE TABLE events (seq INTEGER PRIMARY KEY, time REAL NOT NULL, kind TEXT NOT NULL, execution INTEGER,
                session TEXT, payload TEXT NOT NULL, generation INTEGER, ring INTEGER);
            CREATE TABLE cursors (session TEXT PRIMARY KEY, cursor INTEGER NOT NULL);
            INSERT INTO events VALUES (1, 1.5, 'queued', 4, 'a',
                '{"code":"x","name":"n","lane":"main","stop_on_error":true,"call":null}', 2, 64);
            INSERT INTO cursors VALUES ('a', 1);
        """)
    with open_journal(tmp_path) as journal:
        assert [number for number, *_ in journal.restored().unfinished] == [4]
        assert [number for _, number, *_ in journal.history("x", 10)] == [4]
        assert (journal.cursor_of("a"), journal.ring_position(2)) == (1, 64)


# A file that others damage


def file_of(folder):
    return Path(folder) / "state" / "journal.sqlite"


def wait_for_recovery(journal, cursor):
    """Read what is told of it: the trouble, then the recovery. Who keeps up is told without a look at the file."""
    told = []
    while Kind.JOURNAL_RECOVERED not in kinds(told):
        cursor, found = read(journal, cursor, 1000, WAIT_S)
        told += [event for event in found if event[2] in (Kind.JOURNAL_TROUBLE, Kind.JOURNAL_RECOVERED)]
    return [json.loads(event[5])["message"] for event in told]


def wait_until_moved(journal):
    """Wait until all is in the file, as it is when nothing was written for a while."""
    wait_until(lambda: not journal._upkeep._unmoved_bytes, WAIT_S)


def fill(journal, count=500):
    for number in range(count):
        append(journal, printed(f"{number}:" + "x" * 1000))


def overwrite(path):
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2 // 4096 * 4096)
        file.write(b"garbage!" * 4096)


def replace(path):
    path.with_name("other").write_bytes(path.read_bytes())
    path.with_name("other").replace(path)


@pytest.mark.parametrize(
    ("harm", "told", "is_kept"),
    [
        (lambda path: path.unlink(), "was removed", True),
        (lambda path: [part.unlink() for part in path.parent.iterdir()], "was removed", True),
        (lambda path: shutil.rmtree(path.parent), "was removed", True),
        (replace, "was replaced", True),
        (lambda path: os.truncate(path, path.stat().st_size // 8192 * 4096), "was cut short", False),
        (lambda path: os.truncate(path, 0), "was cut short", False),
        (overwrite, "is damaged", False),
    ],
    ids=["file removed", "all removed", "folder removed", "replaced", "cut", "emptied", "overwritten"],
)
def test_what_others_do_to_the_file_is_told_and_what_can_be_read_goes_on(tmp_path, harm, told, is_kept):
    with open_journal(tmp_path, memory=100_000) as journal:
        fill(journal)
        wait_until_moved(journal)
        harm(file_of(tmp_path))
        trouble, recovery = wait_for_recovery(journal, 500)
        assert f"{file_of(tmp_path)} {told}" in trouble
        append(journal, printed("after"))
        assert journal.last == 503
        assert journal.trouble is None
        wait_until_moved(journal)
        found = on_disk(tmp_path)
        # The end was in memory, too.
        assert found[-50:] == list(range(454, 504))
        if is_kept:
            assert found == list(range(1, 504))
            assert "with 501 of 501 events" in recovery
        assert texts([read_everything(journal)[-1]]) == ["after"]
        if "is now" in recovery:
            assert list(file_of(tmp_path).parent.glob("journal.damaged-*.sqlite"))
    with open_journal(tmp_path) as journal:
        assert journal.last == 503


def test_a_copy_that_cannot_be_completed_is_closed_and_made_again(tmp_path, monkeypatch):
    copies = []
    copy = salvage.salvage

    def copy_onto_full_disk(*what):
        copies.append(copy(*what))
        if len(copies) == 1:
            monkeypatch.setattr(copies[0], "write_cursors", mock.Mock(side_effect=sqlite3.OperationalError("full")))
        return copies[-1]

    monkeypatch.setattr(salvage, "salvage", copy_onto_full_disk)
    with open_journal(tmp_path) as journal:
        fill(journal, 10)
        file_of(tmp_path).unlink()
        wait_for_recovery(journal, 10)
        assert [store.is_closed for store in copies] == [True, True]


def test_a_journal_that_others_read_and_write_soundly_stays_where_it_is(tmp_path):
    with open_journal(tmp_path) as journal:
        fill(journal, 10)
        wait_until_moved(journal)
        looked_through = threading.Event()
        look = upkeep_module.find_damage
        with mock.patch.object(upkeep_module, "find_damage", lambda path: [look(path), looked_through.set()][0]):
            with contextlib.closing(sqlite3.connect(file_of(tmp_path))) as connection:
                connection.execute("CREATE TABLE mine (x)")
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            assert looked_through.wait(WAIT_S)
        append(journal, printed())
        assert kinds(read_everything(journal)) == [Kind.STREAM] * 11


def test_nobody_is_woken_for_a_journal_at_rest(tmp_path):
    with open_journal(tmp_path) as journal:
        fill(journal, 10)
        wait_until_moved(journal)
        with mock.patch.object(journal._upkeep._is_due, "set") as wake:
            for _ in range(5):
                journal.look_after()
            assert wake.call_count == 0
            append(journal, printed())
            journal.look_after()
            assert wake.call_count


def test_numbers_that_another_program_has_written_meanwhile_are_ours(tmp_path):
    with open_journal(tmp_path, memory=0) as journal:
        append(journal, printed("before"))
        damage_rows(tmp_path, "INSERT INTO events SELECT 2, time, kind, 9, session, payload, NULL, NULL FROM events")
        append(journal, printed("ours"))
        trouble, _ = wait_for_recovery(journal, 1)
        assert "UNIQUE constraint failed" in trouble
        assert texts(read_everything(journal)[:2]) == ["before", "ours"]
        assert on_disk(tmp_path) == list(range(1, journal.last + 1))


@pytest.mark.parametrize(
    "change",
    [
        "DROP TABLE events",
        "ALTER TABLE events RENAME TO mine",
        "ALTER TABLE events RENAME COLUMN ring TO bell",
    ],
)
def test_a_schema_that_another_program_has_changed_is_made_anew(tmp_path, change):
    with open_journal(tmp_path) as journal:
        append(journal, queued(1, "before"))
        wait_until_moved(journal)
        damage_rows(tmp_path, change)
        with contextlib.suppress(RequestError):
            journal.history("", 10)
        append(journal, printed("meanwhile"))
        wait_for_recovery(journal, 1)
        assert [code for *_, code in journal.history("", 10)] == ["before"]
        assert on_disk(tmp_path) == list(range(1, journal.last + 1))


def test_a_log_that_was_cut_is_seen_before_it_is_moved_into_the_file(tmp_path):
    with contextlib.closing(Store(file_of(tmp_path))) as store:
        watch = upkeep_module.FileWatch(store.path)
        store.commit([(number, 1.0, "stream", None, None, "{}", None, None) for number in range(1, 100)])
        assert not watch.is_changed
        log = store_module.log_of(store.path)
        os.truncate(log, log.stat().st_size // 2)
        assert watch.is_changed
        assert store_module.find_damage(store.path)


def test_a_column_that_another_program_has_added_is_in_nobodys_way(tmp_path):
    with open_journal(tmp_path) as journal:
        damage_rows(tmp_path, "ALTER TABLE events ADD COLUMN note")
        append(journal, printed("before"))
    with open_journal(tmp_path) as journal:
        append(journal, printed("after"))
        assert journal.trouble is None
    assert on_disk(tmp_path) == [1, 2]


def test_a_number_that_leaves_no_next_one_is_none_of_ours(tmp_path):
    with open_journal(tmp_path) as journal:
        append(journal, printed("before"))
    damage_rows(tmp_path, f"INSERT INTO events SELECT {2**63 - 1}, time, kind, 9, session, payload, 1, 1 FROM events")
    with open_journal(tmp_path) as journal:
        assert (journal.last, kinds(read_everything(journal))) == (2, [Kind.STREAM, Kind.JOURNAL_TROUBLE])
        append(journal, printed("after"))
    assert on_disk(tmp_path) == [1, 2, 3]


def test_of_a_journal_that_was_cut_all_is_kept_that_is_there(tmp_path):
    with open_journal(tmp_path) as journal:
        fill(journal)
    os.truncate(file_of(tmp_path), file_of(tmp_path).stat().st_size // 8192 * 4096)
    with open_journal(tmp_path):
        pass
    assert len(on_disk(tmp_path)) > 100


@pytest.mark.parametrize("harm", [overwrite, lambda path: path.write_bytes(b"no database at all" * 1000)])
def test_a_damaged_journal_is_set_aside_at_the_start_and_no_number_is_given_again(tmp_path, harm):
    with open_journal(tmp_path) as journal:
        fill(journal)
        last = journal.last
    harm(file_of(tmp_path))
    with contextlib.ExitStack() as opened:
        journal = opened.enter_context(open_journal(tmp_path))
        if not journal._last > last:  # it is opened without a look at what is damaged, and read later
            with contextlib.suppress(RequestError):
                read_everything(journal)
            wait_for_recovery(journal, last)
        told = [event for event in read_everything(journal) if event[2] == Kind.JOURNAL_TROUBLE]
        assert (
            "is damaged" in json.loads(told[0][5])["message"] or "cannot be read" in json.loads(told[0][5])["message"]
        )
        assert journal.last > last
        (aside,) = file_of(tmp_path).parent.glob("journal.damaged-*.sqlite")
        assert aside.stat().st_size
        append(journal, printed("goes on"))
        assert texts([read_everything(journal)[-1]]) == ["goes on"]


def test_a_copy_that_a_killed_hub_had_completed_is_taken(tmp_path):
    with open_journal(tmp_path) as journal:
        append(journal, printed("kept"))
    file_of(tmp_path).rename(file_of(tmp_path).with_name("journal.sqlite.new"))
    with open_journal(tmp_path) as journal:
        assert texts(read(journal)[1]) == ["kept"]
    file_of(tmp_path).with_name("journal.sqlite.new").write_text("half")
    with open_journal(tmp_path) as journal:
        assert texts(read(journal)[1]) == ["kept"]
        assert not file_of(tmp_path).with_name("journal.sqlite.new").exists()


@contextlib.contextmanager
def locked(folder, mode="IMMEDIATE"):
    with contextlib.closing(sqlite3.connect(file_of(folder), isolation_level=None)) as connection:
        connection.execute("PRAGMA locking_mode=EXCLUSIVE") if mode == "EXCLUSIVE" else None
        connection.execute(f"BEGIN {mode}")
        yield
        connection.execute("ROLLBACK")


def test_a_file_that_another_program_holds_makes_nobody_wait_and_is_told(tmp_path):
    with open_journal(tmp_path, memory=0) as journal:
        append(journal, printed("before"))
        for connection in (journal._store.writer, journal._store.reader):
            assert connection.execute("PRAGMA busy_timeout").fetchone()[0] <= 100
        with locked(tmp_path):
            append(journal, printed("meanwhile"))
            assert "database is locked" in journal.trouble
            assert texts([read_everything(journal)[1]]) == ["meanwhile"]
        # Nothing more has to happen for that.
        trouble, recovery = wait_for_recovery(journal, 1)
        assert "cannot be written (database is locked)" in trouble
        assert recovery == "the journal is written again"
        assert on_disk(tmp_path) == [1, 2, 3, 4]


def test_a_file_that_another_program_holds_is_an_error_of_ours_at_the_start(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "_OPENING_S", 0.01)
    with open_journal(tmp_path):
        pass
    with locked(tmp_path, "EXCLUSIVE"), pytest.raises(RequestError, match="is locked; end the program that uses it"):
        Journal(file_of(tmp_path), max_memory_bytes=1, max_unsaved_bytes=1)


def test_who_reads_what_cannot_be_read_now_gets_an_error_of_ours(journal):
    append(journal, printed())
    with mock.patch.object(Store, "read", side_effect=sqlite3.OperationalError("database is locked")):
        journal._tail = Tail(0)
        for ask in (lambda: read(journal), lambda: journal.follow(1, 0, 1.0)):
            with pytest.raises(RequestError, match=r"cannot be read now \(database is locked\); try again"):
                ask()
    with (
        mock.patch.object(JournalFile, "inputs", side_effect=sqlite3.DatabaseError("malformed")),
        pytest.raises(RequestError, match="cannot be read now"),
    ):
        journal.history("", 1)


# SQLite's log


def test_in_a_quiet_moment_all_is_in_the_file(tmp_path):
    with open_journal(tmp_path) as journal:
        fill(journal, 3)
        wait_until_moved(journal)
        # As it is read where the log must not be touched.
        with contextlib.closing(sqlite3.connect(f"file:{file_of(tmp_path)}?immutable=1", uri=True)) as connection:
            assert connection.execute("SELECT count(*) FROM events").fetchall() == [(3,)]


def test_the_log_stays_bounded_in_a_flood(tmp_path, monkeypatch):
    monkeypatch.setattr(upkeep_module, "_LONG_LOG_BYTES", 1024 * 1024)
    log = file_of(tmp_path).with_name("journal.sqlite-wal")
    longest = 0
    with open_journal(tmp_path) as journal:
        for _ in range(300):
            append(journal, printed("x" * 100_000))
            longest = max(longest, log.stat().st_size)
            if journal._upkeep._is_due.is_set():
                wait_until(lambda: not journal._upkeep._is_due.is_set(), WAIT_S)
    assert longest < 10 * 1024 * 1024


def test_a_reader_of_another_program_keeps_the_log_only_as_long_as_it_reads(tmp_path):
    with open_journal(tmp_path) as journal:
        fill(journal, 3)
        with contextlib.closing(sqlite3.connect(file_of(tmp_path), isolation_level=None)) as connection:
            connection.execute("BEGIN")
            connection.execute("SELECT count(*) FROM events").fetchall()
            fill(journal, 3)
            connection.execute("COMMIT")
        wait_until_moved(journal)
        assert on_disk(tmp_path) == [1, 2, 3, 4, 5, 6]


# A disk that refuses


class Refusing:
    """A connection whose disk is full for as long as `is_full`."""

    def __init__(self, connection):
        self._connection = connection
        self.is_full = True

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def execute(self, statement, *parameters):
        self._refuse(statement)
        return self._connection.execute(statement, *parameters)

    def executemany(self, statement, rows):
        self._refuse(statement)
        return self._connection.executemany(statement, rows)

    def _refuse(self, statement):
        if self.is_full and statement.startswith("INSERT"):
            raise sqlite3.OperationalError("database or disk is full")


@contextlib.contextmanager
def refusing(journal):
    """While this lasts nothing can be written; afterwards the next append tries again."""
    disk = Refusing(journal._store.writer)
    with mock.patch.object(journal._store, "writer", disk), mock.patch.object(trouble_module, "_RETRY_S", 0.0):
        yield disk


def kinds(events):
    return [event[2] for event in events]


def on_disk(folder):
    with contextlib.closing(sqlite3.connect(Path(folder) / "state" / "journal.sqlite")) as connection:
        return [seq for (seq,) in connection.execute("SELECT seq FROM events ORDER BY seq")]


def test_readers_get_what_the_disk_refuses_and_are_told_of_it_once(tmp_path):
    with open_journal(tmp_path, memory=0) as journal:
        append(journal, printed("before"))
        with refusing(journal):
            for text in "abc":
                append(journal, printed(text))
            events = read_everything(journal)
            assert kinds(events) == ["stream", "stream", "journal_trouble", "stream", "stream"]
            assert numbers(events) == [1, 2, 3, 4, 5]
            assert "cannot be written (database or disk is full)" in json.loads(events[2][5])["message"]
            assert on_disk(tmp_path) == [1]


def test_what_was_held_is_written_as_soon_as_there_is_room_and_that_is_told_once(tmp_path):
    with open_journal(tmp_path, memory=0) as journal:
        with refusing(journal) as disk:
            append(journal, printed("a"))
            disk.is_full = False
            append(journal, printed("b"))
        for text in "cd":
            append(journal, printed(text))
        expected = ["stream", "journal_trouble", "stream", "journal_recovered", "stream", "stream"]
        assert kinds(read_everything(journal)) == expected
        assert json.loads(read_everything(journal)[3][5]) == {"message": "the journal is written again", "dropped": 0}
        assert on_disk(tmp_path) == [1, 2, 3, 4, 5, 6]


def test_a_second_trouble_is_told_again(tmp_path):
    with open_journal(tmp_path) as journal:
        with refusing(journal) as disk:
            for is_full in (True, False, True, False):
                disk.is_full = is_full
                append(journal, printed())
        words = [kind for kind in kinds(read_everything(journal)) if kind != Kind.STREAM]
        assert words == ["journal_trouble", "journal_recovered"] * 2
        assert on_disk(tmp_path) == list(range(1, journal.last + 1))


def test_a_full_database_is_survived(tmp_path):
    """The real thing: SQLite itself says that there is no room."""
    with open_journal(tmp_path) as journal, mock.patch.object(trouble_module, "_RETRY_S", 0.0):
        append(journal, printed("before"))
        pages = journal._store.writer.execute("PRAGMA page_count").fetchone()[0]
        journal._store.writer.execute(f"PRAGMA max_page_count={pages + 2}")
        for _ in range(5):
            append(journal, printed("x" * 10_000))
        assert Kind.JOURNAL_TROUBLE in kinds(read_everything(journal))
        journal._store.writer.execute("PRAGMA max_page_count=1000000")
        append(journal, printed("after"))
        events = read_everything(journal)
        assert numbers(events) == on_disk(tmp_path) == list(range(1, len(events) + 1))
        assert kinds(events)[-1] == Kind.JOURNAL_RECOVERED


def test_the_position_in_the_ring_is_written_with_what_was_held(tmp_path):
    with open_journal(tmp_path) as journal, refusing(journal) as disk:
        append(journal, printed(), generation=1, position=4096)
        disk.is_full = False
        append(journal, printed())
    with open_journal(tmp_path) as journal:
        assert journal.ring_position(1) == 4096


def test_a_full_disk_is_not_tried_with_every_event(journal, monkeypatch):
    monkeypatch.setattr(trouble_module, "_RETRY_S", 3600.0)
    with mock.patch.object(journal._store, "writer", Refusing(journal._store.writer)) as disk:
        append(journal, printed())
        disk.is_full = False
        append(journal, printed())
        assert Kind.JOURNAL_RECOVERED not in kinds(read_everything(journal))


def test_a_clock_that_is_set_back_keeps_nothing_from_the_disk(journal, monkeypatch):
    monkeypatch.setattr(trouble_module, "_RETRY_S", 0.0)
    with mock.patch.object(journal._store, "writer", Refusing(journal._store.writer)) as disk:
        append(journal, printed())
        disk.is_full = False
        with mock.patch.object(time, "time", return_value=0.0):
            append(journal, printed())
        assert Kind.JOURNAL_RECOVERED in kinds(read_everything(journal))


def test_only_so_much_is_held_and_what_was_dropped_is_counted(tmp_path):
    with open_journal(tmp_path, memory=0, unsaved=2000) as journal:
        append(journal, printed("before"))
        with refusing(journal) as disk:
            for number in range(50):
                append(journal, printed(f"{number:0100}"))
            held = read_everything(journal)
            disk.is_full = False
            append(journal, printed("after"))
        events = read_everything(journal)
        assert texts(held[1:])[-1] == f"{49:0100}"
        assert kinds(events)[-1] == Kind.JOURNAL_RECOVERED
        dropped = json.loads(events[-1][5])["dropped"]
        assert dropped > 0
        assert len(on_disk(tmp_path)) == journal.last - dropped
        # What could not be held is passed over; everything else is told, in order.
        assert numbers(events) == on_disk(tmp_path)


def test_a_gap_hides_nothing_that_is_still_held(tmp_path):
    with open_journal(tmp_path, memory=0, unsaved=500) as journal:
        append(journal, printed("before"))
        with refusing(journal):
            for number in range(20):
                append(journal, printed(f"{number:0100}"))
            assert texts(read(journal, cursor=1)[1])[-1] == f"{19:0100}"


def test_closing_writes_what_was_held(tmp_path):
    with open_journal(tmp_path) as journal, refusing(journal) as disk:
        append(journal, printed())
        disk.is_full = False
        journal.close()
        assert on_disk(tmp_path) == [1, 2]


def test_closing_on_a_full_disk_is_no_error(tmp_path):
    with open_journal(tmp_path) as journal, refusing(journal):
        append(journal, printed())
        journal.acknowledge("a", 1)
        journal.close()


# Death


APPENDING = """
import os, sys
from pathlib import Path
from rpyc_kernel.core.actions import Record
from rpyc_kernel.hub.journal.journal import Journal

journal = Journal(Path(sys.argv[1]), max_memory_bytes=1000, max_unsaved_bytes=1000)
for number in range(1, 1 << 30):
    records = [Record("stream", number, "a", {"text": str(number) * 50})] * (1 + number % 3)
    journal.append(records, generation=1, position=number * 16)
    os.write(1, journal.last.to_bytes(8, "big"))
"""


@pytest.mark.parametrize("least", [1, 200])
def test_a_hub_killed_in_the_middle_leaves_a_journal_without_a_gap(tmp_path, least):
    (tmp_path / "state").mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with subprocess.Popen(
        [sys.executable, "-c", APPENDING, str(tmp_path / "state" / "journal.sqlite")],
        stdout=subprocess.PIPE,
        env=environment,
    ) as child:
        told = 0
        while told < least:
            told = int.from_bytes(child.stdout.read(8), "big")
        child.send_signal(signal.SIGKILL)
        rest = child.stdout.read()
    whole = len(rest) // 8 * 8
    told = int.from_bytes(rest[whole - 8 : whole], "big") if whole else told
    with open_journal(tmp_path) as journal:
        events = read_everything(journal)
        assert numbers(events) == list(range(1, journal.last + 1))
        assert journal.last >= told
        last_batch = events[-1][3]
        assert journal.ring_position(1) == last_batch * 16
        assert [event[3] for event in events].count(last_batch) == 1 + last_batch % 3, "half a transaction"
        append(journal, printed())
        assert journal.last == len(events) + 1
