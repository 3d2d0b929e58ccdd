"""Code that the kernel looks at warns nobody, and the user's filters stay the user's."""

import linecache
import re
import threading
import warnings

import pytest

from rpyc_kernel.worker import completeness
from rpyc_kernel.worker.compiler_warnings import unheard
from rpyc_kernel.worker.debugging import breakpoints
from rpyc_kernel.worker.introspection import inputs

WARNED_OF = "x = 1 is 1\ny = '\\d'\n"


def test_what_is_looked_at_warns_nobody_and_all_else_does():
    with unheard() as file:
        compile(WARNED_OF, file, "exec")
        with pytest.raises((SyntaxWarning, SyntaxError)):
            compile(WARNED_OF, "users.py", "exec")


def test_user_code_that_catches_warnings_meanwhile_has_its_own_filters_then_and_afterwards():
    before = [*warnings.filters]
    looking, users = unheard(), warnings.catch_warnings()
    looking.__enter__()
    users.__enter__()
    warnings.simplefilter("always")
    looking.__exit__(None, None, None)
    assert warnings.filters == [("always", None, Warning, None, 0), *before]
    users.__exit__(None, None, None)
    assert warnings.filters == before


@pytest.mark.parametrize(
    "look",
    [
        lambda: completeness.judge(WARNED_OF),
        lambda: completeness.judge("await x is 1"),
        lambda: breakpoints.look_at(
            {"source": {"path": "<In 77>"}, "breakpoints": [{"line": 1, "condition": "1 is 1"}]}, lambda _: False
        ),
        lambda: inputs.find_assignment("x"),
    ],
)
def test_whatever_looks_at_code_replaces_no_filters(look, monkeypatch):
    monkeypatch.setitem(linecache.cache, "<In 77>", (len(WARNED_OF), None, WARNED_OF.splitlines(True), "<In 77>"))

    def catch(*_):
        raise AssertionError("the filters of all threads are replaced")

    monkeypatch.setattr(warnings, "catch_warnings", catch)
    filters, before = warnings.filters, [*warnings.filters]
    look()
    assert warnings.filters is filters
    assert filters == before


def test_threads_that_look_at_once_leave_nothing_behind():
    before = [*warnings.filters]

    def look():
        for _ in range(50):
            completeness.judge(WARNED_OF)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before
    assert not any(isinstance(each[3], re.Pattern) and "rpyc_kernel" in each[3].pattern for each in warnings.filters)
