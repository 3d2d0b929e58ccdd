"""Other releases: what does not fit is told and refused, what is older is migrated, nothing is guessed."""

import contextlib
import os
import socket
import sqlite3
import threading
from contextlib import closing

import pytest

from rpyc_kernel.core.actions import Record
from rpyc_kernel.core.contract import JOURNAL_VERSION, RELEASE, WORKER_VERSION, Kind
from rpyc_kernel.errors import KernelDied, RequestError, VersionMismatch, WorkerBusy
from rpyc_kernel.hub.journal.journal import Journal
from rpyc_kernel.hub.supervisor import Supervisor
from rpyc_kernel.hub.worker_link import WorkerLink
from rpyc_kernel.settings import HubSettings, WorkerSettings
from rpyc_kernel.system import frames
from rpyc_kernel.system.runtime_folder import RuntimeFolder, listen

PATIENCE_S = 50.0


def open_journal(path):
    return Journal(path, max_memory_bytes=10**6, max_unsaved_bytes=10**6)


def version_of(path):
    with closing(sqlite3.connect(path)) as journal:
        return journal.execute("PRAGMA user_version").fetchone()[0]


def set_version(path, version):
    with closing(sqlite3.connect(path)) as journal:
        journal.execute(f"PRAGMA user_version = {version}")


@pytest.fixture
def path(tmp_path):
    """A journal with one event."""
    path = tmp_path / "journal.sqlite"
    journal = open_journal(path)
    journal.append([Record(Kind.STREAM, 1, "a", {"name": "stdout", "text": "kept"})])
    journal.close()
    return path


def test_a_journal_says_its_version(path):
    assert version_of(path) == JOURNAL_VERSION


def test_a_journal_of_before_there_were_versions_is_taken_over_whole(path):
    set_version(path, 0)
    journal = open_journal(path)
    assert journal.last == 1
    journal.close()
    assert version_of(path) == JOURNAL_VERSION


def test_a_journal_of_a_later_release_is_refused_and_left_as_it_is(path):
    set_version(path, JOURNAL_VERSION + 1)
    with pytest.raises(RequestError, match=rf"of version {JOURNAL_VERSION + 1}, written by a later release.*use the l"):
        open_journal(path)
    assert version_of(path) == JOURNAL_VERSION + 1


def answer(listener, greeting, descriptors, answers):
    with listener.accept()[0] as run, listener.accept()[0] as control:
        frames.FrameReader(control).receive()
        nothing = [os.open(os.devnull, os.O_RDONLY) for _ in range(descriptors)]
        try:
            frames.send(control, greeting, nothing)
        finally:
            for descriptor in nothing:
                os.close(descriptor)
        run.recv(1024)
        for message in answers:
            control.recv(1024)
            frames.send(control, message)
        while control.recv(1024):
            pass


@pytest.fixture
def greet(tmp_path):
    """A worker that greets once, as it is told to, and answers what it is asked; where it listens is returned."""
    threads = []

    def greet(greeting, descriptors=4, answers=()):
        listener = listen(tmp_path / "worker.sock", 8)

        def serve():
            # A hub that refuses leaves at once, and resets what it has not read.
            with contextlib.suppress(OSError, EOFError), listener:
                answer(listener, greeting, descriptors, answers)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return tmp_path / "worker.sock"

    yield greet
    for thread in threads:
        thread.join(PATIENCE_S)


@pytest.mark.parametrize("version", [WORKER_VERSION + 1, WORKER_VERSION - 1, None])
def test_a_worker_that_speaks_another_version_is_refused_in_both_directions(greet, version):
    told = {"pid": 4711, "release": "9.9"} | ({} if version is None else {"version": version})
    with pytest.raises(VersionMismatch, match=rf"worker \(process 4711\) is of release 9\.9 and speaks .*{RELEASE}"):
        WorkerLink(greet(told, descriptors=2 if version is None else 4), PATIENCE_S)


def test_a_worker_of_another_release_that_speaks_alike_is_taken_and_it_is_noted(greet, caplog):
    link = WorkerLink(greet({"pid": 4711, "release": "9.9", "version": WORKER_VERSION}), PATIENCE_S)
    assert len(link.output_descriptors) == 2
    for descriptor in (*link.output_descriptors, link.ring_descriptor, link.stacks_descriptor):
        os.close(descriptor)
    link.close()
    assert "release 9.9" in caplog.text


def test_a_worker_whose_descriptors_did_not_all_come_is_refused_and_those_that_did_are_closed(greet):
    with pytest.raises(OSError, match="descriptors did not arrive"):
        WorkerLink(greet({"pid": 4711, "release": RELEASE, "version": WORKER_VERSION}, descriptors=3), PATIENCE_S)


def test_a_worker_whose_ring_cannot_be_read_is_told_of_and_nothing_of_it_is_kept(greet):
    told = {"pid": 4711, "release": RELEASE, "version": WORKER_VERSION, "generation": 1}
    folder = RuntimeFolder(greet(told).parent)
    nothing = dict.fromkeys(("scheduler", "spawned", "started", "died", "deliver", "running"))
    supervisor = Supervisor(folder, HubSettings(), WorkerSettings(), **nothing)
    with pytest.raises(WorkerBusy, match="lives, but its ring cannot be read"):
        supervisor.adopt(lambda generation: 0)


def test_who_asks_a_worker_that_answers_no_sense_is_told_that_there_is_no_answer(greet, caplog):
    told = {"pid": 4711, "release": RELEASE, "version": WORKER_VERSION}
    link = WorkerLink(greet(told, answers=[[1, False, 5]]), PATIENCE_S)
    with pytest.raises(KernelDied):
        link.request("cwd").result(PATIENCE_S)
    link.abandon()
    assert "answers make no sense" in caplog.text


def test_a_worker_that_does_not_greet_is_busy_and_not_gone(tmp_path):
    with listen(tmp_path / "worker.sock", 8), pytest.raises(TimeoutError):
        WorkerLink(tmp_path / "worker.sock", 0.05)


def test_a_worker_that_lets_nobody_in_is_busy_and_not_gone(tmp_path):
    with listen(tmp_path / "worker.sock", 0), socket.socket(socket.AF_UNIX) as first:
        first.connect(str(tmp_path / "worker.sock"))
        with pytest.raises(TimeoutError):
            WorkerLink(tmp_path / "worker.sock", 0.05)
