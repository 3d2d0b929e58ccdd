"""Code that runs for the command line: its output is shown, its questions are answered, Ctrl-C is passed on."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from functools import partial
from typing import Any

from rpyc_kernel.cli.application import INTERRUPTED, OK, RAISED, TIMED_OUT, kernel_there, named_again, tell
from rpyc_kernel.client.events import Watch
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import Event, Force, Kind, Outcome
from rpyc_kernel.core.streams import raw_bytes
from rpyc_kernel.errors import ConnectionFailed, KernelError, NotQueued, RequestError
from rpyc_kernel.faces.console.standard_input import StandardInput
from rpyc_kernel.faces.frontend.following import follow
from rpyc_kernel.faces.frontend.summaries import is_waiting, summarise_place
from rpyc_kernel.frozen import Frozen
from rpyc_kernel.system.processes import exit_status

_END = "__import__('rpyc_kernel.worker.leaving', fromlist=['leaving']).end_program()"

_SIGNALLED = 128
"""What a shell adds to the number of the signal that has killed a program."""

LADDER = {
    Force.SIGNAL: "it is interrupted",
    Force.EXCEPTION: "an exception is raised in it",
    Force.TERMINATE: "its worker is ended, with the namespace",
}
"""The ways to end code, from the mildest on, and what is said of each."""
_PATIENCE_S = 0.5
"""How long code may wait for its turn before what it waits for is said."""
_RUNG_S = 3.0
"""How long each may take; longer than the hub waits before it shows where the code is."""


def advise_force(force: str) -> str:
    """What goes further than that has, as the end of a sentence; nothing where nothing does."""
    rungs = [*LADDER]
    further = rungs[rungs.index(force) + 1 :]
    return f"; try --force {', or '.join(further)}" if further else ""


class TimeLimit(Frozen):
    """How long code may take.

    Attributes:
        seconds: from when it is handed in.
        force: how far to go then to end it; "" leaves it running.
    """

    seconds: float
    force: str


class Show:
    """Shows one execution, in a kernel that is closed behind it, as a shell user expects it.

    Args:
        target: as which the user has named the kernel.
        shows_values: also the value of the last expression, as a prompt does and a script does not.
        has_input: whether standard input is there to answer what the code asks.
        as_json: write events, one JSON object a line.
        file: what the code is called in tracebacks, None for what the kernel calls it.
        limit: how long it may take, None for as long as it does.
    """

    def __init__(
        self,
        kernel: KernelClient,
        *,
        target: str = "",
        shows_values: bool,
        has_input: bool = True,
        as_json: bool = False,
        file: str | None = None,
        limit: TimeLimit | None = None,
    ) -> None:
        self.kernel = kernel
        self._target = target or kernel.name
        self._shows_values = shows_values
        self._has_input = has_input
        self._as_json = as_json
        self._file = file
        self._limit = limit
        self._is_late = False
        self._has_begun = False
        self._execution = 0
        self._count: int | None = None
        self._exit_status: int | None = None
        self._has_exited = False
        self._interrupts = 0
        self._passing: asyncio.Task[None] | None = None
        self._asking: tuple[Event, asyncio.Task[None]] | None = None
        self._left: asyncio.Future[None]

    def run(self, source: str) -> int:
        """Run code, show everything up to its end and return the exit status.

        The first Ctrl-C interrupts the execution, the second leaves it running.
        """
        return asyncio.run(self._run(source))

    async def _run(self, source: str) -> int:
        loop = asyncio.get_running_loop()
        self._left = loop.create_future()
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        await asyncio.sleep(0)  # a Ctrl-C from before that ends the task at an await: here, with nothing handed in
        self._input = StandardInput()
        begun = loop.time()
        watch = await asyncio.to_thread(self._submit, source)
        if self._interrupts:
            self._pass_on_once()
        showing = asyncio.ensure_future(self._show(watch))
        explaining = asyncio.ensure_future(self._explain_delay())
        limiting = None if self._limit is None else asyncio.ensure_future(self._keep(self._limit, loop.time() - begun))
        try:
            await asyncio.wait({showing, self._left}, return_when=asyncio.FIRST_COMPLETED)
            if not showing.done():
                self._tell_goodbye()
                return TIMED_OUT if self._is_late else INTERRUPTED
            showing.result()
            if self._is_late:
                return TIMED_OUT
            return RAISED if self._exit_status is None else self._exit_status
        finally:
            showing.cancel()
            explaining.cancel()
            if limiting is not None:
                limiting.cancel()
            self._stop_asking()
            await self._end_passing()
            await asyncio.to_thread(self.kernel.close)

    def _submit(self, source: str) -> Watch:
        """Queue the code; returns where the events to show come from."""
        self._execution = self.kernel.enqueue(source)
        return self.kernel.watch(0, execution=self._execution)

    async def _show(self, watch: Watch) -> None:
        async with contextlib.aclosing(follow(watch)) as batches:
            async for batch in batches:
                for event in batch:
                    await self.take(event)
                sys.stdout.flush()

    async def _explain_delay(self) -> None:
        """If the code does not start soon, say at a terminal what it waits for."""
        await asyncio.sleep(_PATIENCE_S)
        if not sys.stderr.isatty():
            return
        with contextlib.suppress(KernelError):  # whoever follows events will say so
            status = await asyncio.to_thread(self.kernel.status)
            if not self._has_begun and is_waiting(status, self._execution):
                tell(summarise_place(status, self._execution))

    def _tell_goodbye(self) -> None:
        name, number = kernel_there(self.kernel.name, self._target), self._execution
        is_left_on_purpose = self._is_late and self._limit is not None and not self._limit.force
        if is_left_on_purpose:
            print(json.dumps({"execution": number}) if self._as_json else number, flush=True)
        force = " --force terminate" if self._is_late and not is_left_on_purpose else ""
        tell(
            f"{'' if self._is_late else chr(10)}execution {number} goes on in kernel {name}; "
            f"stop it with 'rpyc-kernel interrupt {named_again(self._target)} {number}{force}'"
        )

    # ------------------------------------------------------------------ events

    async def take(self, event: Event) -> None:
        """Show an event, and do what it asks for."""
        if self._as_json:
            print(json.dumps(event.as_dict()))
        else:
            self._write(event)
        if event.kind == Kind.INPUT_REQUESTED:
            self._ask(event)
        elif event.kind == Kind.INPUT_ANSWERED and self._asking and self._asking[0].token == event.token:
            self._stop_asking()
        if event.execution != self._execution:
            return
        self._has_begun |= event.kind in (Kind.STARTED, Kind.FINISHED)
        if event.kind == Kind.QUEUED and event.payload.get("is_held"):
            self._has_begun = True  # that it waits, and for whom, is said
        if event.kind == Kind.STARTED:
            self._count = event.payload.get("count")
        if event.kind == Kind.ERROR and "exit_code" in event.payload:
            self._exit_status = status_of_exit(event.exit_code)
            if isinstance(event.exit_code, str):
                print(event.exit_code, file=sys.stderr)
        if event.kind == Kind.FINISHED and self._exit_status is None:
            self._exit_status = status_of_outcome(event.outcome)
            if event.outcome == Outcome.CANCELLED and self._interrupts:
                self._exit_status = INTERRUPTED

    def _write(self, event: Event) -> None:
        match event.kind:
            case Kind.QUEUED if event.payload.get("is_held") and event.execution == self._execution:
                print(f"execution {event.execution} waits until somebody approves it", file=sys.stderr)
            case Kind.STREAM:
                write_stream(event)
            case Kind.DISPLAY:
                print(text_of(event), flush=True)
            case Kind.RESULT if self._shows_values:
                print(text_of(event), flush=True)
            case Kind.ERROR if "exit_code" not in event.payload and event.payload.get("rich") != []:
                sys.stdout.flush()
                sys.stderr.write(self._with_file_name(event.traceback))
            case Kind.INTERRUPT_UNANSWERED:
                print(f"the code goes on in spite of the interrupt; it is here:\n{event.stack}", file=sys.stderr)
            case Kind.FINISHED if event.reason and not self._has_exited:
                sys.stdout.flush()
                stack = self.kernel.last_stack if event.outcome == Outcome.LOST else ""
                print(f"{stack}execution {event.execution} is {event.outcome}: {event.reason}", file=sys.stderr)

    def _with_file_name(self, traceback: str) -> str:
        """Name the file that the code came from, where the kernel names the input."""
        if self._file is None:
            return traceback
        return traceback.replace(f'File "<In {self._count}>"', f'File "{self._file}"')

    # ------------------------------------------------------------------ what the code asks

    def _ask(self, question: Event) -> None:
        self._stop_asking()
        self._asking = question, asyncio.ensure_future(self._answer(question))

    def _stop_asking(self) -> None:
        if self._asking is not None:
            self._asking[1].cancel()
            self._asking = None

    async def _answer(self, question: Event) -> None:
        text: str | None = None
        if self._has_input:
            prompt = "" if self._as_json else question.prompt
            with contextlib.suppress(EOFError):
                text = await self._input.read_line(prompt, is_hidden=question.password)
        try:
            await asyncio.to_thread(self.kernel.answer_input, text, question.execution)
        except RequestError as error:
            tell(str(error))  # somebody else was faster
        except KernelError:
            pass  # whoever follows events will say so

    # ------------------------------------------------------------------ the end of its time

    async def _keep(self, limit: TimeLimit, past_s: float) -> None:
        """End the code when its time is over, one rung of the ladder after the other, or leave it."""
        await asyncio.sleep(max(0.0, limit.seconds - past_s))
        self._is_late = True
        try:
            if limit.force and await self._climb(limit):
                return
        except KernelError as error:
            tell(str(error))
        if not self._left.done():
            self._left.set_result(None)

    async def _climb(self, limit: TimeLimit) -> bool:
        """Whether it has ended, or is about to."""
        what = f"execution {self._execution} has taken {limit.seconds:g} s"
        for force, word in LADDER.items():
            tell(f"{what}; {word}")
            if await self._strike(force, _RUNG_S):
                return True
            what = f"execution {self._execution} goes on"
            if force == limit.force:
                break
        return False

    async def _strike(self, force: str, wait_s: float) -> bool:
        for _ in range(2):  # it may begin between being asked to end and to leave the queue
            struck = await asyncio.to_thread(partial(self.kernel.interrupt, self._execution, force=force, wait=wait_s))
            if struck.status != "not-running":
                return bool(struck)
            with contextlib.suppress(NotQueued):
                await asyncio.to_thread(self.kernel.cancel, self._execution)
                return True
        return True

    # ------------------------------------------------------------------ Ctrl-C

    def _interrupt(self) -> None:
        self._interrupts += 1
        if self._interrupts == 1:
            if self._execution:  # else it is on its way to the queue
                self._pass_on_once()
        elif not self._left.done():
            self._left.set_result(None)

    def _pass_on_once(self) -> None:
        if self._passing is None:
            self._passing = asyncio.ensure_future(self._pass_on_interrupt())

    async def _pass_on_interrupt(self) -> None:
        try:
            await self._strike(Force.SIGNAL, 0.0)
        except KernelError as error:
            tell(str(error))

    async def _end_passing(self) -> None:
        """Hear what became of a Ctrl-C that is passed on, unless a second one leaves the code running."""
        if self._passing is not None:
            if not self._left.done():
                await asyncio.wait({self._passing}, timeout=_RUNG_S)
            self._passing.cancel()


class ShowFile(Show):
    """Runs a file of which it is given the path as the kernel sees it, as a program.

    Args:
        arguments: what follows it in ``sys.argv``.
        reload: first import anew what modules have changed.
        options: of `Show`.
    """

    def __init__(self, kernel: KernelClient, arguments: tuple[str, ...], reload: bool, **options: Any) -> None:
        super().__init__(kernel, shows_values=False, **options)
        self._arguments, self._reload = arguments, reload

    def _submit(self, source: str) -> Watch:
        self._execution = self.kernel.run_file(source, self._arguments, reload=self._reload).id
        return self.kernel.watch(0, execution=self._execution)


class ShowProgram(Show):
    """Runs a program in a private kernel, shows what happens up to the end of its last thread, and stops the kernel.

    Args:
        preparation: code to run before the program, "" for none.
        program: the path and the arguments of a program that the worker can read by itself.
        options: of `Show`.
    """

    def __init__(
        self, kernel: KernelClient, preparation: str, *, program: tuple[str, ...] = (), **options: Any
    ) -> None:
        super().__init__(kernel, shows_values=False, **options)
        self._preparation = preparation
        self._path_and_arguments = program
        self._ours: set[int] = set()
        self._stopping: asyncio.Future[None] | None = None

    def _submit(self, source: str) -> Watch:
        if self._preparation:
            self._ours.add(self.kernel.enqueue(self._preparation))
        if self._path_and_arguments:
            path, *arguments = self._path_and_arguments
            self._program = self.kernel.run_file(path, arguments).id
        else:
            self._program = self.kernel.enqueue(source)
        self._execution = self._program
        return self.kernel.watch(0)

    async def _show(self, watch: Watch) -> None:
        try:
            await super()._show(watch)
        except ConnectionFailed:
            if self._stopping is None:
                raise
        if self._stopping is not None:
            await self._stopping

    def _concerns_program(self, event: Event) -> bool:
        if event.execution in self._ours:
            return event.kind not in (Kind.QUEUED, Kind.STARTED, Kind.RESULT, Kind.FINISHED)
        return event.execution is not None or event.kind == Kind.STREAM

    async def take(self, event: Event) -> None:
        """Show an event, and take the next step when one is done."""
        if self._stopping is not None:  # what the interpreter says while it ends is none of the program's
            return
        if event.kind == Kind.WORKER_DIED and event.exit_code is not None:
            self._has_exited = event.exit_code >= 0
            self._exit_status = event.exit_code if self._has_exited else _SIGNALLED - event.exit_code
        if self._concerns_program(event):
            await super().take(event)
        if event.kind != Kind.FINISHED or event.execution != self._execution:
            return
        if event.execution == self._program and event.outcome in (Outcome.OK, Outcome.ERROR, Outcome.INTERRUPTED):
            self._execution = await asyncio.to_thread(self.kernel.enqueue, _END)
            self._ours.add(self._execution)
            return
        if event.outcome == Outcome.INTERRUPTED:
            self._exit_status = INTERRUPTED
        # Beside what shows events, as the hub waits for a moment until those who read them have the last ones.
        self._stopping = asyncio.ensure_future(asyncio.to_thread(self.kernel.shutdown))

    def _tell_goodbye(self) -> None:
        """Nothing goes on: the kernel ends with its only client."""


def write_stream(event: Event) -> None:
    """Write what code has written where it did, byte for byte."""
    stream = sys.stderr if event.name == "stderr" else sys.stdout
    raw = raw_bytes(event.payload)
    if raw is None:
        stream.write(event.text)
    else:
        stream.flush()
        stream.buffer.write(raw)
    stream.flush()


def text_of(event: Event) -> str:
    """What is shown, as text."""
    return str(event.data.get("text/plain", f"<{', '.join(event.data)}>"))


def status_of_outcome(outcome: str) -> int:
    """The exit status of code that has ended so."""
    return {Outcome.OK: OK, Outcome.INTERRUPTED: INTERRUPTED}.get(outcome, RAISED)


def status_of_exit(code: int | str | None) -> int:
    """What ``sys.exit(code)`` makes the exit status of a script."""
    if code is None:
        return OK
    return exit_status(code) if isinstance(code, int) else RAISED
