"""Broken promises of windows that user code shows."""

from tests.mutants import Mutant

_TURNS = "worker/test_gui_loops.py::"
_OWN = "end_to_end/test_toolkit_loops.py::"

MUTANTS = (
    Mutant(
        promise="a limit of time ends a toolkit's turn",
        file="worker/gui_loops.py",
        before="self._alarm.ring_after(left_s)",
        after="pass",
        tests=(f"{_TURNS}test_a_limit_of_time_ends_the_turn",),
    ),
    Mutant(
        promise="a signal ends a toolkit's turn",
        file="worker/gui_loops.py",
        before="before = _set_wakeup(wake_descriptor)",
        after="before = _set_wakeup(-1)",
        tests=(f"{_TURNS}test_a_signal_ends_the_turn_although_no_code_of_python_runs",),
    ),
    Mutant(
        promise="windows live where the loop never waits",
        file="worker/gui_loops.py",
        before="            windows.take_short_turn()",
        after="            pass",
        tests=(f"{_TURNS}test_a_toolkit_has_its_turns_where_the_loop_never_waits",),
    ),
    Mutant(
        promise="a loop that waits hears of an interrupt",
        file="hub/hub.py",
        before="self._scheduler.after(_INSIST_S, partial(self._insist, action.execution))",
        after="pass",
        tests=("hub/test_hub.py::test_an_interrupt_that_was_not_taken_is_followed_by_insisting_and_a_nudge",),
    ),
    Mutant(
        promise="Qt's loop runs Python when an interrupt waits",
        file="worker/toolkit_loops.py",
        before="_bells[name].rung.emit()",
        after="pass",
        tests=(f"{_OWN}test_an_interrupt_ends_a_loop_that_waits_and_one_that_never_does[qt]",),
    ),
    Mutant(
        promise="Tk's loop runs Python when an interrupt waits",
        file="worker/toolkit_loops.py",
        before='frame.f_locals["self"].tk.call("info", "tclversion")',
        after="pass",
        tests=(f"{_OWN}test_an_interrupt_ends_a_loop_that_waits_and_one_that_never_does[tk]",),
    ),
    Mutant(
        promise="what follows an interrupted loop does not run",
        file="worker/interrupts.py",
        before="        self._lie_in_wait(frame)\n",
        after="",
        tests=(f"{_OWN}test_an_interrupt_ends_a_loop_that_waits_and_one_that_never_does[qt]",),
    ),
    Mutant(
        promise="an interrupt in a callback is not swallowed",
        file="worker/interrupts.py",
        before="        return toolkit_loops.has_called(frame)",
        after="        return False",
        tests=(f"{_OWN}test_an_interrupt_ends_a_callback_that_holds_the_loop_up_and_then_the_loop",),
    ),
    Mutant(
        promise="a dialog can be shown after one that was interrupted",
        file="worker/interrupts.py",
        before="            toolkit_loops.settle()",
        after="            pass",
        tests=(f"{_OWN}test_an_interrupt_of_a_dialog_leaves_none_to_the_next_one",),
    ),
)
