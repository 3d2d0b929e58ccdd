"""What Tab brings from a kernel that finds some names at once and others later."""

import asyncio
from typing import Any

from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from rpyc_kernel.core.introspection import Completion, Completions
from rpyc_kernel.errors import WorkerBusy
from rpyc_kernel.faces.console.completion import KernelCompleter

TAB = "\t"


class FakeKernel:
    """Answers one question after another, and fails if there are more."""

    def __init__(self, *answers: Completions | Exception) -> None:
        self._answers = list(answers)
        self.asked: list[str] = []

    def complete(self, code: str, cursor: int, **_: Any) -> Completions:
        self.asked.append(code)
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def found(*texts: str, is_whole: bool) -> Completions:
    return Completions(0, 2, tuple(Completion(text, "instance") for text in texts), is_whole)


def make_editor(kernel: FakeKernel, keyboard: Any, told: Any = lambda is_waiting: None) -> PromptSession[str]:
    completer = KernelCompleter(lambda: kernel, ["%jobs"], told)  # type: ignore[arg-type, return-value]
    return PromptSession(completer=completer, complete_while_typing=False, input=keyboard, output=DummyOutput())


def press_enter_at(text: str, editor: PromptSession[str], keyboard: Any) -> None:
    """Press Enter as soon as the editor has this text."""

    def look(buffer: Any) -> None:
        if buffer.text == text:
            asyncio.get_running_loop().call_soon(keyboard.send_text, "\r")

    editor.default_buffer.on_text_changed += look


def complete(kernel: FakeKernel, *, until: str) -> tuple[str, list[bool]]:
    """Type ``na`` and Tab, and wait until the editor has a text; returns that, and what was told of waiting."""
    told: list[bool] = []

    async def type_and_wait() -> str:
        with create_pipe_input() as keyboard:
            editor = make_editor(kernel, keyboard, told.append)
            press_enter_at(until, editor, keyboard)
            keyboard.send_text(f"na{TAB}")
            return await editor.prompt_async()

    return asyncio.run(asyncio.wait_for(type_and_wait(), 30)), told


def test_what_takes_longer_comes_into_the_editor_when_it_is_found():
    kernel = FakeKernel(found(is_whole=False), found(is_whole=False), found("name", is_whole=True))
    assert complete(kernel, until="name") == ("name", [True, True, False])


def test_nothing_is_said_where_all_is_found_at_once():
    assert complete(FakeKernel(found("name", is_whole=True)), until="name") == ("name", [False])


def test_what_was_found_already_is_offered_once():
    kernel = FakeKernel(found("names_one", is_whole=False), found("names_one", "names_two", is_whole=True))
    assert complete(kernel, until="names_")[0] == "names_"


def test_who_types_on_is_asked_about_what_stands_there_now():
    class Typist(FakeKernel):
        """The user has typed on by the time it answers first."""

        def complete(self, code: str, cursor: int, **options: Any) -> Completions:
            answer = super().complete(code, cursor, **options)
            if not answer.is_whole:
                loop.call_soon_threadsafe(editor.default_buffer.insert_text, "m")
            return answer

    kernel = Typist(found(is_whole=False), found("name", is_whole=True))

    async def type_on() -> str:
        nonlocal loop, editor
        loop = asyncio.get_running_loop()
        with create_pipe_input() as keyboard:
            editor = make_editor(kernel, keyboard)
            press_enter_at("name", editor, keyboard)
            keyboard.send_text(f"na{TAB}")
            return await editor.prompt_async()

    loop: Any = None
    editor: Any = None
    assert asyncio.run(asyncio.wait_for(type_on(), 30)) == "name"
    assert kernel.asked == ["na", "nam"]


def test_a_kernel_that_does_not_answer_offers_nothing():
    kernel = FakeKernel(WorkerBusy("it holds the lock"))
    told: list[bool] = []
    completer = KernelCompleter(lambda: kernel, ["%jobs", "%wait"], told.append)  # type: ignore[arg-type, return-value]

    async def collect(text: str) -> list[str]:
        found = completer.get_completions_async(Document(text), CompleteEvent(completion_requested=True))
        return [each.text async for each in found]

    assert asyncio.run(collect("na")) == []
    assert asyncio.run(collect("%j")) == ["%jobs"]
