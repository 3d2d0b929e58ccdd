"""A call of the hub: its answer, or why there is none, in errors of ours."""

import pytest

from rpyc_kernel.client.hub_connection import HubConnection
from rpyc_kernel.core.commands import COMMANDS
from rpyc_kernel.errors import CallTimeout, KernelError, NoSuchExecution
from rpyc_kernel.wire.values.client import RemoteError


class Client:
    def __init__(self, error):
        self._error = error

    def call(self, method, arguments, timeout_s):
        raise self._error


def make_commands(error):
    commands = object.__new__(HubConnection)
    commands._timeout_s, commands._shown, commands._client = 10.0, "kernel 'demo'", Client(error)
    return commands


def test_no_answer_in_time_says_what_was_asked_and_for_how_long():
    with pytest.raises(CallTimeout, match="kernel 'demo' did not answer 'status' within 10 s"):
        make_commands(CallTimeout()).call(COMMANDS["status"])


def test_an_answer_that_is_a_time_out_of_the_hubs_is_no_time_out_of_the_call():
    with pytest.raises(KernelError, match="failed at what was asked: TimeoutError: of a disk") as raised:
        make_commands(RemoteError("builtins.TimeoutError", "of a disk")).call(COMMANDS["status"])
    assert not isinstance(raised.value, CallTimeout)


def test_an_error_of_ours_keeps_its_class():
    with pytest.raises(NoSuchExecution, match="no execution 7"):
        make_commands(RemoteError("rpyc_kernel.errors.NoSuchExecution", "no execution 7")).call(COMMANDS["find"])
