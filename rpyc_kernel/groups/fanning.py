"""The same question put to many kernels at once, where each waits for itself: a thread for each of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from rpyc_kernel.errors import ExecutionError, GroupFailed
from rpyc_kernel.groups.labels import describe, fold_alike
from rpyc_kernel.system.descriptors import is_shortage, max_descriptors
from rpyc_kernel.system.originals import queue
from rpyc_kernel.system.threads import make_thread, start_threads

_T = TypeVar("_T")
_SHOWN_CHARS = 300
_DESCRIPTORS = 4096


def fan_out(what: str, jobs: Mapping[str, Callable[[], _T]]) -> dict[str, _T]:
    """Do all of them at once, and wait for each, which waits no longer than it does by itself.

    Args:
        what: what they do, for people.
        jobs: by the name of the kernel.

    Returns:
        What each has returned, in order.

    Raises:
        GroupFailed: some have raised; the others are done.
    """
    if len(jobs) == 1:  # on this thread, where Ctrl-C breaks it off
        ((name, job),) = jobs.items()
        try:
            return {name: job()}
        except Exception as error:
            raise make_failure(what, {name: error}, {}) from error
    ended: queue.SimpleQueue[tuple[str, Any, Exception | None]] = queue.SimpleQueue()

    def do(name: str, job: Callable[[], _T]) -> None:
        try:
            ended.put((name, job(), None))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this one's answer
            ended.put((name, None, error))
        except BaseException as error:  # noqa: BLE001 - a thread that ends without a word would be waited for
            ended.put((name, None, RuntimeError(f"the thread was ended by {error!r}")))

    start_threads(*(make_thread(do, "rpyc_kernel-group", (name, job)) for name, job in jobs.items()))
    found = {name: (answer, error) for name, answer, error in (ended.get() for _ in jobs)}
    errors = {name: raised for name in jobs if (raised := found[name][1]) is not None}
    results = {name: found[name][0] for name in jobs if name not in errors}
    if errors:
        raise make_failure(what, errors, results)
    return results


def describe_error(error: Exception) -> str:
    """An error in one line: the code's own as it was raised there, others with their class."""
    if isinstance(error, ExecutionError):
        return f"{error.ename}: {error.evalue}"[:_SHOWN_CHARS]
    # Below the first line stands where it was raised.
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"[:_SHOWN_CHARS]


def make_failure(what: str, errors: dict[str, Exception], results: dict[str, Any]) -> GroupFailed:
    """The error that tells who has failed, and how; equal ones are told once."""
    told = fold_alike({name: describe_error(error) for name, error in errors.items()})
    total = len(errors) + len(results)
    lines = "".join(f"\n  {describe(names)}: {text}" for names, text in told)
    advice = f"\n{describe_shortage()}" if any(map(is_shortage, errors.values())) else ""
    return GroupFailed(f"{len(errors)} of {total} kernels failed at {what}:{lines}{advice}", errors, results)


def describe_shortage() -> str:
    """Why there are no descriptors left for a group, and what to do."""
    return (
        f"This program may have {max_descriptors()} descriptors, and has them all. A group takes one for each kernel, "
        "and up to five more for each while values, live objects and events travel. Let the program have more, as by "
        f"'ulimit -n {_DESCRIPTORS}' before it is started."
    )
