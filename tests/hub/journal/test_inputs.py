"""The index of a journal's inputs: with it or without, whatever became of it, a search and a look-up find the same."""

import contextlib
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest

from rpyc_kernel.core.contract import Kind
from rpyc_kernel.hub.journal import inputs as inputs_module
from rpyc_kernel.hub.journal.inputs import InputsIndex
from rpyc_kernel.hub.journal.store import Store
from rpyc_kernel.system import journal_file
from rpyc_kernel.system.journal_file import JournalFile, index_path_of

CODES = ["import numpy", 'print("ä\\n")', "a%b_c", "Needle", "needle", "x", "", "\N{SNAKE}snake", "nul\0behind", "ne"]
PATTERNS = [*CODES, "ne", "NEE", "eedl", "\N{SNAKE}", "%", "alice", "slider", "\ud800", "\\", '"', "nowhere", "behind"]
COUNT = 40


@pytest.fixture(autouse=True)
def _small_steps(monkeypatch):
    monkeypatch.setattr(inputs_module, "_STEP_EVENTS", 7)
    monkeypatch.setattr(inputs_module, "_WORTH_EVENTS", 2)


def rows(first=1, last=COUNT, when=1.0):
    """Events, of which every other one queues an execution, and some of these are no inputs."""
    for seq in range(first, last + 1):
        payload = {"code": CODES[seq // 2 % len(CODES)], "name": "alice", "call": None}
        if seq % 12 == 0:
            payload = {"code": "slider", "name": "alice", "call": "comm:{}", "is_input": False}
        text = "{" if seq == 10 else json.dumps(payload, separators=(",", ":"))
        kind = Kind.STREAM if seq % 2 else Kind.QUEUED
        yield seq, when + seq, kind, seq // 2, "a", text, None, None


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "journal.sqlite"
    with contextlib.closing(Store(path)) as store:
        store.commit(list(rows()))
    return path


def answers(path):
    journal = JournalFile(path)
    found = {pattern: [event.seq for event in journal.inputs(pattern, 1000)] for pattern in PATTERNS}
    return found, [journal.find(number) for number in range(-1, COUNT)], journal.inputs("e", 2)


def catch_up(path, last=COUNT):
    with contextlib.closing(InputsIndex(path)) as index:
        while index.catch_up(last):
            pass
        return index._done


def test_a_search_finds_the_same_with_an_index_and_without(path):
    expected = answers(path)
    assert len(expected[0]["needle"]) > 1
    assert catch_up(path) > COUNT - 7
    assert answers(path) == expected
    index_path_of(path).unlink()
    assert answers(path) == expected


def test_what_came_after_the_last_step_is_found_as_well(path):
    catch_up(path)
    with contextlib.closing(Store(path)) as store:
        store.commit(list(rows(COUNT + 1, COUNT + 5)))
    expected = answers(path)
    assert expected[1].count(None) == COUNT + 1 - (COUNT + 5) // 2
    index_path_of(path).unlink()
    assert answers(path) == expected


def test_what_the_index_takes_in_during_a_search_is_found_once(path):
    expected = answers(path)
    catch_up(path)
    with mock.patch.object(journal_file, "indexed", return_value=COUNT // 2):  # as it was when the search began
        assert answers(path) == expected


def test_where_sqlite_knows_no_such_index_a_search_reads_the_texts(path, monkeypatch):
    expected = answers(path)
    monkeypatch.setattr(inputs_module, "_GRAMS", "CREATE VIRTUAL TABLE grams USING unheard_of(code)")
    assert catch_up(path) > COUNT - 7
    assert answers(path) == expected
    assert catch_up(path) > COUNT - 7


def other_version(path):
    with contextlib.closing(sqlite3.connect(index_path_of(path))) as index:
        index.execute("UPDATE codes SET code = 'wrong'")
        index.execute("PRAGMA user_version=99")
        index.commit()


def other_journal(path):
    path.unlink()
    with contextlib.closing(Store(path)) as store:
        store.commit([*rows(3, COUNT, when=99.0)])


def write_over(path):
    index_path_of(path).write_bytes(b"no database at all" * 1000)


def cut(path):
    with index_path_of(path).open("r+b") as file:
        file.truncate(5000)


@pytest.mark.parametrize("harm", [other_version, other_journal, write_over, cut])
def test_an_index_that_is_none_of_this_journal_is_not_believed_and_is_made_anew(path, harm):
    catch_up(path)
    harm(path)
    found = answers(path)
    with contextlib.suppress(sqlite3.Error):  # as it is seen to be damaged; it is gone then
        catch_up(path)
    assert catch_up(path) > COUNT - 7
    assert found == answers(path)
    index_path_of(path).unlink()
    assert found == answers(path)


def test_an_index_that_is_removed_meanwhile_is_made_again(path):
    with contextlib.closing(InputsIndex(path)) as index:
        assert index.catch_up(COUNT)
        index_path_of(path).unlink()
        while index.catch_up(COUNT):
            pass
        assert index_path_of(path).exists()
    assert answers(path)[0]["needle"]


def test_a_full_disk_stops_the_index_and_no_search(path):
    expected = answers(path)

    def connect_to_little(*what, **how):
        connection = connect(*what, **how)
        connection.execute("PRAGMA max_page_count=12")
        return connection

    connect = inputs_module.connect
    with (
        mock.patch.object(inputs_module, "connect", connect_to_little),
        mock.patch.object(inputs_module, "_STEP_EVENTS", 10**6),
    ):
        with contextlib.closing(Store(path)) as store:
            store.commit(list(rows(COUNT + 1, 5000)))
        with pytest.raises(sqlite3.OperationalError, match="full"):
            catch_up(path, 5000)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as journal:
        journal.execute("DELETE FROM events WHERE seq > ?", (COUNT,))
    assert answers(path) == expected
    assert catch_up(path) > COUNT - 7
    assert answers(path) == expected


DYING = """
import contextlib, os, sys
from pathlib import Path
from rpyc_kernel.hub.journal import inputs

inputs._STEP_EVENTS, inputs._WORTH_EVENTS, left = 7, 2, int(sys.argv[2])
connect = inputs.connect

def die(_statement):
    global left
    left -= 1
    if left < 0:
        os._exit(9)

def connect_and_count(*what, **how):
    connection = connect(*what, **how)
    connection.set_trace_callback(die)
    return connection

inputs.connect = connect_and_count
index = inputs.InputsIndex(Path(sys.argv[1]))
while index.catch_up(40):
    pass
"""


def test_killed_at_any_statement_it_goes_on_where_it_was(path):
    expected = answers(path)
    status, statements = 9, 0
    while status:
        status = subprocess.run([sys.executable, "-c", DYING, str(path), str(statements)], check=False).returncode
        assert status in (0, 9)
        assert answers(path) == expected
        statements += 5
    assert statements > 20
    assert Path(index_path_of(path)).exists()
