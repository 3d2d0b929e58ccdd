"""A console as a widget: a transcript, and below it where code is typed, answers are given and the status stands."""

from __future__ import annotations

from collections.abc import Mapping

from qtpy.QtCore import QCoreApplication, QPoint, Qt, Signal
from qtpy.QtGui import QCloseEvent, QFontInfo, QKeyEvent
from qtpy.QtWidgets import QHBoxLayout, QLabel, QMenu, QVBoxLayout, QWidget

from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import Role
from rpyc_kernel.faces.frontend.conversation import LEFT, Conversation
from rpyc_kernel.faces.frontend.pending import Step
from rpyc_kernel.faces.frontend.plots import Picture
from rpyc_kernel.faces.frontend.recalled_history import recall
from rpyc_kernel.faces.frontend.render import Renderer
from rpyc_kernel.faces.frontend.transcript import Item
from rpyc_kernel.faces.frontend.typed_ahead import TypedAhead
from rpyc_kernel.faces.frontend.widget_view import Prompt, WidgetView
from rpyc_kernel.faces.qt.answer_line import AnswerLine
from rpyc_kernel.faces.qt.ask_bar import AskBar
from rpyc_kernel.faces.qt.bridge import Bridge
from rpyc_kernel.faces.qt.conversation_thread import ConversationThread
from rpyc_kernel.faces.qt.editor import Editor
from rpyc_kernel.faces.qt.keys import KEYS
from rpyc_kernel.faces.qt.looks import fixed_font
from rpyc_kernel.faces.qt.past_codes import PastCodes
from rpyc_kernel.faces.qt.transcript_pane import TranscriptPane
from rpyc_kernel.faces.qt.typing_help import TypingHelp

_CODE_PROMPT, _BUSY_PROMPT = ">>>", "···"


class ConsoleWidget(QWidget):
    """A person's place in a kernel.

    Nothing in it waits for the kernel: the conversation runs in a thread of its own, which `close` ends, and so does
    the end of a parent. What the kernel does goes on.

    Args:
        kernel: a client of the kernel, which is closed with the widget; or a conversation that has not begun.
        parent: of the widget.

    Attributes:
        conversation: what it shows.
        transcript: where that is seen.
        editor: where code is typed.
        answer: where questions are answered.
        asked: what somebody asks to run.

    Signals:
        executed: an execution has ended, whose-ever it was; what is shown of the kernel elsewhere may be out of date.
        plots_changed: the pictures that there are now, by the items that show them, oldest first.
        ended: the conversation is over, with one of the words of `Conversation.run`: ``left``, ``lost`` …

    Example:
        >>> from rpyc_kernel.qt import ConsoleWidget
        >>> console = ConsoleWidget(rpyc_kernel.connect("demo"))  # in a program that has a QApplication
        >>> console.run("6 * 7")
        >>> console.close()
        True
    """

    executed = Signal()
    plots_changed = Signal(object)
    ended = Signal(str)

    def __init__(self, kernel: KernelClient | Conversation, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.conversation = kernel if isinstance(kernel, Conversation) else Conversation(kernel)
        self._renderer = Renderer(is_colourful=True)
        self.transcript = TranscriptPane(self)
        self.editor = Editor(self._renderer.highlight, self)
        self.answer = AnswerLine(self)
        self.asked = AskBar(self)
        self._prompt_label = QLabel(_BUSY_PROMPT, self)
        self._status = QLabel(self)
        self._prompt: Prompt | None = None
        self._typed_ahead = TypedAhead()
        self._past = PastCodes()
        self._searching: tuple[str, int | None] | None = None
        self._place_widgets()
        self._bridge = Bridge()
        self._view = WidgetView(self.conversation, self._bridge.post, self, KEYS)
        self._thread = ConversationThread(self.conversation, self._view, self._bridge.post, self._end)
        self._help = TypingHelp(self.editor, self.conversation, self._thread, self)
        self._connect_widgets()
        if (application := QCoreApplication.instance()) is not None:
            application.aboutToQuit.connect(self.close)
        # This object is no more by then.
        self.destroyed.connect(self._bridge.close)
        self.destroyed.connect(self._thread.close)
        self._thread.start()
        self._thread.ask(lambda: self._renderer.highlight("1"), lambda _: None)  # what that loads takes a moment
        self._thread.ask(lambda: [known.code for known in recall(self.conversation.kernel)], self._past.begin)

    # ------------------------------------------------------------------ what programs may do

    @property
    def kernel(self) -> KernelClient:
        """The client, which other widgets may use as long as this one is open."""
        return self.conversation.kernel

    def run(self, code: str) -> None:
        """Run code as if it had been typed: now, or when what is waited for has ended."""
        self._past.add(code)
        self._typed_ahead.add(code)
        self._enter_next()

    def explain(self) -> None:
        """Show what can be typed, and what the keys do."""
        self._thread.call(self._view.explain)

    def interrupt(self) -> None:
        """Do what Ctrl-C does."""
        if self._typed_ahead:
            self.editor.put(self._typed_ahead.take_back(self.editor.code))
        elif self._is_at_code and self.editor.code:
            self.editor.put("")
            return
        self._thread.call(self._view.ctrl_c)

    def clear(self) -> None:
        """Show nothing of what was there so far; the kernel keeps it."""
        self.transcript.clear_items()

    def zoom(self, points: int) -> None:
        """Have larger letters, or for a negative number smaller ones; for 0 those of the system."""
        font = fixed_font()
        if points:
            font.setPointSize(max(5, min(QFontInfo(self.editor.font()).pointSize() + points, 50)))
        for widget in (self.transcript, self.editor, self.editor.popup, self.answer, self._prompt_label):
            widget.setFont(font)
        self.editor.updateGeometry()

    def wait_for_end(self, timeout_s: float) -> None:
        """After `close`, wait until the kernel knows that one has left, for a program that ends then."""
        self._thread.join(timeout_s)

    # ------------------------------------------------------------------ widgets

    def _place_widgets(self) -> None:
        for label in (self._prompt_label, self._status):
            label.setTextFormat(Qt.TextFormat.PlainText)
        self._status.setContentsMargins(8, 3, 8, 3)
        self._status.setMinimumWidth(50)
        self._prompt_label.setFont(fixed_font())
        self._prompt_label.setAlignment(Qt.AlignmentFlag.AlignTop)
        self._prompt_label.setContentsMargins(0, 3, 0, 0)
        self.answer.hide()
        self.transcript.setFrameShape(TranscriptPane.Shape.NoFrame)
        row = QHBoxLayout()
        row.setContentsMargins(8, 4, 4, 4)
        row.setSpacing(6)
        row.addWidget(self._prompt_label)
        row.addWidget(self.answer, 1)  # before what a search has found
        row.addWidget(self.editor, 1)
        self._input = QWidget(self)
        self._input.setAutoFillBackground(True)
        self._input.setBackgroundRole(self.editor.viewport().backgroundRole())
        self._input.setLayout(row)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(1)
        column.addWidget(self.transcript, 1)
        column.addWidget(self.asked)
        column.addWidget(self._input)
        column.addWidget(self._status)
        self.setFocusProxy(self.editor)

    def _connect_widgets(self) -> None:
        editor = self.editor
        editor.entered.connect(self._enter)
        editor.run_wanted.connect(self._run_typed)
        self._help.is_completing_changed.connect(self.show_status)
        self._help.changed.connect(self._place_help)
        editor.past_wanted.connect(self._walk)
        editor.search_wanted.connect(self._begin_search)
        editor.interrupted.connect(self.interrupt)
        editor.left.connect(lambda: self._give(None))
        self.answer.returnPressed.connect(self._return_pressed)
        self.answer.textEdited.connect(self._search)
        self.answer.interrupted.connect(lambda: self._give_up_search() if self._searching else self.interrupt())
        self.answer.left.connect(lambda: self._give_up_search() if self._searching else self._give(None))
        self.answer.given_up.connect(self._give_up_search)
        self.answer.older_wanted.connect(lambda: self._search(self.answer.text(), older=True))
        conversation = self.conversation
        self.asked.read_wanted.connect(
            lambda number: self._thread.spawn(lambda: conversation.show_ask(number, "the button lets it go"))
        )
        self.asked.approved.connect(lambda number: self._thread.spawn(lambda: conversation.approve(number)))
        self.asked.declined.connect(lambda number: self._thread.spawn(lambda: conversation.decline(number)))
        self.transcript.typed.connect(self._type)
        self.transcript.interrupted.connect(self.interrupt)
        self.transcript.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.transcript.customContextMenuRequested.connect(self._open_menu)

    def _open_menu(self, place: QPoint) -> None:
        menu = QMenu(self)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        copy = menu.addAction("Copy", self.transcript.copy)
        copy.setEnabled(self.transcript.textCursor().hasSelection())
        menu.addAction("Paste", self.editor.paste).setEnabled(self.editor.canPaste())
        menu.addAction("Select all", self.transcript.selectAll)
        menu.addSeparator()
        menu.addAction("Interrupt", self.interrupt)
        menu.addAction("Clear", self.clear)
        menu.popup(self.transcript.viewport().mapToGlobal(place))

    def _type(self, event: QKeyEvent) -> None:
        target = self.answer if self.answer.isVisible() else self.editor
        target.setFocus()
        target.keyPressEvent(event)

    # ------------------------------------------------------------------ what the view tells, in this thread

    def draw(self, steps: list[Step]) -> None:
        """Draw what has changed."""
        self.transcript.know_pictures(self._view.pictures)
        self.transcript.draw(steps)

    def show_plots(self, pictures: Mapping[Item, Picture]) -> None:
        """There are other pictures now."""
        self.plots_changed.emit(pictures)

    def note_end(self) -> None:
        """An execution has ended."""
        self.executed.emit()

    def show_status(self) -> None:
        """The line at the bottom has changed."""
        metrics, line = self._status.fontMetrics(), self.conversation.status_line
        self._status.setText(line.text(self._status.width() - 20, lambda text: metrics.horizontalAdvance(text)))
        if line.status is not None and Role.allows(self.kernel.role, Role.EDITOR):
            self.asked.show_status(line.status)

    def show_prompt(self, prompt: Prompt | None) -> None:
        """Something is read now, or nothing."""
        self._prompt = prompt
        asks = prompt is not None and prompt.question is not None
        if self._searching is not None and not asks:
            return
        self._searching = None
        self._prompt_label.setText(_BUSY_PROMPT if prompt is None else _CODE_PROMPT)
        if asks and prompt is not None:
            self._prompt_label.setText(str(prompt.question).rstrip() or "?")
            self.answer.begin(is_password=prompt.is_password)
        self._show_line(asks)
        if prompt is not None and prompt.proposed:
            if not self.editor.code:
                self.editor.put(prompt.proposed)
            else:  # one is typing already
                self._past.add(prompt.proposed)
        self._enter_next()

    def _show_line(self, is_line: bool) -> None:
        """Have the line of answers in the place of the editor, or that again."""
        had_focus = self.answer.hasFocus() or self.editor.hasFocus() or self.editor.popup.isVisible()
        shown, hidden = (self.answer, self.editor) if is_line else (self.editor, self.answer)
        hidden.hide()
        shown.show()
        self.setFocusProxy(shown)
        if had_focus:
            shown.setFocus()

    def _end(self, end: str) -> None:
        self._prompt_label.setText("")
        self.editor.setReadOnly(True)
        self.editor.setPlaceholderText("you have left; the kernel goes on" if end == LEFT else "no connection any more")
        self._status.setText(f"{self.conversation.kernel.name} | {'left' if end == LEFT else 'no connection'}")
        self.ended.emit(end)

    # ------------------------------------------------------------------ what goes to the view

    @property
    def _is_at_code(self) -> bool:
        return self._prompt is not None and self._prompt.question is None

    def _give(self, text: str | None) -> None:
        """Answer what is read."""
        if self._prompt is not None:
            prompt, self._prompt = self._prompt, None
            self._thread.call(self._view.answer, prompt, text)

    def _enter_next(self) -> None:
        if self._is_at_code and (code := self._typed_ahead.take_next()) is not None:
            self._give(code)

    def _enter(self) -> None:
        """Run what is typed if it is complete, else go on on the next line."""
        code = self.editor.code
        if not code.strip():
            self.editor.go_on()
            return

        def go_on(indent: str | None) -> None:
            if indent is None:
                self._run_typed()
            else:
                self.editor.break_line(indent)
            self.editor.go_on()

        self._thread.ask(lambda: self.conversation.find_indent(code), go_on)

    def _run_typed(self) -> None:
        code = self.editor.code
        self.editor.put("")
        self.run(code)

    def _return_pressed(self) -> None:
        if self._searching is not None:
            self._end_search()
        else:
            self._give(self.answer.text())

    # ------------------------------------------------------------------ the past

    def _walk(self, step: int) -> None:
        found = self._past.walk(self.editor.code, step)
        if found is not None:
            self.editor.put(found)

    def _begin_search(self) -> None:
        if self.answer.isVisible():
            return
        self._searching = (self.editor.code, None)
        self._prompt_label.setText("search:")
        self.answer.begin()
        self._show_line(True)
        self.editor.show()
        self.answer.setFocus()

    def _search(self, text: str, *, older: bool = False) -> None:
        if self._searching is None:
            return
        before, place = self._searching
        found = self._past.search(text, place if older else None)
        if found is not None:
            self._searching = (before, found[0])
            self.editor.put(found[1])

    def _give_up_search(self) -> None:
        if self._searching is not None:
            self.editor.put(self._searching[0])
            self._end_search()

    def _end_search(self) -> None:
        self._searching = None
        self.answer.clear()
        self.show_prompt(self._prompt)
        self.editor.setFocus()

    # ------------------------------------------------------------------ the end

    def resizeEvent(self, event: object) -> None:  # noqa: N802 - Qt's name
        """More names may fit."""
        super().resizeEvent(event)
        self.show_status()
        self._place_help()

    def _place_help(self) -> None:
        """Lay it over the end of the transcript, so that nothing moves where it comes and goes."""
        self.transcript.leave_room(self._help.place(self._input.y(), self.width()))

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 - Qt's name
        """End the thread, and leave the kernel as it is."""
        self.editor.popup.hide()
        self._bridge.close()
        self.transcript.end()
        self._thread.close()
        super().closeEvent(event)
