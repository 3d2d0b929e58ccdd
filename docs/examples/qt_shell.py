"""A shell in a window: python qt_shell.py NAME."""

import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

from qtpy.QtCore import QEvent, QSocketNotifier, QTimer, Signal
from qtpy.QtGui import QKeySequence
from qtpy.QtWidgets import QApplication, QLineEdit, QListWidget, QListWidgetItem, QVBoxLayout, QWidget

import rpyc_kernel
from rpyc_kernel.frontend import Renderer, TalkState, Tone, Transcript, to_draw


class Shell(QWidget):
    failed, renderer = Signal(str), Renderer(is_colourful=False)

    def __init__(self, kernel):
        super().__init__()
        self.kernel, self.transcript, self.state = kernel, Transcript(kernel.session), TalkState(kernel.session)
        self.pool, self.notifier, self.line = ThreadPoolExecutor(4), None, QLineEdit(returnPressed=self.enter)
        self.list, self.rows = QListWidget(), defaultdict(lambda: QListWidgetItem(self.list))
        QVBoxLayout(self).addWidget(self.list)
        self.layout().addWidget(self.line)
        self.line.installEventFilter(self)
        self.failed.connect(lambda words: self.show_changes(self.transcript.say(words, Tone.TROUBLE)))
        self.transcript.begin(status := {**kernel.status(), "queue": kernel.queue()})
        self.watch = kernel.watch(status["last"], on_loss=lambda words: self.failed.emit(words or "connected again"))
        QTimer(self, interval=1000, timeout=lambda: self.read(1.0)).start()  # notices a machine that is gone
        self.read()

    def read(self, waited_s=0.0):
        self.watch.read_ready(waited_s)
        for event in (events := self.watch.take()):
            self.state.jobs.take(event)
        self.show_changes(self.transcript.take_all(events))
        asked = self.state.jobs.question
        self.line.setPlaceholderText(asked.prompt if asked else ">>>")
        self.line.setEchoMode(QLineEdit.EchoMode.Password if asked and asked.password else QLineEdit.EchoMode.Normal)
        self.watch.go_on()
        if self.watch.has_ended:
            self.close()
        elif self.notifier is None or self.notifier.socket() != self.watch.fileno():  # a new connection
            self.notifier = QSocketNotifier(self.watch.fileno(), QSocketNotifier.Type.Read, self)
            self.notifier.activated.connect(lambda *_: self.read())

    def show_changes(self, changes):
        drawn, gone = to_draw(changes)
        for item in gone:
            self.list.takeItem(self.list.row(self.rows.pop(item)))
        for item in drawn:
            self.rows[item].setText(self.renderer.describe(item).rstrip("\n"))
        self.list.scrollToBottom()

    def enter(self):
        text = self.line.text()
        self.line.clear()
        if asked := self.state.jobs.question:
            self.ask(self.kernel.answer_input, text, asked.execution)
        else:
            self.show_changes(self.transcript.echo(text, is_handed_in=True))
            self.ask(self.kernel.submit, text)

    def eventFilter(self, _, event):
        is_ctrl_c = event.type() == QEvent.Type.KeyPress and event.matches(QKeySequence.StandardKey.Copy)
        if is_ctrl_c and (job := self.state.own_target):
            self.ask(self.kernel.interrupt if job.started else self.kernel.cancel, job.number)
        return is_ctrl_c

    def ask(self, function, *arguments):
        asked = self.pool.submit(function, *arguments)
        asked.add_done_callback(lambda _: self.failed.emit(str(asked.exception())) if asked.exception() else None)

    def closeEvent(self, _):
        self.watch.close()
        self.pool.shutdown(wait=False)
        self.kernel.close()


if __name__ == "__main__":
    application, shell = QApplication(sys.argv), Shell(rpyc_kernel.connect(sys.argv[1]))
    shell.show()
    application.exec()
