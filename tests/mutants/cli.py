"""Broken promises of the command line."""

from tests.mutants import Mutant

MUTANTS = (
    Mutant(
        promise="a connect string on a command line does not stay there",
        file="cli/hiding.py",
        before="    if len(secrets) > _MAX_BYTES:\n",
        after="    if secrets:\n",
        tests=(
            "end_to_end/test_attacks.py::"
            "test_after_a_session_with_an_invitation_no_secret_stands_where_somebody_could_find_it",
        ),
    ),
    Mutant(
        promise="a connect string is taken off the command line",
        file="cli/__main__.py",
        before="            run_without_secrets()",
        after="            pass",
        tests=("cli/test_hiding.py::test_the_secret_is_on_no_command_line_while_the_command_runs",),
    ),
    Mutant(
        promise="a password that is asked for is not shown",
        file="cli/showing.py",
        before="is_hidden=question.password",
        after="is_hidden=False",
        tests=("end_to_end/test_command_line.py::test_a_password_is_not_shown",),
    ),
    Mutant(
        promise="a question that somebody else has answered is asked no longer",
        file="cli/showing.py",
        before="elif event.kind == Kind.INPUT_ANSWERED and self._asking and self._asking[0].token == event.token:",
        after="elif event.kind == Kind.INPUT_ANSWERED and False:",
        tests=("end_to_end/test_command_line.py::test_a_question_that_somebody_else_answers_does_not_hang",),
    ),
    Mutant(
        promise="Ctrl-C takes code that has not begun out of the queue",
        file="cli/showing.py",
        before="            with contextlib.suppress(NotQueued):\n                await",
        after="            self._left.set_result(None)\n            if False:\n                await",
        tests=("end_to_end/test_command_line.py::test_ctrl_c_takes_back_code_that_has_not_begun",),
    ),
    Mutant(
        promise="code whose time is over is ended no further than is asked for",
        file="cli/showing.py",
        before="            if force == limit.force:\n",
        after="            if force == Force.TERMINATE:\n",
        tests=("cli/test_showing.py::test_code_is_ended_rung_by_rung_as_far_as_is_asked_for",),
    ),
    Mutant(
        promise="the exit status of several executions is that of the first that did not end well",
        file="cli/jobs.py",
        before="next((status for status in statuses if status != OK), OK)",
        after="statuses[-1]",
        tests=("cli/test_jobs.py::test_the_status_of_several_is_that_of_the_first_that_did_not_end_well",),
    ),
    Mutant(
        promise="who waits for an end leaves what has not ended running",
        file="cli/ending.py",
        before="            return TIMED_OUT\n",
        after="            return OK\n",
        tests=("end_to_end/test_jobs.py::test_a_job_is_left_behind_waited_for_and_read",),
    ),
    Mutant(
        promise="a secret never stands on a command line",
        file="cli/answering.py",
        before="        if question.password:\n",
        after="        if False:\n",
        tests=("end_to_end/test_answering.py::test_a_secret_is_taken_from_standard_input_alone",),
    ),
    Mutant(
        promise="a log shows what belongs to sessions of a name, also if it begins later",
        file="cli/selection.py",
        before="self._read(0 if self._session else since, follow=follow)",
        after="self._read(since, follow=follow)",
        tests=("cli/test_selection.py::test_a_log_shows_what_is_chosen",),
    ),
    Mutant(
        promise="a second Ctrl-C leaves the code running",
        file="cli/showing.py",
        before="elif not self._left.done():",
        after="elif self.kernel.interrupt(force='terminate') and not self._left.done():",
        tests=("end_to_end/test_command_line.py::test_a_second_ctrl_c_leaves_the_code_running_and_says_so",),
    ),
    Mutant(
        promise="what is no text passes through byte for byte",
        file="cli/showing.py",
        before="if raw is None:",
        after="if True:",
        tests=("end_to_end/test_run_script.py::test_what_is_no_text_passes_through_byte_for_byte",),
    ),
    Mutant(
        promise="who writes to a program sees that it reads no more",
        file="cli/execute.py",
        before="os.close(take_away(standard_input))",
        after="pass",
        tests=(
            "end_to_end/test_run_script.py::test_a_program_that_waits_for_standard_input_can_be_interrupted_and_who_writes"
            "_sees_that_it_reads_no_more",
        ),
    ),
    Mutant(
        promise="a program's last thread has its say",
        file="cli/showing.py",
        before="if event.execution == self._program and event.outcome in",
        after="if event.outcome in () and event.outcome in",
        tests=(
            "end_to_end/test_run_script.py::test_its_threads_and_last_functions_have_their_say",
            "end_to_end/test_run_script.py::test_an_error_does_not_cut_off_its_threads",
        ),
    ),
    Mutant(
        promise="a program that is killed has the exit status that a shell gives",
        file="cli/showing.py",
        before="_SIGNALLED - event.exit_code",
        after="event.exit_code",
        tests=("end_to_end/test_run_script.py::test_the_end_of_the_process_gives_the_status_that_a_shell_sees",),
    ),
    Mutant(
        promise="a traceback names the program's file",
        file="cli/showing.py",
        before="return traceback.replace(f'File \"<In {self._count}>\"', f'File \"{self._file}\"')",
        after="return traceback",
        tests=("end_to_end/test_run_script.py::test_a_program_can_run_in_a_kernel_that_is_there",),
    ),
    Mutant(
        promise="a program's values are not shown",
        file="cli/showing.py",
        before="case Kind.RESULT if self._shows_values:",
        after="case Kind.RESULT:",
        tests=("end_to_end/test_run_script.py::test_values_of_expressions_are_not_shown",),
    ),
    Mutant(
        promise="code is read with the encoding that it names",
        file="cli/reading.py",
        before="io.TextIOWrapper(io.BytesIO(content), encoding)",
        after='io.TextIOWrapper(io.BytesIO(content), "utf-8")',
        tests=("end_to_end/test_command_line_shell.py::test_a_script_says_how_it_is_encoded",),
    ),
    Mutant(
        promise="what is queued is not interrupted, and how to take it back is said",
        file="cli/execute.py",
        before="if kernel.is_queued(number):",
        after="if False:",
        tests=("end_to_end/test_command_line.py::test_interrupting_what_is_queued_is_refused_with_advice",),
    ),
    Mutant(
        promise="what follows a program's name is the program's",
        file="cli/execute.py",
        before="WORDS_BEFORE_REST = 1",
        after="WORDS_BEFORE_REST = None",
        tests=("end_to_end/test_run_script.py::test_a_file_has_its_arguments_its_name_and_its_neighbours",),
    ),
    Mutant(
        promise="a signal that comes while a program's kernel starts is not lost",
        file="cli/execute.py",
        before="signal.raise_signal(received[0])",
        after="pass",
        tests=("cli/test_program.py::test_a_signal_that_comes_while_a_programs_kernel_starts_is_not_lost",),
    ),
    Mutant(
        promise="a reader who has had enough is no error",
        file="cli/application.py",
        before="raise OutputClosed from None",
        after="raise",
        tests=(
            "end_to_end/test_command_line.py::test_a_reader_that_has_had_enough_is_no_error",
            "end_to_end/test_command_line_shell.py::test_head_ends_a_pipeline_without_a_word",
        ),
    ),
    Mutant(
        promise="a wrong switch is an error that names the help",
        file="cli/application.py",
        before="raise self._as_usage(error) from None\n\n    def _validate_args",
        after="raise\n\n    def _validate_args",
        tests=("cli/test_application.py::test_a_wrong_switch_is_an_error_that_names_the_help",),
    ),
)
