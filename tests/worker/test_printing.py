"""The print of user code: like the built-in one, but in one piece."""

import builtins
import contextlib
import io
import pickle
import types

import pytest

from rpyc_kernel.system.ring import STDOUT, WORDS
from rpyc_kernel.worker import printing
from rpyc_kernel.worker.capture import Stream
from rpyc_kernel.worker.interrupts import Interrupts

original = builtins.print


class Pieces:
    """A ring that remembers what was put."""

    max_data_bytes = 1 << 20

    def __init__(self):
        self.frames = []

    def put(self, kind, execution, data, may_interrupt=True):
        self.frames.append(data.decode())


@pytest.fixture
def interrupts():
    return Interrupts()


@pytest.fixture
def show(monkeypatch, interrupts):
    """Prints as user code does; returns what reached the ring."""
    ring = Pieces()
    stream = Stream("<stdout>", STDOUT, 1, ring, interrupts)
    monkeypatch.setattr(builtins, "print", original)
    printing.install(interrupts)

    def show_values(*values, **options):
        with contextlib.redirect_stdout(stream):  # pytest changes the stream between a fixture and its test
            print(*values, **options)
        return ring.frames

    return show_values


class Shown:
    def __str__(self):
        return "shown"


CALLS = {
    "nothing": ((), {}),
    "one": (("text",), {}),
    "several": (("a", 1, None, Shown()), {}),
    "a separator": (("a", "b", "c"), {"sep": "-"}),
    "an end": (("a", "b"), {"end": ""}),
    "both": ((1, 2), {"sep": "", "end": "!"}),
    "a flush": (("a",), {"flush": True}),
}


@pytest.mark.parametrize(("values", "options"), CALLS.values(), ids=CALLS)
def test_print_writes_what_the_built_in_one_would_in_one_piece(show, values, options):
    expected = io.StringIO()
    original(*values, **options, file=expected)
    assert show(*values, **options) == [expected.getvalue()]


@pytest.mark.parametrize("options", [{"sep": None}, {"end": None}, {"sep": None, "end": None}])
def test_none_means_the_usual(show, options):
    assert "".join(show("a", "b", **options)) == "a b\n"


def test_print_to_another_file_goes_there(show):
    file = io.StringIO()
    assert show("a", "b", file=file) == []
    assert file.getvalue() == "a b\n"


@pytest.mark.parametrize("options", [{"sep": 1}, {"end": b""}, {"unknown": 1}])
def test_wrong_options_are_refused_as_by_the_built_in_print(show, options):
    with pytest.raises(TypeError, match=next(iter(options))):
        show("a", **options)


def test_what_is_raised_while_printing_is_the_callers_and_nothing_is_shown(show):
    class Broken:
        def __str__(self):
            raise LookupError("no text")

    with pytest.raises(LookupError, match="no text"):
        show("a", Broken())
    assert show() == ["\n"]


def test_print_without_a_standard_output_is_silent(show):
    with contextlib.redirect_stdout(None):
        print("to nobody")
    assert show() == ["\n"]


def test_an_interrupt_that_came_while_printing_elsewhere_is_raised_afterwards(show, interrupts):
    file = io.StringIO()
    interrupts.is_pending = True
    interrupts._words = [0] * WORDS
    with pytest.raises(KeyboardInterrupt):
        show("a", file=file)
    assert file.getvalue() == "a\n"


@pytest.mark.usefixtures("show")
def test_print_can_be_sent_to_other_processes_and_asked_for_help():
    assert pickle.loads(pickle.dumps(print)) is print
    assert (print.__name__, print.__doc__) == ("print", original.__doc__)
    assert isinstance(print, types.FunctionType)
