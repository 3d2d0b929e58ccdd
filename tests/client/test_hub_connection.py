"""A call of the hub: its answer, or why there is none, in errors of ours."""

import pytest

from rpyc_kernel.client.hub_connection import HubConnection
from rpyc_kernel.errors import CallTimeout, KernelError
from rpyc_kernel.system.futures import CallFuture, NotDone


class Late(CallFuture):
    """Its answer comes when nobody waits for it any more."""

    def _wait(self, timeout):
        self.set_result("too late")
        raise NotDone


class Connection:
    def __init__(self, future):
        self._future = future

    def call(self, method, *arguments):
        return self._future


def make_commands(future):
    commands = object.__new__(HubConnection)
    commands._timeout_s, commands._shown, commands._connection = 10.0, "kernel 'demo'", Connection(future)
    return commands


def test_an_answer_that_comes_just_after_the_time_is_no_lost_connection():
    with pytest.raises(CallTimeout, match="did not answer 'status' within 10 s"):
        make_commands(Late()).call("status")


def test_an_answer_that_is_a_time_out_of_the_hubs_is_no_time_out_of_the_call():
    future = CallFuture()
    future.set_exception(TimeoutError("of a disk"))
    with pytest.raises(KernelError, match="of a disk") as raised:
        make_commands(future).call("status")
    assert not isinstance(raised.value, CallTimeout)
