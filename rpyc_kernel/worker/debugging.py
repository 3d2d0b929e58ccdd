"""The standard debugger, fit for a kernel: interrupts end it, and it ends with the execution.

As it comes, it takes SIGINT over, answers an interrupt at its prompt with another prompt, and steps from the end of the
user's code into the kernel's.
"""

from __future__ import annotations

import bdb
import pdb
import sys
from types import FrameType, TracebackType
from typing import Any

from rpyc_kernel.worker.user_frames import enters_user_code, is_entrance, is_hidden, is_within_user_code


class KernelPdb(pdb.Pdb):
    """What `pdb.Pdb` is in a worker; `breakpoint`, `pdb.set_trace` and `pdb.pm` use it too."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.nosigint = True

    def _cmdloop(self) -> None:
        self.cmdloop()

    def get_stack(self, f: FrameType | None, t: TracebackType | None) -> tuple[list[tuple[FrameType, int]], int]:
        """Return the stack without the kernel's frames, and the place in it."""
        stack, index = super().get_stack(f, t)
        chosen = stack[index][0] if stack else None
        begin = next((number for number, (frame, _) in enumerate(stack) if is_entrance(frame)), 0)
        kept = [entry for entry in stack[begin:] if not is_hidden(entry[0].f_code.co_filename)]
        frames = [frame for frame, _ in kept]
        return (kept, frames.index(chosen) if chosen in frames else len(kept) - 1) if kept else (stack, index)

    def stop_here(self, frame: FrameType) -> bool:
        """Whether to stop in a frame: not where the user's code was left for ours."""
        return is_within_user_code(frame) and super().stop_here(frame)


def install() -> None:
    """Become `pdb.Pdb`."""
    for run in (bdb.Bdb.run, bdb.Bdb.runeval, bdb.Bdb.runcall):
        enters_user_code(run)
    pdb.Pdb = KernelPdb  # type: ignore[misc]


def end() -> None:
    """End what a debugger does beyond the execution in which it was started."""
    tracer = getattr(sys.gettrace(), "__self__", None)
    if isinstance(tracer, bdb.Bdb):
        sys.settrace(None)
