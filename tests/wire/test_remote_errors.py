import builtins
import sys
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpyc.core import brine, consts, vinegar

from rpyc_kernel.wire import remote_errors
from rpyc_kernel.wire.messages import decode

CLOSED = {"import_custom_exceptions": False, "instantiate_custom_exceptions": False}
OPEN = {"import_custom_exceptions": True, "instantiate_custom_exceptions": True}


class Custom(Exception):
    def __init__(self, first, second):
        super().__init__(first)
        self.second = second

    def describe(self):
        return "described"


class Choosy(Exception):
    def __new__(cls, required):
        return super().__new__(cls, required)


def cross(error, config=CLOSED, include_traceback=False):
    """The exception after a journey through the wire's bytes."""
    try:
        raise error
    except type(error) as raised:
        dumped = remote_errors.dump(raised, include_traceback=include_traceback)
    return remote_errors.load(brine.load(brine.dump(dumped)), config)


BUILTIN = [
    kind
    for name, kind in sorted(vars(builtins).items())
    if isinstance(kind, type) and issubclass(kind, Exception) and "Group" not in name and not name.startswith("_")
]


PLACE = ("file.py", 1, 2, "text")
ARGUMENTS = {
    UnicodeDecodeError: ("utf-8", b"x", 0, 1, "bad"),
    UnicodeEncodeError: ("utf-8", "x", 0, 1, "bad"),
    UnicodeTranslateError: ("x", 0, 1, "bad"),
    SyntaxError: ("bad", PLACE),
    IndentationError: ("bad", PLACE),
    TabError: ("bad", PLACE),
}


@pytest.mark.parametrize("kind", BUILTIN)
def test_every_builtin_exception_arrives_as_itself(kind):
    error = kind(*ARGUMENTS.get(kind, ("message", 5)))
    arrived = cross(error)
    assert isinstance(arrived, kind)
    assert arrived.args == error.args
    assert arrived.remote_type == f"builtins.{kind.__name__}"


@pytest.mark.parametrize(("error", "shown"), [(KeyError("zz"), "KeyError"), (Custom("a", [1]), f"{__name__}.Custom")])
def test_a_traceback_shows_the_exceptions_own_name(error, shown):
    arrived = cross(error, OPEN)
    assert traceback.format_exception_only(type(arrived), arrived)[0].startswith(f"{shown}: ")


def test_the_message_of_an_os_error_stays_readable():
    assert str(cross(PermissionError("not allowed"))).startswith("not allowed")
    arrived = cross(FileNotFoundError(2, "No such file", "name"))
    assert (arrived.errno, arrived.filename) == (2, "name")


def test_attributes_arrive_and_methods_stay_methods():
    arrived = cross(Custom("a", [1]), OPEN)
    assert type(arrived).__mro__[1] is Custom
    assert (arrived.args, arrived.second) == (("a",), "[1]")
    assert arrived.describe() == "described"


def test_a_class_that_may_not_be_made_is_stood_in_for():
    arrived = cross(Custom("a", 1))
    assert isinstance(arrived, vinegar.GenericException)
    assert type(arrived).__name__.endswith("Custom")
    assert arrived.remote_type == f"{__name__}.Custom"
    assert arrived.args == ("a",)


def test_a_class_that_cannot_be_made_is_stood_in_for():
    assert cross(Choosy("a"), OPEN).remote_type == f"{__name__}.Choosy"


def test_a_traceback_is_included_when_asked_for():
    assert "test_remote_errors" in cross(ValueError("x"), include_traceback=True)._remote_tb
    assert cross(ValueError("x"))._remote_tb == "<traceback denied>"


def test_cycles_and_long_chains_end():
    first, second = ValueError(1), ValueError(2)
    first.__cause__, second.__cause__ = second, first
    assert cross(first).__cause__.args == (2,)
    error = ValueError(0)
    for number in range(100):
        outer = ValueError(number)
        outer.__cause__ = error
        error = outer
    arrived, length = cross(error), 0
    while arrived is not None:
        arrived, length = arrived.__cause__, length + 1
    assert 5 < length < 50


@pytest.mark.skipif(sys.version_info < (3, 11), reason="exception groups are new in Python 3.11")
def test_groups_nest_and_stay_what_they_are():
    group = BaseExceptionGroup("outer", [KeyboardInterrupt(), ExceptionGroup("inner", [ValueError(1)])])  # noqa: F821
    arrived = cross(group)
    assert type(arrived) is BaseExceptionGroup  # noqa: F821
    assert type(arrived.exceptions[1]) is ExceptionGroup  # noqa: F821
    assert arrived.exceptions[1].exceptions[0].args == (1,)
    with pytest.raises(ExceptionGroup):  # noqa: F821
        raise cross(ExceptionGroup("plain", [ValueError(1), OSError(2)]))  # noqa: F821


def test_an_answer_goes_out_whatever_its_size():
    error = ValueError("x" * 1000)
    kind, seq, payload = decode(remote_errors.encode(5, error, 10_000, include_traceback=False))
    assert (kind, seq, payload[0]) == (consts.MSG_EXCEPTION, 5, ("builtins", "ValueError"))
    kind, seq, payload = decode(remote_errors.encode(5, error, 500, include_traceback=False))
    assert payload[1] == ("ValueError, which is too large to be sent",)


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5).map(tuple),
)


@given(st.lists(PLAIN, max_size=4), st.text(st.characters(), max_size=20))
def test_any_arguments_can_be_dumped(args, note):
    error = ValueError(*args, "\ud800", object())
    error.__notes__ = [note, "\udfff"]
    dumped = remote_errors.dump(error, include_traceback=True)
    assert brine.load(brine.dump(dumped))
    assert isinstance(remote_errors.load(dumped, CLOSED), ValueError)


NAMES = st.sampled_from(["builtins", "os", "x", "ValueError", "int", "ExceptionGroup", "BaseExceptionGroup", "OSError"])
ATTRIBUTES = st.sampled_from(["args", "__class__", "__dict__", "__cause__", "__notes__", "_remote_cause", "errno", "x"])


@given(
    PLAIN
    | st.tuples(
        st.tuples(NAMES | st.text(max_size=3), NAMES | st.text(max_size=3)),
        PLAIN,
        st.lists(st.tuples(ATTRIBUTES, PLAIN) | PLAIN, max_size=4).map(tuple),
        PLAIN,
    ),
    st.sampled_from([CLOSED, {"import_custom_exceptions": False, "instantiate_custom_exceptions": True}]),
)
def test_anything_can_be_loaded(dumped, config):
    loaded = remote_errors.load(dumped, config)
    assert isinstance(loaded, BaseException)
    assert isinstance(loaded.remote_type, str)
    str(loaded)
