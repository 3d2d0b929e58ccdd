"""The handshake: both sides know the key, or the conversation ends, soon and with a reason."""

import contextlib
import json
import os
import select
import socket
import struct
import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rpyc_kernel.core.contract import PROTOCOL_VERSION, ROLES, Role
from rpyc_kernel.errors import (
    AuthenticationFailed,
    CallTimeout,
    ConnectionFailed,
    ConnectionLost,
    NotPermitted,
    VersionMismatch,
)
from rpyc_kernel.wire import handshake
from rpyc_kernel.wire.handshake import (
    COMMANDS,
    DEBUGGER,
    EVENTS,
    OBJECTS,
    Identity,
    Welcome,
    greet_client,
    greet_hub,
)
from rpyc_kernel.wire.keys import Grant, Key
from tests.support.waiting import in_thread
from tests.wire.peers import of_owner

KEY = Key(b"k" * 32)
OTHER_KEY = Key(b"o" * 32)
KEYS = of_owner(KEY)
HELLO_BYTES = 48
TIMEOUT_S = 30.0
ALICE = Identity("", "alice")


@contextlib.contextmanager
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


def shake(client, hub, *, channel=COMMANDS, identity=ALICE, key=KEY, keys=KEYS, bindings=(b"", b"")):
    """Both halves at once; returns the futures of the client's and the hub's."""
    hubs = in_thread(greet_client, hub, keys, "new-session", TIMEOUT_S, lambda _: None, bindings[1])
    clients = in_thread(greet_hub, client, key, channel, identity, TIMEOUT_S, bindings[0])
    return clients, hubs


# Agreement


@pytest.mark.parametrize("channel", [COMMANDS, EVENTS, OBJECTS])
def test_both_sides_agree_on_channel_and_identity(channel):
    with pair() as (client, hub):
        clients, hubs = shake(client, hub, channel=channel, identity=Identity("5ad9", "alice", Role.OWNER))
        assert clients.result(TIMEOUT_S) == Identity("5ad9", "alice", Role.OWNER)
        assert hubs.result(TIMEOUT_S) == Welcome(channel, Identity("5ad9", "alice", Role.OWNER), asked="5ad9")


def test_a_client_without_a_session_gets_a_new_one():
    with pair() as (client, hub):
        clients, hubs = shake(client, hub)
        assert clients.result(TIMEOUT_S).session == hubs.result(TIMEOUT_S).identity.session == "new-session"


def test_afterwards_the_sockets_wait_without_a_deadline():
    with pair() as (client, hub):
        for future in shake(client, hub):
            future.result(TIMEOUT_S)
        assert client.gettimeout() is None
        assert hub.gettimeout() is None


def test_not_a_byte_of_the_channels_own_protocol_is_swallowed():
    """What either side sends the moment it is through is there for the other, whole."""
    with pair() as (client, hub):

        def be_client():
            greet_hub(client, KEY, COMMANDS, Identity(), TIMEOUT_S)
            client.sendall(b"first words of the client")

        def be_hub():
            greet_client(hub, KEYS, "new-session", TIMEOUT_S)
            hub.sendall(b"first words of the hub")

        futures = [in_thread(be_hub), in_thread(be_client)]
        for future in futures:
            future.result(TIMEOUT_S)
        assert hub.recv(100) == b"first words of the client"
        assert client.recv(100) == b"first words of the hub"


@settings(max_examples=30, deadline=None)
@given(st.text(max_size=64).filter(str.isprintable), st.text(max_size=300))
def test_any_name_is_carried_as_far_as_it_can_be_shown(session, name):
    with pair() as (client, hub):
        clients, hubs = shake(client, hub, identity=Identity(session, name))
        settled = clients.result(TIMEOUT_S)
        assert settled == hubs.result(TIMEOUT_S).identity
        assert settled.session == (session or "new-session")
        assert settled.name == "".join(char if char.isprintable() else "?" for char in name[:200])


# Keys


def fails(future, error, message):
    with pytest.raises(error, match=message):
        future.result(TIMEOUT_S)


def test_a_hub_that_does_not_know_the_key_learns_nothing_from_the_client():
    with pair() as (client, hub):
        clients, hubs = shake(client, hub, keys=of_owner(OTHER_KEY))
        fails(clients, AuthenticationFailed, "the hub does not know the key of this connection file")
        client.close()
        fails(hubs, ConnectionLost, "closed the connection")


def test_a_client_that_does_not_know_the_key_is_told_so():
    """One that does not check the hub's proof, as an attacker would not."""
    with pair() as (client, hub):
        hubs = in_thread(greet_client, hub, KEYS, "new-session", TIMEOUT_S)
        client.sendall(hello())
        read_exactly(client, 72)
        client.sendall(bytes(32) + struct.pack("!I", 2) + b"{}")
        verdict, length = struct.unpack("!BI", read_exactly(client, 5))
        fails(hubs, AuthenticationFailed, "the client does not know the key")
        assert verdict == handshake._WRONG_KEY
        assert read_exactly(client, length) == b"{}"


def test_the_proof_of_one_conversation_does_not_fit_another():
    """What a client proved once, played again to the same hub."""
    with relay() as (client, hub, heard):
        for future in shake(client, hub):
            future.result(TIMEOUT_S)
    recorded = bytes(heard)
    with pair() as (client, hub):
        hubs = in_thread(greet_client, hub, KEYS, "new-session", TIMEOUT_S)
        client.sendall(recorded)
        fails(hubs, AuthenticationFailed, "does not know the key")


def test_no_conversation_of_a_client_begins_like_another():
    hellos = []
    for _ in range(2):
        with pair() as (client, hub):
            clients = in_thread(greet_hub, client, KEY, COMMANDS, ALICE, TIMEOUT_S)
            hellos.append(read_exactly(hub, HELLO_BYTES))
            hub.close()
            fails(clients, ConnectionLost, "closed the connection|broke")
    assert hellos[0] != hellos[1]


def test_no_answer_of_a_hub_begins_like_another():
    said = []
    for _ in range(2):
        with pair() as (client, hub):
            hubs = in_thread(greet_client, hub, KEYS, "new-session", TIMEOUT_S)
            client.sendall(hello())
            said.append(read_exactly(client, 72)[:-32])
            client.close()
            fails(hubs, ConnectionLost, "closed the connection|broke")
    assert said[0] != said[1]


def test_a_hubs_proof_does_not_serve_as_a_clients():
    """A client that only sends back what the hub said is no client."""
    with pair() as (client, hub):
        hubs = in_thread(greet_client, hub, KEYS, "new-session", TIMEOUT_S)
        client.sendall(hello())
        proof = read_exactly(client, 72)[-32:]
        client.sendall(proof + struct.pack("!I", 2) + b"{}")
        fails(hubs, AuthenticationFailed, "does not know the key")


def test_one_who_stands_between_with_another_secure_channel_cannot_pass_proofs_on():
    """Both know the key; each sees another certificate below."""
    with pair() as (client, hub):
        clients, hubs = shake(client, hub, bindings=(b"c" * 32, b"h" * 32))
        fails(clients, AuthenticationFailed, "does not know the key")
        client.close()
        fails(hubs, ConnectionLost, "closed the connection")
    with pair() as (client, hub):
        for future in shake(client, hub, bindings=(b"c" * 32, b"c" * 32)):
            future.result(TIMEOUT_S)


def test_a_hub_checks_for_itself_which_secure_channel_a_client_means():
    """One who has the hub's proof passes on a client's that was made for another channel."""
    with pair() as (client, hub):
        hubs = in_thread(greet_client, hub, KEYS, "new-session", TIMEOUT_S, lambda _: None, b"h" * 32)
        assert proven(client, b"{}")[0] == handshake._WRONG_KEY
        fails(hubs, AuthenticationFailed, "does not know the key")


# Invitations

ANNS = Key(b"a" * 32, "00000000000000a1")


def ring(**grant):
    """A hub's keys: its own, and ann's, which gives that."""
    return {"": (KEY, Grant()), ANNS.id: (ANNS, Grant(ANNS.id, **grant))}.get


def test_a_key_gives_its_role_and_its_name_to_whoever_asks_for_none():
    with pair() as (client, hub):
        clients, hubs = shake(client, hub, key=ANNS, keys=ring(role=Role.EDITOR, name="ann"))
        assert clients.result(TIMEOUT_S) == Identity(f"{ANNS.id}:new-session", "ann", Role.EDITOR)
        assert hubs.result(TIMEOUT_S).grant.key == ANNS.id


@pytest.mark.parametrize("most", ROLES)
@pytest.mark.parametrize("asked", ROLES)
def test_a_key_gives_no_role_above_its_own(most, asked):
    with pair() as (client, hub):
        clients, hubs = shake(client, hub, key=ANNS, keys=ring(role=most), identity=Identity("", "alice", asked))
        if ROLES.index(asked) <= ROLES.index(most):
            assert clients.result(TIMEOUT_S).role == hubs.result(TIMEOUT_S).identity.role == asked
        else:
            fails(clients, NotPermitted, f"the key of 'alice' gives the role '{most}', and not '{asked}'")
            fails(hubs, NotPermitted, "the key of 'alice'")


@pytest.mark.parametrize("asked", ["a", f"{ANNS.id}:a", "00000000000000b2:a", ":", "x" * 47])
def test_sessions_of_an_invitation_are_its_own_whatever_it_asks_for(asked):
    with pair() as (client, hub):
        clients, hubs = shake(client, hub, key=ANNS, keys=ring(), identity=Identity(asked))
        settled = hubs.result(TIMEOUT_S).identity.session
        assert clients.result(TIMEOUT_S).session == settled
        assert settled == (asked if asked.startswith(ANNS.id) else f"{ANNS.id}:{asked}")
    with pair() as (client, hub):
        assert shake(client, hub, keys=ring(), identity=Identity(settled))[0].result(TIMEOUT_S).session == settled


def test_a_session_of_an_invitation_is_no_longer_than_any_other():
    with pair() as (client, hub):
        clients, _ = shake(client, hub, key=ANNS, keys=ring(), identity=Identity("x" * 48))
        fails(clients, ConnectionFailed, "a session id has at most 47 printable characters")


def test_a_key_that_holds_no_longer_says_so_to_whoever_has_it():
    with pair() as (client, hub):
        clients, hubs = shake(client, hub, key=ANNS, keys=ring(problem="the invitation was revoked"))
        fails(clients, AuthenticationFailed, "^the invitation was revoked$")
        fails(hubs, ConnectionFailed, "revoked")


@pytest.mark.parametrize("key", [Key(b"x" * 32, ANNS.id), Key(ANNS.secret, "00000000000000b2")], ids=["secret", "id"])
def test_a_wrong_invitation_is_not_known(key):
    with pair() as (client, hub):
        clients, hubs = shake(client, hub, key=key, keys=ring())
        fails(clients, AuthenticationFailed, "does not know this invitation")
        client.close()
        fails(hubs, ConnectionLost, "closed the connection")


def test_what_is_shown_of_a_key_tells_nothing_of_it():
    assert "61" not in repr(ANNS).replace(ANNS.id, "")
    assert "b'" not in f"{ANNS} {KEY!r}"


# Strangers and other versions


def hello(magic=b"RPYK", version=PROTOCOL_VERSION, channel=COMMANDS):
    return struct.pack("!4sBBH32s8s", magic, version, channel, 0, os.urandom(32), bytes(8))


def read_exactly(sock, count):
    data = b""
    while len(data) < count:
        piece = sock.recv(count - len(data))
        assert piece, "the other side closed"
        data += piece
    return data


def test_a_client_of_another_version_is_told_which_the_hub_speaks():
    with pair() as (client, hub):
        hubs = in_thread(greet_client, hub, KEYS, "new-session", TIMEOUT_S)
        client.sendall(hello(version=PROTOCOL_VERSION + 1))
        fails(hubs, VersionMismatch, f"the client speaks version {PROTOCOL_VERSION + 1}")
        assert read_exactly(client, 72)[4] == PROTOCOL_VERSION


def test_a_hub_of_another_version_is_named_with_what_to_do():
    with pair() as (client, hub):
        clients = in_thread(greet_hub, client, KEY, COMMANDS, Identity(), TIMEOUT_S)
        read_exactly(hub, HELLO_BYTES)
        reply = struct.pack("!4sBBH64s", b"RPYK", 9, handshake._WRONG_VERSION, 0, bytes(64))
        hub.sendall(reply)
        fails(clients, VersionMismatch, "and the hub version 9; install the same release")


def test_a_stranger_is_sent_away_without_an_answer():
    with pair() as (client, hub):
        hubs = in_thread(greet_client, hub, KEYS, "new-session", TIMEOUT_S)
        client.sendall(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" + bytes(40))
        fails(hubs, ConnectionFailed, "not a client of a kernel")
        assert not select.select([client], [], [], 0)[0]


def test_something_that_is_no_hub_is_recognised():
    with pair() as (client, hub):
        clients = in_thread(greet_hub, client, KEY, COMMANDS, Identity(), TIMEOUT_S)
        hub.sendall(b"SSH-2.0-OpenSSH_9.6\r\n" + bytes(72))
        fails(clients, ConnectionFailed, "not a kernel's hub")


def test_a_client_that_is_not_let_in_by_a_full_hub_knows_why():
    with pair() as (client, hub):

        def refuse(welcome):
            assert (welcome.channel, welcome.identity.session) == (COMMANDS, "new-session")
            return ConnectionFailed("there is no room; close some")

        hubs = in_thread(greet_client, hub, KEYS, "new-session", TIMEOUT_S, refuse)
        clients = in_thread(greet_hub, client, KEY, COMMANDS, Identity(), TIMEOUT_S)
        fails(clients, ConnectionFailed, "there is no room; close some")
        fails(hubs, ConnectionFailed, "there is no room")


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.binary(max_size=200))
def test_garbage_ends_the_conversation_with_an_error_of_ours(to_hub, to_client):
    with pair() as (client, hub):
        client.sendall(to_hub)
        client.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionFailed):
            greet_client(hub, KEYS, "new-session", TIMEOUT_S)
    with pair() as (client, hub):
        hub.sendall(to_client)
        hub.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionFailed):
            greet_hub(client, KEY, COMMANDS, Identity(), TIMEOUT_S)


# What is wrong with an identity


def proven(client, blob, channel=COMMANDS):
    """Do a client's half with a given identity; returns verdict and body."""
    hello_bytes = hello(channel=channel)
    client.sendall(hello_bytes)
    said = read_exactly(client, 72)[:-32]
    client.sendall(handshake._proof(KEY, b"client", hello_bytes, said, b"", blob) + struct.pack("!I", len(blob)) + blob)
    verdict, length = struct.unpack("!BI", read_exactly(client, 5))
    return verdict, json.loads(read_exactly(client, length))


@pytest.mark.parametrize(
    ("channel", "identity", "error", "message"),
    [
        (DEBUGGER + 7, Identity(), ConnectionFailed, "the hub has no channel 12"),
        (0, Identity(), ConnectionFailed, "the hub has no channel 0"),
        (
            COMMANDS,
            Identity(role="king"),
            ConnectionFailed,
            "no role 'king'; choose 'viewer', 'asker', 'editor' or 'owner'",
        ),
        (COMMANDS, Identity("x" * 65), ConnectionFailed, "at most 64 printable characters"),
        (COMMANDS, Identity("x\n"), ConnectionFailed, "at most 64 printable characters"),
        (OBJECTS, Identity("o", "olga", Role.VIEWER), NotPermitted, "'olga' is here as viewer"),
        (DEBUGGER, Identity("o", "olga", Role.VIEWER), NotPermitted, "'olga' is here as viewer"),
    ],
)
def test_a_client_is_told_what_is_wrong_with_what_it_asks(channel, identity, error, message):
    with pair() as (client, hub):
        clients, hubs = shake(client, hub, channel=channel, identity=identity)
        fails(clients, error, message)
        fails(hubs, error, message)


def test_an_identity_that_is_too_long_is_not_read():
    with pair() as (client, hub):
        clients, hubs = shake(client, hub, identity=Identity("x" * 5000))
        fails(hubs, ConnectionFailed, "identity is too long")
        hub.close()
        fails(clients, ConnectionLost, "closed the connection|broke")


def test_the_longest_identity_comes_back_whole():
    """Characters that JSON spells with twelve."""
    with pair() as (client, hub):
        clients, _ = shake(client, hub, identity=Identity("\U0001f600" * 64, "\U0001f600" * 500))
        assert clients.result(TIMEOUT_S) == Identity("\U0001f600" * 64, "\U0001f600" * 200, Role.OWNER)


def test_a_name_that_another_client_sends_in_full_length_is_cut():
    with pair() as (client, hub):
        hubs = in_thread(greet_client, hub, KEYS, "new-session", TIMEOUT_S)
        verdict, body = proven(client, json.dumps({"name": "ä" * 1300}, ensure_ascii=False).encode())
        assert (verdict, body["name"]) == (0, "ä" * 200)
        assert hubs.result(TIMEOUT_S).identity.name == "ä" * 200


@pytest.mark.parametrize(
    "blob", [b"", b"[]", b"3", b'{"name": 3}', b"{", b"\xff", b"[" * 4096], ids=lambda blob: repr(blob[:10])
)
def test_an_identity_that_cannot_be_read_ends_the_conversation(blob):
    with pair() as (client, hub):
        hubs = in_thread(greet_client, hub, KEYS, "new-session", TIMEOUT_S)
        with contextlib.suppress(AssertionError):
            hello_bytes = hello()
            client.sendall(hello_bytes)
            said = read_exactly(client, 72)[:-32]
            proof = handshake._proof(KEY, b"client", hello_bytes, said, b"", blob)
            client.sendall(proof + struct.pack("!I", len(blob)) + blob)
        fails(hubs, ConnectionFailed, "cannot be read")


def test_an_empty_identity_is_a_new_owner():
    with pair() as (client, hub):
        hubs = in_thread(greet_client, hub, KEYS, "new-session", TIMEOUT_S)
        assert proven(client, b"{}") == (0, {"session": "new-session", "name": "", "role": "owner"})
        assert hubs.result(TIMEOUT_S).identity == Identity("new-session", role=Role.OWNER)


@pytest.mark.parametrize(
    ("length", "blob", "message"),
    [(5000, b"", "too long"), (2, b"{}", "does not say who"), (2, b"[]", "cannot be read")],
)
def test_an_answer_of_the_hub_that_makes_no_sense_ends_the_conversation(length, blob, message):
    with pair() as (client, hub):
        clients = in_thread(greet_hub, client, KEY, COMMANDS, Identity(), TIMEOUT_S)
        hello_bytes = read_exactly(hub, HELLO_BYTES)
        said = struct.pack("!4sBBH32s", b"RPYK", PROTOCOL_VERSION, 0, 0, os.urandom(32))
        hub.sendall(said + handshake._proof(KEY, b"hub", hello_bytes, said, b""))
        hub.sendall(struct.pack("!BI", 0, length) + blob)
        fails(clients, ConnectionFailed, message)


# Connections that break


@contextlib.contextmanager
def relay(client_bytes=None, hub_bytes=None):
    """A client's socket, a hub's socket, and what the client said; both are closed when so many bytes have passed."""
    client, to_client = socket.socketpair()
    hub, to_hub = socket.socketpair()
    heard = bytearray()
    left = {to_client: client_bytes, to_hub: hub_bytes}
    others = {to_client: to_hub, to_hub: to_client}

    def pass_on():
        with to_client, to_hub:
            while left[to_client] != 0 and left[to_hub] != 0:
                ready, _, _ = select.select([to_client, to_hub], [], [])
                for sock in ready:
                    data = sock.recv(left[sock] or 65536)
                    if not data:
                        return
                    if left[sock] is not None:
                        left[sock] -= len(data)
                    if sock is to_client:
                        heard.extend(data)
                    others[sock].sendall(data)

    thread = threading.Thread(target=pass_on)
    thread.start()
    try:
        with client, hub:
            yield client, hub, heard
    finally:
        thread.join()


def measure():
    """How many bytes each side says in a handshake that succeeds."""
    with pair() as (client, hub):
        clients, hubs = shake(client, hub)
        settled = clients.result(TIMEOUT_S)
        hubs.result(TIMEOUT_S)
    told = json.dumps({"session": "", "name": "alice", "role": "", "host": ""})
    answered = json.dumps({"session": settled.session, "name": "alice", "role": "owner"})
    return HELLO_BYTES + 36 + len(told), 72 + 5 + len(answered)


def test_a_connection_that_breaks_after_any_byte_of_the_client_fails_on_both_sides():
    total, _ = measure()
    for count in range(total):
        with broken_after(client_bytes=count) as (clients, hubs):
            fails(clients, ConnectionLost, "during the handshake")
            fails(hubs, ConnectionLost, "during the handshake")


def test_a_connection_that_breaks_after_any_byte_of_the_hub_fails_for_the_client():
    _, total = measure()
    for count in range(total):
        with broken_after(hub_bytes=count) as (clients, hubs):
            fails(clients, ConnectionLost, "during the handshake")
            if count < 72:
                fails(hubs, ConnectionLost, "during the handshake")
            else:
                hubs.exception(TIMEOUT_S)  # it may have said its last word already


@contextlib.contextmanager
def broken_after(**limits):
    with relay(**limits) as (client, hub, _):
        yield shake(client, hub)


def test_a_handshake_byte_by_byte_succeeds():
    class Slow:
        """A socket of which one byte can be read at a time."""

        def __init__(self, sock):
            self._sock = sock

        def __getattr__(self, name):
            return getattr(self._sock, name)

        def recv(self, count):
            return self._sock.recv(min(count, 1))

    with pair() as (client, hub):
        for future in shake(Slow(client), Slow(hub)):
            future.result(TIMEOUT_S)


# Deadlines


def test_a_silent_client_is_not_waited_for():
    with pair() as (_, hub), pytest.raises(CallTimeout, match="did not finish the handshake in time"):
        greet_client(hub, KEYS, "new-session", 0.02)


def test_a_silent_hub_is_not_waited_for():
    with pair() as (client, _), pytest.raises(CallTimeout, match="did not finish the handshake in time"):
        greet_hub(client, KEY, COMMANDS, Identity(), 0.02)


def test_a_client_that_only_reads_its_proof_is_not_waited_for():
    with pair() as (client, hub):
        client.sendall(hello())
        with pytest.raises(CallTimeout):
            greet_client(hub, KEYS, "new-session", 0.02)


def test_the_deadline_is_for_the_whole_conversation():
    """A client that sends a byte whenever the hub is about to give up gains nothing by it."""
    with pair() as (client, hub):
        is_over = threading.Event()

        def trickle():
            for byte in hello():
                if is_over.wait(1.0):
                    return
                client.send(bytes([byte]))

        thread = threading.Thread(target=trickle)
        thread.start()
        began = time.monotonic()
        with pytest.raises(CallTimeout):
            greet_client(hub, KEYS, "new-session", 1.5)
        assert time.monotonic() - began < 30  # to the last byte it would be 40
        is_over.set()
        thread.join()


def test_a_deadline_that_is_over_is_noticed_before_anything_is_sent():
    with pair() as (client, hub):
        with pytest.raises(CallTimeout):
            greet_hub(client, KEY, COMMANDS, Identity(), 0.0)
        assert not select.select([hub], [], [], 0)[0]


def test_a_handshake_is_told_from_what_a_stock_client_says_without_taking_any_of_it():
    near, far = socket.socketpair()
    with near, far:
        assert not handshake.is_begun(far, 0.0)  # nothing yet
        near.sendall(b"RPYK and more")
        assert handshake.is_begun(far, 30.0)
        assert far.recv(4) == b"RPYK"
    near, far = socket.socketpair()
    with near, far:
        near.sendall(struct.pack("!LB", 64 * 1024 * 1024, 0))
        assert not handshake.is_begun(far, 30.0)
        near.close()
        far.recv(100)
        with pytest.raises(ConnectionLost, match="before it had said anything"):
            handshake.is_begun(far, 30.0)
