"""What the worker's end of the bulk channel answers where something goes wrong."""

import socket
import sys

import pytest

from rpyc_kernel.wire.bulk.codec import pack_named
from rpyc_kernel.wire.bulk.socket import BulkSocket
from rpyc_kernel.worker.bulk import BulkConnections
from rpyc_kernel.worker.staged_calls import StagedCalls
from rpyc_kernel.worker.values import Values

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
