"""What becomes of a worker, and of who waits for an answer, when a hub fails."""

import json
import os
from types import SimpleNamespace

import pytest

from rpyc_kernel.hub import __main__ as main_module
from rpyc_kernel.hub import failing, lifetime, log
from rpyc_kernel.settings import SETTINGS_VARIABLE

WORKER = 4711


@pytest.fixture
def start(folders, monkeypatch):
    """Starts a hub here whose life is the function that is given; returns its status, what was killed and answered."""

    def start(run):
        killed = []
        monkeypatch.setattr(main_module, "processes", SimpleNamespace(detach=lambda: None, kill=killed.append))
        monkeypatch.setattr(main_module, "WorkerProcess", lambda *_: SimpleNamespace(child=SimpleNamespace(pid=WORKER)))
        monkeypatch.setattr(log, "write_log", lambda path, is_shown: None)
        monkeypatch.setattr(failing, "watch_threads", lambda: None)
        monkeypatch.setattr(lifetime, "run", run)
        umask = os.umask(0)
        read_end, write_end = os.pipe()
        try:
            told = {"hub": {"is_private": True}, "ready": write_end}
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


def test_the_worker_of_a_hub_that_fails_later_lives_on_for_the_next(start):
    def fail(place, hub_settings, worker_settings, spare, ready, foreground):
        place.folder.unlock()
        ready()
        raise OSError("no room")

    assert start(fail) == (2, [], {})
