"""A real kernel behind TLS: every channel, connect strings, who is let in and what others are told."""

import os
import socket
import ssl
import subprocess
import sys
import threading

import numpy
import pytest

import rpyc_kernel
from rpyc_kernel.client.connect_string import ConnectString
from rpyc_kernel.client.whereabouts import find
from rpyc_kernel.errors import AuthenticationFailed, CertificateChanged, ConnectionFailed, NotPermitted, RequestError
from rpyc_kernel.system.certificates import ensure_certificate, issue_certificate
from rpyc_kernel.system.home import Home
from rpyc_kernel.wire import tls
from rpyc_kernel.wire.keys import Key
from tests.end_to_end.clients import PATIENCE_S
from tests.support.processes import HAS_PROC, list_processes, read_command
from tests.support.waiting import wait_until


def connect_string_of(kernel, port=None):
    """The owner's, for a listener with TLS."""
    there = next(each for each in kernel.status()["listening"] if each["security"] == "tls")
    key = Key(bytes.fromhex(find(kernel.name).file.key))
    return ConnectString("127.0.0.1", port or there["port"], kernel.name, key, bytes.fromhex(there["fingerprint"]))


@pytest.fixture
def kernel(folders, monkeypatch):
    """One that speaks TLS."""
    for name in ("RPYC_KERNEL_KEY", "RPYC_KERNEL_INVITATION", "RPYC_KERNEL_CLIENT_CERTIFICATE"):
        monkeypatch.delenv(name, raising=False)
    with rpyc_kernel.start("demo", engine="plain", tls=True, timeout=PATIENCE_S) as kernel:
        yield kernel


def test_every_channel_goes_through_it_and_no_memory_is_shared(kernel):
    with rpyc_kernel.connect(connect_string_of(kernel).reveal(), name="ann", timeout=PATIENCE_S) as ann:
        assert ann.execute("x = [1]; 6 * 7").value == 42
        ann.namespace["x"].append(2)
        assert ann.eval("list(x)") == [1, 2]
        large = numpy.arange(3_000_000.0)
        ann.push(large=large)
        assert (ann.pull("large") == large).all()
        run = ann.submit("print('here'); input()")
        next(event for event in run.events() if event.kind == "input_requested")
        ann.answer_input("there")
        assert run.result(PATIENCE_S) == "there"
        assert run.stdout.startswith("here")
        assert any(event.kind == "stream" for event in ann.events(follow=False))
        session = ann.session
    # It goes as it comes, and takes nothing of the hub with it.
    wait_until(lambda: not any(each["id"] == session and each["connections"] for each in kernel.sessions()))
    if HAS_PROC:
        hub = kernel.status()["hub_pid"]
        wait_until(lambda: not any("tls" in name for name in thread_names(hub)), what="the end of the relays")


def thread_names(pid):
    names = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm") as file:
            names.append(file.read().strip())
    return names


def test_no_secret_is_seen_anywhere_on_its_way(kernel):
    text = connect_string_of(kernel).reveal()
    secret = text.partition("#")[2].split(".")[1]
    code = "import os; print(os.environ.get('RPYC_KERNEL_INVITATION'))"
    done = subprocess.run(
        [sys.executable, "-m", "rpyc_kernel", "exec", text, code],
        env={**os.environ, "RPYC_KERNEL_INVITATION": text},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stdout) == (0, "None\n")
    assert "stood on the command line" in done.stderr
    assert secret not in done.stderr
    with rpyc_kernel.connect(text) as client:
        assert secret not in repr(client)
        assert secret not in repr(client._address)
    if HAS_PROC:
        for process in list_processes():
            assert secret not in read_command(process.pid)
    for pid in (kernel.status()["hub_pid"], kernel.status()["worker_pid"]):
        if HAS_PROC:
            with open(f"/proc/{pid}/environ") as file:
                assert secret not in file.read()
    for path in (find("demo").folder.log_file, Home(find("demo").folder.path).journal):
        assert secret.encode() not in path.read_bytes()


def test_the_starters_own_secrets_do_not_reach_user_code(folders, monkeypatch):
    monkeypatch.setenv("RPYC_KERNEL_KEY", "5ec7e7" * 10)
    monkeypatch.setenv("RPYC_KERNEL_INVITATION", "rpyc+tls://gpu:1/train#..5ec7e7")
    with rpyc_kernel.start("demo", engine="plain", timeout=PATIENCE_S) as kernel:
        kept = "tuple(name for name in __import__('os').environ if name.endswith(('_KEY', '_INVITATION')))"
        # Its end is told by the worker that the status knows; what asks live objects may be ahead of the status.
        assert kernel.execute(kept, timeout=PATIENCE_S).value == ()
        if HAS_PROC:
            with open(f"/proc/{kernel.status()['worker_pid']}/environ") as file:
                assert "5ec7e7" not in file.read()


def test_who_shows_another_certificate_is_told_of_loudly_and_gets_nothing(kernel):
    told = connect_string_of(kernel)
    other = ConnectString(told.host, told.port, told.name, told.key, bytes(32))
    with pytest.raises(CertificateChanged, match=r"THE CERTIFICATE OF 127\.0\.0\.1:\d+ HAS CHANGED"):
        rpyc_kernel.connect(other.reveal())


def test_a_man_in_the_middle_with_a_certificate_of_his_own_gets_nowhere_even_where_none_is_expected(kernel, tmp_path):
    told = connect_string_of(kernel)
    home = Home(tmp_path / "eve")
    home.create()
    ensure_certificate(home)
    context = tls.server_context(home.certificate, home.private_key, home.certificate)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def stand_between():
            client, _ = listener.accept()
            with client:
                relay, _ = tls.accept(client, context, PATIENCE_S)
                inward = threading.Thread(target=relay.run)
                inward.start()
                hub = socket.create_connection((told.host, told.port))
                hub, _ = tls.connect(hub, tls.client_context(), PATIENCE_S)
                with hub, relay.plain as near:
                    hub.sendall(near.recv(4096))
                    near.sendall(hub.recv(4096))
                    assert near.recv(1) == b""  # the client has not answered to that
                inward.join(PATIENCE_S)

        eve = threading.Thread(target=stand_between)
        eve.start()
        unpinned = ConnectString("127.0.0.1", listener.getsockname()[1], "demo", told.key, b"")
        with pytest.raises(AuthenticationFailed):
            rpyc_kernel.connect(unpinned.reveal(), timeout=PATIENCE_S)
        eve.join(PATIENCE_S)
    with rpyc_kernel.connect(ConnectString(told.host, told.port, "demo", told.key, b"").reveal()) as client:
        assert client.eval("6 * 7") == 42


def test_each_side_that_speaks_another_way_is_told_so_at_once(kernel, monkeypatch):
    told = connect_string_of(kernel)
    monkeypatch.setenv("RPYC_KERNEL_KEY", told.key.secret.hex())
    with pytest.raises(ConnectionFailed, match=r"speaks TLS; use rpyc\+tls://"):
        rpyc_kernel.connect(f"tcp://127.0.0.1:{told.port}", timeout=PATIENCE_S)
    plain = kernel.listen("127.0.0.1")
    assert plain["security"] == "plain"
    with pytest.raises(ConnectionFailed, match=r"TLS.*tcp://"):
        rpyc_kernel.connect(f"rpyc+tls://127.0.0.1:{plain['port']}", timeout=PATIENCE_S)
    older = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    older.check_hostname, older.verify_mode = False, ssl.CERT_NONE
    older.maximum_version = ssl.TLSVersion.TLSv1_2
    with (
        socket.create_connection(("127.0.0.1", told.port), timeout=PATIENCE_S) as sock,
        pytest.raises(ssl.SSLError, match=r"(?i)version"),
    ):
        older.wrap_socket(sock)
    with rpyc_kernel.connect(told.reveal()) as client:  # nobody else has noticed
        assert client.eval("1") == 1


def test_it_is_there_again_with_the_next_hub_under_the_same_port_and_certificate(kernel):
    there = kernel.listen("127.0.0.1", tls=True)
    later = kernel.listen("127.0.0.1")
    told = connect_string_of(kernel).reveal()
    kernel.execute("mark = 'the same namespace'")
    before = kernel.status()
    os.kill(before["hub_pid"], 9)
    assert kernel.wait_until_closed(PATIENCE_S)
    with rpyc_kernel.start("demo", engine="plain", tls=True, timeout=PATIENCE_S) as again:
        assert again.status()["listening"] == before["listening"] == [there, later]
        with rpyc_kernel.connect(told, timeout=PATIENCE_S) as client:
            assert client.eval("mark") == "the same namespace"


def test_only_an_owner_opens_a_kernel(kernel):
    with (
        rpyc_kernel.connect("demo", role="editor") as editor,
        pytest.raises(NotPermitted, match="cannot have the kernel listen"),
    ):
        editor.listen("0.0.0.0", insecure=True)
    assert [each["security"] for each in kernel.status()["listening"]] == ["tls"]


def test_what_is_insecure_says_so_everywhere(kernel):
    def run(*arguments):
        done = subprocess.run(
            [sys.executable, "-m", "rpyc_kernel", *arguments], capture_output=True, text=True, timeout=PATIENCE_S
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    started = run("start", "open", "--engine", "plain", "--listen", "0.0.0.0", "--insecure")
    for said in (started, run("status", "open"), run("list")):
        assert "INSECURE: others can read and change what is said there" in said
    assert "with TLS" in run("status", "demo")
    run("stop", "open")


def test_a_kernel_may_want_a_certificate_of_every_client(folders, tmp_path, monkeypatch):
    company = Home(tmp_path / "company")
    company.create()
    mine = tmp_path / "mine.pem"
    mine.write_bytes(b"".join(issue_certificate(company, "0123456789abcdef", "ann")))
    with rpyc_kernel.start("demo", engine="plain", client_ca=company.certificate, timeout=PATIENCE_S) as kernel:
        told = connect_string_of(kernel).reveal()
        with pytest.raises(ConnectionFailed, match="certificate required; set RPYC_KERNEL_CLIENT_CERTIFICATE"):
            rpyc_kernel.connect(told, timeout=PATIENCE_S)
        monkeypatch.setenv("RPYC_KERNEL_CLIENT_CERTIFICATE", str(mine))
        with rpyc_kernel.connect(told, timeout=PATIENCE_S) as client:
            assert client.eval("6 * 7") == 42
        with pytest.raises(RequestError, match="takes no certificates but those that"):
            kernel.certify(kernel.invite("viewer").id)


def test_a_kernel_that_ends_tells_clients_behind_tls(kernel):
    with rpyc_kernel.connect(connect_string_of(kernel).reveal(), timeout=PATIENCE_S, reconnect=3600.0) as client:
        kernel.shutdown()
        assert client.wait_until_closed(PATIENCE_S)  # and does not look for it any more
        with pytest.raises(ConnectionFailed):
            client.status()


def test_a_kernel_that_cannot_listen_leaves_no_journal(folders, tmp_path):
    with pytest.raises(RequestError, match=r"none\.pem .*cannot be used as a certificate"):
        rpyc_kernel.start("demo", engine="plain", certificate=tmp_path / "none.pem")
    assert not Home(folders.state / "demo").journal.exists()
    assert rpyc_kernel.kernels() == []
