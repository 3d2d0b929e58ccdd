"""One who stands between a client and a hub without a key: changes what they say, cuts it short, says it again."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable
from concurrent.futures import Future

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpyc_kernel.errors import AuthenticationFailed, ConnectionFailed, KernelError
from rpyc_kernel.wire.handshake import COMMANDS, EVENTS, Identity, greet_client, greet_hub
from rpyc_kernel.wire.keys import Grant, Key

TIMEOUT_S = 30.0
OWN = Key(b"k" * 32)
ANNS = Key(b"a" * 32, "00000000000000a1")
BOBS = Key(b"b" * 32, "00000000000000b2")
KEYS = {key.id: (key, Grant(key.id)) for key in (OWN, ANNS, BOBS)}.get
WHO = Identity("5ad9", "alice", "viewer", "laptop")
HELLO_BYTES, REPLY_BYTES, PROOF_BYTES, VERDICT_BYTES = 48, 72, 36, 5
SAID_BY_HUB = ("reply", "verdict")

Tamper = Callable[[str, bytes], bytes]


class Between:
    """A client and a hub that greet each other, by way of one who may change each message.

    Attributes:
        client: what the client's half came to, the identity or an error.
        hub: what the hub's half came to, a welcome or an error.
        heard: what each message was before it was changed.
    """

    def __init__(self, tamper: Tamper = lambda _, said: said, *, key: Key = OWN, pieces: int = 1 << 16) -> None:
        self.heard: dict[str, bytes] = {}
        self._tamper = tamper
        self._pieces = pieces
        clients, near = socket.socketpair()
        far, hubs = socket.socketpair()
        with clients, near, far, hubs:
            greeting = _in_thread(clients, greet_hub, clients, key, COMMANDS, WHO, TIMEOUT_S)
            greeted = _in_thread(hubs, greet_client, hubs, KEYS, "new", TIMEOUT_S)
            with contextlib.suppress(EOFError, OSError):
                self._pass("hello", near, far, lambda sock: _read(sock, HELLO_BYTES))
                self._pass("reply", far, near, lambda sock: _read(sock, REPLY_BYTES))
                self._pass("proof", near, far, lambda sock: _read_with_length(sock, PROOF_BYTES))
                self._pass("verdict", far, near, lambda sock: _read_with_length(sock, VERDICT_BYTES))
            for sock in (near, far):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
            self.client, self.hub = greeting.result(TIMEOUT_S), greeted.result(TIMEOUT_S)

    def _pass(self, name: str, source: socket.socket, target: socket.socket, read: Callable[..., bytes]) -> None:
        self.heard[name] = read(source)
        said = self._tamper(name, self.heard[name])
        for start in range(0, len(said), self._pieces):
            target.sendall(said[start : start + self._pieces])
        if len(said) < len(self.heard[name]):
            raise EOFError  # cut short, so nothing comes after it


def _in_thread(sock: socket.socket, function: Callable[..., object], *arguments: object) -> "Future[object]":
    future: Future[object] = Future()

    def run() -> None:
        try:
            future.set_result(function(*arguments))
        except KernelError as error:
            sock.close()
            future.set_result(error)
        except BaseException as error:  # noqa: BLE001 - the test raises it
            sock.close()
            future.set_exception(error)

    threading.Thread(target=run).start()
    return future


def _read(sock: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def _read_with_length(sock: socket.socket, count: int) -> bytes:
    head = _read(sock, count)
    return head + _read(sock, struct.unpack("!I", head[-4:])[0])


def is_refused(between: Between) -> bool:
    return isinstance(between.client, ConnectionFailed) and isinstance(between.hub, ConnectionFailed)


@pytest.mark.parametrize("pieces", [1, 2, 3, 7, 1000])
def test_in_whatever_pieces_it_comes_the_conversation_is_the_same(pieces: int):
    between = Between(pieces=pieces)
    assert (between.client, between.hub.identity) == (WHO, WHO)


def test_a_conversation_that_is_split_at_any_one_place_is_the_same():
    sizes = {name: len(said) for name, said in Between().heard.items()}
    for place in range(1, max(sizes.values())):
        between = Between(pieces=place)
        assert between.client == WHO, f"split every {place} bytes"


@settings(max_examples=150)
@given(st.sampled_from(("hello", "reply", "proof")), st.integers(0, 10_000), st.integers(1, 255))
def test_no_byte_of_what_is_proven_can_be_changed(name: str, place: int, change: int):
    """Each byte before the verdict is covered, also those that say nothing today."""

    def tamper(said_in: str, said: bytes) -> bytes:
        if said_in != name:
            return said
        at = place % len(said)
        changed = said[:at] + bytes([said[at] ^ change]) + said[at + 1 :]
        # Where it announces more than comes, the hub would wait for it: nothing comes after.
        return changed[:-1] if name == "proof" and 32 <= at < PROOF_BYTES else changed

    assert is_refused(Between(tamper))


@settings(max_examples=100)
@given(st.sampled_from(("hello", "reply", "proof", "verdict")), st.integers(0, 10_000))
def test_wherever_it_is_cut_short_both_sides_end_with_an_error(name: str, place: int):
    between = Between(lambda said_in, said: said[: place % len(said)] if said_in == name else said)
    assert isinstance(between.client, ConnectionFailed)
    # What the hub has let in it may have told in part: that the connection ends, it hears from the connection.
    assert isinstance(between.hub, ConnectionFailed) or name == "verdict"


@settings(max_examples=60)
@given(st.sampled_from(("hello", "reply", "proof")), st.binary(min_size=1, max_size=300))
def test_what_is_put_in_between_spoils_the_conversation(name: str, more: bytes):
    assert is_refused(Between(lambda said_in, said: more + said if said_in == name else said))


def test_what_a_hub_said_once_convinces_no_second_client():
    """One who has recorded a hub, and answers in its place, learns from the next client neither name nor proof."""
    once = Between().heard
    again = Between(lambda name, said: once[name] if name in SAID_BY_HUB else said)
    assert isinstance(again.client, AuthenticationFailed)
    assert "proof" not in again.heard


def test_a_client_that_hears_its_own_words_is_not_convinced():
    hello: list[bytes] = []

    def reflect(name: str, said: bytes) -> bytes:
        if name == "hello":
            hello.append(said)
        return (hello[0] + said)[: len(said)] if name == "reply" else said

    assert isinstance(Between(reflect).client, ConnectionFailed)


def test_a_proof_is_for_the_channel_that_was_named_before_it():
    def other_channel(name: str, said: bytes) -> bytes:
        return said[:5] + bytes([EVENTS]) + said[6:] if name == "hello" else said

    assert is_refused(Between(other_channel))


@pytest.mark.parametrize("id_of", [OWN, BOBS])
def test_who_has_one_key_cannot_pass_as_the_holder_of_another(id_of: Key):
    """ann's client names bob's key, or the owner's: both are known to the hub."""
    named = bytes.fromhex(id_of.id) or bytes(8)
    between = Between(lambda name, said: said[:-8] + named if name == "hello" else said, key=ANNS)
    assert is_refused(between)
    assert is_refused(Between(key=Key(ANNS.secret, id_of.id)))


@pytest.mark.parametrize("secret", [b"", bytes(32), bytes(64)])
def test_no_secret_that_one_could_guess_belongs_to_a_key_that_is_not_there(secret: bytes):
    assert is_refused(Between(key=Key(secret, "00000000000000ff")))


def test_a_key_that_nobody_has_is_answered_like_one_that_somebody_has():
    """Who tries ids learns nothing: neither by what is said, nor by whether something is."""
    answers = [Between(key=Key(b"?" * 32, id)).heard for id in (ANNS.id, "00000000000000ff")]
    assert [sorted(heard) for heard in answers] == [["hello", "reply"]] * 2
    assert {heard["reply"][:8] for heard in answers} == {answers[0]["reply"][:8]}
    assert len({len(heard["reply"]) for heard in answers}) == 1
    assert len({heard["reply"] for heard in answers}) == 2
