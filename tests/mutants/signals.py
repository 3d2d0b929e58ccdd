"""Broken promises of what the hub takes from a worker and sends to it."""

from tests.mutants import Mutant

MUTANTS = (
    Mutant(
        promise="all that a dead worker has left in the ring is read",
        file="hub/pump.py",
        before="while batch := self._read_ring():",
        after="while (batch := self._read_ring()) and not self._stop.is_set():",
        tests=("hub/test_pump.py::test_all_that_a_dead_worker_has_left_is_read_however_small_the_portions",),
    ),
    Mutant(
        promise="half a character that a child wrote comes with its execution",
        file="hub/pump.py",
        before="written, is_all=is_all)",
        after="written, is_all=False)",
        tests=("hub/test_pump.py::test_half_a_character_of_a_pipe_comes_before_the_end_of_its_execution",),
    ),
    Mutant(
        promise="an interrupt that was not taken is followed by a nudge",
        file="hub/hub.py",
        before="self._scheduler.after(_NUDGE_S, lambda: self._nudge(execution))",
        after="pass",
        tests=("hub/test_hub.py::test_an_interrupt_that_was_not_taken_is_followed_by_insisting_and_a_nudge",),
    ),
    Mutant(
        promise="only who has not taken its interrupt is nudged",
        file="hub/worker.py",
        before="if self._ring.words[ring.WORD_INTERRUPT] == execution:",
        after="if True:",
        tests=("hub/test_worker.py::test_only_who_has_not_taken_its_interrupt_is_nudged",),
    ),
)
