"""A hub whose worker is a list of what it was asked."""

import json
import threading
from concurrent.futures import Executor, Future

from rpyc_kernel.core import events
from rpyc_kernel.core.contract import Outcome, Role
from rpyc_kernel.hub.guests import Guests
from rpyc_kernel.hub.hub import Hub
from rpyc_kernel.hub.journal.journal import Journal
from rpyc_kernel.hub.key_ring import KeyRing
from rpyc_kernel.hub.listening import Listeners
from rpyc_kernel.hub.service import HubService
from rpyc_kernel.hub.worker import Worker
from rpyc_kernel.settings import HubSettings, WorkerSettings
from rpyc_kernel.system import frames
from rpyc_kernel.system.runtime_folder import RuntimeFolder
from rpyc_kernel.wire.handshake import COMMANDS, Identity, Welcome
from rpyc_kernel.wire.keys import Grant, Key


class FakeSupervisor:
    """Takes what is decided of a worker, of which there is always one that can be asked."""

    def __init__(self):
        self.worker = FakeWorker()
        self.program = None

    def start(self, generation):
        self.worker.note("start", generation)

    def kill(self, *, is_idle):
        self.worker.note("kill", is_idle)

    def join(self):
        pass


class FakeWorker:
    """Takes what can be sent to a worker, and answers every question with "null".

    Attributes:
        handed_over: the sockets that came with a client's own; to be closed.
    """

    pid = 4711
    memory_bytes = None
    perform = Worker.perform
    _run = Worker._run

    def __init__(self):
        self.asked = []
        self.handed_over = []
        self.link = self

    def note(self, *request):
        frames.encode(request)  # raises for what no worker could be told
        self.asked.append(request)

    notify = note

    def run(self, execution, code, call, source, count, was_held):
        self.note("run", execution, code, call, source, count, *([was_held] if was_held else ()))

    def _interrupt(self, execution, lane, force):
        self.note("interrupt", execution, lane, force)

    def insist(self, execution):
        self.note("insist", execution)

    def nudge(self, execution):
        self.note("nudge", execution)

    def hand_over(self, channel, whose, sock, *more, ended):
        self.ended = ended
        self.note(channel, *whose)
        self.handed_over += [sock.dup() for sock in more]

    def request(self, method, *arguments):
        self.note(method, *arguments)
        answer = Future()
        answer.set_result("null")
        return answer

    def ask_stack(self, timeout_s):
        answer = Future()
        answer.set_result("stack")
        return answer


class AtOnce(Executor):
    """Runs what it is given on the spot."""

    def submit(self, function, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(function(*args, **kwargs))
        except Exception as error:  # noqa: BLE001 - as executors do
            future.set_exception(error)
        return future


class FakeKernel:
    """A hub with a worker that is ready."""

    def __init__(self, path, journal=None):
        self.journal = journal or Journal(path / "journal.sqlite", max_memory_bytes=10**6, max_unsaved_bytes=10**6)
        self.stopped = threading.Event()
        self.hub = Hub(
            RuntimeFolder(path / "demo"),
            self.journal,
            HubSettings(grace_s=3600.0),
            WorkerSettings(),
            worker_changed=lambda pid, generation: None,
            stop=lambda reason: self.stopped.set(),
        )
        self.hub._supervisor = self.supervisor = FakeSupervisor()
        self.worker = self.supervisor.worker
        self.hub.wait_for_worker = lambda timeout_s: True
        self.ring = KeyRing(Key(b"own"), path / "invitations.json")
        self.ended = []
        self.guests = Guests(self.hub, self.ring, end=self._end)
        self.listeners = Listeners(RuntimeFolder(path / "demo"), HubSettings(host=""), None)
        self.start_worker()

    def _end(self, session, key):
        self.ended.append((session, key))

    def start_worker(self, generation=1):
        started = events.WorkerStarted(generation, self.worker.pid, "3.12", "plain")
        self.hub.handle(started)

    def replace_worker(self):
        """Let the worker end, as it was told to, and the next one come up."""
        self.hub.handle(events.WorkerDied("killed by SIGKILL", 0.0))
        self.start_worker(self.hub.look(lambda state: state.generation))

    def connect(self, session="a", *, name="", role=Role.OWNER, has_values=True):
        welcome = Welcome(COMMANDS, Identity(session, name, role), Grant(has_values=has_values))
        return HubService(
            self.hub, self.guests, self.listeners, "demo", "/run/demo", AtOnce(), welcome, came_first=True
        )

    def finish(self, number, outcome=Outcome.OK):
        finished = events.CodeFinished(number, outcome, 0.0)
        self.hub.handle(finished)

    def goes_on(self):
        """Whether code of another client runs to its end, after all that is unfinished."""
        number = self.connect("another").exposed_execute("'still here'")
        while running := self.hub.look(lambda state: state.running):
            self.finish(running)
        return any(request[:2] == ("run", number) for request in self.worker.asked)

    def snapshot(self):
        """All that a client's call could change."""
        return self.hub.look(lambda state: state.status()), self.journal.last, len(self.worker.asked)

    def payloads(self):
        """What the journal holds, read as strict JSON."""

        def refuse(constant):
            raise AssertionError(f"{constant} is no JSON")

        rows = self.journal._store.reader.execute("SELECT kind, payload FROM events ORDER BY seq").fetchall()
        return [(kind, json.loads(payload, parse_constant=refuse)) for kind, payload in rows]

    def close(self):
        self.hub.close()
