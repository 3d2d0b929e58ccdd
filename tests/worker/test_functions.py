"""Functions that come from clients: what they find, and what is said where they cannot be opened."""

import sys
from types import FunctionType
from typing import Any

import pytest

from rpyc_kernel.errors import RequestError
from rpyc_kernel.worker.functions import define, load

cloudpickle = pytest.importorskip("cloudpickle")

_SENT = """
brought = 3

def read():
    class Inside:
        of_body = there
        def read(self):
            return there

    return there, Inside.of_body, Inside().read(), (lambda: there)(), eval("there"), len([brought])

def count():
    global brought
    brought += 1
    return brought

def add():
    return sum([1, 2])
"""


@pytest.fixture
def sent() -> dict[str, Any]:
    """Functions as a program defines them."""
    names = {"__name__": "__main__"}
    exec(_SENT, names)
    return names


def ship(function: Any, namespace: dict[str, Any], **more: Any) -> Any:
    """Send one to a namespace."""
    return load(cloudpickle.dumps(function, protocol=5), (), namespace, **more)


def test_all_that_is_inside_of_a_function_finds_the_names_of_the_namespace_as_they_are_by_then(sent):
    namespace = {"there": 5}
    read = ship(sent["read"], namespace)
    assert read() == (5, 5, 5, 5, 5, 1)
    namespace["there"] = 6
    assert read()[0] == 6
    del namespace["there"]
    with pytest.raises(NameError):
        read()


def test_what_the_namespace_has_goes_before_builtins_and_what_was_brought_before_that(sent):
    namespace = {"sum": lambda numbers: "shadowed", "brought": 100}
    assert ship(sent["add"], namespace)() == "shadowed"
    assert ship(sent["count"], namespace)() == 4
    assert namespace["brought"] == 100


def test_functions_that_come_together_share_what_they_brought(sent):
    one, other = ship([sent["count"], sent["count"]], {})
    assert (one(), other()) == (4, 5)


def test_a_function_of_another_python_is_refused_before_its_code_is_made(sent):
    with pytest.raises(RequestError, match=r"a function of Python 2\.7 cannot run here.*by_source=True"):
        ship(sent["add"], {}, python=[2, 7])
    assert ship(sent["add"], {}, python=list(sys.version_info[:2]))() == 3
    assert ship(divmod, {}, python=[2, 7]) is divmod


def test_a_kernel_without_cloudpickle_says_how_to_have_it(sent, monkeypatch):
    pickled = cloudpickle.dumps(sent["add"])
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    monkeypatch.setitem(sys.modules, "cloudpickle.cloudpickle", None)
    with pytest.raises(RequestError, match=r"-m pip install cloudpickle.*by_source=True"):
        load(pickled, (), {})


def test_a_source_sees_itself_and_the_namespace_which_stays_as_it_was():
    namespace = {"start": 1}
    source = (
        "def factorial(number: Unknown) -> Unknown:\n    return start if number < 2 else number * factorial(number - 1)"
    )
    factorial = define(source, "factorial", namespace)
    assert isinstance(factorial, FunctionType)
    assert (factorial(5), factorial.__qualname__) == (120, "factorial")
    assert set(namespace) - {"__builtins__"} == {"start"}
    with pytest.raises(RequestError, match="defines no 'other'"):
        define(source, "other", namespace)


def test_a_source_from_inside_of_something_keeps_its_lines_and_its_texts():
    source = '    def tell():\n        return """a\n  b""", 1 / 0\n'
    tell = define(source, "tell", {})
    with pytest.raises(ZeroDivisionError) as failed:
        tell()
    assert failed.traceback[-1].lineno in (1, 2)
    assert define(source.replace(", 1 / 0", ""), "tell", {})() == "a\n  b"
