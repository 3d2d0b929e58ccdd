"""Questions to a kernel that are asked in threads, and answered in the thread of the widgets."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.frontend.control_characters import sanitize_line
from rpyc_kernel.faces.qt.bridge import Bridge


class Calls:
    """Asks for one widget.

    Args:
        name: of its threads.
    """

    def __init__(self, name: str) -> None:
        self._bridge = Bridge()
        self._pool = ThreadPoolExecutor(2, thread_name_prefix=name)
        self._is_open = True

    def ask(
        self, function: Callable[[], Any], then: Callable[[Any], object], fail: Callable[[str], object] = lambda _: None
    ) -> None:
        """Have something asked, and be called with the answer, or with the words of why there is none."""
        if self._is_open:
            asked = self._pool.submit(function)
            asked.add_done_callback(lambda done: self._bridge.post(lambda: _tell(done, then, fail)))

    def close(self, *_: object) -> None:
        """Ask no more, and tell no answers. A thread that waits ends when the kernel answers, or the call gives up."""
        self._is_open = False
        self._bridge.close()
        self._pool.shutdown(wait=False, cancel_futures=True)


def _tell(done: Future[Any], then: Callable[[Any], object], fail: Callable[[str], object]) -> None:
    error = done.exception()
    if error is None:
        then(done.result())
    elif isinstance(error, (KernelError, TimeoutError, ValueError, TypeError)):
        fail(sanitize_line(str(error)))
    else:
        raise error
