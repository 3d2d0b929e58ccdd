"""Broken promises of a program that opens itself."""

from tests.mutants import Mutant

_KERNEL = "worker/embedded_kernel.py"
_CONSOLE = "worker/embedded_console.py"
_TESTS = "end_to_end/test_embedding.py::"
_FAULTS = "end_to_end/test_embedding_faults.py::"

MUTANTS = (
    Mutant(
        promise="of two threads that embed at once one has a kernel",
        file="worker/embedding.py",
        before="            check_process(name)  # again: another thread may have been faster\n",
        after="            pass\n",
        tests=(f"{_FAULTS}test_of_two_threads_that_embed_at_once_one_has_a_kernel",),
    ),
    Mutant(
        promise="a kernel in the program's loop ends with that loop",
        file=_KERNEL,
        before="            self._loop.leave()\n            while not self._gone.is_set():\n",
        after="            while False:\n",
        tests=(f"{_FAULTS}test_what_runs_when_its_loop_ends_is_lost_and_the_loop_ends",),
    ),
    Mutant(
        promise="a kernel is polled where interrupts are aimed",
        file=_KERNEL,
        before="if not self._interrupts.is_settled_here:",
        after="if False:",
        tests=(f"{_FAULTS}test_only_the_thread_that_embedded_polls",),
    ),
    Mutant(
        promise="what polls may be called within an execution",
        file=_KERNEL,
        before="if self._loop.loop.is_running():",
        after="if False:",
        tests=(f"{_FAULTS}test_polling_within_an_execution_does_nothing",),
    ),
    Mutant(
        promise="Ctrl-C at the console of a program strikes nothing of the program's",
        file=_CONSOLE,
        before="    before = set_handler(signal.SIGINT, lambda number, frame: None)\n",
        after="    before = signal.getsignal(signal.SIGINT)\n",
        tests=(f"{_TESTS}test_ctrl_c_at_the_terminal_means_what_the_console_says_and_nothing_to_the_program",),
    ),
    Mutant(
        promise="a console that hopes for a hub to come back keeps no program waiting",
        file=_CONSOLE,
        before="            process.terminate()",
        after="            pass",
        tests=(f"{_TESTS}test_a_hub_that_is_killed_closes_the_console_of_the_program",),
    ),
    Mutant(
        promise="a program that closes its kernel and the hub do not wait for the end of each other",
        file=_KERNEL,
        before="            self._told.send(_GOES_ON)\n",
        after="",
        tests=(
            f"{_FAULTS}test_a_program_that_has_closed_its_kernel_and_the_hub_do_not_wait_for_the_end_of_each_other",
        ),
    ),
)
