"""The tables of transitions: whole, and what really happens."""

from typing import get_args

import pytest

from rpyc_kernel.core import events
from rpyc_kernel.core.contract import Kind, Outcome, State
from rpyc_kernel.core.kernel_state import (
    EXECUTION,
    FINISHED,
    HELD,
    LIFECYCLE,
    LIFECYCLES,
    MAX_FAILED_STARTS,
    OTHERS,
    PLACES,
    QUEUED,
    RUNNING,
    UNKNOWN,
    KernelState,
    Mark,
    Refusal,
)
from rpyc_kernel.errors import RequestError

EVENTS = get_args(events.Event)
NUMBERS = {FINISHED: 1, RUNNING: 2, QUEUED: 3, HELD: 4, UNKNOWN: 5}
EXAMPLES = {
    type(event): event
    for event in (
        events.SessionJoined("b", "bob"),
        events.SessionLeft("b"),
        events.StarterLost(),
        events.IdleTimeElapsed("nobody was there"),
        events.CodeSubmitted("a", "1", 0.0),
        events.CodeFinished(2, Outcome.OK, 0.0),
        events.ApproveRequested("a", 4, 0.0),
        events.DeclineRequested("a", 4),
        events.CancelRequested("a", 3),
        events.InterruptRequested("a", 2),
        events.GraceElapsed(2),
        events.InputWanted(2, 8, "? ", False),
        events.InputAnswered("a", "yes"),
        events.InputWithdrawn(7),
        events.WorkerStarted(2, 4712, "3.12", "plain"),
        events.WorkerReported(Kind.STREAM, 2, {"name": "stdout", "text": "x"}),
        events.UnfinishedTold(frozenset(), 2, frozenset(), 0.0),
        events.WorkerDied("killed by SIGKILL", 0.0),
        events.RestartRequested("a"),
        events.ShutdownRequested("a", "stopped by a"),
    )
}


def make_state(lifecycle=State.IDLE):
    """A kernel in this state, which has had executions and prompts where there can be any."""
    state = KernelState()
    state.handle(events.SessionJoined("a", "alice"))
    state.start()
    if lifecycle == State.DEAD:
        for _ in range(MAX_FAILED_STARTS):
            state.handle(events.WorkerDied("too soon", 0.0))
        return state
    state.handle(events.WorkerStarted(1, 4711, "3.12", "plain"))
    for _ in range(3):
        state.handle(events.CodeSubmitted("a", "1", 0.0, stop_on_error=False))
    state.handle(events.CodeSubmitted("a", "1", 0.0, is_held=True))
    state.handle(events.CodeFinished(1, Outcome.OK, 0.0))
    state.handle(events.InputWanted(2, 7, "? ", False))
    if lifecycle == State.STARTING:
        state.handle(events.RestartRequested("a"))
        state.handle(events.CodeSubmitted("a", "1", 0.0))
    elif lifecycle == State.STOPPING:
        state.handle(events.ShutdownRequested("a", "stopped by a"))
    return state


def look(state):
    return state.status(), state.queue(0, 10)


@pytest.mark.parametrize("table", [LIFECYCLE, EXECUTION], ids=["lifecycle", "execution"])
def test_there_is_a_cell_for_every_state_and_every_event(table):
    assert set(table) == set(EVENTS) == set(EXAMPLES)
    states = LIFECYCLES if table is LIFECYCLE else PLACES
    for row in table.values():
        assert tuple(row) == states
        for cell in row.values():
            assert isinstance(cell, (Refusal, Mark)) or (cell and set(cell) <= set(states))


@pytest.mark.parametrize("lifecycle", LIFECYCLES)
@pytest.mark.parametrize("kind", EVENTS)
def test_what_the_table_says_of_the_kernel_is_what_happens(kind, lifecycle):
    state, event, cell = make_state(lifecycle), EXAMPLES[kind], LIFECYCLE[kind][lifecycle]
    assert state.lifecycle == lifecycle
    before = look(state)
    if isinstance(cell, Refusal):
        with pytest.raises(cell.error, match=cell.text):
            state.handle(event)
    elif cell is Mark.NEVER:
        with pytest.raises(AssertionError, match=f"{kind.__name__} came to a kernel that is {lifecycle}"):
            state.handle(event)
    elif cell is Mark.IGNORED:
        assert state.handle(event) == (None, [])
    else:
        try:
            state.handle(event)
        except RequestError:  # there is no such execution or prompt to ask for
            assert kind in (*NAMING, events.InputAnswered)
        else:
            assert state.lifecycle in cell
            return
    assert look(state) == before


NAMING = {
    events.CodeFinished: lambda number: events.CodeFinished(number, Outcome.OK, 0.0),
    events.ApproveRequested: lambda number: events.ApproveRequested("a", number, 0.0),
    events.DeclineRequested: lambda number: events.DeclineRequested("a", number, "no"),
    events.CancelRequested: lambda number: events.CancelRequested("a", number),
    events.InterruptRequested: lambda number: events.InterruptRequested("a", number),
    events.GraceElapsed: events.GraceElapsed,
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", NAMING)
def test_what_the_table_says_of_an_execution_that_is_named_is_what_happens(kind, place):
    state, number, cell = make_state(), NUMBERS[place], EXECUTION[kind][place]
    before = look(state)
    assert state.place_of(number) == place
    event = NAMING[kind](number)
    if isinstance(cell, Refusal):
        with pytest.raises(cell.error, match=cell.text.format(number=number, last=4, place=place)):
            state.handle(event)
    elif cell is Mark.IGNORED:
        assert state.handle(event) == (None, [])
    else:
        state.handle(event)
        assert state.place_of(number) in cell
        return
    assert look(state) == before


def test_what_becomes_of_others_is_said_where_an_event_names_an_execution():
    assert set(OTHERS) == {*NAMING, events.CodeSubmitted}
