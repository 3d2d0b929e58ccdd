import pytest
from rpyc.core import brine, consts

from rpyc_kernel.wire.values import call
from rpyc_kernel.wire.values.call import CallEncoder, encode_request

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


def test_any_other_request_is_encoded_as_brine_does_it():
    payload = (consts.HANDLE_PING, (consts.LABEL_VALUE, ("x",)))
    assert encode_request(7, consts.HANDLE_PING, "x") == bytes((consts.MSG_REQUEST,)) + brine.dump((7, payload))


def test_the_numbers_are_those_of_rpyc():
    names = [name for name in vars(call) if name.startswith(("MSG_", "LABEL_", "HANDLE_"))]
    assert len(names) == 11
    assert {name: getattr(call, name) for name in names} == {name: getattr(consts, name) for name in names}
