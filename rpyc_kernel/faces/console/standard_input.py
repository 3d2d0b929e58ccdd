"""Lines of standard input, read without holding up an asyncio loop, and never more than was asked for.

What is not read stays for whoever reads the terminal next, such as the shell.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import os
import sys
from collections.abc import Iterator

from rpyc_kernel.system import terminal_modes

_BLOCK_BYTES = 65536


class StandardInput:
    """The lines of a descriptor.

    Args:
        descriptor: what to read.
    """

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        self._decode = codecs.getincrementaldecoder(sys.stdin.encoding or "utf-8")("backslashreplace").decode
        self._text = ""
        self._has_ended = False

    async def read_line(self, prompt: str = "", *, is_hidden: bool = False) -> str:
        """Wait for a line and return it without its end.

        Args:
            prompt: written to standard output first.
            is_hidden: on a terminal, have it not echoed.

        Raises:
            EOFError: there is none.
        """
        with _without_echo(self._descriptor) if is_hidden else contextlib.nullcontext():
            if prompt:  # not before: who answers at once must not see a password
                sys.stdout.write(prompt)
                sys.stdout.flush()
            while "\n" not in self._text and not self._has_ended:
                await self._wait()
                block = os.read(self._descriptor, _BLOCK_BYTES)
                self._text += self._decode(block, final=not block)
                # A terminal can go on after an end-of-file, the others cannot.
                self._has_ended = not block and not os.isatty(self._descriptor)
                if not block:
                    break
        if not self._text:
            raise EOFError
        line, _, self._text = self._text.partition("\n")
        return line.removesuffix("\r")

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        readable = loop.create_future()
        try:
            loop.add_reader(self._descriptor, _resolve, readable)
        except PermissionError:
            return  # a file: reading it never waits
        try:
            await readable
        finally:
            loop.remove_reader(self._descriptor)


def _resolve(readable: asyncio.Future[None]) -> None:
    if not readable.done():
        readable.set_result(None)


@contextlib.contextmanager
def _without_echo(descriptor: int) -> Iterator[None]:
    if not os.isatty(descriptor):
        yield
        return
    with terminal_modes.unseen(descriptor):
        yield
