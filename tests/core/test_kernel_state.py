"""The rules of the kernel, one example each."""

import pytest

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
from rpyc_kernel.core.contract import (
    FIELDS,
    MAX_HELD,
    MAX_HELD_CODE_CHARS,
    MAX_HELD_OF_ONE,
    Departure,
    Force,
    Kind,
    Lane,
    Outcome,
    Role,
    State,
)
from rpyc_kernel.core.kernel_state import MAX_FAILED_STARTS, KernelState
from rpyc_kernel.core.source import Program
from rpyc_kernel.errors import (
    NoSuchExecution,
    NotAsked,
    NotPermitted,
    NotQueued,
    NotRunning,
    RequestError,
)
from rpyc_kernel.frozen import changed


def worker_started(generation=1, *, received=0, adopted=False, time=0.0):
    return events.WorkerStarted(generation, 4000 + generation, "3.12.1", "plain", adopted, received, time)


@pytest.fixture
def state():
    """A kernel whose worker is ready, with two users and one who only looks on."""
    state = KernelState()
    for session, name, role in (("a", "alice", Role.OWNER), ("b", "bob", Role.OWNER), ("o", "olga", Role.VIEWER)):
        state.handle(events.SessionJoined(session, name, role))
    state.start()
    state.handle(worker_started())
    return state


def submit(state, session="a", code="1", *, time=0.0, **options):
    return state.handle(events.CodeSubmitted(session, code, time, **options)).answer


def finish(state, execution, outcome=Outcome.OK, time=0.0):
    return state.handle(events.CodeFinished(execution, outcome, time, 0.5)).actions


def interrupt(state, execution=None, session="a", force=Force.SIGNAL):
    return state.handle(events.InterruptRequested(session, execution, force))


def ask(state, execution, token=7, prompt="? "):
    return state.handle(events.InputWanted(execution, token, prompt, False)).actions


def answer(state, text="yes", execution=None, session="a"):
    return state.handle(events.InputAnswered(session, text, execution))


def die(state, reason="killed by SIGSEGV"):
    return state.handle(events.WorkerDied(reason, 9.0, "the stack", 1, 2, exit_code=-9)).actions


def restart(state, session="a"):
    return state.handle(events.RestartRequested(session))


def shut_down(state, session="a"):
    return state.handle(events.ShutdownRequested(session, "stopped by alice"))


def records(actions, kind=None):
    return [action for action in actions if isinstance(action, Record) and kind in (None, action.kind)]


def endings(actions):
    return {record.execution: record.payload["outcome"] for record in records(actions, Kind.FINISHED)}


def others(actions):
    """All but records; which input is run is another matter."""
    return [
        changed(action, count=None) if isinstance(action, RunCode) else action
        for action in actions
        if not isinstance(action, Record)
    ]


def counts(actions):
    """Which inputs begin with these actions, by execution."""
    return {action.execution: action.count for action in actions if isinstance(action, RunCode)}


def queue(state):
    return [item["execution"] for item in state.status()["queue"]]


# Who takes part


def test_the_first_connection_of_a_session_is_announced_and_no_further_one():
    state = KernelState()
    joined = events.SessionJoined("a", "alice", host="laptop", address="192.0.2.7")
    told = {"name": "alice", "role": Role.OWNER, "host": "laptop", "address": "192.0.2.7"}
    announcement = Record(Kind.CLIENT_JOINED, None, "a", told)
    assert state.handle(joined) == (True, [announcement])
    assert state.handle(joined) == (False, [])


def test_only_the_last_connection_to_go_is_announced():
    state = KernelState()
    for _ in range(2):
        state.handle(events.SessionJoined("a", "alice"))
    assert state.handle(events.SessionLeft("a", why=Departure.LEFT)).actions == []
    announcement = Record(Kind.CLIENT_LEFT, None, "a", {"name": "alice", "why": "lost"})
    assert state.handle(events.SessionLeft("a", why=Departure.LOST)).actions == [announcement]
    assert state.handle(events.SessionLeft("a")).actions == []


def test_what_each_session_does_is_told_without_a_look_at_all_of_a_long_queue(state):
    class Unfinished(dict):
        looked_at = 0

        def __getitem__(self, number):
            self.looked_at += 1
            return super().__getitem__(number)

        def values(self):
            self.looked_at += len(self)
            return super().values()

    for _ in range(1000):
        submit(state)
    last = submit(state, session="b")
    state._unfinished = Unfinished(state._unfinished)
    found = state.status()["sessions"]
    assert [one["execution"] for one in found] == [1, last, None]
    finish(state, 1)
    state.handle(events.CancelRequested("b", last))
    state._unfinished.looked_at = 0
    assert [one["execution"] for one in state.status()["sessions"]] == [2, None, None]
    assert state._unfinished.looked_at < 200  # what the status shows of the queue, and little more


def test_what_each_session_does_is_told(state):
    def doing():
        return {one["id"]: (one["doing"], one["execution"]) for one in state.status()["sessions"] if one["id"] != "o"}

    assert doing() == {"a": ("idle", None), "b": ("idle", None)}
    first, _, second = submit(state), submit(state), submit(state, session="b")
    assert doing() == {"a": ("running", first), "b": ("waiting", second)}
    ask(state, first)
    assert doing()["a"] == ("asked", first)
    state.handle(events.SessionLeft("b"))
    assert doing()["b"] == ("waiting", second)  # though nobody is there
    state.handle(events.CancelRequested("a", second))
    assert doing()["b"] == ("gone", None)
    side = state.handle(events.CodeSubmitted("a", "1", 0.0, lane=Lane.SIDE)).answer
    finish(state, first)
    assert doing()["a"] == ("running", first + 1)
    finish(state, first + 1)
    assert doing()["a"] == ("running", side)


def test_a_session_that_never_came_cannot_leave():
    assert KernelState().handle(events.SessionLeft("nobody")).actions == []


def test_a_client_that_leaves_ends_nothing(state):
    running, queued = submit(state), submit(state)
    ask(state, running)
    actions = state.handle(events.SessionLeft("a")).actions
    assert [record.kind for record in actions] == [Kind.CLIENT_LEFT]
    assert state.running == running
    assert queue(state) == [queued]
    assert len(state.status()["prompts"]) == 1


def test_a_private_kernel_ends_with_its_last_client():
    state = KernelState(is_private=True)
    for session in "ab":
        state.handle(events.SessionJoined(session, session, Role.OWNER))
    assert others(state.handle(events.SessionLeft("a")).actions) == []
    assert others(state.handle(events.SessionLeft("b")).actions) != []
    assert state.lifecycle == State.STOPPING


def test_a_private_kernel_ends_when_whoever_started_it_is_gone_before_anybody_has_joined():
    state = KernelState(is_private=True)
    assert others(state.handle(events.StarterLost()).actions) != []
    assert state.lifecycle == State.STOPPING


def test_who_has_joined_keeps_a_private_kernel_whose_starter_is_gone(state):
    private = KernelState(is_private=True)
    private.handle(events.SessionJoined("a", "a", Role.OWNER))
    assert private.handle(events.StarterLost()).actions == state.handle(events.StarterLost()).actions == []


def test_a_kernel_whose_idle_time_is_over_ends_if_still_nobody_is_there_and_nothing_runs():
    state = KernelState()
    state.start()
    state.handle(events.WorkerStarted(1, 4711, "3.12", "plain"))
    over = events.IdleTimeElapsed("nobody was there")
    state.handle(events.SessionJoined("a", "a"))
    assert state.idle_mark is None
    assert state.handle(over).actions == []
    submitted = state.handle(events.CodeSubmitted("a", "1", 0.0))
    state.handle(events.SessionLeft("a"))
    assert state.idle_mark is None
    assert state.handle(over).actions == []
    state.handle(events.CodeFinished(submitted.answer, Outcome.OK, 0.0))
    assert state.idle_mark is not None
    assert others(state.handle(over).actions) == [KillWorker("nobody was there")]
    assert state.lifecycle == State.STOPPING


def test_a_visit_between_two_looks_can_be_told():
    state = KernelState()
    before = state.idle_mark
    assert before == state.idle_mark is not None
    state.handle(events.SessionJoined("c", "carol"))
    state.handle(events.SessionLeft("c"))
    assert state.idle_mark not in (None, before)


def test_a_session_comes_back_under_its_name():
    state = KernelState()
    state.handle(events.SessionJoined("a", "alice"))
    state.handle(events.SessionLeft("a"))
    (record,) = state.handle(events.SessionJoined("a", "")).actions
    assert record.payload["name"] == "alice"


def test_a_session_without_a_name_is_shown_by_its_id():
    state = KernelState()
    (record,) = state.handle(events.SessionJoined("5ad9", "")).actions
    assert record.payload["name"] == "5ad9"


def test_those_present_stand_first_among_the_sessions(state):
    state.handle(events.SessionLeft("a"))
    sessions = state.status()["sessions"]
    assert [session["id"] for session in sessions] == ["b", "o", "a"]
    assert [session["connections"] for session in sessions] == [1, 1, 0]


def test_who_looks_on_under_the_session_of_a_user_takes_nothing_away(state):
    assert state.handle(events.SessionJoined("a", "mallory", Role.VIEWER)) == (False, [])
    assert submit(state) == 1
    (alice,) = [session for session in state.status()["sessions"] if session["id"] == "a"]
    told = {"id": "a", "name": "alice", "role": Role.OWNER, "connections": 2, "viewers": 1}
    assert alice == {**told, "doing": "running", "execution": 1}
    assert state.handle(events.SessionLeft("a", Role.OWNER)).actions == []
    (alice,) = [session for session in state.status()["sessions"] if session["id"] == "a"]
    assert (alice["role"], alice["connections"]) == (Role.VIEWER, 1)
    assert records(state.handle(events.SessionLeft("a", Role.VIEWER)).actions, Kind.CLIENT_LEFT)


def test_the_worker_is_told_below_which_number_all_side_lanes_have_ended(state):
    def run_aside():
        decision = state.handle(events.CodeSubmitted("a", "1", 0.0, lane=Lane.SIDE))
        (run,) = others(decision.actions)
        return run.execution, run.settled

    first, second = run_aside(), run_aside()
    assert (first, second) == ((1, 1), (2, 1))
    submit(state)
    finish(state, 1)
    assert run_aside() == (4, 2)
    finish(state, 2)
    finish(state, 4)
    assert run_aside() == (5, 5)


def test_a_side_lane_that_waits_for_the_worker_holds_that_number_back():
    state = KernelState()
    state.start()
    for _ in range(2):
        submit(state, lane=Lane.SIDE)
    runs = others(state.handle(worker_started()).actions)
    assert [(run.execution, run.settled) for run in runs] == [(1, 1), (2, 1)]


def test_sessions_that_have_gone_are_forgotten(state):
    state.handle(events.SessionJoined("owner", "olaf"))
    running, waiting = submit(state, "owner"), submit(state, "owner")
    state.handle(events.SessionLeft("owner"))
    for number in range(400):
        state.handle(events.SessionJoined(f"s{number}", f"guest {number}"))
        state.handle(events.SessionLeft(f"s{number}"))
    status = state.status()
    assert [s["name"] for s in status["sessions"]][:4] == ["alice", "bob", "olga", "guest 380"]
    assert len(status["sessions"]) == 3 + 20
    assert [item["name"] for item in (status["running"], *status["queue"])] == ["olaf", "olaf"]
    state.handle(events.SessionJoined("owner", "olaf"))
    state.handle(events.CancelRequested("owner", waiting))
    finish(state, running)


# The main lane


def test_code_runs_at_once_when_nothing_else_does(state):
    decision = state.handle(events.CodeSubmitted("a", "x = 1", 5.0))
    payload = {
        "code": "x = 1",
        "name": "alice",
        "lane": "main",
        "position": 0,
        "stop_on_error": True,
        "call": None,
        "source": None,
        "is_input": True,
        "is_held": False,
    }
    assert decision.answer == 1
    assert decision.actions == [
        Record(Kind.QUEUED, 1, "a", payload),
        Record(Kind.STARTED, 1, "a", {"generation": 1, "count": 1}),
        RunCode(1, "x = 1", Lane.MAIN, None, count=1),
    ]
    assert state.status()["state"] == State.BUSY
    assert state.status()["busy_since"] == 5.0


def test_inputs_are_counted_when_they_begin(state):
    first = state.handle(events.CodeSubmitted("a", "1", 0.0))
    queued = [state.handle(events.CodeSubmitted(session, "1", 0.0)) for session in "abb"]
    assert counts(first.actions) == {1: 1}
    assert [counts(decision.actions) for decision in queued] == [{}, {}, {}]
    # The second one of the same session is aborted, and what never begins takes no number from the others.
    assert counts(finish(state, 1, Outcome.ERROR)) == {3: 2}
    state.handle(events.CancelRequested("b", 4))
    finish(state, 3)
    assert counts(state.handle(events.CodeSubmitted("a", "1", 0.0)).actions) == {5: 3}


def test_what_nobody_would_call_an_input_is_not_counted(state):
    call = state.handle(events.CodeSubmitted("a", "# call", 0.0, call="token"))
    assert (call.actions[0].payload["is_input"], call.actions[1].payload["count"]) == (False, None)
    finish(state, 1)
    silent = state.handle(events.CodeSubmitted("a", "1", 0.0, is_input=False))
    assert (silent.actions[0].payload["is_input"], silent.actions[1].payload["count"]) == (False, None)
    finish(state, 2)
    beside = state.handle(events.CodeSubmitted("a", "1", 0.0, lane=Lane.SIDE))
    assert counts(beside.actions) == {3: 1}


def test_a_new_generation_counts_from_one(state):
    submit(state)
    restart(state)
    die(state)
    state.handle(worker_started(2))
    assert counts(state.handle(events.CodeSubmitted("a", "1", 0.0)).actions) == {2: 1}


def test_one_execution_runs_and_the_others_wait_in_order(state):
    first = submit(state, "a")
    decisions = [state.handle(events.CodeSubmitted(session, "1", 0.0)) for session in "ba"]
    assert [decision.actions[0].payload["position"] for decision in decisions] == [1, 2]
    assert all(not others(decision.actions) for decision in decisions)
    second, third = (decision.answer for decision in decisions)
    assert queue(state) == [second, third]
    assert others(finish(state, first)) == [RunCode(second, "1", Lane.MAIN, None)]
    assert others(finish(state, second)) == [RunCode(third, "1", Lane.MAIN, None)]
    assert others(finish(state, third)) == []
    assert state.status()["state"] == State.IDLE


def test_an_execution_finishes_once(state):
    execution = submit(state)
    assert endings(finish(state, execution)) == {execution: Outcome.OK}
    assert finish(state, execution) == []


def test_what_is_queued_cannot_finish(state):
    submit(state)
    queued = submit(state)
    assert finish(state, queued) == []
    assert queue(state) == [queued]


def test_the_end_of_an_unknown_execution_is_ignored(state):
    assert finish(state, 99) == []


def test_a_staged_call_travels_with_its_execution(state):
    decision = state.handle(events.CodeSubmitted("a", "# call", 0.0, call="token"))
    assert decision.actions[0].payload["call"] == "token"
    assert others(decision.actions) == [RunCode(1, "# call", Lane.MAIN, "token")]


def test_status_shows_the_beginning_of_long_code(state):
    submit(state, code="x" * 1000)
    running = {"execution": 1, "count": 1, "session": "a", "name": "alice", "code": "x" * 200, "is_held": False}
    assert state.status()["running"] == running


def test_code_waits_for_the_worker():
    state = KernelState()
    state.start()
    decision = state.handle(events.CodeSubmitted("a", "1", 0.0))
    assert records(decision.actions) == decision.actions[:1] == decision.actions
    assert others(state.handle(worker_started()).actions) == [RunCode(1, "1", Lane.MAIN, None)]


# Side lanes


def test_a_side_lane_runs_beside_the_main_one(state):
    main = submit(state)
    decision = state.handle(events.CodeSubmitted("b", "2", 0.0, lane=Lane.SIDE))
    assert [record.kind for record in records(decision.actions)] == [Kind.QUEUED, Kind.STARTED]
    assert others(decision.actions) == [RunCode(decision.answer, "2", Lane.SIDE, None, settled=decision.answer)]
    status = state.status()
    assert status["running"]["execution"] == main
    assert [item["execution"] for item in status["side"]] == [decision.answer]


def test_a_side_lane_is_not_what_runs(state):
    submit(state, lane=Lane.SIDE)
    assert state.running is None
    assert state.status()["state"] == State.IDLE
    with pytest.raises(NotRunning):
        interrupt(state)


def test_a_side_lane_that_waited_for_the_worker_starts_with_it():
    state = KernelState()
    state.start()
    for lane in (Lane.MAIN, Lane.MAIN, Lane.SIDE):
        submit(state, lane=lane)
    run = others(state.handle(worker_started()).actions)
    assert {action.execution for action in run} == {1, 3}
    assert queue(state) == [2]


def test_a_failing_side_lane_aborts_nothing(state):
    submit(state)
    queued, side = submit(state), submit(state, lane=Lane.SIDE)
    assert endings(finish(state, side, Outcome.ERROR)) == {side: Outcome.ERROR}
    assert queue(state) == [queued]


# Errors


@pytest.mark.parametrize("outcome", [Outcome.ERROR, Outcome.INTERRUPTED])
def test_an_error_aborts_what_the_same_session_queued_behind_and_nobody_elses(state, outcome):
    failing = submit(state, "a")
    behind, others_own, further = submit(state, "a"), submit(state, "b"), submit(state, "a")
    actions = finish(state, failing, outcome)
    assert endings(actions) == {failing: outcome, behind: Outcome.ABORTED, further: Outcome.ABORTED}
    assert f"execution {failing} of the same session failed" in records(actions, Kind.FINISHED)[1].payload["reason"]
    assert others(actions) == [RunCode(others_own, "1", Lane.MAIN, None)]


def test_an_error_aborts_nothing_where_that_was_not_asked_for(state):
    failing, behind = submit(state, stop_on_error=False), submit(state)
    actions = finish(state, failing, Outcome.ERROR)
    assert endings(actions) == {failing: Outcome.ERROR}
    assert others(actions) == [RunCode(behind, "1", Lane.MAIN, None)]


# Cancelling


def test_a_queued_execution_is_cancelled_alone(state):
    submit(state)
    first, second = submit(state), submit(state)
    decision = state.handle(events.CancelRequested("b", first))
    assert decision.answer == first
    (record,) = decision.actions
    assert (record.session, record.payload["outcome"], record.payload["by"]) == ("a", Outcome.CANCELLED, "bob")
    assert queue(state) == [second]


@pytest.mark.parametrize(
    ("execution", "error", "message"),
    [
        (1, NotQueued, "has finished already"),
        (2, NotQueued, "interrupt it instead"),
        (3, NoSuchExecution, "there is no execution 3; the last one is 2"),
        (0, NoSuchExecution, "there is no execution 0"),
        (-1, NoSuchExecution, "there is no execution -1"),
    ],
)
def test_only_what_is_queued_can_be_cancelled(state, execution, error, message):
    finish(state, submit(state))
    submit(state)
    with pytest.raises(error, match=message):
        state.handle(events.CancelRequested("a", execution))


# Interrupting


def test_an_interrupt_names_the_execution_that_runs(state):
    running = submit(state, "a")
    submit(state, "b")
    decision = interrupt(state, session="b")
    assert decision.answer == running
    assert decision.actions == [
        Record(Kind.INTERRUPT_REQUESTED, running, "a", {"by": "bob", "force": Force.SIGNAL}),
        InterruptWorker(running, Lane.MAIN, Force.SIGNAL),
        StartGrace(running),
    ]


def test_a_side_lane_is_interrupted_by_its_number(state):
    submit(state)
    side = submit(state, lane=Lane.SIDE)
    assert InterruptWorker(side, Lane.SIDE, Force.EXCEPTION) in interrupt(state, side, force=Force.EXCEPTION).actions


@pytest.mark.parametrize(
    ("execution", "error", "message"),
    [
        (1, NotRunning, "execution 1 has finished already"),
        (3, NotRunning, "execution 3 is queued, not running; cancel it instead"),
        (4, NoSuchExecution, "there is no execution 4"),
    ],
)
def test_an_interrupt_hits_nothing_but_what_it_names(state, execution, error, message):
    finish(state, submit(state))
    submit(state), submit(state)
    with pytest.raises(error, match=message):
        interrupt(state, execution)


def test_an_idle_worker_is_not_interrupted(state):
    with pytest.raises(NotRunning, match="nothing is running"):
        interrupt(state)


def test_an_interrupted_execution_that_goes_on_is_shown_with_its_stack(state):
    execution = submit(state)
    interrupt(state)
    assert state.handle(events.GraceElapsed(execution)).actions == [ReportStack(execution, "a")]


def test_however_often_an_execution_is_interrupted_one_clock_runs(state):
    execution = submit(state)
    interrupt(state)
    assert interrupt(state).actions[1:] == [InterruptWorker(execution, Lane.MAIN, Force.SIGNAL)]
    state.handle(events.GraceElapsed(execution))
    assert StartGrace(execution) in interrupt(state).actions


def test_nothing_is_said_of_an_interrupted_execution_that_stopped(state):
    execution = submit(state)
    interrupt(state)
    finish(state, execution, Outcome.INTERRUPTED)
    assert state.handle(events.GraceElapsed(execution)).actions == []


def test_the_last_rung_ends_the_worker_and_the_journal_says_who_did(state):
    execution = submit(state)
    decision = interrupt(state, session="b", force=Force.TERMINATE)
    assert decision.answer == execution
    assert others(decision.actions) == [KillWorker("terminated by bob")]
    actions = die(state, "killed by SIGTERM")
    assert records(actions, Kind.WORKER_DIED)[0].payload["reason"] == "terminated by bob"
    assert endings(actions) == {execution: Outcome.LOST}


# Prompts


def test_a_prompt_belongs_to_the_session_whose_code_asks(state):
    execution = submit(state, "b")
    payload = {"prompt": "? ", "password": False, "token": 7}
    assert ask(state, execution) == [Record(Kind.INPUT_REQUESTED, execution, "b", payload)]
    assert state.status()["prompts"] == ({"execution": execution, "session": "b"},)


def test_an_answer_goes_to_the_worker_once_and_its_text_is_not_recorded(state):
    execution = submit(state, "b")
    ask(state, execution)
    decision = answer(state, "secret", session="a")
    assert decision.answer == execution
    assert decision.actions == [
        Record(Kind.INPUT_ANSWERED, execution, "b", {"by": "alice", "token": 7}),
        AnswerWorker(7, "secret"),
    ]
    with pytest.raises(NotAsked, match="nothing waits for input"):
        answer(state)


def test_end_of_file_is_an_answer(state):
    ask(state, submit(state))
    assert others(answer(state, None).actions) == [AnswerWorker(7, None)]


def test_an_answer_goes_to_the_execution_it_names(state):
    main, side = submit(state), submit(state, lane=Lane.SIDE)
    ask(state, main, token=1)
    ask(state, side, token=2)
    assert others(answer(state, "x", side).actions) == [AnswerWorker(2, "x")]
    with pytest.raises(NotAsked, match=f"execution {side} does not wait for input"):
        answer(state, "x", side)


def test_an_answer_goes_to_ones_own_oldest_prompt_first(state):
    main, side = submit(state, "a"), submit(state, "b", lane=Lane.SIDE)
    ask(state, main, token=1)
    ask(state, side, token=2)
    ask(state, side, token=3)
    assert [others(answer(state, session="b").actions)[0].token for _ in range(3)] == [2, 3, 1]


def test_a_prompt_of_a_thread_outlives_the_execution_that_started_it(state):
    execution = submit(state)
    ask(state, execution)
    finish(state, execution)
    assert answer(state, execution=execution).actions[-1] == AnswerWorker(7, "yes")


def test_a_prompt_of_a_background_thread_can_be_answered(state):
    ask(state, None)
    assert answer(state, execution=None).actions[-1] == AnswerWorker(7, "yes")


def test_a_prompt_nobody_waits_for_any_more_takes_no_answer(state):
    execution = submit(state)
    ask(state, execution, token=1)
    (record,) = state.handle(events.InputWithdrawn(1)).actions
    assert (record.kind, record.execution, record.payload) == (
        Kind.INPUT_ANSWERED,
        execution,
        {"by": None, "token": 1},
    )
    ask(state, execution, token=2)
    assert others(answer(state).actions) == [AnswerWorker(2, "yes")]


def test_a_prompt_withdrawn_after_its_answer_says_nothing(state):
    ask(state, submit(state))
    answer(state)
    assert state.handle(events.InputWithdrawn(7)).actions == []


# What the worker has finished without the hub hearing of it


def told(state, unfinished=(), *, received=0, sides=(), asking=None):
    asking = None if asking is None else frozenset(asking)
    return state.handle(
        events.UnfinishedTold(frozenset(unfinished), received, frozenset(sides), 5.0, asking=asking)
    ).actions


def test_what_ended_unheard_is_lost_and_the_next_runs(state):
    main, side, behind = submit(state), submit(state, lane=Lane.SIDE), submit(state)
    actions = told(state, received=main, sides=[side])
    assert endings(actions) == {main: Outcome.LOST, side: Outcome.LOST}
    assert others(actions) == [RunCode(behind, "1", Lane.MAIN, None)]


def test_what_has_not_ended_or_has_not_arrived_goes_on(state):
    main, side, late = submit(state), submit(state, lane=Lane.SIDE), submit(state, lane=Lane.SIDE)
    assert told(state, [main, side], received=main, sides=[side]) == []
    assert told(state, [side], received=0, sides=[side]) == []
    assert {item["execution"] for item in state.status()["side"]} == {side, late}


def take_over(*prompts):
    """The state of a hub that has found a worker whose code reads lines; of these, the journal knows that they wait."""
    state = KernelState()
    queued = {"name": "ann", "code": "1", "lane": Lane.MAIN, "stop_on_error": True, "call": None}
    state.restore(
        events.Restored(
            last_execution=1,
            generation=1,
            had_worker=True,
            unfinished=((1, "ann", queued, 0.0, 1),),
            prompts=tuple((token, 1, "ann") for token in prompts),
        )
    )
    state.handle(worker_started(adopted=True, received=1))
    return state


def test_a_question_whose_answer_was_lost_with_the_hub_is_asked_again():
    state = take_over()
    (record,) = state.handle(events.InputWanted(1, 7, "who? ", True)).actions
    assert (record.kind, record.execution, record.session) == (Kind.INPUT_REQUESTED, 1, "ann")
    assert record.payload == {"prompt": "who? ", "password": True, "token": 7}
    assert told(state, [1], received=1, asking=[7]) == []
    assert others(answer(state).actions) == [AnswerWorker(7, "yes")]


def test_a_question_of_which_the_journal_knows_is_not_asked_again():
    state = take_over(7)
    assert state.handle(events.InputWanted(1, 7, "who? ", False)).actions == []
    assert told(state, [1], received=1, asking=[7]) == []
    assert others(answer(state).actions) == [AnswerWorker(7, "yes")]


def test_a_question_answered_before_the_worker_told_that_it_waits_is_not_asked_again():
    state = take_over(7)
    answer(state)
    assert state.handle(events.InputWanted(1, 7, "who? ", False)).actions == []
    assert told(state, [1], received=1, asking=[7]) == []


def test_a_question_that_the_worker_no_longer_asks_is_forgotten_where_the_journal_does_not_know_that():
    state = take_over(7, 8)
    ask(state, 1, token=9)  # behind what the worker has looked at
    (record,) = told(state, [1], received=1, asking=[8])
    assert (record.kind, record.payload) == (Kind.INPUT_ANSWERED, {"by": None, "token": 7})
    assert [others(answer(state, execution=1).actions)[0].token for _ in range(2)] == [8, 9]


def test_a_worker_that_does_not_tell_what_it_asks_keeps_all_of_it():
    state = take_over(7)
    assert told(state, [1], received=1) == []
    assert others(answer(state).actions) == [AnswerWorker(7, "yes")]


# What the worker reports


def test_what_the_worker_reports_is_recorded_under_the_owner(state):
    execution = submit(state, "b")
    reported = events.WorkerReported(Kind.STREAM, execution, {"name": "stdout", "text": "hi"})
    assert state.handle(reported).actions == [Record(Kind.STREAM, execution, "b", {"name": "stdout", "text": "hi"})]


def test_background_output_belongs_to_nobody(state):
    (record,) = state.handle(events.WorkerReported(Kind.STREAM, None, {"name": "stdout", "text": "hi"})).actions
    assert (record.execution, record.session) == (None, None)


# The life of workers


def test_a_dead_worker_ends_everything_it_owed_and_a_new_generation_follows(state):
    running, queued, side = submit(state), submit(state, "b"), submit(state, lane=Lane.SIDE)
    ask(state, running)
    actions = die(state)
    assert actions[0] == Record(
        Kind.WORKER_DIED,
        None,
        None,
        {
            "generation": 1,
            "reason": "killed by SIGSEGV",
            "stack": "the stack",
            "memory_bytes": 1,
            "peak_memory_bytes": 2,
            "exit_code": -9,
        },
    )
    assert endings(actions) == {running: Outcome.LOST, queued: Outcome.LOST, side: Outcome.LOST}
    assert all(record.payload["reason"] == "killed by SIGSEGV" for record in records(actions, Kind.FINISHED))
    assert others(actions) == [StartWorker(2)]
    status = state.status()
    assert (status["state"], status["generation"], status["worker_pid"]) == (State.STARTING, 2, None)
    assert not any(status[part] for part in ("running", "queue", "side", "prompts"))


def test_what_waits_for_a_worker_that_dies_before_it_is_ready_goes_on_waiting():
    state = KernelState()
    state.start()
    execution = submit(state)
    assert endings(die(state)) == {}
    assert others(state.handle(worker_started(2)).actions) == [RunCode(execution, "1", Lane.MAIN, None)]


def test_a_worker_that_keeps_dying_before_it_is_ready_is_given_up():
    state = KernelState()
    state.start()
    execution = submit(state)
    for _ in range(MAX_FAILED_STARTS - 1):
        assert isinstance(others(die(state))[0], StartWorker)
    actions = die(state, "exited with status 1")
    assert endings(actions) == {execution: Outcome.LOST}
    assert others(actions) == []
    assert state.status()["state"] == State.DEAD


def test_a_worker_that_was_ready_resets_the_count_of_failed_starts(state):
    for generation in range(2, 2 + MAX_FAILED_STARTS):
        die(state)
        assert others(die(state)) == [StartWorker(state.generation)]
        state.handle(worker_started(generation))
    assert state.status()["state"] == State.IDLE


@pytest.fixture
def dead_state(state):
    for _ in range(MAX_FAILED_STARTS + 1):
        die(state)
    assert state.status()["state"] == State.DEAD
    return state


def test_a_dead_kernel_takes_no_code_and_says_what_to_do(dead_state):
    with pytest.raises(RequestError, match="the kernel is dead and takes no code; restart it first"):
        submit(dead_state)


def test_a_dead_kernel_can_be_restarted(dead_state):
    generation = dead_state.generation
    decision = restart(dead_state)
    assert decision.answer == generation + 1
    assert others(decision.actions) == [StartWorker(generation + 1)]
    # … and has all its tries again.
    assert others(die(dead_state)) == [StartWorker(generation + 2)]


def test_a_dead_kernel_stops_at_once(dead_state):
    assert shut_down(dead_state).actions == [StopHub("stopped by alice")]


# Restart


def test_a_restart_ends_the_worker_and_promises_the_next_generation(state):
    decision = restart(state)
    assert decision.answer == 2
    assert decision.actions == [
        Record(Kind.RESTART_REQUESTED, None, "a", {"by": "alice"}),
        KillWorker("restarted by alice"),
    ]
    actions = die(state, "killed by SIGTERM")
    assert actions[0].payload["reason"] == "restarted by alice"
    assert others(actions) == [StartWorker(2)]


def test_a_restart_loses_what_runs_and_what_waits(state):
    running, queued = submit(state), submit(state, "b")
    assert endings(restart(state).actions) == {queued: Outcome.LOST}
    assert endings(die(state)) == {running: Outcome.LOST}


def test_what_is_submitted_after_a_restart_runs_in_the_new_worker(state):
    running = submit(state)
    restart(state)
    later = submit(state)
    assert others(finish(state, running)) == []  # the worker that is to go gets nothing more
    assert endings(die(state)) == {}
    assert others(state.handle(worker_started(2)).actions) == [RunCode(later, "1", Lane.MAIN, None)]


def test_impatient_restarts_are_not_failed_starts(state):
    for _ in range(MAX_FAILED_STARTS + 1):
        restart(state)
        assert isinstance(others(die(state))[-1], StartWorker)
    assert state.status()["state"] == State.STARTING


def test_a_second_restart_before_the_first_is_done_asks_for_the_same_generation(state):
    assert restart(state).answer == restart(state).answer == 2
    die(state)
    assert state.status()["generation"] == 2


def test_a_worker_that_was_to_be_replaced_before_it_was_there_is_ended_when_it_is():
    state = KernelState()
    state.start()
    restart(state)
    execution = submit(state)
    assert others(state.handle(worker_started()).actions) == [KillWorker("restarted by a")]
    assert others(die(state)) == [StartWorker(2)]
    assert others(state.handle(worker_started(2)).actions) == [RunCode(execution, "1", Lane.MAIN, None)]


def test_a_stopping_kernel_is_not_restarted(state):
    shut_down(state)
    with pytest.raises(RequestError, match="stopping"):
        restart(state)


# Shutdown


def test_a_shutdown_ends_the_worker_then_the_hub(state):
    running, queued = submit(state), submit(state)
    assert shut_down(state).actions == [KillWorker("stopped by alice")]
    actions = die(state, "exited with status 0")
    assert endings(actions) == {running: Outcome.LOST, queued: Outcome.LOST}
    assert actions[-1] == StopHub("stopped by alice")


def test_a_second_shutdown_changes_nothing(state):
    shut_down(state)
    assert shut_down(state).actions == []


def test_a_stopping_kernel_takes_no_code(state):
    shut_down(state)
    with pytest.raises(RequestError, match=r"the kernel is stopping and takes no code$"):
        submit(state)


def test_a_stopping_kernel_starts_nothing_more(state):
    running, queued = submit(state), submit(state)
    shut_down(state)
    assert endings(finish(state, running)) == {running: Outcome.OK}
    assert queue(state) == [queued]


def test_a_signal_to_the_hub_needs_no_session(state):
    decision = state.handle(events.ShutdownRequested(None, "the hub got SIGTERM"))
    assert others(decision.actions) == [KillWorker("the hub got SIGTERM")]


def test_a_worker_that_becomes_ready_while_the_kernel_stops_is_ended():
    state = KernelState()
    state.start()
    submit(state)
    shut_down(state)
    assert others(state.handle(worker_started()).actions) == [KillWorker("stopped by alice")]
    assert others(die(state)) == [StopHub("stopped by alice")]


# A new hub


@pytest.fixture
def restored():
    """What a new hub finds: 2 runs, 3 runs beside it, 4 waits; 1 has finished."""
    queued = {"code": "1", "name": "alice", "lane": Lane.MAIN, "stop_on_error": True, "call": None}
    state = KernelState()
    state.restore(
        events.Restored(
            generation=3,
            last_execution=4,
            unfinished=(
                (2, "a", queued, 5.0, 2),
                (3, "b", {**queued, "lane": Lane.SIDE}, 6.0, None),
                (4, "a", queued, None, None),
            ),
            prompts=((7, 2, "a"),),
            sessions=(("a", "alice", Role.OWNER), ("o", "olga", Role.VIEWER), ("a", "alicia", Role.OWNER)),
        )
    )
    return state


def test_a_new_hub_knows_what_the_journal_knows(restored):
    status = restored.status()
    assert (status["generation"], status["last_execution"]) == (3, 4)
    assert status["running"]["execution"] == 2
    assert [item["execution"] for item in status["side"]] == [3]
    assert queue(restored) == [4]
    assert status["prompts"] == ({"execution": 2, "session": "a"},)
    assert [(s["name"], s["connections"]) for s in status["sessions"]] == [("olga", 0), ("alicia", 0)]


def test_a_worker_that_was_taken_over_goes_on(restored):
    started = worker_started(3, received=2, adopted=True)
    actions = restored.handle(started).actions
    assert records(actions)[0].payload["adopted"] is True
    # It knows the main lane's, and drops the side lane's if it knows it.
    assert others(actions) == [RunCode(3, "1", Lane.SIDE, None, settled=3)]
    assert others(finish(restored, 2)) == [RunCode(4, "1", Lane.MAIN, None)]


def test_a_new_hub_goes_on_with_the_count(restored):
    restored.handle(worker_started(3, received=2, adopted=True))
    assert counts(finish(restored, 2)) == {4: 3}


def test_an_input_that_the_worker_knows_and_the_journal_does_not_is_counted(restored):
    restored.handle(events.WorkerStarted(3, 4003, "3.12.1", "plain", True, 2, last_count=7))
    assert counts(finish(restored, 2)) == {4: 8}


def test_code_that_is_handed_over_again_is_the_same_input(restored):
    actions = restored.handle(worker_started(3, received=1, adopted=True)).actions
    assert counts(actions) == {2: 2, 3: None}


def test_code_that_never_reached_the_worker_is_handed_over_again(restored):
    actions = restored.handle(worker_started(3, received=1, adopted=True)).actions
    assert RunCode(2, "1", Lane.MAIN, None) in others(actions)
    assert not records(actions, Kind.STARTED)


def test_a_prompt_outlives_the_hub(restored):
    restored.handle(worker_started(3, received=2, adopted=True))
    assert others(answer(restored).actions) == [AnswerWorker(7, "yes")]


def test_without_a_worker_to_take_over_what_ran_is_lost_and_what_waited_runs(restored):
    actions = restored.start()
    assert endings(actions) == {2: Outcome.LOST, 3: Outcome.LOST}
    assert others(actions) == [StartWorker(4)]
    assert restored.status()["prompts"] == ()
    assert others(restored.handle(worker_started(4)).actions) == [RunCode(4, "1", Lane.MAIN, None)]


def test_a_number_the_worker_knows_and_the_journal_does_not_is_not_given_out_again(restored):
    restored.handle(events.WorkerStarted(3, 4003, "3.12.1", "plain", True, 6, last_execution=8))
    assert submit(restored) == 9


def test_numbers_go_on_under_a_new_hub(restored):
    assert submit(restored) == 5


# All of it


def test_every_record_carries_the_fields_of_its_kind(state):
    actions = [
        *state.handle(events.SessionJoined("c", "carol")).actions,
        *state.handle(events.SessionLeft("c")).actions,
        *state.handle(events.CodeSubmitted("a", "1", 0.0)).actions,
        *interrupt(state).actions,
        *ask(state, 1),
        *answer(state).actions,
        *finish(state, 1),
        *restart(state).actions,
        *die(state),
        *state.handle(worker_started(2)).actions,
    ]
    recorded = {record.kind: set(record.payload) for record in records(actions)}
    assert recorded == {kind: set(FIELDS[kind]) for kind in recorded}
    assert len(recorded) == 11


def test_what_is_submitted_twice_under_one_token_is_queued_once(state):
    first = submit(state, token="t-1")
    decision = state.handle(events.CodeSubmitted("a", "1", 1.0, token="t-1"))
    assert (decision.answer, decision.actions) == (first, [])
    assert submit(state, token="t-2") == first + 1
    assert submit(state, session="b", token="t-1") == first + 2  # another session's is another submission
    finish(state, first)
    assert state.handle(events.CodeSubmitted("a", "1", 2.0, token="t-1")).answer == first


def test_the_token_is_recorded_where_there_is_one(state):
    named, nameless = (
        records(state.handle(events.CodeSubmitted("a", "1", 0.0, token=token)).actions, Kind.QUEUED)[0]
        for token in ("t-1", "")
    )
    assert named.payload["token"] == "t-1"
    assert "token" not in nameless.payload


def test_no_more_tokens_are_remembered_than_may_be_asked_for_again(state):
    for number in range(5000):
        submit(state, token=f"t-{number}")
    assert len(state._by_token) == 4096
    assert submit(state, token="t-4999") == 5000


# What is held until somebody approves it


def approve(state, execution, session="b", time=0.0):
    return state.handle(events.ApproveRequested(session, execution, time))


def decline(state, execution, reason="", session="b"):
    return state.handle(events.DeclineRequested(session, execution, reason))


def cancel(state, execution, session="b"):
    return state.handle(events.CancelRequested(session, execution))


def runs(actions):
    return [action.execution for action in actions if isinstance(action, RunCode)]


def test_what_is_held_runs_when_it_is_approved_and_others_pass_by_it(state):
    held = submit(state, is_held=True)
    first, second = submit(state, "b"), submit(state, "b")
    assert state.status()["running"]["execution"] == first
    assert [(each["execution"], each["is_held"]) for each in state.queue(0, 9)] == [(held, True), (second, False)]
    assert (state.status()["held"], state.status()["queue_length"]) == (1, 2)
    decision = approve(state, held)
    assert decision.answer == held
    assert decision.actions == [Record(Kind.APPROVED, held, "a", {"by": "bob"})]
    assert runs(finish(state, first)) == [held], "it stands before what was submitted later and still waits"
    assert runs(finish(state, held)) == [second]


def test_what_is_approved_while_nothing_runs_begins_at_once_and_says_that_it_comes_late(state):
    held = submit(state, is_held=True)
    assert finish(state, submit(state, "b")) != []
    recorded, started, run = approve(state, held).actions
    assert [recorded.kind, started.kind] == [Kind.APPROVED, Kind.STARTED]
    assert run == RunCode(held, "1", Lane.MAIN, None, count=2, was_held=True)


def test_what_is_declined_ends_as_cancelled_with_who_and_why_and_takes_nothing_with_it(state):
    held, behind = submit(state, is_held=True), submit(state, is_held=True)
    (finished,) = decline(state, held, "not today" + "!" * 2000).actions
    assert (finished.payload["outcome"], finished.payload["by"]) == (Outcome.CANCELLED, "bob")
    assert finished.payload["reason"] == "declined by bob: not today" + "!" * 991
    assert decline(state, behind).actions[0].payload["reason"] == "declined by bob"


def test_only_what_is_held_can_be_approved_or_declined_and_only_once(state):
    running, queued, held = submit(state), submit(state), submit(state, is_held=True)
    approve(state, held)
    for decide in (approve, decline):
        for number, place in ((running, "running"), (queued, "queued"), (held, "queued")):
            with pytest.raises(NotAsked, match=f"execution {number} does not wait for approval: it is {place}"):
                decide(state, number)
        with pytest.raises(NoSuchExecution):
            decide(state, 99)


def test_what_is_held_waits_on_side_lanes_too(state):
    held = submit(state, lane=Lane.SIDE, is_held=True)
    finish(state, submit(state, "b"))
    finish(state, submit(state, "b", lane=Lane.SIDE))
    assert state.status()["side"] == ()
    assert runs(approve(state, held).actions) == [held]


def test_only_code_that_can_be_read_is_held(state):
    for options, why in (
        ({"call": "token"}, "hand in the code itself, and not a call"),
        ({"call": "comm:{}"}, "hand in the code itself, and not a call"),
        ({"source": Program("/tmp/a.py")}, "and not a file on the kernel's machine"),
    ):
        with pytest.raises(NotPermitted, match=why):
            submit(state, is_held=True, **options)
    with pytest.raises(RequestError, match="has 100,001 characters; what somebody is to read and approve has at most"):
        submit(state, code="#" * (MAX_HELD_CODE_CHARS + 1), is_held=True)
    assert state.last_execution == 0


def test_so_much_is_held_at_most(state):
    askers = [f"asker-{number // MAX_HELD_OF_ONE}" for number in range(MAX_HELD)]
    for session in askers:
        submit(state, session, is_held=True)
    with pytest.raises(RequestError, match="1000 executions wait for approval already"):
        submit(state, is_held=True)
    submit(state)
    decline(state, 1)
    assert submit(state, is_held=True) == MAX_HELD + 2


def test_of_one_session_so_much_is_held_at_most_and_others_have_room(state):
    held = [submit(state, is_held=True) for _ in range(MAX_HELD_OF_ONE)]
    with pytest.raises(RequestError, match="20 executions of yours wait for approval already"):
        submit(state, is_held=True)
    submit(state, "b", is_held=True)
    for make_room in (approve, decline, cancel):
        make_room(state, held.pop())
        submit(state, is_held=True)
        with pytest.raises(RequestError, match="of yours"):
            submit(state, is_held=True)


def test_an_invitation_gives_no_more_room_by_more_sessions(state):
    for number in range(MAX_HELD_OF_ONE):
        submit(state, f"4f2a:{number}", is_held=True)
    with pytest.raises(RequestError, match="of yours"):
        submit(state, "4f2a:x:y", is_held=True)
    submit(state, "77aa:0", is_held=True)


def test_an_error_aborts_what_its_session_has_held_behind_it_and_not_what_was_held_before(state):
    before = submit(state, is_held=True)
    failing, behind, others_ = submit(state), submit(state, is_held=True), submit(state, "b", is_held=True)
    assert endings(finish(state, failing, Outcome.ERROR)) == {failing: Outcome.ERROR, behind: Outcome.ABORTED}
    assert [each["execution"] for each in state.queue(0, 9)] == [before, others_]


def test_who_asks_first_has_a_say_in_what_its_own_session_runs_alone(state):
    running, queued, own = submit(state, "b"), submit(state, "b"), submit(state, is_held=True)
    ask(state, running)
    for event in (
        events.CancelRequested("a", queued, only_own=True),
        events.InterruptRequested("a", None, only_own=True),
        events.InterruptRequested("a", running, only_own=True),
        events.InputAnswered("a", None, only_own=True),
        events.InputAnswered("a", None, running, only_own=True),
    ):
        with pytest.raises(NotPermitted, match="its own session"):
            state.handle(event)
    assert endings(state.handle(events.CancelRequested("a", own, only_own=True)).actions) == {own: Outcome.CANCELLED}


def test_what_is_held_ends_as_lost_with_the_worker_at_a_restart_and_at_the_end(state):
    held = submit(state, is_held=True)
    assert endings(die(state))[held] == Outcome.LOST
    state.handle(worker_started(2))
    held = submit(state, is_held=True)
    assert endings(restart(state).actions)[held] == Outcome.LOST
    held = submit(state, is_held=True)  # for the worker to come
    assert endings(die(state)) == {}
    state.handle(worker_started(3))
    shut_down(state)
    with pytest.raises(RequestError, match="stopping"):
        approve(state, held)
    assert endings(die(state)) == {held: Outcome.LOST}


def test_what_is_held_is_lost_where_a_new_hub_finds_no_worker_as_it_was_written_for_that_ones_names():
    state = KernelState()
    state.restore(held_before(4))
    assert endings(state.start()) == {4: Outcome.LOST}
    state.handle(worker_started(2))
    with pytest.raises(NotAsked):
        approve(state, 4)


def tell_approved(state, approved, *, unfinished=()):
    told = events.UnfinishedTold(frozenset(unfinished), 9, frozenset(), 5.0, approved=frozenset(approved))
    return state.handle(told).actions


def held_before(number, *, is_approved=False, started_at=None):
    """What an earlier hub knew of one execution that was held."""
    queued = {"code": "1", "name": "alice", "lane": Lane.MAIN, "stop_on_error": True, "call": None, "is_held": True}
    approved = frozenset({number} if is_approved else ())
    return events.Restored(1, 9, True, ((number, "a", queued, started_at, None),), approved)


def test_what_is_held_outlives_the_hub_and_what_was_approved_needs_no_second_yes():
    for is_approved in (False, True):
        state = KernelState()
        state.restore(held_before(4, is_approved=is_approved))
        actions = state.handle(worker_started(received=9, adopted=True)).actions
        assert runs(actions) == ([4] if is_approved else [])
        assert state.status()["held"] == (not is_approved)


def test_what_was_approved_is_handed_over_again_whatever_ran_before_it():
    state = KernelState()
    state.restore(held_before(4, is_approved=True, started_at=1.0))
    assert runs(state.handle(worker_started(received=9, adopted=True)).actions) == [4]
    assert endings(tell_approved(state, set())) == {}
    assert endings(tell_approved(state, {4})) == {4: Outcome.LOST}


@pytest.mark.parametrize("unfinished", [(), (4,)])
def test_what_ran_though_the_record_of_its_approval_is_lost_does_not_run_again(unfinished):
    state = KernelState()
    state.restore(held_before(4))
    state.handle(worker_started(received=9, adopted=True))
    assert endings(tell_approved(state, {4}, unfinished=unfinished)) == {4: Outcome.LOST}
    with pytest.raises(NotAsked):
        approve(state, 4)


def test_a_session_whose_code_is_held_alone_is_shown_so(state):
    held = submit(state, is_held=True)
    shown = {each["id"]: (each["doing"], each["execution"]) for each in state.status()["sessions"]}
    assert shown["a"] == ("held", held)


def test_what_has_run_though_only_its_place_in_the_queue_was_recorded_is_not_waited_for_again():
    queued = {"code": "1", "name": "alice", "lane": Lane.MAIN, "stop_on_error": True, "call": None}
    state = KernelState()
    state.restore(events.Restored(1, 3, True, ((2, "a", queued, 1.0, None), (3, "a", queued, None, None))))
    assert runs(state.handle(worker_started(received=3, adopted=True)).actions) == []
    actions = state.handle(events.UnfinishedTold(frozenset(), 3, frozenset(), 5.0)).actions
    assert (endings(actions), runs(actions)) == ({2: Outcome.LOST, 3: Outcome.LOST}, [])
    assert state.running is None
