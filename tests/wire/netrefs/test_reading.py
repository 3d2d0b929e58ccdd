"""Which thread reads, when it changes, and that nothing is lost or overtaken meanwhile."""

import random
import threading
from queue import SimpleQueue

import pytest

from rpyc_kernel.system.futures import Latch
from rpyc_kernel.wire.netrefs import reading
from rpyc_kernel.wire.netrefs.job_queue import JobQueue
from tests.support.waiting import wait_until
from tests.wire.peers import DEADLINE_S, Serving
from tests.wire.services import Gate


class Line:
    """A connection without a socket: messages are functions, called by whoever reads them."""

    def __init__(self):
        self.has_more = False
        self.readiness = None
        self.jobs = JobQueue(self, self.read)
        self.reading = self.jobs.reading
        self.readers = []
        self._messages = SimpleQueue()
        self.server = Serving(self.jobs.run)
        self.standby = Serving(self.reading.stand_by)

    def read(self):
        message = self._messages.get()
        self.readers.append(threading.get_ident())
        message()

    def send(self, message):
        """Have it called by whoever reads next."""
        self._messages.put(message)

    def request(self, job):
        """Have it done by the server."""
        self.send(lambda: self.jobs.put(job))

    def ask(self, job=lambda: None):
        """Have it done by the server, wait for that, and return which thread read it."""
        done, readers = Latch(), []

        def read():
            readers.append(threading.get_ident())
            self.jobs.put(lambda: (job(), done.set()))

        self.send(read)
        assert done.wait(DEADLINE_S)
        return self.name(readers[0])

    def name(self, ident):
        return {self.server.ident: "server", self.standby.ident: "standby"}[ident]

    def end(self):
        def last():
            self.reading.stop()
            self.jobs.put(self.jobs.finish)

        self.send(last)
        self.server.join()
        self.standby.join()
        assert (self.server.error, self.standby.error) == (None, None)


@pytest.fixture
def line():
    made = Line()
    yield made
    made.end()


@pytest.fixture
def patient_line(monkeypatch):
    """One whose standby reads only when it is summoned."""
    monkeypatch.setattr(reading, "PATIENCE_S", 10 * DEADLINE_S)
    made = Line()
    yield made
    made.end()


@pytest.fixture
def impatient_line(monkeypatch):
    """One whose standby reads whenever it can."""
    monkeypatch.setattr(reading, "PATIENCE_S", 0)
    made = Line()
    yield made
    made.end()


def test_the_server_reads_what_it_serves(patient_line):
    assert {patient_line.ask() for _ in range(100)} == {"server"}


def test_the_standby_reads_while_a_job_takes_long_and_hands_back_when_it_is_done(line):
    gate, seen = Gate(), []
    line.request(gate)
    gate.wait_reached()
    for _ in range(3):
        read = threading.Event()
        line.send(lambda read=read: (seen.append(line.name(threading.get_ident())), read.set()))
        assert read.wait(DEADLINE_S)
    gate.open()
    assert seen == ["standby"] * 3
    wait_until(lambda: line.ask() == "server")


def test_jobs_are_done_in_the_order_of_arrival_whoever_reads(impatient_line):
    chance, seen = random.Random(1), []
    for number in range(2000):
        pause = Latch()
        impatient_line.request(lambda number=number, pause=pause: (pause.wait(), seen.append(number)))
        impatient_line.send(pause.set)  # which only the standby can read, while the job waits
        if chance.random() < 0.1:
            impatient_line.ask()
    impatient_line.ask()
    assert seen == list(range(2000))
    assert {impatient_line.name(ident) for ident in impatient_line.readers} == {"server", "standby"}


def test_nothing_runs_in_a_quiet_connection(line):
    for _ in range(3):
        wait_until(lambda: line.ask() == "server")
        wait_until(lambda: line.reading._is_asleep and line.reading._is_server_here)
        gate, read = Gate(), threading.Event()
        line.request(gate)
        gate.wait_reached()
        line.send(read.set)
        assert read.wait(DEADLINE_S), "the standby was not woken"
        gate.open()


def test_a_job_that_waits_reads_and_serves_on_its_own_thread(patient_line):
    seen = []

    def wait(depth):
        latch = Latch()
        if depth:
            patient_line.request(lambda: (wait(depth - 1), latch.set(), patient_line.jobs.wake()))
        else:
            patient_line.send(lambda: (latch.set(), patient_line.jobs.wake()))
        patient_line.jobs.wait_for(latch, None)
        seen.append(threading.get_ident())

    assert patient_line.ask(lambda: wait(20)) == "server"
    assert seen == [patient_line.server.ident] * 21
    assert set(patient_line.readers) == {patient_line.server.ident}


def test_a_job_that_waits_until_a_deadline_has_the_standby_read_at_once(patient_line):
    latch, seen = Latch(), []

    def wait():
        patient_line.request(lambda: (seen.append("nested"), latch.set(), patient_line.jobs.wake()))
        patient_line.jobs.wait_for(latch, DEADLINE_S)

    assert patient_line.ask(wait) == "server"
    assert seen == ["nested"]
    assert patient_line.name(patient_line.readers[-1]) == "standby"
    wait_until(lambda: patient_line.ask() == "server")


@pytest.mark.parametrize("timeout_s", [None, DEADLINE_S])
def test_a_job_that_waits_idly_serves_nothing_meanwhile(patient_line, timeout_s):
    latch, seen = Latch(), []

    def wait():
        patient_line.request(lambda: seen.append("request"))
        patient_line.send(latch.set)
        patient_line.jobs.wait_idly(latch, timeout_s)
        seen.append("waited")

    patient_line.ask(wait)
    patient_line.ask()
    assert seen == ["waited", "request"]
    assert patient_line.readers[2] == (patient_line.standby if timeout_s else patient_line.server).ident


def test_waiting_idly_while_the_standby_reads_leaves_it_the_baton(line):
    reached, latch = Gate(), Latch()

    def wait():
        reached()
        line.jobs.wait_idly(latch, None)

    line.request(wait)
    reached.wait_reached()
    line.send(lambda: None)
    wait_until(lambda: len(line.readers) == 2)
    reached.open()
    line.send(latch.set)
    line.ask()
    assert line.name(line.readers[2]) in ("standby", "server")


def test_reading_and_serving_overlap_where_messages_queue_up(patient_line):
    patient_line.has_more = True
    for number in range(100):
        gate = Gate()
        patient_line.request(gate)
        gate.wait_reached()
        gate.open()
        if number > 10 and patient_line.standby.ident in patient_line.readers:
            break
    else:
        pytest.fail("the standby never read")
    patient_line.has_more = False
    patient_line.ask()


def test_what_reads_is_no_job(patient_line):
    seen = []
    patient_line.send(lambda: seen.append((patient_line.jobs.is_in_job, patient_line.reading.is_own_thread)))
    patient_line.ask(lambda: seen.append((patient_line.jobs.is_in_job, patient_line.reading.is_own_thread)))
    assert seen == [(False, True), (True, False)]


@pytest.mark.parametrize("reader", ["server", "standby", "nobody"])
def test_the_end_ends_both_threads_whoever_reads(reader):
    line, gate = Line(), Gate()
    if reader == "server":
        line.ask()
    else:
        line.request(gate)
        gate.wait_reached()
        if reader == "standby":
            line.send(lambda: None)
            wait_until(lambda: len(line.readers) == 2)
    line.send(lambda: (line.reading.stop(), line.jobs.put(line.jobs.finish)))
    line.standby.join()
    gate.open()
    line.server.join()
