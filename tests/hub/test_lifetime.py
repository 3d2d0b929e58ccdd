"""A hub's life as a whole, in this process; the worker is a real one."""

import signal
import sqlite3
from contextlib import closing

import pytest

from rpyc_kernel.core.contract import Kind
from rpyc_kernel.hub import lifetime
from rpyc_kernel.hub.journal.journal import Journal
from rpyc_kernel.hub.place import take_place
from rpyc_kernel.settings import Folders, HubSettings, WorkerSettings
from rpyc_kernel.system.home import Home


@pytest.fixture
def handlers():
    """Puts back the handlers of signals that a hub has in its own process."""
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def test_a_kernel_whose_journal_cannot_be_read_stops_and_leaves_what_it_should(folders, handlers, monkeypatch):
    class Unreadable(Journal):
        def close_for_reading(self):
            self._store.reader.close()

    opened = []

    def open_journal(*path, **options):
        opened.append(Unreadable(*path, **options))
        return opened[0]

    def stop():
        opened[0].close_for_reading()
        signal.raise_signal(signal.SIGTERM)
        return True

    monkeypatch.setattr(lifetime, "Journal", open_journal)
    place = take_place("demo", Folders(folders.runtime, folders.state), is_private=False)
    lifetime.run(place, HubSettings(host="", engine="plain"), WorkerSettings(), None, stop)
    place.folder.unlock()
    home = Home(folders.state / "demo")
    assert not home.has_hub
    assert not home.connection_file.exists()
    assert not (folders.runtime / "demo").exists()
    with closing(sqlite3.connect(home.journal)) as journal:
        assert journal.execute("SELECT kind FROM events ORDER BY seq DESC LIMIT 1").fetchone() == (Kind.HUB_STOPPED,)
