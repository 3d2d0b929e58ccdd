"""What Tab brings at the prompt."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable

from prompt_toolkit.application import get_app
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.faces.frontend.completing import complete


class KernelCompleter(Completer):
    """Asks the kernel; see `complete`.

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
        self._commands = list(commands)
        self._show_waiting = show_waiting
        self._execution = execution

    def for_answers(self, execution: int) -> KernelCompleter:
        """The same for what an execution asks."""
        return KernelCompleter(self._get_kernel, (), self._show_waiting, execution)

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        """Yield what fits: what is found at once, then what takes longer."""
        answers = complete(
            self._get_kernel,
            document.text,
            document.cursor_position,
            commands=self._commands,
            execution=self._execution,
            # Until this ends, the editor asks for nothing else.
            is_wanted=lambda: get_app().current_buffer.document == document,
            show_waiting=self._show_waiting,
        )
        async with contextlib.aclosing(answers):
            async for found in answers:
                for item in found.items:
                    start = found.start - document.cursor_position
                    yield Completion(item.text, start_position=start, display_meta=item.kind)

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """Yield nothing: the console's editor asks for completions asynchronously."""
        return ()
