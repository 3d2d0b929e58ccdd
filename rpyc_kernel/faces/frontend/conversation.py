"""The conversation between one person and a kernel: reads code, hands it in, waits or lets it go on, answers questions.

Everything happens in one asyncio loop. Threads only wait, one for each call that the kernel has not answered yet. A
Ctrl-C is an event like any other, so it never strikes in the middle of anything. All of it is seen, and typed, in a
`View`.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from rpyc_kernel.faces.frontend.commands import COMMANDS, FrontEndCommands
from rpyc_kernel.faces.frontend.control_characters import sanitize
from rpyc_kernel.faces.frontend.following import follow
from rpyc_kernel.faces.frontend.foreground import Foreground
from rpyc_kernel.faces.frontend.interrupting import Interrupting
from rpyc_kernel.faces.frontend.kernel_link import KernelLink, describe_loss
from rpyc_kernel.faces.frontend.notices import Tone
from rpyc_kernel.faces.frontend.session_slot import is_session_slot
from rpyc_kernel.faces.frontend.source import (
    ends_in_semicolon,
    find_indent_here,
    indent_after,
    is_ended_cell,
    is_leaving,
    is_one_line_command,
)
from rpyc_kernel.faces.frontend.state import CtrlC, TalkState
from rpyc_kernel.faces.frontend.status_line import StatusLine
from rpyc_kernel.faces.frontend.summaries import summarise_trouble
from rpyc_kernel.faces.frontend.transcript import Transcript
from rpyc_kernel.faces.frontend.view import Interrupted, View, Withdrawn
from rpyc_kernel.faces.frontend.words import first_line, join_numbers
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


class Conversation:
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
        host: the machine where the kernel is, "" for this one.
        state: what is done for the user at the moment.
        status_line: what to show beside the prompt of the kernel and who is in it.
        transcript: what is shown.

    Example:
        >>> import asyncio, rpyc_kernel
        >>> from rpyc_kernel.frontend import Conversation, LineView
        >>> conversation = Conversation(rpyc_kernel.connect("demo"), "hello")
        >>> lines = ["6 * 7", "exit"]
        >>> def prompt(question, is_password, text):
        ...     if question:
        ...         asyncio.get_running_loop().call_soon(view.enter, lines.pop(0))
        >>> view = LineView(lambda changes: None, prompt)
        >>> asyncio.run(conversation.run(view))
        'left'
        >>> [item.text for item in conversation.transcript.items if item.text in ("hello", "42")]
        ['hello', '42']
    """

    def __init__(
        self,
        kernel: KernelClient,
        welcome: str = "",
        *,
        target: str = "",
        host: str = "",
        replays: bool = False,
        is_viewer: bool = False,
    ) -> None:
        self.was_used = False
        self.host = host
        self.state = TalkState(kernel.session)
        self.status_line = StatusLine(self.state, host=host, is_viewer=is_viewer)
        self.transcript = Transcript(kernel.session, shows_visit=is_session_slot)
        self._welcome = welcome
        self._target = target or kernel.name
        self._replays = replays
        self._view: View
        self._whose = self.transcript.whose
        self._link = KernelLink(kernel, self, self.state)
        self._interrupting = Interrupting(self._link, self, self.state)
        self._foreground = Foreground(self._link, self, self.state, self._whose, self._interrupting)
        self._commands = FrontEndCommands(self._link, self, self.state, self._foreground, self._interrupting)
        self._has_number = asyncio.Event()  # of what was handed in last
        self._has_number.set()
        self._paging = asyncio.Lock()
        self._changed: asyncio.Future[None]
        self._breakable: asyncio.Task[None] | None = None
        self._end = TERMINATED
        self._waited_for: int | None = None
        self._must_end = asyncio.Event()
        self._seen = 0

    @property
    def kernel(self) -> KernelClient:
        """The client, which makes a lost connection again by itself."""
        return self._link.kernel

    @property
    def commands(self) -> list[str]:
        """What is obeyed here and not run in the kernel, each beginning with %."""
        return self._commands.names

    # ------------------------------------------------------------------ the loop

    async def run(self, view: View) -> str:
        """Talk until the user leaves or the connection is gone; says which it was."""
        loop = asyncio.get_running_loop()
        status = await asyncio.to_thread(self._look)
        self._changed = loop.create_future()
        self._view = view
        if view.is_interactive:
            if self._welcome:
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
            self._waited_for = self._whose.foreground
            view.withdraw()
            talking.cancel()
            await asyncio.wait({talking})
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

    def end(self) -> None:
        """End the conversation from outside, in its loop; what is waited for goes on."""
        self._must_end.set()

    def _look(self) -> dict[str, Any]:
        status = self.kernel.status()
        unfinished = {**status, "queue": self.kernel.queue()}
        self.transcript.begin(unfinished)
        self.state.jobs.begin(unfinished)
        return status

    def _choose_beginning(self, last: int) -> int:
        """Go on from the last event this session saw, unless it is new or that was too long ago."""
        seen = self.kernel.last_seen
        self._whose.past = last
        if self._replays:
            return 0
        if seen is None or seen >= last or not self._view.is_interactive:
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

        watch = await self._open_watch(hear)
        telling = asyncio.ensure_future(self._tell_losses(said, watch))
        try:
            async with contextlib.aclosing(follow(watch)) as batches:
                async for batch in batches:
                    await self._show_batch(batch)
        finally:
            telling.cancel()

    async def _open_watch(self, hear: Callable[[str], None]) -> Watch:
        """Begin to watch; also what comes about after nobody waits for it any more is closed."""
        opened: list[Watch] = []
        is_wanted = True

        def open_watch() -> Watch:
            opened.append(self.kernel.watch(self._seen, on_loss=hear))
            if not is_wanted:
                opened[0].close()
            return opened[0]

        try:
            return await asyncio.to_thread(open_watch)
        except asyncio.CancelledError:
            is_wanted = False
            for watch in opened:
                watch.close()
            raise

    async def _tell_losses(self, said: asyncio.Queue[str], watch: Watch) -> None:
        """Tell what becomes of the connection, but not into what the user reads."""
        while True:
            words = await said.get()
            async with self._paging:
                if words and self._view.is_interactive and self.state.is_connected:
                    self._link.lose(f"{words}, Ctrl-D leaves")
                elif words:
                    self._link.lose(words)
                else:
                    self._link.come_back(has_missed=watch.last > self._seen)
            self._view.refresh()
            self._note_change()

    async def _show_batch(self, batch: list[Event]) -> None:
        pages = None
        while pages is None:
            await self._has_number.wait()  # which says whose an event is
            async with self._paging:
                if self._has_number.is_set():
                    pages = self._take_batch(batch)
        for page in pages:
            await self.page(page)
        self._seen = batch[-1].seq
        self._note_change()
        # While nobody types, output flows as fast as it comes; above a prompt, which is drawn anew, in portions.
        await asyncio.sleep(_PAUSE_S if self._view.is_reading else 0)

    def _take_batch(self, batch: list[Event]) -> list[str]:
        """Show what does not have to be paged, and return what has to."""
        pages = {event.seq: page for event in batch if (page := self._find_page(event))}
        for event in batch:
            self.state.jobs.take(event)
            self._foreground.withdraw_question(event)
            if event.kind == Kind.NEXT_INPUT and self._whose.is_waited_for_here(event):
                self._view.propose(sanitize(event.text))
        shown = [event for event in batch if event.seq not in pages]
        if self._view.is_interactive:
            self._view.show(self.transcript.take_all(shown))
        else:
            self._view.show([change for event in shown for change in self.transcript.take(event)])
        return list(pages.values())

    def _note_change(self) -> None:
        self._changed.set_result(None)
        self._changed = asyncio.get_running_loop().create_future()

    def _find_page(self, event: Event) -> str:
        """What the user has asked to read and is too long for the window; "" for everything else."""
        plain = event.data.get("text/plain") if event.kind == Kind.PAGE and isinstance(event.data, dict) else None
        if not isinstance(plain, str) or not self._whose.is_waited_for_here(event):
            return ""
        page = sanitize(plain, keep_colours=True)
        page = page if page.endswith("\n") else page + "\n"
        return page if self._view.is_too_long(page) else ""

    async def _observe(self) -> None:
        """Keep the bar up to date."""
        while self._view.is_interactive:
            changed = self._changed  # what happens while the kernel is asked may be missing in the answer
            with contextlib.suppress(KernelError):
                self.status_line.take(await asyncio.to_thread(self.kernel.status))
            self._view.refresh()
            await asyncio.shield(changed)
            await asyncio.sleep(_BAR_S)

    async def _talk(self) -> str:
        while True:
            async with self._paging:
                self.state.begin_line()  # not while the user reads
            try:
                code = await self._view.read_code()
                self.was_used = True
            except EOFError:
                return self._end_of_leaving()
            except Withdrawn:
                return LOST
            except Interrupted:
                await self._do(self._interrupting.offer())
                continue
            if code.strip() in LEAVING or code.strip() == "%quit":
                return self._end_of_leaving()
            if code.strip():
                await self._do(self._obey(code))

    def _end_of_leaving(self) -> str:
        return LEFT if self.state.is_connected else LOST

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
            if self.state.is_connected:  # else there is nobody to wait for
                await asyncio.to_thread(self.kernel.acknowledge, self._seen)
                if self._end == INTERRUPTED and self._waited_for is not None:
                    await asyncio.to_thread(partial(self.kernel.interrupt, self._waited_for, wait=0))
        unfinished = [job.number for job in self.state.jobs.list()]
        if unfinished and self._view.is_interactive:
            self.say(f"{join_numbers(unfinished)} {'goes' if len(unfinished) == 1 else 'go'} on without you")

    # ------------------------------------------------------------------ Ctrl-C

    def interrupt(self) -> CtrlC:
        """There was a Ctrl-C; does, in the loop, what it means now, and returns what that was."""
        meaning = self.state.interrupt(is_interactive=self._view.is_interactive, is_reading=self._view.is_reading)
        if meaning is CtrlC.LEAVE:
            self._end = INTERRUPTED
            self.end()
        elif meaning is CtrlC.LINE:
            self._view.interrupt()
        elif meaning is CtrlC.BREAK_OFF and self._breakable is not None:
            self._breakable.cancel()
        return meaning

    async def stop(self, number: int) -> None:
        """Take an execution out of the queue, or interrupt it if it runs; tells why where that cannot be."""
        await self._guard(self._interrupting.stop(number))

    async def show_ask(self, number: int, hint: str) -> None:
        """Show all code of an execution that is held, and a hint at how to let it go."""

        async def show() -> None:
            self.say(f"[{number}] asks to run this; {hint}\n{await self._commands.read_code(number)}")

        await self._guard(show())

    async def approve(self, number: int) -> None:
        """Let an execution go that is held; tells why where that cannot be."""
        await self._guard(self._link.ask(self.kernel.approve, number))

    async def decline(self, number: int) -> None:
        """Have an execution not run that is held; tells why where that cannot be."""
        await self._guard(self._link.ask(self.kernel.decline, number))

    async def _do(self, what: Any) -> None:
        """Do something that Ctrl-C may break off."""
        if not self.state.begin_doing():
            what.close()
            self.say("taken back; the kernel was asked nothing")
            return
        self._breakable = asyncio.ensure_future(self._guard(what))
        try:
            await self._breakable
        except asyncio.CancelledError:
            if not self.state.take_interrupt():
                raise
            if self._link.is_waiting:
                self.say("taken back; the kernel was asked nothing")
            else:
                self.say("broken off; the kernel may still do what it was asked")
        finally:
            self.state.end_doing()
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
                self._whose.foreground = None
                self._foreground.let_go(handing_in.result())
            self._link.break_off()
            handing_in.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may hear of it
            await asyncio.wait({handing_in}, timeout=_NUMBER_S)
            if not handing_in.done() or not self.state.take_interrupt():
                raise
            handing_in.result()
            return
        if not is_background:
            await self._foreground.wait(number)

    async def _hand_in(self, source: str, is_background: bool, was_broken_off: Callable[[], bool]) -> int:
        """Hand code in, and go on to show events when it is known how to show what comes of it."""
        try:
            number = await self._link.hand_in(source)
            self._whose.adopt(number)
            self.state.jobs.expect(number, source)
            if is_background:
                self.say(f"[{number}] goes on in the background; %jobs lists, %wait {number} waits")
            elif was_broken_off():
                self._foreground.let_go(number)
            else:
                self._whose.foreground = number
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
        if self._view.is_too_long(text):
            async with self._paging:
                self.state.is_paging = True
                try:
                    was_read = await self._view.page(text)
                finally:
                    self.state.is_paging = False
        if not was_read:
            self.say(text.rstrip("\n"))

    async def next_change(self) -> None:
        """Wait until further events have been shown."""
        await asyncio.shield(self._changed)

    def say(self, text: str) -> None:
        """Show a line of the front end's own."""
        self._view.show(self.transcript.say(text))

    def explain(self) -> None:
        """Show what can be typed, and what the keys do. To be called in the loop, whatever goes on in it."""
        self.say("\n".join(filter(None, (self._view.keys, COMMANDS.rstrip()))))

    def complain(self, text: str) -> None:
        """Show what went wrong."""
        self._view.show(self.transcript.say(as_typed_here(sanitize(text)), Tone.TROUBLE))

    async def ask(self, question: str, *, is_password: bool = False, execution: int | None = None) -> str:
        """Read one line, after a question; see `View.ask`."""
        asked = sanitize(question, keep_colours=True)  # code asks, maybe of somebody else
        return await self._view.ask(asked, is_password=is_password, execution=execution)

    def withdraw_question(self) -> None:
        """End `ask` by `Withdrawn`."""
        self._view.withdraw()

    def _tell_state(self, status: dict[str, Any]) -> None:
        running = status["running"]
        if running is None or running["session"] != self.kernel.session:
            for line in summarise_trouble(status):
                self.say(line)
        for job in self.state.jobs.list():
            state = "waits for input; %answer it" if job.question is not None else "goes on; %wait waits for it"
            self.say(f"[{job.number}] of yours {state}: {first_line(job.code)}")

    def find_indent(self, code: str) -> str | None:
        """What the next line of incomplete code begins with; None if the code is complete. To be called anywhere.

        The kernel knows best; if it is too busy to say, this Python judges.
        """
        if is_one_line_command(code) or is_ended_cell(code):
            return None
        if not self.state.is_connected:
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


def _error_of(showing: asyncio.Task[None]) -> KernelError | None:
    """What ended the events; None when the kernel did, which was an event itself."""
    error = showing.exception()
    if error is None:
        return None
    if not isinstance(error, KernelError):
        raise error
    return error
