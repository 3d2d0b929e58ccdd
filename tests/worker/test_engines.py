"""Both engines: what code does, what it shows, and what it says when it fails."""

import asyncio
import gc
import importlib.metadata
import importlib.util
import json
import linecache
import os
import py_compile
import re
import shutil
import sys
import textwrap
import threading
import traceback
import weakref

import executing
import pytest
from IPython.core.interactiveshell import InteractiveShell

from rpyc_kernel.core.contract import MAX_PLAIN_REPR, Kind, Outcome, Space
from rpyc_kernel.core.introspection import Definition
from rpyc_kernel.core.source import Origin
from rpyc_kernel.settings import CONNECTION_FILE_VARIABLE, Face
from rpyc_kernel.worker import leaving
from rpyc_kernel.worker.capture import begin_execution, current_execution, end_execution
from rpyc_kernel.worker.engines.choice import choose_engine
from rpyc_kernel.worker.engines.plain import PlainEngine
from rpyc_kernel.worker.error_reports import describe_error
from rpyc_kernel.worker.interrupts import is_in_user_code
from rpyc_kernel.worker.introspection.help import HelpReader
from rpyc_kernel.worker.introspection.source_analysis import SourceAnalyzer
from rpyc_kernel.worker.sources import INPUTS
from tests.worker.sessions import as_coroutine

IPYTHON = tuple(map(int, importlib.metadata.version("ipython").split(".")[:2]))

# Values


@pytest.mark.parametrize(
    ("code", "text", "literal"),
    [
        ("6 * 7", "42", "42"),
        ("'ä\\n'", "'ä\\n'", "'ä\\n'"),
        ("b'\\xff'", "b'\\xff'", "b'\\xff'"),
        ("(1, (None, True), 2.5)", "(1, (None, True), 2.5)", "(1, (None, True), 2.5)"),
        ("[1]", "[1]", None),
        ("(1, [2])", "(1, [2])", None),
        ("float('nan')", "nan", None),
        ("float('inf')", "inf", None),
        ("1j", "1j", None),
        ("range(3)", "range(0, 3)", None),
        ("type('Int', (int,), {})(3)", "3", None),
        ("'x' * 10_000", repr("x" * 10_000), None),
        (f"'x' * {MAX_PLAIN_REPR - 2}", repr("x" * (MAX_PLAIN_REPR - 2)), repr("x" * (MAX_PLAIN_REPR - 2))),
    ],
    ids=lambda value: str(value)[:20],
)
def test_the_last_expression_is_shown_and_small_plain_data_is_told_literally(session, code, text, literal):
    assert session.result(code) == {"data": {"text/plain": text}, "metadata": {}, "literal": literal}


@pytest.mark.parametrize(
    ("register", "value", "mime"),
    [
        ("formatters['text/html'].for_type(int, str)", "1", "text/html"),
        ("formatters['text/html'].for_type(object, repr)", "'text'", "text/html"),
        ("formatters['text/latex'].for_type_by_name('builtins', 'list', str)", "[1]", "text/latex"),
        ("mimebundle_formatter.for_type(float, lambda value, **_: {'a/b': 'c'})", "1.5", "a/b"),
    ],
)
def test_plain_values_have_the_representations_that_somebody_has_registered(ipython, register, value, mime):
    assert set(ipython.result(value)["data"]) == {"text/plain"}
    ipython.run(f"registered = get_ipython().display_formatter.{register}")
    assert set(ipython.result(value)["data"]) == {"text/plain", mime}


def test_a_lone_surrogate_is_shown_and_told_in_a_way_that_can_travel(session):
    result = session.result("'\\ud800'")
    assert result["data"]["text/plain"].encode() == b"'\\ud800'"
    assert eval(result["literal"]) == "\ud800"


@pytest.mark.parametrize("code", ["x = 1", "None", "", "# nothing", "\n\n", "import os", "def f(): 'doc'"])
def test_what_has_no_value_shows_nothing(session, code):
    assert session.run(code) == Outcome.OK
    assert session.events == []


def test_only_the_last_expression_is_shown(session):
    assert session.result("1\n2\n3")["literal"] == "3"
    assert len(session.events) == 1


def test_a_semicolon_hides_nothing_of_a_statement_before(session):
    assert session.result("x = 1; x")["literal"] == "1"


def test_names_stay_from_one_execution_to_the_next(session):
    session.run("x = 41")
    session.run("def f(): return x + 1")
    assert session.result("f()")["literal"] == "42"


def test_the_namespace_is_a_module_named_main(session):
    session.run("class C: pass")
    assert session.result("C.__module__, __name__, __import__('__main__').C is C")["literal"] == (
        "('__main__', '__main__', True)"
    )


def test_the_last_value_is_called_underscore(session):
    session.run("[1]")
    assert session.result("_ + [2]")["data"]["text/plain"] == "[1, 2]"
    session.run("None")
    assert session.result("_")["data"]["text/plain"] == "[1, 2]"


def test_a_value_of_the_users_called_underscore_stays_the_users(session):
    session.run("_ = 'mine'")
    session.run("1")
    assert session.result("_")["literal"] == "'mine'"


def test_what_is_no_input_leaves_the_last_values_alone(session):
    session.run("'one'")
    assert session.run("'two'", is_input=False) == Outcome.OK
    assert session.last(Kind.RESULT)["literal"] == "'two'"
    session.engine.call(9, lambda: "three")
    assert session.result("_, dict(Out)")["data"]["text/plain"] == "('one', {1: 'one'})"


def test_what_is_no_input_is_none_of_the_last_inputs(ipython):
    ipython.run("'one'")
    ipython.run("'two'", is_input=False)
    ipython.run("'three'")
    assert eval(ipython.result("_ii, _i, *filter(None, In[:-1])")["literal"]) == ("'one'", "'three'") * 2


def test_a_namespace_without_its_builtins_still_shows_values(session):
    session.run("__builtins__ = {}")
    assert session.run("1") == Outcome.OK


def test_only_so_many_last_values_are_kept(session):
    for number in range(1, 6):
        session.run(f"[{number}]")
    session.run("x = 1")
    assert dict(session.engine.values) == {3: [3], 4: [4], 5: [5]}


def test_a_value_that_is_kept_no_longer_is_free(session):
    session.run("import weakref\nclass Big: pass")
    session.run(
        "dropped = []\ndef make():\n    big = Big()\n    weakref.finalize(big, dropped.append, 1)\n    return big"
    )
    for _ in range(10):
        session.run("make()")
    assert session.result("import gc; gc.collect(); len(dropped) >= 5")["literal"] == "True"


def test_a_value_is_kept_though_it_cannot_be_shown(session, capsys):
    shown = session.result("class C:\n    def __repr__(self): raise ValueError('no')\nC()")
    assert shown["data"] == {"text/plain": "<C object, whose repr raised ValueError>"}
    assert type(session.engine.values[1]).__name__ == "C"
    said = capsys.readouterr().err
    assert "ValueError: no" in said
    assert 'File "<In 1>", line 2, in __repr__\n' in said
    assert said.count("File ") == 1


@pytest.mark.parametrize(
    ("body", "ename"),
    [
        ("raise KeyError('x')", "KeyError"),
        ("return 3", "TypeError"),
        ("return self.__repr__()", "RecursionError"),
        ("raise SystemExit", "SystemExit"),
    ],
)
def test_a_repr_that_fails_is_explained(session, capsys, body, ename):
    shown = session.result(f"class C:\n    def __repr__(self): {body}\nC()")
    assert shown["data"]["text/plain"] == f"<C object, whose repr raised {ename}>"
    assert ename in capsys.readouterr().err
    assert session.result("1")["literal"] == "1"


def test_a_repr_that_is_interrupted_interrupts(session):
    assert session.run("class C:\n    def __repr__(self): raise KeyboardInterrupt\nC()") == Outcome.INTERRUPTED


def test_out_looks_like_the_dictionary_it_is(session):
    session.run("6 * 7")
    assert "{1: 42}" in session.result("repr(Out)")["literal"]


def test_a_call_shows_what_it_returns(session):
    assert session.engine.call(9, lambda: 42) == Outcome.OK
    assert session.events == [
        (Kind.RESULT, 9, {"data": {"text/plain": "42"}, "metadata": {}, "literal": "42"}),
    ]
    assert session.engine.values.of(9) == 42


def test_a_call_that_fails_is_reported(session):
    assert session.engine.call(9, lambda: 1 / 0) == Outcome.ERROR
    assert session.events[0][2]["ename"] == "ZeroDivisionError"


# Errors


def test_a_traceback_shows_the_users_frames_with_their_lines_and_no_others(session):
    session.run(
        """\
        def divide(a, b):
            return a / b
        """
    )
    error = session.error("x = 1\ndivide(x, 0)\n")
    assert (error["ename"], error["evalue"]) == ("ZeroDivisionError", "division by zero")
    lines = [line for line in error["traceback"].splitlines() if not set(line) <= set(" ^~")]
    assert lines == [
        "Traceback (most recent call last):",
        '  File "<In 2>", line 2, in <module>',
        "    divide(x, 0)",
        '  File "<In 1>", line 2, in divide',
        "    return a / b",
        "ZeroDivisionError: division by zero",
    ]


def test_a_traceback_shows_the_frames_of_other_files(session, tmp_path, monkeypatch):
    (tmp_path / "broken_module.py").write_text("def fail():\n    raise OSError('here')\n")
    monkeypatch.syspath_prepend(tmp_path)
    error = session.error("import broken_module\nbroken_module.fail()")
    assert "broken_module.py" in error["traceback"]
    assert "    raise OSError('here')" in error["traceback"]
    sys.modules.pop("broken_module")


def test_lines_are_counted_as_the_compiler_counts_them(session):
    error = session.error("x = '\x0c\u2028\x1c'\ny = 1\r\nraise ValueError('third')\r")
    assert "line 3" in error["traceback"]
    assert "    raise ValueError('third')\n" in error["traceback"]


def test_old_sources_are_forgotten(session, monkeypatch):
    monkeypatch.setattr("rpyc_kernel.worker.sources._KEPT", 2)
    for _ in range(5):
        session.run("1")
    assert sorted(name for name in linecache.cache if name.startswith("<In")) == ["<In 4>", "<In 5>"]


@pytest.mark.parametrize("code", ["%time f()", "!ls", "%%bash\nls", "files = !ls", "f?", "len??", "x = %pwd", "?len"])
def test_the_plain_engine_says_what_the_language_of_ipython_needs(plain, code):
    assert "start a kernel with the engine 'ipython'" in plain.error(code)["evalue"]
    assert "-m pip install ipython" in plain.error(code)["traceback"]


@pytest.mark.parametrize("code", ["1 +", "a b", "x = 3 %% 2", "f(", "print 'x!'"])
def test_other_syntax_errors_are_not_taken_for_it(plain, code):
    assert "ipython" not in plain.error(code)["evalue"].lower()


def test_a_syntax_error_shows_its_line_and_no_frames(session):
    error = session.error("x = 1\nx +\n")
    assert error["ename"] == "SyntaxError"
    assert error["traceback"].startswith('  File "<In 1>", line 2\n    x +\n')
    assert "Traceback" not in error["traceback"]


@pytest.mark.parametrize(
    "code", ["return 1", "x = 1\nbreak", "nonlocal x", "from __future__ import braces", "def f():\n  await x"]
)
def test_a_syntax_error_found_late_shows_its_line_too(session, code):
    error = session.error(code)
    assert error["ename"] == "SyntaxError"
    assert code.splitlines()[-1].strip() in error["traceback"]


@pytest.mark.parametrize(("code", "lack"), [("(", "'(' was never closed"), ("if x:", "expected an indented block")])
def test_code_that_is_not_finished_is_told_what_it_lacks(session, code, lack):
    error = session.error(code)
    assert error["ename"] in ("SyntaxError", "IndentationError")
    assert lack in error["evalue"]


@pytest.mark.parametrize("code", ["x = '\0'", "(" * 10_000, "-" * 20_000 + "1"], ids=["nul", "brackets", "deep"])
def test_what_the_compiler_cannot_take_is_an_error_of_the_users(session, code):
    assert session.error(code)["ename"] in {"ValueError", "SyntaxError", "MemoryError", "RecursionError"}
    assert session.result("1")["literal"] == "1"


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "import sys; sys.exit()"])
def test_leaving_is_an_error_and_does_not_leave(session, code):
    assert session.error(code)["ename"] == "SystemExit"


def test_a_keyboard_interrupt_is_no_error(session):
    assert session.run("raise KeyboardInterrupt") == Outcome.INTERRUPTED
    assert session.last(Kind.ERROR)["ename"] == "KeyboardInterrupt"


def test_what_an_exception_was_raised_from_and_during_is_told(session):
    error = session.error(
        """\
        try:
            try:
                {}['key']
            except KeyError as first:
                raise ValueError('second') from first
        finally:
            raise TypeError('third')
        """
    )
    assert error["ename"] == "TypeError"
    assert error["chain"] == [["ValueError", "second"], ["KeyError", "'key'"]]
    assert "direct cause" in error["traceback"]
    assert "During handling" in error["traceback"]
    assert error["traceback"].count("<In 1>") == 3
    assert "plain.py" not in error["traceback"]


def test_a_cause_that_was_hidden_is_not_told(session):
    error = session.error("try:\n    1/0\nexcept ZeroDivisionError:\n    raise ValueError('x') from None")
    assert error["chain"] == []
    assert "ZeroDivisionError" not in error["traceback"]


def test_a_chain_that_bites_its_tail_ends(session):
    error = session.error("a, b = ValueError('a'), ValueError('b')\na.__cause__, b.__cause__ = b, a\nraise a")
    assert error["chain"] == [["ValueError", "b"]]


needs_notes = pytest.mark.skipif(sys.version_info < (3, 11), reason="the language has notes and groups since 3.11")


@needs_notes
def test_notes_are_told(session):
    error = session.error("e = ValueError('x')\ne.add_note('one\\ntwo')\ne.add_note('ä')\nraise e")
    assert error["notes"] == ["one\ntwo", "ä"]
    assert error["traceback"].endswith("ValueError: x\none\ntwo\nä\n")


@needs_notes
def test_every_exception_of_a_group_is_shown_with_the_users_frames_only(session):
    error = session.error(
        """\
        def fail(number):
            raise ValueError(number)
        errors = []
        for number in range(2):
            try:
                fail(number)
            except ValueError as error:
                errors.append(error)
        raise ExceptionGroup('both', errors)
        """
    )
    assert (error["ename"], error["evalue"]) == ("ExceptionGroup", "both (2 sub-exceptions)")
    assert "ValueError: 0" in error["traceback"]
    assert "ValueError: 1" in error["traceback"]
    assert "plain.py" not in error["traceback"]


@pytest.mark.parametrize(
    "body",
    [
        "def __str__(self): raise ValueError",
        "def __str__(self): raise SystemExit",
        "def __str__(self): raise KeyboardInterrupt",
        "def __str__(self): return 3",
        "def __str__(self): return self.__str__()",
        "def __str__(self): return '\\ud800'",
        "def __repr__(self): raise SystemExit",
        "__notes__ = 3",
        "__notes__ = [3, None]",
        "__notes__ = property(lambda self: 1/0)",
        "__notes__ = property(lambda self: exec('raise SystemExit'))",
        "def __getattribute__(self, name): raise SystemExit",
        "__module__ = 3",
        "__eq__ = None",
        "__bool__ = None",
        "def __len__(self): raise SystemExit",
    ],
)
def test_a_hostile_exception_is_reported_like_any_other(session, body):
    error = session.error(f"class Hostile(Exception):\n    {body}\nraise Hostile('x')")
    assert error["ename"] == "Hostile"
    assert "Hostile" in error["traceback"]
    for text in (error["evalue"], error["traceback"], *error["notes"]):
        text.encode()
    assert session.result("1")["literal"] == "1"


def test_an_error_keeps_its_message_where_user_code_has_broken_how_errors_are_written(session, monkeypatch):
    def refuse(*_, **__):
        raise ValueError("broken")

    monkeypatch.setattr(traceback, "TracebackException", refuse)
    error = session.error("1 / 0")
    assert (error["ename"], error["evalue"]) == ("ZeroDivisionError", "division by zero")
    assert error["traceback"] == "ZeroDivisionError: division by zero <ValueError while formatting it>\n"


def test_an_error_whose_description_was_interrupted_is_not_asked_for_its_message_again(session, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    session.run("asked = []\nclass Slow(Exception):\n    def __str__(self): return asked.append(1) or 'text'")
    with monkeypatch.context() as patch:
        patch.setattr(traceback, "TracebackException", interrupt)
        error = describe_error(session.engine.namespace["Slow"]())
    why = "<KeyboardInterrupt while formatting it>"
    assert (error["evalue"], error["traceback"]) == (why, f"Slow: {why}\n")
    assert session.engine.namespace["asked"] == []


@pytest.mark.parametrize("place", ["__cause__", "__context__"])
def test_a_hostile_exception_in_the_chain_is_reported_too(session, place):
    error = session.error(
        f"""\
        class Hostile(Exception):
            def __str__(self): raise SystemExit
            def __bool__(self): raise SystemExit
        error = ValueError('x')
        error.{place} = Hostile()
        raise error
        """
    )
    assert error["ename"] == "ValueError"


def test_endless_recursion_is_an_error_with_a_traceback_of_bearable_length(session):
    error = session.error("def f(): f()\nf()")
    assert error["ename"] == "RecursionError"
    assert len(error["traceback"]) < 10_000


# Warnings


def test_a_warning_on_the_line_of_an_earlier_one_is_shown_too(session, recwarn):
    for _ in range(2):
        assert session.run("import warnings; warnings.warn('old')") == Outcome.OK
    assert [str(warning.message) for warning in recwarn] == ["old", "old"]


# Starting up


@pytest.fixture
def startup(monkeypatch, tmp_path):
    """Writes the file that Python runs at the start of interactive work."""
    path = tmp_path / "startup.py"
    monkeypatch.setenv("PYTHONSTARTUP", str(path))
    return path


def test_the_file_for_interactive_work_runs_first_in_the_namespace(plain, startup):
    startup.write_text("from __future__ import annotations\nhere = __file__\nprepared = 1")
    plain.engine._has_profile = True
    plain.engine.start_up()
    assert plain.result("prepared, here")["literal"] == repr((1, str(startup)))
    assert "__file__" not in plain.engine.namespace
    assert plain.run("def f(x: unknown): pass") == Outcome.OK


@pytest.mark.parametrize("content", ["1 /", "1 / 0", "raise SystemExit(3)", "raise KeyboardInterrupt", "\xff", None])
def test_a_file_for_interactive_work_that_fails_is_told_and_costs_nothing(plain, startup, capsys, content):
    if content is not None:
        startup.write_bytes(content.encode("latin-1"))
    plain.engine._has_profile = True
    plain.engine.start_up()
    told = capsys.readouterr().err
    assert "startup.py" in told
    assert "rpyc_kernel" not in told
    assert plain.run("1") == Outcome.OK


def test_the_file_for_interactive_work_is_left_alone_where_nobody_wants_it(plain, startup):
    startup.write_text("prepared = 1")
    plain.engine.start_up()
    assert "prepared" not in plain.engine.namespace


# Await


def test_code_may_await_at_the_top_level(session):
    assert session.result("import asyncio\nx = await asyncio.sleep(0, 41)\nx + 1")["literal"] == "42"


def test_the_last_expression_may_await(session):
    assert session.result("import asyncio\nawait asyncio.sleep(0, 'value')")["literal"] == "'value'"


def test_async_statements_may_stand_at_the_top_level(session):
    code = """\
        async def numbers():
            for number in range(3):
                yield number
        total = 0
        async for number in numbers():
            total += number
        [number async for number in numbers()], total
        """
    assert session.result(code)["data"]["text/plain"] == "([0, 1, 2], 3)"


def test_code_that_does_not_await_runs_at_once(session):
    assert session.engine.run(1, "async def f(): pass\nf") == Outcome.OK


def test_an_error_of_awaiting_code_shows_the_users_frames_only(session):
    error = session.error("async def f():\n    1/0\nawait f()")
    assert error["ename"] == "ZeroDivisionError"
    assert error["traceback"].count('File "<In 1>"') == 2
    assert error["traceback"].count("File ") == 2


def test_awaiting_code_that_cancels_itself_has_failed(session):
    assert session.error("import asyncio\nraise asyncio.CancelledError")["ename"] == "CancelledError"
    assert session.error("import asyncio\nawait asyncio.sleep(0)\nraise asyncio.CancelledError")["ename"] == (
        "CancelledError"
    )


def test_awaiting_code_that_was_cancelled_by_an_interrupt_was_interrupted(session):
    async def run_and_cancel():
        current_execution.set(1)
        begin_execution(1, is_main=True)
        task = asyncio.ensure_future(as_coroutine(session.engine.run(1, "import asyncio\nawait asyncio.sleep(3600)")))
        await asyncio.sleep(0)
        session.interrupts.was_cancelled = True
        task.cancel()
        return await task

    assert asyncio.run(run_and_cancel()) == Outcome.INTERRUPTED
    end_execution(1)
    assert session.events[-1][2]["ename"] == "KeyboardInterrupt"


def test_await_in_a_function_that_is_not_async_is_an_error(session):
    assert session.error("def f():\n    await x\n")["ename"] == "SyntaxError"


# The future


def test_an_import_from_the_future_holds_for_what_follows(session):
    assert session.error("def f(x: not_defined): pass")["ename"] == "NameError"
    assert session.run("from __future__ import annotations") == Outcome.OK
    assert session.run("def f(x: not_defined): pass") == Outcome.OK
    assert session.result("f.__annotations__['x']")["literal"] == "'not_defined'"


def test_this_packages_own_imports_from_the_future_do_not_hold_for_user_code(session):
    assert session.error("def f(x: not_defined): pass")["ename"] == "NameError"


# Interrupts


def test_user_code_may_be_interrupted_and_the_engine_may_not(session):
    """Whether an interrupt may strike is decided by the frames above the user's."""
    session.engine.namespace["may_strike"] = lambda: is_in_user_code(sys._getframe(1))
    assert session.result("may_strike()")["literal"] == "True"
    assert session.result("class R:\n    def __repr__(self): return str(may_strike())\nR()")["data"] == {
        "text/plain": "True"
    }
    error = session.error("class E(Exception):\n    def __str__(self): return str(may_strike())\nraise E")
    assert error["evalue"] == "True"
    assert "E: True" in error["traceback"]


# Rich output

PICTURE = """\
    class Picture:
        def __repr__(self): return 'a picture'
        def _repr_html_(self): return '<b>picture</b>', {'isolated': True}
        def _repr_png_(self): return b'\\x89PNG'
        def _repr_json_(self): return {'width': [1, 2.5, None]}
        def _repr_latex_(self): return None
    """
BUNDLE = {
    "text/plain": "a picture",
    "text/html": "<b>picture</b>",
    "image/png": "iVBORw==",
    "application/json": {"width": [1, 2.5, None]},
}


def test_a_value_shows_itself_in_all_its_ways(session):
    session.run(PICTURE)
    assert session.result("Picture()") == {
        "data": BUNDLE,
        "metadata": {"text/html": {"isolated": True}},
        "literal": None,
    }


def test_a_bundle_of_the_values_own_goes_first(session):
    shown = session.result(
        """\
        class Chart:
            def __repr__(self): return 'a chart'
            def _repr_html_(self): return 'slow'
            def _repr_mimebundle_(self, include=None, exclude=None):
                return {'text/html': 'quick', 'application/vnd.chart+json': {'x': 1}}, {'text/html': {'a': 1}}
        Chart()
        """
    )
    assert shown["data"] == {
        "text/plain": "a chart",
        "text/html": "quick",
        "application/vnd.chart+json": {"x": 1},
    }
    assert shown["metadata"] == {"text/html": {"a": 1}}


def test_a_class_is_shown_by_its_own_repr(session):
    session.run(PICTURE)
    assert list(session.result("Picture")["data"]) == ["text/plain"]


def test_what_is_displayed_is_an_event_of_its_own(session):
    session.run(PICTURE)
    assert session.result("display(Picture(), 'two'); 3")["literal"] == "3"
    first, second = session.shown(Kind.DISPLAY)
    assert first["data"] == BUNDLE
    assert second == {"data": {"text/plain": "'two'"}, "metadata": {}, "display_id": None, "is_update": False}


def test_only_the_wanted_representations_are_displayed(session):
    session.run(PICTURE)
    session.run("display(Picture(), include=['text/plain'])\ndisplay(Picture(), exclude=['text/plain', 'image/png'])")
    kept, left = session.shown(Kind.DISPLAY)
    assert list(kept["data"]) == ["text/plain"]
    assert set(left["data"]) == {"text/html", "application/json"}


def test_a_bundle_can_be_displayed_as_it_is(session):
    session.run("display({'text/html': '<i>', 'image/jpeg': b'abcd'}, raw=True, metadata={'text/html': {'b': 2}})")
    (shown,) = session.shown(Kind.DISPLAY)
    assert (shown["data"], shown["metadata"]) == (
        {"text/html": "<i>", "image/jpeg": "YWJjZA=="},
        {"text/html": {"b": 2}},
    )


def test_a_place_can_be_kept_for_what_comes(session):
    session.run("handle = display(display_id='name')\nhandle.update('one')\ndisplay()")
    kept = {"data": {}, "metadata": {}, "display_id": "name", "is_update": False}
    shown = {"data": {"text/plain": "'one'"}, "metadata": {}, "display_id": "name", "is_update": True}
    assert session.shown(Kind.DISPLAY) == [kept, shown]


def test_what_has_an_id_can_be_updated_from_later_code(session):
    session.run("handle = display('one', display_id=True)\nnamed = display('x', display_id='name')")
    session.run("handle.update('two')\nupdate_display('y', display_id='name')\nhandle.display('again')")
    told = [
        (shown["data"]["text/plain"], shown["display_id"], shown["is_update"]) for shown in session.shown("display")
    ]
    made = told[0][1]
    assert isinstance(made, str)
    assert len(made) >= 16
    assert told == [
        ("'one'", made, False),
        ("'x'", "name", False),
        ("'two'", made, True),
        ("'y'", "name", True),
        ("'again'", made, False),
    ]


def test_output_can_be_cleared(session):
    session.run("clear_output()\nclear_output(wait=True)")
    assert session.shown(Kind.CLEAR_OUTPUT) == [{"wait": False}, {"wait": True}]


@pytest.mark.parametrize("failure", ["1/0", "return self._repr_html_()"])
def test_a_representation_that_fails_is_explained_and_the_others_are_shown(session, capsys, failure):
    session.run(PICTURE)
    session.run(f"def broken(self): {failure}\nPicture._repr_html_ = broken")
    shown = session.result("Picture()")["data"]
    assert shown == {mime: content for mime, content in BUNDLE.items() if mime != "text/html"}
    said = capsys.readouterr().err
    assert "Picture failed: " in said
    assert 'File "<In 2>", line 1, in broken' in said
    assert "site-packages" not in said


def test_a_representation_that_leaves_is_explained_and_leaves_not(session, capsys):
    shown = session.result("class C:\n    def _repr_html_(self): raise SystemExit\nC()")
    assert list(shown["data"]) == ["text/plain"]
    assert "SystemExit" in capsys.readouterr().err


def test_a_representation_that_is_interrupted_interrupts(session):
    code = "class C:\n    def _repr_html_(self): raise KeyboardInterrupt\nC()"
    assert session.run(code) == Outcome.INTERRUPTED


@pytest.mark.parametrize("bundle", ["3", "[1]", "{'text/html': b'bytes', 'text/plain': 'good'}", "1/0", "({}, 3)"])
def test_a_broken_bundle_is_explained_and_text_is_shown(session, capsys, recwarn, bundle):
    shown = session.result(
        f"""\
        class Broken:
            def __repr__(self): return 'good'
            def _repr_mimebundle_(self, include=None, exclude=None): return {bundle}
        Broken()
        """
    )
    assert shown["data"] == {"text/plain": "good"}
    assert shown["metadata"] == {}
    assert capsys.readouterr().err or recwarn  # IPython warns, which goes to standard error too


def test_a_structure_that_holds_itself_is_shown(session):
    assert session.result("x = [1]; x.append(x); x")["data"]["text/plain"] in ("[1, [...]]", "[1, <Recursion on list")
    assert session.result("d = {}; d['d'] = d; d")["data"]["text/plain"] == "{'d': {...}}"


def test_a_structure_nested_too_deeply_is_shown_as_far_as_possible(session):
    assert session.run("t = ()\nfor _ in range(100_000): t = (t,)\nt") == Outcome.OK
    assert session.last(Kind.RESULT)["literal"] is None


def test_json_that_holds_itself_is_explained(session, capsys):
    session.run("j = {}; j['j'] = j\ndisplay({'application/json': j, 'text/plain': 'shown'}, raw=True)")
    assert [shown["data"] for shown in session.shown(Kind.DISPLAY)] == [{"text/plain": "shown"}]
    assert "application/json" in capsys.readouterr().err


def test_a_representation_of_40_mb_is_explained_and_the_others_are_shown(session, capsys):
    session.run("display({'text/html': 'x' * 40_000_000, 'text/plain': 'shown'}, raw=True)")
    assert [shown["data"] for shown in session.shown(Kind.DISPLAY)] == [{"text/plain": "shown"}]
    assert "text/html of a MIME bundle cannot be shown: it is 40 MB long" in capsys.readouterr().err


def test_a_text_of_40_mb_is_cut(session):
    text = session.result("class Long:\n    def __repr__(self): return 'x' * 40_000_000\nLong()")["data"]["text/plain"]
    assert len(text) < 1_000_000
    assert text.endswith("characters left out ...]")


def test_the_message_of_an_exception_of_3_mb_is_cut(session):
    error = session.error("raise ValueError('x' * 3_000_000)")
    assert max(len(error["evalue"]), len(error["traceback"])) < 1_100_000
    assert "characters left out" in error["evalue"]


def test_the_last_values_are_in_out_by_the_number_of_the_execution(session):
    session.run("[1]")
    session.run("[2]")
    assert session.result("Out[1] + Out[2]")["data"]["text/plain"] == "[1, 2]"
    for _ in range(10):
        session.run("[0]")
    assert session.result("len(Out) <= 3, 1 in Out")["literal"] == "(True, False)"


# Code that stands in a file


def test_a_cell_of_a_file_is_named_by_the_file_and_its_line(session, tmp_path):
    file = tmp_path / "module.py"
    file.write_text("first = 1\n\n# %%\ndef fail():\n    return 1 / 0\n")
    session.run("def fail():\n    return 1 / 0\n", Origin(str(file), 4))
    error = session.error("fail()")
    assert f'File "{file}", line 5, in fail\n    return 1 / 0\n' in error["traceback"]


def test_a_cell_that_was_changed_since_the_file_was_saved_shows_what_ran(session, tmp_path):
    file = tmp_path / "module.py"
    file.write_text("def helper():\n    return 1\nhelper()\n")
    session.run("x = 1\n1 / 0  # new\n", Origin(str(file), 3))
    assert f'File "{file}", line 4, in <module>\n    1 / 0  # new\n' in session.last(Kind.ERROR)["traceback"]
    assert linecache.getline(str(file), 2) == "    return 1\n"


def test_a_syntax_error_in_a_cell_has_the_line_of_the_file(session, tmp_path):
    session.run("\n\nx = 1\nx +\n", Origin(str(tmp_path / "new.py"), 10))
    error = session.last(Kind.ERROR)
    assert error["traceback"].startswith(f'  File "{tmp_path / "new.py"}", line 13\n    x +\n')


def test_empty_lines_before_the_code_count(session):
    assert 'File "<In 1>", line 4' in session.error("\n\n\n1 / 0")["traceback"]


# Programs


@pytest.fixture
def program(session, tmp_path, monkeypatch):
    """Writes the program, runs it, and sees that it leaves its surroundings as they were."""
    monkeypatch.setattr(sys, "path", ["", *sys.path])

    def run(source, *arguments, **options):
        file = tmp_path / "program.py"
        file.write_text(textwrap.dedent(source))
        before = (list(sys.argv), list(sys.path), os.getcwd(), sys.modules["__main__"])
        outcome = session.run_file(options.pop("file", file), *arguments, **options)
        assert (list(sys.argv), list(sys.path), os.getcwd(), sys.modules["__main__"]) == before
        return outcome

    return run


LOOK_AROUND = """\
    import os, sys
    seen = (sys.argv, __name__, __file__, os.getcwd(), sys.path[0], sys.modules['__main__'].__dict__ is globals())
    """


def test_a_program_finds_its_arguments_its_folder_and_itself(session, program, tmp_path):
    assert program(LOOK_AROUND, "-x", "ä b") == Outcome.OK
    file = str(tmp_path / "program.py")
    seen = ([file, "-x", "ä b"], "__main__", file, os.getcwd(), str(tmp_path), True)
    assert session.engine.namespace["seen"] == seen
    assert "__file__" not in session.engine.namespace
    assert session.events == []


def test_a_program_runs_where_it_is_told(session, program, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    assert program(LOOK_AROUND, cwd=str(folder), file="../program.py") == Outcome.OK
    argv, _, file, cwd, path, _ = session.engine.namespace["seen"]
    assert (argv, file, cwd) == (["../program.py"], str(tmp_path / "program.py"), str(folder))
    assert path == str(tmp_path)


def test_a_program_behind_a_link_finds_what_stands_beside_it(session, program, tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "link.py").symlink_to("../program.py")
    assert program(LOOK_AROUND, file=folder / "link.py") == Outcome.OK
    _, _, file, _, path, _ = session.engine.namespace["seen"]
    assert (file, path) == (str(folder / "link.py"), str(tmp_path))


def test_a_compiled_program_runs(session, tmp_path):
    (tmp_path / "program.py").write_text("seen = __file__, __cached__, __package__")
    compiled = py_compile.compile(str(tmp_path / "program.py"), str(tmp_path / "program.pyc"))
    assert session.run_file(compiled) == Outcome.OK
    assert session.engine.namespace["seen"] == (compiled, None, None)
    (tmp_path / "program.pyc").write_bytes(b"of another Python")
    assert session.run_file(compiled) == Outcome.ERROR
    assert session.last(Kind.ERROR)["evalue"].startswith("bad magic number")


def test_a_program_uses_the_shared_namespace(session, program):
    session.run("shared = 20")
    assert program("shared += 1\nnew = shared * 2\n") == Outcome.OK
    assert session.result("new")["literal"] == "42"


def test_a_program_in_a_fresh_namespace_leaves_no_names(session, program):
    session.run("shared = 20")
    code = "import sys\nassert 'shared' not in globals()\nnew = 1\nsys.keep = lambda: (new, __name__)\n"
    assert program(code + LOOK_AROUND.replace("    ", ""), namespace=Space.FRESH) == Outcome.OK
    assert "new" not in session.engine.namespace
    assert sys.keep() == (1, "__main__")
    del sys.keep


def test_a_program_that_fails_is_shown_with_its_own_frames(session, program, tmp_path):
    assert program("def fail():\n    1 / 0\n\nfail()\n", namespace=Space.FRESH) == Outcome.ERROR
    error = session.last(Kind.ERROR)
    file = tmp_path / "program.py"
    lines = [line for line in error["traceback"].splitlines() if not set(line) <= set(" ^~")]
    assert lines == [
        "Traceback (most recent call last):",
        f'  File "{file}", line 4, in <module>',
        "    fail()",
        f'  File "{file}", line 2, in fail',
        "    1 / 0",
        "ZeroDivisionError: division by zero",
    ]


def test_a_program_that_was_changed_shows_its_new_lines(session, program):
    program("1 / 0  # old\n")
    session.run("x = 1", Origin(str(session.engine.namespace.get("nothing", "a.py"))))
    program("x = 1\n1 / 0  # new\n")
    assert "1 / 0  # new" in session.last(Kind.ERROR)["traceback"]


@pytest.mark.parametrize(
    ("code", "outcome"),
    [("", "ok"), ("None", "ok"), ("0", "ok"), ("1", "error"), ("'failed'", "error")],
)
def test_a_program_may_leave_in_good_order(program, code, outcome):
    assert program(f"import sys\nsys.exit({code})\n") == outcome


@pytest.mark.parametrize("space", [Space.CURRENT, Space.FRESH])
@pytest.mark.parametrize("code", ["exit(4)", "quit(4)", "import sys; sys.exit(4)"])
def test_a_program_tells_the_status_with_which_it_leaves(session, program, code, space):
    assert program(code + "\n", namespace=space) == Outcome.ERROR
    assert session.last(Kind.ERROR)["exit_code"] == 4


@pytest.mark.parametrize(("code", "told"), [("exit(1)", 1), ("quit()", None), ("exit('sorry')", "sorry")])
def test_an_input_tells_the_status_with_which_it_leaves(session, code, told):
    assert session.run(code) == Outcome.ERROR
    assert session.last(Kind.ERROR)["exit_code"] == told


def test_a_program_may_run_an_event_loop_of_its_own(session, program):
    async def run():
        before = asyncio.get_running_loop()
        outcome = program("import asyncio\nvalue = asyncio.run(asyncio.sleep(0, 'done'))\n")
        assert asyncio.get_running_loop() is before
        return outcome

    assert asyncio.run(run()) == Outcome.OK
    assert session.engine.namespace["value"] == "done"
    asyncio.set_event_loop(None)


def test_a_program_that_is_interrupted_leaves_everything_as_it_was(program):
    assert program("raise KeyboardInterrupt\n", cwd="/") == Outcome.INTERRUPTED


def test_a_program_that_removes_its_folder_is_survived(program, tmp_path):
    folder = tmp_path / "gone"
    folder.mkdir()
    assert program("import os\nos.rmdir(os.getcwd())\n", cwd=str(folder)) == Outcome.OK


@pytest.mark.parametrize(
    ("options", "ename"),
    [
        ({"file": "/nowhere/at/all.py"}, "FileNotFoundError"),
        ({"file": "/"}, "ImportError"),
        ({"cwd": "/nowhere"}, "FileNotFoundError"),
    ],
)
def test_a_program_that_is_not_there_is_an_error(session, program, options, ename):
    assert program("x = 1", **options) == Outcome.ERROR
    assert session.last(Kind.ERROR)["ename"] == ename


@pytest.mark.parametrize("content", [b"x = \xff\n", b"x = 1\0\n", b"x ===\n", b"# coding: nonsense\n"])
def test_a_program_that_is_no_python_is_an_error(session, tmp_path, content):
    (tmp_path / "bad.py").write_bytes(content)
    assert session.run_file(tmp_path / "bad.py") == Outcome.ERROR
    assert session.last(Kind.ERROR)["ename"] in ("SyntaxError", "ValueError")
    assert "programs.py" not in session.last(Kind.ERROR)["traceback"]


def test_null_bytes_in_a_program_are_told_with_their_line(session, tmp_path):
    (tmp_path / "bad.py").write_bytes(b"x = 1\ny = 2\0\nz = 3\n")
    assert session.run_file(tmp_path / "bad.py") == Outcome.ERROR
    expected = (
        f'  File "{tmp_path / "bad.py"}", line 2\n    y = 2\nSyntaxError: source code cannot contain null bytes\n'
    )
    assert session.last(Kind.ERROR)["traceback"] == expected


def test_a_program_in_another_encoding_runs(session, tmp_path):
    (tmp_path / "latin.py").write_bytes("# coding: latin-1\nword = 'ä'\n".encode("latin-1"))
    assert session.run_file(tmp_path / "latin.py") == Outcome.OK
    assert session.engine.namespace["word"] == "ä"


@pytest.mark.parametrize("is_zipped", [False, True])
def test_a_folder_and_an_archive_are_programs_by_their_main_module(session, tmp_path, monkeypatch, is_zipped):
    monkeypatch.setattr(sys, "path", ["", *sys.path])
    folder = tmp_path / "application"
    folder.mkdir()
    (folder / "beside.py").write_text("word = 'found'")
    look = "seen = beside.word, __file__, sys.argv, sys.path[0], __package__"
    (folder / "__main__.py").write_text(f"import sys, beside\n{look}")
    path = shutil.make_archive(str(folder), "zip", folder) if is_zipped else str(folder)
    before = list(sys.path)
    assert session.run_file(path, "a") == Outcome.OK
    sys.modules.pop("beside")
    main = os.path.join(path, "__main__.py")
    assert session.engine.namespace["seen"] == ("found", main, [path, "a"], path, "")
    assert sys.path == before
    assert session.run_file(str(tmp_path)) == Outcome.ERROR
    assert "can't find '__main__' module" in session.last(Kind.ERROR)["evalue"]


def test_a_fresh_program_leaves_the_standard_streams_and_hooks_as_they_were(session, program):
    names = ("stdin", "stdout", "stderr", "excepthook", "displayhook")
    before = [getattr(sys, name) for name in names]
    replace = "".join(f"sys.{name} = None\n" for name in names)
    assert program(f"import sys\n{replace}", namespace=Space.FRESH) == Outcome.OK
    assert [getattr(sys, name) for name in names] == before


def test_a_program_that_fails_calls_its_own_hook(session, program, monkeypatch):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    for failure, seen in (("1 / 0", ["ZeroDivisionError"]), ("sys.exit(1)", [])):
        calls = []
        session.engine.namespace["calls"] = calls
        hook = "sys.excepthook = lambda kind, error, trace: calls.append(kind.__name__)\n"
        assert program(f"import sys\nfrom __main__ import calls\n{hook}{failure}") == Outcome.ERROR
        assert calls == seen


def test_a_hook_that_fails_is_told_before_the_error_that_it_was_to_show(session, program, monkeypatch, capsys):
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    code = "import sys\ndef hook(*_): raise OSError('full')\nsys.excepthook = hook\n1 / 0"
    assert program(code) == Outcome.ERROR
    told = capsys.readouterr().err
    assert told.startswith("Error in sys.excepthook:\nTraceback (most recent call last):\n  File ")
    assert told.endswith("\nOSError: full\n\nOriginal exception was:\n")
    assert "ZeroDivisionError" not in told
    assert session.last(Kind.ERROR)["ename"] == "ZeroDivisionError"
    assert session.last(Kind.ERROR)["rich"] != []


# What is told of incomplete code


@pytest.mark.parametrize(
    ("code", "status"),
    [("x = 1", "complete"), ("def f(x):", "incomplete"), ("def f(x):\n  x*2", "incomplete"), ("x ===", "invalid")],
)
def test_code_is_known_to_be_complete_or_not(session, code, status):
    assert session.engine.is_complete(code).status == status


# The plain engine alone


def test_the_plain_engine_takes_no_indented_code(plain):
    assert plain.error("x = 1\n  y = 2")["ename"] == "IndentationError"
    assert plain.engine.run(9, "  x = 1", count=9) == Outcome.ERROR


# IPython alone


def test_magics_run(ipython):
    assert ipython.run("%who_ls") == Outcome.OK
    assert ipython.run("%%capture captured\nprint('inside')") == Outcome.OK
    assert ipython.result("captured.stdout")["literal"] == "'inside\\n'"


def test_a_command_of_the_shell_runs(ipython, capfd):
    ipython.run("name = 'x y'\n!echo {name} $name; exit 3")
    assert capfd.readouterr().out == "x y x y\n"
    assert ipython.result("_exit_code")["literal"] == "3"
    assert ipython.result("lines = !printf 'a\\nb'\nlist(lines)")["data"]["text/plain"] == "['a', 'b']"


def test_help_is_a_page_without_colours(ipython):
    ipython.run("def greet(name):\n    'Say hello.'\ngreet?")
    (page,) = ipython.shown(Kind.PAGE)
    assert "Say hello." in page["data"]["text/plain"]
    assert "\x1b" not in page["data"]["text/plain"]


@pytest.mark.parametrize(
    ("code", "said"), [("%time", "Time execution"), ("%%timeit", "Time execution"), ("%cd", "Change")]
)
def test_a_magic_is_described_before_its_first_use(ipython, code, said):
    about = HelpReader(ipython.engine.namespace, SourceAnalyzer(ipython.engine.namespace), "ipython").inspect(code, 3)
    assert (about.name, about.type) == (code, "magic")
    assert said in about.doc
    assert "magics" in about.file


def test_a_magic_may_propose_what_to_run_next(ipython, tmp_path):
    (tmp_path / "snippet.py").write_text("y = 2\n")
    ipython.run(f"%load {tmp_path}/snippet.py")
    (proposed,) = ipython.shown(Kind.NEXT_INPUT)
    assert proposed["text"].endswith("y = 2\n")
    assert proposed["replace"]


def test_a_magic_that_was_interrupted_while_it_was_loaded_is_loaded_by_its_next_use(ipython, monkeypatch):
    import_module, interrupted = importlib.import_module, []

    def interrupt_once(name, *arguments):
        if name == "IPython.core.magics.execution" and not interrupted:
            interrupted.append(name)
            raise KeyboardInterrupt
        return import_module(name, *arguments)

    monkeypatch.setattr(importlib, "import_module", interrupt_once)
    outcome = ipython.run("%time x = 1")
    if not interrupted:
        pytest.skip("this IPython loads its magics at its start")
    assert outcome == Outcome.INTERRUPTED
    assert ipython.run("%time x = 2") == Outcome.OK
    assert ipython.result("x")["literal"] == "2"


@pytest.mark.parametrize("code", ["%nonsense", "%%nonsense\n1", "%edit"])
def test_a_magic_that_is_refused_is_one_error_without_frames(ipython, code):
    error = ipython.error(code)
    assert error["ename"] == "UsageError"
    assert "File" not in error["traceback"]
    assert len(ipython.shown(Kind.ERROR)) == 1


@pytest.mark.parametrize("code", ["%timeit -n1 -r1 1/0", "%%time\n1/0", "%time 1/0"])
def test_an_error_inside_of_a_magic_is_one_error_with_the_users_frames_only(ipython, code):
    is_caught = IPYTHON < (9,) and re.match("%+time\\b", code)  # it is shown, and the input goes on
    assert ipython.run(code) == (Outcome.OK if is_caught else Outcome.ERROR)
    error = ipython.last(Kind.ERROR)
    assert error["ename"] == "ZeroDivisionError"
    assert "IPython" not in error["traceback"]
    assert len(ipython.shown(Kind.ERROR)) == 1


SHOWN = {
    "%run": "%run {tmp}/fails.py",
    "%tb": "%tb",
    "its own call": "try:\n    1/0\nexcept ZeroDivisionError:\n    get_ipython().showtraceback()",
}


@pytest.mark.parametrize("way", SHOWN)
def test_an_error_that_is_shown_fails_nothing_and_stands_where_it_was_shown(ipython, tmp_path, way):
    (tmp_path / "fails.py").write_text("1/0\n")
    ipython.error("1 / 0")
    ipython.events.clear()
    assert ipython.run("display('before')\n" + SHOWN[way].format(tmp=tmp_path) + "\ndisplay('behind')") == Outcome.OK
    assert [kind for kind, _, _ in ipython.events] == [Kind.DISPLAY, Kind.ERROR, Kind.DISPLAY]
    (error,) = ipython.shown(Kind.ERROR)
    assert error["ename"] == "ZeroDivisionError"
    assert "1" in "".join(error["rich"])


def test_what_is_shown_when_an_input_ends_stands_behind_its_error(ipython):
    ipython.run("get_ipython().events.register('post_execute', lambda: display('a figure'))")
    ipython.events.clear()
    assert ipython.run("1 / 0") == Outcome.ERROR
    assert [kind for kind, _, _ in ipython.events] == [Kind.ERROR, Kind.DISPLAY]


def test_an_error_is_also_told_as_ipython_shows_it(ipython):
    error = ipython.error("def divide(a):\n    before = 1\n    return a / 0\n\ndivide(1)")
    assert "Cell" in plain_text("".join(error["rich"]))
    assert "In[1], line 5" in plain_text("".join(error["rich"]))
    assert "----> 3     return a / 0" in plain_text("".join(error["rich"]))
    assert "      2     before = 1" in plain_text("".join(error["rich"]))
    assert "\x1b[" in "".join(error["rich"])
    assert "\x1b[" not in error["traceback"]
    for ours in ("rpyc_kernel/worker", "run_code"):
        assert ours not in "".join(error["rich"])


def test_an_error_is_told_frame_by_frame_as_ipython_hands_it_over(ipython):
    error = ipython.error("def divide(a):\n    return a / 0\n\ndivide(1)")
    _, head, outer, inner, last = [plain_text(part) for part in error["rich"]]
    assert "Traceback" in head
    assert "divide(1)\n" in outer
    assert "-> 2     return a / 0\n" in inner
    assert last == "ZeroDivisionError: division by zero"


def test_an_error_that_is_too_long_is_cut_as_a_whole(ipython):
    error = ipython.error("raise ValueError('x' * 1_500_000)")
    assert "characters left out" in "".join(error["rich"])
    assert sum(map(len, error["rich"])) < 1_001_000


def test_how_tracebacks_are_shown_is_the_users_choice(ipython):
    ipython.run("%xmode Minimal")
    assert plain_text("".join(ipython.error("1 / 0")["rich"])).strip() == "ZeroDivisionError: division by zero"
    ipython.run("%xmode Verbose")
    assert "x = 5" in plain_text("".join(ipython.error("x = 5\nx / 0")["rich"]))
    ipython.run("class Own(Exception):\n    def _render_traceback_(self): return ['my own', 'way']")
    assert ipython.error("raise Own")["rich"] == ["my own", "way"]


def test_who_shows_errors_in_a_way_of_their_own_has_them_shown_once(ipython, capsys):
    ipython.run(
        """\
        def handle(shell, kind, error, trace, tb_offset=None): print("handled", error)
        get_ipython().set_custom_exc((KeyError,), handle)
        """
    )
    error = ipython.error("raise KeyError('x')")
    assert (error["ename"], error["rich"]) == ("KeyError", [])
    assert "raise KeyError" in error["traceback"]
    assert capsys.readouterr().out == "handled 'x'\n"
    assert len(ipython.shown(Kind.ERROR)) == 1
    assert "ZeroDivisionError" in "".join(ipython.error("1 / 0")["rich"])


def test_rich_shows_errors_where_it_is_installed_to(ipython, capsys):
    pytest.importorskip("rich")
    ipython.run("import rich.traceback; rich.traceback.install(); None")
    assert ipython.error("1 / 0")["rich"] == []
    said = capsys.readouterr()
    assert "ZeroDivisionError" in said.out + said.err


def test_an_error_of_nobodys_is_shown_as_text(ipython, capsys):
    try:
        raise ValueError("in the background")
    except ValueError:
        ipython.engine._shell.showtraceback()
    assert ipython.events == []
    assert capsys.readouterr().err.endswith("ValueError: in the background\n")


def plain_text(text):
    return re.sub(r"\x1b\[[\d;]*m", "", text)


@pytest.mark.parametrize("code", ["exit", "quit()", "%exit"])
def test_leaving_does_not_end_the_shell(ipython, code):
    ipython.run(code)
    assert ipython.result("1")["literal"] == "1"


@pytest.mark.parametrize("free", ["%xdel big", "%reset -f"])
def test_a_value_that_was_shown_can_be_freed(ipython, free):
    ipython.run("import gc, weakref, sys\nclass Big: pass")
    ipython.run("sys.freed = freed = []\nbig = Big()\nweakref.finalize(big, freed.append, 1); None")
    ipython.run("big")
    ipython.run(free)
    ipython.run("None")
    assert ipython.result("import gc, sys; gc.collect(); sys.freed")["data"]["text/plain"] == "[1]"
    del sys.freed


@pytest.mark.parametrize(
    "code", ["1/0", "def f(): 1/0\nf()", "raise KeyboardInterrupt", "get_ipython().run_cell('1/0')"]
)
def test_what_a_traceback_has_parsed_of_an_input_is_free_when_it_is_shown(ipython, code):
    ipython.run(code)
    assert not [name for name in _names_of_parsed() if name.startswith(INPUTS)]


def test_what_a_traceback_has_parsed_of_a_cell_is_free_when_it_is_shown(ipython, tmp_path):
    file = tmp_path / "cells.py"
    file.write_text("# %%\n")
    ipython.run("1/0", Origin(str(file), 2))
    assert str(file) not in _names_of_parsed()


def test_what_a_traceback_has_parsed_of_a_library_stays_for_the_next_one(ipython):
    ipython.run("import json\njson.loads('?')")
    assert json.__file__ in _names_of_parsed()


def _names_of_parsed():
    gc.collect()
    return [found.filename for found in gc.get_objects() if isinstance(found, executing.Source)]


_OF_IPYTHON = ["%who", "x = %who", "  !ls", "x = !ls", "if 1:\n    x?", "/f 1", ";f 1", ",f 1", "a\f,b\n", "'\x0b;a'"]
_OF_PYTHON = ["f(1, 2); x = 1 / 2\nif x:\n    pass", "", "(", "x = '''\n"]


@pytest.mark.parametrize("code", [*_OF_IPYTHON, *_OF_PYTHON, "a % b != 'c?'"])
def test_code_becomes_what_ipython_makes_of_it_and_plain_python_is_not_taken_apart(ipython, code, monkeypatch):
    manager = ipython.engine._shell.input_transformer_manager
    theirs = type(manager).__base__().transform_cell(code)
    looked_at = []
    look = manager.do_one_token_transform
    monkeypatch.setattr(manager, "do_one_token_transform", lambda lines: looked_at.append(lines) or look(lines))
    assert manager.transform_cell(code) == theirs
    assert bool(looked_at) == (code not in _OF_PYTHON)


_LINES_OF_IPYTHON = [
    "who",
    "cd /",
    "exit",
    "autocalled",
    "macro",
    "1 +1",
    " x",
    "x\t",
    "x\u2028",
    "x # PYTHON-MODE",
    "In [1]: x",
]
_LINES_OF_PYTHON = [
    "pass",
    "x = 1",
    "x.y(z)  # no",
    "print('a') ",
    "who_else",
    "x\x1f",
    "x\xa0",
    "await x",
    "f'{x}'",
    "é",
    "In",
    "x\\",
]


def _compare_lines(ipython, code, monkeypatch):
    """What IPython makes of a line, whether ours is that, and whether all of IPython was asked for it."""
    shell = ipython.engine._shell
    theirs = InteractiveShell.transform_cell(shell, code)
    asked = []
    manager = shell.input_transformer_manager
    ask = manager.transform_cell
    monkeypatch.setattr(manager, "transform_cell", lambda cell: asked.append(cell) or ask(cell))
    return theirs, shell.transform_cell(code) == theirs, bool(asked)


@pytest.mark.parametrize("code", [*_LINES_OF_IPYTHON, *_LINES_OF_PYTHON])
def test_a_line_becomes_what_ipython_makes_of_it_and_one_of_python_alone_is_not_looked_at(ipython, code, monkeypatch):
    ipython.run("from IPython.core.autocall import IPyAutocall\nautocalled = IPyAutocall()")
    ipython.run("%macro macro 1")
    if code == "exit":
        ipython.run("exit = exit")
    theirs, is_same, was_asked = _compare_lines(ipython, code, monkeypatch)
    assert is_same
    assert was_asked == (code not in _LINES_OF_PYTHON)
    assert theirs == f"{code}\n" or was_asked


_ADDED = {
    "a magic": "get_ipython().register_magic_function(lambda line: None, 'line', 'word')",
    "other magics": """
manager = get_ipython().magics_manager
manager.magics = {**manager.magics, "line": {"word": lambda line: None}}
""",
    "autocall": "word = len; get_ipython().autocall = 2",
    "a cleanup": "get_ipython().input_transformers_cleanup.append(lambda lines: ['added\\n'])",
    "a transformer of lines": """
get_ipython().input_transformer_manager.line_transforms.append(lambda lines: ["added\\n"])
""",
    "another manager": """
from IPython.core.inputtransformer2 import TransformerManager
get_ipython().input_transformer_manager = TransformerManager()
get_ipython().input_transformer_manager.line_transforms.append(lambda lines: ["added\\n"])
""",
    "a late transformer": "get_ipython().input_transformers_post.append(lambda lines: ['added\\n'])",
    "a transformer of old": """
from IPython.core.prefilter import PrefilterTransformer
class Added(PrefilterTransformer):
    def transform(self, line, continue_prompt):
        return "added"
manager = get_ipython().prefilter_manager
manager.register_transformer(Added(shell=get_ipython(), prefilter_manager=manager))
""",
    "a handler": """
from IPython.core.prefilter import PrefilterHandler
class Added(PrefilterHandler):
    handler_name = "normal"
    def handle(self, info):
        return "added"
manager = get_ipython().prefilter_manager
Added(shell=get_ipython(), prefilter_manager=manager)
""",
    "a checker": """
from IPython.core.prefilter import PrefilterChecker
class Added(PrefilterChecker):
    def check(self, info):
        return self.prefilter_manager.get_handler_by_name("magic")
manager = get_ipython().prefilter_manager
Added(shell=get_ipython(), prefilter_manager=manager)
""",
}


@pytest.mark.parametrize("added", _ADDED)
def test_a_line_is_looked_at_for_what_is_added_to_ipython(ipython, added, monkeypatch):
    assert _compare_lines(ipython, "word 1", monkeypatch) == ("word 1\n", True, False)
    ipython.run(_ADDED[added])
    theirs, is_same, _ = _compare_lines(ipython, "word 1", monkeypatch)
    assert theirs != "word 1\n"
    assert is_same


def test_code_is_looked_at_for_what_the_user_adds_to_the_language(ipython):
    class Shout:
        start_line = start_col = priority = 0

        @classmethod
        def find(cls, tokens_by_line):
            return cls() if tokens_by_line[0][0].string == "shout" else None

        def transform(self, lines):
            return ["'loud'\n"]

    ipython.engine._shell.input_transformer_manager.token_transformers.append(Shout)
    assert eval(ipython.result("shout")["literal"]) == "loud"


def test_code_that_inputs_run_by_the_shell_is_forgotten_like_inputs(ipython, monkeypatch):
    monkeypatch.setattr("rpyc_kernel.worker.sources._KEPT", 3)
    monkeypatch.setattr("rpyc_kernel.worker.engines.shell_parts._KEPT_INPUTS", 3)
    for number in range(5):
        ipython.run(f"get_ipython().run_cell('x = {number}')")
    assert len([name for name in linecache.cache if name.startswith("<ipython-input-")]) == 2  # of the last three
    assert len(ipython.engine._shell.compile._filename_map) == 3


def test_what_a_call_has_returned_can_be_freed(ipython):
    ipython.run("class Big: pass")
    value = ipython.engine.namespace["Big"]()
    freed = weakref.ref(value)
    ipython.engine.show(0, value)  # of an execution that is no input
    del value
    gc.collect()
    assert freed() is not None
    ipython.run("%reset -f")
    gc.collect()
    assert freed() is None


def test_a_semicolon_hides_the_value(ipython):
    assert ipython.run("40 + 2;") == Outcome.OK
    assert ipython.shown(Kind.RESULT) == []


def test_inputs_are_numbered_like_executions_and_forgotten(ipython, monkeypatch):
    monkeypatch.setattr("rpyc_kernel.worker.engines.shell_parts._KEPT_INPUTS", 3)
    ipython.run("x = 'first'")
    ipython._executions = 10
    for number in range(11, 16):
        ipython.run(f"x = {number}")
    assert ipython.result("In[12], In[15], _i, len(In)")["data"]["text/plain"] == ("('', 'x = 15', 'x = 15', 17)")
    assert ipython.result("_i15, '_i13' in globals()")["literal"] == "('x = 15', False)"
    assert (
        ipython.result("'_i17' in get_ipython().user_ns_hidden, '_i13' in get_ipython().user_ns_hidden")["literal"]
        == "(True, False)"
    )


def test_the_last_inputs_are_found_by_what_is_in_them(ipython, capsys, monkeypatch):
    monkeypatch.setattr("rpyc_kernel.worker.engines.shell_parts._KEPT_INPUTS", 5)
    for code in ("forgotten = 'red'", "x = 'red'", "y = 'blue'", "x = 'red'", "z = '[red'"):
        ipython.run(code)
    ipython.run("%history -u -g red")
    assert capsys.readouterr().out == "   4: x = 'red'\n   5: z = '[red'\n   6: %history -u -g red\n"
    ipython.run("%history -l 1 -g blue")
    assert capsys.readouterr().out == "   7: %history -l 1 -g blue\n"
    ipython.run("%history -l 2")
    assert capsys.readouterr().out == "%history -u -g red\n%history -l 1 -g blue\n"


def test_the_input_before_is_run_again(ipython, capsys):
    ipython.run("print('again')")
    ipython.run("%rerun")
    assert capsys.readouterr().out.count("again\n") == 2


def test_an_input_is_recalled_by_what_is_in_it(ipython):
    ipython.run("colour = 'red'")
    ipython.run("%recall olour = ")
    assert [proposed["text"] for proposed in ipython.shown(Kind.NEXT_INPUT)] == ["colour = 'red'"]


def test_nothing_is_written_into_a_history_of_ipythons_own(ipython, tmp_path):
    ipython.run("x = 1")
    assert not list(tmp_path.rglob("history.sqlite"))


def test_an_extension_hears_of_inputs(ipython):
    ipython.run(
        """\
        heard = []
        for name in ('pre_run_cell', 'post_execute', 'post_run_cell'):
            get_ipython().events.register(name, lambda *a, name=name: heard.append(name))
        """
    )
    ipython.run("pass")
    assert ipython.engine.namespace["heard"][-3:] == ["pre_run_cell", "post_execute", "post_run_cell"]


def test_a_side_lane_knows_magics_and_shows_values(ipython):
    outcomes = []
    runner = threading.Thread(target=lambda: outcomes.append(ipython.engine.run(7, "x = %who_ls\ndisplay(1)\n'side'")))
    runner.start()
    runner.join()
    assert outcomes == [Outcome.OK]
    assert ipython.events[-1] == (
        Kind.RESULT,
        7,
        {"data": {"text/plain": "'side'"}, "metadata": {}, "literal": "'side'"},
    )


def test_the_shells_machinery_may_not_be_interrupted_and_what_it_runs_may(ipython):
    ipython.engine.namespace["may_strike"] = lambda: is_in_user_code(sys._getframe(1))
    ipython.run("%time struck = may_strike()")
    assert ipython.engine.namespace["struck"]
    seen = []
    shell = ipython.result("get_ipython()") and ipython.engine._shell
    shell.events.register("pre_run_cell", lambda _: seen.append(is_in_user_code(sys._getframe(1))))
    ipython.run("pass")
    assert seen == [False]


def test_in_a_notebook_libraries_find_a_notebook(open_ipython):
    notebook = open_ipython(face=Face.NOTEBOOK)
    looks = "type(get_ipython()).__name__, hasattr(get_ipython(), 'kernel'), 'IPKernelApp' in get_ipython().config"
    assert notebook.result(looks)["literal"] == "('ZMQInteractiveShell', True, True)"
    assert notebook.result("get_ipython().kernel.get_parent()['header']['msg_id']")["literal"].endswith("-2'")
    assert notebook.result("get_ipython().parent_header['header']['msg_type']")["literal"] == "'execute_request'"
    assert os.environ["FORCE_COLOR"] == "1"


def test_in_a_notebook_the_shell_is_of_the_module_that_libraries_ask_for(open_ipython):
    notebook = open_ipython(face=Face.NOTEBOOK)
    named = "type(get_ipython()).__module__, 'ipykernel.zmqshell.ZMQInteractiveShell' in str(get_ipython())"
    assert notebook.result(named)["literal"] == "('ipykernel.zmqshell', True)"


def test_in_a_notebook_the_shells_module_is_there_as_progress_bars_look_for_it(open_ipython):
    notebook = open_ipython(face=Face.NOTEBOOK)
    assert notebook.result("import sys\n'ipykernel.zmqshell' in sys.modules, 'ipykernel' in sys.modules")[
        "literal"
    ] == ("(True, False)")
    notebook.run("from ipykernel.zmqshell import ZMQInteractiveShell")
    assert notebook.result("isinstance(get_ipython(), ZMQInteractiveShell)")["literal"] == "True"
    pytest.importorskip("ipykernel")
    notebook.run("import ipykernel.zmqshell")
    looks = (
        "ipykernel.zmqshell.ZMQInteractiveShell is ZMQInteractiveShell, ipykernel.zmqshell.ZMQDisplayPublisher.__name__"
    )
    assert notebook.result(looks)["literal"] == "(True, 'ZMQDisplayPublisher')"
    assert notebook.error("ipykernel.zmqshell.nonsense")["ename"] == "AttributeError"


@pytest.mark.parametrize("face", [Face.NOTEBOOK, Face.TERMINAL])
def test_files_are_shown_at_leisure(open_ipython, tmp_path, face):
    session = open_ipython(face=face)
    for name, colours in (("a b.txt", False), ("a.py", True)):
        (tmp_path / name).write_text("def f(): ...")
        for magic in ("less", "more"):
            assert session.run(f"%{magic} {str(tmp_path / name)!r}") == Outcome.OK
            page = session.last(Kind.PAGE)
            assert page["data"]["text/plain"].strip() == "def f(): ..."
            assert ("\x1b[" in page["rich"]) is colours
    assert session.error("%less")["ename"] == "UsageError"
    assert session.error(f"%more {tmp_path}/none")["ename"] == "FileNotFoundError"


def test_the_shell_asks_for_manual_pages_and_a_clear_terminal(open_ipython, monkeypatch):
    session = open_ipython()
    asked = []
    shell = session.engine._shell
    monkeypatch.setattr(shell, "system", asked.append)
    monkeypatch.setattr(shell, "getoutput", lambda command, split: asked.append(command) or "page")
    session.run("%clear\n%man ls")
    assert asked == ["clear", "man ls | col -b"]
    assert session.last(Kind.PAGE)["data"] == {"text/plain": "page"}


def test_in_a_notebook_magics_speak_to_it_and_of_it(open_ipython, capsys, monkeypatch, tmp_path):
    file = tmp_path / "kernel-1.json"
    file.write_text('{"key": "k"}')
    monkeypatch.setenv(CONNECTION_FILE_VARIABLE, str(file))
    notebook = open_ipython(face=Face.NOTEBOOK)
    assert CONNECTION_FILE_VARIABLE not in os.environ
    notebook.run("%autosave 60")
    notebook.run("%autosave 0")
    assert [next(iter(shown["data"].values())) for shown in notebook.shown(Kind.DISPLAY)] == [
        "IPython.notebook.set_autosave_interval(60000)",
        "IPython.notebook.set_autosave_interval(0)",
    ]
    assert capsys.readouterr().out == "Autosaving every 60 seconds\nAutosave disabled\n"
    assert notebook.error("%autosave often")["ename"] == "UsageError"
    notebook.run("%connect_info")
    told = capsys.readouterr().out
    assert told.startswith('{"key": "k"}\n')
    assert f"--existing {file}\n" in told


def test_a_kernel_that_jupyter_has_not_started_says_so_instead_of_how_to_connect(open_ipython):
    notebook = open_ipython(face=Face.NOTEBOOK)
    assert "Jupyter has not started this kernel" in notebook.error("%connect_info")["evalue"]


def test_in_a_notebook_libraries_find_jupyters_connection_file(open_ipython, monkeypatch, tmp_path):
    pytest.importorskip("ipykernel")
    for name in [name for name in sys.modules if name.partition(".")[0] == "ipykernel"]:
        monkeypatch.delitem(sys.modules, name)
    file = tmp_path / "kernel-1.json"
    file.write_text("{}")
    monkeypatch.setenv(CONNECTION_FILE_VARIABLE, str(file))
    notebook = open_ipython(face=Face.NOTEBOOK)
    notebook.run("import ipykernel, ipykernel.kernelapp, traitlets.config\nkind = ipykernel.kernelapp.IPKernelApp")
    assert notebook.result("ipykernel.get_connection_file()")["literal"] == repr(str(file))
    found = "kind.initialized(), kind.instance().kernel is get_ipython().kernel, kind.instance().shell is get_ipython()"
    assert notebook.result(found)["literal"] == "(True, True, True)"
    assert notebook.result("traitlets.config.Application.initialized()")["literal"] == "False"
    assert notebook.result("get_ipython().config['IPKernelApp']['connection_file']")["literal"] == repr(str(file))


SENDING = """\
kernel = get_ipython().kernel
def send(kind, **content):
    kernel.session.send(kernel.iopub_socket, kind, content, parent=get_ipython().parent_header)
"""


def test_in_a_notebook_the_kernel_sends_responses(open_ipython, capsys):
    notebook = open_ipython(face=Face.NOTEBOOK)
    notebook.run(
        "k = get_ipython().kernel\nk.send_response(k.iopub_socket, 'stream', {'name': 'stdout', 'text': 'out'})"
    )
    assert capsys.readouterr().out == "out"
    assert notebook.result("len(k.session.session)")["literal"] == "32"


def test_in_a_notebook_code_can_send_messages_that_show_something(open_ipython, capsys):
    notebook = open_ipython(face=Face.NOTEBOOK)
    notebook.run(SENDING)
    notebook.run("send('display_data', data={'text/plain': '1'}, metadata={'a': 1}, transient={'display_id': 'x'})")
    shown = {"data": {"text/plain": "1"}, "metadata": {"a": 1}, "display_id": "x", "is_update": False}
    assert notebook.last(Kind.DISPLAY) == shown
    notebook.run("send('update_display_data', data={'text/plain': '2'}, transient={'display_id': 'x'})")
    updated = {"data": {"text/plain": "2"}, "metadata": {}, "display_id": "x", "is_update": True}
    assert notebook.last(Kind.DISPLAY) == updated
    notebook.run("send('display_data', data={'text/plain': '3'})")
    assert notebook.last(Kind.DISPLAY)["display_id"] is None
    notebook.run("send('clear_output', wait=True)")
    assert notebook.last(Kind.CLEAR_OUTPUT) == {"wait": True}
    notebook.run("send('stream', name='stdout', text='out'); send('stream', name='stderr', text='err')")
    assert capsys.readouterr() == ("out", "err")


def test_in_a_notebook_what_code_sends_as_a_result_is_shown_as_one_and_has_no_value(open_ipython):
    notebook = open_ipython(face=Face.NOTEBOOK)
    notebook.run(SENDING)
    sent = notebook.result("send('execute_result', data={'text/plain': '1'}, transient={'display_id': 'x'})")
    assert sent == {"data": {"text/plain": "1"}, "metadata": {}, "literal": "None", "display_id": "x"}


def test_in_a_notebook_code_cannot_send_what_only_the_kernel_sends(open_ipython):
    notebook = open_ipython(face=Face.NOTEBOOK)
    notebook.run(SENDING)
    assert "not 'status'" in notebook.error("send('status', execution_state='idle')")["evalue"]


@pytest.fixture
def asked_to_leave(monkeypatch):
    """What has asked the worker to leave, which this process is not."""
    asked = []
    monkeypatch.setattr(leaving, "_begin", [lambda: asked.append("leave")])
    return asked


@pytest.mark.parametrize("way", ["get_ipython()", "__import__('traitlets').config.Application.instance()"])
def test_in_a_notebook_code_can_end_its_process(open_ipython, asked_to_leave, monkeypatch, way):
    from traitlets.config import Application

    monkeypatch.setattr(Application, "_instance", None)
    notebook = open_ipython(face=Face.NOTEBOOK)
    told = notebook.result(f"{way}.kernel.do_shutdown(True)")["data"]["text/plain"]
    assert eval(told) == {"status": "ok", "restart": True}
    assert asked_to_leave == ["leave"]


def test_in_a_notebook_a_thread_can_show_something_in_a_cell_of_its_choice(open_ipython):
    notebook = open_ipython(face=Face.NOTEBOOK)
    for execution in (1, 50):
        begin_execution(execution, is_main=False)
    try:
        notebook.run("parent = get_ipython().kernel.get_parent()")
        begin_execution(1, is_main=False)
        for way in (
            "kernel.set_parent(None, parent)",
            "set_parent(parent)",
            "display_pub.set_parent(parent['header'])",
        ):
            notebook.run(f"get_ipython().{way}; display('here'); told = get_ipython().kernel._parent_header")
            kind, execution, _ = notebook.events[-1]
            assert (kind, execution) == (Kind.DISPLAY, 1)
            assert notebook.engine.namespace["told"] == notebook.engine.namespace["parent"]
    finally:
        for execution in (1, 50):
            end_execution(execution)


def test_in_a_notebook_output_cannot_be_given_to_a_message_that_is_no_execution(open_ipython):
    notebook = open_ipython(face=Face.NOTEBOOK)
    told = notebook.error("get_ipython().kernel.set_parent([b'x'], {'header': {'msg_id': 'abc'}})")["evalue"]
    assert "'get_ipython().kernel.get_parent()' returns" in told
    assert "not to the message 'abc'" in told


def test_in_a_notebook_what_the_kernel_has_not_is_said_with_what_it_has(open_ipython):
    notebook = open_ipython(face=Face.NOTEBOOK)
    assert notebook.result("hasattr(get_ipython().kernel, 'shell_stream')")["literal"] == "False"
    told = notebook.error("get_ipython().kernel.shell_stream")["evalue"]
    assert told.startswith("this kernel has no 'shell_stream': Jupyter's sockets and loops are in another process")
    assert "do_shutdown, eventloop, execution_count, get_parent, getpass" in told


def test_in_a_notebook_the_kernel_tells_of_itself(open_ipython):
    notebook = open_ipython(face=Face.NOTEBOOK)
    notebook.run("k = get_ipython().kernel")
    told = notebook.result(
        "k.execution_count == k.shell.execution_count, k.language_info['name'], k.user_ns is globals()"
    )
    assert told["literal"] == "(True, 'python', True)"
    assert notebook.result("k.parent.kernel is k")["literal"] == "True"


HOOK = """\
pub = get_ipython().display_pub
seen = []
def hook(message):
    seen.append((message["msg_type"], message["content"].get("data")))
    return None if len(seen) == 3 else message
pub.register_hook(hook)
"""


def test_in_a_notebook_a_hook_sees_what_is_displayed_and_may_keep_it_back(open_ipython):
    notebook = open_ipython(face=Face.NOTEBOOK)
    notebook.run(HOOK)
    notebook.run("handle = display(1, display_id='x'); handle.update(2); display('kept back')")
    one, two = notebook.shown(Kind.DISPLAY)
    assert (one["data"], one["display_id"], one["is_update"]) == ({"text/plain": "1"}, "x", False)
    assert (two["data"], two["display_id"], two["is_update"]) == ({"text/plain": "2"}, "x", True)
    notebook.run("from IPython.display import clear_output; clear_output(wait=True)")
    assert notebook.last(Kind.CLEAR_OUTPUT) == {"wait": True}
    assert [kind for kind, _ in notebook.engine.namespace["seen"]] == [
        "display_data",
        "update_display_data",
        "display_data",
        "clear_output",
    ]
    assert notebook.result("pub.unregister_hook(hook), pub.unregister_hook(hook)")["literal"] == "(True, False)"
    notebook.run("display(4)")
    assert notebook.last(Kind.DISPLAY)["data"] == {"text/plain": "4"}
    assert len(notebook.engine.namespace["seen"]) == 4


def test_in_a_notebook_what_a_hook_has_kept_back_can_be_sent_changed(open_ipython):
    notebook = open_ipython(face=Face.NOTEBOOK)
    notebook.run(
        """
        pub = get_ipython().display_pub
        def hook(message):
            message["content"]["data"]["text/plain"] += "!"
            pub.session.send(pub.pub_socket, message)
        pub.register_hook(hook)
        display(1)
        """
    )
    assert [shown["data"] for shown in notebook.shown(Kind.DISPLAY)] == [{"text/plain": "1!"}]


def test_in_a_notebook_a_hook_sees_what_its_own_thread_displays(open_ipython):
    notebook = open_ipython(face=Face.NOTEBOOK)
    notebook.run(HOOK)
    notebook.run(
        "import threading\nthread = threading.Thread(target=display, args=(1,))\nthread.start(); thread.join()"
    )
    assert notebook.engine.namespace["seen"] == []


def test_in_a_notebook_code_can_ask_the_page_for_what_it_does_behind_an_answer(open_ipython):
    notebook = open_ipython(face=Face.NOTEBOOK)
    notebook.run("write = get_ipython().payload_manager.write_payload")
    notebook.run("write({'source': 'set_next_input', 'text': 'x', 'replace': True})")
    assert notebook.last(Kind.NEXT_INPUT) == {"text": "x", "replace": True}
    notebook.run("write({'source': 'set_next_input', 'text': 'y'}, single=False)")
    assert notebook.last(Kind.NEXT_INPUT) == {"text": "y", "replace": False, "is_further": True}
    notebook.run("write({'source': 'page', 'data': {'text/plain': 'help'}, 'start': 0})")
    assert notebook.last(Kind.PAGE)["data"] == {"text/plain": "help"}
    assert "not 'edit_magic'" in notebook.error("write({'source': 'edit_magic', 'filename': 'x'})")["evalue"]


def test_in_a_notebook_cells_have_the_files_that_profilers_and_caches_know(open_ipython):
    notebook = open_ipython(face=Face.NOTEBOOK)
    notebook.run("def f(x):\n    return 1 / x")
    name = notebook.result("f.__code__.co_filename")["literal"].strip("'")
    assert re.fullmatch(r"<ipython-input-1-[0-9a-f]{12}>", name)
    assert linecache.getline(name, 2) == "    return 1 / x\n"
    assert notebook.result("__import__('inspect').getsource(f)")["literal"] == repr("def f(x):\n    return 1 / x\n")


def test_what_all_clients_read_of_a_notebooks_cells_has_their_counts(open_ipython):
    notebook = open_ipython(face=Face.NOTEBOOK)
    notebook.run("def f(x):\n    return 1 / x")
    failed = notebook.error("f(0)")
    assert re.findall('File "(.*?)", line', failed["traceback"]) == ["<In 2>", "<In 1>"]
    wrong = notebook.error("x = = 1")
    assert "ipython-input" not in wrong["traceback"] + wrong["evalue"]
    assert "<In 3>" in wrong["traceback"]
    found = HelpReader(notebook.engine.namespace, SourceAnalyzer(notebook.engine.namespace), "ipython")
    assert found.find_definition("f", None) == Definition("f", "<In 1>", 1)
    inspected = found.inspect("f", None)
    assert (inspected.file, inspected.source) == ("<In 1>", "def f(x):\n    return 1 / x\n")
    notebook.run("class Made:\n    size = 1")
    assert found.find_definition("Made", None) == Definition("Made", "<In 4>", 1)


def test_at_a_console_libraries_find_a_terminal(open_ipython):
    terminal = open_ipython(face=Face.TERMINAL)
    looks = "type(get_ipython()).__name__, hasattr(get_ipython(), 'kernel'), 'IPKernelApp' in get_ipython().config"
    assert terminal.result(looks)["literal"] == "('TerminalInteractiveShell', False, False)"
    assert (os.environ["FORCE_COLOR"], os.environ["PAGER"]) == ("before", "cat")


def write_profile(folder):
    startup = folder / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup.parent / "ipython_config.py").write_text(
        "c.InteractiveShell.xmode = 'Minimal'\n"
        "c.TerminalInteractiveShell.editing_mode = 'vi'\n"
        "c.InteractiveShellApp.exec_lines = ['from_line = 6 * 7', '3']\n"
    )
    (startup.parent / "ipython_kernel_config.py").write_text("c.InteractiveShellApp.exec_lines = ['for_notebooks = 1']")
    (startup / "00.py").write_text("from_file = 'started'\n")
    (startup / "01.py").write_text("1 / 0\n")


def test_the_users_profile_is_read_and_its_startup_files_run(open_ipython, tmp_path, capsys):
    write_profile(tmp_path)
    session = open_ipython(profile=True)
    session.engine.start_up()
    assert "ZeroDivisionError" in capsys.readouterr().err
    assert session.result("from_file, from_line, 'for_notebooks' in globals()")["literal"] == "('started', 42, False)"
    assert plain_text("".join(session.error("1 / 0")["rich"])).strip() == "ZeroDivisionError: division by zero"
    assert session.run("%who_ls") == Outcome.OK


def test_the_users_profile_says_how_many_values_are_kept(open_ipython, tmp_path):
    write_profile(tmp_path)
    with (tmp_path / "ipython" / "profile_default" / "ipython_config.py").open("a") as file:
        file.write("c.InteractiveShell.cache_size = 5\n")
    session = open_ipython(profile=True)
    for number in range(8):
        session.run(str(number))
    assert session.result("len(Out), '_3' in globals(), '_4' in globals()")["literal"] == "(5, False, True)"


def test_a_profile_for_notebooks_counts_in_notebooks(open_ipython, tmp_path):
    write_profile(tmp_path)
    session = open_ipython(profile=True, face=Face.NOTEBOOK)
    session.engine.start_up()
    assert session.result("for_notebooks, from_file")["literal"] == "(1, 'started')"


def test_the_users_profile_is_left_unread_on_request(open_ipython, tmp_path):
    write_profile(tmp_path)
    session = open_ipython(profile=False)
    session.engine.start_up()
    assert session.result("'from_file' in globals(), 'from_line' in globals()")["literal"] == "(False, False)"
    assert "In[2]" in plain_text("".join(session.error("1 / 0")["rich"]))


def test_values_are_stored_between_sessions(ipython, capsys):
    if IPYTHON < (9,):
        pytest.importorskip("pickleshare")  # IPython 8 wants it, and does not bring it
    ipython.run("kept = 5")
    ipython.run("%store kept")
    assert "Stored 'kept' (int)" in capsys.readouterr().out


def test_inputs_are_exported_as_a_notebook(ipython, tmp_path):
    pytest.importorskip("nbformat")
    ipython.run("kept = 5")
    ipython.error("1 / 0")
    assert ipython.run(f"%notebook {tmp_path}/out.ipynb") == Outcome.OK
    cells = json.loads((tmp_path / "out.ipynb").read_text())["cells"]
    assert "".join(cells[0]["source"]) == "kept = 5"
    if IPYTHON >= (9,):  # which exports what is shown, too
        assert [output["ename"] for output in cells[1]["outputs"]] == ["ZeroDivisionError"]


def test_what_a_captured_input_prints_is_kept_by_its_user_alone(ipython):
    ipython.run("%%capture captured\nprint('inside')")
    history = ipython.engine._shell.history_manager
    if IPYTHON >= (9,):
        assert not any("inside" in str(outputs) for outputs in history.outputs.values())
        history.outputs[history.shell.execution_count].clear()  # as `%notebook` leaves it
    assert ipython.run("%%capture captured\nprint('inside')") == Outcome.OK
    assert ipython.result("captured.stdout")["literal"] == "'inside\\n'"


def test_the_kernels_own_event_loop_may_be_asked_for_and_none_that_is_not_there(ipython):
    assert ipython.run("%gui asyncio") == Outcome.OK
    assert ipython.error("get_ipython().enable_gui('nosuch')")["ename"] == "UsageError"


def test_code_that_awaits_runs_in_the_loop_that_was_chosen(ipython):
    ipython.run(
        "import asyncio; seen = []\ndef run_own(coroutine):\n    seen.append('own')\n    return finish(coroutine)"
    )
    ipython.run("get_ipython().loop_runner = run_own")
    ipython.engine.namespace["finish"] = asyncio.run
    assert ipython.engine.run(9, "await asyncio.sleep(0)\nseen.append('inside')") == Outcome.OK
    assert ipython.engine.namespace["seen"] == ["own", "inside"]


def test_a_loop_that_is_not_installed_is_named(ipython, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    ipython.run("%autoawait trio")
    error = ipython.error("await something")
    assert (error["ename"], "trio is not installed" in error["evalue"]) == ("UsageError", True)


def test_ipython_asked_for_and_absent_is_an_error(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "IPython"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "rpyc_kernel.worker.engines.ipython", raising=False)
    monkeypatch.setitem(sys.modules, "IPython", None)
    with pytest.raises(ImportError):
        choose_engine("ipython")
    assert choose_engine("auto") is PlainEngine
    assert choose_engine("plain") is PlainEngine


def test_an_ipython_that_is_too_old_counts_as_none(monkeypatch):
    monkeypatch.setattr("IPython.version_info", (7, 34, 0, ""))
    assert choose_engine("auto") is PlainEngine
    with pytest.raises(ImportError, match="is too old"):
        choose_engine("ipython")
