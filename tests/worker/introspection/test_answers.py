"""Any text may be asked about."""

import contextlib
import functools
import inspect
import json
import os
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from rpyc_kernel.core.commands import COMMANDS
from rpyc_kernel.errors import RequestError
from rpyc_kernel.worker.completeness import judge
from rpyc_kernel.worker.introspection import answers
from tests.worker.introspection.hostile import Trap, make_netref

FRAGMENTS = [
    "value", "trap", "theirs", "os", "f", ".", "[0]", "['k']", "[", "]", "(", ")", "'", '"', ",", "=", " ", "\n", "#",
    "import", "from", "def", ":", "%", "!", "@1:2", "\ud800", "\0", "ä", "\f", "\r", "lambda", "{", "}", "-1", "1.",
    "/", "~", "\\",
]  # fmt: skip
codes = st.lists(st.sampled_from(FRAGMENTS), max_size=12).map("".join) | st.text()


class Nothing:
    """Reads nothing from sources: what jedi makes of garbage is its own affair."""

    def __init__(self, namespace):
        pass

    def read(self, code, cursor, read):
        return None


@pytest.fixture(params=["plain", "ipython"])
def ask(request, monkeypatch):
    monkeypatch.setattr(answers, "SourceAnalyzer", Nothing)
    namespace = {
        "value": [{"k": Trap()}], "trap": Trap(), "theirs": make_netref(), "os": os, "f": functools.partial(print),
    }  # fmt: skip
    known = answers.build_answers(
        SimpleNamespace(name=request.param, namespace=namespace, is_complete=judge, interrupts=None), frozenset()
    )

    def ask(name, *arguments):
        left_out = [parameter.default for parameter in COMMANDS[name].parameters[len(arguments) :]]
        return json.loads(known[name](*arguments, *left_out))

    return ask


@pytest.mark.parametrize("name", ["complete", "signatures", "inspect", "definition"])
def test_any_code_has_an_answer_at_any_cursor(ask, name):
    @example("\\O", 2)
    @given(codes, st.integers(-1, 100) | st.just(2**100))
    def check(code, cursor):
        found = ask(name, code, cursor)
        cursor = max(0, min(cursor, len(code)))
        if name == "complete":
            assert 0 <= found["start"] <= found["end"] == cursor
            typed = code[found["start"] : cursor]  # for names of characters, as \O, IPython offers the character itself
            assert all(item["text"].startswith(typed) or typed.startswith("\\") for item in found["items"])

    check()


def test_any_code_is_judged(ask):
    @given(codes)
    def check(code):
        assert ask("is_complete", code)["status"] in ("complete", "incomplete", "invalid")

    check()


@pytest.mark.parametrize("name", ["children", "cells"])
def test_any_path_has_an_answer_or_is_refused(ask, name):
    arguments = (0, 10) if name == "children" else (0, 10, 0, 10)

    @given(codes)
    def check(path):
        with contextlib.suppress(RequestError):
            assert ask(name, path, *arguments)["path"] == path

    check()


MANY = 100_000
LONG = {
    "spaces after import": f"from a import{' ' * MANY}!",
    "spaces in a line": f"from os import{' ' * 900}!",
    "commas in a line": f"from os import{' ,' * 400}!",
    "words that bind": f"{'for ' * MANY}valuex\nvalue.",
    "names and words that bind": f"{'lambda value ' * MANY}\nvaluex\nvalue.",
    "names": f"{'value ' * MANY}\nvalue.",
    "one name": "a" * MANY,
    "a long name in a line": "a" * 999 + "!",
    "steps": f"{'a.' * MANY}!",
    "quotes": "'" * MANY,
    "escaped quotes": "'\\" * MANY,
    "calls": f"{'f(' * MANY}value.",
    "calls with escaped quotes": "f(" + '"\\' * MANY,
}


@pytest.mark.parametrize("name", ["complete", "signatures", "inspect", "definition"])
@pytest.mark.parametrize("code", LONG.values(), ids=LONG)
def test_long_code_has_an_answer(ask, name, code):
    ask(name, code, len(code))


def test_lines_of_spaces_have_answers(ask):
    for count in range(900, 980):
        code = f"from os import{' ' * count}!"
        assert ask("complete", code, len(code))["end"] == len(code)


@pytest.mark.parametrize("end", ["", "'", ":", "' # :"])
def test_a_long_comment_is_judged(ask, end):
    assert ask("is_complete", f"def f():\n  {'#' * MANY}{end}") == {"status": "incomplete", "indent": "  "}


@pytest.mark.parametrize("name", ["complete", "signatures"])
def test_where_no_place_is_named_the_end_is_meant(ask, name):
    assert ask(name, "os.path.join(") == ask(name, "os.path.join(", 13) != ask(name, "os.path.join(", 2)


@pytest.mark.parametrize("name", ["inspect", "definition"])
def test_where_no_place_is_named_a_path_is_meant(ask, name):
    assert ask(name, "os.path.join") == ask(name, "x = os.path.join", 13) != ask(name, "x = os.path.join")


def test_the_worker_answers_what_the_table_says_that_it_answers():
    known = answers.build_answers(
        SimpleNamespace(name="plain", namespace={}, is_complete=judge, interrupts=None), frozenset()
    )
    assert set(known) == {name for name, command in COMMANDS.items() if command.by_worker}
    for name, command in COMMANDS.items():
        if command.by_worker:  # raises where it takes more or less than the table says
            inspect.signature(known[name].args[0]).bind(*command.parameters)
