"""What could stand at the cursor: names of the live namespace, and the front end's own commands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.introspection import MAX_MATCHES, Completion, Completions
from rpyc_kernel.errors import KernelError

_TIMEOUT_S = 2.0
_PATIENCE_S = 20.0
_PAUSE_S = 0.1


async def complete(
    get_kernel: Callable[[], KernelClient],
    code: str,
    cursor: int,
    *,
    commands: Iterable[str] = (),
    execution: int | None = None,
    is_wanted: Callable[[], bool] = lambda: True,
    show_waiting: Callable[[bool], object] = lambda is_waiting: None,
) -> AsyncGenerator[Completions, None]:
    """Yield what fits, none of it twice: what is found at once, then what takes longer.

    The kernel answers also while it is busy, and is asked again until it has read all that the source promises.

    Args:
        get_kernel: whose namespace.
        code: what is typed.
        cursor: in characters.
        commands: the front end's own, each beginning with %.
        execution: whose prompt is answered, None where code is typed.
        is_wanted: whether the user still waits for more.
        show_waiting: told whether there may be more.
    """
    word = code[:cursor].lstrip()
    if word.startswith("%") and " " not in word:
        fitting = tuple(Completion(name, "") for name in sorted(commands) if name.startswith(word))
        yield Completions(cursor - len(word), cursor, fitting)
        return
    known: set[str] = set()
    deadline = time.monotonic() + _PATIENCE_S

    def ask() -> Completions | None:
        try:
            return get_kernel().complete(code, cursor, execution=execution, timeout=_TIMEOUT_S)
        except (KernelError, TimeoutError):
            return None

    try:
        while (found := await asyncio.to_thread(ask)) is not None:
            new = tuple(item for item in found.items if item.text not in known)
            known.update(item.text for item in new)
            yield Completions(found.start, found.end, new, found.is_whole)
            if found.is_whole or len(found.items) >= MAX_MATCHES or time.monotonic() > deadline or not is_wanted():
                return
            show_waiting(True)
            await asyncio.sleep(_PAUSE_S)
    finally:
        show_waiting(False)
