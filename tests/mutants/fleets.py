"""Broken promises of fleets."""

from tests.mutants import Mutant

_FLEETS = "end_to_end/test_fleets.py::"
_FAULTS = "end_to_end/test_fleet_faults.py::"
_PROGRAM = f"{_FAULTS}test_a_fleet_ends_with_the_program_that_has_it_however_that_ends"
_REFUSED = f"{_FLEETS}test_what_cannot_be_is_refused_in_words"
_HELD = "end_to_end/test_foreground.py::" + (
    "test_a_kernel_that_is_held_ends_when_its_holder_is_killed_whoever_is_there_and_whatever_runs"
)

MUTANTS = (
    Mutant(
        promise="a kernel that is held ends with its holder",
        file="hub/lifetime.py",
        before="        if not is_held():",
        after="        if False:",
        tests=(_HELD,),
    ),
    Mutant(
        promise="a kernel ends when Dask no longer wants its task",
        file="fleets/holding.py",
        before='finish in ("cancelled", "released", "forgotten")',
        after="not finish",
        tests=(_PROGRAM,),
    ),
    Mutant(
        promise="who has the name of a kernel of a fleet keeps his own",
        file="fleets/holding.py",
        before="if starting.exception() is None:",
        after="if True:",
        tests=(_REFUSED,),
    ),
    Mutant(
        promise="nothing of a fleet stays in Dask's scheduler when its program is gone",
        file="fleets/overseeing.py",
        before="if client == self._client:",
        after="if False:",
        tests=(_PROGRAM,),
    ),
    Mutant(
        promise="what waits for a kernel that has lost its place is told at once",
        file="fleets/placing.py",
        before="        if kernel is not None:\n            kernel._give_up(why)",
        after="        pass",
        tests=(f"{_FAULTS}test_the_kernel_of_a_lost_dask_worker_is_placed_again_and_the_others_go_on",),
    ),
    Mutant(
        promise="a fleet whose tasks Dask has called off says what to do",
        file="fleets/placing.py",
        before="return KernelError(_CALLED_OFF.format(count=count))",
        after='return KernelError("")',
        tests=(f"{_FAULTS}test_a_scheduler_that_is_started_anew_is_told_of_and_places_the_kernels_when_asked",),
    ),
    Mutant(
        promise="a fleet says by itself why a kernel waits",
        file="fleets/placing.py",
        before="if 0 < place.waits_since < now - _TELL_S",
        after="if place.waits_since < 0",
        tests=(f"{_FLEETS}test_kernels_without_a_place_are_told_of_with_why_and_wait_for_one",),
    ),
    Mutant(
        promise="Dask's tasks see their kernel's names",
        file="fleets/joining.py",
        before='Making(vars(sys.modules["__main__"]))',
        after="Making({})",
        tests=(f"{_FLEETS}test_dasks_tasks_run_in_the_namespaces_of_kernels_that_dask_has_placed",),
    ),
)
