"""A debugger of a kernel: breakpoints by file and line, code run up to them, stacks, values and steps.

debugpy does the debugging, in the worker; the Debug Adapter Protocol is the language. A thread reads what it says.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import posixpath
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, NoReturn, Protocol, TypeAlias

from rpyc_kernel.client.arguments import check_methods
from rpyc_kernel.core.contract import Space
from rpyc_kernel.core.seconds import show_seconds
from rpyc_kernel.errors import CallTimeout, ConnectionLost, KernelDied, KernelError, RequestError
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.system.originals import threading
from rpyc_kernel.system.threads import make_thread, start_threads
from rpyc_kernel.wire.debug_adapter import DebugChannel, Message

if TYPE_CHECKING:
    from rpyc_kernel.client.execution import Execution

_ANSWER_S: Final = 30.0
_LEAVING_S: Final = 5.0
_DEATH_S: Final = 5.0
"""For how long the reason of a worker's end is waited for."""
_MAX_FRAMES: Final = 200

Line: TypeAlias = "int | tuple[int, str]"
"""A line from 1, or a line and the condition under which to stop there."""


class Kernel(Protocol):
    """What a debugger needs of a client."""

    def submit(self, code: str, *, file: str | None = ..., first_line: int = ...) -> Execution: ...  # noqa: D102

    def run_file(  # noqa: D102
        self,
        path: str | os.PathLike[str],
        args: Sequence[str] = ...,
        *,
        cwd: str | None = ...,
        namespace: str = ...,
        reload: bool = ...,
    ) -> Execution: ...

    def cwd(self) -> str: ...  # noqa: D102


class Breakpoint(Frozen):
    """Where code is to stop.

    Attributes:
        file: the file, as the worker sees it; a cell's is ``<In number>``.
        line: from 1; it is a later one than was asked for where that has no code.
        condition: an expression; "" stops always.
        is_verified: whether the worker has found code there.
        message: what is wrong with it, "" if nothing is.
    """

    file: str
    line: int
    condition: str = ""
    is_verified: bool = False
    message: str = ""


class Frame(Frozen):
    """One call that has not returned.

    Attributes:
        name: of the function, ``<module>`` outside of any.
        file: as in `Breakpoint`.
        line: where it is, from 1.
        id: what the debugger calls it, until code goes on.
    """

    name: str
    file: str
    line: int
    id: int


class Stopped(Frozen):
    """Code that stands still.

    Attributes:
        reason: ``breakpoint``, ``step``, ``pause`` or ``exception``.
        thread: which thread.
        frames: its stack, innermost first.
        text: what else there is to say, such as which exception it was.
    """

    reason: str
    thread: int
    frames: tuple[Frame, ...]
    text: str = ""


class Shown(Frozen):
    """A value, as the debugger shows it.

    Attributes:
        name: of the variable, or of the part.
        value: as text.
        type: the name of its type.
        reference: what its parts are asked for by, 0 where it has none.
    """

    name: str
    value: str
    type: str = ""
    reference: int = 0


@check_methods
class Debugger:
    r"""Debugs a kernel, until it is closed; what is stopped then goes on. There is one of a kernel at a time.

    Breakpoints hold for all code of the kernel, whoever has submitted it, as often as it runs.

    Args:
        kernel: a client of the kernel.
        channel: to its debugger; closed with this.

    Attributes:
        execution: what was run in the debugger last, None before.

    Example:
        >>> run = kernel.execute("def double(number):\n    return 2 * number")
        >>> with kernel.debugger() as debugger:
        ...     found = debugger.set_breakpoints(run.count, [(2, "number > 3")])
        ...     stopped = debugger.run("double(3) + double(4)")
        ...     stopped.reason, stopped.frames[0].line, debugger.evaluate("number").value
        ('breakpoint', 2, '4')
    """

    def __init__(self, kernel: Kernel, channel: DebugChannel) -> None:
        self._kernel = kernel
        self._channel = channel
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._answers: dict[int, Message | None] = {}
        self._stops: list[Message] = []
        self._last: Stopped | None = None  # what stands still; None as soon as it has gone on
        self._goes_on = True
        self._loss = ""
        self._has_ended = False  # what was run here, since that was told last
        self._breakpoints: dict[str, list[Breakpoint]] = {}
        self.execution: Execution | None = None
        self._reading = make_thread(self._read, "debugger-reading")
        start_threads(self._reading)
        try:
            self._ask("initialize", adapterID="", clientID="rpyc_kernel", pathFormat="path")
            self._ask("attach", justMyCode=True)
            self._ask("configurationDone")
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Debugger:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    # ------------------------------------------------------------------ breakpoints

    def set_breakpoints(self, file: str | os.PathLike[str] | int, lines: Sequence[Line]) -> list[Breakpoint]:
        r"""Set the breakpoints of a file; those that it had before are gone.

        Args:
            file: as the worker sees it; a relative path counts from the worker's folder. A number is that of an input.
            lines: each a line, from 1, or a pair of a line and a condition; none at all removes them.

        Returns:
            What became of each: where it is, whether it is verified, and what is wrong with it. One in an input to
            come is not verified, and holds then.

        Raises:
            RequestError: a line is no number.
            ConnectionLost: the worker is gone.

        Example:
            >>> run = kernel.execute("def double(number):\n    return 2 * number")
            >>> with kernel.debugger() as debugger:
            ...     found = debugger.set_breakpoints(run.count, [2, (99, "number > 1")])
            >>> [each.is_verified for each in found]
            [True, False]
            >>> found[1].message == f"<In {run.count}> has no code at line 99 or behind it"
            True
        """
        path = self.find_file(file)
        wanted = [_read_line(each) for each in lines]
        body = self._ask(
            "setBreakpoints",
            source={"path": path},
            breakpoints=[{"line": line, **({"condition": test} if test else {})} for line, test in wanted],
        )
        told = body.get("breakpoints") or [{}] * len(wanted)
        found = [
            Breakpoint(path, int(each.get("line") or line), test, bool(each.get("verified")), each.get("message") or "")
            for (line, test), each in zip(wanted, told, strict=False)
        ]
        self._breakpoints[path] = found
        return list(found)

    def find_file(self, file: str | os.PathLike[str] | int, cwd: str | None = None) -> str:
        """The name that frames have of a file: its path there, where the worker may be on another machine.

        Args:
            file: as in `set_breakpoints`.
            cwd: from which folder a relative path counts; None for the worker's.

        Example:
            >>> with kernel.debugger() as debugger:
            ...     debugger.find_file(3), debugger.find_file("model.py", "/srv")
            ('<In 3>', '/srv/model.py')
        """
        if isinstance(file, int):
            return f"<In {file}>"
        path = os.fspath(file)
        if path.startswith("<") or posixpath.isabs(path):
            return path
        folder = cwd if cwd and posixpath.isabs(cwd) else posixpath.join(self._kernel.cwd(), cwd or "")
        return posixpath.normpath(posixpath.join(folder, path))

    @property
    def breakpoints(self) -> list[Breakpoint]:
        """Those that are set.

        Example:
            >>> with kernel.debugger() as debugger:
            ...     debugger.breakpoints
            []
        """
        return [each for found in self._breakpoints.values() for each in found]

    # ------------------------------------------------------------------ running

    def run(
        self, code: str, *, file: str | None = None, first_line: int = 1, timeout: float | None = None
    ) -> Stopped | None:
        """Run code in the debugger, up to the first stop or to its end.

        Args:
            code: the source.
            file: the file that it is a part of; without one it is an input, as any other.
            first_line: the line of the file in which it begins, from 1.
            timeout: as for `wait`.

        Returns:
            As `wait`.

        Raises:
            RequestError: code stands still, behind which this would wait.

        Example:
            >>> with kernel.debugger() as debugger:
            ...     debugger.run("answer = 6 * 7") is None, debugger.execution.status
            (True, 'ok')
        """
        self._require_all_goes_on()
        return self._await(self._kernel.submit(code, file=file, first_line=first_line), timeout)

    def run_file(
        self,
        path: str | os.PathLike[str],
        args: Sequence[str] = (),
        *,
        cwd: str | None = None,
        namespace: str = Space.CURRENT,
        reload: bool = False,
        timeout: float | None = None,
    ) -> Stopped | None:
        r"""Run a file in the debugger, as `KernelClient.run_file` does, up to the first stop or to its end.

        Args:
            path: of the file, as the worker sees it.
            args: what follows the path in ``sys.argv``.
            cwd: the program's working directory, None for the worker's.
            namespace: ``current``, or ``fresh`` for one that goes with the program.
            reload: whether modules of the user's that have changed are reloaded before.
            timeout: as for `wait`.

        Returns:
            As `wait`.

        Raises:
            RequestError: code stands still, behind which this would wait.

        Example:
            >>> import pathlib, tempfile
            >>> program = pathlib.Path(tempfile.mkdtemp(), "program.py")
            >>> written = program.write_text("import sys\nwords = sys.argv[1:]\nprint(words)\n")
            >>> with kernel.debugger() as debugger:
            ...     found = debugger.set_breakpoints(program, [3])
            ...     stopped = debugger.run_file(program, ["one"])
            ...     debugger.evaluate("words", stopped.frames[0]).value
            "['one']"
        """
        self._require_all_goes_on()
        program = self._kernel.run_file(self.find_file(path, cwd), args, cwd=cwd, namespace=namespace, reload=reload)
        return self._await(program, timeout)

    def wait(self, timeout: float | None = None) -> Stopped | None:
        """Wait until code stops: what was run here, or what anybody has submitted.

        Args:
            timeout: in seconds; None waits as long as it takes.

        Returns:
            Where it stands; None if what was run here has ended, which is told once. Its `execution` knows how.

        Raises:
            CallTimeout: neither happened in time. The code goes on.
            KernelDied: the worker that was debugged is gone.
            ConnectionLost: the connection is.

        Example:
            >>> with kernel.debugger() as debugger:
            ...     debugger.wait(timeout=0.1)
            Traceback (most recent call last):
            rpyc_kernel.errors.CallTimeout: nothing has stopped within 0.1 s; pause() stops what runs
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        while True:
            with self._changed:
                is_there = self._changed.wait_for(
                    lambda: self._stops or self._loss or self._has_ended,
                    None if deadline is None else max(0.0, deadline - time.monotonic()),
                )
                stop = self._stops[0] if self._stops else None
                loss, has_ended = self._loss, self._has_ended
                self._has_ended = has_ended and stop is not None
            if stop is not None:
                found = self._look_at(stop)
                with self._changed:  # not before: who is interrupted meanwhile has it told once more
                    if self._stops and self._stops[0] is stop:
                        del self._stops[0]
                if found:
                    return found
            elif loss:
                self._raise_loss(loss)
            elif has_ended:
                return None
            elif not is_there:
                raise CallTimeout(
                    f"nothing has stopped within {show_seconds(timeout or 0.0)} s; pause() stops what runs"
                )

    # ------------------------------------------------------------------ at a stop

    def step_over(self, stopped: Stopped, *, timeout: float | None = None) -> Stopped | None:
        r"""Go on to the next line of the same function.

        Args:
            stopped: where the code stands.
            timeout: as for `wait`.

        Returns:
            As `wait`.

        Example:
            >>> run = kernel.execute("def double(number):\n    result = 2 * number\n    return result")
            >>> with kernel.debugger() as debugger:
            ...     found = debugger.set_breakpoints(run.count, [2])
            ...     stopped = debugger.run("double(4)")
            ...     debugger.step_over(stopped).frames[0].line
            3
        """
        return self._go_on("next", stopped, timeout)

    def step_in(self, stopped: Stopped, *, timeout: float | None = None) -> Stopped | None:
        r"""Go on into what is called, or to the next line. Arguments and result are those of `step_over`.

        Example:
            >>> run = kernel.execute("def one():\n    return 1\ndef two():\n    return 2 * one()")
            >>> with kernel.debugger() as debugger:
            ...     found = debugger.set_breakpoints(run.count, [4])
            ...     stopped = debugger.run("two()")
            ...     debugger.step_in(stopped).frames[0].name
            'one'
        """
        return self._go_on("stepIn", stopped, timeout)

    def step_out(self, stopped: Stopped, *, timeout: float | None = None) -> Stopped | None:
        r"""Go on until the function has returned. Arguments and result are those of `step_over`.

        Example:
            >>> run = kernel.execute("def one():\n    return 1\ndef two():\n    return 2 * one()")
            >>> with kernel.debugger() as debugger:
            ...     found = debugger.set_breakpoints(run.count, [2])
            ...     stopped = debugger.run("two()")
            ...     debugger.step_out(stopped).frames[0].name
            'two'
        """
        return self._go_on("stepOut", stopped, timeout)

    def continue_(self, stopped: Stopped, *, timeout: float | None = None) -> Stopped | None:
        r"""Go on to the next stop. Arguments and result are those of `step_over`.

        Example:
            >>> run = kernel.execute("def double(number):\n    result = 2 * number\n    return result")
            >>> with kernel.debugger() as debugger:
            ...     found = debugger.set_breakpoints(run.count, [2])
            ...     stopped = debugger.run("double(4)")
            ...     debugger.continue_(stopped) is None
            True
        """
        return self._go_on("continue", stopped, timeout)

    def pause(self) -> None:
        """Have code that runs stop at its next line; `wait` then tells where.

        Example:
            >>> with kernel.debugger() as debugger:
            ...     debugger.pause()
        """
        self._ask("pause", threadId="*")

    def variables(self, of: Frame | Shown | None = None) -> list[Shown]:
        r"""List the variables of a frame, or the parts of a value.

        Args:
            of: a frame of what has stopped, None for the innermost one; or a value that this has listed.

        Raises:
            RequestError: code has gone on meanwhile.

        Example:
            >>> run = kernel.execute("def first(numbers):\n    return numbers[0]")
            >>> with kernel.debugger() as debugger:
            ...     found = debugger.set_breakpoints(run.count, [2])
            ...     stopped = debugger.run("first([3, 4])")
            ...     shown = debugger.variables()[0]
            ...     shown.name, shown.value, debugger.variables(shown)[0].value
            ('numbers', '[3, 4]', '3')
        """
        reference = of.reference if isinstance(of, Shown) else self._find_scope(of or self._innermost())
        if not reference:
            return []
        found = self._ask("variables", variablesReference=reference).get("variables", ())
        # What debugpy groups, such as "special variables", has no type.
        return [_show(each) for each in found if each.get("type") or not each.get("variablesReference")]

    def evaluate(self, code: str, frame: Frame | None = None) -> Shown:
        r"""Evaluate an expression, or run a statement, where code stands.

        Args:
            code: the source.
            frame: where; None for the innermost one.

        Returns:
            The value; that of a statement is empty.

        Raises:
            RequestError: it has raised an error, which the message shows; or nothing stands still.

        Example:
            >>> run = kernel.execute("def double(number):\n    result = 2 * number\n    return result")
            >>> with kernel.debugger() as debugger:
            ...     found = debugger.set_breakpoints(run.count, [2])
            ...     stopped = debugger.run("double(4)")
            ...     debugger.evaluate("number + 38").value
            '42'
        """
        place = (frame or self._innermost()).id
        body = self._ask("evaluate", expression=code, context="repl", frameId=place)
        return _show({"name": code, "value": body.get("result"), **body})

    def source(self, file: str) -> list[str]:
        r"""The lines of a file or an input, as the worker has them.

        Args:
            file: as in `Frame`.

        Raises:
            RequestError: it has none.

        Example:
            >>> run = kernel.execute("a = 1\nb = 2")
            >>> with kernel.debugger() as debugger:
            ...     debugger.source(f"<In {run.count}>")
            ['a = 1', 'b = 2']
        """
        return str(self._ask("source", source={"path": file}).get("content", "")).splitlines()

    def close(self) -> None:
        """End it; all that is stopped goes on, and no breakpoint is left.

        Example:
            >>> debugger = kernel.debugger()
            >>> debugger.close()
        """
        try:
            with contextlib.suppress(KernelError):
                if not self._loss:
                    self._ask("disconnect", _LEAVING_S, terminateDebuggee=False)
        finally:
            self._channel.hang_up()
            self._reading.join()

    # ------------------------------------------------------------------ the conversation

    def _ask(self, command: str, limit_s: float = _ANSWER_S, /, **arguments: Any) -> Message:
        number = next(self._numbers)
        with self._changed:
            self._answers[number] = None
        try:
            with contextlib.suppress(ConnectionLost):  # the thread that reads knows why
                self._channel.send({"type": "request", "seq": number, "command": command, "arguments": arguments})
            with self._changed:
                self._changed.wait_for(lambda: self._answers[number] or self._loss, limit_s)
                answer, loss = self._answers[number], self._loss
        finally:
            with self._changed:
                del self._answers[number]
        if answer is None:
            if loss:
                self._raise_loss(loss)
            raise CallTimeout(f"the debugger did not answer {command!r} within {show_seconds(limit_s)} s")
        if not answer.get("success"):
            raise RequestError(str(answer.get("message") or f"the debugger refused {command!r}").strip())
        return answer.get("body") or {}

    def _read(self) -> None:
        try:
            while True:
                self._take(self._channel.receive())
        except ConnectionLost as error:
            loss = str(error)
        finally:
            self._channel.close()
        with self._changed:
            self._loss = loss
            self._changed.notify_all()

    def _take(self, message: Message) -> None:
        with self._changed:
            if message.get("type") == "response":
                if message.get("request_seq") in self._answers:
                    self._answers[message["request_seq"]] = message
            elif message.get("event") == "stopped":
                self._stops.append(message.get("body") or {})
                self._goes_on = False
            elif message.get("event") == "continued":
                self._stops.clear()
                self._last, self._goes_on = None, True
            self._changed.notify_all()

    def _require_all_goes_on(self) -> None:
        if self._last is not None:
            raise RequestError("code stands still, and what is run now would wait behind it: continue_() it first")

    def _await(self, execution: Execution, timeout_s: float | None) -> Stopped | None:
        self.execution, self._has_ended = execution, False
        execution.add_done_callback(self._note_end)
        return self.wait(timeout_s)

    def _note_end(self, execution: Any) -> None:
        with self._changed:
            self._has_ended = self._has_ended or execution is self.execution
            self._changed.notify_all()

    def _go_on(self, command: str, stopped: Stopped, timeout_s: float | None) -> Stopped | None:
        with self._changed:
            if self._last is not stopped and not self._loss:
                raise RequestError("that code has gone on meanwhile; wait() tells where it stops next")
            self._last = None
        self._ask(command, threadId=stopped.thread)
        return self.wait(timeout_s)

    def _innermost(self) -> Frame:
        stopped = self._last
        if stopped is None or not stopped.frames:
            raise RequestError("no code stands still in the debugger; evaluate in the namespace by kernel.eval")
        return stopped.frames[0]

    def _look_at(self, stop: Message) -> Stopped | None:
        """Where code stands; None if it has gone on already."""
        thread = stop.get("threadId", 0)
        try:
            frames = self._ask("stackTrace", threadId=thread, levels=_MAX_FRAMES).get("stackFrames", ())
        except RequestError:
            return None
        reason = str(stop.get("reason", ""))
        found = tuple(_read_frame(each) for each in frames)
        stopped = Stopped(reason, thread, found, str(stop.get("text") or stop.get("description") or ""))
        with self._changed:
            self._last = None if self._goes_on else stopped
        return self._last

    def _find_scope(self, frame: Frame) -> int:
        scopes = self._ask("scopes", frameId=frame.id).get("scopes") or [{}]
        return int(scopes[0].get("variablesReference", 0))

    def _raise_loss(self, loss: str) -> NoReturn:
        """Tell why the debugger is gone: most often since the worker is, of which the execution knows more."""
        if self.execution is not None:
            with contextlib.suppress(TimeoutError):
                error = self.execution.exception(timeout=_DEATH_S)
                if isinstance(error, KernelDied):
                    raise error
        raise ConnectionLost(loss)


def _read_line(line: Any) -> tuple[int, str]:
    number, condition = line if isinstance(line, tuple) and len(line) == 2 else (line, "")
    if type(number) is not int or number < 1 or not isinstance(condition, str):
        raise RequestError(f"{line!r} is no line; give a number from 1, or a pair of it and a condition")
    return number, condition


def _read_frame(frame: Message) -> Frame:
    path = str((frame.get("source") or {}).get("path", ""))
    return Frame(str(frame.get("name", "")), path, int(frame.get("line", 0)), int(frame.get("id", 0)))


def _show(told: Message) -> Shown:
    reference = int(told.get("variablesReference") or 0)
    return Shown(str(told.get("name", "")), str(told.get("value", "")), str(told.get("type") or ""), reference)
