"""TLS in front of plain sockets, over real connections, with every way in which either side can end or refuse."""

import contextlib
import hashlib
import os
import select
import socket
import ssl
import struct
import threading
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import pytest

from rpyc_kernel.errors import CallTimeout, CertificateChanged, ConnectionFailed, RequestError
from rpyc_kernel.system.certificates import ensure_certificate, issue_certificate
from rpyc_kernel.system.home import Home
from rpyc_kernel.wire import tls
from rpyc_kernel.wire.bulk.codec import pack
from rpyc_kernel.wire.bulk.socket import BulkSocket
from tests.support.waiting import wait_until

DEADLINE_S = 30.0
LARGE = os.urandom(3_000_000)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """A kernel's home with its certificate, and that of an invitation in `client.pem`."""
    home = Home(tmp_path_factory.mktemp("home") / "demo")
    home.create()
    ensure_certificate(home)
    (home.path.parent / "client.pem").write_bytes(b"".join(issue_certificate(home, "0123456789abcdef", "ann")))
    return home


@pytest.fixture
def server(home):
    """The context of a hub."""
    return tls.server_context(home.certificate, home.private_key, home.certificate)


def connect_tcp():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    return near, far


class Hub(threading.Thread):
    """Accepts one TLS connection on a socket and passes it on; `plain` and `client` are there when it does."""

    def __init__(self, sock, context, timeout_s=DEADLINE_S):
        super().__init__(name="hub")
        self.sock, self.context, self.timeout_s = sock, context, timeout_s
        self.relay = self.plain = self.client = self.error = None
        self.is_ready = threading.Event()

    def run(self):
        with self.sock:
            try:
                relay, self.client = tls.accept(self.sock, self.context, self.timeout_s)
            except ConnectionFailed as error:
                self.error = error
                return
            else:
                self.relay, self.plain = relay, relay.plain
            finally:
                self.is_ready.set()
            relay.run()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.is_ready.wait(DEADLINE_S)
        if self.plain is not None:
            self.plain.close()
        self.join(DEADLINE_S)
        assert not self.is_alive()


@contextlib.contextmanager
def connected(server, context=None, **options):
    """A connection over TLS: the client's plain socket, the hub's, and the hub."""
    near, far = connect_tcp()
    with Hub(far, server) as hub:
        plain, _ = tls.connect(near, context or tls.client_context(), DEADLINE_S, **options)
        wait_until(lambda: hub.plain)
        with plain:
            for sock in (plain, hub.plain):
                sock.settimeout(DEADLINE_S)
            yield plain, hub.plain, hub


def receive(sock, count):
    data = bytearray()
    while len(data) < count and (piece := sock.recv(count - len(data))):
        data += piece
    return bytes(data)


def receive_all(sock):
    data = bytearray()
    while piece := sock.recv(1 << 20):
        data += piece
    return bytes(data)


# What passes


def test_a_stock_client_of_rpyc_hears_every_frame_though_they_come_together(server):
    frames = [struct.pack("!LB", len(data), 0) + data + b"\n" for data in (b"first", b"", os.urandom(40_000), b"last")]
    near, far = connect_tcp()
    context = tls.client_context()
    with Hub(far, server) as hub, context.wrap_socket(near) as client:
        client.settimeout(DEADLINE_S)
        wait_until(lambda: hub.plain)
        hub.relay.keep_frames_apart()
        # In pieces that end anywhere: in a header, between frames, and behind several of them.
        said = b"".join(frames)
        for start, end in ((0, 3), (3, 11), (11, 19), (19, len(said))):
            hub.plain.sendall(said[start:end])
        heard = b""
        for frame in frames:
            while len(heard) < len(frame):
                assert client.pending() or wait_readable(client)
                heard += client.recv(len(frame) - len(heard))
            assert heard == frame
            assert client.pending() == 0  # or it would wait for its socket in vain
            heard = b""


def wait_readable(sock):
    waiting = select.poll()
    waiting.register(sock, select.POLLIN)
    return bool(waiting.poll(DEADLINE_S * 1000))


def test_what_one_side_says_the_other_one_hears(server):
    with connected(server) as (near, far, _):
        near.sendall(b"here")
        assert far.recv(100) == b"here"
        far.sendall(b"there")
        assert near.recv(100) == b"there"


def test_both_directions_pass_at_once_and_large(server):
    with connected(server) as (near, far, _), ThreadPoolExecutor(4) as pool:
        sending = [pool.submit(sock.sendall, LARGE[::step]) for sock, step in ((near, 1), (far, -1))]
        receiving = [pool.submit(receive, sock, len(LARGE)) for sock in (near, far)]
        assert receiving[1].result(DEADLINE_S) == LARGE
        assert receiving[0].result(DEADLINE_S) == LARGE[::-1]
        for sent in sending:
            sent.result(DEADLINE_S)


def test_records_that_come_in_pieces_and_several_at_once_are_understood(home, server):
    near, far = connect_tcp()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.client_context().wrap_bio(incoming, outgoing)
    with near, Hub(far, server) as hub:
        near.settimeout(DEADLINE_S)
        while True:
            try:
                client.do_handshake()
                break
            except ssl.SSLWantReadError:
                near.sendall(outgoing.read())
                incoming.write(near.recv(65536))
        client.write(b"early")
        near.sendall(outgoing.read())  # with the end of the handshake
        wait_until(lambda: hub.plain)
        hub.plain.settimeout(DEADLINE_S)
        assert hub.plain.recv(100) == b"early"
        for text in (b"one ", b"two ", b"three"):
            client.write(text)
        together = outgoing.read()
        for part in (together[:3], together[3:40], together[40:]):
            near.sendall(part)
        assert receive(hub.plain, 13) == b"one two three"


def test_a_slow_reader_holds_the_sender_up_and_only_so_much_is_kept_for_it(server):
    with connected(server) as (near, _, __):
        near.settimeout(0.3)  # too short on a busy machine, it would only end this earlier
        sent = 0
        with pytest.raises(TimeoutError):
            while sent < 200_000_000:
                sent += near.send(LARGE)
        assert sent < 100_000_000


def test_a_connection_takes_no_memory_for_what_it_could_hold_until_it_does(server):
    tracemalloc.start()
    try:
        with connected(server):
            assert tracemalloc.get_traced_memory()[1] < tls._HELD_BYTES
    finally:
        tracemalloc.stop()


def test_a_bulk_connection_over_tls_shares_no_memory_with_whoever_says_to_be_this_process(server):
    value = b"x" * 20_000_000
    with connected(server) as (near, far, _), ThreadPoolExecutor(1) as pool:
        sender, receiver = BulkSocket(near), BulkSocket(far)
        for end in (sender, receiver):
            end.set_timeout(DEADLINE_S)
            end.meet(os.getpid())
            assert not end.can_share
        sending = pool.submit(lambda: sender.send(sender.encode({}, pack(value, allow_pickle=False))))
        assert receiver.receive().open(allow_pickle=False) == value
        sending.result(DEADLINE_S)


# How it ends


@pytest.mark.parametrize("closing", ["near", "far"])
def test_who_closes_has_all_delivered_and_the_other_side_sees_the_end(server, closing):
    with connected(server) as (near, far, _), ThreadPoolExecutor(1) as pool:
        leaving, staying = (near, far) if closing == "near" else (far, near)

        def leave():
            leaving.sendall(LARGE)
            leaving.close()

        left = pool.submit(leave)
        assert receive_all(staying) == LARGE
        left.result(DEADLINE_S)


@pytest.mark.parametrize("closing", ["near", "far"])
def test_a_direction_that_is_shut_down_ends_alone(server, closing):
    with connected(server) as (near, far, _):
        first, second = (near, far) if closing == "near" else (far, near)
        first.sendall(b"question")
        first.shutdown(socket.SHUT_WR)
        assert receive_all(second) == b"question"
        second.sendall(LARGE[:100_000])
        second.close()
        assert receive_all(first) == LARGE[:100_000]


@contextlib.contextmanager
def connected_with_line(server):
    """The hub's side, the client's plain socket, and the line itself beneath."""
    near, far = connect_tcp()
    with Hub(far, server) as hub:
        line = near.dup()
        plain, _ = tls.connect(near, tls.client_context(), DEADLINE_S)
        with plain, line:
            wait_until(lambda: hub.plain)
            yield hub, plain, line


def test_a_peer_that_is_gone_without_a_word_is_noticed(server):
    with connected_with_line(server) as (hub, _, line):
        for sock in (line, hub.sock):
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 120_000


def test_who_stops_reading_can_still_answer(server):
    with connected(server) as (near, far, _):
        far.shutdown(socket.SHUT_RD)
        near.sendall(b"unheard")
        assert far.recv(1) == b""
        far.sendall(b"the last answer")
        far.close()
        near.shutdown(socket.SHUT_WR)
        assert receive_all(near) == b"the last answer"


def test_a_reset_ends_the_plain_side(server):
    near, far = connect_tcp()
    with Hub(far, server) as hub:
        client = tls.client_context().wrap_socket(near)
        wait_until(lambda: hub.plain)
        hub.plain.settimeout(DEADLINE_S)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        assert hub.plain.recv(1) == b""


@pytest.mark.parametrize("how", ["cut short", "garbage"])
def test_a_connection_that_breaks_ends_on_both_sides(server, how):
    with connected_with_line(server) as (hub, plain, line):
        hub.plain.settimeout(DEADLINE_S)
        plain.settimeout(DEADLINE_S)
        if how == "cut short":
            line.shutdown(socket.SHUT_RDWR)
        else:
            line.sendall(b"\x17\x03\x03\x00\x20" + bytes(32))
        with contextlib.suppress(ConnectionError):
            assert hub.plain.recv(1) == b""
        hub.plain.close()
        with contextlib.suppress(ConnectionError):
            assert plain.recv(1) == b""


def test_a_forked_child_holds_nothing_of_it(server):
    """Or the connection would outlive the process that serves it."""
    with connected(server) as (near, far, hub):
        outer = hub.sock.fileno()
        child = os.fork()
        if not child:
            try:
                os.fstat(outer)
            except OSError:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        far.sendall(b"goes on")
        assert receive(near, 7) == b"goes on"


# Who is who


def test_the_server_is_known_by_its_fingerprint(home, server):
    fingerprint = tls.fingerprint_of(home.certificate)
    der = ssl.PEM_cert_to_DER_cert(home.certificate.read_text())
    assert fingerprint == hashlib.sha256(der).digest()
    near, far = connect_tcp()
    with Hub(far, server):
        plain, seen = tls.connect(near, tls.client_context(), DEADLINE_S, fingerprint=fingerprint)
        plain.close()
    assert seen == fingerprint


def test_another_certificate_is_told_of_as_loudly_as_a_changed_host_key(home, server):
    near, far = connect_tcp()
    with (
        Hub(far, server),
        pytest.raises(
            CertificateChanged,
            match=r"THE CERTIFICATE OF host:1 HAS CHANGED! .* or old\. .*00000.* got .*new co",
        ),
    ):
        tls.connect(near, tls.client_context(), DEADLINE_S, shown="host:1", fingerprint=bytes(32))
    assert near.fileno() < 0


def test_a_client_is_known_by_its_certificate(home, server):
    context = tls.client_context(home.path.parent / "client.pem")
    with connected(server, context) as (_, __, hub):
        assert (hub.client.name, hub.client.invitation) == ("ann", "0123456789abcdef")
        assert hub.client.fingerprint == tls.fingerprint_of(home.path.parent / "client.pem")
    with connected(server) as (_, __, hub):
        assert hub.client is None


def test_the_certificate_of_somebody_else_is_refused(home, server, tmp_path):
    other = Home(tmp_path / "other")
    other.create()
    stolen = tmp_path / "stolen.pem"
    stolen.write_bytes(b"".join(issue_certificate(other, "0123456789abcdef", "ann")))
    near, far = connect_tcp()
    with Hub(far, server) as hub:
        # In TLS 1.3 the client is through before the server has looked at its certificate.
        with contextlib.suppress(ConnectionFailed):
            plain, _ = tls.connect(near, tls.client_context(stolen), DEADLINE_S)
            with plain, contextlib.suppress(ConnectionError):
                assert plain.recv(1) == b""
        hub.is_ready.wait(DEADLINE_S)
        assert "certificate" in str(hub.error)
        assert hub.plain is None


def test_a_hub_may_want_a_certificate_of_every_client(home):
    server = tls.server_context(home.certificate, home.private_key, home.certificate, needs_client_certificate=True)
    near, far = connect_tcp()
    with Hub(far, server) as hub:
        with contextlib.suppress(ConnectionFailed):
            plain, _ = tls.connect(near, tls.client_context(), DEADLINE_S)
            plain.close()
        hub.is_ready.wait(DEADLINE_S)
        assert "did not return a certificate" in str(hub.error)
    with connected(server, tls.client_context(home.path.parent / "client.pem")) as (_, __, hub):
        assert hub.client.name == "ann"


# Who does not speak TLS, or another one


def older_context():
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    return context


def test_nothing_older_than_tls_1_3_is_accepted(server):
    near, far = connect_tcp()
    with near, Hub(far, server) as hub:
        near.settimeout(DEADLINE_S)
        with pytest.raises(ssl.SSLError, match=r"(?i)version"):
            older_context().wrap_socket(near)
        hub.is_ready.wait(DEADLINE_S)
        assert "protocol" in str(hub.error)


def test_nothing_older_than_tls_1_3_is_offered(home):
    older = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    older.load_cert_chain(home.certificate, home.private_key)
    near, far = connect_tcp()
    with Hub(far, older), pytest.raises(ConnectionFailed, match=r"host:1 does not speak TLS 1\.3 .*update"):
        tls.connect(near, tls.client_context(), DEADLINE_S, shown="host:1")


@pytest.mark.parametrize("said", [b"RPYK\2\1 and more", b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_a_port_without_tls_is_told_of_at_once(said):
    near, far = connect_tcp()
    with far, ThreadPoolExecutor(1) as pool:

        def answer():
            far.recv(4096)
            far.sendall(said)
            far.shutdown(socket.SHUT_WR)

        answering = pool.submit(answer)
        with pytest.raises(
            ConnectionFailed, match=r"host:1 (does not speak|ended .* instead of speaking) TLS.* tcp://"
        ):
            tls.connect(near, tls.client_context(), DEADLINE_S, shown="host:1")
        answering.result(DEADLINE_S)


@pytest.mark.parametrize("said", [b"RPYK\2\1\0\0" + bytes(40), b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\xff\xff"])
def test_a_client_without_tls_is_refused(server, said):
    near, far = connect_tcp()
    with near, Hub(far, server) as hub:
        near.sendall(said)
        near.shutdown(socket.SHUT_WR)
        hub.is_ready.wait(DEADLINE_S)
        assert isinstance(hub.error, ConnectionFailed)


def test_a_client_without_tls_is_answered_in_its_own_words(server):
    near, far = connect_tcp()
    with near, far:
        near.settimeout(DEADLINE_S)
        near.sendall(b"RPYK")
        with pytest.raises(ConnectionFailed, match="speaks another protocol"):
            tls.accept(far, server, DEADLINE_S, to_plain=b"TLS, please")
        assert near.recv(100) == b"TLS, please"


def test_a_silent_port_is_given_up_in_time():
    near, far = connect_tcp()
    with far, pytest.raises(CallTimeout, match=r"did not finish the TLS handshake within 0\.05 s"):
        tls.connect(near, tls.client_context(), 0.05)
    assert near.fileno() < 0


def test_a_client_that_sends_byte_after_byte_has_no_more_time_than_others(server):
    near, far = connect_tcp()
    with near, Hub(far, server, timeout_s=0.2) as hub:
        with contextlib.suppress(OSError):
            for byte in b"\x16\x03\x01\x02\x00" + bytes(512):
                if hub.is_ready.wait(0.01):
                    break
                near.sendall(bytes([byte]))
        assert isinstance(hub.error, CallTimeout)


def test_a_client_is_told_why_its_certificate_does_not_do(home):
    server = tls.server_context(home.certificate, home.private_key, home.certificate, needs_client_certificate=True)
    near, far = connect_tcp()
    with Hub(far, server):
        plain, _ = tls.connect(near, tls.client_context(), DEADLINE_S)
        with plain:
            plain.settimeout(DEADLINE_S)
            with contextlib.suppress(ConnectionError):
                assert plain.recv(1) == b""
            assert "certificate required; set RPYC_KERNEL_CLIENT_CERTIFICATE" in tls.why_lost(plain)


def test_a_plain_socket_that_is_forgotten_ends_the_connection(server):
    near, far = connect_tcp()
    with Hub(far, server) as hub:
        plain, _ = tls.connect(near, tls.client_context(), DEADLINE_S)
        wait_until(lambda: hub.plain)
        hub.plain.settimeout(DEADLINE_S)
        forgotten = [plain]
        del plain
        with pytest.warns(ResourceWarning):
            forgotten.clear()
        assert hub.plain.recv(1) == b""


# Files that are none


def test_files_that_hold_no_certificate_are_told_of(home, tmp_path):
    empty = tmp_path / "empty.pem"
    empty.write_text("nothing")
    with pytest.raises(RequestError, match=r"empty\.pem with the private key .* cannot be used as a certificate"):
        tls.server_context(empty, home.private_key, home.certificate)
    with pytest.raises(RequestError, match=r"missing\.pem with .* cannot be used"):
        tls.server_context(tmp_path / "missing.pem", home.private_key, home.certificate)
    with pytest.raises(RequestError, match=r"empty\.pem holds no certificate"):
        tls.server_context(home.certificate, home.private_key, empty)
    with pytest.raises(RequestError, match=r"empty\.pem cannot be read as a certificate: there is none in it"):
        tls.fingerprint_of(empty)
    with pytest.raises(RequestError, match="cannot be used as a certificate"):
        tls.client_context(empty)
