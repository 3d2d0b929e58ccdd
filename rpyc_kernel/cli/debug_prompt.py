"""A debugger's prompt, line by line, with the commands of pdb; what the program prints and asks comes in between."""

# ruff: noqa: D102, D403 - what a command of the prompt does, its help says, which begins with the command

from __future__ import annotations

import cmd
import contextlib
import getpass
import sys
import threading
from collections.abc import Callable
from functools import partial
from typing import Final

from rpyc_kernel.cli.application import RAISED, tell
from rpyc_kernel.cli.showing import status_of_exit, status_of_outcome, text_of, write_stream
from rpyc_kernel.client.debugger import Breakpoint, Debugger, Frame, Line, Stopped
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.errors import CallTimeout, KernelDied, KernelError, RequestError
from rpyc_kernel.faces.frontend.control_characters import sanitize, sanitize_line
from rpyc_kernel.system.threads import make_thread, start_threads

_AROUND: Final = 5
"""How many lines before and behind the current one ``l`` shows."""
_JOIN_S: Final = 10.0

_Go = Callable[[], Stopped | None]


class DebugPrompt(cmd.Cmd):
    """Runs a program in a debugger, and asks what to do wherever it stops.

    Args:
        kernel: where it runs.
        debugger: the kernel's.
    """

    prompt = "(debug) "
    doc_header = "Commands ('help COMMAND' tells more); anything else is run where the program stands:"

    def __init__(self, kernel: KernelClient, debugger: Debugger) -> None:
        super().__init__()
        self._kernel = kernel
        self._debugger = debugger
        self._showing = threading.RLock()
        self._shown = 0
        self._exit_status: int | None = None
        self._stopped: Stopped | None = None
        self._place = 0
        self._go: _Go | None = None

    def run(self, path: str, arguments: list[str], *, stops_first: bool) -> int:
        """Run a program to its end, with a stop at its first line or without; returns its exit status."""
        if stops_first:
            self._debugger.set_breakpoints(path, [1])
        stopped: Stopped | None = None
        go: _Go = self._debugger.wait
        with contextlib.suppress(CallTimeout):
            stopped = self._debugger.run_file(path, arguments, timeout=0.0)
            go = partial(lambda found: found, stopped)
        following = make_thread(self._follow, "debugged-output")
        start_threads(following)
        with contextlib.suppress(KernelDied):  # which the program's last event tells
            while (found := self._wait(go)) is not None:
                if stops_first:
                    self._debugger.set_breakpoints(path, [])
                    stops_first = False
                go = self._ask(found)
        following.join(_JOIN_S)
        return RAISED if self._exit_status is None else self._exit_status

    def _wait(self, go: _Go) -> Stopped | None:
        """Go on to the next stop; Ctrl-C pauses the program, and a second one interrupts it."""
        acts = [self._debugger.pause, self._interrupt]
        while True:
            try:
                return go()
            except KeyboardInterrupt:
                go = self._debugger.wait
                if acts:
                    acts.pop(0)()

    def _interrupt(self) -> None:
        execution = self._debugger.execution
        if execution is not None:
            with contextlib.suppress(RequestError):
                execution.interrupt()

    def _ask(self, stopped: Stopped) -> _Go:
        """Show where the program stands, and ask until it is to go on; returns how."""
        self._catch_up()
        self._stopped, self._place, self._go = stopped, 0, None
        if stopped.text and stopped.reason == "exception":
            print(f"exception: {sanitize_line(stopped.text)}")
        self._show_place()
        while self._go is None:
            try:
                self.cmdloop()
            except KeyboardInterrupt:
                print("\nq ends the program, c lets it go on")
        return self._go

    # ------------------------------------------------------------------ what the program says

    def _follow(self) -> None:
        execution = self._debugger.execution
        try:
            for event in self._kernel.events(execution=execution.id if execution else None):
                self._show(event, may_ask=True)
        except KernelError as error:
            if not self._kernel.is_closed:
                tell(str(error))

    def _catch_up(self) -> None:
        """Show what the program has printed before it stopped."""
        execution = self._debugger.execution
        if execution is not None:
            for event in self._kernel.events(self._shown, execution=execution.id, follow=False):
                if event.kind == Kind.INPUT_REQUESTED:
                    break
                self._show(event, may_ask=False)

    def _show(self, event: Event, *, may_ask: bool) -> None:
        with self._showing:
            if event.seq <= self._shown:
                return
            self._shown = event.seq
            self._write(event)
            sys.stdout.flush()
        if event.kind == Kind.INPUT_REQUESTED and may_ask:
            self._answer(event)

    def _write(self, event: Event) -> None:
        if event.kind == Kind.STREAM:
            write_stream(event)
        elif event.kind == Kind.DISPLAY:
            print(text_of(event))
        elif event.kind == Kind.ERROR:
            if "exit_code" in event.payload:
                self._exit_status = status_of_exit(event.exit_code)
            else:
                print(sanitize(event.traceback), file=sys.stderr, end="", flush=True)
        elif event.kind == Kind.FINISHED:
            if event.reason:
                tell(f"the program is {event.outcome}: {event.reason}")
            if self._exit_status is None:
                self._exit_status = status_of_outcome(event.outcome)

    def _answer(self, question: Event) -> None:
        text: str | None = None
        with contextlib.suppress(EOFError):
            prompt = sanitize(question.prompt)
            text = getpass.getpass(prompt) if question.password else input(prompt)
        with contextlib.suppress(RequestError):  # somebody else was faster
            self._kernel.answer_input(text, question.execution)

    # ------------------------------------------------------------------ commands

    def onecmd(self, line: str) -> bool:
        """Carry a command out; what it gets wrong is told, and the next one asked for."""
        try:
            return bool(super().onecmd(line))
        except RequestError as error:
            tell(str(error).splitlines()[-1])  # of a traceback, which error it was
        return False

    def default(self, line: str) -> None:
        if line == "EOF":
            print()
            self._end()
            return
        found = self._debugger.evaluate(line.removeprefix("!"), self._frame)
        if found.value:
            print(sanitize(found.value))

    def postcmd(self, stop: bool, line: str) -> bool:
        return stop or self._go is not None

    def do_n(self, _: str) -> None:
        """n: go on to the next line of this function."""
        self._go_on(self._debugger.step_over)

    def do_s(self, _: str) -> None:
        """s: go on, into what is called."""
        self._go_on(self._debugger.step_in)

    def do_r(self, _: str) -> None:
        """r: go on until this function has returned."""
        self._go_on(self._debugger.step_out)

    def do_c(self, _: str) -> None:
        """c: go on to the next breakpoint."""
        self._go_on(self._debugger.continue_)

    def do_p(self, argument: str) -> None:
        """p [EXPRESSION]: show its value; without one, all variables of the function."""
        if argument:
            print(sanitize(self._debugger.evaluate(argument, self._frame).value))
            return
        for each in self._debugger.variables(self._frame):
            print(sanitize(f"{each.name} = {each.value}"))

    def do_w(self, _: str) -> None:
        """w: show the stack; the frame that is looked at has an arrow."""
        for place, frame in reversed(list(enumerate(self._frames))):
            print(f"{'->' if place == self._place else '  '} {_describe(frame)}")

    def do_u(self, _: str) -> None:
        """u: look at the caller."""
        self._look(self._place + 1)

    def do_d(self, _: str) -> None:
        """d: look at what is called."""
        self._look(self._place - 1)

    def do_l(self, argument: str) -> None:
        """l [LINE]: list the lines around it, or around the current one."""
        frame = self._frame
        middle = _read_number(argument) if argument else frame.line
        lines = self._debugger.source(frame.file)
        set_ones = {each.line for each in self._debugger.breakpoints if each.file == frame.file}
        for number in range(max(1, middle - _AROUND), min(len(lines), middle + _AROUND) + 1):
            marks = f"{'B' if number in set_ones else ' '}{'->' if number == frame.line else '  '}"
            print(f"{number:4} {marks} {sanitize(lines[number - 1])}")

    def do_b(self, argument: str) -> None:
        """b [[FILE:]LINE[, CONDITION]]: set a breakpoint; without a line, list those that are set."""
        if not argument:
            for each in self._debugger.breakpoints:
                print(describe_breakpoint(each))
            return
        file, line, condition = parse_breakpoint(argument, self._frame.file)
        print(describe_breakpoint(add_breakpoint(self._debugger, file, line, condition)))

    def do_cl(self, argument: str) -> None:
        """cl [[FILE:]LINE]: remove a breakpoint; without a line, all."""
        known = self._debugger.breakpoints
        if argument:
            file, line, _ = parse_breakpoint(argument, self._frame.file)
            path = self._debugger.find_file(file)
            gone = [each for each in known if (each.file, each.line) == (path, line)]
            if not gone:
                raise RequestError(f"there is no breakpoint at {file}:{line}; b lists them")
        else:
            gone = known
        for file in dict.fromkeys(each.file for each in gone):
            kept = [_as_line(each) for each in known if each.file == file and each not in gone]
            self._debugger.set_breakpoints(file, kept)

    def do_q(self, _: str) -> None:
        """q: end the program, and leave. The kernel goes on."""
        self._end()

    def _end(self) -> None:
        self._interrupt()
        self._go = self._debugger.wait

    def _go_on(self, step: Callable[[Stopped], Stopped | None]) -> None:
        if self._stopped is not None:
            self._go = partial(step, self._stopped)

    @property
    def _frames(self) -> tuple[Frame, ...]:
        return () if self._stopped is None else self._stopped.frames

    @property
    def _frame(self) -> Frame:
        return self._frames[self._place]

    def _look(self, place: int) -> None:
        if not 0 <= place < len(self._frames):
            raise RequestError("there is no such frame; w shows them")
        self._place = place
        self._show_place()

    def _show_place(self) -> None:
        frame = self._frame
        print(f"> {_describe(frame)}")
        with contextlib.suppress(RequestError, IndexError):
            print(f"-> {sanitize(self._debugger.source(frame.file)[frame.line - 1].strip())}")


def add_breakpoint(debugger: Debugger, file: str, line: int, condition: str = "") -> Breakpoint:
    """Set one more breakpoint; returns what became of it."""
    path = debugger.find_file(file)
    kept = [_as_line(each) for each in debugger.breakpoints if each.file == path and each.line != line]
    return debugger.set_breakpoints(path, [*kept, (line, condition)])[-1]


def parse_breakpoint(text: str, file: str) -> tuple[str, int, str]:
    """Read ``[FILE:]LINE[, CONDITION]``: file, line and condition.

    Raises:
        RequestError: it is none.
    """
    place, _, condition = text.partition(",")
    named, _, line = place.strip().rpartition(":")
    return named or file, _read_number(line), condition.strip()


def describe_breakpoint(each: Breakpoint) -> str:
    """A breakpoint in one line."""
    condition = f", if {each.condition}" if each.condition else ""
    message = f" - {each.message}" if each.message else ""
    return sanitize_line(f"breakpoint at {each.file}:{each.line}{condition}{message}")


def _as_line(each: Breakpoint) -> Line:
    return (each.line, each.condition)


def _describe(frame: Frame) -> str:
    return sanitize_line(f"{frame.file}({frame.line}) {frame.name}")


def _read_number(text: str) -> int:
    if not text.strip().isdecimal() or not int(text):
        raise RequestError(f"{text!r} is no line; give a number from 1, or FILE:LINE")
    return int(text)
