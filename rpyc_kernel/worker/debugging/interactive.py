"""The debuggers, fit for a kernel: interrupts end them, they stay in the user's frames, and end with the execution.

As they come, they take SIGINT over, answer an interrupt at their prompt with another prompt, and step from the end of
the user's code into the kernel's.
"""

from __future__ import annotations

import bdb
import functools
import pdb
import sys
from types import FrameType, TracebackType
from typing import Any

from rpyc_kernel.worker.capture import asking_execution
from rpyc_kernel.worker.user_frames import enters_user_code, first_of_users, is_hidden, is_within_user_code

_standing: dict[int, Any] = {}
"""The debugger at its prompt, by the execution that it holds."""


def find_standing(execution: int) -> Any:
    """The debugger that holds an execution at its prompt, None if there is none."""
    return _standing.get(execution)


def _fit(base: Any) -> Any:
    """Derive from a debugger one that is fit for a kernel."""

    class InKernel(base):  # type: ignore[misc]
        """What a debugger does otherwise in a worker, whichever it is."""

        _was_interrupted = False

        def __init__(self, *args: Any, **keywords: Any) -> None:
            super().__init__(*args, **keywords)
            self.nosigint = True

        def _cmdloop(self) -> None:
            execution = asking_execution()
            outer, _standing[execution] = _standing.get(execution), self
            try:
                self.cmdloop()
            except KeyboardInterrupt:
                self._was_interrupted = True
                raise
            finally:
                if outer is None:
                    del _standing[execution]
                else:  # it was started at that one's prompt
                    _standing[execution] = outer

        def interaction(self, *arguments: Any, **keywords: Any) -> None:
            """Ask for commands; an interrupt goes on, which IPython's takes for its own."""
            self._was_interrupted = False
            super().interaction(*arguments, **keywords)
            if self._was_interrupted:
                raise KeyboardInterrupt

        def get_stack(self, f: FrameType | None, t: TracebackType | None) -> tuple[list[tuple[FrameType, int]], int]:
            """Return the stack without the kernel's frames, and the place in it."""
            stack, index = super().get_stack(f, t)
            chosen = stack[index][0] if stack else None
            begin = first_of_users([frame for frame, _ in stack])
            kept = [entry for entry in stack[begin:] if not is_hidden(entry[0].f_code.co_filename)]
            frames = [frame for frame, _ in kept]
            return (kept, frames.index(chosen) if chosen in frames else len(kept) - 1) if kept else (stack, index)

        def stop_here(self, frame: FrameType) -> bool:
            """Whether to stop in a frame: not where the user's code was left for ours."""
            return is_within_user_code(frame) and super().stop_here(frame)

        def user_return(self, frame: FrameType, return_value: Any) -> None:
            """Stop where a function returns; what is noted for the prompt shall not stay in the user's namespace."""
            super().user_return(frame, return_value)
            _forget(frame, "__return__")

        def user_exception(self, frame: FrameType, exc_info: Any) -> None:
            """The same for exceptions."""
            super().user_exception(frame, exc_info)
            _forget(frame, "__exception__")

        def dispatch_exception(self, frame: FrameType, arg: Any) -> Any:
            """Look at an exception in the user's frames only, also at what ends a coroutine that it was to stop in."""
            return super().dispatch_exception(frame, arg) if is_within_user_code(frame) else self.trace_dispatch

    return InKernel


def _forget(frame: FrameType, name: str) -> None:
    if frame.f_locals is frame.f_globals:
        frame.f_globals.pop(name, None)


_KernelPdb = _fit(pdb.Pdb)


@functools.cache
def make_debugger() -> Any:
    """IPython's debugger, fit for the kernel: what ``%debug`` and ``%pdb`` start."""
    from IPython.core.debugger import Pdb

    return _fit(Pdb)


def install() -> None:
    """Become `pdb.Pdb`."""
    for run in (bdb.Bdb.run, bdb.Bdb.runeval, bdb.Bdb.runcall):
        enters_user_code(run)
    pdb.Pdb = _KernelPdb  # type: ignore[misc] # `breakpoint`, `pdb.set_trace` and `pdb.pm` use it too


def end() -> None:
    """End what a debugger does beyond the execution in which it was started."""
    tracer = getattr(sys.gettrace(), "__self__", None)
    if isinstance(tracer, bdb.Bdb):
        sys.settrace(None)
