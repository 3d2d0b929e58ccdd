import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rpyc.core import brine, consts

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.wire import messages

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=5).map(tuple),
)
PACKAGES = st.recursive(
    st.tuples(st.just(consts.LABEL_VALUE), VALUES)
    | st.tuples(
        st.sampled_from([consts.LABEL_LOCAL_REF, consts.LABEL_REMOTE_REF]),
        st.tuples(st.text(), st.integers(), st.integers()),
    ),
    lambda inner: st.tuples(st.just(consts.LABEL_TUPLE), st.lists(inner, max_size=6).map(tuple)),
)


@given(st.sampled_from([1, 2, 3]), st.integers(min_value=0), VALUES)
def test_a_message_arrives_as_it_was_sent(kind, seq, payload):
    data = messages.encode(kind, seq, payload)
    assert data == bytes((kind,)) + brine.dump((seq, payload))
    assert messages.decode(data) == messages.decode(bytearray(data)) == (kind, seq, payload)


@given(st.integers(), st.integers(1, 20), PACKAGES | st.just((consts.LABEL_VALUE, (10**300, "x" * 70_000))))
def test_requests_and_replies_are_written_as_brine_writes_them(seq, handler, package):
    request, reply = messages.encode_request(seq, handler, package), messages.encode_reply(seq, package)
    assert request == messages.encode(consts.MSG_REQUEST, seq, (handler, package))
    assert reply == messages.encode(consts.MSG_REPLY, seq, package)
    assert messages.decode(request) == (consts.MSG_REQUEST, seq, (handler, package))
    assert repr(messages.decode(reply)) == repr((consts.MSG_REPLY, seq, package))  # 1 for 1 and True for True


@given(st.binary())
def test_anything_else_is_refused_in_one_of_two_ways(data):
    with contextlib.suppress(messages.UnreadableMessage, ConnectionLost):
        messages.decode(data)


@given(VALUES | st.tuples(st.integers(-2, 6), VALUES))
def test_what_is_no_package_is_never_resolved(package):
    try:
        label, _ = messages.resolve(package, {}.__getitem__)
    except (TypeError, ValueError, KeyError):
        return
    assert label in (consts.LABEL_VALUE, consts.LABEL_TUPLE, consts.LABEL_REMOTE_REF)


def test_local_references_are_resolved_and_remote_ones_claimed():
    package = (
        consts.LABEL_TUPLE,
        ((consts.LABEL_VALUE, 1), (consts.LABEL_LOCAL_REF, "mine"), (consts.LABEL_REMOTE_REF, ("x", 1, 2))),
    )
    resolved = messages.resolve(package, {"mine": "object"}.__getitem__)
    assert messages.build(resolved, lambda id_pack: ["proxy", id_pack]) == (1, "object", ["proxy", ("x", 1, 2)])
    assert list(messages.remote_refs(package)) == list(messages.remote_refs(resolved)) == [("x", 1, 2)]


def test_nobody_can_send_a_resolved_reference():
    with pytest.raises(ValueError, match="unknown label -1"):
        messages.resolve((messages.LABEL_HELD, "anything"), {}.__getitem__)
