"""The same done to many kernels at once, so that one that is slow or away keeps back none of the others."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from typing import TypeVar

from rpyc_kernel.system.threads import make_thread, start_threads

_T = TypeVar("_T")
_MOST_AT_ONCE = 32


def do_all(targets: Sequence[str], act: Callable[[str], _T]) -> Iterator[tuple[str, Future[_T]]]:
    """Yield each target, in order, with the future of what comes of it, which has ended."""
    futures: dict[str, Future[_T]] = {target: Future() for target in targets}
    todo = deque(futures.items())

    def work() -> None:
        while todo:
            try:
                target, future = todo.popleft()
            except IndexError:  # another thread was faster
                return
            try:
                future.set_result(act(target))
            except Exception as error:  # noqa: BLE001 - told by whoever looks at the future
                future.set_exception(error)

    start_threads(*(make_thread(work, "rpyc_kernel-group") for _ in range(min(len(futures), _MOST_AT_ONCE))))
    for target, future in futures.items():
        future.exception()
        yield target, future
