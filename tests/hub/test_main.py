"""What becomes of a worker, and of who waits for an answer, when a hub fails."""

import json
import os
from types import SimpleNamespace

import pytest

from rpyc_kernel.errors import RequestError
from rpyc_kernel.hub import __main__ as main_module
from rpyc_kernel.hub import failing, lifetime, log
from rpyc_kernel.settings import SETTINGS_VARIABLE
from rpyc_kernel.system.home import Home
from rpyc_kernel.system.runtime_folder import RuntimeFolder, listen

WORKER = 4711


@pytest.fixture
def start(folders, monkeypatch):
    """Starts a hub here whose life is the function that is given; returns its status, what was killed and answered."""

    def start(run, *, is_private=True):
        killed = []
        monkeypatch.setattr(main_module, "processes", SimpleNamespace(detach=lambda: None, kill=killed.append))
        monkeypatch.setattr(main_module, "WorkerProcess", lambda *_: SimpleNamespace(child=SimpleNamespace(pid=WORKER)))
        monkeypatch.setattr(log, "write_log", lambda path, is_shown: None)
        monkeypatch.setattr(failing, "watch_threads", lambda: None)
        monkeypatch.setattr(lifetime, "run", run)
        umask = os.umask(0)
        read_end, write_end = os.pipe()
        try:
            told = {"hub": {"is_private": is_private}, "ready": write_end}
            monkeypatch.setenv(SETTINGS_VARIABLE, json.dumps(told))
            status = main_module.main(["demo"])
            assert SETTINGS_VARIABLE not in os.environ  # or each worker and what it starts would have it
            return status, killed, json.loads(os.read(read_end, 65536))
        finally:
            os.umask(umask)
            os.close(read_end)

    return start


def test_of_a_hub_that_cannot_start_no_worker_is_left_and_the_starter_hears_why(start):
    def fail(place, *_):
        place.folder.unlock()
        raise OSError("no room")

    assert start(fail) == (2, [WORKER], {"error": "OSError", "message": "no room"})


@pytest.mark.parametrize("error", [RequestError("no port"), OSError("no room"), ZeroDivisionError("no sense")])
def test_a_hub_that_cannot_start_leaves_nothing_behind(start, folders, error):
    """Not even a log: its last words are the answer."""

    def fail(place, *_):
        for path in (place.home.log_file, place.home.journal, place.home.private_key, place.folder.worker_socket):
            path.touch()
        raise error

    assert start(fail, is_private=False)[2] == {"error": type(error).__name__, "message": str(error)}
    assert os.listdir(folders.runtime) == os.listdir(folders.state) == []


def test_a_hub_that_cannot_start_leaves_what_was_there(start, folders):
    """Also what was set aside of a damaged journal meanwhile, and the log, which has why."""
    home, folder = Home(folders.state / "demo"), RuntimeFolder(folders.runtime / "demo")
    for place, names in ((home, ("journal.sqlite", "key")), (folder, ("ring-1",))):
        place.create()
        for name in names:
            (place.path / name).write_text("old")

    def fail(place, *_):
        for name in ("journal.sqlite-wal", "journal.damaged-1.sqlite", "hub.log", "certificate.pem", "kernel.json"):
            (place.home.path / name).touch()
        (place.folder.path / "worker.sock").touch()
        raise OSError("no room")

    assert start(fail, is_private=False)[0] == 2
    assert not home.has_hub
    assert sorted(os.listdir(home.path)) == [
        "hub.lock", "hub.log", "journal.damaged-1.sqlite", "journal.sqlite", "journal.sqlite-wal", "key",
    ]  # fmt: skip
    assert sorted(os.listdir(folder.path)) == ["hub.lock", "ring-1"]


def test_a_hub_that_cannot_have_the_worker_that_lives_takes_nothing_of_what_it_writes(start, folders):
    folder = RuntimeFolder(folders.runtime / "demo")
    folder.create()
    held = []

    def fail(place, *_):
        place.folder.spill(1, 1).touch()
        held.extend((place.home, place.folder))
        raise OSError("no answer")

    with listen(folder.worker_socket, 1):
        assert start(fail, is_private=False)[0] == 2
    for each in held:
        each.unlock()  # as the end of the process does
    assert folder.spill(1, 1).exists()


def test_the_worker_of_a_hub_that_fails_later_lives_on_for_the_next(start):
    def fail(place, hub_settings, worker_settings, spare, ready, foreground):
        place.folder.unlock()
        ready()
        raise OSError("no room")

    assert start(fail) == (2, [], {})
