"""A client that has only RPyC comes over TCP by RPyC's own `ssl_connect`, as what its invitation makes of it."""

import json
import os
import signal
import ssl
from contextlib import ExitStack

import pytest
import rpyc
from rpyc.core.stream import SocketStream
from rpyc.utils.factory import ssl_connect

import rpyc_kernel
from rpyc_kernel.core.contract import Kind
from tests.end_to_end.clients import PATIENCE_S
from tests.support.waiting import wait_until
from tests.wire.peers import drop_stock


@pytest.fixture(autouse=True)
def streams(monkeypatch):
    """Closes what RPyC leaves open where a connection cannot be made."""
    with ExitStack() as opened:
        for name in ("connect", "ssl_connect"):
            made = getattr(SocketStream, name)

            def make(*args, made=made, **kwargs):
                stream = made(*args, **kwargs)
                opened.callback(stream.close)
                return stream

            monkeypatch.setattr(SocketStream, name, make)
        yield


@pytest.fixture
def invite(folders, tmp_path):
    """A kernel that listens with TLS, and what leads to it for whoever is invited."""
    with ExitStack() as opened, rpyc_kernel.start("demo", listen="127.0.0.1", tls=True, timeout=PATIENCE_S) as kernel:

        def make(role, **more):
            given = kernel.invite(role, **more)
            files = {}
            for name, pem in kernel.certify(given.id).items():
                files[name] = tmp_path / f"{given.id}-{name}.pem"
                files[name].write_text(pem)

            def connect(connect=rpyc.classic.ssl_connect, **options):
                connection = connect(
                    "127.0.0.1",
                    kernel.status()["listening"][0]["port"],
                    keyfile=str(files["private_key"]),
                    certfile=str(files["certificate"]),
                    ca_certs=str(files["server_certificate"]),
                    **options,
                )
                opened.callback(drop_stock, connection)
                connection._config["sync_request_timeout"] = PATIENCE_S
                return connection

            make.given = given
            return connect

        make.kernel = kernel
        yield make


def test_an_editor_has_live_objects_and_the_queue_under_the_name_of_the_invitation(invite):
    conn = invite("editor", name="ann")()
    conn.execute("shared = [1, 2]")
    conn.namespace["shared"].append(3)
    assert invite.kernel.eval("shared") == [1, 2, 3]
    assert conn.root.run("sum(shared)") == 6
    # Large answers, many small ones, and proxies given back while others are asked for.
    assert len(conn.eval("'x' * 300_000")) == 300_000
    assert [len(conn.eval(f"[0] * {count}")) for count in range(100)] == list(range(100))
    later = rpyc.async_(conn.root.run)("import time; time.sleep(0.2); 'later'")
    assert conn.eval("1 + 1") == 2
    assert later.value == "later"
    (me,) = [dict(session) for session in dict(conn.root.status())["sessions"] if dict(session)["name"] == "ann"]
    assert (me["role"], me["connections"]) == ("editor", 1)
    with pytest.raises(Exception, match="cannot stop the kernel"):
        conn.root.kernel.shutdown()


def test_who_says_nothing_at_first_is_served_when_it_does(invite):
    silent = invite("owner")(ssl_connect)
    assert silent.root.eval("6 * 7") == 42
    assert dict(silent.root.kernel.hello())["role"] == "owner"


def test_a_viewer_sees_what_happens_and_reaches_nothing_of_the_worker(invite):
    conn = invite("viewer")(ssl_connect)
    number = invite.kernel.submit("print('hello'); secret = 42").id
    cursor, kinds = 0, []
    while "finished" not in kinds:
        cursor, text = conn.root.read(cursor, 100, 5.0)
        kinds += [kind for _, _, kind, execution, _, _ in json.loads(text) if execution == number]
    assert dict(conn.root.status())["state"] in ("idle", "busy")
    for name in ("execute", "interrupt", "variables"):
        with pytest.raises(Exception, match="cannot"):
            getattr(conn.root, name)(*(["1"] if name == "execute" else []))
    for name in ("eval", "namespace", "getmodule", "submit", "kernel"):
        with pytest.raises(AttributeError):
            getattr(conn.root, name)
    with pytest.raises(AttributeError):
        invite("viewer")()  # classic mode needs live objects


def test_an_invitation_that_has_ended_lets_nobody_in_and_says_why(invite):
    connect = invite("editor", name="ann")
    conn = connect()
    kept = conn.eval("[1]")
    invite.kernel.revoke(invite.given.id)
    with pytest.raises(EOFError):
        kept.append(2)
    with pytest.raises(Exception, match="revoked"):
        connect()
    wait_until(
        lambda: any(event.kind == Kind.CLIENT_REFUSED for event in invite.kernel.events(follow=False)), PATIENCE_S
    )


def test_nobody_comes_in_without_a_certificate_of_an_invitation_nor_takes_another_kernel_for_this_one(invite, tmp_path):
    connect = invite("editor")
    port = invite.kernel.status()["listening"][0]["port"]
    with pytest.raises(EOFError):  # none at all
        rpyc.classic.ssl_connect("127.0.0.1", port)
    with pytest.raises(EOFError):  # and no TLS
        rpyc.classic.connect("127.0.0.1", port)
    with rpyc_kernel.start("other", engine="plain", listen="127.0.0.1", tls=True, timeout=PATIENCE_S) as other:
        wrong = other.certify(other.invite("owner").id)
        for name, pem in wrong.items():
            (tmp_path / name).write_text(pem)
        files = {"keyfile": str(tmp_path / "private_key"), "certfile": str(tmp_path / "certificate")}
        with pytest.raises((EOFError, OSError)):
            rpyc.classic.ssl_connect("127.0.0.1", port, **files)
        with pytest.raises(ssl.SSLCertVerificationError):
            rpyc.classic.ssl_connect("127.0.0.1", port, ca_certs=str(tmp_path / "server_certificate"), **files)
        other.shutdown()
    assert connect().eval("6 * 7") == 42


def test_a_worker_that_dies_ends_the_connection_over_tls_too(invite):
    conn = invite("editor")()
    os.kill(invite.kernel.status()["worker_pid"], signal.SIGKILL)
    with pytest.raises(EOFError):
        while True:
            conn.ping()
