"""The bulk connections of a client: whose they are while a transfer begins, goes on and is broken off."""

import pytest

from rpyc_kernel.client.bulk import Bulk
from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.wire.bulk import socket


class Socket:
    """Stands for a bulk connection; tells whether it was closed."""

    is_stale = False

    def __init__(self, sock):
        self.is_closed = False
        SOCKETS.append(self)

    def meet(self, pid):
        pass

    def set_timeout(self, timeout_s):
        pass

    def close(self):
        self.is_closed = True


SOCKETS = []


class Address:
    """Stands for the way to a hub; something may happen while it is gone."""

    def __init__(self):
        self.meanwhile = lambda: None
        self.returns = 0

    def enter(self, channel, timeout_s):
        self.meanwhile()


class WatchedSet(set):
    """Tells of changes that are made without the lock."""

    def __init__(self, lock):
        super().__init__()
        self._lock = lock

    def add(self, item):
        assert self._lock.locked()
        super().add(item)

    def discard(self, item):
        assert self._lock.locked()
        super().discard(item)


@pytest.fixture
def address():
    return Address()


@pytest.fixture
def connections(address, monkeypatch):
    SOCKETS.clear()
    monkeypatch.setattr(socket, "BulkSocket", Socket)
    connections = Bulk(address.enter, lambda: 1, 1.0, lambda: address.returns)
    connections._busy = WatchedSet(connections._lock)
    return connections


def test_a_transfer_that_begins_while_the_client_closes_is_refused_and_leaves_no_connection(connections, address):
    address.meanwhile = connections.close
    with pytest.raises(ConnectionLost, match="this client is closed"), connections._connection(1.0):
        raise AssertionError("it began")
    assert [sock.is_closed for sock in SOCKETS] == [True]


def test_a_client_that_is_closed_connects_no_more(connections):
    connections.close()
    with pytest.raises(ConnectionLost, match="this client is closed"), connections._connection(1.0):
        raise AssertionError("it began")
    assert SOCKETS == []


def test_a_transfer_that_goes_on_while_the_client_closes_is_broken_off(connections):
    with connections._connection(1.0) as connection:
        connections.close()
        assert connection.is_closed
    assert not connections._idle
    assert not connections._busy


def test_a_connection_is_kept_for_the_next_transfer_and_goes_with_one_that_is_broken_off(connections):
    with connections._connection(1.0) as first:
        pass
    with pytest.raises(KeyboardInterrupt), connections._connection(1.0) as second:
        raise KeyboardInterrupt
    assert first is second
    assert first.is_closed


def test_a_connection_from_before_the_hub_was_lost_is_not_taken_again(connections, address):
    """It may be as dead, and nothing says so: a transfer would wait into the void for its whole limit."""
    with connections._connection(1.0) as first:
        pass
    address.returns += 1
    with connections._connection(1.0) as second:
        pass
    with connections._connection(1.0) as third:
        pass
    assert first.is_closed
    assert first is not second is third
    assert not connections._busy
    with connections._connection(1.0) as third:
        assert third is not first


def test_a_connection_to_a_stranger_is_closed(connections, monkeypatch):
    def meet(self, pid):
        raise ConnectionLost("gone")

    monkeypatch.setattr(Socket, "meet", meet)
    with pytest.raises(ConnectionLost), connections._connection(1.0):
        raise AssertionError("it began")
    assert [sock.is_closed for sock in SOCKETS] == [True]
