"""``print`` in one piece, so that lines of threads that print at the same time stay whole.

The built-in one writes every argument, separator and line end by itself, and another thread may write in between.
What this one cannot do better, because it goes to some other file or is an error, it leaves to the built-in one.
"""

from __future__ import annotations

import builtins
import sys
from typing import Any

from rpyc_kernel.worker.capture import Stream
from rpyc_kernel.worker.interrupts import Interrupts, runs_user_code

_print_in_pieces = builtins.print


def install(interrupts: Interrupts) -> None:
    """Become the `print` of user code."""

    @runs_user_code
    def print_whole(
        *values: object, sep: str | None = " ", end: str | None = "\n", file: Any = None, flush: Any = False
    ) -> None:
        stream = sys.stdout if file is None else file
        if type(stream) is Stream and type(sep) is str and type(end) is str:
            stream.write((sep.join(map(str, values)) if len(values) != 1 else str(values[0])) + end)
            return
        _print_in_pieces(*values, sep=sep, end=end, file=file, flush=flush)
        interrupts.check()  # one that came in this very function was kept

    print_whole.__name__ = print_whole.__qualname__ = "print"
    print_whole.__module__ = "builtins"  # where pickle looks for it
    print_whole.__doc__ = _print_in_pieces.__doc__
    builtins.print = print_whole
