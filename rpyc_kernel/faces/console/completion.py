"""What could stand at the cursor: names of the live namespace, and the console's own commands."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Iterable

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.errors import KernelError

_TIMEOUT_S = 2.0


class KernelCompleter(Completer):
    """Asks the kernel, which answers also while it is busy; what it cannot say in time is left out.

    Args:
        get_kernel: whose namespace.
        commands: the console's own, each beginning with %.
    """

    def __init__(self, get_kernel: Callable[[], KernelClient], commands: Iterable[str]) -> None:
        self._get_kernel = get_kernel
        self._commands = sorted(commands)

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """Yield what fits."""
        for completion in await asyncio.to_thread(lambda: list(self.get_completions(document, complete_event))):
            yield completion

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Yield what fits; waits for the kernel."""
        word = document.text_before_cursor.lstrip()
        if word.startswith("%") and " " not in word:
            yield from (Completion(name, -len(word)) for name in self._commands if name.startswith(word))
            return
        try:
            found = self._get_kernel().complete(document.text, document.cursor_position, timeout=_TIMEOUT_S)
        except (KernelError, TimeoutError):
            return
        for item in found.items:
            yield Completion(item.text, start_position=found.start - document.cursor_position, display_meta=item.kind)
