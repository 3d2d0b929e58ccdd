"""What a hub does to a worker by its process and by the memory that both share."""

import signal
from types import SimpleNamespace

import pytest

from rpyc_kernel.core.contract import MAX_NUMBER
from rpyc_kernel.hub.supervisor import Supervisor
from rpyc_kernel.hub.worker import Worker
from rpyc_kernel.settings import HubSettings, WorkerSettings
from rpyc_kernel.system import processes, ring
from rpyc_kernel.system.ring import WORD_INTERRUPT, WORD_RUNNING, WORD_SIDES, WORDS
from rpyc_kernel.system.runtime_folder import RuntimeFolder


class Bare(Worker):
    """A worker that is nothing but a number and the words that it shares."""

    def __init__(self, reader=None):
        self._pid = 4711
        self._is_embedded = False
        self._ring = reader or SimpleNamespace(words=[0] * WORDS)
        self._pump = SimpleNamespace(is_cut_off=False, look=lambda: None)
        self.words = self._ring.words
        self.has_ended = False
        self.memory_bytes = None
        self._seconds_cut_off = 0
        self._why_ended = ""
        self._told = {}


@pytest.fixture
def sent(monkeypatch):
    """The signals that were sent."""
    sent = []
    monkeypatch.setattr(processes, "kill", lambda pid, number=signal.SIGKILL: sent.append((pid, number)))
    return sent


def test_only_who_has_not_taken_its_interrupt_is_nudged(sent):
    worker = Bare()
    worker.words[WORD_INTERRUPT] = 2
    worker.nudge(1)
    assert sent == []
    worker.nudge(2)
    assert sent == [(4711, processes.NUDGE_SIGNAL)]
    worker.words[WORD_INTERRUPT] = 0
    worker.nudge(2)
    assert len(sent) == 1


def test_only_a_worker_that_has_not_taken_its_interrupt_hears_that_the_hub_insists():
    worker, asked = Bare(), []
    worker.link = SimpleNamespace(notify=lambda *what: asked.append(what))
    worker.words[WORD_INTERRUPT] = 2
    worker.insist(1)
    assert asked == []
    worker.insist(2)
    assert asked == [("insist", 2)]


def test_a_child_that_was_started_just_when_the_interrupt_came_hears_of_it_by_the_nudge(sent, monkeypatch):
    monkeypatch.setattr(processes, "foreground_of", lambda pid, spared: [5001, 5002, 5003])
    monkeypatch.setattr(processes, "program_of", lambda pid: "/bin/sleep")
    worker = Bare()
    worker.words[WORD_RUNNING] = worker.words[WORD_INTERRUPT] = 2
    worker._told = {5001: "/bin/sleep", 5002: "/bin/sh"}  # the second one has begun another program since
    worker.nudge(2)
    assert sent == [(4711, processes.NUDGE_SIGNAL), (5002, signal.SIGINT), (5003, signal.SIGINT)]


@pytest.mark.parametrize(("noted", "read"), [((84, 5), (84, 5)), ((84, MAX_NUMBER), (0, 0)), ((2**64 - 1, 5), (0, 0))])
@pytest.mark.parametrize("lives", [True, False])
def test_what_the_hub_before_has_noted_is_read_unless_nobody_can_have_given_out_such_numbers(
    folders, noted, read, lives
):
    folder = RuntimeFolder(folders.runtime / "demo")
    folder.create()
    ring.create(folder.ring(3), 4096)
    earlier = Bare(ring.RingReader(folder.ring(3)))
    earlier.note_numbers(*noted)
    nothing = dict.fromkeys(("scheduler", "spawned", "started", "died", "deliver", "running"))
    supervisor = Supervisor(folder, HubSettings(), WorkerSettings(), **nothing)
    assert supervisor.read_noted(4) == (0, 0)  # it has had no such worker
    if lives:
        folder.ring(3).unlink()  # as a login manager does; the worker has handed its descriptor on
        supervisor.worker = earlier
    assert supervisor.read_noted(3) == read
    earlier._ring.close()


@pytest.mark.parametrize("word", [WORD_RUNNING, WORD_SIDES])
def test_a_worker_that_hears_nobody_any_more_is_ended_when_nothing_runs_on_either_lane(sent, word):
    worker = Bare()
    for worker._pump.is_cut_off, worker.words[word], worker.has_ended in (
        (False, 0, False),
        (True, 1, False),
        (True, 0, True),  # its number may be another's by now
    ):
        for _ in range(10):
            worker.look()
        assert sent == []
    worker.has_ended = False
    for _ in range(10):
        worker.look()
    assert set(sent) == {(4711, signal.SIGKILL)}
    assert worker._why_ended == "its code had closed the connection to the hub"
