"""Any text may be asked about."""

import contextlib
import functools
import json
import os
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rpyc_kernel.errors import RequestError
from rpyc_kernel.worker.introspection import answers
from rpyc_kernel.worker.introspection.completeness import judge
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
        SimpleNamespace(name=request.param, namespace=namespace, is_complete=judge), frozenset()
    )
    return lambda name, *arguments: json.loads(known[name](*arguments))


@pytest.mark.parametrize("name", ["complete", "signatures", "inspect", "definition"])
def test_any_code_has_an_answer_at_any_cursor(ask, name):
    @given(codes, st.integers(0, 100))
    def check(code, cursor):
        cursor = min(cursor, len(code))
        found = ask(name, code, cursor)
        if name == "complete":
            assert 0 <= found["start"] <= found["end"] == cursor
            assert all(item["text"].startswith(code[found["start"] : cursor]) for item in found["items"])

    check()


def test_any_code_is_judged(ask):
    @given(codes)
    def check(code):
        assert ask("is_complete", code)["status"] in ("complete", "incomplete", "invalid")

    check()


@pytest.mark.parametrize("name", ["children", "cells"])
def test_any_path_has_an_answer_or_is_refused(ask, name):
    arguments = (0, 10) if name == "children" else ((0, 10), (0, 10))

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


def test_every_question_is_asked_by_the_hub_and_every_one_the_hub_asks_is_answered(ask):
    from rpyc_kernel.hub.questions import Questions

    asked = {name.removeprefix("exposed_") for name in vars(Questions) if name.startswith("exposed_")}
    known = answers.build_answers(SimpleNamespace(name="plain", namespace={}, is_complete=judge), frozenset())
    assert asked == set(known)
