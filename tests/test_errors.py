"""The tree of errors: whose fault each is, and how each crosses the wire."""

import inspect
import pickle
import re

import pytest

import rpyc_kernel
from rpyc_kernel import errors
from rpyc_kernel.errors import (
    CallTimeout,
    ConnectionFailed,
    ConnectionLost,
    ExecutionDropped,
    ExecutionError,
    ExecutionInterrupted,
    GroupFailed,
    KernelDied,
    KernelError,
    NotPermitted,
    NotQueued,
    RequestError,
    WorkerBusy,
    from_name,
)

ALL = [error for _, error in inspect.getmembers(errors, inspect.isclass) if issubclass(error, KernelError)]
ACROSS = [
    error
    for error in ALL
    if not issubclass(error, (ExecutionError, ExecutionDropped, GroupFailed, KernelDied, ConnectionFailed))
    or error is KernelError
]
"""What a hub raises for a client to see; the others are made by the client itself."""


def ours(error):
    return [base for base in error.__bases__ if issubclass(base, KernelError)]


def test_every_error_has_one_parent_in_the_tree():
    assert all(len(ours(error)) == 1 for error in ALL if error is not KernelError)


def test_the_tree_in_the_docstring_is_the_tree():
    drawn = {}
    parents = {0: "KernelError"}
    for line in errors.__doc__.splitlines():
        found = re.match(r"( *(?:│ *)*)[├└]── (\w+)", line)
        if found:
            depth = len(found.group(1)) // 4 - 1
            drawn[found.group(2)] = parents[depth]
            parents[depth + 1] = found.group(2)
    assert drawn == {error.__name__: ours(error)[0].__name__ for error in ALL if error is not KernelError}


def test_every_error_says_what_it_means():
    assert all(error.__doc__ and error.__doc__.splitlines()[0].endswith(".") for error in ALL)


@pytest.mark.parametrize("error", ACROSS)
def test_an_error_of_the_hub_arrives_as_the_same_class(error):
    rebuilt = from_name(error.__name__, "what happened")
    assert type(rebuilt) is error
    assert str(rebuilt) == "what happened"


@pytest.mark.parametrize("name", ["SomethingNew", "", "Exception", "from_name", "ValueError"])
def test_an_error_of_a_later_release_arrives_as_the_root_with_its_name(name):
    rebuilt = from_name(name, "what happened")
    assert type(rebuilt) is KernelError
    assert str(rebuilt) == f"{name}: what happened"


@pytest.mark.parametrize(
    ("error", "known"),
    [
        (errors.NoSuchKernel, LookupError),
        (errors.NoSuchExecution, LookupError),
        (errors.NotAvailable, LookupError),
        (errors.BadCode, ValueError),
        (NotPermitted, PermissionError),
        (WorkerBusy, TimeoutError),
        (CallTimeout, TimeoutError),
        (ConnectionFailed, ConnectionError),
        (ConnectionLost, EOFError),
    ],
)
def test_who_catches_the_languages_own_error_catches_ours(error, known):
    with pytest.raises(known, match=r"^what happened$"):
        raise error("what happened")


def test_an_error_of_user_code_shows_its_traceback():
    error = ExecutionError("ZeroDivisionError", "division by zero", "Traceback …\nZeroDivisionError: …\n", 3)
    assert str(error) == "Traceback …\nZeroDivisionError: …"
    assert (error.ename, error.evalue, error.execution) == ("ZeroDivisionError", "division by zero", 3)
    assert str(ExecutionError("KeyError", "'x'")) == "KeyError: 'x'"


def test_an_interrupted_execution_is_caught_with_the_failed_ones():
    with pytest.raises(ExecutionError):
        raise ExecutionInterrupted("KeyboardInterrupt", "")


def test_what_never_ran_and_what_died_say_why():
    dropped = ExecutionDropped("aborted", "aborted", 4)
    assert (str(dropped), dropped.outcome, dropped.execution) == ("aborted", "aborted", 4)
    died = KernelDied("execution 3 is lost", "killed by SIGSEGV", 2, "the stack")
    assert (str(died), died.reason, died.generation, died.stack) == (
        "execution 3 is lost",
        "killed by SIGSEGV",
        2,
        "the stack",
    )


@pytest.mark.parametrize(
    "error",
    [
        NotQueued("x"),
        ExecutionError("KeyError", "'x'", "Traceback", 3),
        ExecutionDropped("x", "aborted", 4),
        KernelDied("x", "killed", 2, "stack"),
        RequestError("x"),
    ],
)
def test_an_error_survives_pickling(error):
    rebuilt = pickle.loads(pickle.dumps(error))
    assert type(rebuilt) is type(error)
    assert (str(rebuilt), vars(rebuilt)) == (str(error), vars(error))


def test_the_package_lists_public_names_only():
    assert {name for name in dir(rpyc_kernel) if not name.startswith("__")} == set(rpyc_kernel.__all__) - {
        "__version__"
    }
