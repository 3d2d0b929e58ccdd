"""What could stand at the cursor: names of the live namespace, and the console's own commands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Callable, Iterable

from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.introspection import MAX_MATCHES, Completions
from rpyc_kernel.errors import KernelError

_TIMEOUT_S = 2.0
_PATIENCE_S = 20.0
_PAUSE_S = 0.1


class KernelCompleter(Completer):
    """Asks the kernel, which answers also while it is busy, and again until it has read all that the source promises.

    Args:
        get_kernel: whose namespace.
        commands: the console's own, each beginning with %.
        show_waiting: told whether the user waits for more.
        execution: whose prompt is answered, None where code is typed.
    """

    def __init__(
        self,
        get_kernel: Callable[[], KernelClient],
        commands: Iterable[str],
        show_waiting: Callable[[bool], object],
        execution: int | None = None,
    ) -> None:
        self._get_kernel = get_kernel
        self._commands = sorted(commands)
        self._show_waiting = show_waiting
        self._execution = execution

    def for_answers(self, execution: int) -> KernelCompleter:
        """The same for what an execution asks."""
        return KernelCompleter(self._get_kernel, (), self._show_waiting, execution)

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """Yield what fits: what is found at once, then what takes longer."""
        word = document.text_before_cursor.lstrip()
        if word.startswith("%") and " " not in word:
            for name in self._commands:
                if name.startswith(word):
                    yield Completion(name, -len(word))
            return
        known: set[str] = set()
        deadline = time.monotonic() + _PATIENCE_S
        try:
            while (found := await asyncio.to_thread(self._ask, document)) is not None:
                for item in found.items:
                    if item.text not in known:
                        known.add(item.text)
                        start = found.start - document.cursor_position
                        yield Completion(item.text, start_position=start, display_meta=item.kind)
                if found.is_whole or len(found.items) >= MAX_MATCHES or time.monotonic() > deadline:
                    return
                if get_app().current_buffer.document != document:
                    return  # the editor asks for nothing else before this ends
                self._show_waiting(True)
                await asyncio.sleep(_PAUSE_S)
        finally:
            self._show_waiting(False)

    def _ask(self, document: Document) -> Completions | None:
        try:
            return self._get_kernel().complete(
                document.text, document.cursor_position, execution=self._execution, timeout=_TIMEOUT_S
            )
        except (KernelError, TimeoutError):
            return None

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Yield nothing: the console's editor asks for completions asynchronously."""
        return ()
