"""What is typed at an editor with the console's keys, as its terminal sends it."""

import asyncio

from prompt_toolkit import PromptSession
from prompt_toolkit.history import InMemoryHistory
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from rpyc_kernel.faces.console.keys import make_code_keys
from rpyc_kernel.faces.frontend.source import find_indent_here

ENTER, CTRL_R = "\r", "\x12"


def read(typed: str, *past: str) -> str:
    """What the editor hands in when all of this is typed faster than it is read."""

    async def read_code() -> str:
        with create_pipe_input() as keyboard:
            editor: PromptSession[str] = PromptSession(
                multiline=True,
                history=InMemoryHistory(past),
                key_bindings=make_code_keys(lambda: None, find_indent_here),
                input=keyboard,
                output=DummyOutput(),
            )
            keyboard.send_text(typed)
            return await editor.prompt_async()

    return asyncio.run(asyncio.wait_for(read_code(), 30))


def test_what_is_found_in_the_past_is_taken_over_by_enter():
    assert read(f"{CTRL_R}irs{ENTER}{ENTER}", "'first'", "'second'") == "'first'"


def test_what_was_found_can_be_changed_before_it_is_run():
    assert read(f"{CTRL_R}irs{ENTER}\x05 + 'more'{ENTER}", "'first'", "'second'") == "'first' + 'more'"


def test_who_types_faster_than_the_line_carries_gets_the_indent_all_the_same():
    assert read(f"def f(x):{ENTER}if x:{ENTER}return x{ENTER}return 2{ENTER}{ENTER}") == (
        "def f(x):\n    if x:\n        return x\n    return 2\n"
    )


def test_what_is_pasted_has_its_own_indent():
    code = "def f(x):\n  if x:\n    return x\n"
    assert read(f"\x1b[200~{code}\x1b[201~{ENTER}{ENTER}").startswith(code)


def test_a_tab_at_the_beginning_of_a_line_indents():
    assert read(f"if True:{ENTER}\tprint(1){ENTER}{ENTER}").rstrip() == "if True:\n        print(1)"
