"""The commands of front ends: words that begin with %, and help by question marks."""

from __future__ import annotations

import difflib
import re
import time
from collections.abc import Awaitable, Callable
from functools import partial

from rpyc_kernel.core.contract import Force
from rpyc_kernel.faces.frontend.control_characters import sanitize, sanitize_line
from rpyc_kernel.faces.frontend.foreground import Foreground
from rpyc_kernel.faces.frontend.interrupting import Interrupting
from rpyc_kernel.faces.frontend.kernel_link import KernelLink
from rpyc_kernel.faces.frontend.speaker import Speaker
from rpyc_kernel.faces.frontend.state import TalkState
from rpyc_kernel.faces.frontend.summaries import (
    format_duration,
    summarise_inspection,
    summarise_sessions,
    summarise_status,
    summarise_variables,
)
from rpyc_kernel.faces.frontend.words import first_line

_MAX_HISTORY = 50
COMMANDS = """\
A trailing ';' lets the code go on in the background; its output is marked with its number.

  name?  name??              what is known of a name, and its source
  %jobs                      what you have running or queued
  %wait [N]                  wait for execution N, or for all of yours
  %cancel N                  take execution N out of the queue
  %approve N                 let execution N run, for which somebody asks
  %decline N [REASON]        have it not run
  %code N                    the whole code of execution N
  %interrupt [N] [HOW]       interrupt execution N, or what runs; HOW: signal, exception, terminate
  %answer [N] [TEXT]         answer what execution N asks
  %history [TEXT]            what was run here, by everybody, with TEXT in it
  %sessions                  who is here, from where, and doing what
  %vars                      what is in the namespace
  %status                    what the kernel does
  %stack                     where each of its threads is
  %restart                   a new, empty namespace
  %quit                      leave; the kernel stays
  %help                      this
"""
"""What a front end can do whatever its keys are."""
_OF_ONE = frozenset({"%cancel", "%approve", "%decline", "%code"})
"""Those that need the number of an execution."""
_QUESTION = re.compile(r"(\?\??)?\s*([^\W\d][\w.]*)\s*(\?\??)?")


class FrontEndCommands:
    """Obeys what is meant for the front end and not for the kernel.

    Args:
        link: leads to the kernel.
        speaker: tells the user.
        state: knows the user's jobs.
        foreground: waits, and asks what code asks.
        interrupting: stops executions.
    """

    def __init__(
        self,
        link: KernelLink,
        speaker: Speaker,
        state: TalkState,
        foreground: Foreground,
        interrupting: Interrupting,
    ) -> None:
        self._link = link
        self._speaker = speaker
        self._jobs = state.jobs
        self._foreground = foreground
        self._interrupting = interrupting
        self._by_name: dict[str, Callable[[list[str]], Awaitable[None]]] = {
            "%jobs": self._show_jobs,
            "%wait": self._wait,
            "%cancel": self._cancel,
            "%approve": self._approve,
            "%decline": self._decline,
            "%code": self._show_code,
            "%interrupt": self._interrupt,
            "%answer": self._answer,
            "%history": self._show_history,
            "%sessions": self._show_sessions,
            "%vars": self._show_variables,
            "%status": self._show_status,
            "%stack": self._show_stack,
            "%restart": self._restart,
            "%help": self._help,
        }

    @property
    def names(self) -> list[str]:
        """All commands."""
        return [*self._by_name, "%quit"]

    async def obey(self, line: str) -> bool:
        """Do what the line says; False when it is not a command but code.

        Raises:
            ValueError: the command does not take these arguments.
        """
        word, *arguments = line.split() if "\n" not in line else [line]
        command = self._by_name.get(word)
        if word in _OF_ONE and not arguments:
            raise ValueError(f"which execution? Say its number, as in {word} 3; %status lists them")
        if command is not None:
            await command(arguments)
            return True
        if near := difflib.get_close_matches(word, self.names, 1, 0.7) if word.startswith("%") else []:
            raise ValueError(f"there is no {word}; did you mean {near[0]}? %help lists the commands")
        question = _QUESTION.fullmatch(line)
        if question is not None and (question[1] or question[3]):
            await self._explain(question[2], with_source="??" in (question[1], question[3]))
            return True
        return False

    # ------------------------------------------------------------------ introspection

    async def _help(self, arguments: list[str]) -> None:
        if arguments:
            await self._explain(arguments[0], with_source=False)
        else:
            self._speaker.explain()

    async def _explain(self, name: str, *, with_source: bool) -> None:
        found = await self._link.ask(partial(self._link.kernel.inspect, name, source=with_source))
        lines = [sanitize(line) for line in summarise_inspection(found, with_source=with_source)]
        await self._speaker.page("\n".join(lines) + "\n")

    async def _show_jobs(self, _: list[str]) -> None:
        lines = []
        for job in self._jobs.list():
            state = "queued" if job.started is None else f"running for {format_duration(time.time() - job.started)}"
            if job.is_held:
                state = "waits for approval"
            elif job.question is not None:
                state = "waits for input"
            lines.append(f"[{job.number}] {state}: {first_line(job.code)}")
        self._say_lines(lines or ["nothing of yours is running or queued"])

    async def _show_sessions(self, _: list[str]) -> None:
        sessions = await self._link.ask(self._link.kernel.sessions)
        own = self._link.kernel.session
        self._say_lines(summarise_sessions(sessions, own))

    async def _show_history(self, arguments: list[str]) -> None:
        search = partial(self._link.kernel.history, " ".join(arguments), limit=_MAX_HISTORY)
        found = await self._link.ask(search)
        lines = [f"[{past.execution}] {sanitize_line(past.name)}: {first_line(past.code)}" for past in found]
        self._say_lines(lines or ["nothing of that kind was run here"])

    async def _show_code(self, arguments: list[str]) -> None:
        await self._speaker.page(await self.read_code(_number(arguments[0])) + "\n")

    async def read_code(self, number: int) -> str:
        """All code of an execution, as it can be shown."""
        queued = await self._link.ask(lambda: next(self._link.kernel.execution(number).events()))
        return sanitize(queued.code).rstrip()

    async def _show_variables(self, _: list[str]) -> None:
        variables = await self._link.ask(self._link.kernel.variables)
        self._say_lines(summarise_variables(variables) or ["the namespace is empty"])

    async def _show_status(self, _: list[str]) -> None:
        self._say_lines(summarise_status(await self._link.ask(self._link.kernel.status)))

    async def _show_stack(self, _: list[str]) -> None:
        self._speaker.say(sanitize(await self._link.ask(self._link.kernel.stack)).rstrip())

    def _say_lines(self, lines: list[str]) -> None:
        self._speaker.say("\n".join(lines))

    # ------------------------------------------------------------------ acting

    async def _wait(self, arguments: list[str]) -> None:
        jobs = self._jobs
        numbers = [_number(arguments[0])] if arguments else [job.number for job in jobs.list()]
        if not numbers:
            self._speaker.say("nothing of yours is running or queued")
        for number in numbers:
            if jobs.find(number) is not None:
                if not await self._foreground.wait(number):
                    return
            elif arguments:
                self._speaker.say(f"execution {number} has finished, or is not yours; %jobs lists yours")

    async def _cancel(self, arguments: list[str]) -> None:
        await self._link.ask(self._link.kernel.cancel, _number(arguments[0]))

    async def _approve(self, arguments: list[str]) -> None:
        await self._link.ask(self._link.kernel.approve, _number(arguments[0]))

    async def _decline(self, arguments: list[str]) -> None:
        await self._link.ask(self._link.kernel.decline, _number(arguments[0]), " ".join(arguments[1:]))

    async def _interrupt(self, arguments: list[str]) -> None:
        force = Force.SIGNAL
        if arguments and arguments[-1] in (Force.SIGNAL, Force.EXCEPTION, Force.TERMINATE):
            force = arguments.pop()
        await self._interrupting.interrupt(_number(arguments[0]) if arguments else None, force)

    async def _answer(self, arguments: list[str]) -> None:
        number = _number(arguments[0]) if arguments else None
        if len(arguments) > 1:
            await self._link.ask(self._link.kernel.answer_input, " ".join(arguments[1:]), number)
        else:
            await self._foreground.answer(number)

    async def _restart(self, _: list[str]) -> None:
        if await self._interrupting.confirm("restart with an empty namespace, for everybody?", is_likely=False):
            await self._link.ask(partial(self._link.kernel.restart))


def _number(text: str) -> int:
    try:
        return int(text.strip("[]"))
    except ValueError:
        raise ValueError(f"{text!r} is not the number of an execution; %jobs lists yours, %status all") from None
