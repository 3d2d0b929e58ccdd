"""What a stopped kernel left: listed, read, and removed when it is asked for."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from rpyc_kernel.client import archive
from rpyc_kernel.client.archive import Archive, forget, has_archive, recall_stopped, stopped_kernels
from rpyc_kernel.core.actions import Record
from rpyc_kernel.core.contract import JOURNAL_VERSION, Kind
from rpyc_kernel.errors import BadName, KernelExists, NoSuchKernel, RequestError
from rpyc_kernel.hub.journal.journal import Journal
from rpyc_kernel.system import journal_file
from rpyc_kernel.system.home import Home
from rpyc_kernel.system.processes import birth_of
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.wire.connection_file import ConnectionFile

QUEUED = {"code": "x = 1", "name": "ann", "call": None}


@pytest.fixture
def home(folders):
    """The home of a kernel that has run one input."""
    home = Home(folders.state / "demo")
    home.create()
    journal = Journal(home.journal, max_memory_bytes=1000, max_unsaved_bytes=1000)
    journal.append([Record(Kind.QUEUED, 1, "a", QUEUED), Record(Kind.QUEUED, 2, "a", {**QUEUED, "code": "y = 2"})])
    journal.append([Record(Kind.STREAM, 1, "a", {"name": "stdout", "text": "hello\n"})])
    journal.close()
    home.log_file.touch()
    return home


def test_what_happened_in_a_stopped_kernel_can_be_read(home):
    assert [(event.seq, event.kind) for event in Archive("demo").events()] == [
        (1, Kind.QUEUED),
        (2, Kind.QUEUED),
        (3, Kind.STREAM),
    ]
    assert [event.text for event in Archive("demo").events(since=2)] == ["hello\n"]


@pytest.mark.parametrize(("since", "left"), [(-(10**30), 3), (10**30, 0)])
def test_it_can_be_read_from_any_number_on(home, since, left):
    assert len(list(Archive("demo").events(since=since))) == left


def test_its_inputs_can_be_searched(home):
    assert [past.code for past in Archive("demo").history()] == ["x = 1", "y = 2"]
    assert [(past.code, past.execution, past.name) for past in Archive("demo").history("y")] == [("y = 2", 2, "ann")]
    assert [past.code for past in Archive("demo").history(limit=1)] == ["y = 2"]


def test_its_history_tells_of_inputs_and_of_nothing_else_that_ran(home):
    journal = Journal(home.journal, max_memory_bytes=1000, max_unsaved_bytes=1000)
    journal.append([Record(Kind.QUEUED, 3, "a", {**QUEUED, "is_input": False, "code": "z = 3"})])
    live = [past[4] for past in journal.history("", 10)]
    journal.close()
    recalled = [past.code for past in recall_stopped((), limit=2)]
    assert [past.code for past in Archive("demo").history()] == live == recalled == ["x = 1", "y = 2"]


def test_what_a_killed_hub_wrote_last_is_read_as_well(folders):
    """It stands in the write-ahead log alone."""
    home = Home(folders.state / "demo")
    home.create()
    code = (
        "import os, sys; from pathlib import Path; from rpyc_kernel.hub.journal.journal import Journal\n"
        "from rpyc_kernel.core.actions import Record\n"
        "journal = Journal(Path(sys.argv[1]), max_memory_bytes=10, max_unsaved_bytes=10)\n"
        "journal.append([Record('stream', 1, 'a', {'name': 'stdout', 'text': 'last words'})])\n"
        "journal.append([Record('queued', 1, 'a', {'code': 'x = 1', 'name': 'ann', 'call': None})])\n"
        "os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", code, str(home.journal)], check=True)
    assert [event.text for event in Archive("demo").events() if event.kind == Kind.STREAM] == ["last words"]
    assert [past.code for past in recall_stopped((), limit=5)] == ["x = 1"]


def test_reading_a_journal_leaves_nothing_beside_it(home):
    before = sorted(home.path.iterdir())
    assert len(list(Archive("demo").events())) == 3
    assert len(recall_stopped((), limit=5)) == 2
    assert sorted(home.path.iterdir()) == before


def test_the_newest_inputs_are_called_back_whatever_is_broken_among_them(home):
    with closing(sqlite3.connect(home.journal)) as journal:
        journal.execute("UPDATE events SET payload = '{' WHERE seq = 2")
        journal.commit()
    assert [past.code for past in recall_stopped((), limit=1)] == ["x = 1"]


def test_a_journal_that_takes_too_long_is_not_called_back(home, monkeypatch):
    monkeypatch.setattr(archive, "_PATIENCE_S", -1.0)
    monkeypatch.setattr(journal_file, "_STEPS", 1)
    assert recall_stopped((), limit=5) == []


def test_what_no_kernel_made_takes_no_kernel_from_the_list(home, folders):
    for name in ("-x", "two words", "\u00f6"):
        (folders.state / name).mkdir()
        (folders.state / name / "journal.sqlite").write_text("mine")
    (folders.state / "link").symlink_to(folders.state / "-x")
    (folders.state / "file").write_text("mine")
    (folders.state / "alias").symlink_to(home.path)
    assert [kernel.name for kernel in stopped_kernels()] == ["demo"]
    assert [past.code for past in recall_stopped((), limit=5)] == ["x = 1", "y = 2"]


@pytest.mark.parametrize(
    "payload",
    ["'{'", "'[1]'", "7", "x'ff'", "'{}'", "replace(hex(zeroblob(3000)), '0', '[')", "CAST(x'7b22ff227d' AS TEXT)"],
)
def test_a_row_that_is_broken_takes_no_other_away(home, payload):
    with closing(sqlite3.connect(home.journal)) as journal:
        journal.execute(f"UPDATE events SET payload = {payload} WHERE seq = 2")
        journal.commit()
    assert [event.seq for event in Archive("demo").events()] == [1, 3]


def test_a_journal_of_a_later_release_is_refused_and_nothing_is_guessed(home):
    with closing(sqlite3.connect(home.journal)) as journal:
        journal.execute(f"PRAGMA user_version = {JOURNAL_VERSION + 1}")
    with pytest.raises(RequestError, match=rf"is of version {JOURNAL_VERSION + 1}, written by a later release"):
        list(Archive("demo").events())
    assert stopped_kernels()[0].events is None


def test_a_file_that_is_no_journal_is_said_to_be_none(home):
    home.journal.write_bytes(b"no database at all" * 100)
    with pytest.raises(RequestError, match="cannot be read"):
        list(Archive("demo").events())


def test_stopped_kernels_are_listed_with_what_they_left(home):
    (found,) = stopped_kernels()
    assert (found.name, found.state, found.events) == ("demo", "stopped", 3)
    assert found.journal_bytes >= home.journal.stat().st_size > 0
    assert found.last_seen == home.journal.stat().st_mtime


def test_one_that_is_forgotten_meanwhile_takes_no_other_from_the_list(home, monkeypatch):
    gone = Home(home.path.parent / "gone")
    monkeypatch.setattr(archive, "_list_homes", lambda: [gone, home])
    assert [kernel.name for kernel in stopped_kernels()] == ["demo"]


def test_a_kernel_that_runs_is_not_among_the_stopped_and_is_not_forgotten(home):
    home.lock()
    try:
        assert stopped_kernels() == []
        with pytest.raises(KernelExists, match="running already"):
            forget("demo")
    finally:
        home.unlock()
    assert home.journal.exists()


def test_a_kernel_whose_worker_lives_is_not_forgotten(home, folders):
    socket = str(folders.runtime / "demo" / "hub.sock")
    me = os.getpid()
    ConnectionFile("demo", "", 0, "6b", socket, 1, me, 1, worker_birth=birth_of(me)).write(home.connection_file)
    assert stopped_kernels() == []
    with pytest.raises(KernelExists, match="'rpyc-kernel stop demo'"):
        forget("demo")
    assert home.journal.exists()


def test_forgetting_leaves_nothing_of_it(home, folders):
    folder = RuntimeFolder(folders.runtime / "demo")
    folder.create()
    folder.ring(1).touch()
    ConnectionFile("demo", "", 0, "6b", str(folder.hub_socket), 1).write(home.connection_file)
    forget("demo")
    assert not home.path.exists()
    assert not folder.path.exists()
    assert not has_archive("demo")


def test_forgetting_refuses_a_folder_with_anything_else(home):
    (home.path / "thesis.tex").write_text("mine")
    with pytest.raises(RequestError, match=r"holds what no kernel made: thesis\.tex"):
        forget("demo")
    assert home.journal.exists()


def test_what_is_not_there_cannot_be_read_or_forgotten(folders):
    for attempt in (Archive, forget):
        with pytest.raises(NoSuchKernel, match="'rpyc-kernel list --all' shows all"):
            attempt("demo")
    with pytest.raises(BadName):
        forget("../demo")
    assert not has_archive("tcp://127.0.0.1:1")


def test_forgetting_takes_a_runtime_folder_that_was_left_alone(folders):
    folder = RuntimeFolder(folders.runtime / "demo")
    folder.create()
    folder.worker_socket.touch()
    folder.lock()
    with pytest.raises(KernelExists):
        forget("demo")
    folder.unlock()
    forget("demo")
    assert not folder.path.exists()


def test_forgetting_takes_a_runtime_folder_that_the_home_does_not_tell_of_unless_it_is_anothers(home, folders):
    folder = RuntimeFolder(folders.runtime / "demo")
    folder.create()
    ConnectionFile("demo", "", 0, "6b", str(folder.hub_socket), 1, home="/elsewhere/demo").write(folder.connection_file)
    forget("demo")
    assert folder.connection_file.exists()
    assert not home.path.exists()
    home.create()
    folder.connection_file.unlink()
    folder.worker_socket.touch()
    forget("demo")
    assert not folder.path.exists()
