"""Calls that come with their executions: what they were, they are again, and what is none is said to be none."""

import pickle
import sys
from typing import Any

import pytest

from rpyc_kernel.core.contract import SENT_CALL
from rpyc_kernel.errors import RequestError
from rpyc_kernel.wire.bulk.codec import pack_pickled
from rpyc_kernel.wire.bulk.sent_calls import write_call
from rpyc_kernel.worker.sent_calls import find_call


def send(call: Any, namespace: dict[str, Any], source: str | None = None, *, is_map: bool = False) -> Any:
    """What becomes of a call in the worker."""
    text = write_call(pack_pickled(call, pickle.dumps), source, is_map=is_map)
    assert text is not None
    found = find_call(text, namespace)
    assert found is not None
    return found()


def test_a_small_call_is_made_as_it_was_sent():
    assert send((divmod, (17, 5), {}), {}) == (3, 2)
    assert send((int, ("11",), {"base": 2}), {}) == 3
    assert send((divmod, ([7, 8], [2, 3]), {}), {}, is_map=True) == ((3, 1), (2, 2))
    assert send(("add", (1,), {}), {"offset": 41}, "def add(number):\n    return number + offset\n") == 42


def test_what_a_call_brings_outside_of_its_pickle_can_be_written_to():
    def brings() -> pickle.PickleBuffer:
        return pickle.PickleBuffer(bytearray(b"there"))

    received = send((memoryview, (brings(),), {}), {})
    assert (bytes(received), received.readonly) == (b"there", False)


def test_a_large_call_does_not_go_with_its_execution():
    for call, source in (((len, ("x" * 20000,), {}), None), (("f", (), {}), "x" * 20000)):
        assert write_call(pack_pickled(call, pickle.dumps), source, is_map=False) is None


def test_tokens_are_of_other_calls():
    assert find_call("call-1", {}) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"pickle": []}', '{"pickle": ["§"]}'])
def test_what_is_no_call_is_refused(text: str):
    with pytest.raises(RequestError, match="no call"):
        find_call(SENT_CALL + text, {})


def test_a_call_says_which_python_has_pickled_it():
    text = write_call(pack_pickled((len, ((),), {}), pickle.dumps), None, is_map=False)
    assert f'"python":[{sys.version_info[0]},{sys.version_info[1]}]' in str(text)
