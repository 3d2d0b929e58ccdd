"""What a Ctrl-C means, wherever it comes; without a terminal, a loop or a kernel."""

import pytest

from rpyc_kernel.core.contract import Kind
from rpyc_kernel.faces.frontend.state import CtrlC, Offer, TalkState
from tests.faces.frontend.events import ALICE, ME, make_event, make_item


@pytest.fixture
def state() -> TalkState:
    return TalkState(ME)


@pytest.mark.parametrize(
    ("is_paging", "is_interactive", "is_reading", "meaning"),
    [
        (True, True, True, CtrlC.PAGER),
        (True, True, False, CtrlC.PAGER),
        (False, False, True, CtrlC.LEAVE),
        (False, False, False, CtrlC.LEAVE),
        (False, True, True, CtrlC.LINE),
        (False, True, False, CtrlC.NEXT),
    ],
)
def test_it_is_meant_for_what_has_the_keyboard(
    state: TalkState, is_paging: bool, is_interactive: bool, is_reading: bool, meaning: CtrlC
):
    state.is_paging = is_paging
    assert state.interrupt(is_interactive=is_interactive, is_reading=is_reading) is meaning


def test_what_is_being_done_is_broken_off_and_that_is_told_once(state: TalkState):
    assert state.begin_doing()
    assert state.interrupt(is_interactive=True, is_reading=False) is CtrlC.BREAK_OFF
    assert state.take_interrupt()
    assert not state.take_interrupt()


def test_a_question_that_is_being_answered_gets_it_instead_of_what_asks(state: TalkState):
    state.begin_doing()
    assert state.interrupt(is_interactive=True, is_reading=True) is CtrlC.LINE
    assert not state.take_interrupt()


def test_between_the_enter_and_what_it_begins_it_takes_that_back(state: TalkState):
    state.begin_line()
    assert state.interrupt(is_interactive=True, is_reading=False) is CtrlC.NEXT
    assert not state.begin_doing()
    state.begin_line()
    assert state.begin_doing()  # what was meant for one line is not held against the next


def test_what_was_done_is_not_broken_off_any_more(state: TalkState):
    state.begin_doing()
    state.interrupt(is_interactive=True, is_reading=False)
    state.end_doing()
    state.begin_line()
    assert state.begin_doing()
    assert not state.take_interrupt()


def test_it_is_meant_for_what_runs_of_the_users_own_before_what_came_last(state: TalkState):
    for number in (3, 4, 5):
        state.jobs.expect(number, f"work({number})")
    assert state.own_target is not None
    assert state.own_target.number == 5
    state.jobs.take(make_event(Kind.STARTED, 4))
    assert state.own_target.number == 4


def test_ones_own_is_offered_before_what_runs_of_others_and_enter_means_yes(state: TalkState):
    state.jobs.expect(4, "work()")
    running = make_item(3, ALICE, "slow()")
    assert state.offer(state.own_target, running, is_queued=True) == Offer(
        4, "execution 4 is still queued; cancel it?", True, cancels=True
    )
    assert state.offer(state.own_target, running, is_queued=False) == Offer(4, "interrupt execution 4?", True)


def test_what_runs_of_others_is_named_and_enter_means_no(state: TalkState):
    offer = state.offer(None, make_item(3, ALICE, "slow()\nmore()"), is_queued=False)
    assert offer is not None
    assert (offer.number, offer.is_likely, offer.cancels) == (3, False, False)
    assert "of alice" in offer.question
    assert "slow()" in offer.question


def test_nothing_is_offered_where_nothing_runs(state: TalkState):
    assert state.offer(None, None, is_queued=False) is None
