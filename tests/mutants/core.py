"""Broken promises of what the kernel decides."""

from tests.mutants import Mutant

MUTANTS = (
    Mutant(
        promise="an error aborts nothing of another session",
        file="core/kernel_state.py",
        before="if self._unfinished[n].session == failed.session]",
        after="]",
        tests=("core/test_kernel_state.py::test_an_error_aborts_what_the_same_session_queued_behind_and_nobody_elses",),
    ),
    Mutant(
        promise="an error aborts only where that was asked for",
        file="core/kernel_state.py",
        before=" and execution.stop_on_error and execution.lane == Lane.MAIN",
        after=" and execution.lane == Lane.MAIN",
        tests=("core/test_kernel_state.py::test_an_error_aborts_nothing_where_that_was_not_asked_for",),
    ),
    Mutant(
        promise="what waits runs in the order it came",
        file="core/kernel_state.py",
        before="self._queue.popleft()",
        after="self._queue.pop()",
        tests=("core/test_kernel_state.py::test_one_execution_runs_and_the_others_wait_in_order",),
    ),
    Mutant(
        promise="an observer changes nothing",
        file="core/kernel_state.py",
        before="if request.role != Role.USER:",
        after="if not request.role:",
        tests=("core/test_kernel_state.py::test_an_observer_changes_nothing_also_under_the_session_of_a_user",),
    ),
    Mutant(
        promise="an execution finishes once, and not before it has started",
        file="core/kernel_state.py",
        before="if execution is None or not execution.is_running:",
        after="if execution is None:",
        tests=("core/test_kernel_state.py::test_what_is_queued_cannot_finish",),
    ),
    Mutant(
        promise="what runs is interrupted, not cancelled",
        file="core/kernel_state.py",
        before="        if execution.is_running:\n            raise NotQueued",
        after="        if False:\n            raise NotQueued",
        tests=("core/test_kernel_state.py::test_only_what_is_queued_can_be_cancelled",),
    ),
    Mutant(
        promise="an interrupt acts on the execution it names",
        file="core/kernel_state.py",
        before="target = self._running if interrupt.execution is None else interrupt.execution",
        after="target = self._running",
        tests=(
            "core/test_kernel_state.py::test_a_side_lane_is_interrupted_by_its_number",
            "core/test_kernel_state.py::test_an_interrupt_hits_nothing_but_what_it_names",
        ),
    ),
    Mutant(
        promise="however many press Ctrl-C, one clock runs",
        file="core/kernel_state.py",
        before="            execution.is_in_grace = True\n",
        after="",
        tests=("core/test_kernel_state.py::test_however_often_an_execution_is_interrupted_one_clock_runs",),
    ),
)
