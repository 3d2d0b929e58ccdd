"""The command that answers what code asks: answer."""

# ruff: noqa: D102 - what `main` of a command does, its class says

from __future__ import annotations

import getpass
import sys

from plumbum import cli

from rpyc_kernel.cli.application import OK, JsonCommand, UsageError
from rpyc_kernel.client.kernel import KernelClient
from rpyc_kernel.core.contract import Event, Kind
from rpyc_kernel.errors import NotAsked
from rpyc_kernel.faces.frontend.control_characters import sanitize, sanitize_line

_PAGE = 1000


class Answer(JsonCommand):
    """Answer what code in a kernel asks; without TEXT, say what is asked, and at a terminal ask for the answer.

    '-' reads the answer, a line, from standard input. So a secret is given: on a command line everybody on the machine
    could read it, and there it is refused. At a terminal a secret is not echoed. Of several questions the oldest is
    answered, or that of the execution that is named.

    Examples:
        rpyc-kernel answer demo
        rpyc-kernel answer demo yes
        pass show database | rpyc-kernel answer demo - --execution 3
        rpyc-kernel answer demo --eof
    """

    USAGE = "    {progname} [SWITCHES] NAME [TEXT | -]\n"

    execution = cli.SwitchAttr("--execution", int, help="answer this one", argname="NUMBER")
    is_end = cli.Flag("--eof", help="answer with the end of the input")

    def main(self, name: str, *words: str) -> int:
        if len(words) > (0 if self.is_end else 1):
            raise UsageError("there is one answer, a line: put it in quotes; --eof is one by itself")
        text = words[0] if words else None
        wanted: int | None = self.execution
        with self.connect(name, insists=True) as kernel:
            questions = [q for q in find_questions(kernel) if wanted in (None, q.execution)]
            if not questions:
                what = "nothing waits" if wanted is None else f"execution {wanted} does not wait"
                raise NotAsked(f"{what} for input")
            if text is None and not self.is_end and (self.as_json or not sys.stdin.isatty()):
                self._tell(questions)
                return OK
            question = questions[0]
            kernel.answer_input(None if self.is_end else _read_answer(question, text), question.execution)
        self.write_answer({"execution": question.execution}, [f"{_whose(question)} has its answer"])
        return OK

    def _tell(self, questions: list[Event]) -> None:
        told = [
            {"execution": q.execution, "session": q.session, "prompt": q.prompt, "password": q.password}
            for q in questions
        ]
        lines = [
            f"{_whose(q)} asks{' for a secret' if q.password else ''}: {sanitize_line(q.prompt).rstrip()}"
            for q in questions
        ]
        self.write_answer(told, lines)


def find_questions(kernel: KernelClient) -> list[Event]:
    """The questions that wait for an answer, oldest first."""
    status = kernel.status()
    span, wanted = _PAGE, len(status["prompts"])
    while wanted:
        since = max(0, status["last"] - span)
        waiting: dict[int, Event] = {}
        for event in kernel.events(since, follow=False):
            if event.kind == Kind.INPUT_REQUESTED:
                waiting[event.token] = event
            elif event.kind == Kind.INPUT_ANSWERED:
                waiting.pop(event.token, None)
            elif event.kind == Kind.WORKER_DIED:
                waiting.clear()
        if len(waiting) >= wanted or not since:
            return list(waiting.values())
        span *= 8
    return []


def _read_answer(question: Event, text: str | None) -> str:
    if text not in (None, "-"):
        if question.password:
            raise UsageError(
                f"{_whose(question)} asks for a secret, and others could read it on your command line; give it on "
                "standard input, with '-', or at a terminal"
            )
        return str(text)
    if sys.stdin.isatty():
        try:
            prompt = sanitize(question.prompt)
            return getpass.getpass(prompt) if question.password else input(prompt)
        except EOFError:
            raise UsageError("nothing was answered; --eof answers with the end of the input") from None
    line = sys.stdin.readline()
    if not line:
        raise UsageError("there is no line on standard input; --eof answers with the end of the input")
    return line.removesuffix("\n").removesuffix("\r")


def _whose(question: Event) -> str:
    return "a thread" if question.execution is None else f"execution {question.execution}"
