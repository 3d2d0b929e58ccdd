"""A shell on the whole terminal: python textual_shell.py NAME."""

import sys

from textual import app, binding, containers, widgets

import rpyc_kernel
from rpyc_kernel.frontend import Conversation, LineView, Renderer, to_draw


class Shell(app.App):
    BINDINGS = [binding.Binding(f"ctrl+{key}", key, priority=True) for key in "cd"]  # noqa: RUF012

    def __init__(self, kernel):
        super().__init__()
        self.conversation, self.renderer, self.rows = Conversation(kernel), Renderer(is_colourful=False), {}
        self.view, self.line = LineView(self.show, self.prompt), widgets.Input()

    def compose(self):
        yield containers.VerticalScroll(can_focus=False)
        yield self.line

    def on_mount(self):
        self.run_worker(self.talk())

    async def talk(self):
        self.exit(await self.conversation.run(self.view))

    def show(self, changes):
        drawn, gone = to_draw(changes)
        for item in gone:
            self.rows.pop(item).remove()
        new = {item: widgets.Static(markup=False) for item in drawn if item not in self.rows}
        self.rows |= new
        self.query_one(containers.VerticalScroll).mount(*new.values())
        for item in drawn:
            self.rows[item].update(self.renderer.describe(item))
        self.query_one(containers.VerticalScroll).scroll_end(animate=False)

    def prompt(self, question, is_password, text):
        self.line.placeholder, self.line.password, self.line.value = question, is_password, text or self.line.value

    def on_input_submitted(self, event):
        echo, self.line.value = "" if self.line.password else event.value, ""
        if self.view.enter(event.value):
            self.show(self.conversation.transcript.echo(echo))

    def action_c(self):
        self.conversation.interrupt()

    def action_d(self):
        self.view.leave() or self.conversation.end()


if __name__ == "__main__":
    Shell(rpyc_kernel.connect(sys.argv[1])).run()
