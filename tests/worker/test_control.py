"""How an answer goes back to the hub that asked."""

import socket
import threading

import pytest

from rpyc_kernel.errors import RequestError
from rpyc_kernel.system import frames
from rpyc_kernel.worker.control import _reply_to
from tests.worker.looking.hostile import touch

Strange = type("Strange", (BaseException,), {"__str__": touch, "__repr__": touch})


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (RequestError("no"), ["RequestError", "no"]),
        (ValueError("odd"), ["WorkerBusy", "the worker could not answer: ValueError: odd"]),
        (SystemExit(3), ["WorkerBusy", "the worker could not answer: SystemExit: 3"]),
        (Strange(), ["WorkerBusy", "the worker could not answer: Strange"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_is_told_and_none_of_the_users_is_asked(error, told):
    hub, worker = socket.socketpair()
    with hub, worker:
        hub.settimeout(30)
        _reply_to(worker, threading.Lock(), 7)(False, error)
        assert frames.FrameReader(hub).receive() == [7, False, told]
