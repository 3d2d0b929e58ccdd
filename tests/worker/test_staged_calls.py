"""Calls that wait for their turn: each is made once, and one that is not there is said not to be."""

import pytest

from rpyc_kernel.errors import NotAvailable
from rpyc_kernel.worker.staged_calls import StagedCalls


def test_a_call_is_handed_out_once():
    staged = StagedCalls()
    tokens = [staged.add(call) for call in (list, dict)]
    assert [staged.take(token) for token in tokens] == [list, dict]
    for token in tokens:
        with pytest.raises(NotAvailable, match="the worker that had been sent this call is gone; hand it in again"):
            staged.take(token)


def test_a_call_of_a_worker_before_and_one_that_was_dropped_are_not_there():
    staged = StagedCalls()
    staged.drop(staged.add(list))
    staged.drop("call-9")
    for token in ("call-1", "call-9"):
        with pytest.raises(NotAvailable):
            staged.take(token)
