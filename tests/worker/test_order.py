"""What is printed after a child has written waits until the hub has read what the child wrote."""

import os
import threading
import time

import pytest

from rpyc_kernel.system.descriptors import pending_bytes
from rpyc_kernel.worker import order as order_module
from rpyc_kernel.worker.order import NO_ORDER, Order
from tests.support.waiting import wait_until


@pytest.fixture
def pipe():
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


def test_the_bytes_in_a_pipe_are_counted(pipe):
    assert pending_bytes(pipe[0]) == 0
    os.write(pipe[1], b"12345")
    assert pending_bytes(pipe[0]) == 5
    assert pending_bytes(2**20) == 0


def test_it_waits_until_the_pipe_is_read(pipe, monkeypatch):
    monkeypatch.setattr(order_module, "_PATIENCE_S", 60)
    order = Order((pipe[0],))
    os.write(pipe[1], b"x")
    looked = threading.Event()
    monkeypatch.setattr(order_module, "_PAUSE_S", 0)
    monkeypatch.setattr(order_module.time, "sleep", lambda seconds: looked.set())
    thread = threading.Thread(target=order.wait)
    thread.start()
    assert looked.wait(60)
    assert thread.is_alive()
    os.read(pipe[0], 1)
    thread.join(60)
    assert not thread.is_alive()


def test_it_gives_up_once_where_nobody_reads_and_waits_again_when_the_pipe_was_empty(pipe, monkeypatch):
    pauses = []
    monkeypatch.setattr(order_module, "_PATIENCE_S", 0)
    order = Order((pipe[0],))
    os.write(pipe[1], b"x")
    order.wait()
    monkeypatch.setattr(order_module, "_PATIENCE_S", 60)
    order.wait()  # returns, though it is full
    os.read(pipe[0], 1)
    order.wait()
    os.write(pipe[1], b"x")
    monkeypatch.setattr(order_module.time, "sleep", lambda seconds: pauses.append(os.read(pipe[0], 1)))
    order.wait()
    assert pauses == [b"x"]


def test_it_has_to_be_asked_only_now_and_then(pipe):
    order = Order((pipe[0],))
    assert time.monotonic() >= order.look_at
    order.wait()
    wait_until(lambda: time.monotonic() >= order.look_at)
    assert NO_ORDER.look_at == float("inf")
