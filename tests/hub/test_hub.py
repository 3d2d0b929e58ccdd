"""Who carries out what was decided, and who waits for it."""

import threading

import pytest

from rpyc_kernel.core.actions import Record
from rpyc_kernel.core.contract import Kind
from rpyc_kernel.hub.hub import Hub
from rpyc_kernel.hub.journal import Journal
from rpyc_kernel.settings import HubSettings, WorkerSettings
from rpyc_kernel.system.runtime_folder import RuntimeFolder

PATIENCE_S = 30.0


class SlowJournal(Journal):
    """Its commits wait for a sign."""

    def __init__(self, path):
        super().__init__(path, max_memory_chars=10**6, max_unsaved_chars=10**6)
        self.commits = []
        self.begun = threading.Semaphore(0)
        self.may_go_on = threading.Semaphore(0)

    def append(self, records, generation=None, position=None):
        self.begun.release()
        assert self.may_go_on.acquire(timeout=PATIENCE_S)
        self.commits.append([record.payload["number"] for record in records])
        super().append(records, generation, position)


@pytest.fixture
def journal(tmp_path):
    journal = SlowJournal(tmp_path / "events.db")
    yield journal
    journal.close()


@pytest.fixture
def hub(journal, tmp_path):
    folder = RuntimeFolder(tmp_path / "demo")
    return Hub(
        folder, journal, HubSettings(), WorkerSettings(), worker_changed=lambda pid, generation: None, stop=print
    )


def note(number):
    return Record(Kind.STREAM, None, None, {"number": number})


def test_one_who_asks_goes_on_when_it_is_done(hub, journal):
    has_decided = threading.Event()
    had_committed = []

    def ask():
        hub.tell(lambda state: [has_decided.set(), note(2)][1:])
        had_committed.extend(journal.commits)

    first, second = threading.Thread(target=hub.post, args=([note(1)],)), threading.Thread(target=ask)
    first.start()
    assert journal.begun.acquire(timeout=PATIENCE_S)
    second.start()
    assert has_decided.wait(PATIENCE_S)
    for _ in range(2):
        journal.may_go_on.release()
    for thread in (first, second):
        thread.join(PATIENCE_S)
    assert had_committed == [[1], [2]]


def test_what_a_readers_answer_brings_is_carried_out_in_the_same_round(hub, journal):
    reading = journal.read(0, 10, PATIENCE_S)
    reading.add_done_callback(lambda _: hub.post([note(2)]))
    for _ in range(2):
        journal.may_go_on.release()
    hub.post([note(1)])
    assert journal.commits == [[1], [2]]
