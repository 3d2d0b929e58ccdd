"""The conversation between one person and a kernel: reads code, hands it in, waits or lets it go on, answers questions.

Everything happens in one asyncio loop. Threads only wait, one for each call that the kernel has not answered yet. A
Ctrl-C is an event like any other, so it never strikes in the middle of anything.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
from collections.abc import Callable
from functools import partial
from typing import Any

from rpyc_kernel.client.events import Watch
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.client.returning import HOPELESS
from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.core.introspection import Completeness
from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces import LEAVING
from rpyc_kernel.faces.console.commands import ConsoleCommands
from rpyc_kernel.faces.console.console_state import ConsoleState, CtrlC
from rpyc_kernel.faces.console.control_characters import is_colourful, sanitize
from rpyc_kernel.faces.console.following import follow
from rpyc_kernel.faces.console.foreground import Foreground
from rpyc_kernel.faces.console.interrupting import Interrupting
from rpyc_kernel.faces.console.kernel_link import KernelLink, describe_loss
from rpyc_kernel.faces.console.output import Transcript, find_superseded
from rpyc_kernel.faces.console.pictures import pictures_of_terminal
from rpyc_kernel.faces.console.pipe import Pipe
from rpyc_kernel.faces.console.recalled_history import recall
from rpyc_kernel.faces.console.render import Renderer, first_line, join_numbers
from rpyc_kernel.faces.console.screen import Interrupted, Screen, Withdrawn
from rpyc_kernel.faces.console.session_slot import is_session_slot
from rpyc_kernel.faces.console.source import (
    ends_in_semicolon,
    find_indent_here,
    indent_after,
    is_ended_cell,
    is_leaving,
    is_one_line_command,
)
from rpyc_kernel.faces.console.status_bar import StatusBar
from rpyc_kernel.faces.console.summaries import summarise_trouble
from rpyc_kernel.settings import Folders
from rpyc_kernel.system.home import Home
from rpyc_kernel.system.own_command import as_typed_here

_COMPLETENESS_TIMEOUT_S = 0.3
_PAUSE_S = 0.03
_ACKNOWLEDGE_S = 0.5
_BAR_S = 0.1
_NUMBER_S = 1.0
_STOPPING_S = 10.0
_MAX_REPLAYED = 300

LEFT, LOST, REFUSED, INTERRUPTED, TERMINATED = "left", "lost", "refused", "interrupted", "terminated"
"""How a conversation ends; refused: the user was sent away, or is for another reason not let in again."""


class Console:
    """One person's place in a kernel.

    Args:
        kernel: the kernel; closed at the end.
        welcome: shown first.
        target: as which commands find the kernel, "" for its name.
        host: the machine where the kernel is, "" for this one.
        replays: show what happened before the user came.
        is_viewer: the user only looks on.

    Attributes:
        was_used: whether the user has typed anything.
    """

    def __init__(
        self,
        kernel: KernelClient,
        welcome: str,
        *,
        target: str = "",
        host: str = "",
        replays: bool = False,
        is_viewer: bool = False,
    ) -> None:
        self.was_used = False
        self._target = target or kernel.name
        self._state = ConsoleState(kernel.session)
        self._link = KernelLink(kernel, self, self._state)
        self._replays = replays
        self.bar = StatusBar(self._state, host=host, is_viewer=is_viewer)
        self.screen: Screen
        self.output: Transcript
        self._welcome = welcome
        pictures = pictures_of_terminal(Home(Folders.from_environment().state / kernel.name).pictures, host)
        self.renderer = Renderer(
            kernel.session,
            is_colourful=is_colourful(sys.stdout),
            shows_visit=is_session_slot,
            show_picture=pictures.show,
        )
        self._interrupting = Interrupting(self._link, self, self._state)
        self._foreground = Foreground(self._link, self, self._state, self.renderer, self._interrupting)
        self._commands = ConsoleCommands(self._link, self, self._state, self._foreground, self._interrupting)
        self._has_number = asyncio.Event()  # of what was handed in last
        self._has_number.set()
        self._paging = asyncio.Lock()
        self._changed: asyncio.Future[None]
        self._breakable: asyncio.Task[None] | None = None
        self._end = TERMINATED
        self._waited_for: int | None = None
        self._must_end: asyncio.Event
        self._seen = 0

    @property
    def kernel(self) -> KernelClient:
        """The client, which makes a lost connection again by itself."""
        return self._link.kernel

    def run(self) -> str:
        """Talk until the user leaves or the connection is gone; says which it was."""
        status = self.kernel.status()
        unfinished = {**status, "queue": self.kernel.queue()}
        self.renderer.begin(unfinished)
        self._state.jobs.begin(unfinished)
        return asyncio.run(self._run(status))

    # ------------------------------------------------------------------ the loop

    async def _run(self, status: dict[str, Any]) -> str:
        loop = asyncio.get_running_loop()
        self._must_end = asyncio.Event()
        loop.add_signal_handler(signal.SIGINT, self._interrupt)
        # Not left to the system, which would leave the terminal as the editor needs it.
        loop.add_signal_handler(signal.SIGTERM, self._must_end.set)
        self._changed = loop.create_future()
        self.screen = self._make_screen()
        self.output = Transcript(self.screen, self.renderer)
        if self.screen.is_interactive:
            self.say(self._welcome)
            self._tell_state(status)
        self._seen = self._choose_beginning(int(status["last"]))
        showing = asyncio.ensure_future(self._show())
        remembering = asyncio.ensure_future(self._remember())
        observing = asyncio.ensure_future(self._observe())
        talking = asyncio.ensure_future(self._talk())
        ending = asyncio.ensure_future(self._must_end.wait())
        try:
            await asyncio.wait({showing, talking, ending}, return_when=asyncio.FIRST_COMPLETED)
            if talking.done():
                showing.cancel()
                await self._leave()
                return talking.result()
            if ending.done():
                # The number of what is on its way is needed to interrupt it.
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._has_number.wait(), _NUMBER_S)
            self._waited_for = self.renderer.foreground
            self.screen.withdraw()
            talking.cancel()
            await asyncio.wait({talking})
            self.output.end_line()
            if not showing.done():
                showing.cancel()  # what leaving does is not shown any more
                await self._leave()
                return self._end
            if (lost := _error_of(showing)) is not None:
                self.complain(describe_loss(lost))
                return REFUSED if isinstance(lost, HOPELESS) else LOST
            # The hub says that it stops before it does, and until then it would be found.
            await asyncio.to_thread(self.kernel.wait_until_closed, _STOPPING_S)
            return LOST
        finally:
            showing.cancel()
            remembering.cancel()
            observing.cancel()
            ending.cancel()
            await self.hang_up()

    def _make_screen(self) -> Screen:
        if not (sys.stdin.isatty() and sys.stdout.isatty()) or _is_dumb():
            return Pipe(self._find_indent)
        from rpyc_kernel.faces.console.completion import KernelCompleter
        from rpyc_kernel.faces.console.hints import Hints
        from rpyc_kernel.faces.console.terminal import Terminal

        past = [known.code for known in recall(self.kernel)]
        completer = KernelCompleter(lambda: self.kernel, self._commands.names, self._show_completing)
        hints = Hints(lambda: self.kernel)
        colours = is_colourful(sys.stdout)
        return Terminal(self._find_indent, completer, hints, self.bar, past=past, is_colourful=colours)

    def _show_completing(self, is_completing: bool) -> None:
        self.bar.is_completing = is_completing
        self.screen.refresh()

    def _choose_beginning(self, last: int) -> int:
        """Go on from the last event this session saw, unless it is new or that was too long ago."""
        seen = self.kernel.last_seen
        self.renderer.past = last
        if self._replays:
            return 0
        if seen is None or seen >= last or not self.screen.is_interactive:
            return last
        if last - seen > _MAX_REPLAYED:
            how = as_typed_here(f"'rpyc-kernel log {self._target} --since {seen}' shows all of it")
            self.say(f"much has happened since you left; {how}, and this is the end:")
            return last - _MAX_REPLAYED
        return seen

    # ------------------------------------------------------------------ events

    async def _show(self) -> None:
        """Show every event; where the connection is lost, from there on when it is back."""
        loop = asyncio.get_running_loop()
        said: asyncio.Queue[str] = asyncio.Queue()

        def hear(words: str) -> None:
            with contextlib.suppress(RuntimeError):  # the loop is over
                loop.call_soon_threadsafe(said.put_nowait, words)

        watch = await asyncio.to_thread(partial(self.kernel.watch, self._seen, on_loss=hear))
        telling = asyncio.ensure_future(self._tell_losses(said, watch))
        try:
            async with contextlib.aclosing(follow(watch)) as batches:
                async for batch in batches:
                    await self._show_batch(batch)
        finally:
            telling.cancel()

    async def _tell_losses(self, said: asyncio.Queue[str], watch: Watch) -> None:
        """Tell what becomes of the connection, but not into what the user reads."""
        while True:
            words = await said.get()
            async with self._paging:
                if words and self.screen.is_interactive and self._state.is_connected:
                    self._link.lose(f"{words}, Ctrl-D leaves")
                elif words:
                    self._link.lose(words)
                else:
                    self._link.come_back(has_missed=watch.last > self._seen)
            self.screen.refresh()
            self._note_change()

    async def _show_batch(self, batch: list[Event]) -> None:
        pages = None
        while pages is None:
            await self._has_number.wait()  # which says whose an event is
            async with self._paging:
                if self._has_number.is_set():
                    pages = self._take_batch(batch)
        for page in pages.values():
            await self.page(page)
        self._seen = batch[-1].seq
        self._note_change()
        # While nobody types, output flows as fast as it comes; above a prompt, which is drawn anew, in portions.
        await asyncio.sleep(_PAUSE_S if self.screen.is_reading else 0)

    def _take_batch(self, batch: list[Event]) -> dict[int, str]:
        """Show what does not have to be paged, and return what has to, by the number of its event."""
        pages = {event.seq: page for event in batch if (page := self._find_page(event))}
        hidden = {*pages, *(find_superseded(batch) if self.screen.is_interactive else ())}
        for event in batch:
            self._take(event, is_hidden=event.seq in hidden)
        return pages

    def _note_change(self) -> None:
        self._changed.set_result(None)
        self._changed = asyncio.get_running_loop().create_future()

    def _find_page(self, event: Event) -> str:
        """What the user has asked to read and is too long for the window; "" for everything else."""
        page = self.renderer.read_page(event)
        return page if page and self.screen.is_too_long(page) else ""

    async def _observe(self) -> None:
        """Keep the bar up to date."""
        while self.screen.is_interactive:
            changed = self._changed  # what happens while the kernel is asked may be missing in the answer
            with contextlib.suppress(KernelError):
                self.bar.take(await asyncio.to_thread(self.kernel.status))
            self.screen.refresh()
            await asyncio.shield(changed)
            await asyncio.sleep(_BAR_S)

    def _take(self, event: Event, *, is_hidden: bool) -> None:
        self._state.jobs.take(event)
        if not is_hidden:
            self.output.take(event)
        self._foreground.withdraw_question(event)
        if event.kind == Kind.NEXT_INPUT and self.renderer.is_waited_for_here(event):
            self.screen.propose(sanitize(event.text))

    async def _talk(self) -> str:
        while True:
            try:
                if self.screen.is_interactive:
                    self.output.end_line()
                self._state.begin_line()
                code = await self.screen.read_code()
                self.was_used = True
            except EOFError:
                return self._end_of_leaving()
            except Withdrawn:
                return LOST
            except Interrupted:
                await self._do(self._interrupting.offer())
                continue
            finally:
                if self.screen.is_interactive:
                    self.output.line_was_ended()
            if code.strip() in LEAVING or code.strip() == "%quit":
                return self._end_of_leaving()
            if code.strip():
                await self._do(self._obey(code))

    def _end_of_leaving(self) -> str:
        return LEFT if self._state.is_connected else LOST

    async def _remember(self) -> None:
        """Tell the kernel how far this session has seen, so that it goes on from there whatever ends this process."""
        while True:
            changed = self._changed  # more may be shown while the kernel is told
            with contextlib.suppress(KernelError):
                await asyncio.to_thread(self.kernel.acknowledge, self._seen)
            await asyncio.shield(changed)
            await asyncio.sleep(_ACKNOWLEDGE_S)

    async def _leave(self) -> None:
        with contextlib.suppress(KernelError):
            if self._state.is_connected:  # else there is nobody to wait for
                await asyncio.to_thread(self.kernel.acknowledge, self._seen)
                if self._end == INTERRUPTED and self._waited_for is not None:
                    await asyncio.to_thread(partial(self.kernel.interrupt, self._waited_for, wait=0))
        unfinished = [job.number for job in self._state.jobs.list()]
        if unfinished and self.screen.is_interactive:
            self.say(f"{join_numbers(unfinished)} {'goes' if len(unfinished) == 1 else 'go'} on without you")

    # ------------------------------------------------------------------ Ctrl-C

    def _interrupt(self) -> None:
        meaning = self._state.interrupt(is_interactive=self.screen.is_interactive, is_reading=self.screen.is_reading)
        if meaning is CtrlC.LEAVE:
            self._end = INTERRUPTED
            self._must_end.set()
        elif meaning is CtrlC.LINE:
            self.screen.interrupt()
        elif meaning is CtrlC.BREAK_OFF and self._breakable is not None:
            self.screen.write("\n")  # below the ^C that the terminal shows
            self.output.line_was_ended()
            self._breakable.cancel()

    async def _do(self, what: Any) -> None:
        """Do something that Ctrl-C may break off."""
        if not self._state.begin_doing():
            what.close()
            self.say("taken back; the kernel was asked nothing")
            return
        self._breakable = asyncio.ensure_future(self._guard(what))
        try:
            await self._breakable
        except asyncio.CancelledError:
            if not self._state.take_interrupt():
                raise
            if self._link.is_waiting:
                self.say("taken back; the kernel was asked nothing")
            else:
                self.say("broken off; the kernel may still do what it was asked")
        finally:
            self._state.end_doing()
            self._breakable = None

    async def _guard(self, what: Any) -> None:
        try:
            await what
        except KernelError as error:  # some of them are an EOFError too
            self.complain(describe_loss(error))
        except (Interrupted, EOFError, Withdrawn):
            pass
        except (ValueError, TimeoutError) as error:
            self.complain(str(error))

    # ------------------------------------------------------------------ running code

    async def _obey(self, code: str) -> None:
        await self._link.wait()
        if await self._commands.obey(code.strip()):
            return
        if code[:1].isspace():
            code = textwrap.dedent(code)
        is_background = ends_in_semicolon(code)
        # To IPython the semicolon would mean that the value is to be hidden.
        source = code.rstrip()[:-1] if is_background else code.rstrip()
        await self._link.wait_for(self._has_number, "this waits for the answer to the line before")
        self._has_number.clear()
        was_broken_off = False
        # Without its number, the code would be shown as somebody's elsewhere; so no Ctrl-C breaks that off.
        handing_in = asyncio.ensure_future(self._hand_in(source, is_background, lambda: was_broken_off))
        try:
            number = await asyncio.shield(handing_in)
        except asyncio.CancelledError:
            was_broken_off = True
            if handing_in.done() and not is_background:  # a moment ago
                self.renderer.foreground = None
                self._foreground.let_go(handing_in.result())
            self._link.break_off()
            handing_in.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may hear of it
            await asyncio.wait({handing_in}, timeout=_NUMBER_S)
            if not handing_in.done() or not self._state.take_interrupt():
                raise
            handing_in.result()
            return
        if not is_background:
            await self._foreground.wait(number)

    async def _hand_in(self, source: str, is_background: bool, was_broken_off: Callable[[], bool]) -> int:
        """Hand code in, and go on to show events when it is known how to show what comes of it."""
        try:
            number = await self._link.hand_in(source)
            self.renderer.adopt(number)
            self._state.jobs.expect(number, source)
            if is_background:
                self.say(f"[{number}] goes on in the background; %jobs lists, %wait {number} waits")
            elif was_broken_off():
                self._foreground.let_go(number)
            else:
                self.renderer.foreground = number
            return number
        finally:
            self._has_number.set()

    # ------------------------------------------------------------------ what its parts need

    async def hang_up(self) -> None:
        """End the connection."""
        await asyncio.to_thread(self.kernel.close)

    async def page(self, text: str) -> None:
        """Show a text, in a pager if it is long; nothing else is shown while the user reads."""
        was_read = False
        if self.screen.is_too_long(text):
            self.output.end_line()
            async with self._paging:
                self._state.is_paging = True
                try:
                    was_read = await self.screen.page(text)
                finally:
                    self._state.is_paging = False
        if not was_read:
            self.output.say(text.rstrip("\n"))

    async def next_change(self) -> None:
        """Wait until further events have been shown."""
        await asyncio.shield(self._changed)

    def say(self, text: str) -> None:
        """Show a line of the console's own."""
        self.output.say(text)

    def complain(self, text: str) -> None:
        """Show what went wrong."""
        text = as_typed_here(sanitize(text))
        if self.screen.is_interactive:
            self.say(f"\x1b[31m{text}\x1b[0m" if self.screen.is_colourful else text)
        else:
            print(text, file=sys.stderr)

    async def ask(self, question: str, *, is_password: bool = False, execution: int | None = None) -> str:
        """Read one line, after a question; see `Screen.ask`."""
        try:
            return await self.screen.ask(question, is_password=is_password, execution=execution)
        finally:
            self.output.line_was_ended()

    def withdraw_question(self) -> None:
        """End `ask` by `Withdrawn`."""
        self.screen.withdraw()

    def _tell_state(self, status: dict[str, Any]) -> None:
        running = status["running"]
        if running is None or running["session"] != self.kernel.session:
            for line in summarise_trouble(status):
                self.say(line)
        for job in self._state.jobs.list():
            state = "waits for input; %answer it" if job.question is not None else "goes on; %wait waits for it"
            self.say(f"[{job.number}] of yours {state}: {first_line(job.code)}")

    def _find_indent(self, code: str) -> str | None:
        """What the next line of incomplete code begins with; None if the code is complete.

        The kernel knows best; if it is too busy to say, this Python judges.
        """
        if is_one_line_command(code) or is_ended_cell(code):
            return None
        if not self._state.is_connected:
            return find_indent_here(code)
        try:
            state = self.kernel.is_complete(code, timeout=_COMPLETENESS_TIMEOUT_S)
        except (KernelError, TimeoutError):
            return find_indent_here(code)
        if state.status != Completeness.INCOMPLETE:
            return None
        last = code.rpartition("\n")[2]
        # IPython does not know where a block has ended.
        return indent_after(last) if is_leaving(last) else state.indent


def _is_dumb() -> bool:
    return os.environ.get("TERM", "dumb") in ("", "dumb", "unknown")


def _error_of(showing: asyncio.Task[None]) -> KernelError | None:
    """What ended the events; None when the kernel did, which was an event itself."""
    error = showing.exception()
    if error is None:
        return None
    if not isinstance(error, KernelError):
        raise error
    return error
