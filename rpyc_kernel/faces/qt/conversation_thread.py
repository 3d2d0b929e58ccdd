"""A conversation in a thread of its own, in which its loop runs: what waits for a kernel holds up no window."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Coroutine
from threading import Lock, Thread, main_thread
from typing import Any

from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.frontend.conversation import LOST, Conversation
from rpyc_kernel.faces.frontend.widget_view import WidgetView

_log = logging.getLogger(__name__)
_END_S = 0.2
"""So long a window may stand still when it is closed."""


class ConversationThread:
    """Runs a conversation.

    Args:
        conversation: not yet begun.
        view: where it is seen.
        post: has a call made in the thread of the widgets.
        tell_end: called there with how it ended.
    """

    def __init__(
        self,
        conversation: Conversation,
        view: WidgetView,
        post: Callable[[Callable[[], object]], None],
        tell_end: Callable[[str], object],
    ) -> None:
        self._conversation = conversation
        self._view = view
        self.post = post
        self._tell_end = tell_end
        self._lock = Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_to_end = False
        self._thread = Thread(target=self._run, name=f"conversation-{conversation.kernel.name}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def call(self, function: Callable[..., object], *arguments: Any) -> None:
        """Have a function called in the loop, if there is one."""
        with self._lock:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function, *arguments)

    def spawn(self, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
        """Have something done in the loop, beside the conversation."""
        self.call(lambda: asyncio.ensure_future(work()))

    def ask(self, function: Callable[[], Any], then: Callable[[Any], object]) -> None:
        """Have something that may wait done elsewhere, and go on in the thread of the widgets with what it returns."""

        async def ask() -> None:
            with contextlib.suppress(KernelError):
                found = await asyncio.to_thread(function)
                self.post(lambda: then(found))

        self.spawn(ask)

    def close(self, *_: object) -> None:
        """End the conversation and its thread. What the kernel does goes on.

        A kernel that does not answer is not waited for; its thread then ends when the calls give up.
        """
        with self._lock:
            self._is_to_end = True
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._conversation.end)
        self.join(_END_S)

    def join(self, timeout_s: float) -> None:
        """Wait until the thread has ended, but no longer than so."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        end = LOST
        try:
            end = asyncio.run(self._talk())
        except KernelError as error:  # before it had begun
            self._conversation.kernel.close()
            self._view.show(self._conversation.transcript.say(str(error)))
        except Exception:  # noqa: BLE001 - the top of a thread
            if not main_thread().is_alive():
                return  # the program ends, and with it what could be waited with
            self._conversation.kernel.close()
            _log.exception("a conversation failed")
            self._view.show(self._conversation.transcript.say("this front end has failed; its log tells how"))
        self.post(lambda: self._tell_end(end))

    async def _talk(self) -> str:
        with self._lock:
            self._loop = asyncio.get_running_loop()
            if self._is_to_end:
                self._conversation.end()
        try:
            return await self._conversation.run(self._view)
        finally:
            with self._lock:
                self._loop = None
