"""How many may come, of whom and from where; the sockets lead nowhere."""

import contextlib
import socket

import pytest

from rpyc_kernel.errors import ConnectionFailed, NotPermitted
from rpyc_kernel.hub.places import MORE_FOR_TLS, OWN_DESCRIPTORS, Places
from rpyc_kernel.settings import HubSettings
from rpyc_kernel.wire.handshake import COMMANDS, Identity, Welcome
from rpyc_kernel.wire.keys import Grant

OWNER = Welcome(COMMANDS, Identity("a", "alice", "owner"))
ANN = Welcome(COMMANDS, Identity("00aa:b", "ann", "viewer"), Grant("00aa", "viewer"))


def nothing_against(welcome):
    return None


class Strangers:
    """Places for few, and strangers who come there."""

    def __init__(self, opened, **settings):
        self.freed = 0
        self.opened = opened
        self.places = Places("demo", HubSettings(**settings), 100_000, self.note_freed)

    def note_freed(self):
        self.freed += 1

    def come(self, origin="192.0.2.1"):
        near, far = socket.socketpair()
        self.opened.enter_context(near)
        self.opened.enter_context(far)
        self.places.add(near, origin)
        return near, far

    @property
    def has_room(self):
        return self.places.has_room(socket.AF_UNIX)


@pytest.fixture
def make():
    with contextlib.ExitStack() as opened:
        yield lambda **settings: Strangers(opened, **settings)


@pytest.mark.parametrize("limit", [64, 256, 1024, 100_000])
def test_however_many_come_the_hub_keeps_descriptors_for_itself(limit):
    places = Places("demo", HubSettings(), limit, lambda: None)
    assert places._max_strangers >= 2
    assert places._max_proven >= 8
    strangers = (1 + 1 + MORE_FOR_TLS) * places._max_strangers  # of the unix sockets, and behind TLS
    assert strangers + places._max_proven <= max(limit - OWN_DESCRIPTORS, 16)


def test_it_is_told_when_there_is_room_again_and_not_before(make):
    strangers = make(max_strangers=2)
    (first, _), (second, _) = strangers.come(), strangers.come()
    assert not strangers.has_room
    assert strangers.places.let_in(first, OWNER, nothing_against) is None
    assert (strangers.has_room, strangers.freed) == (True, 1)
    for sock in (first, second):
        strangers.places.remove(sock)
    assert (strangers.has_room, strangers.freed) == (True, 1)


def test_who_is_not_let_in_stays_a_stranger(make):
    strangers = make(max_strangers=1)
    sock, _ = strangers.come()
    refusal = NotPermitted("kicked")
    assert strangers.places.let_in(sock, OWNER, lambda _: refusal) is refusal
    assert (strangers.has_room, strangers.freed) == (False, 0)
    assert strangers.places.find(None, None) == {}


def test_those_inside_are_found_by_their_session_and_by_their_key(make):
    strangers = make()
    (one, _), (other, _) = strangers.come(), strangers.come("")
    for sock, welcome in ((one, OWNER), (other, ANN)):
        strangers.places.let_in(sock, welcome, nothing_against)
    assert strangers.places.find("a", None) == {one: OWNER}
    assert strangers.places.find(None, "00aa") == {other: ANN}
    assert strangers.places.find("a", "00aa") == {}
    assert strangers.places.find(None, None) == {one: OWNER, other: ANN}


def test_the_oldest_stranger_of_an_address_has_to_go_and_none_by_a_unix_socket_has(make):
    strangers = make(max_strangers=8)
    came = [strangers.come()[1] for _ in range(7)]
    by_unix_socket = [strangers.come("")[1] for _ in range(7)]
    for far in (*came, *by_unix_socket):
        far.setblocking(False)
    assert came[0].recv(1) == b""
    for far in (*came[1:], *by_unix_socket):
        with pytest.raises(BlockingIOError):
            far.recv(1)


def test_what_a_connection_takes_beside_its_own_descriptor_counts_while_it_is_inside(make):
    strangers = make(max_connections=4)
    (large, _), (small, _) = strangers.come(), strangers.come()
    strangers.places.note_more(large, 3)
    assert strangers.places.let_in(large, OWNER, nothing_against) is None
    refusal = strangers.places.let_in(small, OWNER, nothing_against)
    assert isinstance(refusal, ConnectionFailed)
    assert "kernel 'demo' has 1 connections, as many as it can" in str(refusal)
    strangers.places.remove(large)
    assert strangers.places.let_in(small, OWNER, nothing_against) is None
