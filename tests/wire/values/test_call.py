import pytest
from rpyc.core import brine, consts

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.wire.channel import FrameTooLarge
from rpyc_kernel.wire.values.call import CallEncoder, ValueCall
from tests.support.waiting import wait_until
from tests.wire.peers import DEADLINE_S, our_client, our_server, socket_pair, stock_server, value_server
from tests.wire.services import Workshop

ROOT = ("some.Service", 12, 345)


@pytest.mark.parametrize("seq", [0, 5, 1000, 10**12])
@pytest.mark.parametrize("args", [(), (None,), (1, "two", b"three", (4.0, True)), ("é" * 300,) * 5])
def test_a_prepared_call_is_encoded_as_brine_does_it(seq, args):
    encoder = CallEncoder(ROOT)
    value = consts.LABEL_VALUE
    package = ((consts.LABEL_LOCAL_REF, ROOT), (value, "method"), (value, args), (value, ()))
    payload = (consts.HANDLE_CALLATTR, (consts.LABEL_TUPLE, package))
    for _ in range(2):
        assert encoder.encode(seq, "method", args) == bytes((consts.MSG_REQUEST,)) + brine.dump((seq, payload))


def test_references_in_a_reply_are_discarded():
    discarded = []
    call = ValueCall(discarded.append)
    package = (consts.LABEL_TUPLE, ((consts.LABEL_REMOTE_REF, ("x", 1, 2)),))
    call.deliver(consts.MSG_REPLY, package)
    assert discarded == [package]
    with pytest.raises(TypeError, match="only a value"):
        call.future.result(0)


def test_a_future_is_completed_once_at_most():
    call = ValueCall(print)
    assert call.future.cancel()
    call.deliver(consts.MSG_REPLY, (consts.LABEL_VALUE, 1))
    call.fail(LookupError())
    assert call.future.cancelled()


@pytest.mark.parametrize("server", [our_server, stock_server])
def test_a_call_by_value_works_with_a_service_of_objects_too(server):
    with server(Workshop(kept=[])) as (sock, side), our_client(sock) as client:
        assert client.call("eval", "6 * 7").result(DEADLINE_S) == 42
        assert client.call("execute", "kept.append(1)").result(DEADLINE_S) is None
        with pytest.raises(TypeError, match="only a value"):
            client.call("eval", "kept").result(DEADLINE_S)
        if hasattr(side, "_local_objects"):
            wait_until(lambda: len(side._local_objects) == 1)
        with pytest.raises(ZeroDivisionError) as caught:
            client.call("eval", "1 / 0").result(DEADLINE_S)
        assert caught.value.remote_type == "builtins.ZeroDivisionError"


def test_arguments_have_to_be_plain_values():
    with our_server() as (sock, _), our_client(sock, max_frame_bytes=1000) as client:
        for argument in ([], object(), "\ud800", 10**5000):
            with pytest.raises((TypeError, ValueError)):
                client.call("eval", argument)
        with pytest.raises(FrameTooLarge):
            client.call("eval", " " * 2000)
        assert not client._pending
        assert client.call("eval", "1").result(DEADLINE_S) == 1


def test_nothing_can_be_called_without_a_connection():
    near, far = socket_pair()
    far.close()
    with our_client(near) as client:
        wait_until(lambda: client.closed)
        with pytest.raises(ConnectionLost, match="'client' is gone: closed by the peer"):
            client.call("anything")


def test_callbacks_run_and_may_fail(caplog):
    class Echo:
        def exposed_echo(self, value):
            return value

    def fail(future):
        raise LookupError("in a callback")

    seen = []
    with value_server(Echo()) as (sock, _), our_client(sock) as client:
        future = client.call("echo", 1)
        future.add_done_callback(fail)
        future.add_done_callback(lambda future: seen.append(future.result()))
        wait_until(lambda: seen == [1])
        assert client.call("echo", 2).result(DEADLINE_S) == 2
    assert "in a callback" in caplog.text
