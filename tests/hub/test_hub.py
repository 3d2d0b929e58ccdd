"""Who carries out what was decided, and who waits for it."""

import contextlib
import math
import threading

import pytest

from rpyc_kernel.core import events
from rpyc_kernel.core.actions import KillWorker, Record
from rpyc_kernel.core.contract import UNFINISHED, Kind
from rpyc_kernel.errors import NoSuchExecution
from rpyc_kernel.hub import failing
from rpyc_kernel.hub.hub import Hub
from rpyc_kernel.hub.journal.journal import Journal
from rpyc_kernel.settings import HubSettings, WorkerSettings
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from tests.hub.kernels import FakeKernel
from tests.support.waiting import wait_until

PATIENCE_S = 30.0


class SlowJournal(Journal):
    """Its commits wait for a sign."""

    def __init__(self, path):
        super().__init__(path, max_memory_bytes=10**6, max_unsaved_bytes=10**6)
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
    return SlowJournal(tmp_path / "events.db")


@pytest.fixture
def hub(journal, tmp_path):
    folder = RuntimeFolder(tmp_path / "demo")
    hub = Hub(folder, journal, HubSettings(), WorkerSettings(), worker_changed=lambda pid, generation: None, stop=print)
    yield hub
    hub.close()


def note(number):
    return Record(Kind.STREAM, None, None, {"number": number})


def test_one_who_asks_goes_on_when_it_is_done(hub, journal):
    had_committed = []

    def ask():
        hub.post([note(2)])
        had_committed.extend(journal.commits)

    first, second = threading.Thread(target=hub.post, args=([note(1)],)), threading.Thread(target=ask)
    first.start()
    assert journal.begun.acquire(timeout=PATIENCE_S)
    second.start()
    wait_until(lambda: hub._outbox, what="a second decision")
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


class HubEnded(BaseException):
    """Stands in for the end of the process."""


@pytest.fixture
def endings(monkeypatch):
    """What a hub ended for."""
    ended = []

    def end_hub(doing, error):
        ended.append((doing, error))
        raise HubEnded

    monkeypatch.setattr(failing, "end_hub", end_hub)
    return ended


@pytest.fixture
def kernel(tmp_path):
    with contextlib.closing(FakeKernel(tmp_path)) as kernel:
        yield kernel


def test_what_was_read_from_the_ring_is_committed_with_its_position_before_it_is_released(kernel):
    """A hub that is killed in between is followed by one that reads from the position in the journal on."""
    in_journal = []

    class Ring:
        def release(self, position):
            in_journal.append((position, kernel.journal.ring_position(1), kernel.payloads()[-1]))

    reports = [(Kind.STREAM, None, {"name": "stdout", "text": "read"})]
    kernel.hub._deliver(reports, 4096, Ring(), 1)
    assert in_journal == [(4096, 4096, (Kind.STREAM, reports[0][2]))]


def test_code_is_handed_over_when_it_is_committed_that_it_has_started(kernel, monkeypatch):
    """A hub that is killed in between hands over again what the worker may not have got, and never less."""
    in_journal = []
    monkeypatch.setattr(kernel.worker, "run", lambda *_: in_journal.append([kind for kind, _ in kernel.payloads()]))
    kernel.connect().exposed_execute("1")
    assert [kinds[-2:] for kinds in in_journal] == [[Kind.QUEUED, Kind.STARTED]]


def test_a_hub_that_cannot_commit_what_was_decided_ends(kernel, endings, monkeypatch):
    fault = MemoryError()

    def fail(*_):
        raise fault

    with monkeypatch.context() as faulty:
        faulty.setattr(kernel.journal, "append", fail)
        with pytest.raises(HubEnded):
            kernel.connect().exposed_execute("1")
    assert endings == [("what was decided", fault)]


@pytest.mark.parametrize("part", ["run", "start", "kill"])
def test_a_hub_that_cannot_do_what_all_wait_for_ends(kernel, endings, monkeypatch, part):
    def fail(*_, **__):
        raise RuntimeError("can't start new thread")

    client = kernel.connect()
    with monkeypatch.context() as faulty:
        faulty.setattr(kernel.worker if part == "run" else kernel.supervisor, part, fail)
        with pytest.raises(HubEnded):
            if part == "run":
                client.exposed_execute("1")
            else:
                client.exposed_restart()
                kernel.hub.handle(events.WorkerDied("restarted", 0.0))
    assert str(endings[0][1]) == "can't start new thread"


def test_an_interrupt_that_fails_is_logged_and_drops_nothing_else(kernel, endings, monkeypatch, caplog):
    def fail(*_):
        raise PermissionError("not yours")

    monkeypatch.setattr(kernel.worker, "_interrupt", fail)
    client = kernel.connect()
    assert client.exposed_interrupt(client.exposed_execute("1")) == 1
    assert "InterruptWorker failed" in caplog.text
    assert kernel.goes_on()
    assert not endings


def test_an_interrupt_that_was_not_taken_is_followed_by_insisting_and_a_nudge(kernel):
    client = kernel.connect()
    execution = client.exposed_execute("1")
    client.exposed_interrupt(execution)
    wait_until(lambda: ("nudge", execution) in kernel.worker.asked, what="the nudge")
    names = [name for name, *_ in kernel.worker.asked]
    assert names.index("interrupt") < names.index("insist") < names.index("nudge")


def test_a_decision_that_breaks_off_ends_the_hub(kernel, endings):
    # There is a worker already.
    with pytest.raises(HubEnded):
        kernel.hub.handle(events.WorkerStarted(2, 4712, "3.12", "plain"))
    assert [doing for doing, _ in endings] == ["a decision"]


def test_a_decision_that_asks_the_hub_ends_it_instead_of_waiting_for_itself(kernel, endings):
    with pytest.raises(HubEnded):
        kernel.hub.look(lambda state: kernel.hub.look(lambda state: state.status()))
    assert "a decision is made of facts" in str(endings[0][1])


def test_an_action_is_done_by_nobody_but_who_performs(kernel):
    with pytest.raises(AssertionError):
        kernel.hub._act(KillWorker("by hand"))
    assert kernel.worker.asked == []


def test_a_refused_request_ends_nothing(kernel, endings):
    with pytest.raises(NoSuchExecution):
        kernel.connect().exposed_cancel(99)
    assert not endings


SENSELESS = [
    (Kind.FINISHED, 1, {"outcome": ["ok"], "duration_s": "long"}),
    (Kind.FINISHED, 2**64 - 1, {"outcome": "ok"}),
    (Kind.INPUT_REQUESTED, 1, {"token": ["x"], "prompt": "", "password": False}),
    (Kind.INPUT_REQUESTED, 1, {}),
    (Kind.INPUT_REQUESTED, 1, {"token": float("inf"), "prompt": "", "password": False}),
    (Kind.FINISHED, 1, {"outcome": "ok", "duration_s": 10**400}),
    (Kind.INPUT_ANSWERED, 1, {"token": None}),
    (UNFINISHED, None, {"unfinished": [[1]], "received": 1, "sides": [], "let_go": []}),
    (UNFINISHED, None, {"unfinished": [], "received": "x", "sides": [], "let_go": []}),
    (UNFINISHED, None, {"unfinished": [], "received": 0, "sides": [], "let_go": [], "asking": [[1]]}),
    (UNFINISHED, None, {"unfinished": [], "received": 0, "sides": [], "let_go": [None]}),
    (Kind.STREAM, 2**64 - 1, {"name": "stdout", "text": "x"}),
    (Kind.STREAM, 1, {"name": "stdout", "text": {1}}),
]


@pytest.mark.parametrize("report", SENSELESS, ids=lambda report: f"{report[0]} {report[2]}"[:60])
def test_a_report_that_makes_no_sense_is_logged_and_takes_no_other_away(kernel, endings, caplog, report):
    class Ring:
        def release(self, position):
            self.released = position

    ring = Ring()
    kernel.connect().exposed_execute("1")
    text = {"name": "stdout", "text": "seen"}
    reports = [(Kind.STREAM, 1, text), report, (Kind.FINISHED, 1, {"outcome": "ok", "duration_s": 0.5})]
    kernel.hub._deliver(reports, 100, ring, 1)
    assert "makes no sense" in caplog.text
    kinds = [kind for kind, _ in kernel.payloads()]
    assert (kinds[-2:], ring.released) == ([Kind.STREAM, Kind.FINISHED], 100)
    assert kernel.goes_on()
    assert not endings


def test_numbers_that_json_does_not_have_are_recorded_as_null(kernel):
    report = (Kind.DISPLAY, None, {"data": {"application/json": [math.nan, 1.5, {"x": -math.inf}]}})
    kernel.hub._deliver([report], 0, type("Ring", (), {"release": lambda self, position: None})(), 1)
    assert kernel.payloads()[-1] == (Kind.DISPLAY, {"data": {"application/json": [None, 1.5, {"x": None}]}})


def test_a_shutdown_is_answered_at_once_and_carried_out_behind(kernel):
    client = kernel.connect()
    client.exposed_execute("'runs for long'")
    assert client.exposed_shutdown() is None
    assert kernel.worker.asked[-1] == ("kill", False)
    assert dict(client.exposed_status())["state"] == "stopping"
    assert not kernel.stopped.is_set()
    kernel.hub.handle(events.WorkerDied("killed by SIGTERM", 0.0))
    assert kernel.stopped.wait(PATIENCE_S)
