"""Debuggers in a worker: they stay in the user's frames, and leave nothing behind."""

import builtins
import os
import pdb
import re
import sys

import pytest

from rpyc_kernel.core.contract import Kind, Outcome
from rpyc_kernel.worker import user_frames
from rpyc_kernel.worker.capture import current_execution
from rpyc_kernel.worker.debugging import interactive
from rpyc_kernel.worker.introspection.prompt_completion import complete_answer
from tests.support.imports import plain_import
from tests.worker import sessions


class Debugged:
    """A session in which commands are entered at a debugger's prompts."""

    def __init__(self, session, monkeypatch):
        monkeypatch.setattr(pdb, "Pdb", pdb.Pdb)
        interactive.install()
        user_frames.hide(os.path.dirname(sessions.__file__))  # the tests stand for the kernel
        self.session = session
        self._monkeypatch = monkeypatch
        self.prompts = []

    def run(self, code, *commands):
        """Run code, and go on after the last command; returns the outcome. An exception is raised at the prompt."""
        left = iter(commands)

        def answer(prompt=""):
            self.prompts.append(prompt)
            command = next(left, "c")
            if isinstance(command, str):
                return command
            if callable(command) and not isinstance(command, type):
                return command()
            raise command  # a class, for each its own exception

        self._monkeypatch.setattr(builtins, "input", answer)
        # A binding of Qt that another test has loaded into this process has put a function of Python's there.
        self._monkeypatch.setattr(builtins, "__import__", plain_import)
        before = sys.gettrace()
        try:
            outcome = self.session.run(code)
        finally:
            interactive.end()
            sys.settrace(before)
        return outcome


@pytest.fixture
def debugged(session, monkeypatch):
    """Both engines, with the kernel's debuggers."""
    return Debugged(session, monkeypatch)


@pytest.fixture
def debugged_shell(ipython, monkeypatch):
    """The engine of IPython, with its debugger."""
    interactive.make_debugger.cache_clear()
    yield Debugged(ipython, monkeypatch)
    interactive.make_debugger.cache_clear()


@pytest.mark.parametrize("commands", [("r", "r"), ("u", "u", "r", "n"), ("n", "n", "n"), ("r", "s", "s")])
@pytest.mark.parametrize("begin", ["", "import asyncio\nawait asyncio.sleep(0)\n"])
def test_a_debugger_does_not_step_out_of_the_users_code(debugged, capsys, commands, begin):
    assert debugged.run(f"{begin}import pdb; pdb.Pdb().set_trace()\nx = 1\ny = 2", *commands) == Outcome.OK
    places = re.findall(r"> (.*?)\(\d+\)", capsys.readouterr().out)
    assert set(places) == {"<In 1>"}


TASKS = """
import asyncio, pdb
async def task(number):
    await asyncio.sleep(0)
    pdb.Pdb().set_trace()
    return number
"""


def test_a_debugger_stops_in_the_task_that_asks_for_it(debugged, capsys):
    assert debugged.run(f"{TASKS}print(await asyncio.gather(task(1), task(2)))", *["w", "p number", "c"] * 2) == "ok"
    shown = capsys.readouterr().out
    assert re.findall(r"> (.*?)\(\d+\)(.*?)\(\)", shown) == [("<In 1>", "task")] * 4
    assert re.findall(r"^\d$", shown, re.MULTILINE) == ["1", "2"]
    assert set(re.findall(r"^  (.*?)\(\d+\)", shown, re.MULTILINE)) == set()  # nobody has called it but the loop
    assert "[1, 2]" in shown


def test_a_debugger_steps_from_a_task_into_no_frame_of_the_loop(debugged, capsys):
    assert debugged.run(f"{TASKS}print(await asyncio.create_task(task(1)) + 6)", *["n"] * 9) == "ok"
    shown = capsys.readouterr().out
    assert {file for file, _ in re.findall(r"> (.*?)\(\d+\)(.*?)\(\)", shown)} == {"<In 1>"}
    assert "7\n" in shown


@pytest.mark.parametrize("ending", ["q", KeyboardInterrupt])
def test_who_leaves_the_prompt_sees_the_users_frames_only(debugged, ending):
    outcome = debugged.run("def f():\n    import pdb; pdb.Pdb().set_trace()\n    return 1\nf()", ending)
    error = debugged.session.last(Kind.ERROR)
    assert (outcome, error["ename"]) == (
        (Outcome.ERROR, "BdbQuit") if ending == "q" else (Outcome.INTERRUPTED, "KeyboardInterrupt")
    )
    files = set(re.findall(r'File "(.*?)"', error["traceback"]))
    assert files == {"<In 1>"}
    assert error.get("rich") in (None, [])


def test_a_debugger_leaves_no_names_of_its_own(debugged):
    debugged.run("x = 1\nimport pdb; pdb.Pdb().set_trace()", "r")
    assert not {"__return__", "__exception__"} & set(debugged.session.engine.namespace)


def test_frames_are_listed_one_a_line(debugged, capsys):
    debugged.run("def f():\n    import pdb; pdb.Pdb().set_trace()\n    return 1\nf()", "w", "c")
    listed = capsys.readouterr().out.split("\n")
    assert "-> f()" in listed
    stopped_in = 2 if sys.version_info >= (3, 13) else 3  # since 3.13 a debugger stops in the line that calls it
    assert f"> <In 1>({stopped_in})f()" in listed


def test_a_failure_is_looked_into_afterwards_at_the_prompts_of_the_session(debugged_shell, capsys):
    assert debugged_shell.run("%pdb on\ndef fail(low): return low / 0") == Outcome.OK
    assert debugged_shell.run("fail(7)", "p low + 1", "u", "q") == Outcome.ERROR
    assert debugged_shell.prompts == ["ipdb> "] * 3
    assert "\n8\n" in capsys.readouterr().out
    assert len(debugged_shell.session.shown(Kind.ERROR)) == 1
    assert debugged_shell.run("%pdb off") == Outcome.OK
    assert debugged_shell.run("%debug", "q") == Outcome.OK
    assert "None" not in capsys.readouterr().out


LOCALS = "def outer(colour, size):\n    here = 1\n    breakpoint()\n    return here\nouter('red', [3])"


class Asking:
    """Somebody who presses Tab at a prompt, and then enters a command."""

    def __init__(self, *texts, then="c"):
        self.texts, self.then = texts, then
        self.found = {}

    def __call__(self):
        self.found = {text: complete_answer(current_execution.get(), text, len(text)) for text in self.texts}
        return self.then

    def matches(self, text):
        return list(self.found[text].matches)


def test_a_debuggers_commands_and_the_variables_of_where_it_stands_can_be_completed(debugged):
    debugged.session.engine.namespace["helper"] = len
    asking = Asking("con", "he", "p col", "p size.ap", "!si", "nothing_like_this")
    assert debugged.run(LOCALS, asking) == Outcome.OK
    assert {"condition", "cont", "continue"} <= set(asking.matches("con"))
    assert {"here", "help", "helper"} <= set(asking.matches("he"))
    assert asking.matches("p col") == ["colour"]
    assert asking.matches("p size.ap") == ["append"]
    assert asking.matches("!si") == ["size"]
    assert asking.matches("nothing_like_this") == []
    kinds = {item.text: item.kind for item in asking.found["he"].items}
    assert (kinds["help"], kinds["here"]) == ("command", "instance")


def test_the_variables_are_those_of_the_frame_that_was_chosen(debugged):
    below, above = Asking("p her", then="up"), Asking("p her")
    debugged.run(LOCALS, below, above)
    assert (below.matches("p her"), above.matches("p her")) == (["here"], [])


def test_to_complete_takes_nothing_back_that_was_assigned_at_the_prompt(debugged):
    asking = Asking("p her")
    debugged.run(LOCALS, "here = 5", asking)
    assert asking.matches("p her") == ["here"]
    assert debugged.session.last(Kind.RESULT)["data"]["text/plain"] == "5"


def test_nothing_is_completed_where_no_debugger_asks(debugged):
    asking = Asking("he")
    debugged.run("here = 1\ninput()", asking)
    assert asking.matches("he") == []
    assert interactive._standing == {}
