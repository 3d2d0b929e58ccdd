import shutil
import ssl
import subprocess

import pytest
import rpyc

from rpyc_kernel.errors import ConnectionLost
from rpyc_kernel.wire.channel import Channel
from rpyc_kernel.wire.netrefs.connection import CLIENT_CONFIG, WORKER_CONFIG, connect_peer
from rpyc_kernel.wire.outbox import Outbox
from rpyc_kernel.wire.values.server import serve_values
from tests.wire.peers import DEADLINE_S, Serving, socket_pair
from tests.wire.stages import closing_all, wait_until_blocked

pytestmark = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="needs the openssl command to make a certificate"
)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("certificate")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", "/CN=localhost"]
    subprocess.run([*command, "-keyout", key, "-out", cert], check=True, capture_output=True)
    return cert, key


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def sockets(certificate, request):
    cert, key = certificate
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(cert, key)
    client_side = ssl.create_default_context(cafile=cert)
    client_side.check_hostname = False
    client_side.maximum_version = client_side.minimum_version = request.param
    near, far = socket_pair("tcp")
    secured = []
    accepting = Serving(lambda: secured.append(server_side.wrap_socket(far, server_side=True)))
    secured.insert(0, client_side.wrap_socket(near))
    accepting.join()
    with closing_all(*secured):
        yield secured


class Echo:
    def exposed_echo(self, value):
        return value


def test_frames_of_all_sizes_cross_in_both_directions_at_once(sockets):
    near, far = (Channel(sock) for sock in sockets)
    frames = [bytes([number]) * size for number, size in enumerate([0, 1, 5_000, 70_000, 3_000_000])]
    with closing_all(near, far):
        for channel in (near, far):
            Serving(lambda channel=channel: [channel.send(frame) for frame in frames])
        for channel in (near, far):
            assert [channel.recv() for _ in frames] == frames


def test_a_silent_peer_keeps_nobody_from_writing(sockets):
    near, far = (Channel(sock) for sock in sockets)
    with closing_all(near, far):
        receiving = Serving(near.recv)
        wait_until_blocked(receiving)
        near.send(b"out")
        assert far.recv() == b"out"
        far.send(b"in")
        receiving.join()


def test_closing_wakes_readers_and_writers(sockets):
    near, far = (Channel(sock) for sock in sockets)
    with closing_all(far):
        receiving, sending = Serving(near.recv), Serving(lambda: near.send(bytes(30_000_000)))
        wait_until_blocked(receiving)
        wait_until_blocked(sending)
        near.close()
        receiving.join()
        sending.join()
    assert isinstance(receiving.error, ConnectionLost)
    assert isinstance(sending.error, ConnectionLost)


def test_the_end_of_the_peer_is_noticed(sockets):
    near, far = (Channel(sock) for sock in sockets)
    far.close()
    with closing_all(near), pytest.raises(ConnectionLost):
        near.recv()


def test_writing_stops_where_the_peer_takes_no_more(sockets):
    near, far = (Channel(sock) for sock in sockets)
    data = bytes(range(256)) * 4096 * 20
    with closing_all(near, far):
        outbox, blocked = Outbox(near, on_blocked=lambda: blocked.append(True)), []
        outbox.send(data)
        outbox.send(b"next")
        assert blocked == [True]
        flushing = Serving(outbox.flush)
        assert [far.recv(), far.recv()] == [data, b"next"]
        flushing.join()


def test_values_and_objects_cross(sockets):
    near, far = sockets
    serving = Serving(lambda: serve_values(far, Echo(), name="values"))
    client = connect_peer(near, rpyc.VoidService, name="client", config=CLIENT_CONFIG)
    assert client.root.echo(b"x" * 500_000) == b"x" * 500_000
    for number in range(200):
        assert client.root.echo(number) == number
    client.close()
    serving.join()
    assert serving.error is None


def test_callbacks_nest(sockets):
    near, far = sockets
    server = connect_peer(far, rpyc.SlaveService, name="server", config=WORKER_CONFIG)
    client = connect_peer(near, rpyc.VoidService, name="client", config=CLIENT_CONFIG, request_timeout_s=DEADLINE_S)
    bounce = client.root.eval("lambda back, depth: back(depth)")

    def descend(depth):
        return depth and 1 + bounce(descend, depth - 1)

    assert bounce(descend, 10) == 10
    client.close()
    server.close()
