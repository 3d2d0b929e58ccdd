"""Expressions that are watched: each has its own value or error, whatever the others do."""

import queue
import threading

import pytest

from rpyc_kernel.core.introspection import Watched
from rpyc_kernel.worker.interrupts import Interrupts
from rpyc_kernel.worker.introspection import watching
from rpyc_kernel.worker.introspection.watching import Watcher

PATIENT_S = 60.0
SPIN = "[None for _ in iter(int, 1)]"


@pytest.fixture
def watcher():
    return Watcher({"numbers": [3, 1], "wait": threading.Event().wait}, Interrupts())


def test_each_is_told_by_type_value_and_truth_and_one_that_raises_by_its_error(watcher):
    assert watcher.evaluate(["len(numbers)", "nothing", " numbers[2:] ", "1 +", "exit_()"], PATIENT_S) == [
        Watched("len(numbers)", "int", "2", is_true=True),
        Watched("nothing", error="NameError: name 'nothing' is not defined"),
        Watched(" numbers[2:] ", "list", "[]"),
        Watched("1 +", error="SyntaxError: invalid syntax"),
        Watched("exit_()", error="NameError: name 'exit_' is not defined"),
    ]


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "raise KeyboardInterrupt", "raise GeneratorExit"])
def test_what_ends_programs_ends_nothing(watcher, code):
    watcher._namespace["end"] = lambda: exec(code)
    first, second = watcher.evaluate(["end()", "numbers"], PATIENT_S)
    assert first.error
    assert second.preview == "[3, 1]"


def test_one_that_does_not_come_back_is_ended_and_the_others_are_told(watcher):
    late, after = watcher.evaluate([SPIN, "numbers"], 0.5)
    assert late == Watched(SPIN, error="did not come back within 0.5 s")
    assert after.preview == "[3, 1]"
    for thread in watcher._left:
        thread.join(PATIENT_S)
        assert not thread.is_alive()


def test_all_together_take_no_longer_than_four_of_them(watcher):
    found = watcher.evaluate([SPIN] * 1000, 0.2)
    assert len(found) == 1000
    assert found[0].error == "did not come back within 0.2 s"
    assert found[-1].error == "not evaluated: those before it took too long"


def test_what_no_interrupt_reaches_is_left_behind_but_not_without_end(watcher):
    open_up = threading.Event()
    watcher._namespace["block"] = open_up.wait
    try:
        found = [each for _ in range(5) for each in watcher.evaluate(["block()"], 0.02)]
        assert found[3].error == "did not come back within 0.02 s"
        assert found[-1].error == "not evaluated: 4 expressions have not come back yet"
    finally:
        open_up.set()
    for thread in watcher._left:
        thread.join(PATIENT_S)
    assert watcher.evaluate(["numbers"], PATIENT_S)[0].preview == "[3, 1]"


def test_a_value_is_told_in_a_short_line_and_an_error_too(watcher):
    class Long(Exception):
        def __str__(self):
            return "x\n" * 10_000_000

    class Hostile:
        def __bool__(self):
            raise ValueError

        def __repr__(self):
            raise ValueError

    def fail():
        raise Long

    watcher._namespace.update(text="x" * 50_000_000, fail=fail, hostile=Hostile())
    text, error, hostile = watcher.evaluate(["text", "fail()", "hostile"], PATIENT_S)
    assert len(text.preview) < 500
    assert len(error.error) < 500
    assert (hostile.type, hostile.error, hostile.is_true) == ("Hostile", "", False)


def test_a_thousand_are_told_in_order(watcher):
    found = watcher.evaluate([str(number) for number in range(1000)], PATIENT_S)
    assert [each.preview for each in found] == [str(number) for number in range(1000)]


def test_one_that_comes_back_at_the_last_moment_is_told_and_the_next_evaluated_once(watcher, monkeypatch):
    class Late(queue.SimpleQueue):
        """Has what is there come when it is waited for no longer."""

        first = None
        is_late = True

        def get(self, block=True, timeout=None):
            if self.is_late:
                self.is_late, self.first = False, super().get()
                raise queue.Empty
            found, self.first = self.first, None
            return found or super().get(block, timeout)

        def empty(self):
            return self.first is None and super().empty()

    monkeypatch.setattr(watching.queue, "SimpleQueue", Late)
    found = watcher.evaluate(["len(numbers)", "numbers.append(2)", "len(numbers)"], PATIENT_S)
    assert [each.preview or each.error for each in found] == ["2", "None", "3"]
