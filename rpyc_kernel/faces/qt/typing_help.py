"""What helps while one types: completions, the signature of what is called, and what the name below the mouse is."""

from __future__ import annotations

import contextlib
import html
from functools import partial

from qtpy.QtCore import QPoint, Qt, QTimer, Signal
from qtpy.QtGui import QPalette
from qtpy.QtWidgets import QLabel, QToolTip, QWidget

from rpyc_kernel.core.introspection import Completions
from rpyc_kernel.faces.frontend.completing import complete
from rpyc_kernel.faces.frontend.conversation import Conversation
from rpyc_kernel.faces.frontend.hints import NO_HINT, Hint, find_hint
from rpyc_kernel.faces.qt.conversation_thread import ConversationThread
from rpyc_kernel.faces.qt.editor import Editor


class TypingHelp(QLabel):
    """Shows a signature, and has the editor's popup show completions.

    Args:
        editor: where one types.
        conversation: whose kernel knows.
        thread: asks.
        parent: of the widget.

    Signals:
        changed: it has another size, or came or went.
        is_completing_changed: the user waits for further completions now, or no more.
    """

    changed = Signal()
    is_completing_changed = Signal()

    def __init__(self, editor: Editor, conversation: Conversation, thread: ConversationThread, parent: QWidget) -> None:
        super().__init__(parent)
        self._editor = editor
        self._conversation = conversation
        self._thread = thread
        self._is_asking = self._is_wanted = False
        self._completing = 0
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(0)
        self._soon.timeout.connect(self._ask)
        self.setTextFormat(Qt.TextFormat.RichText)  # all of it is escaped
        self.setContentsMargins(8, 3, 8, 3)
        self.setAutoFillBackground(True)
        self.setBackgroundRole(QPalette.ColorRole.ToolTipBase)
        self.setForegroundRole(QPalette.ColorRole.ToolTipText)
        self.hide()
        editor.completion_wanted.connect(self._complete)
        editor.hovered.connect(self._explain)
        editor.textChanged.connect(self._update)
        editor.cursorPositionChanged.connect(self._update)
        editor.popup.chosen.connect(self._update)

    def place(self, bottom: int, width: int) -> int:
        """Have it end at ``bottom``, no wider than ``width``; returns how high it is, 0 while there is none."""
        height = self.sizeHint().height()
        self.setGeometry(0, bottom - height, min(self.sizeHint().width(), width), height)
        return 0 if self.isHidden() else height

    # ------------------------------------------------------------------ completions

    def _complete(self) -> None:
        editor = self._editor
        code, cursor = editor.code, editor.cursor
        self._completing += 1
        number = self._completing
        is_offered = False

        def show(found: Completions) -> None:
            nonlocal is_offered
            if is_offered and editor.popup.isVisible():
                editor.popup.add(found.items)
            elif not is_offered and found.items and (editor.code, editor.cursor) == (code, cursor):
                is_offered = True
                editor.popup.offer(editor.place_of(found.start), list(found.items))
                if (common := editor.popup.common) and common.startswith(code[found.start : cursor]):
                    editor.popup.insert(common)

        def show_waiting(is_waiting: bool) -> None:
            self._conversation.status_line.is_completing = is_waiting
            self._thread.post(self.is_completing_changed.emit)

        async def look() -> None:
            answers = complete(
                lambda: self._conversation.kernel,
                code,
                cursor,
                commands=self._conversation.commands,
                is_wanted=lambda: number == self._completing,
                show_waiting=show_waiting,
            )
            async with contextlib.aclosing(answers):
                async for found in answers:
                    self._thread.post(partial(show, found))

        self._thread.spawn(look)

    # ------------------------------------------------------------------ hints

    def _update(self) -> None:
        """Ask one question at a time, and of those that wait only the last."""
        self._is_wanted = True
        if not self._is_asking:
            self._is_asking = True
            self._soon.start()

    def _ask(self) -> None:
        self._is_wanted = False
        popup = self._editor.popup
        is_choosing = popup.isVisible() and popup.currentItem() is not None
        code, cursor = popup.candidate if is_choosing else (self._editor.code, self._editor.cursor)
        if not is_choosing and "(" not in code[:cursor]:
            self._show(NO_HINT)
            return
        self._thread.ask(
            partial(find_hint, self._conversation.kernel, code, cursor, is_choosing=is_choosing), self._show
        )

    def _show(self, hint: Hint) -> None:
        before, active, after = (html.escape(part) for part in hint)
        self.setText(f"{before}<b><u>{active}</u></b>{after}" if active else before)
        self.setVisible(any(hint))
        self.changed.emit()
        self._is_asking = False
        if self._is_wanted:
            self._update()

    def _explain(self, place: int, where: QPoint) -> None:
        editor = self._editor
        cursor = len(editor.between(0, place))

        def show(hint: Hint) -> None:
            if any(hint):
                QToolTip.showText(where, f"<p style='white-space: pre-wrap'>{html.escape(''.join(hint))}</p>", editor)

        self._thread.ask(partial(find_hint, self._conversation.kernel, editor.code, cursor, is_choosing=True), show)
