"""A debugger of a kernel's worker, passed through message by message."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.faces.stdio.peer import Peer
from rpyc_kernel.system.threads import make_thread
from rpyc_kernel.wire.debug_adapter import DebugChannel


class ServedDebugger:
    """A debugger, from a loop.

    Args:
        channel: to the debugger; closed with this.
        number: what the peer calls it.
        peer: who debugs.
    """

    def __init__(self, channel: DebugChannel, number: str, peer: Peer) -> None:
        self._channel = channel
        self._number = number
        self._peer = peer
        self._loop = asyncio.get_running_loop()
        self._sending = ThreadPoolExecutor(1, "debugger-sending")  # in order, and off the loop
        self.has_ended = asyncio.Event()
        self._listening = make_thread(self._listen, "debugger-listening")
        self._listening.start()

    async def send(self, message: dict[str, Any]) -> None:
        """Pass a message on.

        Raises:
            ConnectionLost: the debugger is gone.
        """
        if self.has_ended.is_set():
            raise ConnectionLost(f"the debugger {self._number!r} is gone; open another one by debug/open")
        await self._loop.run_in_executor(self._sending, self._channel.send, message)

    def _listen(self) -> None:
        try:
            while True:
                told = {"debugger": self._number, "message": self._channel.receive()}
                # Waits, as more is read only when the client has read this.
                asyncio.run_coroutine_threadsafe(self._peer.tell_patiently("debug/message", told), self._loop).result()
        except ConnectionLost as error:
            reason = str(error)
        except RuntimeError:  # the loop is over
            return
        finally:
            self._channel.close()
        self._loop.call_soon_threadsafe(self._end, reason)

    def _end(self, reason: str) -> None:
        self.has_ended.set()
        self._peer.tell("debug/closed", {"debugger": self._number, "message": reason})

    async def close(self) -> None:
        """Have everything go on."""
        self._channel.hang_up()
        await self.has_ended.wait()
        await asyncio.to_thread(self._listening.join)
        self._sending.shutdown(wait=False)
