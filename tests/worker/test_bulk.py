"""What the worker's end of the bulk channel answers where something goes wrong."""

import pickle
import socket
import sys
import threading

import pytest

from rpyc_kernel.errors import NotAvailable
from rpyc_kernel.wire.bulk.codec import pack_named, pack_pickled
from rpyc_kernel.wire.bulk.socket import BulkSocket
from rpyc_kernel.worker.bulk import BulkConnections
from rpyc_kernel.worker.staged_calls import StagedCalls
from rpyc_kernel.worker.values import Values
from tests.support.waiting import wait_until

numpy = pytest.importorskip("numpy")
PATIENCE_S = 30.0


def test_a_library_that_is_missing_is_missing_in_the_kernels_environment(monkeypatch):
    near, far = socket.socketpair()
    parcel = pack_named({"zz": numpy.zeros(3)})
    monkeypatch.setitem(sys.modules, "numpy", None)
    client = BulkSocket(near)
    client.set_timeout(PATIENCE_S)
    try:
        BulkConnections({}, Values(1), StagedCalls()).add(far)
        client.send(client.encode({"do": "push", "pid": 0}, parcel))
        head = client.receive().head
    finally:
        client.close()
    assert (head["class"], head["message"]) == (
        "RequestError",
        f"an array needs numpy in the kernel's environment; install it there: {sys.executable} -m pip install numpy",
    )


def test_a_call_that_its_client_does_not_hand_in_is_forgotten_with_the_connection():
    staged = StagedCalls()
    tokens = []
    for is_kept in (True, False):
        near, far = socket.socketpair()
        client = BulkSocket(near)
        client.set_timeout(PATIENCE_S)
        BulkConnections({}, Values(1), staged).add(far)
        client.send(client.encode({"do": "stage", "pid": 0}, pack_pickled((divmod, (17, 5), {}), pickle.dumps)))
        token = client.receive().head["call"]
        tokens.append(token)
        if is_kept:
            client.send(client.encode({"do": "keep", "call": token}))
            assert client.receive().head["done"]
        client.close()
        wait_until(lambda: not any(thread.name == "bulk-1" for thread in threading.enumerate()), PATIENCE_S, "its end")
    assert staged.take(tokens[0])() == (3, 2)
    with pytest.raises(NotAvailable, match="hand it in again"):
        staged.take(tokens[1])


def test_no_worker_takes_the_token_of_another_ones_call():
    one, other = StagedCalls(), StagedCalls()
    token = one.add(int)
    other.add(str)
    with pytest.raises(NotAvailable, match="is gone"):
        other.take(token)
