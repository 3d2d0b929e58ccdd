"""Broken promises of groups of kernels."""

from tests.mutants import Mutant

_FAULTS = "end_to_end/test_group_faults.py::"
_FORK = (f"{_FAULTS}test_a_fork_of_the_program_can_ask_nothing_and_takes_nothing_from_it",)
_GROUPS = "end_to_end/test_groups.py::"
_WAITING = "groups/test_waiting.py::"
_FUNCTIONS = "worker/test_functions.py::"
_BULK = "worker/test_bulk.py::"

MUTANTS = (
    Mutant(
        promise="what stands behind the # of a connect string is never shown",
        file="groups/targets.py",
        before="return repr(shown_of(target))",
        after="return repr(target)",
        tests=("groups/test_targets.py::test_what_stands_behind_the_sharp_is_kept_and_never_shown",),
    ),
    Mutant(
        promise="a fork of a program does not end the transfers of its parent",
        file="wire/bulk/socket.py",
        before="if getpid() == self._pid:",
        after="if True:",
        tests=_FORK,
    ),
    Mutant(
        promise="a fork of a program does not take its parent's sockets for transfers",
        file="client/bulk.py",
        before="if os.getpid() != self._pid:",
        after="if False:",
        tests=_FORK,
    ),
    Mutant(
        promise="what a fork waits for in a loop fails",
        file="client/hub_connection.py",
        before="if os.getpid() != self._pid:  # nobody asks",
        after="if False:  # nobody asks",
        tests=_FORK,
    ),
    Mutant(
        promise="no client stays open of a group whose making was broken off",
        file="groups/opening.py",
        before="if kind is not None:",
        after="if False:",
        tests=(f"{_FAULTS}test_ctrl_c_while_a_group_is_made_leaves_no_client_open",),
    ),
    Mutant(
        promise="a program that has no descriptors left is told so, and not that the kernel is not running",
        file="wire/connection_file.py",
        before="if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):",
        after="if False:",
        tests=(
            "client/test_address.py::test_a_program_without_descriptors_is_told_so_and_of_no_kernel_that_it_is_gone",
        ),
    ),
    Mutant(
        promise="what a group hands in runs in that order in each kernel, calls as code",
        file="groups/execution.py",
        before="            fan_out(what, {part.name: partial(part.start, self._ring) for part in parts})",
        after="            start_threads(*(make_thread(part.start, part.name, (self._ring,)) for part in parts))",
        tests=(f"{_GROUPS}test_what_is_handed_in_runs_in_that_order_in_each_kernel",),
    ),
    Mutant(
        promise="what a group has handed in just now can be taken back",
        file="groups/execution.py",
        before="        self._follow(self._is_handed_in, max(",
        after="        (self._catch_up(), max(",
        tests=(f"{_GROUPS}test_what_was_handed_in_just_now_can_be_interrupted_and_taken_out",),
    ),
    Mutant(
        promise="a group tries again what was lost, and never what the code has raised",
        file="groups/execution.py",
        before="        return error.ename == NotAvailable.__name__ and",
        after="        return True or",
        tests=(f"{_GROUPS}test_an_error_of_the_code_is_not_tried_again",),
    ),
    Mutant(
        promise="who waits for the first kernel of a group that fails is not told of one that does not",
        file="groups/execution.py",
        before="        return return_when == FIRST_EXCEPTION and any(",
        after="        return return_when == FIRST_EXCEPTION and bool(",
        tests=(f"{_GROUPS}test_the_first_that_fails_is_enough_where_that_is_asked_for",),
    ),
    Mutant(
        promise="what goes on in the kernels of a group says how far it is",
        file="groups/execution.py",
        before='                fan_out("look", asked)',
        after="                pass",
        tests=(f"{_GROUPS}test_what_goes_on_says_how_far_it_is",),
    ),
    Mutant(
        promise="a group waits also for what nobody holds",
        file="groups/group.py",
        before="        self._last.update(dict.fromkeys(job.names, job))",
        after="        pass",
        tests=(f"{_GROUPS}test_a_group_waits_for_what_nobody_holds",),
    ),
    Mutant(
        promise="events of a group from now on begin when they are asked for",
        file="groups/group.py",
        before="            cursors |= self._find_last()",
        after="            pass",
        tests=(f"{_GROUPS}test_events_from_now_on_begin_when_they_are_asked_for",),
    ),
    Mutant(
        promise="clients that a group was made of stay open when it is closed",
        file="groups/opening.py",
        before="    made._opened += clients.values()",
        after="    made._opened += made.kernels.values()",
        tests=(f"{_GROUPS}test_clients_that_it_was_made_of_stay_open",),
    ),
    Mutant(
        promise="however many threads wait for a kernel of a group, its silence counts once",
        file="groups/waiting.py",
        before="max(since, _COUNTED.get(descriptor, 0.0))",
        after="since",
        tests=(f"{_WAITING}test_silence_counts_once_however_many_wait_for_the_same",),
    ),
    Mutant(
        promise="a program that was stopped does not give up the kernels of its group for that",
        file="groups/waiting.py",
        before="    return max(0.0, min(waited_s, _LOOK_S))",
        after="    return max(0.0, waited_s)",
        tests=(f"{_WAITING}test_a_process_that_was_stopped_has_not_waited_for_all_that_time",),
    ),
    Mutant(
        promise="of two parts of a map in one kernel neither waits for the other's news",
        file="groups/waiting.py",
        before="            self._known.setdefault(each.fileno(), []).append(each)",
        after="            self._known[each.fileno()] = [each]",
        tests=(f"{_WAITING}test_all_who_have_the_same_descriptor_hear_of_what_comes",),
    ),
    Mutant(
        promise="a large value that goes to many kernels of this machine is in its memory once",
        file="wire/bulk/parts.py",
        before="shared_memory.create(self.chunks()) if self.memory is None else self.memory.open()",
        after="shared_memory.create(self.chunks())",
        tests=(f"{_GROUPS}test_large_values_are_in_memory_once_and_each_kernel_has_its_own",),
    ),
    Mutant(
        promise="all that is inside of a function that is sent finds the names of the kernel",
        file="worker/functions.py",
        before='        function.__globals__["__builtins__"] = self._names  #',
        after="        #",
        tests=(
            f"{_FUNCTIONS}test_all_that_is_inside_of_a_function_finds_the_names_of_the_namespace_as_they_are_by_then",
        ),
    ),
    Mutant(
        promise="a function of another Python is refused, and crashes no kernel",
        file="worker/functions.py",
        before="            _require_same_python(self._python)",
        after="            pass",
        tests=(f"{_FUNCTIONS}test_a_function_of_another_python_is_refused_before_its_code_is_made",),
    ),
    Mutant(
        promise="a function whose source is sent may be annotated with what its kernel does not know",
        file="worker/functions.py",
        before="__future__.annotations.compiler_flag",
        after="0",
        tests=(f"{_FUNCTIONS}test_a_source_sees_itself_and_the_namespace_which_stays_as_it_was",),
    ),
    Mutant(
        promise="a worker forgets calls whose client went before it handed them in",
        file="worker/bulk.py",
        before="            for token in unkept:",
        after="            for token in ():",
        tests=(f"{_BULK}test_a_call_that_its_client_does_not_hand_in_is_forgotten_with_the_connection",),
    ),
    Mutant(
        promise="a worker that comes after another one takes none of its calls for one of its own",
        file="worker/staged_calls.py",
        before="os.urandom(4).hex()",
        after='""',
        tests=(f"{_BULK}test_no_worker_takes_the_token_of_another_ones_call",),
    ),
    Mutant(
        promise="stacks at two lines of one function are not the same",
        file="groups/stacks.py",
        before="int(line) if line.isdigit() else 0",
        after="0",
        tests=("groups/test_stacks.py::test_two_lines_of_one_function_are_not_the_same",),
    ),
    Mutant(
        promise="who has told no main stack is told apart",
        file="groups/stacks.py",
        before='failed[name] = WorkerBusy("what it told of its stacks has no main thread")',
        after="pass",
        tests=("groups/test_stacks.py::test_who_did_not_answer_is_told_apart_and_hides_nobody",),
    ),
    Mutant(
        promise="who the group goes without is told among those without a stack",
        file="groups/group.py",
        before="return fold(stacks, {**self.missing, **errors})",
        after="return fold(stacks, errors)",
        tests=("end_to_end/test_ranks.py::test_a_kernel_of_its_own_is_the_rank_that_its_environment_says",),
    ),
    Mutant(
        promise="a range stands for none but those who are there",
        file="groups/labels.py",
        before="if runs and number == _after(runs[-1][0], runs[-1][-1]):",
        after="if runs:",
        tests=("groups/test_labels.py::test_the_patterns_stand_for_each_name_once_and_for_no_other",),
    ),
)
