"""A kernel on a full screen: the transcript, a place to type, and what goes on beside it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from textual import events, work
from textual.app import App, ComposeResult
from textual.binding import Binding
from textual.containers import Horizontal, Vertical
from textual.widgets import Footer, Input, OptionList, Static
from textual.widgets.option_list import Option

from rpyc_kernel.core.contract import Role
from rpyc_kernel.errors import KernelError
from rpyc_kernel.faces.frontend.conversation import LEFT, Conversation
from rpyc_kernel.faces.frontend.pending import Step
from rpyc_kernel.faces.frontend.plots import Picture
from rpyc_kernel.faces.frontend.recalled_history import recall
from rpyc_kernel.faces.frontend.render import Renderer
from rpyc_kernel.faces.frontend.transcript import Item
from rpyc_kernel.faces.frontend.typed_ahead import TypedAhead
from rpyc_kernel.faces.frontend.widget_view import Prompt, WidgetView
from rpyc_kernel.faces.screen.code_area import CodeArea
from rpyc_kernel.faces.screen.queue_pane import QueuePane
from rpyc_kernel.faces.screen.side import SidePanes
from rpyc_kernel.faces.screen.table_screen import TableScreen
from rpyc_kernel.faces.screen.transcript_pane import TranscriptPane
from rpyc_kernel.faces.screen.variables_pane import VariablesPane

_NARROW_COLUMNS = 70
_MAX_OFFERED = 200
_KEYS = """\
Enter runs the code, Alt-Enter or Ctrl-J only begins a new line.
Tab completes. Up and Down lead to earlier code.
Ctrl-C gives up the line; stops waiting; at an empty prompt offers to
interrupt what runs. Ctrl-D or Ctrl-Q leaves; the kernel stays.
F2 shows or hides what stands beside. F3 scrolls back; Escape returns.
Enter at a variable opens it as a table."""


class KernelApp(App[str]):
    """The full screen; its result is how the conversation ended.

    Args:
        conversation: not yet begun.
    """

    TITLE = "rpyc-kernel"
    CSS_PATH = "app.tcss"
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar = [
        Binding("ctrl+c", "interrupt", "Interrupt", priority=True),
        Binding("ctrl+q", "leave", "Leave", priority=True),
        Binding("f1", "explain", "Help"),
        Binding("f2", "panes", "Panes"),
        Binding("f3", "scroll", "Scroll back"),
        Binding("f4", "turn", "Next pane"),
    ]

    def __init__(self, conversation: Conversation) -> None:
        super().__init__()
        self._conversation = conversation
        self._view = WidgetView(conversation, self._post, self, _KEYS)
        self._prompt: Prompt | None = None
        self._typed_ahead = TypedAhead()
        self._early: list[events.Event] | None = []  # typed while nothing has the focus; None when something had it
        self._talking: asyncio.Task[str] | None = None
        self._status_text = ""
        self._doubtful: int | None = None  # was to be stopped, and is somebody else's
        self._read: int | None = None  # was to be let go, and is shown

    def _post(self, call: Callable[[], object]) -> None:
        self.call_later(call)

    def compose(self) -> ComposeResult:
        """Build it."""
        with Horizontal(id="main"):
            with Vertical(id="talk"):
                yield TranscriptPane(Renderer(is_colourful=not self.console.no_color))
                yield Static(id="question", markup=False)
                yield Input(id="answer")
                yield OptionList(id="offered", markup=False)
                yield CodeArea(self._conversation)
            yield SidePanes(self._conversation.kernel)
        yield Static(id="status", markup=False)
        yield Footer()

    def on_mount(self) -> None:
        """Begin the conversation."""
        for name in ("#question", "#answer", "#offered"):
            self.query_one(name).display = False
        self.query_one(SidePanes).display = self.size.width > _NARROW_COLUMNS
        self.query_one(CodeArea).focus()
        self.call_later(self._take_early)  # which comes behind that
        self._talking = asyncio.ensure_future(self._conversation.run(self._view))
        self._talking.add_done_callback(self._note_end)
        self._recall()

    async def on_event(self, event: events.Event) -> None:
        """Called with everything; what is typed would be nobody's as long as nothing has the focus."""
        if self._early is not None and isinstance(event, (events.Key, events.Paste)) and not event.is_forwarded:
            self._early.append(event)
        else:
            await super().on_event(event)

    async def _take_early(self) -> None:
        early, self._early = self._early or [], None
        for event in early:
            await self.on_event(event)

    @work
    async def _recall(self) -> None:
        with contextlib.suppress(KernelError):
            past = await asyncio.to_thread(recall, self._conversation.kernel)
            self.query_one(CodeArea).remember([known.code for known in past])

    def _note_end(self, talking: asyncio.Task[str]) -> None:
        if talking.cancelled():
            self.exit(LEFT)
        elif (error := talking.exception()) is not None:
            self._handle_exception(error)  # type: ignore[arg-type]
        else:
            self.exit(talking.result())

    # ------------------------------------------------------------------ what the conversation shows

    def draw(self, steps: Sequence[Step]) -> None:
        """Show what has changed."""
        self.query_one(TranscriptPane).draw(steps)

    def show_plots(self, pictures: Mapping[Item, Picture]) -> None:
        """Show other pictures."""
        self.query_one(SidePanes).show_plots(pictures)

    def note_end(self) -> None:
        """An execution has ended: variables may be others."""
        self.query_one(SidePanes).show_variables()

    def show_status(self) -> None:
        """What the kernel does has changed."""
        line = self._conversation.status_line
        if (text := line.text(self.size.width - 2)) != self._status_text:  # each update lays the screen out anew
            self._status_text = text
            self.query_one("#status", Static).update(text)
        if line.status is not None:
            self.query_one(SidePanes).show_status(line.status, self._conversation.kernel.session)

    def show_prompt(self, prompt: Prompt | None) -> None:
        """Something is being read; None: nothing is."""
        self._prompt = prompt
        question, answer, code = (
            self.query_one("#question", Static),
            self.query_one("#answer", Input),
            self.query_one(CodeArea),
        )
        is_asked = prompt is not None and prompt.question is not None
        question.display = answer.display = is_asked
        code.disabled = is_asked
        if prompt is None:
            return
        if prompt.question is None:
            code.propose(prompt.proposed)
            code.focus()
            self._enter_next()
        else:
            question.update(prompt.question)
            answer.password, answer.value = prompt.is_password, ""
            answer.focus()

    # ------------------------------------------------------------------ what the user does

    def on_code_area_entered(self, entered: CodeArea.Entered) -> None:
        """Code was typed, now or for the next prompt."""
        self._typed_ahead.add(entered.code)
        self._enter_next()

    def _enter_next(self) -> None:
        if self._is_at_code and (code := self._typed_ahead.take_next()) is not None:
            self._give(code)
        waiting = len(self._typed_ahead)
        self.query_one(CodeArea).border_title = f"{waiting} typed ahead; Ctrl-C takes it back" if waiting else None

    @property
    def _is_at_code(self) -> bool:
        return self._prompt is not None and self._prompt.question is None

    def _give(self, text: str | None) -> None:
        """Answer what is read."""
        if self._prompt is not None:
            prompt, self._prompt = self._prompt, None
            self._view.answer(prompt, text)

    def on_code_area_left(self) -> None:
        """Ctrl-D."""
        self.action_leave()

    def on_input_submitted(self, submitted: Input.Submitted) -> None:
        """An answer was typed."""
        self._give(submitted.value)

    def on_code_area_offered(self, offered: CodeArea.Offered) -> None:
        """These could stand at the cursor."""
        choices = self.query_one("#offered", OptionList)
        choices.clear_options()
        choices.add_options([Option(text) for text in offered.texts[:_MAX_OFFERED]])
        choices.display = bool(offered.texts)
        if offered.texts:
            choices.highlighted = 0
            choices.focus()

    def on_option_list_option_selected(self, selected: OptionList.OptionSelected) -> None:
        """One of them was chosen."""
        if selected.option_list.id != "offered":
            return
        code = self.query_one(CodeArea)
        code.choose(str(selected.option.prompt))
        code.focus()

    def on_variables_pane_as_table(self, wanted: VariablesPane.AsTable) -> None:
        """Open a variable."""
        self.push_screen(TableScreen(self._conversation.kernel, wanted.path))

    def on_queue_pane_stop(self, wanted: QueuePane.Stop) -> None:
        """Stop an execution; somebody else's only when that is said twice."""
        may = Role.allows(self._conversation.kernel.role, Role.EDITOR)
        if wanted.whose and may and wanted.number != self._doubtful:
            self._doubtful = wanted.number
            self._conversation.say(f"[{wanted.number}] is of {wanted.whose}; x once more stops it all the same")
        else:
            self._doubtful = None
            self.run_worker(self._conversation.stop(wanted.number))

    def on_queue_pane_approve(self, wanted: QueuePane.Approve) -> None:
        """Let an execution go that is held; whoever does so has all of its code before them."""
        if wanted.number != self._read:
            self._read = wanted.number
            self.run_worker(self._conversation.show_ask(wanted.number, "a once more lets it go"))
        else:
            self._read = None
            self.run_worker(self._conversation.approve(wanted.number))

    def on_key(self, event: Any) -> None:
        """Escape leads back to the prompt."""
        if event.key == "escape":
            self.query_one("#offered").display = False
            self.query_one(CodeArea).focus()

    def action_interrupt(self) -> None:
        """Do what Ctrl-C means now."""
        code = self.query_one(CodeArea)
        if self._typed_ahead:
            code.take_back(self._typed_ahead.take_back(code.text))
            self._enter_next()
        elif self._is_at_code and code.clear_line():
            return  # the line is given up, as in every shell
        self._view.ctrl_c()

    def action_leave(self) -> None:
        """Leave; the kernel goes on."""
        if self._prompt is not None:
            self._give(None)
        else:
            self._conversation.end()

    def action_explain(self) -> None:
        """Show what one can do."""
        self._view.explain()

    def action_panes(self) -> None:
        """Show or hide what stands beside the transcript."""
        side = self.query_one(SidePanes)
        side.display = not side.display
        if not side.display:
            self.query_one(CodeArea).focus()

    def action_turn(self) -> None:
        """Have the keys go to what stands beside, and from there to the next pane; Escape leads back."""
        side = self.query_one(SidePanes)
        side.display = True
        side.turn()

    def action_scroll(self) -> None:
        """Have the keys scroll the transcript; Escape leads back."""
        self.query_one(TranscriptPane).focus()


def run(conversation: Conversation) -> str:
    """Show a kernel until the user leaves or it is gone; says which it was, as `Conversation.run` does."""
    with contextlib.suppress(ImportError):
        import textual_image.widget  # noqa: F401 - finds out what the terminal can, which nobody else may read from yet
    return KernelApp(conversation).run() or LEFT
