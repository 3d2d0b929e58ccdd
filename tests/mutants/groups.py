"""Broken promises of groups of kernels."""

from tests.mutants import Mutant

_FAULTS = "end_to_end/test_group_faults.py::"
_FORK = (f"{_FAULTS}test_a_fork_of_the_program_can_ask_nothing_and_takes_nothing_from_it",)

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
)
