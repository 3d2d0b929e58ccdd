"""Broken promises of clients in event loops."""

from tests.mutants import Mutant

_TASKS = "end_to_end/test_aio.py::"

MUTANTS = (
    Mutant(
        promise="who reads for others and is cancelled has the next one read",
        file="aio/connection.py",
        before="            if self._reader is None:\n                self._ring_next()",
        after="            pass",
        tests=(f"{_TASKS}test_who_reads_for_others_and_is_cancelled_has_the_next_one_read[asyncio]",),
    ),
    Mutant(
        promise="a thousand questions at once to the worker are all answered",
        file="aio/connection.py",
        before="if not command.by_worker:",
        after="if True:",
        tests=(f"{_TASKS}test_a_thousand_calls_at_once_are_all_answered[trio]",),
    ),
    Mutant(
        promise="a hub that takes nothing holds no loop",
        file="aio/connection.py",
        before="return _count_chars(arguments) <= _SENT_AT_ONCE_CHARS and bool(ready.poll(0))",
        after="return True",
        tests=(f"{_TASKS}test_a_hub_that_takes_nothing_holds_no_loop[trio]",),
    ),
    Mutant(
        promise="a client is used in no loop but its own",
        file="aio/loop.py",
        before="is_here = self._find() is self._token",
        after="is_here = bool(self._find())",
        tests=(f"{_TASKS}test_another_loop_is_refused_clearly[asyncio]",),
    ),
    Mutant(
        promise="what waits by itself keeps no task that is cancelled",
        file="aio/loop.py",
        before="abandon_on_cancel=True",
        after="abandon_on_cancel=False",
        tests=("aio/test_opening.py::test_a_client_that_comes_when_nobody_wants_it_any_more_is_closed[trio]",),
    ),
    Mutant(
        promise="a client that comes when nobody wants it any more is closed",
        file="aio/opening.py",
        before="            if is_given_up:\n",
        after="            if False:\n",
        tests=("aio/test_opening.py::test_a_client_that_comes_when_nobody_wants_it_any_more_is_closed[asyncio]",),
    ),
    Mutant(
        promise="two tasks that read the same events are told so",
        file="aio/events.py",
        before="        if self._is_taken:\n",
        after="        if False:\n",
        tests=(f"{_TASKS}test_events_are_for_one_task_at_a_time[asyncio]",),
    ),
    Mutant(
        promise="of what must not be asked twice it is told that it may have been done",
        file="aio/connection.py",
        before="raise (error if command.is_repeatable else self._connection.doubt(command, error)) from None",
        after="raise error from None",
        tests=(f"{_TASKS}test_a_client_comes_back_by_itself_when_the_hub_was_lost[asyncio]",),
    ),
)
