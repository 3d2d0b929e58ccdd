"""What jedi is given, and how long it may take."""

import os
import subprocess
import sys
import threading

import parso
import pytest

from rpyc_kernel.worker.introspection.source_analysis import SourceAnalyzer
from tests.support.waiting import wait_until
from tests.worker.introspection.hostile import Trap, make_netref

DEADLINE_S = 30.0


@pytest.fixture
def impatient(namespace):
    reader = SourceAnalyzer(namespace, budget_s=0.05)
    yield reader
    reader.close()


class SlowRead:
    """Reads when it is told to, and counts."""

    def __init__(self):
        self.is_asked, self.may_go_on = threading.Event(), threading.Event()
        self.count = 0

    def __call__(self, script, line, column):
        self.count += 1
        self.is_asked.set()
        assert self.may_go_on.wait(DEADLINE_S)
        return "found"


def test_what_is_not_found_in_time_is_there_for_who_asks_again(impatient):
    read = SlowRead()
    assert impatient.read("x", 1, read) is None
    assert read.is_asked.wait(DEADLINE_S)
    assert impatient.read("x", 1, read) is None
    read.may_go_on.set()
    wait_until(lambda: impatient.read("x", 1, read) == "found", DEADLINE_S)
    assert read.count == 1
    impatient.read("x", 1, read)
    wait_until(lambda: read.count == 2, DEADLINE_S)


def test_what_cannot_be_read_while_there_are_no_threads_left_is_read_when_there_are_some(impatient, monkeypatch):
    def refuse(thread):
        raise RuntimeError("can't start new thread")

    read = SlowRead()
    read.may_go_on.set()
    with monkeypatch.context() as context:
        context.setattr(threading.Thread, "start", refuse)
        assert impatient.read("x", 1, read) is None
    wait_until(lambda: impatient.read("x", 1, read) == "found", DEADLINE_S)


def test_nobody_waits_behind_a_slow_question_and_only_the_newest_is_read(impatient):
    slow, passed_over, newest = SlowRead(), SlowRead(), SlowRead()
    assert impatient.read("x", 1, slow) is None
    assert slow.is_asked.wait(DEADLINE_S)
    for read in (passed_over, newest):
        assert impatient.read("x", 1, read) is None
        read.may_go_on.set()
    slow.may_go_on.set()
    wait_until(lambda: impatient.read("x", 1, newest) == "found", DEADLINE_S)
    assert (passed_over.count, newest.count) == (0, 1)


def test_a_failure_of_jedi_is_no_answer(static):
    assert static.read("x", 1, lambda script, line, column: 1 / 0) is None
    assert static.read("x", 1, lambda script, line, column: (line, column)) == (1, 1)


def test_what_is_cut_off_in_the_cache_of_jedi_is_read_anew(static, tmp_path):
    """A process that ended while it wrote there has left it to everybody."""
    module, cache = tmp_path / "module.py", tmp_path / "cache"
    module.write_text("name = 1")

    def parse(*_):
        parso.cache.parser_cache.clear()
        return parso.load_grammar().parse(path=module, cache=True, cache_path=cache).get_code()

    assert static.read("x", 1, parse) == "name = 1"
    (pickled,) = cache.glob("*/*")
    for kept in (0, pickled.stat().st_size - 5):
        os.truncate(pickled, kept)
        assert static.read("x", 1, parse) == "name = 1"


def test_the_cursor_is_given_as_line_and_column(static):
    assert static.read("a\nbc\nd", 4, lambda script, line, column: (line, column)) == (2, 2)


def test_very_long_code_is_not_read(static):
    assert static.read("x\n" * 100_000, 5, lambda script, line, column: 1) is None


def test_only_what_cannot_run_code_is_shared(namespace, static):
    class Plain: ...

    meta = type("Meta", (type,), {})
    namespace.update(
        trap=Trap(), theirs=make_netref(), Plain=Plain, Odd=meta("Odd", (), {}), sys=sys, function=lambda: 1, number=1
    )
    code = " ".join(namespace)
    found = static.read(code, 0, lambda script, line, column: set(script.namespaces[0]))
    assert found == {"Plain", "sys", "function"}


def test_jedi_is_imported_when_it_is_needed_and_not_before():
    code = """
import sys
from rpyc_kernel.worker.introspection.answers import build_answers
from types import SimpleNamespace
engine = SimpleNamespace(namespace={}, name="plain", is_complete=None, interrupts=None)
answers = build_answers(engine, frozenset())
answers["complete"]("pri", 3, None)
assert "jedi" not in sys.modules
answers["complete"]("'text'.spl", 10, None)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=DEADLINE_S)


@pytest.mark.parametrize("ending", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_a_reading_that_ends_threads_ends_none_here(namespace, static, ending):
    def leave(script, line, column):
        raise ending

    assert static.read("x", 1, leave) is None
    assert static.read("x", 1, lambda script, line, column: "found") == "found"
