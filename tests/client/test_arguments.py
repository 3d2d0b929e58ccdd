"""What a caller passes is looked at before anything is done, and refused in words that say what was wanted."""

import decimal
import inspect
import math

import pytest

import rpyc_kernel
from rpyc_kernel import BadCode, Execution, KernelClient, RequestError
from rpyc_kernel.client.arguments import check_arguments, check_methods
from rpyc_kernel.client.bulk import Bulk
from rpyc_kernel.system.futures import CallFuture

NO_LIMITS = [math.nan, -1, -0.5, "5", b"5", [], 10**400]


class Untouched:
    """Stands where a connection would: whoever gets as far as this has looked at too little."""

    def __getattr__(self, name):
        raise AssertionError(f"{name} was reached")


def make_kernel():
    kernel = object.__new__(KernelClient)
    kernel._commands = kernel._live = kernel._bulk = kernel._notifier = Untouched()
    kernel._timeout_s, kernel._known = 10.0, 0
    kernel._submissions, kernel._count = "", iter(range(1, 100))
    return kernel


def list_limits():
    """Every public method with a limit of time, found by its annotation."""
    for owner in (KernelClient, Execution):
        for name, method in inspect.getmembers(owner, inspect.isfunction):
            if name.startswith("_") or issubclass(CallFuture, owner) or hasattr(CallFuture, name):
                continue
            for parameter in inspect.signature(method).parameters.values():
                if str(parameter.annotation).startswith("float"):
                    yield pytest.param(owner, name, parameter.name, id=f"{name}-{parameter.name}")


NEEDED = {"int": 1, "Sequence[str]": ()}


def call(owner, name, **arguments):
    kernel = make_kernel()
    method = getattr(kernel if owner is KernelClient else Execution(kernel, 1), name)
    for parameter in inspect.signature(method).parameters.values():
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            arguments.setdefault(parameter.name, NEEDED.get(str(parameter.annotation), "x"))
    return method(**arguments)


@pytest.mark.parametrize(("owner", "name", "limit"), [*list_limits()])
def test_every_limit_of_time_is_looked_at_before_anything_is_done(owner, name, limit):
    for bad in (*NO_LIMITS, -(10**5000)):
        with pytest.raises(RequestError, match=f"{limit} must be a number of seconds, 0 or more"):
            call(owner, name, **{limit: bad})


@pytest.mark.parametrize("bad", [*NO_LIMITS, None])
@pytest.mark.parametrize("function", [rpyc_kernel.connect, rpyc_kernel.start])
def test_a_client_with_a_limit_that_is_none_is_not_begun(folders, function, bad):
    with pytest.raises(RequestError, match="timeout must be a number of seconds"):
        function("demo", timeout=bad)
    assert not list(folders.state.glob("*"))


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"target": 5}, "target must be str or a path, not int"),
        ({"target": b"demo"}, "target must be str or a path, not bytes"),
        ({"name": 5}, "name must be str, not int"),
        ({"session": b"x"}, "session must be str, not bytes"),
        ({"role": 5}, "role must be str, not int"),
        ({"joins": "no"}, "joins must be True or False, not str"),
        ({"key": b"00"}, "key must be str, not bytes"),
        ({"silence": "long"}, "silence must be a number of seconds, 0 or more, not 'long'"),
    ],
)
def test_connecting_says_which_argument_is_of_the_wrong_kind(arguments, wanted):
    with pytest.raises(RequestError, match=wanted):
        rpyc_kernel.connect(**arguments)


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ({"name": 5}, "name must be str"),
        ({"engine": None}, "engine must be str"),
        ({"python": 3}, "python must be str or a path"),
        ({"cwd": 3}, "cwd must be str or a path"),
        ({"env": ["A=1"]}, "env must be a dict"),
        ({"env": {"A": 1}}, "env must be a dict"),
        ({"listen": 80}, "listen must be str"),
        ({"switch_interval": "fast"}, "switch_interval must be a number of seconds"),
    ],
)
def test_starting_says_which_argument_is_of_the_wrong_kind(folders, arguments, wanted):
    with pytest.raises(RequestError, match=wanted):
        rpyc_kernel.start(**arguments)
    assert not list(folders.state.glob("*"))


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("execute", {"code": 5}),
        ("is_queued", {"execution": "3"}),
        ("queue", {"count": "all"}),
        ("pull", {"expression": b"x"}),
        ("pull", {"max_bytes": "much"}),
        ("run_file", {"path": 5}),
        ("run_file", {"path": "x", "args": 5}),
        ("run_file", {"path": "x", "args": "-v"}),
        ("run_file", {"path": "x", "args": [1]}),
        ("set_module_path", {"entries": None}),
        ("set_module_path", {"entries": "/lib"}),
        ("slice", {"path": "x", "rows": 5}),
        ("slice", {"path": "x", "columns": (1, "2")}),
        ("push", {"progress": 5}),
        ("events", {"since": "begin"}),
    ],
)
def test_a_method_says_which_argument_is_of_the_wrong_kind(name, arguments):
    wrong = list(arguments)[-1]
    with pytest.raises(RequestError, match=f"^{wrong} must be "):
        call(KernelClient, name, **arguments)


def test_what_is_pushed_must_be_a_mapping_of_names():
    with pytest.raises(RequestError, match="values must be a dict"):
        make_kernel().push(["x"])
    with pytest.raises(RequestError, match="the name of a variable must be str, not int"):
        Bulk(Untouched(), lambda: 1, 1.0, int).push({1: 2}, None, None)
    with pytest.raises(RequestError, match="'for' cannot be the name of a variable"):
        Bulk(Untouched(), lambda: 1, 1.0, int).push({"x": 1, "for": 2}, None, None)


def test_what_no_encoding_can_carry_is_refused_as_code():
    for run in ("eval", "execute", "submit"):
        with pytest.raises(BadCode, match="the code has a lone surrogate at character 0"):
            call(KernelClient, run, **{"expression" if run == "eval" else "code": "\ud800"})


def test_what_stands_for_a_number_is_taken_for_it():
    class Three:
        def __index__(self):
            return 3

    @check_arguments
    def told(count: "int", limit: "float | None" = None):
        return count, limit

    assert told(Three(), decimal.Decimal("2.5")) == (3, 2.5)
    assert told(count=3, limit=math.inf) == (3, math.inf)
    assert told(3, None) == (3, None)


def test_a_method_that_is_looked_after_shows_its_own_signature():
    assert list(inspect.signature(KernelClient.status).parameters) == ["self", "timeout"]
    assert KernelClient.status.__name__ == "status"


def test_wrong_names_of_arguments_are_told_as_by_any_function():
    @check_methods
    class Asked:
        def ask(self, code: "str"):
            return code

    with pytest.raises(TypeError, match=r"ask\(\) got an unexpected keyword argument 'cod'"):
        Asked().ask(cod="x")
    assert Asked().ask("x") == "x"


@pytest.mark.parametrize("bad", ["5", math.nan, []])
@pytest.mark.parametrize("make", [CallFuture, lambda: Execution(make_kernel(), 1)])
def test_a_futures_limit_is_looked_at_as_well(make, bad):
    for wait in (make().result, make().exception):
        with pytest.raises(RequestError, match="timeout must be a number of seconds"):
            wait(bad)


class Silent:
    """A kernel that has nothing new of its executions, or is gone."""

    def _follow(self, execution, cursor, wait_s, limit_s, within_s):
        assert wait_s <= limit_s <= 60
        if wait_s:
            raise rpyc_kernel.ConnectionLost("gone")
        return cursor, []


@pytest.mark.parametrize("make", [CallFuture, lambda: Execution(Silent(), 1)])
def test_a_futures_limit_may_be_past_as_everywhere_in_python(make):
    for wait in (make().result, make().exception):
        with pytest.raises(TimeoutError):
            wait(-1)


def test_a_limit_may_be_longer_than_the_system_can_wait():
    assert isinstance(Execution(Silent(), 1).exception(math.inf), rpyc_kernel.ConnectionLost)
