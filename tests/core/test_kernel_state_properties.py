"""The rules of the kernel, for any course of events: a model worker and a journal around the pure state."""

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from rpyc_kernel.core import events
from rpyc_kernel.core.actions import (
    AnswerWorker,
    InterruptWorker,
    KillWorker,
    Record,
    ReportStack,
    RunCode,
    StartGrace,
    StartWorker,
    StopHub,
)
from rpyc_kernel.core.contract import Force, Kind, Lane, Outcome, Role, State
from rpyc_kernel.core.kernel_state import EXECUTION, OTHERS, KernelState
from rpyc_kernel.errors import NoSuchExecution, NotAsked, NotPermitted, NotQueued, NotRunning, RequestError
from rpyc_kernel.hub.journal.recovery import Recovery

USERS = ("a", "b")
ONLOOKER = "o"

CALM_STEPS = 8
"""How many steps lie between two disasters, so that queues have time to form."""

sessions = st.sampled_from((*USERS, *USERS, ONLOOKER))
roles = st.sampled_from((Role.OWNER, Role.OWNER, Role.VIEWER))
users = st.sampled_from(USERS)
holds = st.sampled_from((False, False, False, True))
lanes = st.sampled_from((Lane.MAIN, Lane.MAIN, Lane.MAIN, Lane.SIDE))


class ListJournal:
    """What a journal keeps for the next hub, of records that are never written."""

    def __init__(self):
        self.last = 0
        self.queued = {}
        self.recovery = Recovery()

    def append(self, record, time):
        self.last += 1
        self.recovery.take(self.last, time, record.kind, record.execution, record.session, record.payload)
        if record.kind == Kind.QUEUED:
            self.queued[record.execution] = record.payload

    def restored(self):
        return Recovery.from_text(self.recovery.as_text()).restored(self.queued)


class ModelWorker:
    """A worker as the hub knows it: what was handed over, in which order, and what it dropped as a repetition."""

    def __init__(self, generation):
        self.generation = generation
        self.is_ready = False
        self.is_told_to_end = False
        self.received = 0
        self.let_go = set()
        self.main = []
        self.sides = set()
        self.sides_received = set()
        self.tokens = {}

    def take(self, run):
        if run.lane == Lane.SIDE:
            if run.execution not in self.sides_received:
                self.sides_received.add(run.execution)
                self.sides.add(run.execution)
        elif run.was_held:
            if run.execution not in self.let_go:
                self.let_go.add(run.execution)
                self.main.append(run.execution)
        elif run.execution > self.received:
            self.received = run.execution
            self.main.append(run.execution)

    @property
    def running(self):
        return [*self.main, *sorted(self.sides)]

    def end(self, execution):
        self.main = [number for number in self.main if number != execution]
        self.sides.discard(execution)


class CheckedState(KernelState):
    """Compares what becomes of each execution with the table."""

    def handle(self, event):
        kind, last = type(event), self.last_execution
        named = last + 1 if kind is events.CodeSubmitted else getattr(event, "execution", None) or self.running
        before = {number: self.place_of(number) for number in range(1, last + 2)}
        decision = super().handle(event)
        for number, place in before.items():
            cell = EXECUTION[kind][place]
            if kind in OTHERS and number != named:
                allowed = OTHERS[kind].get(place, (place,))
            else:
                allowed = cell if isinstance(cell, tuple) else (place,)
            assert self.place_of(number) in allowed, f"{kind.__name__} moved what was {place}"
        return decision


class KernelLife(RuleBasedStateMachine):
    """Random clients, workers that start and die, and hubs that are killed."""

    def __init__(self):
        super().__init__()
        self.state = CheckedState()
        self.journal = ListJournal()
        self.worker = None
        self.time = 0.0
        self.is_stopped = False
        self.calm_steps = 0
        self.next_token = 1
        self.owner, self.lane, self.stops_on_error = {}, {}, {}
        self.queued, self.started, self.finished = [], [], {}
        self.asked, self.approved = set(), set()

    @initialize()
    def begin(self):
        self.state.handle(events.SessionJoined(ONLOOKER, f"name of {ONLOOKER}", Role.VIEWER))
        self.perform([Record(Kind.CLIENT_JOINED, None, ONLOOKER, {"name": f"name of {ONLOOKER}", "role": Role.VIEWER})])
        self.perform(self.state.start())

    # Carrying out what was decided, and checking each step

    def perform(self, actions, *, lose_the_rest=False):
        """Record first, as the hub does; with `lose_the_rest` the hub is killed before it does anything else."""
        for action in actions:
            if isinstance(action, Record):
                self.check_record(action)
                self.journal.append(action, self.time)
        self.check_order(actions)
        for action in actions if not lose_the_rest else ():
            match action:
                case RunCode():
                    assert self.worker is not None
                    assert self.worker.is_ready
                    self.worker.take(action)
                case InterruptWorker(execution):
                    assert execution in self.running_by_records(), "an interrupt hits what does not run"
                case StartWorker(generation):
                    assert self.worker is None, "two workers at once"
                    self.worker = ModelWorker(generation)
                case KillWorker():
                    # One that is being started may not be there yet to be killed.
                    if self.worker is not None and self.worker.is_ready:
                        self.worker.is_told_to_end = True
                case AnswerWorker(token):
                    assert self.worker is not None
                    self.worker.tokens.pop(token, None)
                case StopHub():
                    self.is_stopped = True
                    assert set(self.queued) == set(self.finished), "something was left unfinished"
                    self.journal.append(Record(Kind.HUB_STOPPED, None, None, {"reason": "stopped"}), self.time)
                case ReportStack(execution):
                    assert execution not in self.finished
                case StartGrace() | Record():
                    pass
                case unknown:
                    raise AssertionError(f"unknown action {unknown}")

    def check_record(self, record):
        number = record.execution
        if record.kind == Kind.QUEUED:
            assert number == len(self.queued) + 1, "a number was given out twice, or left out"
            self.queued.append(number)
            assert record.payload["is_held"] == (number in self.asked)
        elif record.kind == Kind.APPROVED:
            assert number in self.held_by_records()
            self.approved.add(number)
        elif record.kind == Kind.STARTED:
            assert number in self.queued
            assert number not in self.started, "started twice"
            assert number not in self.finished, "started after its end"
            assert number not in self.held_by_records(), "started without anybody's approval"
            self.started.append(number)
            if self.lane[number] == Lane.MAIN:
                assert [n for n in self.running_by_records() if self.lane[n] == Lane.MAIN] == [number]
                behind = [n for n in self.waiting_by_records() if self.lane[n] == Lane.MAIN and n < number]
                assert set(behind) <= self.held_by_records(), "the main lane is not first in, first out"
        elif record.kind == Kind.FINISHED:
            assert number in self.queued
            assert number not in self.finished, "finished twice"
            self.finished[number] = record.payload["outcome"]
        if number in self.owner and record.kind != Kind.STREAM:
            assert record.session in (self.owner[number], None)

    def check_order(self, actions):
        """Code is handed over only after its `queued` and `started` are recorded."""
        assert {action.execution for action in actions if isinstance(action, RunCode)} <= set(self.started)

    def running_by_records(self):
        return [number for number in self.started if number not in self.finished]

    def held_by_records(self):
        return {n for n in self.waiting_by_records() if n in self.asked and n not in self.approved}

    def waiting_by_records(self):
        return [number for number in self.queued if number not in self.started and number not in self.finished]

    def ask(self, decide, *errors):
        """Make a decision of a client; None if it was refused, which must leave everything as it was."""
        before = self.state.status()
        try:
            decision = decide()
        except errors:
            assert self.state.status() == before, "a refused request changed the state"
            return None
        self.perform(decision.actions)
        return decision

    def is_due(self):
        """Whether it is time for a disaster."""
        return self.calm_steps >= CALM_STEPS

    # Clients

    @rule(session=sessions, role=roles)
    def join(self, session, role):
        joined = events.SessionJoined(session, f"name of {session}", role)
        self.perform(self.state.handle(joined).actions)

    @rule(session=sessions, role=roles)
    def leave(self, session, role):
        self.perform(self.state.handle(events.SessionLeft(session, role)).actions)

    def draw_number(self, data):
        """An execution that waits or runs, or with less weight one that has finished or never was."""
        known = (*self.waiting_by_records(), *self.running_by_records())
        strange = (-1, 0, len(self.queued) + 1, *list(self.finished)[-2:])
        return data.draw(st.sampled_from((*known, *known, *strange)), label="execution")

    @rule(submissions=st.lists(st.tuples(sessions, lanes, st.booleans(), holds), min_size=1, max_size=4))
    def submit(self, submissions):
        for session, lane, stop_on_error, is_held in submissions:
            self.submit_one(session, lane, stop_on_error, is_held)

    def submit_one(self, session, lane, stop_on_error, is_held):
        number = len(self.queued) + 1
        self.asked |= {number} if is_held else set()
        self.owner[number], self.lane[number], self.stops_on_error[number] = session, lane, stop_on_error
        submitted = events.CodeSubmitted(session, "1", self.time, stop_on_error, lane, is_held=is_held)
        takes_code = self.state.lifecycle not in (State.DEAD, State.STOPPING)
        decision = self.ask(lambda: self.state.handle(submitted), RequestError)
        assert (decision is not None) == takes_code
        assert decision is None or decision.answer == number
        self.asked -= {number} if decision is None else set()

    @rule(session=users, data=st.data(), is_let_go=st.booleans())
    def approve_or_decline(self, session, data, is_let_go):
        number, held, waiting = self.draw_number(data), self.held_by_records(), set(self.waiting_by_records())
        if is_let_go:
            requested = events.ApproveRequested(session, number, self.time)
        else:
            requested = events.DeclineRequested(session, number, "no")
        is_stopping = is_let_go and self.state.lifecycle == State.STOPPING
        decision = self.ask(lambda: self.state.handle(requested), RequestError)
        assert (decision is not None) == (number in held and not is_stopping)
        if decision is not None and not is_let_go:
            assert self.finished[number] == Outcome.CANCELLED
            assert waiting - set(self.waiting_by_records()) == {number}

    @rule(session=users, data=st.data(), only_own=st.booleans())
    def cancel(self, session, data, only_own):
        number = self.draw_number(data)
        waited = number in self.waiting_by_records()
        may = not only_own or self.owner.get(number) == session
        cancel = events.CancelRequested(session, number, only_own)
        decision = self.ask(lambda: self.state.handle(cancel), NotQueued, NoSuchExecution, NotPermitted)
        assert (decision is not None) == (waited and may)
        assert decision is None or self.finished[number] == Outcome.CANCELLED

    @rule(
        session=users,
        names_one=st.booleans(),
        force=st.sampled_from((*[Force.SIGNAL, Force.EXCEPTION] * 4, Force.TERMINATE)),
        data=st.data(),
        only_own=st.booleans(),
    )
    def interrupt(self, session, names_one, force, data, only_own):
        number = self.draw_number(data) if names_one else None
        running = self.running_by_records()
        if number is None:
            expected = next((n for n in running if self.lane[n] == Lane.MAIN), None)
        else:
            expected = number if number in running else None
        if only_own and self.owner.get(expected) != session:
            expected = None
        requested = events.InterruptRequested(session, number, force, only_own)
        decision = self.ask(lambda: self.state.handle(requested), NotRunning, NoSuchExecution, NotPermitted)
        assert (decision.answer if decision else None) == expected
        if decision is not None and force != Force.TERMINATE:
            assert [action.execution for action in decision.actions if isinstance(action, InterruptWorker)] == [
                expected
            ]

    @rule(number=st.integers(1, 12))
    def grace_elapses(self, number):
        self.perform(self.state.handle(events.GraceElapsed(number)).actions)

    @rule(session=users, names_one=st.booleans(), data=st.data(), only_own=st.booleans())
    def answer(self, session, names_one, data, only_own):
        number = self.draw_number(data) if names_one else None
        prompts = self.state.status()["prompts"]
        waiting = [prompt["execution"] for prompt in prompts if not only_own or prompt["session"] == session]
        answered = events.InputAnswered(session, "text", number, only_own=only_own)
        decision = self.ask(lambda: self.state.handle(answered), NotAsked, NotPermitted)
        assert (decision is not None) == bool(waiting and number in (None, *waiting))

    @precondition(is_due)
    @rule(session=users)
    def restart(self, session):
        self.calm_steps = 0
        is_stopping = self.state.lifecycle == State.STOPPING
        requested = events.RestartRequested(session)
        decision = self.ask(lambda: self.state.handle(requested), RequestError)
        assert (decision is None) == is_stopping

    @precondition(lambda self: self.is_due() and len(self.queued) > 10)
    @rule(session=users)
    def shut_down(self, session):
        self.calm_steps = 0
        requested = events.ShutdownRequested(session, "stopped")
        self.ask(lambda: self.state.handle(requested))

    # The worker

    def worker_is_up(self):
        return self.worker is not None and self.worker.is_ready

    @precondition(lambda self: self.worker is not None and not self.worker.is_ready)
    @rule()
    def worker_starts(self):
        self.worker.is_ready = True
        self.perform(self.state.handle(self.started_event(adopted=False)).actions)

    def started_event(self, adopted):
        worker = self.worker
        return events.WorkerStarted(worker.generation, 4000, "3.12", "plain", adopted, worker.received, self.time)

    @precondition(
        lambda self: self.worker and (not self.worker.is_ready or self.worker.is_told_to_end or self.is_due())
    )
    @rule()
    def worker_dies(self):
        self.calm_steps = 0
        self.worker = None
        self.perform(self.state.handle(events.WorkerDied("killed by SIGKILL", self.time)).actions)

    @precondition(lambda self: self.worker_is_up() and self.worker.running)
    @rule(data=st.data(), outcome=st.sampled_from((Outcome.OK, Outcome.OK, Outcome.ERROR, Outcome.INTERRUPTED)))
    def finish(self, data, outcome):
        # The main lane's executions end in the order in which they came.
        choices = [*self.worker.main[:1], *sorted(self.worker.sides)]
        number = data.draw(st.sampled_from(choices), label="execution")
        waiting = self.waiting_by_records()
        self.worker.end(number)
        self.perform(self.state.handle(events.CodeFinished(number, outcome, self.time)).actions)
        assert self.finished[number] == outcome
        aborts = outcome != Outcome.OK and self.stops_on_error[number] and self.lane[number] == Lane.MAIN
        doomed = {n for n in waiting if aborts and n > number and self.owner[n] == self.owner[number]}
        assert {n for n in waiting if n in self.finished} == doomed
        assert all(self.finished[n] == Outcome.ABORTED for n in doomed)

    @precondition(worker_is_up)
    @rule(number=st.integers(1, 12))
    def late_finish_is_ignored(self, number):
        if number not in self.worker.running:
            assert self.state.handle(events.CodeFinished(number, Outcome.OK, self.time)).actions == []

    @precondition(worker_is_up)
    @rule(data=st.data())
    def print_something(self, data):
        number = data.draw(st.none() | st.integers(1, 12), label="execution")
        payload = {"name": "stdout", "text": "x"}
        self.perform(self.state.handle(events.WorkerReported(Kind.STREAM, number, payload)).actions)

    @precondition(worker_is_up)
    @rule(data=st.data())
    def ask_for_input(self, data):
        # Threads that an execution left behind may ask when it has finished; others belong to no execution at all.
        choices = [None, *self.worker.running, *self.finished]
        number = data.draw(st.sampled_from(choices), label="execution")
        token, self.next_token = self.next_token, self.next_token + 1
        self.worker.tokens[token] = number
        self.perform(self.state.handle(events.InputWanted(number, token, "? ", False)).actions)

    @precondition(lambda self: self.worker_is_up() and self.worker.tokens)
    @rule(data=st.data())
    def withdraw_a_prompt(self, data):
        token = data.draw(st.sampled_from(sorted(self.worker.tokens)), label="token")
        del self.worker.tokens[token]
        self.perform(self.state.handle(events.InputWithdrawn(token)).actions)

    # Hubs

    @precondition(lambda self: self.is_due() and not self.is_stopped)
    @rule(worker_survives=st.booleans())
    def hub_is_killed(self, worker_survives):
        self.take_over(worker_survives)

    @precondition(lambda self: self.is_due() and not self.is_stopped)
    @rule(session=users, lane=lanes, worker_survives=st.booleans())
    def hub_is_killed_before_code_is_handed_over(self, session, lane, worker_survives):
        if self.state.lifecycle in (State.DEAD, State.STOPPING):
            return
        number = len(self.queued) + 1
        self.owner[number], self.lane[number], self.stops_on_error[number] = session, lane, True
        submitted = events.CodeSubmitted(session, "1", self.time, True, lane)
        self.perform(self.state.handle(submitted).actions, lose_the_rest=True)
        self.take_over(worker_survives)

    def take_over(self, worker_survives):
        self.calm_steps = 0
        self.state = CheckedState()
        self.state.restore(self.journal.restored())
        if self.worker is not None and worker_survives:
            # One that was starting comes up without a hub, and waits for it.
            self.worker.is_ready = True
            self.perform(self.state.handle(self.started_event(adopted=True)).actions)
        else:
            self.worker = None
            self.perform(self.state.start())

    # What always holds

    @invariant()
    def time_goes_on(self):
        self.time += 1.0
        self.calm_steps += 1

    @invariant()
    def the_state_agrees_with_the_records(self):
        status = self.state.status()
        running = self.running_by_records()
        queue = self.state.queue(0, len(self.queued))  # of which a status has the first ones
        assert [item["execution"] for item in queue] == self.waiting_by_records()
        held = {item["execution"] for item in queue if item["is_held"]}
        assert held == self.held_by_records()
        assert status["held"] == len(held)
        assert ([status["running"]["execution"]] if status["running"] else []) == [
            number for number in running if self.lane[number] == Lane.MAIN
        ]
        assert {item["execution"] for item in status["side"]} == {n for n in running if self.lane[n] == Lane.SIDE}
        assert status["last_execution"] == len(self.queued)
        assert (status["busy_since"] is None) == (status["running"] is None)

    @invariant()
    def the_worker_holds_what_the_records_say(self):
        if self.worker_is_up():
            assert set(self.worker.running) == set(self.running_by_records())
            assert len(self.state.status()["prompts"]) <= len(self.worker.tokens)

    @invariant()
    def nobody_waits_while_the_worker_is_free(self):
        status = self.state.status()
        assert not (status["state"] == State.IDLE and any(not item["is_held"] for item in status["queue"]))

    @invariant()
    def a_new_hub_would_know_the_same(self):
        if self.is_stopped:
            return
        fresh = CheckedState()
        fresh.restore(self.journal.restored())
        ours, theirs = self.state.status(), fresh.status()
        for part in ("queue", "held", "running", "side", "prompts", "last_execution"):
            assert theirs[part] == ours[part], part
        assert {s["id"]: s["name"] for s in theirs["sessions"]} == {s["id"]: s["name"] for s in ours["sessions"]}

    def teardown(self):
        """From wherever the machine ended, a shutdown leads to an end, and nothing stays unfinished."""
        if self.time == 0.0:
            return
        self.perform(self.state.handle(events.ShutdownRequested(None, "the end")).actions)
        if self.worker is not None and not self.worker.is_ready:
            self.worker_starts()
        if self.worker is not None:
            assert self.worker.is_told_to_end, "nothing ends the worker"
            self.worker_dies()
        assert self.is_stopped
        assert set(self.queued) == set(self.finished)
        assert not self.journal.restored().unfinished


KernelLife.TestCase.settings = settings(
    max_examples=100, stateful_step_count=40, deadline=None, suppress_health_check=list(HealthCheck)
)
TestKernelLife = pytest.mark.timeout(600)(KernelLife.TestCase)  # to find the shortest failing life can take minutes
