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
        promise="what is too long or too short a wait counts as the nearest",
        file="core/commands.py",
        before="max(least, min(read(value, what), most))",
        after="min(read(value, what), most)",
        tests=("core/test_commands.py::test_what_is_beyond_its_limits_counts_as_the_nearest",),
    ),
    Mutant(
        promise="an execution finishes once, and not before it has started",
        file="core/kernel_state.py",
        before="events.CodeFinished:       _by_place(_IGNORED,",
        after="events.CodeFinished:       _by_place(_F,",
        tests=("core/test_kernel_state.py::test_what_is_queued_cannot_finish",),
    ),
    Mutant(
        promise="what runs is interrupted, not cancelled",
        file="core/kernel_state.py",
        before="_by_place(_F,          _IS_RUNNING,",
        after="_by_place(_F,          _F,",
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
    Mutant(
        promise="an answer goes to the session's own prompt first",
        file="core/kernel_state.py",
        before="(own or waiting)[0]",
        after="waiting[0]",
        tests=("core/test_kernel_state.py::test_an_answer_goes_to_ones_own_oldest_prompt_first",),
    ),
    Mutant(
        promise="a prompt is answered once",
        file="core/kernel_state.py",
        before="        del self._prompts[prompt.token]\n",
        after="",
        tests=("core/test_kernel_state.py::test_an_answer_goes_to_the_worker_once_and_its_text_is_not_recorded",),
    ),
    Mutant(
        promise="a question that waits is not asked again by the next hub",
        file="core/kernel_state.py",
        before="if wanted.token in self._prompts or wanted.token",
        after="if wanted.token",
        tests=("core/test_kernel_state.py::test_a_question_of_which_the_journal_knows_is_not_asked_again",),
    ),
    Mutant(
        promise="a question whose answer is on its way is not asked again",
        file="core/kernel_state.py",
        before=" or wanted.token in self._answered",
        after="",
        tests=(
            "core/test_kernel_state.py::"
            "test_a_question_answered_before_the_worker_told_that_it_waits_is_not_asked_again",
        ),
    ),
    Mutant(
        promise="a question whose answer was lost with a hub is asked again",
        file="core/kernel_state.py",
        before="in self._prompts or wanted.token in self._answered",
        after="is not None",
        tests=("core/test_kernel_state.py::test_a_question_whose_answer_was_lost_with_the_hub_is_asked_again",),
    ),
    Mutant(
        promise="a question that the worker no longer asks does not wait in the next hub",
        file="core/kernel_state.py",
        before="in self._doubtful - told.asking:",
        after="in self._doubtful & told.asking:",
        tests=(
            "core/test_kernel_state.py::"
            "test_a_question_that_the_worker_no_longer_asks_is_forgotten_where_the_journal_does_not_know_that",
            "end_to_end/test_full_disk.py::"
            "test_what_was_answered_while_the_disk_was_full_is_answered_for_the_next_hub_too",
        ),
    ),
    Mutant(
        promise="a dead worker leaves no prompt behind",
        file="core/kernel_state.py",
        before="        self._prompts.clear()\n",
        after="",
        tests=("core/test_kernel_state.py::test_a_dead_worker_ends_everything_it_owed_and_a_new_generation_follows",),
    ),
    Mutant(
        promise="code that never reached the worker is handed over again",
        file="core/kernel_state.py",
        before="execution.id > started.received",
        after="execution.id < started.received",
        tests=("core/test_kernel_state.py::test_code_that_never_reached_the_worker_is_handed_over_again",),
    ),
    Mutant(
        promise="a number the worker knows is not given out again",
        file="core/kernel_state.py",
        before="max(self._last_execution, started.last_execution)",
        after="self._last_execution",
        tests=(
            "core/test_kernel_state.py::test_a_number_the_worker_knows_and_the_journal_does_not_is_not_given_out_again",
        ),
    ),
    Mutant(
        promise="a worker that keeps dying is given up",
        file="core/kernel_state.py",
        before="self._failed_starts >= MAX_FAILED_STARTS",
        after="False",
        tests=("core/test_kernel_state.py::test_a_worker_that_keeps_dying_before_it_is_ready_is_given_up",),
    ),
    Mutant(
        promise="impatient restarts are no failed starts",
        file="core/kernel_state.py",
        before="never_ready and not was_asked",
        after="never_ready",
        tests=("core/test_kernel_state.py::test_impatient_restarts_are_not_failed_starts",),
    ),
    Mutant(
        promise="a private kernel ends with its last client",
        file="core/kernel_state.py",
        before="if not self._is_private or self.sessions.are_present:",
        after="if self.sessions.are_present or True:",
        tests=("core/test_kernel_state.py::test_a_private_kernel_ends_with_its_last_client",),
    ),
    Mutant(
        promise="who has joined keeps a private kernel",
        file="core/kernel_state.py",
        before="if not self._is_private or self.sessions.are_present:",
        after="if not self._is_private:",
        tests=("core/test_kernel_state.py::test_who_has_joined_keeps_a_private_kernel_whose_starter_is_gone",),
    ),
    Mutant(
        promise="a stopping kernel is not restarted",
        file="core/kernel_state.py",
        before="_NO_RESTART,  _S),",
        after="_P,  _S),",
        tests=("core/test_kernel_state.py::test_a_stopping_kernel_is_not_restarted",),
    ),
    Mutant(
        promise="what is handed in twice under one token runs once",
        file="core/kernel_state.py",
        before="if submitted.token and (known :=",
        after="if False and (known :=",
        tests=("core/test_kernel_state.py::test_what_is_submitted_twice_under_one_token_is_queued_once",),
    ),
)
