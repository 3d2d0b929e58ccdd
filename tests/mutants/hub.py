"""Broken promises of the process that clients connect to."""

from tests.mutants import Mutant

_HUB = "hub/test_hub.py::"
_SERVER = "hub/test_server.py::"
_KEY = f"{_SERVER}test_neither_the_log_nor_a_refusal_tells_the_key"

MUTANTS = (
    Mutant(
        promise="the next hub knows how far the ring was read",
        file="hub/hub.py",
        before="self.journal.append(records, progress.generation, progress.position)",
        after="self.journal.append(records)",
        tests=(f"{_HUB}test_what_was_read_from_the_ring_is_committed_with_its_position_before_it_is_released",),
    ),
    Mutant(
        promise="the ring is released behind the commit",
        file="hub/hub.py",
        before="        if progress is None:\n            self.journal.append(records)",
        after="        if progress:\n            progress.ring.release(progress.position)\n"
        "        if progress is None:\n            self.journal.append(records)",
        tests=(f"{_HUB}test_what_was_read_from_the_ring_is_committed_with_its_position_before_it_is_released",),
    ),
    Mutant(
        promise="code is handed over behind the commit of its start",
        file="hub/hub.py",
        before="        progress = next(",
        after="        [self._act(item) for item in batch if isinstance(item, actions.RunCode)]\n"
        "        progress = next(",
        tests=(f"{_HUB}test_code_is_handed_over_when_it_is_committed_that_it_has_started",),
    ),
    Mutant(
        promise="no failure of power damages a journal",
        file="hub/store.py",
        before="PRAGMA synchronous=NORMAL",
        after="PRAGMA synchronous=OFF",
        tests=("hub/test_journal.py::test_no_failure_of_power_can_damage_what_was_committed",),
    ),
    Mutant(
        promise="the log does not tell the key",
        file="hub/server.py",
        before='self._refusals.info(f"refused: {error}")',
        after='self._refusals.info(f"refused: {error}, who knows no {self._key.hex()}")',
        tests=(_KEY,),
    ),
    Mutant(
        promise="a refusal does not tell the key",
        file="hub/server.py",
        before='return f"kernel {self._name!r} has {count}',
        after='return f"kernel {self._key!r} has {count}',
        tests=(_KEY,),
    ),
)
