"""Whether a silent peer is given up: only while something is awaited, and only where nobody vouches for it."""

from concurrent.futures import Future
from contextlib import contextmanager

import pytest
import rpyc
from rpyc.core import consts

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.wire.channel import Channel
from rpyc_kernel.wire.netrefs import job_queue
from rpyc_kernel.wire.netrefs.connection import Connection
from rpyc_kernel.wire.netrefs.heartbeat import _BEATS, Heartbeat, Patience
from tests.support.waiting import wait_until
from tests.wire.peers import our_client, our_server, socket_pair
from tests.wire.services import Gate, Workshop

ADVICE = "see to it"


class Watched:
    """A heartbeat whose beats the test makes, on a peer that the test is."""

    def __init__(self, vouch=None, ask_elsewhere=None):
        self.life = None
        self.pings = 0
        self.reasons = []
        patience = Patience(1000.0, ADVICE, vouch, ask_elsewhere)
        self._heartbeat = Heartbeat(patience, lambda: self.life, self._ping, self.reasons.append)

    def _ping(self):
        self.pings += 1

    def beat(self, count=1):
        for _ in range(count):
            self._heartbeat.beat()


def test_who_awaits_nothing_asks_nothing():
    watched = Watched()
    watched.beat(10 * _BEATS)
    assert (watched.pings, watched.reasons) == (0, [])


def test_a_silent_peer_is_asked_once_and_given_up_after_some_beats():
    watched = Watched()
    watched.life = 1
    watched.beat(_BEATS)
    assert (watched.pings, watched.reasons) == (1, [])
    watched.beat()
    assert (watched.pings, watched.reasons) == (1, [f"nothing came for 1000 s; {ADVICE}"])


def test_any_sign_of_life_begins_the_count_anew():
    watched = Watched()
    for life in range(1, 20):
        watched.life = life
        watched.beat(_BEATS)
    assert watched.reasons == []


def test_a_wait_that_ends_begins_the_count_anew():
    watched = Watched()
    for _ in range(5):
        watched.life = 1
        watched.beat(_BEATS)
        watched.life = None
        watched.beat()
    assert watched.reasons == []


def answered():
    future = Future()
    future.set_result(None)
    return future


def refused():
    future = Future()
    future.set_exception(ConnectionLost("gone"))
    return future


def test_a_peer_that_somebody_vouches_for_may_be_silent_for_ever():
    watched = Watched(vouch=answered)
    watched.life = 1
    watched.beat(10 * _BEATS)
    assert watched.reasons == []


def test_who_answers_by_another_way_and_not_here_is_given_up_whoever_vouches():
    watched = Watched(vouch=answered, ask_elsewhere=answered)
    watched.life = 1
    watched.beat(_BEATS + 1)
    (reason,) = watched.reasons
    assert reason.startswith("nothing came for 1000 s by this way, which is blocked")


def test_who_could_answer_only_just_now_has_time_to_answer_here_too():
    asked = []
    watched = Watched(vouch=answered, ask_elsewhere=lambda: asked.append(Future()) or asked[-1])
    watched.life = 1
    watched.beat(_BEATS)
    asked[0].set_result(None)
    watched.beat()
    assert watched.reasons == []
    watched.life = 2
    watched.beat(_BEATS)
    assert watched.reasons == []


def unable():
    raise ConnectionLost("gone")


@pytest.mark.parametrize("ask_elsewhere", [Future, refused, unable])
def test_who_answers_nowhere_is_busy_for_whoever_vouches(ask_elsewhere):
    watched = Watched(vouch=answered, ask_elsewhere=ask_elsewhere)
    watched.life = 1
    watched.beat(10 * _BEATS)
    assert watched.reasons == []


@pytest.mark.parametrize("vouch", [Future, refused, unable])
def test_who_cannot_vouch_saves_nobody(vouch):
    watched = Watched(vouch=vouch)
    watched.life = 1
    watched.beat(_BEATS + 1)
    assert len(watched.reasons) == 1


def test_a_process_that_was_stopped_itself_counts_one_beat(monkeypatch):
    now = [0.0]
    monkeypatch.setattr("rpyc_kernel.wire.netrefs.heartbeat.time.monotonic", lambda: now[0])
    watched = Watched()
    watched.life = 1
    for moment in (200.0, 400.0, 100_000.0, 100_001.0, 100_002.0):
        now[0] = moment
        watched._heartbeat.pulse()
    assert watched.reasons == []


# ---- on a connection ----

SHORT = Patience(0.5, ADVICE)


@contextmanager
def silent_peer():
    near, far = socket_pair()
    peer = Channel(far)
    try:
        yield near
    finally:
        peer.close()


ASK = {
    "a request": lambda client: client.sync_request(consts.HANDLE_GETROOT),
    "more than it takes": lambda client: client.sync_request(consts.HANDLE_PING, b"x" * 50_000_000),
}


@pytest.mark.parametrize("ask", ASK.values(), ids=ASK)
def test_a_request_to_a_peer_that_is_silent_for_ever_fails_and_says_why(ask):
    with silent_peer() as sock, our_client(sock, timeout_s=None, patience=SHORT) as client:
        with pytest.raises(ConnectionLost, match=rf"nothing came for 0\.5 s; {ADVICE}"):
            ask(client)
        assert client.closed


def test_a_request_may_take_long_where_the_peer_lives(monkeypatch):
    gate, pings = Gate(), []
    ping = Connection._ping
    monkeypatch.setattr(Connection, "_ping", lambda client: (pings.append(client), ping(client)))
    with our_server(Workshop(gate=gate)) as (sock, _), our_client(sock, timeout_s=None, patience=SHORT) as client:
        call = rpyc.async_(client.root.eval("gate"))()
        gate.wait_reached()
        wait_until(lambda: len(pings) > 3)  # each was answered, or the client had given up long ago
        gate.open()
        assert call.value is True


def test_a_peer_that_has_too_much_to_do_to_read_on_shows_that_it_lives(monkeypatch):
    monkeypatch.setattr(job_queue, "LIMIT_BYTES", 1000)
    monkeypatch.setattr(job_queue, "_LOOKS_WITHOUT_LIFE", 1)
    gate, beats = Gate(), []
    look = Connection._look_for_life
    monkeypatch.setattr(Connection, "_look_for_life", lambda end: (beats.append(end), look(end))[1])
    patience = Patience(0.5, ADVICE, answered, answered)
    with our_server(Workshop(gate=gate)) as (sock, _), our_client(sock, timeout_s=None, patience=patience) as client:
        gate_there, echo = client.root.eval("gate"), rpyc.async_(client.root.eval("len"))
        call = rpyc.async_(gate_there)()
        gate.wait_reached()
        behind = [echo(b"x" * 600) for _ in range(3)]
        beats.clear()
        wait_until(lambda: len(beats) > 4 * _BEATS or client.closed)
        gate.open()
        assert call.value is True
        assert [each.value for each in behind] == [600] * 3
